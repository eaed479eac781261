"""How much work something is: the clock says how busy the machine is, time of the processor says what was done."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def cpu_seconds_at_most(most: float) -> Iterator[None]:
    """Fail if the block and the programs that it waits for use more time of the processor."""
    before = _used()
    yield
    used = _used() - before
    assert used <= most, f"{used:.1f} seconds of the processor, {most} are allowed"


def _used() -> float:
    return sum(os.times()[:4])
