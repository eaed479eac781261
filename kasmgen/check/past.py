"""What an earlier revision built to, from Git's objects: the other side of rules about changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kasmgen.check.rules import leaks
from kasmgen.errors import InputError, KasmgenError
from kasmgen.kubernetes.resources import Object, ResourceId
from kasmgen.layout import paths
from kasmgen.overlay import verify
from kasmgen.repository import baseline, git, scratch
from kasmgen.repository.objects import Reader
from kasmgen.repository.snapshots import Bounds, Commit
from kasmgen.yaml.cache import ParseCache

if TYPE_CHECKING:
    from kasmgen.programs.kustomize import Kustomize


@dataclass(frozen=True)
class Past:
    """An earlier revision. shown: what to call it. changed: environments that may differ since.

    gone: environments that it has and the work tree has not.
    """

    commit: str
    shown: str
    changed: frozenset[str] = field(default=frozenset())
    gone: frozenset[str] = field(default=frozenset())


def find(reader: Reader, prefix: str, names: Sequence[str], base: str) -> Past | None:
    """The revision to compare with: `base`, or what `baseline` says; None if there is no commit.

    Raises InputError if `base` is no revision, MissingHistoryError as `baseline.find` does.
    """
    if base:
        commit = reader.commit_of(base)
        if commit is None:
            raise InputError(f"--base: {base} is no revision of this repository", hint="a shallow clone lacks history")
        return _past(reader, prefix, names, commit, base)
    found = baseline.find(reader)
    return _past(reader, prefix, names, found.commit, found.revision) if found else None


def _past(reader: Reader, prefix: str, names: Sequence[str], commit: str, shown: str) -> Past:
    differing = reader.differing(commit)
    return Past(commit, shown, _changed(differing, prefix, names), _gone(reader.repo, differing, prefix))


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


def write(reader: Reader, past: Past, into: Path) -> None:
    """The files of the revision, below the private directory `into`."""
    commit = Commit(reader, past.commit, past.shown, Bounds(file=leaks.LARGEST))
    paths = [path for path in commit.names if ".." not in path.split("/")]
    commit.prefetch(paths)
    scratch.write_tree(into, {path: content for path in paths if (content := commit.get(path)) is not None})


def build(
    program: Kustomize, top: Path, directory: str, cache: ParseCache
) -> Mapping[ResourceId, Object] | KasmgenError | None:
    """What an environment built to then; None if it was not there, an error if it did not build.

    top: where the files of the revision were written. directory: of the overlay, from there.
    """
    if not (top / directory / paths.KUSTOMIZATION).is_file():
        return None
    try:
        return verify.build_within(program, top, directory, cache)
    except KasmgenError as error:
        return error
