"""libhelm, asked over a pipe: `libhelm_child` is the other end."""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from kasmgen.programs import process

Answer = Mapping[str, Any]
"""What `libhelm_child` says: `texts` and `crds` (path -> text), or `refused`, or `unreadable`."""

SETTING = "KASMGEN_HELM"
"""Environment variable: "libhelm", or the path of a helm program."""

MEMORY = 2 << 30  # bytes; the largest of charts stay far below

_CHILD = Path(__file__).with_name("libhelm_child.py")


class EndedError(Exception):
    """The process ended before it answered."""


class HelmLibrary:
    """A process that renders, several charts at a time.

    greeting: its `path` and `version`, or `missing`: the error with which libhelm could not be loaded.
    """

    def __init__(self) -> None:
        # -P: no file in the directory that kasmgen is called in is taken for a module.
        self._process = process.start(sys.executable, "-P", str(_CHILD), str(MEMORY))
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._ended = False
        self.greeting: Future[Answer] = Future()
        self._waiting: dict[int, Future[Answer]] = {0: self.greeting}
        threading.Thread(target=self._read, name="libhelm", daemon=True).start()

    def ask(self, request: Mapping[str, object]) -> Future[Answer]:
        """The answer, as soon as it is there. Its exception is EndedError if there will be none."""
        answer: Future[Answer] = Future()
        with self._lock:
            number = next(self._numbers)
            self._waiting[number] = answer
            with suppress(OSError):  # ended: the reader says so
                self._process.stdin.write(json.dumps({"id": number, **request}).encode() + b"\n")
                self._process.stdin.flush()
            if self._ended:
                self._give_up()
        return answer

    @property
    def ended(self) -> bool:
        """Whether nothing will be answered any more."""
        return self._ended

    def stop(self) -> None:
        """End it, whatever it does."""
        self._ended = True
        self._process.kill()

    def _read(self) -> None:
        for line in self._process.stdout:
            answer = json.loads(line)
            self._waiting.pop(answer["id"]).set_result(answer)
        self._process.wait()
        with self._lock:
            self._ended = True
            self._give_up()

    def _give_up(self) -> None:
        while self._waiting:
            self._waiting.popitem()[1].set_exception(EndedError())


_lock = threading.Lock()
_libraries: list[HelmLibrary] = []


def library() -> HelmLibrary:
    """The one of this process; a new one if it ended."""
    with _lock:
        if not _libraries or _libraries[-1].ended:
            _libraries[:] = [HelmLibrary()]
        return _libraries[-1]


def begin() -> None:
    """Start it, if it is what renders: it loads while kasmgen does."""
    if os.environ.get(SETTING, "") in ("", "libhelm"):
        library()


def stop() -> None:
    """End the one of this process, if there is one."""
    with _lock:
        for running in _libraries:
            running.stop()
        _libraries.clear()
