"""Recognising an object under a new name: same kind, nearly the same content."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from kasmgen.kubernetes.resources import Object, ResourceId, Secret
from kasmgen.review.noise import is_hash_rename
from kasmgen.yaml.documents import Yaml

ENOUGH = 0.75
"""Share of equal fields from which two objects are taken for one."""

_ENOUGH_BY_STEM = 0.3
_FEWEST = 4
_MOST_PAIRS = 20_000
_PLACEHOLDER = "\0"


def renamed(old: Mapping[ResourceId, Object], new: Mapping[ResourceId, Object]) -> dict[ResourceId, ResourceId]:
    """New identity -> old identity of the objects that were renamed or moved to another namespace.

    old, new: what is on one side only. The most similar pairs are taken first, equal
    ones in the order of their names, so the answer never depends on chance.
    """
    kinds: dict[tuple[str, str], tuple[list[ResourceId], list[ResourceId]]] = defaultdict(lambda: ([], []))
    for side, ids in enumerate((old, new)):
        for key in ids:
            kinds[(key.group, key.kind)][side].append(key)
    found: dict[ResourceId, ResourceId] = {}
    for gone, come in kinds.values():
        if gone and come:
            found.update(_match({key: old[key] for key in gone}, {key: new[key] for key in come}))
    return found


def _match(old: Mapping[ResourceId, Object], new: Mapping[ResourceId, Object]) -> dict[ResourceId, ResourceId]:
    was = {key: _leaves(key, obj) for key, obj in old.items()}
    now = {key: _leaves(key, obj) for key, obj in new.items()}
    scores = sorted((-score, a, b) for a, b, score in _candidates(was, now))
    found: dict[ResourceId, ResourceId] = {}
    taken: set[ResourceId] = set()
    for _, a, b in scores:
        if a not in taken and b not in found:
            found[b] = a
            taken.add(a)
    return found


_Leaves = Counter[tuple[str, str]]


def _candidates(
    was: Mapping[ResourceId, _Leaves], now: Mapping[ResourceId, _Leaves]
) -> Iterator[tuple[ResourceId, ResourceId, float]]:
    everything = len(was) * len(now) <= _MOST_PAIRS
    for a, old in was.items():
        for b, new in now.items():
            by_stem = is_hash_rename(a.name, b.name) and a.namespace == b.namespace
            if not (everything or by_stem or a.name == b.name):
                continue
            score = _similarity(old, new)
            if score >= (_ENOUGH_BY_STEM if by_stem else ENOUGH) and (by_stem or _tells_enough(old, new)):
                yield a, b, score


def _tells_enough(old: _Leaves, new: _Leaves) -> bool:
    """Two objects that say next to nothing are alike by chance."""
    return min(old.total(), new.total()) >= _FEWEST


def _similarity(old: _Leaves, new: _Leaves) -> float:
    """Leaves in both by leaves in either (Jaccard), 0 to 1."""
    either = (old | new).total()
    return (old & new).total() / either if either else 0.0


def _leaves(key: ResourceId, obj: Object) -> _Leaves:
    """(path without positions, value) of every leaf, with the object's own name taken out."""
    found: _Leaves = Counter()
    pending: list[tuple[str, Yaml]] = [("", obj)]
    while pending:
        path, value = pending.pop()
        if path in (".metadata.name", ".metadata.namespace", ".sops", ".kind", ".apiVersion"):
            continue
        if isinstance(value, dict) and value:
            pending.extend((f"{path}.{k}", v) for k, v in value.items())
        elif isinstance(value, list) and value:
            pending.extend((f"{path}[]", item) for item in value)
        else:
            found[path, _text(value).replace(key.name, _PLACEHOLDER)] += 1
    return found


def _text(value: Yaml) -> str:
    return repr(value.reveal()) if isinstance(value, Secret) else json.dumps(value)
