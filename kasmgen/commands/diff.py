"""`kasmgen diff`: what a change does to each cluster, between two revisions."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kasmgen import revisions
from kasmgen.errors import InputError, KasmgenError, RepositoryError
from kasmgen.kubernetes.resources import Object, ResourceId
from kasmgen.project import workspace
from kasmgen.repository import baseline, git
from kasmgen.repository import history as repository_revisions
from kasmgen.repository.snapshots import Files, Revision, WorkTree
from kasmgen.revisions import Overlay, Side
from kasmgen.steps import review, risks
from kasmgen.steps.review import ObjectChange
from kasmgen.yaml.cache import ParseCache

Build = Mapping[ResourceId, Object]

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
        return _Comparison(old, new, progress).report(_selected(old, new, rest))


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
        if not rest or rest[0] in self._environments(here) or not repository_revisions.resolve(self._repo, rest[0]):
            return self._default(), here, rest
        if rest[0] in self._environments_of_default():
            return self._default(), here, rest
        old = self._revision(rest.pop(0))
        known = {*self._environments(here), *self._environments(old)}
        if rest and rest[0] not in known and repository_revisions.resolve(self._repo, rest[0]):
            return old, self._revision(rest.pop(0)), rest
        return old, here, rest

    def _range(self, base: str, dots: str, head: str) -> tuple[Files, Files]:
        old, new = self._revision(base or "HEAD"), self._revision(head or "HEAD")
        if dots == "..":
            return old, new
        commit = repository_revisions.merge_base(self._repo, old.commit, new.commit)
        if commit is None:
            raise InputError(f"{old.label} and {new.label} have no commit in common", hint=baseline.DEEPER)
        return Revision(self._repo, commit, f"{commit[:12]} (where {head or 'HEAD'} left {base or 'HEAD'})"), new

    def _revision(self, text: str) -> Revision:
        commit = repository_revisions.resolve(self._repo, text)
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


@dataclass
class _Comparison:
    """Two sides, and what is found out about their environments."""

    old: Side
    new: Side
    progress: Callable[[str], None]
    failed: dict[str, str] = field(default_factory=dict)
    cache: ParseCache = field(default_factory=ParseCache)
    known: set[str] = field(default_factory=set, repr=False)
    builders: Executor = field(init=False)
    ahead: dict[str, Future[Build]] = field(default_factory=dict, init=False, repr=False)

    def report(self, names: Sequence[str]) -> review.Report:
        """What changes in these environments; those that cannot be built are named as failed."""
        before, after = self._overlays(self.old, names), self._overlays(self.new, names)
        changes: dict[str, tuple[ObjectChange, ...]] = dict.fromkeys(names, ())

        def one(name: str) -> None:
            with self._recording(name):
                changes[name] = self._changes(before.get(name), after.get(name))
            self.progress(name)

        workers = (os.cpu_count() or 2) + 1
        with ThreadPoolExecutor(workers) as self.builders, ThreadPoolExecutor(workers) as pool:
            self._write(self.old, before)
            for name in list(before)[:workers]:
                # Builds that can run while the other side is written; a few, for what they make takes memory.
                if name not in self.failed and not _alike(before[name], after.get(name)):
                    self.ahead[name] = self.builders.submit(self._built, self.old, before[name])
            self._write(self.new, after)
            for side in (self.old, self.new):
                self.known |= review.known_values(side.clear_secrets(self.cache))
            list(pool.map(one, [name for name in names if name not in self.failed]))
        return review.group(
            changes,
            added=after.keys() - before.keys(),
            removed=before.keys() - after.keys(),
            failed=self.failed,
            base=self.old.files.label,
            head=self.new.files.label,
            known=self.known,
        )

    def _overlays(self, side: Side, names: Sequence[str]) -> dict[str, Overlay]:
        """The environments that a side has."""
        side.ready()
        found: dict[str, Overlay] = {}
        for name in names:
            if side.has(name):
                with self._recording(name), _naming(side):
                    found[name] = side.overlay(name)
        return found

    def _write(self, side: Side, found: Mapping[str, Overlay]) -> None:
        """Make a side's environments ready to be built."""
        try:
            side.write(found.values())
        except KasmgenError:
            # One of them is too much or cannot be written; the others need not suffer for it.
            for name, overlay in found.items():
                with self._recording(name), _naming(side):
                    side.write([overlay])

    def _changes(self, old: Overlay | None, new: Overlay | None) -> tuple[ObjectChange, ...]:
        if new is not None and _alike(old, new):
            # Built all the same: that nothing changes is not to be said of what does not build.
            if self.new.generates_secrets(new):
                self._built(self.new, new)
                return ()
            with _naming(self.new):
                self.new.demand_builds(new, self.cache)
            return ()
        now = self.builders.submit(self._built, self.new, new)
        ahead = self.ahead.pop(old.name, None) if old else None
        was = (ahead or self.builders.submit(self._built, self.old, old)).result()
        return risks.assess(review.compare_builds(was, now.result()), risks.Context(was, now.result()))

    def _built(self, side: Side, overlay: Overlay | None) -> Build:
        if overlay is None:
            return {}
        with _naming(side):
            built = side.build(overlay, self.cache)
        # Values may stand elsewhere, in an environment without changes or beside one that does not build.
        self.known |= review.known_values(built.values())
        return built

    @contextmanager
    def _recording(self, name: str) -> Iterator[None]:
        try:
            yield
        except KasmgenError as error:
            self.failed[name] = revisions.reason(error)


def _alike(old: Overlay | None, new: Overlay | None) -> bool:
    return old is not None and new is not None and old.digest == new.digest


@contextmanager
def _naming(side: Side) -> Iterator[None]:
    try:
        yield
    except KasmgenError as error:
        raise InputError(f"at {side.files.label}: {error.message}") from None
