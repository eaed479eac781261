"""Commits and how they hang together, for commands that compare revisions or walk history: read with GitPython.

Its import takes as long as dozens of git processes, so commands where a tenth of a second counts read with
`repository.objects` alone. GitPython is used by its command interface and with the object database that asks git;
its own one, written in Python, is deprecated by its authors. Writing is left to the git program (`repository.git`).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kasmgen.errors import RepositoryError
from kasmgen.programs import process
from kasmgen.repository.git import Repository
from kasmgen.repository.objects import Ask, Reader

if TYPE_CHECKING:
    import git as gitpython


class History(Reader):
    """A repository's commits, for as long as it is open."""

    def __init__(self, repo: Repository, opened: gitpython.Repo) -> None:
        super().__init__(repo, _ask(repo, opened))
        self._opened = opened

    def subjects(self) -> list[str]:
        """First lines of all commit messages, newest first."""
        return [str(commit.summary) for commit in self._opened.iter_commits()]


@contextmanager
def opened(repo: Repository) -> Iterator[History]:
    """The history of `repo`."""
    # Imported here: GitPython costs as much time as the rest of a quick command.
    import git as gitpython
    from git.db import GitCmdObjectDB

    with gitpython.Repo(repo.root, odbt=GitCmdObjectDB) as found:
        found.git.update_environment(**_environment(repo, found))
        yield History(repo, found)


def _environment(repo: Repository, opened: gitpython.Repo) -> dict[str, str]:
    """What `git.environment` leaves out, as far as it is set here: GitPython can overrule a variable, not unset it."""
    place = {
        "GIT_DIR": str(repo.git_dir),
        "GIT_WORK_TREE": str(repo.root),
        "GIT_INDEX_FILE": str(repo.git_dir / "index"),
        "GIT_COMMON_DIR": str(opened.common_dir),
        "GIT_OBJECT_DIRECTORY": str(Path(opened.common_dir) / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": "",
    }
    secret = {name: "" for name in os.environ if name.startswith(process.SECRET_VARIABLES)}
    settled = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
    return {name: value for name, value in place.items() if name in os.environ} | secret | settled


def _ask(repo: Repository, opened: gitpython.Repo) -> Ask:
    def ask(*args: str, stdin: bytes = b"", ok: Sequence[int] = (0,), extra: Mapping[str, str] | None = None) -> bytes:
        process.note(("git", *args))
        with tempfile.TemporaryFile() as file:
            file.write(stdin)
            file.seek(0)
            code, out, said = opened.git.execute(
                ["git", *args],
                istream=file,
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
                env=extra,
            )
        if code not in ok:
            raise RepositoryError(f"git {args[0]} failed in {repo.root}: {str(said).strip() or f'exit code {code}'}")
        assert isinstance(out, bytes)
        return out

    return ask
