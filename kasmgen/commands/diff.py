"""`kasmgen diff`: what a change does to each cluster, between two revisions."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from kasmgen import review
from kasmgen.concurrency import Once
from kasmgen.errors import InputError, KasmgenError, RepositoryError
from kasmgen.programs import kustomize
from kasmgen.project import workspace
from kasmgen.repository import baseline, git, history
from kasmgen.repository.snapshots import Files, Revision, WorkTree
from kasmgen.review.comparison import Comparison
from kasmgen.review.sides import Side

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
    with tempfile.TemporaryDirectory(prefix="kasmgen-") as name:
        private = Path(name).resolve()
        before, after, rest = _Chooser(repo, prefix).choose(arguments)
        old, new = Side(before, prefix, private / "old"), Side(after, prefix, private / "new")
        return Comparison(old, new, Once(kustomize.locate), progress).report(_selected(old, new, rest))


# --- what is compared ------------------------------------------------------------


class _Chooser:
    """Tells revisions from environments. A word that is both is the environment."""

    def __init__(self, repo: git.Repository, prefix: str) -> None:
        self._repo = repo
        self._prefix = prefix

    def choose(self, arguments: Sequence[str]) -> tuple[Files, Files, list[str]]:
        """(old side, new side, what is left of the arguments)."""
        if arguments and (found := _RANGE.fullmatch(arguments[0])):
            return *self._range(*found.groups()), list(arguments[1:])
        here = WorkTree(self._repo)
        rest = list(arguments)
        if not rest or rest[0] in self._environments(here) or not history.resolve(self._repo, rest[0]):
            return self._default(), here, rest
        if rest[0] in self._environments_of_default():
            return self._default(), here, rest
        old = self._revision(rest.pop(0))
        known = {*self._environments(here), *self._environments(old)}
        if rest and rest[0] not in known and history.resolve(self._repo, rest[0]):
            return old, self._revision(rest.pop(0)), rest
        return old, here, rest

    def _range(self, base: str, dots: str, head: str) -> tuple[Files, Files]:
        old, new = self._revision(base or "HEAD"), self._revision(head or "HEAD")
        if dots == "..":
            return old, new
        commit = history.merge_base(self._repo, old.commit, new.commit)
        if commit is None:
            raise InputError(f"{old.label} and {new.label} have no commit in common", hint=baseline.DEEPER)
        return Revision(self._repo, commit, f"{commit[:12]} (where {head or 'HEAD'} left {base or 'HEAD'})"), new

    def _revision(self, text: str) -> Revision:
        commit = history.resolve(self._repo, text)
        if commit is None:
            raise InputError(f"'{text}' is no revision", hint="name a branch, a tag or a commit")
        return Revision(self._repo, commit, text if commit.startswith(text) else f"{text} ({commit[:12]})")

    def _default(self) -> Revision:
        return Revision(self._repo, *baseline.default_base(self._repo))

    def _environments(self, files: Files) -> list[str]:
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
