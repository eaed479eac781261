"""What pods may do that they could not do before."""

from __future__ import annotations

from collections.abc import Iterator

from kasmgen.kubernetes.fields import get, items, mapping, short, texts
from kasmgen.kubernetes.kinds import named_containers, pod_spec
from kasmgen.kubernetes.resources import Object
from kasmgen.review.changes import ObjectChange, RemovedObject, Risk
from kasmgen.yaml.documents import Yaml

_HOST = {"hostPID": "see the node's processes", "hostIPC": "share the node's memory"}
_PSA = "pod-security.kubernetes.io/enforce"
_PSA_LEVELS = ("restricted", "baseline", "privileged")


def privilege(change: ObjectChange) -> Iterator[Risk]:
    """Rights that pods gain, and limits that are taken away."""
    if isinstance(change, RemovedObject):
        return
    old, new = change.old, change.new
    spec_old, spec_new = pod_spec(old), pod_spec(new)
    for field in ("hostPID", "hostIPC"):
        if spec_new.get(field) is True and spec_old.get(field) is not True:
            yield _warn(f"pods {_HOST[field]} ({field})")
    if paths := [path for path in _host_paths(spec_new) if path not in _host_paths(spec_old)]:
        yield _warn(f"pods mount {short(paths)} of the node (hostPath)")
    before = dict(named_containers(old))
    for name, container in named_containers(new):
        yield from _container(name, spec_old, before.get(name), spec_new, container)
    yield from _token(change.id.kind, old, new)
    if change.id.kind == "Namespace":
        yield from _namespace(old, new)


def _warn(reason: str) -> Risk:
    return Risk("more-privilege", "warning", reason)


def _host_paths(spec: dict[str, Yaml]) -> list[str]:
    return [str(path) for volume in items(spec, "volumes") if (path := get(volume, "hostPath.path"))]


def _container(
    name: str, spec_old: Yaml, old: dict[str, Yaml] | None, spec_new: Yaml, new: dict[str, Yaml]
) -> Iterator[Risk]:
    was, now = _security(spec_old, old or {}), _security(spec_new, new)
    if now.get("privileged") is True and was.get("privileged") is not True:
        yield _warn(f"{name} runs privileged: it can do anything on the node")
    if more := [c for c in texts(now, "capabilities.add") if c not in texts(was, "capabilities.add")]:
        yield _warn(f"{name} gains the capability {short(more)}")
    if now.get("runAsUser") == 0 and was.get("runAsUser") != 0:
        yield _warn(f"{name} runs as root (runAsUser: 0)")
    if now.get("allowPrivilegeEscalation") is True and was.get("allowPrivilegeEscalation") is not True:
        yield _warn(f"{name} may gain more rights (allowPrivilegeEscalation)")
    if str(get(now, "seccompProfile.type")) == "Unconfined" != str(get(was, "seccompProfile.type")):
        yield _warn(f"{name} runs without a seccomp profile (Unconfined)")
    if old is not None:
        yield from _limits_gone(name, was, now)


def _security(spec: Yaml, container: dict[str, Yaml]) -> dict[str, Yaml]:
    """What holds for a container: its own settings over the pod's."""
    return {**mapping(spec, "securityContext"), **mapping(container, "securityContext")}


def _limits_gone(name: str, was: dict[str, Yaml], now: dict[str, Yaml]) -> Iterator[Risk]:
    if was.get("allowPrivilegeEscalation") is False and now.get("allowPrivilegeEscalation") is None:
        yield _warn(f"{name} may gain more rights: allowPrivilegeEscalation: false is gone")
    if was.get("runAsNonRoot") is True and now.get("runAsNonRoot") is not True:
        yield _warn(f"{name} may run as root: runAsNonRoot is gone")
    if was.get("readOnlyRootFilesystem") is True and now.get("readOnlyRootFilesystem") is not True:
        yield _warn(f"{name} may write to its root file system")
    lost = [c for c in texts(was, "capabilities.drop") if c not in texts(now, "capabilities.drop")]
    if lost and "ALL" not in texts(now, "capabilities.drop"):
        yield _warn(f"{name} does not drop the capability {short(lost)} any more")
    if isinstance(get(was, "seccompProfile.type"), str) and get(now, "seccompProfile.type") is None:
        yield _warn(f"{name} has no seccomp profile any more")


def _token(kind: str, old: Object, new: Object) -> Iterator[Risk]:
    holders = ((new, old),) if kind == "ServiceAccount" else ((pod_spec(new), pod_spec(old)),)
    for now, was in holders:
        before, after = was.get("automountServiceAccountToken"), now.get("automountServiceAccountToken")
        if (after is True and before is not True) or (before is False and after is None):
            yield _warn("pods get a token for the Kubernetes API (automountServiceAccountToken)")


def _namespace(old: Object, new: Object) -> Iterator[Risk]:
    was, now = (str(mapping(obj, "metadata.labels").get(_PSA, "privileged")) for obj in (old, new))
    if old and _level(now) > _level(was):
        yield _warn(f"the namespace allows more to its pods: Pod Security {was} becomes {now}")


def _level(name: str) -> int:
    return _PSA_LEVELS.index(name) if name in _PSA_LEVELS else len(_PSA_LEVELS)
