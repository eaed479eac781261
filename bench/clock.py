"""Programs run and timed: seconds on the wall, bytes of memory, medians of runs that take turns."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ran:
    """One run of a program. peak: the most memory that it or a program it started held, in bytes."""

    seconds: float
    peak: int


@dataclass(frozen=True)
class Task:
    """Something to time. prepare: what has to be done before each run and is not timed."""

    run: Callable[[], Ran]
    prepare: Callable[[], None] = lambda: None


def run(*argv: str, cwd: Path, env: Mapping[str, str], ok: Collection[int] = (0,), output: Path | None = None) -> Ran:
    """Run a program to its end. output: a file for what it prints, which is thrown away otherwise.

    Raises RuntimeError with the end of its stderr if its exit code is none of `ok`.
    """
    with tempfile.TemporaryFile() as said, (output or Path(os.devnull)).open("wb") as out:
        start = time.perf_counter()
        child = subprocess.Popen(argv, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=said)
        # wait4 and no other wait: the rusage of this one child and of what it waited for.
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode not in ok:
            said.seek(0)
            tail = said.read()[-2000:].decode("utf-8", "replace")
            raise RuntimeError(f"{' '.join(argv[:4])} ... ended with {child.returncode}: {tail}")
    return Ran(seconds, usage.ru_maxrss * 1024)


def alternate(tasks: Sequence[Task], times: int) -> list[Ran]:
    """Median seconds and highest peak of each task, run `times` times in turns, so that all see the same machine."""
    found: list[list[Ran]] = [[] for _ in tasks]
    for _ in range(times):
        for task, runs in zip(tasks, found, strict=True):
            task.prepare()
            runs.append(task.run())
    return [Ran(statistics.median(one.seconds for one in runs), max(one.peak for one in runs)) for runs in found]
