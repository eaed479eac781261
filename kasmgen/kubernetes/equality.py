"""Whether two objects are the same, and where they are not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kasmgen.kubernetes.resources import Object, ResourceId
from kasmgen.yaml.documents import Yaml

_SHOWN = 60
_KINDS = ((bool, "boolean"), ((int, float), "number"), (str, "text"), (list, "list"), (dict, "mapping"))


@dataclass(frozen=True, order=True)
class Difference:
    """One place where an object is not what it should be.

    path: a JSON pointer (RFC 6901) into the object, "" for the whole.
    detail: what is there and what should be, shortened.
    """

    id: ResourceId
    path: str
    detail: str

    def __str__(self) -> str:
        return f"{self.id}{f' at {self.path}' if self.path else ''}: {self.detail}"


def equal(a: Yaml, b: Yaml) -> bool:
    """Whether Kubernetes reads both as the same value.

    The order of lists counts, that of mappings does not. Text, numbers and
    booleans are never equal to each other (Python takes 1 and True for one).
    """
    if isinstance(a, dict):
        if not isinstance(b, dict) or a.keys() != b.keys():
            return False
        # A loop and the short cut below: whole repositories are compared value by value.
        for key, value in a.items():  # noqa: SIM110
            if not equal(value, b[key]):
                return False
        return True
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b) and (type(a) is type(b) or kind(a) == kind(b))


def kind(value: Yaml) -> str:
    """The JSON type of `value` in words: mapping, list, text, number, boolean or null."""
    if value is None:
        return "null"
    return next(name for types, name in _KINDS if isinstance(value, types))


def pointer(path: str, step: str | int) -> str:
    """The JSON pointer one step further down (RFC 6901: `~` and `/` are escaped)."""
    return f"{path}/{str(step).replace('~', '~0').replace('/', '~1')}"


def differences(want: Mapping[ResourceId, Object], got: Mapping[ResourceId, Object]) -> list[Difference]:
    """Every difference of `got` from `want`, sorted; empty if they are exactly equal."""
    found = [Difference(key, "", "is missing") for key in want.keys() - got.keys()]
    found += [Difference(key, "", "should not be there") for key in got.keys() - want.keys()]
    for key in want.keys() & got.keys():
        found += [Difference(key, path, detail) for path, detail in _compare("", want[key], got[key])]
    return sorted(found)


def _compare(path: str, want: Yaml, got: Yaml) -> Iterator[tuple[str, str]]:
    if isinstance(want, dict) and isinstance(got, dict):
        for key in sorted(want.keys() | got.keys()):
            below = pointer(path, key)
            if key not in got:
                yield below, f"is missing, should be {short(want[key])}"
            elif key not in want:
                yield below, f"is {short(got[key])}, should not be there"
            else:
                yield from _compare(below, want[key], got[key])
    elif isinstance(want, list) and isinstance(got, list):
        yield from _compare_lists(path, want, got)
    elif not equal(want, got):
        yield path, f"is {_typed(got, want)}, should be {_typed(want, got)}"


def _compare_lists(path: str, want: list[Yaml], got: list[Yaml]) -> Iterator[tuple[str, str]]:
    if equal(want, got):
        return
    if sorted(map(_canonical, want)) == sorted(map(_canonical, got)):
        is_now, should_be = (", ".join(map(_label, part)) for part in (got, want))
        yield path, f"has another order: is {_cut(is_now)}, should be {_cut(should_be)}"
        return
    if len(want) != len(got):
        yield path, f"has {len(got)} items, should have {len(want)}"
    for index in range(min(len(want), len(got))):
        yield from _compare(pointer(path, index), want[index], got[index])
    for index in range(len(got), len(want)):
        yield pointer(path, index), f"is missing, should be {short(want[index])}"
    for index in range(len(want), len(got)):
        yield pointer(path, index), f"is {short(got[index])}, should not be there"


def _canonical(value: Yaml) -> str:
    return json.dumps(value, sort_keys=True)


def _label(value: Yaml) -> str:
    """What a reader calls a list item: its name where it has one."""
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return str(value["name"])
    return short(value)


def _typed(value: Yaml, other: Yaml) -> str:
    """`value` shortened, with its type where only that tells it from `other`."""
    text = short(value)
    return f"the {kind(value)} {text}" if value is not None and kind(value) != kind(other) else text


def short(value: Yaml) -> str:
    """`value` as JSON, at most 60 characters."""
    return _cut(json.dumps(value, ensure_ascii=False, sort_keys=True))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 4]} ..."
