"""Line diffs of bounded size and in bounded time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby
from typing import Literal

from kasmgen.review.align import common_ends
from kasmgen.review.formats.shorten import shorten, shorten_pair

CONTEXT = 3
MOST_LINES = 400
LONGEST_RUN = 120
_WORDS = {" ": "that are equal", "-": "removed", "+": "added", "~": "of remarks"}
_MOST_COMPARED = 1_000_000
_SAMPLE = 20
_LONGEST_LINE = 400


@dataclass(frozen=True)
class Line:
    """One line of a diff. mark: " " equal, "-" before, "+" now, "~" a remark of ours."""

    mark: Literal[" ", "-", "+", "~"]
    text: str


def one_sided(text: str, mark: Literal["-", "+"]) -> tuple[Line, ...]:
    """All of `text` as what came or went."""
    return clip([Line(mark, shorten(line, _LONGEST_LINE)) for line in _lines(text)], MOST_LINES, MOST_LINES)


def line_diff(old: str, new: str) -> tuple[Line, ...]:
    """The difference of two texts with three lines of context; never empty if the texts differ.

    Texts with too many different lines are counted instead, with a sample of both sides.
    """
    if old == new:
        return ()
    was, now = _lines(old), _lines(new)
    head, tail = common_ends(was, now)
    i2, j2 = len(was) - tail, len(now) - tail
    if (i2 - head) * (j2 - head) > _MOST_COMPARED:
        found = _summary(was[head:i2], now[head:j2])
    else:
        found = list(_hunks(was, now, head, i2, j2))
    if old.endswith("\n") != new.endswith("\n"):
        found.append(
            Line("~", "the last line ends " + ("with" if new.endswith("\n") else "without") + " a newline now")
        )
    return clip(found, LONGEST_RUN, MOST_LINES)


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def clip(lines: Sequence[Line], longest_run: int, most: int) -> tuple[Line, ...]:
    """At most about `most` lines, and of lines with the same mark in a row at most `longest_run`.

    What is left out is counted. The bound on runs keeps both sides in sight where a
    long text is exchanged as a whole.
    """
    kept: list[Line] = []
    for _, group in groupby(lines, key=lambda line: line.mark):
        run = list(group)
        kept += run[:longest_run]
        if len(run) > longest_run:
            kept.append(Line("~", f"{len(run) - longest_run:,} more lines {_WORDS[run[0].mark]}"))
    if len(kept) <= most:
        return tuple(kept)
    rest = Counter(line.mark for line in kept[most:])
    words = f"and more of the difference, at least {rest['+']:,} added and {rest['-']:,} removed lines"
    return (*kept[:most], Line("~", words))


def _summary(was: Sequence[str], now: Sequence[str]) -> list[Line]:
    before, after = Counter(was), Counter(now)
    gone, come = (before - after).total(), (after - before).total()
    words = f"too many lines to compare one by one: {gone:,} are gone and {come:,} are new"
    if not gone and not come:
        words = f"{len(was):,} lines stand in another order"
    sample = [Line("-", shorten(line, _LONGEST_LINE)) for line in was[:_SAMPLE]]
    sample += [Line("+", shorten(line, _LONGEST_LINE)) for line in now[:_SAMPLE]]
    return [Line("~", words), *sample, Line("~", f"the first {_SAMPLE} lines of each side are shown")]


def _hunks(was: Sequence[str], now: Sequence[str], head: int, i2: int, j2: int) -> Iterator[Line]:
    start, end_old, end_new = max(0, head - CONTEXT), min(len(was), i2 + CONTEXT), min(len(now), j2 + CONTEXT)
    matcher = SequenceMatcher(None, was[start:end_old], now[start:end_new], autojunk=False)
    last = 0
    for group in matcher.get_grouped_opcodes(CONTEXT):
        first = start + group[0][1]
        if first > last:
            yield Line("~", f"line {first + 1:,}")
        for tag, i, ii, j, jj in group:
            old_part, new_part = was[start + i : start + ii], now[start + j : start + jj]
            yield from _part(tag, old_part, new_part)
        last = start + group[-1][2]


def _part(tag: str, old: Sequence[str], new: Sequence[str]) -> Iterator[Line]:
    if tag == "equal":
        yield from (Line(" ", shorten(line, _LONGEST_LINE)) for line in old)
        return
    # Lines of a replaced part belong together: shortened together they stay different.
    pairs = [shorten_pair(a, b, _LONGEST_LINE) for a, b in zip(old, new, strict=False)]
    yield from (Line("-", a) for a, _ in pairs)
    yield from (Line("-", shorten(line, _LONGEST_LINE)) for line in old[len(pairs) :])
    yield from (Line("+", b) for _, b in pairs)
    yield from (Line("+", shorten(line, _LONGEST_LINE)) for line in new[len(pairs) :])
