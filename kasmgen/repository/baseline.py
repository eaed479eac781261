"""What a change is compared with."""

from __future__ import annotations

from kasmgen.errors import InputError
from kasmgen.repository import git, history

DEEPER = "fetch the history (`git fetch --unshallow`), or name the revision to compare with"
"""The next step where history is missing."""


def default_base(repo: git.Repository) -> tuple[str, str]:
    """(commit, what to call it): where the branch left its upstream, else the last commit.

    Raises InputError if there is no commit at all, or if the history is not here: comparing
    with something nearer would hide changes.
    """
    for upstream in ("@{upstream}", "origin/HEAD", "origin/main", "origin/master"):
        if history.resolve(repo, upstream) is None:
            continue
        name = upstream.replace("@{upstream}", "its upstream")
        found = history.merge_base(repo, "HEAD", upstream)
        if found is None:
            raise InputError(f"the branch and {name} have no commit in common here", hint=DEEPER)
        return found, f"{found[:12]} (where the branch left {name})"
    head = git.head(repo)
    if head is None:
        raise InputError("there is no commit to compare with", hint="commit first, or name two revisions")
    if git.line_of(git.run(repo.root, "rev-parse", "--is-shallow-repository")) == "true":
        raise InputError("a shallow clone does not know where the branch began", hint=DEEPER)
    return head, f"{head[:12]} (HEAD)"
