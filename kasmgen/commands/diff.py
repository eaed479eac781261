"""`kasmgen diff`: what a change does to each cluster, between two revisions."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from kasmgen import review
from kasmgen.concurrency import Once
from kasmgen.errors import InputError, KasmgenError, RepositoryError
from kasmgen.programs import kustomize
from kasmgen.programs.private_directory import private_directory, sweep
from kasmgen.project import workspace
from kasmgen.repository import baseline, git, history
from kasmgen.repository.history import History
from kasmgen.repository.snapshots import Commit, Snapshot, WorkTree
from kasmgen.review.comparison import Comparison
from kasmgen.review.sides import BOUNDS, Side

_RANGE = re.compile(r"(.*?)(\.\.\.?)(.*)", re.DOTALL)


def run(start: Path, arguments: Sequence[str], progress: Callable[[str], None] = lambda _: None) -> review.Report:
    """The report for `[BASE] [HEAD] [ENV]...`.

    An environment that does not build on a side is in the report as failed, never as
    unchanged. Raises InputError for what is neither a revision nor an environment.
    """
    root = workspace.find_root(start)
    repo = git.find(root)
    if repo is None:
        raise RepositoryError(f"{root} is in no Git repository", hint="`git init` there")
    relative = git.toplevel_relative(repo, root)
    prefix = "" if relative == "." else relative
    sweep()
    with private_directory() as private, history.opened(repo) as commits:
        before, after, rest = _Chooser(commits, prefix).choose(arguments)
        old, new = Side(before, prefix, private / "old"), Side(after, prefix, private / "new")
        return Comparison(old, new, Once(kustomize.locate), progress).report(_selected(old, new, rest))


# --- what is compared ------------------------------------------------------------


class _Chooser:
    """Tells revisions from environments. A word that is both is the environment."""

    def __init__(self, commits: History, prefix: str) -> None:
        self._commits = commits
        self._commit_of = functools.cache(commits.commit_of)
        self._prefix = prefix

    def choose(self, arguments: Sequence[str]) -> tuple[Snapshot, Snapshot, list[str]]:
        """(old side, new side, what is left of the arguments)."""
        if arguments and (found := _RANGE.fullmatch(arguments[0])):
            return *self._range(*found.groups()), list(arguments[1:])
        here = WorkTree(self._commits, bounds=BOUNDS)
        rest = list(arguments)
        if not rest or rest[0] in self._environments(here) or not self._commit_of(rest[0]):
            return self._default(), here, rest
        if rest[0] in self._environments_of_default():
            return self._default(), here, rest
        old = self._revision(rest.pop(0))
        known = {*self._environments(here), *self._environments(old)}
        if rest and rest[0] not in known and self._commit_of(rest[0]):
            return old, self._revision(rest.pop(0)), rest
        return old, here, rest

    def _range(self, base: str, dots: str, head: str) -> tuple[Snapshot, Snapshot]:
        old, new = self._revision(base or "HEAD"), self._revision(head or "HEAD")
        if dots == "..":
            return old, new
        commit = self._commits.merge_base(old.commit, new.commit)
        if commit is None:
            raise InputError(f"{old.label} and {new.label} have no commit in common", hint=baseline.DEEPER)
        return self._at(commit, f"{commit[:12]} (where {head or 'HEAD'} left {base or 'HEAD'})"), new

    def _revision(self, text: str) -> Commit:
        commit = self._commit_of(text)
        if commit is None:
            raise InputError(f"'{text}' is no revision", hint="name a branch, a tag or a commit")
        return self._at(commit, text if commit.startswith(text) else f"{text} ({commit[:12]})")

    def _default(self) -> Commit:
        base = baseline.find(self._commits)
        if base is None:
            raise InputError("there is no commit to compare with", hint="commit first, or name two revisions")
        return self._at(base.commit, base.label)

    def _at(self, commit: str, label: str) -> Commit:
        return Commit(self._commits, commit, label, BOUNDS)

    def _environments(self, files: Snapshot) -> list[str]:
        return Side(files, self._prefix, Path()).environments()

    def _environments_of_default(self) -> list[str]:
        try:
            return self._environments(self._default())
        except KasmgenError:
            # There is no such side, so nothing of it can be meant.
            return []


def _selected(old: Side, new: Side, names: Sequence[str]) -> list[str]:
    every = sorted({*old.environments(), *new.environments()})
    for name in names:
        if name not in every:
            raise InputError(
                f"'{name}' is neither a revision nor an environment of either side",
                hint=f"environments: {', '.join(every) or 'none'}",
            )
    return sorted(set(names)) or every


# --- comparing ---------------------------------------------------------------------
