"""From a base and a render to the patches and objects of one environment."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from kasmgen.kubernetes.equality import Difference
from kasmgen.kubernetes.resources import Object, ResourceId
from kasmgen.overlay import json_patch
from kasmgen.overlay import patch as patches
from kasmgen.overlay.patch import JsonPatch, Patch

_NAME_LIMIT = 200
_SUFFIX = ".yaml"


@dataclass(frozen=True)
class Assembly:
    """What an environment adds to the base.

    patches: id in the base -> its patch. added: objects that the base lacks.
    becomes: id in the base -> id in the environment, for every object that both
    have; the two differ where the environment has another namespace.
    inexpressible: where an object has something that no patch can bring out. Its patch
    is there, but the build of it fails or differs.
    """

    patches: Mapping[ResourceId, Patch]
    added: Mapping[ResourceId, Object]
    becomes: Mapping[ResourceId, ResourceId]
    inexpressible: tuple[Difference, ...] = ()


def patched(
    base: Mapping[ResourceId, Object],
    want: Mapping[ResourceId, Object],
    json_only: frozenset[ResourceId] = frozenset(),
) -> Assembly:
    """What makes `want` of `base`.

    json_only: objects, by their id in the base or in `want`, for which a
    strategic merge patch turned out not to be exact. An object in another
    namespace that no JSON patch can move is taken out and put in anew.
    """
    shared = _namesakes([*base, *want])
    becomes = {
        key: other
        for key, other in _pairs(base, want).items()
        if key == other or (key not in shared and json_patch.carries(want[other]))
    }
    found: dict[ResourceId, Patch] = {}
    for key in sorted(base):
        other = becomes.get(key)
        only_json = key in json_only or other in json_only
        made = _patch(base[key], want[other] if other else None, only_json)
        if made is not None:
            found[key] = _by_identity(made, base[key], want.get(key)) if key in shared else made
    taken = set(becomes.values())
    added = {key: want[key] for key in sorted(want) if key not in taken}
    return Assembly(found, added, becomes, tuple(_inexpressible(found, want, becomes, shared)))


def _patch(base: Object, want: Object | None, only_json: bool) -> Patch | None:
    if want is None:
        return patches.delete(base)
    return patches.compute(base, want, form="json" if only_json and json_patch.carries(want) else "auto")


def _inexpressible(
    found: Mapping[ResourceId, Patch],
    want: Mapping[ResourceId, Object],
    becomes: Mapping[ResourceId, ResourceId],
    shared: frozenset[ResourceId],
) -> Iterator[Difference]:
    for key, made in found.items():
        if isinstance(made, JsonPatch):
            for path, why in json_patch.obstacles(want[becomes[key]]):
                yield Difference(becomes[key], path, why)
            if key in shared:
                yield Difference(becomes[key], "", "no target tells it from its namesake of another group")


def _namesakes(keys: Iterable[ResourceId]) -> frozenset[ResourceId]:
    """Objects of the core group whose kind, namespace and name one of another group has too.

    A target cannot say "the core group": without a group it meets every group.
    """
    keys = set(keys)
    grouped = {(key.kind, key.namespace, key.name) for key in keys if key.group}
    return frozenset(key for key in keys if not key.group and (key.kind, key.namespace, key.name) in grouped)


def _by_identity(made: Patch, base: Object, want: Object | None) -> Patch:
    """The patch in a form that needs no target, where there is one."""
    if isinstance(made, JsonPatch) and want is not None:
        made = patches.merge(base, want) or made
    return made if isinstance(made, JsonPatch) else replace(made, targeted=False)


def _pairs(base: Mapping[ResourceId, Object], want: Mapping[ResourceId, Object]) -> dict[ResourceId, ResourceId]:
    """Which object of the base is which one of the environment.

    The same id is the same object. Of the rest, those that differ in nothing
    but the namespace are; where that could be several, the one in the namespace
    to which most of those moved that can be paired in one way only.
    """
    pairs = {key: key for key in base.keys() & want.keys()}
    left = _by_name(key for key in base if key not in pairs)
    right = _by_name(key for key in want if key not in pairs)
    moves = _moves(left, right)
    for name, keys in left.items():
        only = len(keys) == 1 and len(right.get(name, ())) == 1
        for key in keys:
            for other in right.get(name, ()):
                if only or moves.get(key.namespace) == other.namespace:
                    pairs[key] = other
    return dict(sorted(pairs.items()))


_Name: TypeAlias = tuple[str, str, str]


def _by_name(keys: Iterable[ResourceId]) -> dict[_Name, list[ResourceId]]:
    """Namespaced objects by all that identifies them but the namespace."""
    out: dict[_Name, list[ResourceId]] = {}
    for key in sorted(keys):
        if key.namespace:
            out.setdefault((key.group, key.kind, key.name), []).append(key)
    return out


def _moves(left: Mapping[_Name, list[ResourceId]], right: Mapping[_Name, list[ResourceId]]) -> dict[str, str]:
    """Namespace in the base -> the one in the environment that its objects moved to; no two to the same."""
    votes = Counter(
        (keys[0].namespace, right[name][0].namespace)
        for name, keys in left.items()
        if len(keys) == 1 and len(right.get(name, ())) == 1
    )
    moves: dict[str, str] = {}
    for (old, new), _ in sorted(votes.items(), key=lambda vote: (-vote[1], vote[0])):
        if old not in moves and new not in moves.values():
            moves[old] = new
    return moves


def file_name(key: ResourceId, taken: set[str]) -> str:
    """A file name for the object: `<kind>-<name>.yaml`, unlike any in `taken`, which gets it.

    Lower case, only a-z, 0-9, dots and dashes, at most 200 characters, so that
    it is one file on every file system. Where that loses something or the name
    is taken, the namespace and then a short hash of the identity are appended.
    """
    plain = f"{key.kind}-{key.name}"
    safe = _safe(plain)
    with_namespace = _safe(f"{plain}-{key.namespace}") if key.namespace else safe
    lossless = safe == plain[: len(key.kind)].lower() + plain[len(key.kind) :]
    candidates = [safe, with_namespace] if lossless else []
    mark = hashlib.sha256("\0".join((key.group, key.kind, key.namespace, key.name)).encode()).hexdigest()
    candidates += [f"{with_namespace[: _NAME_LIMIT - 80]}-{mark[:size]}" for size in (8, 64)]
    chosen = next(
        name
        for name in (f"{candidate}{_SUFFIX}" for candidate in candidates)
        if name not in taken and len(name) <= _NAME_LIMIT
    )
    taken.add(chosen)
    return chosen


def _safe(text: str) -> str:
    """`text` with only what every file system takes; no dot stands first, last or beside another."""
    clean = re.sub(r"[^a-z0-9.-]+", "-", text.lower())
    return re.sub(r"\.{2,}", ".", clean).strip(".-")
