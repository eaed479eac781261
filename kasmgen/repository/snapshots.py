"""The files of the project at one place: a commit, or the work tree."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, TypeVar

from kasmgen.errors import InputError
from kasmgen.repository import git, objects

WORK_TREE = "the work tree"


MOST_BYTES = 512 * 1024 * 1024
"""All files of one side together; an overlay that reads more is refused."""


T = TypeVar("T")


class Files(Protocol):
    """The files of one side, by path from the Git root."""

    label: str

    @property
    def paths(self) -> frozenset[str]:
        """Every regular file."""

    @property
    def links(self) -> frozenset[str]:
        """Every symbolic link. They are not followed, as Flux drops them."""

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
        self.commit = commit
        self._repo = repo
        entries = objects.tree_entries(repo, commit)
        self._blobs = {path: entry.blob for path, entry in entries.items() if entry.mode.startswith("100")}
        self._links = frozenset(path for path, entry in entries.items() if entry.mode == objects.LINK)
        self._contents: dict[str, bytes] = {}

    @property
    def paths(self) -> frozenset[str]:
        return frozenset(self._blobs)

    @property
    def links(self) -> frozenset[str]:
        return self._links

    def prefetch(self, paths: Iterable[str]) -> None:
        missing = {self._blobs[path] for path in paths} - self._contents.keys()
        _demand_bounded(sum(objects.sizes(self._repo, missing).values()))
        self._contents.update(objects.contents(self._repo, missing))

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
        found = git.files(repo)
        self._links = frozenset(path for path in found if (repo.root / path).is_symlink())
        self._paths = frozenset(path for path in found if path not in self._links and (repo.root / path).is_file())
        self._identities: dict[str, str] = {}

    @property
    def paths(self) -> frozenset[str]:
        return self._paths

    @property
    def links(self) -> frozenset[str]:
        return self._links

    def prefetch(self, paths: Iterable[str]) -> None:
        _demand_bounded(sum(self._of(path, lambda place: place.stat().st_size) for path in paths))

    def read(self, path: str) -> bytes:
        return self._of(path, Path.read_bytes)

    def identity(self, path: str) -> str:
        if path not in self._identities:
            self._identities[path] = self._of(path, _blob_id)
        return self._identities[path]

    def _of(self, path: str, ask: Callable[[Path], T]) -> T:
        try:
            return ask(self._root / path)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from None


def _blob_id(place: Path) -> str:
    digest = hashlib.sha1(b"blob %d\0" % place.stat().st_size, usedforsecurity=False)
    with place.open("rb") as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()


def _demand_bounded(size: int) -> None:
    if size > MOST_BYTES:
        raise InputError(f"the overlays read more than {MOST_BYTES // 2**20} MiB")
