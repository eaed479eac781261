"""What could lose data: claims, databases, and what holds them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kasmgen.delivery.flux import kept_by_flux
from kasmgen.kubernetes.fields import get, items, mapping, short, whole
from kasmgen.kubernetes.kinds import pod_spec
from kasmgen.kubernetes.resources import Object
from kasmgen.review.changes import ChangedObject, ObjectChange, RemovedObject, RenamedObject, Risk
from kasmgen.review.field_changes import same
from kasmgen.yaml.documents import Yaml

_DATABASES = (
    ("postgresql.cnpg.io", "Cluster"),
    ("acid.zalan.do", "postgresql"),
    ("postgres-operator.crunchydata.com", "PostgresCluster"),
    ("k8s.mariadb.com", "MariaDB"),
)
_POLICY = "spec.persistentVolumeClaimRetentionPolicy"
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18,
          "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}  # fmt: skip


def data(change: ObjectChange) -> Iterator[Risk]:
    """Whatever would delete a claim or a database, or leave it behind."""
    if isinstance(change, RemovedObject | RenamedObject):
        yield from _gone(change)
    if not isinstance(change, ChangedObject):
        return
    if change.id.kind == "StatefulSet":
        yield from _statefulset(change.old, change.new)
    yield from _shrunk(change.old, change.new)
    yield from _other_claims(change.old, change.new)
    yield from _unprotected(change)


def _error(reason: str) -> Risk:
    return Risk("data-at-risk", "error", reason)


def _gone(change: RemovedObject | RenamedObject) -> Iterator[Risk]:
    """An object that leaves the build; under a new name it does so too."""
    old, kind = change.old, change.id.kind
    kept = kept_by_flux(old)
    renamed = "renamed" if isinstance(change, RenamedObject) else "removed"
    if (change.id.group, kind) in _DATABASES and not kept:
        yield _error(f"the database is {renamed}: its operator deletes what it holds")
    elif kind == "PersistentVolumeClaim" and not kept:
        yield _error(f"the claim is {renamed}: Flux deletes it, and the storage with it")
    elif kind == "PersistentVolume" and not kept:
        yield _error(f"the volume is {renamed}: Flux deletes it")
    elif kind == "Namespace" and not kept:
        yield _error(f"the namespace is {renamed}: everything in it is deleted, claims too")
    elif kind == "CustomResourceDefinition" and not kept:
        yield _error(f"the definition is {renamed}: all objects of that kind are deleted in the whole cluster")
    elif kind == "StatefulSet" and (claims := _templates(old)):
        yield from _statefulset_gone(old, claims, kept, renamed)
    elif kept and (kind in ("PersistentVolumeClaim", "PersistentVolume") or (change.id.group, kind) in _DATABASES):
        yield _alone("with its data")
    elif kind == "Deployment" and (claims := _claims(old)) and isinstance(change, RemovedObject) and not kept:
        yield Risk("data-at-risk", "warning", f"nothing uses the claim {short(claims)} any more")


def _alone(what: str) -> Risk:
    words = f"it leaves the repository; Flux keeps it in the cluster {what}, but nothing looks after it any more"
    return Risk("data-at-risk", "warning", words)


def _statefulset_gone(old: Object, claims: list[str], kept: bool, renamed: str) -> Iterator[Risk]:
    if kept:
        yield _alone(f"with its claims ({short(claims)})")
        return
    if get(old, f"{_POLICY}.whenDeleted") == "Delete":
        yield _error(f"it is {renamed} and its claims ({short(claims)}) are deleted with it (whenDeleted: Delete)")
    elif renamed == "renamed":
        yield _error(f"under its new name it starts with new, empty claims ({short(claims)})")
    else:
        yield _error(f"it is removed; its claims ({short(claims)}) stay without an owner")


def _templates(obj: Object) -> list[str]:
    return [str(get(claim, "metadata.name")) for claim in items(obj, "spec.volumeClaimTemplates")]


def _claims(obj: Object) -> list[str]:
    return list(_mounted(obj).values())


def _statefulset(old: Object, new: Object) -> Iterator[Risk]:
    if not _templates(old) and not _templates(new):
        return
    if not same(get(old, "spec.volumeClaimTemplates"), get(new, "spec.volumeClaimTemplates")):
        yield _error("volumeClaimTemplates changed: Flux fails, and making it anew may leave the data behind")
    before, now = mapping(old, _POLICY), mapping(new, _POLICY)
    if now.get("whenDeleted") == "Delete" != before.get("whenDeleted"):
        yield _error("from now on its claims are deleted when it is (whenDeleted: Delete)")
    fewer = whole(get(new, "spec.replicas"), 1) < whole(get(old, "spec.replicas"), 1)
    if now.get("whenScaled") == "Delete" and fewer:
        yield _error("it scales down, and the claims of pods that go are deleted (whenScaled: Delete)")
    elif now.get("whenScaled") == "Delete" != before.get("whenScaled"):
        yield Risk("data-at-risk", "warning", "claims are deleted when it scales down (whenScaled: Delete)")


def _requests(obj: Object) -> Iterator[tuple[str, Yaml]]:
    if obj.get("kind") == "PersistentVolumeClaim":
        yield "storage", get(obj, "spec.resources.requests.storage")
    for claim in items(obj, "spec.volumeClaimTemplates") if obj.get("kind") == "StatefulSet" else ():
        yield f"storage of {get(claim, 'metadata.name')}", get(claim, "spec.resources.requests.storage")


def _shrunk(old: Object, new: Object) -> Iterator[Risk]:
    before = dict(_requests(old))
    for what, size in _requests(new):
        was, now = quantity(before.get(what)), quantity(size)
        if was is not None and now is not None and now < was:
            yield _error(f"{what} shrinks from {before[what]} to {size}: a claim can only grow")


def quantity(value: Yaml) -> float | None:
    """A Kubernetes quantity as a number; None if it is none."""
    found = re.fullmatch(r"([0-9.]+(?:[eE][0-9]+)?)([kMGTPE]i?|Ki|m)?", str(value))
    if value is None or isinstance(value, bool) or not found or found[1].count(".") > 1 or found[1] == ".":
        return None
    return float(found[1]) * (0.001 if found[2] == "m" else _UNITS.get(found[2] or "", 1))


def _other_claims(old: Object, new: Object) -> Iterator[Risk]:
    """A pod that mounts another claim under the same volume finds other data, or none."""
    before, now = _mounted(old), _mounted(new)
    for name, claim in sorted(before.items()):
        if name not in now:
            yield Risk("data-at-risk", "warning", f"volume {name} does not use the claim {claim} any more")
        elif now[name] != claim:
            yield Risk("data-at-risk", "warning", f"volume {name} uses the claim {now[name]} instead of {claim}")


def _mounted(obj: Object) -> dict[str, str]:
    """Volume of the pods -> claim that it uses."""
    found = ((v.get("name"), get(v, "persistentVolumeClaim.claimName")) for v in items(pod_spec(obj), "volumes"))
    return {str(name): str(claim) for name, claim in found if claim}


def _unprotected(change: ChangedObject) -> Iterator[Risk]:
    holds = change.id.kind in ("PersistentVolumeClaim", "PersistentVolume", "Namespace", "CustomResourceDefinition")
    holds = holds or (change.id.kind == "StatefulSet" and bool(_templates(change.new)))
    if holds and kept_by_flux(change.old) and not kept_by_flux(change.new):
        yield Risk("data-at-risk", "warning", "it loses its protection: Flux would delete it when it is removed")
