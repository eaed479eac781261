"""How much a reader has to read."""

from __future__ import annotations

from kasmgen.yaml.documents import Yaml

_WIDTH = 100


def lines(value: Yaml) -> int:
    """Lines of `value` as YAML, a long line counted as the screen would break it."""
    if isinstance(value, dict):
        return sum(_under_a_key(item) for item in value.values()) or 1
    if isinstance(value, list):
        return sum(map(lines, value)) or 1
    if isinstance(value, str):
        return _text(value)
    return 1


def _text(value: str) -> int:
    if len(value) < _WIDTH and "\n" not in value:
        return 1
    rows = value.split("\n")
    return len(rows) + sum(len(row) // _WIDTH for row in rows if len(row) >= _WIDTH)


def _under_a_key(value: Yaml) -> int:
    """A mapping or list that is not empty begins on the line below its key."""
    return lines(value) + (1 if isinstance(value, (dict, list)) and value else 0)


def reaches(value: Yaml, least: int) -> bool:
    """Whether `lines(value)` is at least `least`, counted no further than it takes to tell."""
    return _left(value, least) <= 0


def _left(value: Yaml, left: int) -> int:
    """`left` without the lines of `value`; some number below 1 once there are that many."""
    if isinstance(value, dict) and value:
        for item in value.values():
            if left <= 0:
                return left
            left = _left(item, left - 1 if isinstance(item, (dict, list)) and item else left)
        return left
    if isinstance(value, list) and value:
        for item in value:
            if left <= 0:
                return left
            left = _left(item, left)
        return left
    return left - lines(value)
