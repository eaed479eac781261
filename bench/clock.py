"""Programs run and timed: seconds on the wall, bytes of memory, medians of runs that take turns."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LAUNCH = Path(__file__).with_name("launch.py")


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
    with tempfile.TemporaryFile() as said, tempfile.NamedTemporaryFile() as result:
        with (output or Path(os.devnull)).open("wb") as out:
            launch = (sys.executable, "-I", "-S", str(LAUNCH), result.name, *argv)
            subprocess.run(
                launch, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=said, check=False
            )
        said.seek(0)
        tail = said.read()[-2000:].decode("utf-8", "replace")
        found = result.read().decode().split()
    if not found or int(found[2]) not in ok:
        raise RuntimeError(f"{' '.join(argv[:4])} ... ended with {found[2] if found else '?'}: {tail}")
    return Ran(float(found[0]), int(found[1]))


def alternate(tasks: Sequence[Task], times: int) -> list[Ran]:
    """Median seconds and highest peak of each task, run `times` times in turns, so that all see the same machine."""
    found: list[list[Ran]] = [[] for _ in tasks]
    for _ in range(times):
        for task, runs in zip(tasks, found, strict=True):
            task.prepare()
            runs.append(task.run())
    return [Ran(statistics.median(one.seconds for one in runs), max(one.peak for one in runs)) for runs in found]
