"""Whether kasmgen may write to a repository and commit there. A refusal says what is in the way and the next step."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kasmgen.errors import RepositoryError
from kasmgen.repository import git
from kasmgen.repository.objects import Reader

_LOCK_SECONDS = 3.0


def check_ready(repo: git.Repository, *, commit: bool, branch: str | None = None, now: git.State | None = None) -> None:
    """Return if kasmgen may write here, and commit if `commit`; on a new branch `branch` if that is given.

    now: what `look` has just found, if it was asked. Raises RepositoryError that says what is in the way and the
    next step.
    """
    check_writable(repo)
    if not commit:
        return
    _check_state(repo, now or git.state(repo), branch)
    _check_merged(Reader(repo).unmerged())
    check_identity(repo)
    wait_for_index(repo)


def check_writable(repo: git.Repository) -> None:
    """Raise RepositoryError if there is no work tree, or if it or the git dir may not be written to."""
    if repo.bare:
        raise RepositoryError(f"{repo.root} is a bare repository, it has no files", hint="work in a clone of it")
    for directory in (repo.root, repo.git_dir):
        if not os.access(directory, os.W_OK | os.X_OK):
            raise RepositoryError(f"{directory} may not be written to", hint="correct its permissions or its mount")


@dataclass(frozen=True)
class Standing:
    """What a commit is about to change. index: path -> "mode object" in the user's."""

    state: git.State
    index: Mapping[str, str]


def standing(repo: git.Repository, branch: str | None = None) -> Standing:
    """State and index, read anew for a commit, on a new branch `branch` if that is given.

    Raises RepositoryError as `check_ready` does; but for who commits, which git looks at itself (see `commit`).
    """
    check_writable(repo)
    now = git.state(repo)
    _check_state(repo, now, branch)
    wait_for_index(repo)
    index = Reader(repo).index()
    _check_merged(index.unmerged)
    return Standing(now, {path: str(entry) for path, entry in index.entries.items()})


def _check_state(repo: git.Repository, now: git.State, branch: str | None) -> None:
    if now.operation:
        raise RepositoryError(
            f"a {now.operation} is in progress in {repo.root}", hint=_way_out(now.operation) + ", or use --no-commit"
        )
    if now.detached and branch is None:
        raise RepositoryError(
            "HEAD is detached: a commit would be on no branch",
            hint="--branch NAME makes a branch for it, --no-commit writes the files only",
        )


def _way_out(operation: str) -> str:
    if operation == "bisect":
        return "end it with `git bisect reset`"
    return f"end it with `git {operation} --continue` or `git {operation} --abort`"


def _check_merged(paths: Iterable[str]) -> None:
    unmerged = sorted(set(paths))
    if unmerged:
        raise RepositoryError(
            f"there are unmerged paths: {_few(unmerged)}", hint="resolve them and `git add` them, or use --no-commit"
        )


ONLY_KNOWN = ("-c", "user.useConfigOnly=true")
"""Options of git without which it makes an address up from the login and host name."""


def check_identity(repo: git.Repository) -> None:
    """Raise RepositoryError if git does not know who commits."""
    if _is_configured(repo):
        return
    for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
        done = git.run(repo.root, *ONLY_KNOWN, "var", who, ok=(0, 128))
        if done.code:
            raise RepositoryError(
                "git does not know who you are, and a commit needs a name and an address",
                hint="git config --global user.name 'YOUR NAME' && git config --global user.email YOU@EXAMPLE.ORG",
            )


def _is_configured(repo: git.Repository) -> bool:
    """Whether name and address are where people have them: one process, where asking git for both roles takes two."""
    if any(name.startswith(("GIT_AUTHOR_", "GIT_COMMITTER_")) for name in os.environ):
        return False
    asked = git.run(repo.root, "config", "-z", "--get-regexp", "^user\\.(name|email)$", ok=(0, 1))
    # Of several values the last one counts. Signs alone are no name to git.
    values = dict(pair.partition("\n")[::2] for pair in git.parts(asked.stdout))
    return all(any(map(str.isalnum, values.get(key, ""))) for key in ("user.name", "user.email"))


def check_not_ignored(repo: git.Repository, paths: Sequence[str]) -> None:
    """Raise RepositoryError if git ignores any of `paths`, with the file and line that say so."""
    if not paths:
        return
    done = git.run(repo.root, "check-ignore", "-v", "-z", "--stdin", stdin=git.nul(paths), ok=(0, 1))
    fields = os.fsdecode(done.stdout).split("\0")[:-1]
    found = [tuple(fields[i : i + 4]) for i in range(0, len(fields), 4)]
    # A pattern with "!" in front is listed too, and says that the path is not ignored.
    ignored = [f"{path} ({file}:{line}: {rule})" for file, line, rule, path in found if not rule.startswith("!")]
    if ignored:
        raise RepositoryError(
            f"git ignores what has to be committed: {_few(ignored)}",
            hint="remove the pattern, or add one with ! in front, or use --no-commit",
        )


def _few(items: Sequence[str]) -> str:
    return ", ".join(items[:5]) + (f" and {len(items) - 5} more" if len(items) > 5 else "")


def wait_for_index(repo: git.Repository) -> None:
    """Return once no git holds the index. Raises RepositoryError if one does for seconds."""
    lock = repo.git_dir / "index.lock"
    if not any(not lock.exists() for _ in patiently()):
        raise index_held(lock)


def index_held(lock: Path) -> RepositoryError:
    """The error that says so."""
    return RepositoryError(
        f"another git holds {lock}",
        hint="wait until it has ended; if none runs, delete that file; then run the command again",
    )


def patiently() -> Iterator[None]:
    """Turns of a loop that tries something again for as long as a git usually holds a lock."""
    until = time.monotonic() + _LOCK_SECONDS
    while time.monotonic() < until:
        yield
        time.sleep(0.05)
