"""Publishes in a process of its own, so that it can be killed: `python -m tests.repository.publisher SPEC`.

The specification is JSON: root, tree (path -> text), delete, and the options of `publish`.
With `die` the process kills itself with SIGKILL right before its n-th operation on the repository.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kasmgen.errors import KasmgenError
from kasmgen.repository import git, publish

OPERATIONS = frozenset(
    ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.chmod", "fcntl.flock", "subprocess.Popen")
)
_PROJECT = Path(__file__).parents[2]


@dataclass
class Operations:
    """Counts what this process does to files and programs, and acts right before one of them.

    Only what the main thread does counts, and nothing that is done while garbage is
    collected: in a process that has run other tests, both may be leftovers of those.
    """

    at: int = 0
    act: Callable[[], None] = lambda: None
    seen: int = 0
    on: bool = False
    collecting: bool = False

    def __post_init__(self) -> None:
        sys.addaudithook(self._note)
        gc.callbacks.append(self._collect)

    def _collect(self, phase: str, _: dict[str, int]) -> None:
        self.collecting = phase == "start"

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on or self.collecting or threading.current_thread() is not threading.main_thread():
            return
        if not (event in OPERATIONS or (event == "open" and _writes(arguments))):
            return
        self.seen += 1
        if self.seen == self.at:
            self.act()


def _writes(arguments: tuple[Any, ...]) -> bool:
    return isinstance(arguments[2], int) and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def start(spec: Mapping[str, Any], *prefix: str, **options: Any) -> subprocess.Popen[str]:
    """The process, in a process group of its own."""
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", "tests.repository.publisher", json.dumps(spec)],
        cwd=_PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def main(spec: dict[str, Any]) -> int:
    root = Path(spec.pop("root"))
    tree = {path: text.encode() for path, text in spec.pop("tree").items()}
    changes = publish.plan(root, tree, delete=spec.pop("delete", ()))
    operations = Operations(spec.pop("die", 0), lambda: os.kill(os.getpid(), signal.SIGKILL))
    repo = git.find(root)
    assert repo is not None
    operations.on = True
    try:
        publish.publish(repo, root, changes, message="Change", **spec)
    except KasmgenError as error:
        sys.stdout.write(f"{error.code} {error.message}\n")
        return 1
    finally:
        operations.on = False
    sys.stdout.write(f"{operations.seen}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
