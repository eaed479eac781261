"""`check --staged`: the secret rules on what the next commit would hold, from Git's objects alone.

Nothing is rendered, built or read from the work tree, so that it can stand in front of every commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kasmgen.check.rule import Finding, run
from kasmgen.check.rules import leaks, sealed_files
from kasmgen.errors import InputError, RepositoryError
from kasmgen.layout import paths as layout_paths
from kasmgen.project import config, workspace
from kasmgen.project.config import Project
from kasmgen.repository import git
from kasmgen.repository.objects import Reader
from kasmgen.repository.snapshots import Bounds, Index
from kasmgen.yaml import documents


class StagedFiles:
    """The project as it is staged. Paths are relative to the project's root; `changed` differs from HEAD."""

    def __init__(self, repo: git.Repository, prefix: str) -> None:
        reader = Reader(repo)
        self._start = f"{prefix}/" if prefix else ""
        self._index = Index(reader, prefix, Bounds(file=leaks.LARGEST))
        self.paths = {path.removeprefix(self._start) for path in self._index.names | self._index.links}
        self.changed = {path.removeprefix(self._start) for path in reader.staged(prefix)}
        self._loaded: set[str] = set()

    def load(self, paths: set[str]) -> None:
        """Read the files at `paths`, all of them at once; those that are too large are left out."""
        self._loaded = paths & self.paths
        self._index.prefetch(self._start + path for path in self._loaded)

    def read(self, path: str) -> bytes | None:
        """Content of a file that was loaded, None if it is not there or too large."""
        return self._index.get(self._start + path) if path in self._loaded else None


def check(start: Path) -> tuple[Project, list[Finding]]:
    """The project as it is staged, and what its secret rules find in what is staged.

    Raises RepositoryError if `start` is in no repository, InputError if no project is staged there.
    """
    repo = git.find(start)
    if repo is None:
        raise RepositoryError(f"{start} is in no Git repository")
    index = StagedFiles(repo, _prefix(repo, start))
    asked = _subjects(index)
    index.load(_needed(index, asked))
    text = index.read(layout_paths.PROJECT_FILE)
    if text is None:
        raise InputError(f"{layout_paths.PROJECT_FILE} is not staged", hint="`git add` it, or use `kasmgen check`")
    project = config.parse_project(text.decode("utf-8-sig", "replace"))
    return project, [*run(sealed_files.RULES, _tree(index, asked)), *_leaks(index)]


def _prefix(repo: git.Repository, start: Path) -> str:
    """Where the project is in the repository: at or above `start`, by its file on disk."""
    relative = git.toplevel_relative(repo, workspace.find_root(start))
    return "" if relative == "." else relative


def _subjects(index: StagedFiles) -> set[str]:
    """The sealed files that are in question: those that are staged, and those that a staged file is about."""
    sealed = {path for path in index.paths if layout_paths.is_sealed(path)}
    if layout_paths.SOPS_FILE in index.changed:
        return sealed
    about = {layout_paths.environment(path) for path in index.changed if path.endswith("/kustomization.yaml")} - {""}
    if any(path.startswith(f"{layout_paths.BASE}/") for path in index.changed):
        about |= {layout_paths.environment_of_sealed(path) for path in sealed}
    return {
        path for path in sealed if path in index.changed or layout_paths.environment_of_sealed(path) in about - {""}
    }


def _needed(index: StagedFiles, asked: set[str]) -> set[str]:
    environments = {layout_paths.environment_of_sealed(path) for path in asked} - {""}
    overlays = {f"{layout_paths.overlay(name)}/kustomization.yaml" for name in environments}
    plain = {path for path in index.paths if asked and _may_be_plain(path, environments)}
    return {layout_paths.PROJECT_FILE, layout_paths.SOPS_FILE, *asked, *overlays, *plain, *index.changed}


def _may_be_plain(path: str, environments: set[str]) -> bool:
    """Whether a Secret in this file would stand beside the sealed ones. kasmgen names files by kind."""
    if not layout_paths.is_yaml(path) or layout_paths.is_sealed(path):
        return False
    if path.startswith(f"{layout_paths.BASE}/"):
        return "secret" in path.rpartition("/")[2].lower()
    return layout_paths.environment(path) in environments and "/secrets/" in path


def _tree(index: StagedFiles, asked: set[str]) -> sealed_files.SecretTree:
    files = tuple(
        sealed_files.read(path, content) for path in sorted(asked) if (content := index.read(path)) is not None
    )
    environments = {file.environment for file in files} - {""}
    return sealed_files.SecretTree(
        files=files,
        config=index.read(layout_paths.SOPS_FILE),
        resources={name: _resources(index, name) for name in environments},
        plain=sealed_files.plain_secrets(_documents(index)),
    )


def _resources(index: StagedFiles, name: str) -> frozenset[str]:
    path = f"{layout_paths.overlay(name)}/kustomization.yaml"
    return sealed_files.resources_of(index.read(path) or b"", path)


def _documents(index: StagedFiles) -> Iterator[tuple[str, object]]:
    for path in index.paths:
        content = index.read(path)
        if content and layout_paths.is_yaml(path) and not layout_paths.is_sealed(path) and b"Secret" in content:
            try:
                for document in documents.load_all(content.decode("utf-8"), path):
                    yield path, document.value
            except (InputError, UnicodeDecodeError):
                continue


def _leaks(index: StagedFiles) -> Iterator[Finding]:
    templates = leaks.chart_directories(index.paths)
    for path in sorted(index.changed & index.paths):
        text = leaks.Text(path, index.read(path), layout_paths.environment(path), in_chart=path.startswith(templates))
        yield from run(leaks.RULES, text)
