"""Numbers in sentences."""

from __future__ import annotations


def count(number: int, one: str, many: str = "") -> str:
    """`number` with its unit: "1 error", "2 errors"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
