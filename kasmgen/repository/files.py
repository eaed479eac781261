"""The file system, as far as people's work is at stake: paths that stay inside, files that are never half written."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from kasmgen.errors import InputError, RepositoryError

TEMPORARY = ".kasmgen-tmp-"
"""What the name of every temporary file in the work tree begins with."""

MAX_BYTES = 64 * 1024 * 1024
"""No file of a project is larger."""

NEW_MODE = 0o644


# --- where a path leads --------------------------------------------------


def resolve(root: Path, path: str) -> Path:
    """Where `path` (relative, with forward slashes) stands below `root`.

    Raises InputError if it would leave the project or enter a git directory,
    RepositoryError if a symbolic link, a file or another repository is in the way.
    """
    parts = path.split("/")
    if not path.isprintable() or "\\" in path or any(_is_evil(part) for part in parts):
        raise InputError(f"the path {path!r} does not stay inside the project")
    for depth in range(1, len(parts)):
        shown = "/".join(parts[:depth])
        place = f"{root}/{shown}"
        try:
            # Not Path.lstat: this runs for every file of a project.
            mode = os.lstat(place).st_mode
        except FileNotFoundError:
            break
        except OSError as error:
            raise _refused(path, error) from None
        if stat.S_ISLNK(mode):
            raise RepositoryError(
                f"{shown} is a symbolic link, and kasmgen does not write through one to {path}",
                hint="Flux drops links; put the directory itself there",
            )
        if not stat.S_ISDIR(mode):
            raise RepositoryError(f"{shown} is a file where {path} needs a directory", hint=f"move {shown} away")
        if os.path.lexists(f"{place}/.git"):
            raise RepositoryError(f"{shown} is a repository of its own, so {path} cannot be committed to this one")
    return root / path


def _is_evil(part: str) -> bool:
    # "git~1" is what Windows calls .git for old programs.
    return part in ("", ".", "..") or part.lower() in (".git", "git~1")


def read(root: Path, path: str) -> bytes | None:
    """Content of the file at `path`, None if there is nothing.

    Raises as `resolve` does, and RepositoryError if something else than a regular
    file stands there, if it is larger than MAX_BYTES or may not be read.
    """
    place = resolve(root, path)
    try:
        status = place.lstat()
        if not stat.S_ISREG(status.st_mode):
            what = "symbolic link" if stat.S_ISLNK(status.st_mode) else "directory or device"
            raise RepositoryError(f"{path} is a {what} where a file must be", hint=f"move {path} away")
        if status.st_size > MAX_BYTES:
            raise RepositoryError(f"{path} is larger than {MAX_BYTES // 2**20} MiB", hint=f"move {path} away")
        return place.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _refused(path, error) from None


def _refused(path: str, error: OSError) -> RepositoryError:
    return RepositoryError(f"{path!r}: {error.strerror}")


# --- changing ------------------------------------------------------------


def mode_of(place: Path) -> int:
    """Permission bits of the file, those of a new one if there is none."""
    try:
        return stat.S_IMODE(place.lstat().st_mode)
    except FileNotFoundError:
        return NEW_MODE


def missing_directories(root: Path, paths: Iterable[Path]) -> list[Path]:
    """Directories below `root` that `paths` need and that are not there, outer ones first."""
    needed = {parent for path in paths for parent in path.parents if parent.is_relative_to(root)}
    return sorted(directory for directory in needed if not directory.is_dir())


def stage(place: Path, content: bytes, mode: int, number: int) -> Path:
    """Write `content` into a temporary file beside `place`, for `put`. Raises OSError."""
    temporary = place.parent / f"{TEMPORARY}{os.getpid()}-{number}"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
    return temporary


def sync(place: Path) -> None:
    """Have the file or directory reach the disk. Raises OSError."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write(place: Path, content: bytes, mode: int = NEW_MODE) -> None:
    """Replace the file whole: whoever reads it sees the old content or the new. Raises OSError."""
    temporary = stage(place, content, mode, 0)
    try:
        sync(temporary)
        temporary.replace(place)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(place.parent)


def remove(place: Path, root: Path) -> None:
    """Delete the file if it is there, and the directories below `root` that are empty then."""
    place.unlink(missing_ok=True)
    for directory in place.parents:
        if directory == root or not directory.is_relative_to(root) or not remove_empty(directory):
            return


def remove_empty(directory: Path) -> bool:
    """Delete the directory if there is nothing in it; whether it is gone."""
    try:
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def sweep(directories: Iterable[Path]) -> None:
    """Delete temporary files that a killed run left in `directories`."""
    for directory in set(directories):
        for temporary in directory.glob(f"{TEMPORARY}*"):
            temporary.unlink(missing_ok=True)


# --- one at a time -------------------------------------------------------


@contextlib.contextmanager
def lock(place: Path) -> Iterator[None]:
    """Hold the lock file `place`, whose directory is made if need be.

    The file stays: deleting it would let two in at once. Children do not inherit the lock.
    Raises RepositoryError at once if another process holds it.
    """
    place.parent.mkdir(exist_ok=True)
    handle = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 20).decode("ascii", "replace").strip() or "unknown"
            raise RepositoryError(
                f"another kasmgen (process {holder}) is changing this repository",
                hint="wait until it has ended, then run the command again",
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
