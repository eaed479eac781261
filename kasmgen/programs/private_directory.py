"""Private directories in which other programs are shown files, and what killed runs have left of them.

A directory is held by a lock in it as long as its run lives. The lock stands there only once it is held, so that a
directory that just came to be is never taken for one that was left.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "kasmgen-"
_NAME = re.compile(rf"{PREFIX}\w{{8}}")
_LOCK = ".held"
_ABANDONED = 24 * 3600
"""Seconds after which a directory without a lock is nobody's: its run was killed before it held one."""


@contextmanager
def private_directory() -> Iterator[Path]:
    """A new directory that only this user may enter (mode 0700), removed in the end. Raises OSError."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        path = Path(name).resolve()
        descriptor = _hold(path)
        try:
            yield path
        finally:
            os.close(descriptor)


def _hold(path: Path) -> int:
    made = path / f"{_LOCK}.new"
    descriptor = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    made.rename(path / _LOCK)
    return descriptor


def sweep() -> list[Path]:
    """Remove the private directories that killed runs of this user have left. Says which; what resists stays."""
    found = [path for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*") if _NAME.fullmatch(path.name)]
    left = [path for path in found if _is_left(path)]
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return left


def _is_left(path: Path) -> bool:
    try:
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            return False
        if not (path / _LOCK).exists():
            return time.time() - status.st_mtime > _ABANDONED
        descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # another run has just removed it
        return False
    try:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False
    finally:
        os.close(descriptor)
