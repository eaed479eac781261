"""`overlays/<env>/kustomization.yaml`: kasmgen's entries beside those of people.

Ours are the entries that point into the base, `patches/`, `resources/` or
`secrets/`; everything else, comments and order too, stays as people wrote it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence, Set

from kasmgen.errors import InputError
from kasmgen.yaml import documents, edit
from kasmgen.yaml.documents import Yaml

BASE = "../../base"
OURS = ("patches/", "resources/", "secrets/")

_NEW = """\
# The environment {name}: the base, and what makes it this environment.
# Entries that point into the base, patches/, resources/ and secrets/ are kasmgen's;
# add your own resources, patches, components and images beside them.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
"""


def is_ours(path: Yaml, kept: Set[str] = frozenset()) -> bool:
    """Whether an entry with this path is kasmgen's. kept: files of people that stand in our folders."""
    if not isinstance(path, str):
        return False
    clean = posixpath.normpath(path)
    return clean not in kept and (clean == BASE or clean.startswith(OURS))


def _path_of(entry: Yaml) -> Yaml:
    return entry.get("path") if isinstance(entry, dict) else entry


def _clean(entry: Yaml) -> str:
    path = _path_of(entry)
    return posixpath.normpath(path) if isinstance(path, str) else ""


def fresh(name: str, resources: Sequence[str], patches: Sequence[Yaml]) -> str:
    """A kustomization.yaml with nothing but kasmgen's entries."""
    lists = {"resources": list(resources), "patches": list(patches)}
    return _NEW.format(name=name) + "".join(documents.dump({k: items}) for k, items in lists.items() if items)


def own_content(text: str, source: str, kept: Set[str]) -> bool:
    """Whether people have anything in it that changes what is built."""
    value = documents.load(text, source) or {}
    plain = {
        k: items for k, items in value.items() if k not in ("apiVersion", "kind", "resources", "patches", "metadata")
    }
    lists = [*(value.get("resources") or ()), *(value.get("patches") or ())]
    return bool(plain) or not all(is_ours(_path_of(entry), kept) for entry in lists)


def update(
    text: str, source: str, resources: Sequence[str], patches: Sequence[Yaml], kept: Set[str] = frozenset()
) -> str:
    """`text` with kasmgen's entries brought to `resources` and `patches`, and nothing else changed.

    Entries of kasmgen that are right stay where people have put them. Raises InputError if the
    file is no Kustomization, or is written in a way that cannot be edited in place.
    """
    value = documents.load(text, source)
    if not isinstance(value, dict) or value.get("kind", "Kustomization") != "Kustomization":
        raise InputError(
            f"{source}: not a Kustomization", hint="an overlay's kustomization.yaml has kind: Kustomization"
        )
    for key, entries in (("resources", list(resources)), ("patches", list(patches))):
        if not isinstance(value.get(key) or [], list):
            raise InputError(f"{source}: {key}: a list is expected")
        text = _add(_drop(text, source, key, entries, kept), source, key, entries)
    return text


def _items(text: str, source: str, key: str) -> list[Yaml]:
    return list((documents.load(text, source) or {}).get(key) or [])


def _spelled(entry: Yaml) -> Yaml:
    """An entry with its path as kasmgen spells it."""
    return {**entry, "path": _clean(entry)} if isinstance(entry, dict) else _clean(entry)


def _drop(text: str, source: str, key: str, entries: list[Yaml], kept: Set[str]) -> str:
    """`text` without those entries of kasmgen's that are not among `entries`, or are there twice."""
    items = _items(text, source, key)
    gone = [
        position
        for position, item in enumerate(items)
        if is_ours(_path_of(item), kept)
        and (_spelled(item) not in entries or _clean(item) in map(_clean, items[:position]))
    ]
    for position in reversed(gone):
        text = edit.remove_item(text, key, position, source)
    return text


def _add(text: str, source: str, key: str, entries: list[Yaml]) -> str:
    """`text` with those of `entries` that it lacks.

    Each goes behind the one that stands before it in `entries`; what stands before all that are there goes before them.
    """
    there = [_clean(item) for item in _items(text, source, key)]
    ours = [_clean(entry) for entry in entries]
    place = min((there.index(path) for path in ours if path in there), default=0)
    for path, entry in zip(ours, entries, strict=True):
        if path not in there:
            lines = documents.dump([entry]).splitlines()
            text = edit.insert_item(text, key, place, lines, source)
            there.insert(place, path)
        place = there.index(path) + 1
    return text
