"""Fields that the API server refuses to change, so that Flux fails.

Source: the update validation of Kubernetes (pkg/apis/*/validation) and the API reference.
"""

from __future__ import annotations

from collections.abc import Iterator

from kasmgen.delivery.flux import flux_setting
from kasmgen.kubernetes.fields import get, short
from kasmgen.kubernetes.resources import Object
from kasmgen.review.changes import ChangedObject, FieldChange, ObjectChange, Risk
from kasmgen.review.field_changes import same
from kasmgen.yaml.documents import Yaml

_STATEFULSET_MUTABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
    "revisionHistoryLimit",
)
_JOB_MUTABLE = ("parallelism", "suspend", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished")
_CLAIM_MUTABLE = ("resources", "volumeAttributesClassName")
_VOLUME_MUTABLE = ("capacity", "accessModes", "persistentVolumeReclaimPolicy", "mountOptions", "claimRef",
                   "nodeAffinity", "volumeAttributesClassName", "storageClassName")  # fmt: skip
# Everything below spec but these.
_ALL_BUT: dict[tuple[str, str], tuple[str, ...]] = {
    ("apps", "StatefulSet"): _STATEFULSET_MUTABLE,
    ("batch", "Job"): _JOB_MUTABLE,
    ("", "PersistentVolumeClaim"): _CLAIM_MUTABLE,
    ("", "PersistentVolume"): _VOLUME_MUTABLE,
}
_FIELDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("apps", "Deployment"): ("spec.selector",),
    ("apps", "DaemonSet"): ("spec.selector",),
    ("apps", "ReplicaSet"): ("spec.selector",),
    ("", "Service"): ("spec.clusterIP", "spec.loadBalancerClass", "spec.healthCheckNodePort"),
    ("storage.k8s.io", "StorageClass"): ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"),
    ("rbac.authorization.k8s.io", "RoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ("roleRef",),
    ("networking.k8s.io", "IngressClass"): ("spec.controller",),
    ("scheduling.k8s.io", "PriorityClass"): ("value", "preemptionPolicy"),
    ("node.k8s.io", "RuntimeClass"): ("handler",),
    ("", "Secret"): ("type",),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): ("spec.group", "spec.scope", "spec.names.plural"),
}
_CONTENT = ("data", "binaryData", "stringData", "immutable")


def immutable(change: ObjectChange) -> Iterator[Risk]:
    """Fields that cannot change; with Flux's force annotation the object is made anew instead."""
    if not isinstance(change, ChangedObject):
        return
    touched = sorted({field for f in change.fields for field in _refused(change, f)})
    if not touched:
        return
    if "enabled" in (flux_setting(change.new, "force"), flux_setting(change.old, "force")):
        yield _made_anew(change, touched)
        return
    yield Risk("immutable-field", "error", f"Kubernetes does not let {short(touched)} change: Flux will fail")


def _made_anew(change: ChangedObject, touched: list[str]) -> Risk:
    because = f"because {short(touched)} cannot change"
    if change.id.kind == "Job":
        return Risk("job-reruns", "warning", f"Flux deletes the Job and runs it again, {because}")
    words = f"Flux deletes the object and makes it again (force), {because}"
    if change.id.kind in ("StatefulSet", "PersistentVolumeClaim", "PersistentVolume"):
        return Risk("data-at-risk", "error", words)
    return Risk("recreated", "warning", words)


def _refused(change: ChangedObject, field: FieldChange) -> Iterator[str]:
    """The immutable field that this change touches, if any."""
    kind = (change.id.group, change.id.kind)
    path = tuple(step for step in field.path if isinstance(step, str))
    if kind == ("", "Pod"):
        if path[:1] == ("spec",) and path[-1] not in ("image", "activeDeadlineSeconds") and "tolerations" not in path:
            yield ".".join(path[:2])
    elif kind in _ALL_BUT and path[:1] == ("spec",):
        yield from _below_spec(path, change, _ALL_BUT[kind])
    yield from _named(kind, path, change.old, change.new)
    if kind in (("", "ConfigMap"), ("", "Secret")) and change.old.get("immutable") is True and path[0] in _CONTENT:
        yield path[0]


def _below_spec(path: tuple[str, ...], change: ChangedObject, mutable: tuple[str, ...]) -> Iterator[str]:
    if len(path) == 1:
        yield "spec"
    elif path[1] not in mutable and not _elastic(change, path[1]):
        yield f"spec.{path[1]}"


def _elastic(change: ChangedObject, field: str) -> bool:
    """An indexed Job's completions may change together with its parallelism."""
    spec = change.new.get("spec")
    if change.id.kind != "Job" or field != "completions" or get(spec, "completionMode") != "Indexed":
        return False
    return same(get(spec, "completions"), get(spec, "parallelism"))


def _named(kind: tuple[str, str], path: tuple[str, ...], old: Object, new: Object) -> Iterator[str]:
    for field in _FIELDS.get(kind, ()):
        steps = tuple(field.split("."))
        touches = path[: len(steps)] == steps or steps[: len(path)] == path
        if touches and not same(get(old, field), get(new, field)) and not _allowed(kind, field, old, new):
            yield field


def _allowed(kind: tuple[str, str], field: str, old: Object, new: Object) -> bool:
    if kind == ("", "Secret"):
        return bool(_type(old) == _type(new))
    if kind != ("", "Service"):
        return False
    # Left out, the API server keeps what it has; a Service that is or was a mere alias has none.
    external = "ExternalName" in (get(old, "spec.type"), get(new, "spec.type"))
    first_time = field != "spec.clusterIP" and get(old, field) is None
    return external or first_time or get(new, field) is None


def _type(obj: Object) -> Yaml:
    return obj.get("type") or "Opaque"
