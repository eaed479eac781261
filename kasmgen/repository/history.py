"""Commits and how they hang together, read with GitPython. Writing is left to the git program (`tools.git`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kasmgen.repository.git import Repository

if TYPE_CHECKING:
    import git as gitpython


def _open(repo: Repository) -> gitpython.Repo:
    # Imported here: GitPython costs as much time as the rest of a quick command.
    import git as gitpython

    return gitpython.Repo(repo.root, search_parent_directories=True)


def resolve(repo: Repository, revision: str) -> str | None:
    """The id of the commit that a revision (branch, tag, commit, `HEAD~1`, `@{upstream}`) names, or None."""
    from git.exc import GitCommandError

    if revision.startswith("-"):
        return None
    with _open(repo) as opened:
        try:
            return str(opened.git.rev_parse("--quiet", "--verify", f"{revision}^{{commit}}"))
        except GitCommandError:
            return None


def merge_base(repo: Repository, one: str, other: str) -> str | None:
    """The id of the best common ancestor of two revisions, or None."""
    with _open(repo) as opened:
        found = opened.merge_base(one, other)
        return found[0].hexsha if found and found[0] else None


def subjects(repo: Repository) -> list[str]:
    """First lines of all commit messages, newest first."""
    with _open(repo) as opened:
        return [str(commit.summary) for commit in opened.iter_commits()]
