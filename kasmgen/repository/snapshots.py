"""The files of a repository at one place: a commit, the index, or the work tree.

Whoever compares or checks files reads them by this protocol and need not know where they stand.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from kasmgen.errors import InputError
from kasmgen.repository import objects
from kasmgen.repository.objects import Reader, TreeEntry

WORK_TREE = "the work tree"

T = TypeVar("T")


@dataclass(frozen=True)
class Bounds:
    """Bytes, None for any number. file: of one file; a larger one is not read. together: of all fetched at once."""

    file: int | None = None
    together: int | None = None

    def holds(self, size: int) -> bool:
        """Whether a file of this size is read."""
        return self.file is None or size <= self.file

    def demand(self, size: int) -> None:
        """Raise InputError if this is too much together."""
        if self.together is not None and size > self.together:
            raise InputError(f"the overlays read more than {self.together // 2**20} MiB")


ANY_SIZE = Bounds()


class Snapshot(Protocol):
    """The files of one place, by path from the Git root. label: what to call the place."""

    label: str

    @property
    def names(self) -> frozenset[str]:
        """Every regular file."""

    @property
    def links(self) -> frozenset[str]:
        """Every symbolic link. They are not followed, as Flux drops them."""

    def prefetch(self, paths: Iterable[str]) -> None:
        """Get ready to read these, all at once. Raises InputError if together they are more than the bounds."""

    def read(self, path: str) -> bytes:
        """The content of one. Raises InputError if it is no regular file, too large, or cannot be read."""

    def get(self, path: str) -> bytes | None:
        """The content of one; None where `read` raises InputError."""

    def identity(self, path: str) -> str:
        """Git's id of the content."""


class _Objects:
    """Files that are objects of Git. What is read of a symbolic link is where it leads."""

    def __init__(self, reader: Reader, entries: Mapping[str, TreeEntry], label: str, bounds: Bounds) -> None:
        self.label = label
        self._reader = reader
        self._bounds = bounds
        self._names = frozenset(path for path, entry in entries.items() if entry.mode.startswith("100"))
        self._links = frozenset(path for path, entry in entries.items() if entry.mode == objects.LINK)
        self._blobs = {path: entry.blob for path, entry in entries.items() if entry.mode != objects.SUBMODULE}
        self._contents: dict[str, bytes | None] = {}

    @property
    def names(self) -> frozenset[str]:
        return self._names

    @property
    def links(self) -> frozenset[str]:
        return self._links

    def prefetch(self, paths: Iterable[str]) -> None:
        missing = {self._blobs[path] for path in paths} - self._contents.keys()
        sizes = self._reader.sizes(missing)
        small = [blob for blob, size in sizes.items() if self._bounds.holds(size)]
        self._bounds.demand(sum(sizes[blob] for blob in small))
        contents = self._reader.contents(small)
        self._contents.update((blob, contents.get(blob)) for blob in missing)

    def read(self, path: str) -> bytes:
        content = self.get(path)
        if content is None:
            raise InputError(f"{path} cannot be read at {self.label}: it is not there, or too large")
        return content

    def get(self, path: str) -> bytes | None:
        if path not in self._blobs:
            return None
        if self._blobs[path] not in self._contents:
            self.prefetch([path])
        return self._contents[self._blobs[path]]

    def identity(self, path: str) -> str:
        return self._blobs[path]


class Commit(_Objects):
    """The files of a commit."""

    def __init__(self, reader: Reader, commit: str, label: str, bounds: Bounds = ANY_SIZE) -> None:
        super().__init__(reader, reader.tree(commit), label, bounds)
        self.commit = commit


class Index(_Objects):
    """The files that the next commit would hold, at or under `prefix`; a hook's index counts (see `objects`)."""

    def __init__(self, reader: Reader, prefix: str = "", bounds: Bounds = ANY_SIZE) -> None:
        super().__init__(reader, reader.next_commit(prefix), "the index", bounds)


class WorkTree:
    """The files that git tracks or would add, as they are on disk, at or under `prefix`.

    repositories: directories that are repositories of their own.
    """

    label = WORK_TREE

    def __init__(self, reader: Reader, prefix: str = "", bounds: Bounds = ANY_SIZE) -> None:
        self._root = reader.repo.root
        self._bounds = bounds
        start = f"{prefix}/" if prefix else ""
        links: set[str] = set()
        names: set[str] = set()
        repositories: set[str] = set()
        for path in reader.files():
            if path.startswith(start):
                place = self._root / path
                if place.is_symlink():
                    links.add(path)
                elif place.is_file():
                    names.add(path)
                elif place.is_dir():
                    repositories.add(path.rstrip("/"))
        self._links, self._names, self.repositories = frozenset(links), frozenset(names), frozenset(repositories)
        self._identities: dict[str, str] = {}

    @property
    def names(self) -> frozenset[str]:
        return self._names

    @property
    def links(self) -> frozenset[str]:
        return self._links

    def prefetch(self, paths: Iterable[str]) -> None:
        self._bounds.demand(sum(self._of(path, lambda place: place.stat().st_size) for path in paths))

    def read(self, path: str) -> bytes:
        return self._of(path, self._content)

    def get(self, path: str) -> bytes | None:
        try:
            return self.read(path)
        except InputError:
            return None

    def identity(self, path: str) -> str:
        if path not in self._identities:
            self._identities[path] = self._of(path, _blob_id)
        return self._identities[path]

    def _content(self, place: Path) -> bytes:
        status = place.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{place.relative_to(self._root)} is no regular file")
        if not self._bounds.holds(status.st_size):
            raise InputError(f"{place.relative_to(self._root)} is larger than {self._bounds.file:,} bytes")
        return place.read_bytes()

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
