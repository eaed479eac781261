"""What an earlier revision built to, from Git's objects: the other side of rules about changes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kasmgen.check.rules import leaks
from kasmgen.errors import InputError, KasmgenError
from kasmgen.kubernetes.resources import Object, ResourceId
from kasmgen.layout import paths
from kasmgen.overlay import verify
from kasmgen.programs.kustomize import Kustomize
from kasmgen.repository import git, objects, scratch
from kasmgen.yaml.cache import ParseCache


@dataclass(frozen=True)
class Past:
    """An earlier revision. shown: what to call it. changed: environments that may differ since.

    gone: environments that it has and the work tree has not.
    """

    commit: str
    shown: str
    changed: frozenset[str] = field(default=frozenset())
    gone: frozenset[str] = field(default=frozenset())


def find(repo: git.Repository, prefix: str, names: Sequence[str], base: str) -> Past | None:
    """The revision to compare with: `base`, or the merge base with the upstream branch; None if there is none.

    Raises InputError if `base` is no revision.
    """
    if base:
        commit = objects.commit_of(repo, base)
        if commit is None:
            raise InputError(f"--base: {base} is no revision of this repository", hint="a shallow clone lacks history")
        return _past(repo, prefix, names, commit, base)
    for candidate in _upstream():
        commit = objects.merge_base(repo, candidate)
        if commit is not None:
            return _past(repo, prefix, names, commit, candidate.removeprefix("refs/remotes/"))
    commit = git.head(repo)
    return _past(repo, prefix, names, commit, "HEAD") if commit else None


def _past(repo: git.Repository, prefix: str, names: Sequence[str], commit: str, shown: str) -> Past:
    differing = objects.differing(repo, commit)
    return Past(commit, shown, _changed(differing, prefix, names), _gone(repo, differing, prefix))


def _upstream() -> list[str]:
    """Where the branch is meant to go: what CI says, then what git says, then what is usual."""
    target = os.environ.get("GITHUB_BASE_REF") or os.environ.get("CI_MERGE_REQUEST_TARGET_BRANCH_NAME")
    said = [f"refs/remotes/origin/{target}"] if target else []
    return [*said, "@{upstream}", "refs/remotes/origin/HEAD", "refs/remotes/origin/main", "refs/remotes/origin/master"]


def _changed(differing: Iterable[str], prefix: str, names: Sequence[str]) -> frozenset[str]:
    start = f"{prefix}/" if prefix else ""
    touched: set[str] = set()
    for whole in differing:
        path = whole.removeprefix(start)
        if not whole.startswith(start) or not path.startswith((f"{paths.OVERLAYS}/", f"{paths.CLUSTERS}/")):
            # An overlay may refer to anything else in the repository.
            if paths.is_yaml(path) and path not in (paths.PROJECT_FILE, paths.SOPS_FILE):
                return frozenset(names)
            continue
        if path.startswith(f"{paths.OVERLAYS}/"):
            touched.add(paths.environment(path))
    return frozenset(touched) & frozenset(names)


def _gone(repo: git.Repository, differing: Iterable[str], prefix: str) -> frozenset[str]:
    """Environments whose kustomization.yaml is not there any more."""
    start = f"{prefix}/" if prefix else ""
    found: set[str] = set()
    for whole in differing:
        path = whole.removeprefix(start)
        built = whole.startswith(start) and path == f"{paths.overlay(paths.environment(path))}/{paths.KUSTOMIZATION}"
        if built and not (repo.root / whole).exists():
            found.add(paths.environment(path))
    return frozenset(found)


def write(repo: git.Repository, past: Past, into: Path) -> None:
    """The files of the revision, below the private directory `into`."""
    entries = {
        path: entry.blob
        for path, entry in objects.tree_entries(repo, past.commit).items()
        if entry.mode not in (objects.LINK, objects.SUBMODULE) and ".." not in path.split("/")
    }
    sizes = objects.sizes(repo, entries.values())
    small = {path: blob for path, blob in entries.items() if sizes[blob] <= leaks.LARGEST}
    contents = objects.contents(repo, small.values())
    scratch.write_tree(into, {path: contents[blob] for path, blob in small.items()})


def build(
    program: Kustomize, root: Path, name: str, cache: ParseCache
) -> Mapping[ResourceId, Object] | KasmgenError | None:
    """What the environment built to then; None if it was not there, an error if it did not build."""
    directory = paths.overlay(name)
    if not (root / directory / paths.KUSTOMIZATION).is_file():
        return None
    try:
        return verify.build(program, root, directory, cache)
    except KasmgenError as error:
        return error
