"""Several things at a time, and things begun early.

In threads: what takes long here are other programs and making keys, which run outside of Python's lock.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

AT_ONCE = min(8, (os.cpu_count() or 2) + 1)
"""One more than there are processors, for some of the work waits; never many, for what it makes takes memory."""


class Ahead:
    """A context for work that is begun early and taken later, at most `AT_ONCE` at a time.

    When it is left, with an error too, what has not begun is dropped and what runs is waited for.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE)

    def __enter__(self) -> Ahead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def start(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Begin `work(*args, **kwargs)`; the Future's `result` waits for what comes out, and raises what it raised."""
        return self._pool.submit(work, *args, **kwargs)


def each(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """`work` of each item, in the order of the items, at most `AT_ONCE` at a time.

    Raises the error of the first item, in their order, that has one. What has not begun by then is not begun.
    """
    everything = list(items)
    if len(everything) < 2:
        return [work(item) for item in everything]
    with Ahead() as ahead:
        waiting = [ahead.start(work, item) for item in everything]
        return [future.result() for future in waiting]


class Once(Generic[T]):
    """A value that is worked out once: by whoever takes it first, or earlier in a thread if it was started."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._value: Future[T] = Future()
        self._lock = threading.Lock()
        self._begun = False

    def start(self) -> None:
        """Begin now, and go on with other work. The process does not end before this has."""
        if self._begin():
            threading.Thread(target=self._settle).start()

    def take(self) -> T:
        """The value; raises what working it out raised."""
        if self._begin():
            self._settle()
        return self._value.result()

    def _begin(self) -> bool:
        with self._lock:
            first, self._begun = not self._begun, True
        return first

    def _settle(self) -> None:
        try:
            self._value.set_result(self._work())
        except BaseException as error:  # noqa: BLE001 - whoever takes the value gets it
            self._value.set_exception(error)
