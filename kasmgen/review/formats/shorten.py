"""Long values made short without hiding what is different about them."""

from __future__ import annotations

LIMIT = 240
_BEFORE = 60
_DOTS = "…"


def shorten(text: str, limit: int = LIMIT) -> str:
    """`text` in at most about `limit` characters, with the number of those left out."""
    if len(text) <= limit:
        return text
    head, tail = limit * 2 // 3, limit // 4
    return f"{text[:head]}{_DOTS} ({len(text) - head - tail:,} characters) {_DOTS}{text[-tail:]}"


def shorten_pair(old: str, new: str, limit: int = LIMIT) -> tuple[str, str]:
    """Both texts short, from shortly before the first difference on; different texts stay different."""
    if len(old) <= limit and len(new) <= limit:
        return old, new
    common = _common_prefix(old, new)
    start = common - _BEFORE if common > limit // 2 else 0
    lead = f"{_DOTS} ({start:,} equal characters) {_DOTS}" if start else ""
    short = lead + shorten(old[start:], limit), lead + shorten(new[start:], limit)
    if short[0] == short[1]:
        # The same beginning, end and length: what differs lies between.
        return short[0] + " (before)", short[1] + " (now, different in the part left out)"
    return short


def _common_prefix(old: str, new: str) -> int:
    """Length of the common beginning, by halving: comparing slices is fast, comparing characters is not."""
    low, high = 0, min(len(old), len(new))
    while low < high:
        middle = (low + high + 1) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
