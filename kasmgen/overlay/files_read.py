"""Which files of a repository an overlay's build reads, found without building it."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterator

from kasmgen.errors import InputError
from kasmgen.layout.paths import KUSTOMIZATION, KUSTOMIZATION_NAMES
from kasmgen.yaml import documents as yaml_documents
from kasmgen.yaml.documents import Yaml

MOST_DIRECTORIES = 1_000
_LONGEST_PATH = 4_096


def of(directory: str, files: Collection[str], read: Callable[[str], bytes]) -> frozenset[str]:
    """Paths that building `directory` may read: its own, and what its kustomizations point to, further down too.

    files: every path of the repository. read: the content of one. Whatever looks like
    a path in a kustomization and is one counts, so the set may be too large but leaves
    nothing out. Where that cannot be told (a kustomization that we cannot read, or too
    many of them), it is the whole repository: kustomize may be able to read it.
    """
    below = _Tree(files)
    found: set[str] = set()
    waiting = [posixpath.normpath(directory)]
    seen: set[str] = set()
    while waiting:
        here = waiting.pop()
        if here in seen:
            continue
        seen.add(here)
        found.update(below.directory(here))
        texts = _of_kustomizations(here, below, read)
        if texts is None or len(seen) > MOST_DIRECTORIES:
            return frozenset(files)
        for text in texts:
            target = posixpath.normpath(posixpath.join(here, text))
            if target in below.files:
                found.add(target)
            elif target not in seen and below.has_directory(target):
                waiting.append(target)
    return frozenset(found)


def named(directory: str, text: str, files: Collection[str]) -> list[str]:
    """Files that a kustomization.yaml (its text) in `directory` names, folders by their own kustomization."""
    try:
        values = [document.value for document in yaml_documents.load_all(text, KUSTOMIZATION)]
    except InputError:
        return []
    below = frozenset(files)
    found: set[str] = set()
    for leaf in (leaf for value in values for leaf in _leaves(value)):
        target = posixpath.normpath(posixpath.join(directory, leaf))
        found.update(path for path in (target, *(f"{target}/{name}" for name in KUSTOMIZATION_NAMES)) if path in below)
    return sorted(found)


class _Tree:
    """The repository's files by directory."""

    def __init__(self, files: Collection[str]) -> None:
        self.files = frozenset(files)
        self._by_directory: dict[str, set[str]] = {}
        for path in files:
            parent = posixpath.dirname(path)
            while True:
                self._by_directory.setdefault(parent or ".", set()).add(path)
                if not parent:
                    break
                parent = posixpath.dirname(parent)

    def has_directory(self, path: str) -> bool:
        return path in self._by_directory

    def directory(self, path: str) -> set[str]:
        return self._by_directory.get(path, set())


def _of_kustomizations(directory: str, tree: _Tree, read: Callable[[str], bytes]) -> list[str] | None:
    """What the kustomizations of a directory say, as far as it may be a path; None if one cannot be read."""
    paths = [posixpath.normpath(f"{directory}/{name}") for name in KUSTOMIZATION_NAMES]
    try:
        documents = [
            document
            for path in paths
            if path in tree.files
            for document in yaml_documents.load_all(read(path).decode("utf-8"), path)
        ]
    except (InputError, UnicodeDecodeError):
        return None
    return [text for document in documents for text in _leaves(document.value)]


def _leaves(value: Yaml) -> Iterator[str]:
    if isinstance(value, str):
        if len(value) <= _LONGEST_PATH and "\n" not in value:
            yield value
            # Generators name files as `key=path`.
            yield value.partition("=")[2] or value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
