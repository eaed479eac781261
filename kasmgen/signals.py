"""Signals: all of them end a command as Ctrl-C does, but wait until a change is ended or undone.

What has landed is kept here, for the whole process as signals are: whoever tells of an interrupt must know whether it
came before or after the point of no return.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STOP_MILLISECONDS = 1000
_landed: list[str] = []


@contextmanager
def as_interrupts() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt, as SIGINT does; one that is ignored (nohup) stays ignored.

    Nothing has landed when the block begins.
    """
    _landed.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler is signal.SIG_DFL:
            signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def ignore() -> None:
    """Let no signal disturb what is left to do: to say how it ended."""
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def note_landed(what: str) -> None:
    """Say that the point of no return is behind: what is there now, such as "commit 1234abcd was made".

    To be called where signals are `deferred`, so that none falls between the deed and its name.
    """
    _landed[:] = [what]


def landed() -> str:
    """What has landed last, "" for nothing."""
    return "".join(_landed)


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

    children: processes that the block may be waiting for; they and all that they have
    started are sent SIGTERM, so that the wait ends. Outside the main thread signals
    come as they always do.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return

    def note(number: int, _frame: FrameType | None) -> None:
        interrupt.signal = interrupt.signal or number
        for child in children():
            _terminate(child)

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


def _terminate(pid: int) -> None:
    """Send SIGTERM to a process and to all that it has started: a git that is ended leaves its hooks running.

    Where /proc does not tell children, those are missing.
    """
    family = list(_halted(pid))
    for number in (signal.SIGTERM, signal.SIGCONT):
        for member in family:
            _send(member, number)


def _halted(pid: int) -> Iterator[int]:
    """The process and its descendants, stopped: one that runs could start another while they are counted."""
    _send(pid, signal.SIGSTOP)
    # A stop takes a moment, and what it finds starting another process does that first.
    for _ in range(_STOP_MILLISECONDS):
        if not _runs(pid):
            break
        time.sleep(0.001)
    yield pid
    for child in _children(pid):
        yield from _halted(child)


def _runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    # The name stands in parentheses and may hold any character; after it comes the state.
    return stat.rpartition(b")")[2].split()[0] in (b"R", b"S", b"D")


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_bytes().split()]
    except OSError:
        return []


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
