"""Signals that wait: a change is ended or undone before the process is."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal has come. Not an Exception, like KeyboardInterrupt, so that nobody swallows it."""


class Interrupt:
    """Whether a signal has come since."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def check(self) -> None:
        """Raise Interrupted if one has. To be called between two steps, never within one."""
        if self.signal is not None:
            raise Interrupted


@contextmanager
def deferred(children: Callable[[], Iterable[int]]) -> Iterator[Interrupt]:
    """Hold SIGINT, SIGTERM and SIGHUP back until the block is left, then deliver the first of them.

    children: processes that the block may be waiting for; they are sent SIGTERM, so
    that the wait ends. Outside the main thread signals come as they always do.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return

    def note(number: int, _frame: FrameType | None) -> None:
        interrupt.signal = interrupt.signal or number
        for child in children():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGTERM)

    # A signal that is ignored (nohup) stays ignored.
    held = [number for number in _SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    before = {number: signal.signal(number, note) for number in held}
    try:
        yield interrupt
    except Interrupted:
        # Whoever installed a handler that returns still must not take the work for done.
        raise KeyboardInterrupt from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if interrupt.signal is not None:
            signal.raise_signal(interrupt.signal)
