"""Private directories in which other programs are shown files, and what killed runs have left of them.

A directory is held by a lock in it as long as its run lives. The lock is the first thing in it and the last, so one
without a lock holds nothing. Whoever sweeps may take such a directory while it is being made; then another one is made.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from kasmgen import signals

PREFIX = "kasmgen-"
_NAME = re.compile(rf"{PREFIX}\w{{8}}")
_LOCK = ".held"
_UNHELD = ".held.new"
_MODE = 0o700


@contextmanager
def private_directory() -> Iterator[Path]:
    """A new directory that only this user may enter (mode 0700), removed in the end. Raises OSError."""
    with ExitStack() as held:
        with signals.deferred(lambda: ()):
            path, descriptor = _make()
            held.callback(_remove, path, descriptor)
        yield path


def _make() -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        with suppress(FileNotFoundError):
            return path, _hold(path)


def _hold(path: Path) -> int:
    made = path / _UNHELD
    descriptor = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        made.rename(path / _LOCK)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _remove(path: Path, descriptor: int) -> None:
    """Remove the directory, whose lock `descriptor` holds, and the lock last."""
    with signals.deferred(lambda: ()):
        with suppress(OSError):
            for place in [place for place in path.iterdir() if place.name != _LOCK]:
                if place.is_dir() and not place.is_symlink():
                    shutil.rmtree(place)
                else:
                    place.unlink()
            (path / _LOCK).unlink(missing_ok=True)
            path.rmdir()
        os.close(descriptor)


def sweep() -> list[Path]:
    """Remove the private directories that killed runs of this user have left. Says which; what resists stays."""
    found = [path for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*") if _NAME.fullmatch(path.name)]
    return [path for path in sorted(found) if _is_ours(path) and _clear(path)]


def _is_ours(path: Path) -> bool:
    try:
        status = path.lstat()
    except OSError:  # another run has just removed it
        return False
    # The mode, too: a person's directory may happen to have such a name.
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and stat.S_IMODE(status.st_mode) == _MODE


def _clear(path: Path) -> bool:
    """Remove the directory if nobody holds it; whether it is gone."""
    for name in (_LOCK, _UNHELD):
        with suppress(OSError):
            descriptor = os.open(path / name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                (path / _UNHELD).unlink(missing_ok=True)
            except BlockingIOError:
                os.close(descriptor)
                return False
            _remove(path, descriptor)
    with suppress(OSError):
        path.rmdir()
    return not path.exists()
