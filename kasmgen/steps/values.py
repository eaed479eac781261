"""Values of a chart: merging as Helm does it, paths, and `--set`.

Rules of merging and of `--set`: Helm's chartutil.CoalesceTables and strvals.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from kasmgen.errors import InputError
from kasmgen.yamlio import Yaml

Path: TypeAlias = tuple[str, ...]

MAX_INDEX = 65536  # as in Helm


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


def replaced(values: Yaml, path: Path, change: Callable[[Yaml], Yaml]) -> Any:
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


# --- --set -----------------------------------------------------------------


class _SetParser:
    """One `--set` expression: `a.b=1,c[0]=x,d={1,2},e\\.f=g`."""

    def __init__(self, text: str, what: str) -> None:
        self.text, self.what, self.at = text, what, 0

    def error(self, why: str) -> InputError:
        return InputError(f"{self.what}: {why}", hint="the form is key.sub=value, lists are key[0]=value or key={a,b}")

    def take(self, stops: str) -> tuple[str, str]:
        """Text up to one of `stops` (a backslash keeps the next character), and the stop."""
        out: list[str] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            self.at += 1
            if char == "\\":
                out.append(self.text[self.at : self.at + 1])
                self.at += 1
            elif char in stops:
                return "".join(out), char
            else:
                out.append(char)
        return "".join(out), ""

    def parse(self, into: dict[str, Yaml]) -> None:
        while self.at < len(self.text):
            self.assign(into)

    def assign(self, target: Yaml) -> None:
        """One `path=value` below `target`."""
        key, stop = self.take(".=[,")
        if stop in (",", ""):
            raise self.error(f"the key '{key}' has no value")
        if not key:
            raise self.error("a key is empty")
        if stop == "=":
            target[key] = self.value()
        elif stop == ".":
            if not isinstance(target.get(key), dict):
                target[key] = {}
            self.assign(target[key])
        else:
            if not isinstance(target.get(key), list):
                target[key] = []
            self.index(target[key])

    def index(self, items: list[Yaml]) -> None:
        number, stop = self.take("]")
        if stop != "]" or not re.fullmatch("[0-9]{1,9}", number) or int(number) > MAX_INDEX:
            raise self.error(f"'{number}' is no index of a list")
        position = int(number)
        items.extend([None] * (position + 1 - len(items)))
        following = self.text[self.at : self.at + 1]
        self.at += 1
        if following == "=":
            items[position] = self.value()
        elif following == ".":
            if not isinstance(items[position], dict):
                items[position] = {}
            self.assign(items[position])
        elif following == "[":
            if not isinstance(items[position], list):
                items[position] = []
            self.index(items[position])
        else:
            raise self.error("after an index comes =, . or [")

    def value(self) -> Yaml:
        if self.text[self.at : self.at + 1] == "{":
            self.at += 1
            return self.braces()
        text, _ = self.take(",")
        return _typed(text)

    def braces(self) -> list[Yaml]:
        items: list[Yaml] = []
        while True:
            text, stop = self.take(",}")
            if not stop:
                raise self.error("a list begins with { and has no } at its end")
            items.append(_typed(text))
            if stop == "}":
                if self.text[self.at : self.at + 1] == ",":
                    self.at += 1
                return items


def _typed(text: str) -> Yaml:
    """true, false, null and whole numbers (no zero in front) are what they look like."""
    lower = text.lower()
    if lower in ("true", "false"):
        return lower == "true"
    if lower == "null":
        return None
    if text == "0":
        return 0
    if re.fullmatch(r"[-+]?[0-9]{1,19}", text) and text[0] != "0" and -(2**63) <= int(text) < 2**63:
        return int(text)
    return text


def parse_set(expression: str, what: str = "--set", onto: Mapping[str, Yaml] | None = None) -> dict[str, Yaml]:
    """A `--set` expression as values, or as what it makes of the values `onto`.

    Only with `onto` does `list[1]=x` keep the other items of a list, as Helm does over its values files.
    Raises InputError without repeating a value (it may be a password).
    """
    out: dict[str, Yaml] = copy.deepcopy(dict(onto or {}))
    _SetParser(expression, what).parse(out)
    return out
