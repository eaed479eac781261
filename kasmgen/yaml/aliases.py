"""YAML aliases that multiply: a few lines that stand for more than any program can hold.

kustomize writes aliases out before anything stops it (15 GB and a minute for ten lines,
kustomize 5.8), so what is built has to be looked at before.
"""

from __future__ import annotations

import re

from kasmgen.errors import InputError
from kasmgen.yaml import documents

MOST_VALUES = 200_000
"""Values of one file that has aliases, each alias counted as what it stands for."""

_ANCHOR = re.compile(rb"(?:^|[\s\[{,:?-])&[^\s,\[\]{}&]")
_ALIAS = re.compile(rb"(?:^|[\s\[{,:?-])\*[^\s,\[\]{}*]")


def multiply(content: bytes) -> bool:
    """Whether the aliases of a YAML text stand for too much. What is no YAML has none."""
    if not _ANCHOR.search(content) or not _ALIAS.search(content):
        return False
    try:
        return _count(content.decode("utf-8")) > MOST_VALUES
    except (InputError, UnicodeDecodeError):
        return False


def _count(text: str) -> int:
    """Values of all documents, or more than MOST_VALUES; those of an alias count as often as it stands there."""
    sizes: dict[str, int] = {}
    opened: list[tuple[str | None, int]] = []
    total = 0
    for event in documents.events(text):
        kind = type(event).__name__
        if kind == "AliasEvent":
            total += sizes.get(event.anchor, 0)
        elif kind == "ScalarEvent":
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif kind in ("MappingStartEvent", "SequenceStartEvent"):
            opened.append((event.anchor, total))
            total += 1
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            anchor, before = opened.pop()
            if anchor:
                sizes[anchor] = total - before
        if total > MOST_VALUES:
            break
    return total
