"""libhelm, asked over a pipe: `libhelm_child` is the other end."""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypedDict

from kasmgen.concurrency import Once
from kasmgen.programs import process


class Answer(TypedDict, total=False):
    """What `libhelm_child` says: `texts` and `crds` (path -> text), or `refused`, or `unreadable`.

    Its greeting has `path` and `version`, or `missing`.
    """

    id: int
    texts: dict[str, str]
    crds: dict[str, str]
    refused: str
    unreadable: bool
    path: str
    version: str
    missing: str


SETTING = "KASMGEN_HELM"
"""Environment variable: "libhelm", or the path of a helm program."""

MEMORY = 2 << 30  # bytes; the largest of charts stay far below

_CHILD = Path(__file__).with_name("libhelm_child.py")


class EndedError(Exception):
    """The process ended before it answered."""


class HelmProcess:
    """A process that has loaded libhelm and renders, several charts at a time.

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
        self._reader = Once(self._read)
        self._reader.start()

    def ask(self, request: Mapping[str, object]) -> Future[Answer]:
        """The answer, as soon as it is there. Its exception is EndedError if there will be none."""
        answer: Future[Answer] = Future()
        with self._lock:
            if self._ended:
                answer.set_exception(EndedError())
                return answer
            number = next(self._numbers)
            self._waiting[number] = answer
            with suppress(OSError):  # it has just ended: the reader says so
                self._process.stdin.write(json.dumps({"id": number, **request}).encode() + b"\n")
                self._process.stdin.flush()
        return answer

    @property
    def ended(self) -> bool:
        """Whether nothing will be answered any more."""
        return self._ended

    def stop(self) -> None:
        """End it, whatever it does; when this returns nothing of it is left, and nobody waits for an answer."""
        self._ended = True
        self._process.kill()
        self._reader.take()

    def _read(self) -> None:
        for line in self._process.stdout:
            if not line.endswith(b"\n"):
                break  # it was killed in the middle of a line
            answer: Answer = json.loads(line)
            self._waiting.pop(answer["id"]).set_result(answer)
        self._process.wait()
        with self._lock:
            self._ended = True
            self._give_up()
            self._process.stdout.close()
            with suppress(OSError):  # what it did not read any more
                self._process.stdin.close()

    def _give_up(self) -> None:
        while self._waiting:
            self._waiting.popitem()[1].set_exception(EndedError())


class HelmLibrary:
    """libhelm for one run: a context that starts its process when it is first asked for, and ends it when left."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: HelmProcess | None = None

    def process(self) -> HelmProcess:
        """The process that renders; a new one if the last has ended."""
        with self._lock:
            if self._process is None or self._process.ended:
                self._process = HelmProcess()
            return self._process

    def close(self) -> None:
        """End the process, if there is one."""
        with self._lock:
            if self._process is not None:
                self._process.stop()

    def __enter__(self) -> HelmLibrary:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def loading() -> Iterator[HelmLibrary]:
    """libhelm for one run, started at once if it is what renders: it loads while kasmgen does."""
    with HelmLibrary() as library:
        if os.environ.get(SETTING, "") in ("", "libhelm"):
            library.process()
        yield library
