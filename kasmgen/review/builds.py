"""Two builds, object by object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import assert_never

from kasmgen.kubernetes.resources import Object, ResourceId
from kasmgen.review.changes import AddedObject, ChangedObject, FieldChange, ObjectChange, RemovedObject, RenamedObject
from kasmgen.review.field_changes import apply, compare, quickly_same
from kasmgen.review.mask import known_values, reveal, wrap
from kasmgen.review.noise import NAME, is_hash_rename
from kasmgen.review.renames import renamed
from kasmgen.review.secret_changes import compare_secrets

Build = Mapping[ResourceId, Object]


def compare_builds(old: Build, new: Build) -> tuple[ObjectChange, ...]:
    """Every change between two builds, sorted by identity; empty exactly if they are equal.

    Values of Secrets that stand in clear are wrapped, so that nothing prints them by
    accident, and `known` of each change lists them, so that they are masked elsewhere.
    """
    before = {key: wrap(obj) for key, obj in old.items() if key not in new or not quickly_same(obj, new[key])}
    now = {key: wrap(obj) for key, obj in new.items() if key not in old or not quickly_same(obj, old[key])}
    if not before and not now:
        return ()
    gone = {key: obj for key, obj in before.items() if key not in now}
    come = {key: obj for key, obj in now.items() if key not in before}
    pairs = renamed(gone, come)
    changes: list[ObjectChange] = [_changed(key, before[key], now[key]) for key in before.keys() & now.keys()]
    changes += [_renamed(was, key, gone[was], come[key]) for key, was in pairs.items()]
    changes += [_added(key, obj) for key, obj in come.items() if key not in pairs]
    changes += [_removed(key, obj) for key, obj in gone.items() if key not in pairs.values()]
    known = known_values([*old.values(), *new.values()])
    return tuple(
        sorted((replace(change, known=known) for change in changes), key=lambda change: (change.id, change.op))
    )


def _added(key: ResourceId, new: Object) -> ObjectChange:
    return AddedObject(id=key, new=new, secret=compare_secrets(None, new) if _is_secret(key) else None)


def _removed(key: ResourceId, old: Object) -> ObjectChange:
    return RemovedObject(id=key, old=old, secret=compare_secrets(old, None) if _is_secret(key) else None)


def _changed(key: ResourceId, old: Object, new: Object) -> ObjectChange:
    secret = compare_secrets(old, new) if _is_secret(key) else None
    return ChangedObject(id=key, old=old, new=new, fields=compare(old, new), secret=secret)


def _renamed(was: ResourceId, key: ResourceId, old: Object, new: Object) -> ObjectChange:
    secret = compare_secrets(old, new) if _is_secret(key) else None
    fields = compare(old, new)
    if was.namespace == key.namespace and is_hash_rename(was.name, key.name):
        fields = tuple(_fold_name(field) for field in fields)
    return RenamedObject(id=key, was=was, old=old, new=new, fields=fields, secret=secret)


def _fold_name(field: FieldChange) -> FieldChange:
    return replace(field, folded=NAME) if field.path == ("metadata", "name") else field


def _is_secret(key: ResourceId) -> bool:
    return key.kind == "Secret" and key.group == ""


def apply_changes(old: Build, changes: Iterable[ObjectChange]) -> dict[ResourceId, Object]:
    """The build that comes out of `old` by `changes`, with the values of Secrets in clear.

    apply_changes(old, compare_builds(old, new)) == new, which proves that a list of
    changes leaves nothing out. Raises ValueError or KeyError for changes of another build.
    """
    out = dict(old)
    made: dict[ResourceId, Object] = {}
    for change in changes:
        match change:
            case AddedObject():
                made[change.id] = reveal(change.new)
            case RemovedObject():
                del out[change.id]
            case ChangedObject() | RenamedObject():
                made[change.id] = reveal(apply(wrap(out.pop(change.old_id)), change.fields))
            case _:
                assert_never(change)
    return {**out, **made}
