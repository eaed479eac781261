"""What kasmgen knows of Kubernetes kinds: scope, pod templates, keys of lists."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from kasmgen.kubernetes.fields import get, items, mapping
from kasmgen.kubernetes.resources import Object
from kasmgen.yaml.documents import Yaml

# Kinds without a namespace by group: those of Kubernetes itself (kubectl api-resources --namespaced=false),
# then those of projects that charts bring objects for without the definition beside them.
_CLUSTER_SCOPED: dict[str, frozenset[str]] = {
    group: frozenset(kinds.split())
    for group, kinds in {
        "": "Namespace Node PersistentVolume ComponentStatus",
        "apiextensions.k8s.io": "CustomResourceDefinition",
        "apiregistration.k8s.io": "APIService",
        "admissionregistration.k8s.io": """
            MutatingWebhookConfiguration ValidatingWebhookConfiguration
            ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding
            MutatingAdmissionPolicy MutatingAdmissionPolicyBinding""",
        "authentication.k8s.io": "TokenReview SelfSubjectReview",
        "authorization.k8s.io": "SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview",
        "certificates.k8s.io": "CertificateSigningRequest ClusterTrustBundle",
        "flowcontrol.apiserver.k8s.io": "FlowSchema PriorityLevelConfiguration",
        "internal.apiserver.k8s.io": "StorageVersion",
        "networking.k8s.io": "IngressClass IPAddress ServiceCIDR",
        "node.k8s.io": "RuntimeClass",
        "policy": "PodSecurityPolicy",
        "rbac.authorization.k8s.io": "ClusterRole ClusterRoleBinding",
        "resource.k8s.io": "DeviceClass ResourceSlice DeviceTaintRule",
        "scheduling.k8s.io": "PriorityClass",
        "storage.k8s.io": "StorageClass CSIDriver CSINode VolumeAttachment VolumeAttributesClass",
        "storagemigration.k8s.io": "StorageVersionMigration",
        "gateway.networking.k8s.io": "GatewayClass",
        "policy.networking.k8s.io": "AdminNetworkPolicy BaselineAdminNetworkPolicy ClusterNetworkPolicy",
        "snapshot.storage.k8s.io": "VolumeSnapshotClass VolumeSnapshotContent",
        "apiextensions.crossplane.io": "CompositeResourceDefinition Composition CompositionRevision",
        "cilium.io": "CiliumClusterwideNetworkPolicy CiliumNode CiliumLoadBalancerIPPool",
        "crd.projectcalico.org": "GlobalNetworkPolicy GlobalNetworkSet IPPool BGPConfiguration BGPPeer",
        "elbv2.k8s.aws": "IngressClassParams",
        "karpenter.k8s.aws": "EC2NodeClass",
        "karpenter.sh": "NodePool NodeClaim",
        "operator.tigera.io": "Installation APIServer",
        "pkg.crossplane.io": "Provider Configuration Function DeploymentRuntimeConfig",
        "projectcalico.org": "GlobalNetworkPolicy GlobalNetworkSet IPPool BGPConfiguration BGPPeer",
        "templates.gatekeeper.sh": "ConstraintTemplate",
    }.items()
}

# Namespaced kinds of custom groups whose name begins as that of a cluster-scoped one.
_NAMESPACED = frozenset(
    [
        ("cluster.x-k8s.io", "ClusterClass"),
        ("addons.cluster.x-k8s.io", "ClusterResourceSet"),
        ("addons.cluster.x-k8s.io", "ClusterResourceSetBinding"),
        ("operators.coreos.com", "ClusterServiceVersion"),
        ("logging.openshift.io", "ClusterLogging"),
        ("logging.openshift.io", "ClusterLogForwarder"),
        ("observability.openshift.io", "ClusterLogForwarder"),
    ]
)


def custom_scopes(objects: Iterable[Object]) -> dict[tuple[str, str], bool]:
    """(group, kind) -> whether it has a namespace, from the CustomResourceDefinitions among `objects`."""
    scopes: dict[tuple[str, str], bool] = {}
    for obj in objects:
        spec = get(obj, "spec")
        if obj.get("kind") == "CustomResourceDefinition" and isinstance(spec, dict):
            scopes[(str(spec.get("group")), str(get(spec, "names.kind")))] = spec.get("scope") != "Cluster"
    return scopes


def has_namespace(obj: Object, scopes: dict[tuple[str, str], bool]) -> bool:
    """Whether objects of this kind live in a namespace.

    A definition in `scopes` decides, then the tables of this module. What neither
    knows and is named Cluster... (ClusterIssuer, ClusterSecretStore, ...) has a
    namespace only if the chart gives it one; any other kind is namespaced.
    """
    kind, group = str(obj.get("kind")), str(obj.get("apiVersion")).rpartition("/")[0]
    if (group, kind) in scopes:
        return scopes[(group, kind)]
    if kind in _CLUSTER_SCOPED.get(group, ()):
        return False
    if "." in group and re.match(r"Cluster[A-Z]", kind) and (group, kind) not in _NAMESPACED:
        return bool(get(obj, "metadata.namespace"))
    return True


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
        spec = get(spec, "jobTemplate.spec")
    elif (kind, version.partition("/")[0]) not in _WORKLOADS:
        return None
    template = get(spec, "template")
    return template if isinstance(template, dict) else None


_WORKLOADS = frozenset(
    [(kind, "apps") for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")]
    + [("Job", "batch"), ("ReplicationController", "v1")]
)

CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")


def containers(pod_spec: Yaml) -> Iterator[dict[str, Yaml]]:
    """All containers of a pod spec."""
    for name in CONTAINER_LISTS:
        yield from items(pod_spec, name)


def pod_spec(obj: Object | None) -> dict[str, Yaml]:
    """The pod spec of a workload, {} for anything else."""
    return mapping(pod_template(obj), "spec") if obj is not None else {}


def named_containers(obj: Object | None) -> Iterator[tuple[str, dict[str, Yaml]]]:
    """(name, container) of every container of a workload, init containers marked as such."""
    spec = pod_spec(obj)
    for field, word in (("initContainers", "init container"), ("containers", "container"), ("ephemeralContainers", "")):
        for container in items(spec, field):
            yield f"{word or 'ephemeral container'} {container.get('name', '?')}", container


def secrets_used(pod_spec: Yaml) -> set[str]:
    """Names of the Secrets whose content the pod reads: volumes and environment, not pull credentials."""
    return {
        reference[key]
        for reference, key in _references(pod_spec)
        if isinstance(reference, dict) and isinstance(reference.get(key), str)
    }


def _references(pod_spec: Yaml) -> Iterator[tuple[Yaml, str]]:
    """What may refer to a Secret, and the key that holds its name."""
    for volume in items(pod_spec, "volumes"):
        yield volume.get("secret"), "secretName"
        yield volume.get("azureFile"), "secretName"
        for source in items(volume, "projected.sources"):
            yield source.get("secret"), "name"
        for driver in ("csi", "cephfs", "cinder", "rbd", "iscsi", "flexVolume", "scaleIO", "storageos"):
            holder = volume.get(driver)
            if isinstance(holder, dict):
                yield holder.get("nodePublishSecretRef") or holder.get("secretRef"), "name"
    for container in containers(pod_spec):
        for variable in items(container, "env"):
            yield get(variable, "valueFrom.secretKeyRef"), "name"
        for source in items(container, "envFrom"):
            yield source.get("secretRef"), "name"


def with_template(obj: Object, change: Callable[[dict[str, Yaml]], dict[str, Yaml]]) -> Object:
    """`obj` with its pod template put through `change`; `obj` itself where it has none."""
    template = pod_template(obj)
    if template is None:
        return obj
    if template is obj:
        return change(obj)
    spec = obj["spec"]
    if obj.get("kind") == "CronJob":
        job = spec["jobTemplate"]
        job = {**job, "spec": {**job["spec"], "template": change(template)}}
        return {**obj, "spec": {**spec, "jobTemplate": job}}
    return {**obj, "spec": {**spec, "template": change(template)}}
