"""Changes that a reader need not look at, and why."""

from __future__ import annotations

import re

from kasmgen.layout.annotations import PREFIX
from kasmgen.review.changes import AddedField, FieldChange, RemovedField, Step

OWN = "kasmgen's own annotation"
LABELS = "version label"
CHECKSUM = "checksum of other content"
ORDER = "order without meaning"
NAME = "name with a hash"

_LABELS = frozenset(("helm.sh/chart", "app.kubernetes.io/version", "app.kubernetes.io/managed-by"))
_HASH = re.compile(r"-(?=[a-z0-9]*[0-9])[a-z0-9]{5,64}$|-[bcdfghkmt2456789]{10}$")


def reason_to_fold(change: FieldChange) -> str:
    """Why the change is noise; "" if it is none."""
    where = _metadata_map(change.path)
    if where is None:
        return ""
    index, kind = where
    if len(change.path) == index + 1:
        return _whole_map(kind, change)
    return _entry(kind, change.path[index + 1]) if len(change.path) == index + 2 else ""


def _metadata_map(path: tuple[Step, ...]) -> tuple[int, str] | None:
    """Where in the path the labels or annotations of an object or pod template begin."""
    for index in range(len(path) - 1):
        if path[index] == "metadata" and path[index + 1] in ("labels", "annotations"):
            above = path[index - 1] if index else "template"
            if above in ("template", "jobTemplate"):
                return index + 1, str(path[index + 1])
    return None


def _entry(kind: str, key: Step) -> str:
    if kind == "annotations" and isinstance(key, str) and key.startswith((PREFIX, "checksum/")):
        return OWN if key.startswith(PREFIX) else CHECKSUM
    return LABELS if kind == "labels" and key in _LABELS else ""


def _whole_map(kind: str, change: FieldChange) -> str:
    """Why all labels or annotations that came or went at once are noise."""
    match change:
        case AddedField(new=dict(value)) | RemovedField(old=dict(value)) if value:
            pass
        case _:
            return ""
    reasons = {_entry(kind, key) for key in value}
    return reasons.pop() if len(reasons) == 1 else ""


def stem(name: str) -> str:
    """`name` without the hash that generators put at its end."""
    return _HASH.sub("", name)


def is_hash_rename(old: str, new: str) -> bool:
    """Whether two names differ in nothing but the hash at their end."""
    return old != new and stem(old) == stem(new) and stem(old) not in (old, new)
