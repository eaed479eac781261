"""Waiting for what other processes do. How long that takes says nothing: a busy machine is no failure."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

GUARD = 600.0
"""Seconds after which nothing will come any more: a broken product must end the tests, not hang them."""


def until(condition: Callable[[], object], what: str = "it") -> None:
    """Return as soon as the condition holds."""
    last = time.monotonic() + GUARD
    while not condition():
        if time.monotonic() > last:
            raise TimeoutError(f"waited in vain for {what}")
        time.sleep(0.01)


def until_there(path: Path) -> None:
    """Return as soon as there is such a file."""
    until(path.exists, str(path))
