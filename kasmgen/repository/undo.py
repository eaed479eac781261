"""What a command makes before its change can be: taken back if that fails, kept once it has landed, told after a kill.

A note in the git dir says what was made, and is locked as long as its run lives. So the next run can tell what one that
was killed has left.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from kasmgen import signals
from kasmgen.errors import RepositoryError
from kasmgen.repository import files, git
from kasmgen.repository.commit import OWN

_NOTE = "begun-"


@dataclass(frozen=True)
class Trace:
    """Something that was made, in words for people. It is there as long as `path` is, with `holds` in it if given."""

    what: str
    path: str
    holds: str = ""

    def is_there(self) -> bool:
        """Whether it still is."""
        if not Path(self.path).exists():
            return False
        try:
            return not self.holds or self.holds.encode() in Path(self.path).read_bytes()
        except OSError:
            return False


class Undo:
    """Takes back what a command has made, the last first, when the block is left, unless it was told to keep it.

    Signals wait while something is made and while it is taken back, so that none falls between a deed and its undoing.
    """

    def __init__(self) -> None:
        self._deeds = ExitStack()
        self._notes = ExitStack()

    def __enter__(self) -> Undo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with signals.deferred(lambda: ()), self._notes:
            self._deeds.close()

    @contextmanager
    def making(self) -> Iterator[ExitStack]:
        """A block that makes something and says, in callbacks of the stack, how that is taken back."""
        with signals.deferred(lambda: ()):
            yield self._deeds

    def note(self, git_dir: Path, trace: Trace) -> None:
        """Tell the next run, in case that this one is killed. To be called before `trace` is made.

        Raises RepositoryError if the git dir cannot be written.
        """
        place = git_dir / OWN / f"{_NOTE}{os.getpid()}"
        try:
            place.parent.mkdir(exist_ok=True)
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._notes.callback(os.close, descriptor)
            self._notes.callback(place.unlink, missing_ok=True)
            # A second note of this run finds the lock taken by the first.
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(descriptor, f"{json.dumps(asdict(trace))}\n".encode())
        except OSError as error:
            raise RepositoryError(f"{place} cannot be written: {error.strerror}") from None

    def keep(self) -> None:
        """Take nothing back any more: the change has landed."""
        self._deeds.pop_all()
        self._notes.close()


def make_directories(undo: Undo, directory: Path) -> None:
    """Make the directory and those above it that are missing. Raises OSError."""
    for place in reversed([place for place in (directory, *directory.parents) if not place.exists()]):
        with undo.making() as deeds, suppress(FileExistsError):
            place.mkdir()
            deeds.callback(files.remove_empty, place)


def left(repo: git.Repository) -> list[str]:
    """What killed runs have made and left, in words; their notes are removed."""
    return [trace.what for place in (repo.git_dir / OWN).glob(f"{_NOTE}*") for trace in _collect(place)]


def _collect(place: Path) -> list[Trace]:
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:  # its run has just ended
        return []
    with os.fdopen(descriptor, "rb") as file:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return []
        traces = [trace for line in file if (trace := _read(line)) and trace.is_there()]
        place.unlink(missing_ok=True)
    return traces


def _read(line: bytes) -> Trace | None:
    try:
        return Trace(**json.loads(line))
    except (ValueError, TypeError):  # the run was killed while it wrote
        return None
