"""What kasmgen knows of Kubernetes kinds: scope, pod templates, keys of lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kasmgen.model import Object
from kasmgen.yamlio import Yaml

# Kinds of Kubernetes itself that have no namespace (kubectl api-resources --namespaced=false),
# and the cluster-scoped kinds of projects that charts bring objects for.
_CLUSTER_SCOPED = frozenset(
    """
    Namespace Node PersistentVolume ComponentStatus
    CustomResourceDefinition APIService ClusterTrustBundle
    MutatingWebhookConfiguration ValidatingWebhookConfiguration
    ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding
    MutatingAdmissionPolicy MutatingAdmissionPolicyBinding
    ClusterRole ClusterRoleBinding CertificateSigningRequest
    StorageClass CSIDriver CSINode VolumeAttachment VolumeAttributesClass
    PriorityClass RuntimeClass IngressClass FlowSchema PriorityLevelConfiguration
    IPAddress ServiceCIDR DeviceClass ResourceSlice DeviceTaintRule PodSecurityPolicy StorageVersion
    SelfSubjectReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview TokenReview
    GatewayClass AdminNetworkPolicy BaselineAdminNetworkPolicy VolumeSnapshotClass VolumeSnapshotContent
    """.split()  # noqa: SIM905 - reads as the table it is
)


def custom_scopes(objects: Iterable[Object]) -> dict[tuple[str, str], bool]:
    """(group, kind) -> whether it has a namespace, from the CustomResourceDefinitions among `objects`."""
    scopes: dict[tuple[str, str], bool] = {}
    for obj in objects:
        spec = obj.get("spec")
        if obj.get("kind") == "CustomResourceDefinition" and isinstance(spec, dict):
            names = spec.get("names")
            kind = names.get("kind") if isinstance(names, dict) else None
            scopes[(str(spec.get("group")), str(kind))] = spec.get("scope") != "Cluster"
    return scopes


def has_namespace(obj: Object, scopes: dict[tuple[str, str], bool]) -> bool:
    """Whether objects of this kind live in a namespace.

    A definition in `scopes` decides. Without one, a kind of the table or one
    named Cluster... (ClusterIssuer, ClusterSecretStore, ...) is cluster-scoped,
    any other kind is namespaced.
    """
    kind, group = str(obj.get("kind")), str(obj.get("apiVersion")).rpartition("/")[0]
    if (group, kind) in scopes:
        return scopes[(group, kind)]
    if kind in _CLUSTER_SCOPED:
        return False
    return not ("." in group and re.match(r"Cluster[A-Z]", kind))


def pod_template(obj: Object) -> Yaml:
    """The pod template of a workload (the mapping with metadata and spec), or None.

    A bare Pod is its own template. Custom resources are not looked into.
    """
    kind, version, spec = obj.get("kind"), str(obj.get("apiVersion")), obj.get("spec")
    if not isinstance(spec, dict):
        return None
    if kind == "Pod" and version == "v1":
        return obj
    if kind == "CronJob" and version.startswith("batch/"):
        job = spec.get("jobTemplate")
        spec = job.get("spec") if isinstance(job, dict) else None
    elif (kind, version.partition("/")[0]) not in _WORKLOADS:
        return None
    template = spec.get("template") if isinstance(spec, dict) else None
    return template if isinstance(template, dict) else None


_WORKLOADS = frozenset(
    [(kind, "apps") for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")]
    + [("Job", "batch"), ("ReplicationController", "v1")]
)

CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")


def containers(pod_spec: Yaml) -> Iterator[dict[str, Yaml]]:
    """All containers of a pod spec."""
    if isinstance(pod_spec, dict):
        for name in CONTAINER_LISTS:
            for container in pod_spec.get(name) or ():
                if isinstance(container, dict):
                    yield container


def secrets_used(pod_spec: Yaml) -> set[str]:
    """Names of the Secrets whose content the pod reads: volumes and environment, not pull credentials."""
    if not isinstance(pod_spec, dict):
        return set()
    found: set[str] = set()

    def add(reference: Yaml, key: str = "name") -> None:
        if isinstance(reference, dict) and isinstance(reference.get(key), str):
            found.add(reference[key])

    for volume in pod_spec.get("volumes") or ():
        if isinstance(volume, dict):
            add(volume.get("secret"), "secretName")
            projected = volume.get("projected")
            for source in (projected.get("sources") or ()) if isinstance(projected, dict) else ():
                add(source.get("secret") if isinstance(source, dict) else None)
    for container in containers(pod_spec):
        for variable in container.get("env") or ():
            source = variable.get("valueFrom") if isinstance(variable, dict) else None
            add(source.get("secretKeyRef") if isinstance(source, dict) else None)
        for source in container.get("envFrom") or ():
            add(source.get("secretRef") if isinstance(source, dict) else None)
    return found
