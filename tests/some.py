"""For assertions about each of several things: of nothing, everything is true."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def some(items: Iterable[T]) -> list[T]:
    """The items, of which there must be at least one: `assert all(... for item in some(items))`."""
    found = list(items)
    assert found, "there is nothing to be looked at"
    return found
