"""Field by field: what changed between two values, and the new value made from the old one."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import assert_never, cast

from kasmgen.kubernetes.resources import Object
from kasmgen.review import align
from kasmgen.review.changes import (
    AddedField,
    AddedItem,
    FieldChange,
    Key,
    MovedItem,
    RemovedField,
    ReplacedField,
    Step,
)
from kasmgen.review.list_keys import common_keys, key_of, order_matters
from kasmgen.review.noise import ORDER, reason_to_fold
from kasmgen.yaml.documents import Yaml

Path = tuple[Step, ...]


def same(a: Yaml, b: Yaml) -> bool:
    """Whether two values are exactly the same: 1, 1.0, True and "1" are four, list order counts."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(value, b[key]) for key, value in a.items())
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    # repr tells 0.0 from -0.0.
    return bool(a == b) if not isinstance(a, float) else repr(a) == repr(b)


def quickly_same(a: Object, b: Object) -> bool:
    """As `same`, for whole objects that hold plain values only: several times as fast."""
    return a is b or json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


# --- comparing -----------------------------------------------------------


def compare(old: Yaml, new: Yaml) -> tuple[FieldChange, ...]:
    """The changes that make `new` of `old`, in the order of the fields; none exactly if they are the same."""
    return tuple(_compare((), old, new))


def _compare(path: Path, old: Yaml, new: Yaml) -> Iterator[FieldChange]:
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _compare_mappings(path, old, new)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _compare_lists(path, old, new)
    elif not same(old, new):
        yield _change(ReplacedField(path, old, new))


def _change(change: FieldChange) -> FieldChange:
    folded = reason_to_fold(change)
    return replace(change, folded=folded) if folded else change


def _compare_mappings(path: Path, old: dict[str, Yaml], new: dict[str, Yaml]) -> Iterator[FieldChange]:
    for key in sorted(old.keys() | new.keys()):
        below = (*path, key)
        if key not in new:
            yield _change(RemovedField(below, old[key]))
        elif key not in old:
            yield _change(AddedField(below, new[key]))
        else:
            yield from _compare(below, old[key], new[key])


def _compare_lists(path: Path, old: list[Yaml], new: list[Yaml]) -> Iterator[FieldChange]:
    if same(old, new):
        return
    field = next((step for step in reversed(path) if isinstance(step, str)), "")
    keyed = common_keys(field, old, new)
    laid = align.by_key(*keyed) if keyed else align.by_content(old, new)
    folded = "" if order_matters(field, old, new) else ORDER
    for i in laid.removed:
        yield RemovedField((*path, keyed[0][i] if keyed else i), old[i])
    for i, j in laid.pairs:
        below = (*path, keyed[0][i] if keyed else i)
        if i in laid.moved:
            yield MovedItem(below, i, j, folded=folded)
        yield from _compare(below, old[i], new[j])
    for j in laid.added:
        yield AddedItem((*path, keyed[1][j] if keyed else j), new[j], j)


# --- applying ------------------------------------------------------------


def apply(value: Yaml, changes: Iterable[FieldChange]) -> Yaml:
    """What `value` is after `changes`; `value` itself stays as it is.

    apply(old, compare(old, new)) is the same as new. Raises ValueError for changes
    that were not made from this value.
    """
    return _apply(value, [(change.path, change) for change in changes])


_Pending = tuple[Path, FieldChange]
_OTHERS = "the changes do not belong to this object"


def _apply(value: Yaml, pending: Sequence[_Pending]) -> Yaml:
    if not pending:
        return value
    path, change = pending[0]
    if not path and isinstance(change, ReplacedField):
        return change.new
    if path and isinstance(value, dict):
        return _apply_to_mapping(value, pending)
    if path and isinstance(value, list):
        return _apply_to_list(value, pending)
    raise ValueError(_OTHERS)


def _apply_to_mapping(value: dict[str, Yaml], pending: Sequence[_Pending]) -> dict[str, Yaml]:
    out = dict(value)
    below: dict[str, list[_Pending]] = defaultdict(list)
    for path, change in pending:
        key = cast(str, path[0])
        if len(path) > 1:
            below[key].append((path[1:], change))
            continue
        match change:
            case RemovedField():
                del out[key]
            case AddedField() | ReplacedField():
                out[key] = change.new
            case AddedItem() | MovedItem():
                raise ValueError(_OTHERS)
            case _:
                assert_never(change)
    for key, inner in below.items():
        out[key] = _apply(out[key], inner)
    return out


def _apply_to_list(value: list[Yaml], pending: Sequence[_Pending]) -> list[Yaml]:
    below: dict[int, list[_Pending]] = defaultdict(list)
    placed: dict[int, Yaml] = {}
    moved: dict[int, int] = {}
    removed: set[int] = set()
    find = _finder(value)
    for path, change in pending:
        if len(path) > 1:
            below[find(path[0])].append((path[1:], change))
            continue
        match change:
            case AddedItem():
                placed[change.position] = change.new
            case RemovedField():
                removed.add(find(path[0]))
            case MovedItem():
                moved[find(path[0])] = change.new
            case ReplacedField():
                below[find(path[0])].append(((), change))
            case AddedField():
                raise ValueError(_OTHERS)
            case _:
                assert_never(change)
    items = {i: _apply(item, below.get(i, ())) for i, item in enumerate(value) if i not in removed}
    placed |= {to: items.pop(i) for i, to in moved.items()}
    rest = iter(items.values())
    return [placed[at] if at in placed else next(rest) for at in range(len(items) + len(placed))]


class _finder:  # noqa: N801 - it is called like a function
    """Position of an item in the old list; keys are looked up in one map per set of fields."""

    def __init__(self, value: list[Yaml]) -> None:
        self.value = value
        self.maps: dict[tuple[str, ...], dict[Key | None, int]] = {}

    def __call__(self, step: Step) -> int:
        if not isinstance(step, Key):
            return cast(int, step)
        names = tuple(name for name, _ in step.fields)
        if names not in self.maps:
            self.maps[names] = {key_of(item, names): i for i, item in enumerate(self.value)}
        return self.maps[names][step]
