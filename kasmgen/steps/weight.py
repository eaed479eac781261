"""How much a reader has to read."""

from __future__ import annotations

from kasmgen.yamlio import Yaml

_WIDTH = 100


def lines(value: Yaml) -> int:
    """Lines of `value` as YAML, a long line counted as the screen would break it."""
    if isinstance(value, dict):
        return sum(_under_a_key(item) for item in value.values()) or 1
    if isinstance(value, list):
        return sum(map(lines, value)) or 1
    if isinstance(value, str):
        return sum(1 + len(line) // _WIDTH for line in value.split("\n"))
    return 1


def _under_a_key(value: Yaml) -> int:
    """A mapping or list that is not empty begins on the line below its key."""
    return lines(value) + (1 if isinstance(value, (dict, list)) and value else 0)
