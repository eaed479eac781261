"""Nested mappings: merging them as Helm does, and reaching into them by path.

Rules of merging: Helm's chartutil.CoalesceTables.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from kasmgen.yaml.documents import Yaml

Path: TypeAlias = tuple[str, ...]


def merge(*layers: Mapping[str, Yaml]) -> dict[str, Yaml]:
    """Layers over each other, later ones win; mappings are merged, lists replaced.

    A null stays: only Helm itself, which knows the chart's defaults, can tell
    what it takes away.
    """
    out: dict[str, Yaml] = {}
    for layer in layers:
        for key, value in layer.items():
            if isinstance(value, dict) and isinstance(out.get(key), dict):
                out[key] = merge(out[key], value)
            else:
                out[key] = copy.deepcopy(value)
    return out


def clash(given: Mapping[str, Yaml], layer: Mapping[str, Yaml], path: Path = ()) -> Path | None:
    """Where `layer` has a mapping and `given` something else, which merging would swallow; None if nowhere."""
    for key, value in layer.items():
        other = given.get(key)
        if isinstance(value, dict) and other is not None:
            here = (*path, key)
            found = clash(other, value, here) if isinstance(other, dict) else here
            if found:
                return found
    return None


def get(values: Mapping[str, Yaml], path: Path, default: Yaml = None) -> Yaml:
    """The value at `path` ("0", "1", ... for items of a list), or `default` where the path ends before."""
    current: Yaml = values
    for step in path:
        if isinstance(current, list) and step.isdecimal() and int(step) < len(current):
            current = current[int(step)]
        elif isinstance(current, Mapping) and step in current:
            current = current[step]
        else:
            return default
    return current


def put(path: Path, value: Yaml) -> dict[str, Yaml]:
    """A layer that holds only `value` at `path`."""
    for step in reversed(path):
        value = {step: value}
    return dict(value)


def without(values: Mapping[str, Yaml], path: Path) -> dict[str, Yaml]:
    """`values` without the key at `path`; mappings that this leaves empty go too, but for items of a list."""
    out = dict(values)
    head, rest = path[0], path[1:]
    if head not in out:
        return out
    if not rest:
        del out[head]
    elif isinstance(out[head], list):
        out[head] = _without_in_list(out[head], rest)
    elif isinstance(out[head], dict):
        inner = without(out[head], rest)
        if inner:
            out[head] = inner
        else:
            del out[head]
    return out


def _without_in_list(items: list[Yaml], path: Path) -> list[Yaml]:
    head, rest = path[0], path[1:]
    out = list(items)
    if rest and head.isdecimal() and int(head) < len(out) and isinstance(out[int(head)], dict):
        out[int(head)] = without(out[int(head)], rest)
    return out


def without_empty_items(values: Mapping[str, Yaml]) -> dict[str, Yaml]:
    """`values` without the empty mappings in lists; a list that this leaves empty goes too."""
    out: dict[str, Yaml] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            out[key] = without_empty_items(value)
        elif isinstance(value, list):
            items = [without_empty_items(item) if isinstance(item, Mapping) else item for item in value if item != {}]
            out |= {key: items} if items or not value else {}
        else:
            out[key] = value
    return out


def replaced(values: Yaml, path: Path, change: Callable[[Yaml], Yaml]) -> Yaml:
    """`values` with what stands at `path` changed, in lists each item of it."""
    if path:
        head, rest = path[0], path[1:]
        if isinstance(values, list):
            return [replaced(x, rest, change) if str(i) == head else x for i, x in enumerate(values)]
        return {key: replaced(x, rest, change) if key == head else x for key, x in values.items()}
    return [change(item) for item in values] if isinstance(values, list) else change(values)


def text_leaves(values: Yaml, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every text and number of `values`, as text, with the path of the key to take away with it.

    That is its own key also where it stands in a mapping of a list ("users", "0", "password");
    other items of a list cannot go alone, so it is the key of the list.
    """
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from text_leaves(value, (*path, key))
    elif isinstance(values, list):
        for index, item in enumerate(values):
            if isinstance(item, Mapping):
                yield from text_leaves(item, (*path, str(index)))
            else:
                yield from ((path, text) for _, text in text_leaves(item))
    elif isinstance(values, str | int | float) and not isinstance(values, bool):
        yield path, str(values)
