"""Branches: made for a change, left again if it fails, and pushed."""

from __future__ import annotations

from dataclasses import dataclass

from kasmgen.errors import InputError, RepositoryError
from kasmgen.programs import process
from kasmgen.repository import git


def check_new_branch(repo: git.Repository, name: str) -> None:
    """Raise InputError if `name` is no name of a branch, RepositoryError if the branch is there already."""
    if name.startswith("-") or git.run(repo.root, "check-ref-format", f"refs/heads/{name}", ok=(0, 1)).code:
        raise InputError(f"--branch: '{name}' is no name for a branch", hint="see git help check-ref-format")
    there = git.run(repo.root, "show-ref", "-q", "--verify", f"refs/heads/{name}", ok=(0, 1)).code == 0
    if there or git.branch(repo) == name:
        raise RepositoryError(
            f"the branch {name} exists already", hint=f"choose another name, or `git switch {name}` first"
        )


def switch_new_branch(repo: git.Repository, name: str) -> None:
    """Create the branch at HEAD and put HEAD on it. No file changes, so index and work tree stay as they are.

    Raises InputError and RepositoryError as `check_new_branch` does.
    """
    check_new_branch(repo, name)
    if git.head(repo) is not None:
        git.run(repo.root, "branch", "--no-track", name)
    old = git.branch(repo) or git.head(repo)
    git.run(repo.root, "symbolic-ref", "-m", f"kasmgen: moving from {old} to {name}", "HEAD", f"refs/heads/{name}")


def leave_new_branch(repo: git.Repository, name: str, *, back_to: str | None, at: str | None) -> None:
    """Undo `switch_new_branch`: HEAD on the branch `back_to` again (None: detached at `at`), the new one deleted.

    Does nothing to a branch that is not at the commit `at` any more.
    """
    if git.branch(repo) == name and git.head(repo) == at:
        if back_to is not None:
            git.run(repo.root, "symbolic-ref", "-m", f"kasmgen: back to {back_to}", "HEAD", f"refs/heads/{back_to}")
        elif at is not None:
            git.run(repo.root, "update-ref", "--no-deref", "-m", "kasmgen: back", "HEAD", at)
    if at is not None and git.branch(repo) != name:
        git.run(repo.root, "update-ref", "-d", f"refs/heads/{name}", at, ok=git.ANY)


@dataclass(frozen=True)
class Destination:
    """Where a branch is pushed to. new: the remote does not know it as upstream yet."""

    remote: str
    ref: str
    new: bool


def destination(repo: git.Repository, name: str) -> Destination:
    """The upstream of the branch `name`, or that name at the remote origin.

    Raises RepositoryError if there is neither.
    """
    remote = _config(repo, f"branch.{name}.remote")
    merge = _config(repo, f"branch.{name}.merge")
    if remote and merge:
        return Destination(remote, merge, new=False)
    if _config(repo, "remote.origin.url") is None:
        raise RepositoryError(
            f"--push: the branch {name} has no upstream, and there is no remote called origin",
            hint="git remote add origin URL, or leave --push out",
        )
    return Destination("origin", f"refs/heads/{name}", new=True)


def _config(repo: git.Repository, key: str) -> str | None:
    done = git.run(repo.root, "config", "--get", key, ok=(0, 1, 2))
    return git.line_of(done) if done.code == 0 else None


def push(repo: git.Repository) -> None:
    """Push the branch that HEAD is on to its `destination`, which becomes its upstream.

    Raises RepositoryError with what git said; the commit then stays where it is.
    """
    name = git.branch(repo)
    if name is None:
        raise RepositoryError("--push: HEAD is detached", hint="--branch NAME makes a branch")
    to = destination(repo, name)
    options = ("-q", *(("-u",) if to.new else ()), to.remote, f"refs/heads/{name}:{to.ref}")
    done = process.run(
        "git", "-C", str(repo.root), "push", *options, ok=git.ANY, env=git.environment(), timeout=git.HOOK_SECONDS
    )
    if done.code:
        raise RepositoryError(
            f"committed, but git could not push to {to.remote}: {git.complaint(done)}",
            hint="the commit is there; correct what git says, then `git push`",
        )
