"""A repository that is made for a project, and taken away again if the project cannot be made."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from kasmgen.errors import RepositoryError
from kasmgen.repository import git
from kasmgen.repository import undo as undos
from kasmgen.repository.commit import OWN
from kasmgen.repository.undo import Trace, Undo

# What kasmgen, or a commit that was refused, leaves in a git dir. Objects that nothing refers to are nobody's.
_OURS = ("objects", OWN, "COMMIT_EDITMSG")


def make(undo: Undo, directory: Path, settings: Mapping[str, str] | None = None) -> git.Repository:
    """Make a repository in `directory`, and the directory if need be.

    settings: configuration of this repository alone. The first branch is as `git.init` chooses it.
    If the change does not land it is taken away again, unless somebody else has used it by then.
    Raises RepositoryError if it cannot be made.
    """
    try:
        undos.make_directories(undo, directory)
    except OSError as error:
        raise RepositoryError(f"{directory} cannot be made: {error.strerror}") from None
    with undo.making() as deeds:
        made = _GitDir(directory / ".git")
        if not made.place.exists():
            # Before git makes it: one that the same Ctrl-C ends, or a kill, leaves half a repository.
            deeds.callback(made.take_away)
            _make_git_dir(made.place)
            undo.note(made.place, Trace("this Git repository", str(made.place)))
        repo = git.init(directory)
        for key, value in (settings or {}).items():
            git.configure(repo, key, value)
        made.complete()
    return repo


def _make_git_dir(place: Path) -> None:
    try:
        place.mkdir()
    except OSError as error:
        raise RepositoryError(f"{place} cannot be made: {error.strerror}") from None


class _GitDir:
    """A git dir that is being made."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._complete: Mapping[str, str] | None = None

    def complete(self) -> None:
        """Remember what it holds now that it is made."""
        self._complete = _contents(self.place)

    def take_away(self) -> None:
        """Remove it if it holds nothing else: no branch, tag, staged file, setting or hook of somebody."""
        if self._complete in (None, _contents(self.place)):
            shutil.rmtree(self.place, ignore_errors=True)


def _contents(git_dir: Path) -> dict[str, str]:
    """Path -> digest of every file that is not ours alone."""
    out = {}
    for directory, folders, names in os.walk(git_dir):
        if Path(directory) == git_dir:
            folders[:] = [name for name in folders if name not in _OURS]
        for path in (Path(directory, name) for name in names):
            inside = path.relative_to(git_dir).as_posix()
            if inside not in _OURS:
                out[inside] = os.fsdecode(path.readlink()) if path.is_symlink() else _digest(path)
    return out


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
