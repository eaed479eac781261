"""What a change is compared with: one answer for every command."""

from __future__ import annotations

import os
from dataclasses import dataclass

from kasmgen.errors import InputError
from kasmgen.repository.objects import Reader

DEEPER = "fetch the history (`git fetch --unshallow`), or name the revision to compare with"
"""The next step where history is missing."""

VARIABLE = "KASMGEN_BASE"
"""Names the revision that the change goes to, such as origin/main, where neither GitHub nor GitLab say it."""

_ORIGIN = "refs/remotes/origin/"
# GitHub: https://docs.github.com/en/actions/reference/workflows-and-actions/variables
# GitLab: https://docs.gitlab.com/ci/variables/predefined_variables/
_OF_CI = ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME")
_USUAL = ("@{upstream}", f"{_ORIGIN}HEAD", f"{_ORIGIN}main", f"{_ORIGIN}master")


@dataclass(frozen=True)
class Baseline:
    """commit: what to compare with. revision: where the change goes to, as people say it; HEAD for the last commit."""

    commit: str
    revision: str

    @property
    def label(self) -> str:
        """What to call it in a report."""
        if self.revision == "HEAD":
            return f"{self.commit[:12]} (HEAD)"
        return f"{self.commit[:12]} (where the branch left {_spoken(self.revision)})"


class MissingHistoryError(InputError):
    """The commit to compare with is not in this clone. Comparing with something nearer would hide changes."""

    def __init__(self, message: str, hint: str = DEEPER) -> None:
        super().__init__(message, hint=hint)


def find(reader: Reader) -> Baseline | None:
    """Where the branch left the branch that it goes to, else the last commit; None if there is no commit at all.

    It goes to the revision in KASMGEN_BASE, else to the target branch of the pull request that CI runs for, else
    to its upstream, else to the remote's main branch. Raises MissingHistoryError if the clone does not reach so
    far back, InputError if KASMGEN_BASE is no revision.
    """
    head = reader.commit_of("HEAD")
    if head is None:
        return None
    target = _said(reader) or _usual(reader)
    if target is not None:
        revision, commit = target
        found = reader.merge_base(head, commit)
        if found is None:
            raise MissingHistoryError(f"the branch and {_spoken(revision)} have no commit in common here")
        return Baseline(found, revision)
    if reader.is_shallow():
        raise MissingHistoryError("a shallow clone does not know where the branch began")
    return Baseline(head, "HEAD")


def _said(reader: Reader) -> tuple[str, str] | None:
    """(revision, commit) of what the environment names."""
    own = os.environ.get(VARIABLE)
    if own:
        commit = reader.commit_of(own)
        if commit is None:
            raise InputError(f"{VARIABLE}: '{own}' is no revision of this clone", hint=DEEPER)
        return own, commit
    branch = next((name for variable in _OF_CI if (name := os.environ.get(variable))), None)
    if branch is None:
        return None
    commit = reader.commit_of(_ORIGIN + branch)
    if commit is None:
        clone = "this shallow clone" if reader.is_shallow() else "this clone"
        fetch = f"`git fetch origin +refs/heads/{branch}:{_ORIGIN}{branch}`"
        raise MissingHistoryError(
            f"the target branch {branch} is not in {clone}",
            hint=f"fetch it with its history ({fetch}; in a shallow clone with --unshallow), or name the revision",
        )
    return f"origin/{branch}", commit


def _usual(reader: Reader) -> tuple[str, str] | None:
    for revision in _USUAL:
        commit = reader.commit_of(revision)
        if commit is not None:
            return revision.removeprefix("refs/remotes/"), commit
    return None


def _spoken(revision: str) -> str:
    return "its upstream" if revision == "@{upstream}" else revision
