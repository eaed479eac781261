"""JSON patches (RFC 6902), each index guarded by a `test`.

The test names the item that the index is meant for, so that a patch which no
longer fits its base fails the build instead of changing another item.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator

from kasmgen.kubernetes.equality import equal, pointer
from kasmgen.kubernetes.resources import Object
from kasmgen.overlay.size import lines, reaches
from kasmgen.yaml.documents import Yaml

Operations = list[Object]

# What people call an item by, the most telling first.
_NAMES = ("name", "host", "mountPath", "devicePath", "containerPort", "port", "path", "key", "ip", "type", "kind")
_TEST_LENGTH = 80
_MOST_PAIRS = 4_000_000
_EXACT_INTEGER = 2**53


class _Unguarded(Exception):  # noqa: N818 - an answer between the functions of this module, no error
    """An item has nothing short that a test could name it by, or there are too many items to tell."""


def operations(base: Object, want: Object) -> Operations:
    """The operations that make `want` of `base`, in order; [] if they are equal.

    A test stands before every operation on a list item. Where replacing a value
    as a whole takes fewer lines, that is done.
    """
    return list(_mapping("", base, want))


def obstacles(want: Yaml, path: str = "") -> Iterator[tuple[str, str]]:
    """Path and reason of everything in `want` that kustomize's JSON patches cannot bring out, whatever they touch.

    kustomize writes the patched object as JSON, reads it with 64-bit floats, and
    reads back the YAML that it makes of that.
    """
    if isinstance(want, dict):
        for key, value in want.items():
            yield from obstacles(value, pointer(path, key))
    elif isinstance(want, list):
        for index, value in enumerate(want):
            yield from obstacles(value, pointer(path, index))
    elif _loses_digits(want):
        yield path, f"the integer {want} would lose digits in a JSON patch"
    elif isinstance(want, str) and want.startswith("\t") and "\n" in want:
        yield path, "a text of several lines that begins with a tab does not survive a JSON patch"


def carries(want: Yaml) -> bool:
    """Whether a JSON patch can give exactly `want`."""
    return next(obstacles(want), None) is None


def _loses_digits(value: Yaml) -> bool:
    return isinstance(value, int) and abs(value) > _EXACT_INTEGER


def _mapping(path: str, base: Object, want: Object) -> Iterator[Object]:
    for key in sorted(base.keys() - want.keys()):
        yield {"op": "remove", "path": pointer(path, key)}
    for key in sorted(want):
        below = pointer(path, key)
        if key not in base:
            yield {"op": "add", "path": below, "value": want[key]}
        elif not equal(base[key], want[key]):
            yield from _value(below, base[key], want[key])


def _value(path: str, base: Yaml, want: Yaml) -> Operations:
    """The operations for a value that differs."""
    whole: Operations = [{"op": "replace", "path": path, "value": want}]
    if isinstance(base, dict) and isinstance(want, dict) and base and want:
        change = list(_mapping(path, base, want))
    elif isinstance(base, list) and isinstance(want, list) and base and want:
        try:
            change = list(_list(path, base, want))
        except _Unguarded:
            return whole
    else:
        return whole
    return change if reaches(whole, lines(change) + 1) else whole


# --- lists -----------------------------------------------------------------


def _list(path: str, base: list[Yaml], want: list[Yaml]) -> Iterator[Object]:
    """Edits from left to right; `at` is the index in the list as it is by then."""
    if len(base) * len(want) > _MOST_PAIRS:
        raise _Unguarded
    match = difflib.SequenceMatcher(None, _tokens(base), _tokens(want), autojunk=False)
    at = 0
    for _, from_, to, new_from, new_to in match.get_opcodes():
        old, new = base[from_:to], want[new_from:new_to]
        both = min(len(old), len(new))
        for before, after in zip(old[:both], new[:both], strict=True):
            yield from _replace(path, at, before, after)
            at += 1
        for before in old[both:]:
            yield from _guard(path, at, before)
            yield {"op": "remove", "path": pointer(path, at)}
        for after in new[both:]:
            if to < len(base):
                yield from _guard(path, at, base[to])
            yield {"op": "add", "path": pointer(path, at if to < len(base) else "-"), "value": after}
            at += 1


def _replace(path: str, at: int, before: Yaml, after: Yaml) -> Iterator[Object]:
    if not equal(before, after):
        yield from _guard(path, at, before)
        yield from _value(pointer(path, at), before, after)


def _guard(path: str, at: int, item: Yaml) -> Iterator[Object]:
    """The test that the item at this index is the one that is meant."""
    found = next(_telling(pointer(path, at), item), None)
    if found is None:
        raise _Unguarded
    yield {"op": "test", "path": found[0], "value": found[1]}


def _telling(path: str, item: Yaml) -> Iterator[tuple[str, Yaml]]:
    """Short scalars in `item` with their paths, the most telling first."""
    if isinstance(item, dict):
        for key in sorted(item, key=lambda k: (_NAMES.index(k) if k in _NAMES else len(_NAMES), k)):
            yield from _telling(pointer(path, key), item[key])
    elif isinstance(item, list):
        for index, below in enumerate(item):
            yield from _telling(pointer(path, index), below)
    elif _is_short(item):
        yield path, item


def _is_short(item: Yaml) -> bool:
    if isinstance(item, str):
        return len(item) <= _TEST_LENGTH and "\n" not in item
    return isinstance(item, int) and not _loses_digits(item)


def _tokens(items: list[Yaml]) -> list[str]:
    """What makes an item the same one although its content changed: its name, else all of it."""
    return [json.dumps(_name_of(item), sort_keys=True) for item in items]


def _name_of(item: Yaml) -> Yaml:
    if isinstance(item, dict):
        for name in _NAMES:
            if isinstance(item.get(name), (str, int)):
                return {name: item[name]}
    return item
