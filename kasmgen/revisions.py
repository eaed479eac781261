"""One side of a comparison: the project at a revision or in the work tree, ready to be built.

A revision is read from Git's objects; the work tree is not touched and nothing is checked out.
"""

from __future__ import annotations

import hashlib
import posixpath
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kasmgen import config, verify, yamlio
from kasmgen.errors import InputError, KasmgenError
from kasmgen.model import Object, ResourceId, by_id
from kasmgen.steps import closure
from kasmgen.tools import git, gitindex, history

WORK_TREE = "the work tree"
MOST_BYTES = 512 * 1024 * 1024
"""All files of one side together; an overlay that reads more is refused."""


class Files(Protocol):
    """The files of one side, by path from the Git root."""

    label: str

    @property
    def paths(self) -> frozenset[str]:
        """Every regular file."""

    def prefetch(self, paths: Iterable[str]) -> None:
        """Get ready to read these, all at once."""

    def read(self, path: str) -> bytes:
        """The content of one."""

    def identity(self, path: str) -> str:
        """Git's id of the content."""


class Revision:
    """The files of a commit."""

    def __init__(self, repo: git.Repository, commit: str, label: str) -> None:
        self.label = label
        self._repo = repo
        entries = gitindex.tree_entries(repo, commit)
        self._blobs = {path: entry.blob for path, entry in entries.items() if entry.mode.startswith("100")}
        self._contents: dict[str, bytes] = {}

    @property
    def paths(self) -> frozenset[str]:
        return frozenset(self._blobs)

    def prefetch(self, paths: Iterable[str]) -> None:
        missing = {self._blobs[path] for path in paths} - self._contents.keys()
        if sum(gitindex.sizes(self._repo, missing).values()) > MOST_BYTES:
            raise InputError(f"{self.label}: the overlays read more than {MOST_BYTES // 2**20} MiB")
        self._contents.update(gitindex.contents(self._repo, missing))

    def read(self, path: str) -> bytes:
        if self._blobs[path] not in self._contents:
            self.prefetch([path])
        return self._contents[self._blobs[path]]

    def identity(self, path: str) -> str:
        return self._blobs[path]


class WorkTree:
    """The files that git tracks or would add, as they are on disk."""

    label = WORK_TREE

    def __init__(self, repo: git.Repository) -> None:
        self._root = repo.root
        found = (path for path in git.files(repo))
        self._paths = frozenset(path for path in found if self._regular(path))

    def _regular(self, path: str) -> bool:
        place = self._root / path
        return place.is_file() and not place.is_symlink()

    @property
    def paths(self) -> frozenset[str]:
        return self._paths

    def prefetch(self, paths: Iterable[str]) -> None:
        if sum((self._root / path).stat().st_size for path in paths) > MOST_BYTES:
            raise InputError(f"{self.label}: the overlays read more than {MOST_BYTES // 2**20} MiB")

    def read(self, path: str) -> bytes:
        return (self._root / path).read_bytes()

    def identity(self, path: str) -> str:
        content = self.read(path)
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Overlay:
    """One environment on one side: what its build reads, and a hash over that."""

    name: str
    paths: frozenset[str]
    digest: str


class Side:
    """One side of a comparison. prefix: the project's directory from the Git root."""

    def __init__(self, files: Files, prefix: str, directory: Path) -> None:
        self.files = files
        self.prefix = prefix
        self._directory = directory
        self._written: set[str] = set()

    def _at(self, path: str) -> str:
        return posixpath.join(self.prefix, path) if self.prefix else path

    def environments(self) -> list[str]:
        """Names of the environments, sorted."""
        start = self._at(f"{config.OVERLAYS}/")
        names = (path.removeprefix(start) for path in self.files.paths if path.startswith(start))
        return sorted(
            {name.split("/")[0] for name in names if name.endswith(f"/{closure.NAMES[0]}") and name.count("/") == 1}
        )

    def overlay(self, name: str) -> Overlay:
        """What the environment's build reads, and its Flux objects."""
        directory = self._at(f"{config.OVERLAYS}/{name}")
        clusters = self._at(f"{config.CLUSTERS}/{name}/")
        paths = set(closure.closure(directory, self.files.paths, self.files.read))
        paths |= {path for path in self.files.paths if path.startswith(clusters)}
        digest = hashlib.sha256()
        for path in sorted(paths):
            digest.update(f"{path}\0{self.files.identity(path)}\n".encode(errors="surrogateescape"))
        return Overlay(name, frozenset(paths), digest.hexdigest())

    def write(self, overlays: Iterable[Overlay]) -> None:
        """Put what these overlays read into the private directory, all at once."""
        wanted = {path for overlay in overlays for path in overlay.paths} - self._written
        self.files.prefetch(wanted)
        for path in wanted:
            if ".." in path.split("/") or path.startswith("/"):
                raise InputError(f"{self.files.label}: the path {path} leads out of the repository")
            target = self._directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.files.read(path))
        self._written |= wanted

    def build(self, overlay: Overlay, cache: verify.ParseCache) -> dict[ResourceId, Object]:
        """What Flux would apply for the environment, its own Flux objects included.

        Raises KasmgenError if it does not build.
        """
        built = verify.build(self._directory, self._at(f"{config.OVERLAYS}/{overlay.name}"), cache)
        clusters = self._at(f"{config.CLUSTERS}/{overlay.name}/")
        for path in sorted(overlay.paths):
            if path.startswith(clusters) and path.endswith((".yaml", ".yml")):
                text = (self._directory / path).read_text(encoding="utf-8")
                documents = yamlio.load_all(text, path)
                built.update(by_id(document.value for document in documents if "kind" in (document.value or {})))
        return built

    def discard(self) -> None:
        """Remove what was written."""
        shutil.rmtree(self._directory, ignore_errors=True)


def resolve(repo: git.Repository, text: str) -> str | None:
    """The commit that `text` names, None if it names none."""
    return history.resolve(repo, text)


def default_base(repo: git.Repository) -> tuple[str, str]:
    """(commit, what to call it): where the branch left its upstream, else the last commit.

    Raises KasmgenError if there is no commit at all.
    """
    for upstream in ("@{upstream}", "origin/HEAD", "origin/main", "origin/master"):
        found = history.merge_base(repo, "HEAD", upstream) if history.resolve(repo, upstream) else None
        if found:
            return found, f"{found[:12]} (where the branch left {upstream.replace('@{upstream}', 'its upstream')})"
    head = git.head(repo)
    if head is None:
        raise InputError("there is no commit to compare with", hint="commit first, or name two revisions")
    return head, f"{head[:12]} (HEAD)"


def reason(error: KasmgenError) -> str:
    """Why a side could not be built, in one line."""
    return " ".join(error.message.split())


def same(old: Mapping[str, Overlay], new: Mapping[str, Overlay], name: str) -> bool:
    """Whether an environment's build reads the same bytes on both sides."""
    return name in old and name in new and old[name].digest == new[name].digest
