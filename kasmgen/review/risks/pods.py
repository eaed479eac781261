"""What happens to running pods: restarts, scale, images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kasmgen.kubernetes import kinds
from kasmgen.kubernetes.fields import get, items, mapping, short, whole
from kasmgen.kubernetes.kinds import named_containers, pod_spec
from kasmgen.kubernetes.resources import Object, ResourceId
from kasmgen.layout.annotations import SECRETS
from kasmgen.review.changes import ChangedObject, ObjectChange, RenamedObject, Risk, path_text
from kasmgen.review.field_changes import same
from kasmgen.review.noise import CHECKSUM
from kasmgen.review.risks.context import RiskContext

_RUNNING = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
_SCALED = ("Deployment", "StatefulSet", "ReplicaSet", "ReplicationController")


def restarts(change: ObjectChange) -> Iterator[Risk]:
    """Pods that are replaced because their template changed."""
    if not isinstance(change, ChangedObject) or change.id.kind not in _RUNNING:
        return
    old, new = change.old, change.new
    if same(kinds.pod_template(old), kinds.pod_template(new)) or _replicas(new) == 0:
        return
    kind, strategy = change.id.kind, str(get(new, "spec.strategy.type") or get(new, "spec.updateStrategy.type") or "")
    why = _why(change)
    if kind == "ReplicaSet" or strategy == "OnDelete":
        yield Risk("restarts-pods", "info", f"pods take this over only when they are deleted: {why}")
    elif kind == "Deployment" and strategy == "Recreate":
        yield Risk("recreates-pods", "warning", f"all pods are stopped before new ones start: {why}")
    elif kind == "StatefulSet" and _replicas(new) == 1:
        yield Risk("restarts-pods", "warning", f"its only pod is away while it restarts: {why}")
    else:
        yield Risk("restarts-pods", "info", f"pods are replaced one after the other: {why}")


def _why(change: ChangedObject) -> str:
    """The fields of the template that changed, in words."""
    fields = [field for field in change.fields if field.path[:2] == ("spec", "template")]
    names = sorted({path_text(field.path[2:]).removeprefix("spec.") for field in fields if not field.folded})
    if names:
        return short(names, 2)
    reasons = {field.folded for field in fields}
    before, now = (mapping(kinds.pod_template(obj), "metadata.annotations") for obj in (change.old, change.new))
    if before.get(SECRETS) != now.get(SECRETS):
        return "the content of a Secret that they use changed"
    return "content that they read changed" if CHECKSUM in reasons else f"{short(sorted(reasons))} in their template"


def _replicas(obj: Object) -> int:
    return whole(get(obj, "spec.replicas"), 1)


def scale(change: ObjectChange) -> Iterator[Risk]:
    """Fewer pods than before."""
    if not isinstance(change, ChangedObject):
        return
    if change.id.kind in _SCALED:
        yield from _fewer("replicas", change.old, change.new, "pods")
    elif change.id.kind == "HorizontalPodAutoscaler":
        yield from _fewer("minReplicas", change.old, change.new, "pods at least")
        yield from _fewer("maxReplicas", change.old, change.new, "pods at most")


def _fewer(field: str, old: Object, new: Object, unit: str) -> Iterator[Risk]:
    was, now = whole(get(old, f"spec.{field}"), 1), whole(get(new, f"spec.{field}"), 1)
    if now >= was:
        return
    if get(new, f"spec.{field}") is None:
        yield Risk("scales-down", "warning", f"{field} is not set any more: {was} {unit} become 1, the default")
    elif now == 0:
        yield Risk("scales-down", "warning", f"it is stopped: {was} {unit} become none")
    else:
        yield Risk("scales-down", "warning", f"{was} {unit} become {now}")


def images(change: ObjectChange) -> Iterator[Risk]:
    """Other images than before, container by container."""
    if not isinstance(change, ChangedObject | RenamedObject):
        return
    before, now = dict(named_containers(change.old)), dict(named_containers(change.new))
    for name in sorted(before.keys() & now.keys()):
        old, new = str(before[name].get("image")), str(now[name].get("image"))
        if old == new:
            continue
        moved = _repository(old) != _repository(new)
        words = f"{name}: {old} becomes {new}" + (", from another repository" if moved else "")
        yield Risk("image-changes", "warning" if moved or _floating(new) else "info", words + _floating(new))


def _repository(image: str) -> str:
    base = image.partition("@")[0]
    head, slash, last = base.rpartition("/")
    return head + slash + last.partition(":")[0]


def _floating(image: str) -> str:
    tag = image.rpartition("/")[2].partition(":")[2]
    return ", a tag that moves" if "@" not in image and tag in ("", "latest") else ""


def stale(change: ObjectChange, context: RiskContext) -> Iterator[Risk]:
    """Content that changed under pods which nothing restarts."""
    if not isinstance(change, ChangedObject) or change.id.kind not in ("ConfigMap", "Secret") or change.id.group:
        return
    if not any(field.path[0] in ("data", "binaryData", "stringData") for field in change.fields):
        return
    if change.secret and not any(state in ("changed", "added", "removed") for _, state in change.secret.keys):
        return
    users = [
        f"{key.kind} {key.name}"
        for key, obj in sorted(context.new.items())
        if key.kind in _RUNNING and key.namespace == change.id.namespace and _keeps_running(key, obj, context.old)
        if change.id.name in _content_used(obj, change.id.kind)
    ]
    if users:
        reason = f"{short(users)} read{'s' if len(users) == 1 else ''} it and nothing restarts the pods"
        yield Risk("stale-pods", "info", reason)


def _keeps_running(key: ResourceId, obj: Object, old: Mapping[ResourceId, Object]) -> bool:
    before = old.get(key)
    return before is not None and same(kinds.pod_template(before), kinds.pod_template(obj))


_USES = {
    "ConfigMap": ("configMap.name", "configMap.name", "valueFrom.configMapKeyRef.name", "configMapRef.name"),
    "Secret": ("secret.secretName", "secret.name", "valueFrom.secretKeyRef.name", "secretRef.name"),
}
"""Where a pod names what it reads: in a volume, a projected source, a variable, a set of variables."""


def _content_used(obj: Object, kind: str) -> set[str]:
    volume_path, source_path, variable_path, set_path = _USES[kind]
    volumes = items(pod_spec(obj), "volumes")
    found = [get(volume, volume_path) for volume in volumes]
    found += [get(source, source_path) for volume in volumes for source in items(volume, "projected.sources")]
    for _, container in named_containers(obj):
        found += [get(variable, variable_path) for variable in items(container, "env")]
        found += [get(source, set_path) for source in items(container, "envFrom")]
    return {name for name in found if isinstance(name, str)}
