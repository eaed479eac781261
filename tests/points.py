"""Named points of a run: what a process is about to do to a repository's files, what program it is about to start.

A signal at such a point finds the same work half done on every machine, however busy it is. A point is named by
what happens there, and by a number from the second time on: "rename base/a.yaml", "start git commit",
"remove .git/kasmgen/journal". `python -m tests.points ROOT POINT SIGNAL ARGUMENT...` is `kasmgen ARGUMENT...` in a
process that sends itself the signal there.
"""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.machine import Machine

ALL = "all"
"""Instead of a point: no signal, and in the end all points on stderr, as JSON."""
_PROJECT = Path(__file__).parents[1]
_VERBS = {
    "os.rename": "rename",
    "os.remove": "remove",
    "os.mkdir": "mkdir",
    "os.rmdir": "rmdir",
    "os.link": "link",
    "os.chmod": "chmod",
}
# What `tempfile` and the number of the process make different in each run.
_RANDOM = re.compile(
    r"(?<=kasmgen/commit-)\w{8}|(?<=tmp/kasmgen-)\w{8}|(?<=/overlays-)\w{8}|(?<=\.kasmgen-tmp-)\d+|(?<=kasmgen/begun-)\d+"
)


class Points:
    """Notes the points that the main thread of this process passes in `watching`, and acts at one of them.

    What is done while garbage is collected is no point: it may be left from work that is long over.
    """

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._root: Path | None = None
        self._at = ""
        self._act: Callable[[], None] = lambda: None
        self._times: Counter[str] = Counter()
        self._collecting = False
        sys.addaudithook(self._note)
        gc.callbacks.append(self._collect)

    @contextmanager
    def watching(self, root: Path, at: str = "", act: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Note what happens to the repository at `root`; call `act` right before the point `at`."""
        self.seen, self._times, self._at, self._act = [], Counter(), at, act
        self._root = root
        try:
            yield
        finally:
            self._root = None

    def _collect(self, phase: str, _: dict[str, int]) -> None:
        self._collecting = phase == "start"

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._root is None or self._collecting or threading.current_thread() is not threading.main_thread():
            return
        name = _name(event, arguments, self._root)
        if not name:
            return
        self._times[name] += 1
        point = name if self._times[name] == 1 else f"{name} ({self._times[name]})"
        self.seen.append(point)
        if point == self._at:
            self._act()


def _name(event: str, arguments: tuple[Any, ...], root: Path) -> str:
    if event == "subprocess.Popen":
        return f"start {_program([os.fsdecode(word) for word in arguments[1]])}"
    if event == "open" and _writes(arguments):
        return _on("write", arguments[0], root)
    # What is renamed or linked is named by what comes of it.
    return _on(_VERBS[event], arguments[event in ("os.rename", "os.link")], root) if event in _VERBS else ""


def _writes(arguments: tuple[Any, ...]) -> bool:
    return isinstance(arguments[2], int) and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _program(argv: list[str]) -> str:
    """The program's name, and the command that a git is given."""
    if "git" not in argv:
        return Path(argv[0]).name
    words = iter(argv[argv.index("git") + 1 :])
    for word in words:
        if word in ("-C", "-c"):
            next(words)
        elif not word.startswith("-"):
            return f"git {word}"
    return "git"


def _on(verb: str, place: Any, root: Path) -> str:
    if not isinstance(place, (str, bytes, os.PathLike)):
        return ""
    path = Path(os.fsdecode(place))
    if not path.is_relative_to(root):
        return ""
    return f"{verb} {_RANDOM.sub('*', path.relative_to(root).as_posix())}"


def start(machine: Machine, point: str, number: signal.Signals, *arguments: str) -> subprocess.Popen[bytes]:
    """`kasmgen ARGUMENTS` in a process group of its own, which gets the signal at the point."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.points", str(machine.root), point, str(int(number)), *arguments],
        cwd=machine.root,
        env=machine.env(PYTHONPATH=str(_PROJECT)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _main(root: str, point: str, number: str, *arguments: str) -> None:
    from kasmgen.cli import main

    points = Points()
    try:
        with points.watching(Path(root), point, lambda: os.kill(os.getpid(), int(number))):
            main(arguments)
    finally:
        if point == ALL:
            json.dump(points.seen, sys.stderr)


if __name__ == "__main__":
    _main(*sys.argv[1:])
