"""`kasmgen diff`: what a change does to each cluster, between two revisions."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kasmgen import revisions, verify, workspace
from kasmgen.errors import InputError, KasmgenError, RepositoryError
from kasmgen.model import Object, ResourceId
from kasmgen.revisions import Overlay, Revision, Side, WorkTree
from kasmgen.steps import review, risks
from kasmgen.steps.review import ObjectChange
from kasmgen.tools import git, history

Build = Mapping[ResourceId, Object]


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
        old, new, rest = _sides(repo, prefix, private, arguments)
        names = _selected(old, new, rest)
        return _report(old, new, names, progress)


def _sides(repo: git.Repository, prefix: str, private: Path, arguments: Sequence[str]) -> tuple[Side, Side, list[str]]:
    rest = list(arguments)
    spec: list[str] = []
    if rest and ".." in rest[0]:
        base, _, head = rest.pop(0).partition("..")
        spec = [base or "HEAD", head.removeprefix(".") or "HEAD"]
        if head.startswith("."):
            spec[0] = history.merge_base(repo, spec[0], spec[1]) or spec[0]
    here = WorkTree(repo)
    known = set(Side(here, prefix, private).environments())
    while rest and len(spec) < 2 and rest[0] not in known and history.resolve(repo, rest[0]):
        spec.append(rest.pop(0))
    old = _revision(repo, spec[0]) if spec else Revision(repo, *revisions.default_base(repo))
    new = _revision(repo, spec[1]) if len(spec) > 1 else here
    return Side(old, prefix, private / "old"), Side(new, prefix, private / "new"), rest


def _revision(repo: git.Repository, text: str) -> Revision:
    commit = history.resolve(repo, text)
    if commit is None:
        raise InputError(f"'{text}' is no revision", hint="name a branch, a tag or a commit")
    return Revision(repo, commit, text if commit.startswith(text) else f"{text} ({commit[:12]})")


def _selected(old: Side, new: Side, names: Sequence[str]) -> list[str]:
    every = sorted({*old.environments(), *new.environments()})
    for name in names:
        if name not in every:
            raise InputError(
                f"'{name}' is neither a revision nor an environment of either side",
                hint=f"environments: {', '.join(every) or 'none'}",
            )
    return sorted(set(names)) or every


def _report(old: Side, new: Side, names: Sequence[str], progress: Callable[[str], None]) -> review.Report:
    before = {name: old.overlay(name) for name in set(names) & set(old.environments())}
    after = {name: new.overlay(name) for name in set(names) & set(new.environments())}
    changed = [name for name in names if not revisions.same(before, after, name)]
    old.write(before[name] for name in changed if name in before)
    new.write(after[name] for name in changed if name in after)
    cache = verify.ParseCache()
    failed: dict[str, str] = {}
    changes: dict[str, tuple[ObjectChange, ...]] = dict.fromkeys(names, ())

    def one(name: str) -> None:
        try:
            builds = [_built(side, overlays.get(name), cache) for side, overlays in ((old, before), (new, after))]
            changes[name] = _compared(*builds)
        except KasmgenError as error:
            failed[name] = revisions.reason(error)
        progress(name)

    with ThreadPoolExecutor(max_workers=(os.cpu_count() or 2) + 1) as pool:
        list(pool.map(one, changed))
    return review.group(
        changes,
        added=after.keys() - before.keys(),
        removed=before.keys() - after.keys(),
        failed=failed,
        base=old.files.label,
        head=new.files.label,
    )


def _built(side: Side, overlay: Overlay | None, cache: verify.ParseCache) -> Build:
    if overlay is None:
        return {}
    try:
        return side.build(overlay, cache)
    except KasmgenError as error:
        raise InputError(f"at {side.files.label}: {error.message}") from None


def _compared(old: Build, new: Build) -> tuple[ObjectChange, ...]:
    return risks.assess(review.compare_builds(old, new), risks.Context(old, new))
