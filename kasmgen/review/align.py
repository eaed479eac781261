"""Laying two lists side by side: which items stayed, moved, came and went."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from kasmgen.kubernetes.resources import Secret
from kasmgen.yaml.documents import Yaml

_MOST_COMPARED = 4_000_000
"""Pairs of items; beyond that a list is compared by position, so that no input takes for ever."""


@dataclass(frozen=True)
class Alignment:
    """pairs: (old position, new position) of what is in both, in the new order; moved: old positions
    of those that stand elsewhere among the others; removed: old positions; added: new positions."""

    pairs: tuple[tuple[int, int], ...]
    moved: frozenset[int]
    removed: tuple[int, ...]
    added: tuple[int, ...]


def by_key(old: Sequence[Hashable], new: Sequence[Hashable]) -> Alignment:
    """Items are the same where their keys are; keys are unique within each list."""
    where = {key: index for index, key in enumerate(old)}
    pairs = tuple((where[key], index) for index, key in enumerate(new) if key in where)
    kept = {index for index, _ in pairs}
    removed = tuple(index for index in range(len(old)) if index not in kept)
    added = tuple(index for index, key in enumerate(new) if key not in where)
    staying = _longest_rising([index for index, _ in pairs])
    return Alignment(pairs, frozenset(kept - staying), removed, added)


def _longest_rising(numbers: Sequence[int]) -> set[int]:
    """The longest rising subsequence: what need not be called moved."""
    tails: list[int] = []
    before: dict[int, int | None] = {}
    for number in numbers:
        at = bisect_left(tails, number)
        before[number] = tails[at - 1] if at else None
        tails[at : at + 1] = [number]
    kept: set[int] = set()
    last: int | None = tails[-1] if tails else None
    while last is not None:
        kept.add(last)
        last = before[last]
    return kept


def by_content(old: Sequence[Yaml], new: Sequence[Yaml]) -> Alignment:
    """Items are the same where they are equal; what lies between equal ones is paired by position."""
    was, now = [_fingerprint(item) for item in old], [_fingerprint(item) for item in new]
    blocks = _blocks(was, now)
    moves = _moves(was, now, blocks)
    taken_old, taken_new = set(moves), set(moves.values())
    pairs = list(moves.items())
    removed: list[int] = []
    added: list[int] = []
    for equal, i1, i2, j1, j2 in blocks:
        left = [i for i in range(i1, i2) if equal or i not in taken_old]
        right = [j for j in range(j1, j2) if equal or j not in taken_new]
        both = min(len(left), len(right))
        pairs += list(zip(left, right, strict=False))
        removed += left[both:]
        added += right[both:]
    pairs.sort(key=lambda pair: pair[1])
    return Alignment(tuple(pairs), frozenset(moves), tuple(removed), tuple(added))


_Block = tuple[bool, int, int, int, int]


def _blocks(was: Sequence[str], now: Sequence[str]) -> list[_Block]:
    """(equal, old begin, old end, new begin, new end) that cover both lists from end to end."""
    head, tail = common_ends(was, now)
    i2, j2 = len(was) - tail, len(now) - tail
    if (i2 - head) * (j2 - head) > _MOST_COMPARED:
        inner: list[_Block] = [(False, head, i2, head, j2)]
    else:
        matcher = SequenceMatcher(None, was[head:i2], now[head:j2], autojunk=False)
        inner = [
            (tag == "equal", i + head, ii + head, j + head, jj + head) for tag, i, ii, j, jj in matcher.get_opcodes()
        ]
    return [(True, 0, head, 0, head), *inner, (True, i2, len(was), j2, len(now))]


def common_ends(was: Sequence[str], now: Sequence[str]) -> tuple[int, int]:
    """How many items are the same at the beginning, and at the end of what is left."""
    shorter = min(len(was), len(now))
    head = next((i for i in range(shorter) if was[i] != now[i]), shorter)
    rest = shorter - head
    tail = next((i for i in range(rest) if was[-1 - i] != now[-1 - i]), rest)
    return head, tail


def _moves(was: Sequence[str], now: Sequence[str], blocks: Sequence[_Block]) -> dict[int, int]:
    """Old position -> new position of equal items that stand outside the equal blocks."""
    left: dict[str, list[int]] = defaultdict(list)
    for equal, i1, i2, _, _ in blocks:
        for i in range(i1, i2) if not equal else ():
            left[was[i]].append(i)
    found: dict[int, int] = {}
    for equal, _, _, j1, j2 in blocks:
        for j in range(j1, j2) if not equal else ():
            if left.get(now[j]):
                found[left[now[j]].pop(0)] = j
    return found


def _fingerprint(value: Yaml) -> str:
    return json.dumps(value, sort_keys=True, default=_wrapped)


def _wrapped(value: object) -> object:
    if isinstance(value, Secret):
        return {"\0secret": value.reveal().decode()}
    raise TypeError(f"{type(value).__name__} is no YAML value")
