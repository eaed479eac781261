"""`overlays/<env>/kustomization.yaml`: kasmgen's entries beside those of people.

Ours are the entries that point into the base, `patches/`, `resources/` or
`secrets/`; everything else, comments and order too, stays as people wrote it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence, Set
from typing import Any

from kasmgen import yamledit, yamlio
from kasmgen.errors import InputError
from kasmgen.yamlio import Yaml

BASE = "../../base"
OURS = ("patches/", "resources/", "secrets/")
FILE = "kustomization.yaml"

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


def _path_of(entry: Any) -> Yaml:
    return entry.get("path") if isinstance(entry, dict) else entry


def _clean(entry: Any) -> str:
    path = _path_of(entry)
    return posixpath.normpath(path) if isinstance(path, str) else ""


def fresh(name: str, resources: Sequence[str], patches: Sequence[Yaml]) -> str:
    """A kustomization.yaml with nothing but kasmgen's entries."""
    lists = {"resources": list(resources), "patches": list(patches)}
    return _NEW.format(name=name) + "".join(yamlio.dump({k: items}) for k, items in lists.items() if items)


def own_content(text: str, source: str, kept: Set[str]) -> bool:
    """Whether people have anything in it that changes what is built."""
    value = yamlio.load(text, source) or {}
    plain = {
        k: items for k, items in value.items() if k not in ("apiVersion", "kind", "resources", "patches", "metadata")
    }
    lists = [*(value.get("resources") or ()), *(value.get("patches") or ())]
    return bool(plain) or not all(is_ours(_path_of(entry), kept) for entry in lists)


def update(
    text: str, source: str, resources: Sequence[str], patches: Sequence[Yaml], kept: Set[str] = frozenset()
) -> str:
    """`text` with kasmgen's entries brought to `resources` and `patches`; the same text if they are already.

    Raises InputError if the file is no Kustomization.
    """
    value = yamlio.load(text, source)
    if not isinstance(value, dict) or value.get("kind", "Kustomization") != "Kustomization":
        raise InputError(
            f"{source}: not a Kustomization", hint="an overlay's kustomization.yaml has kind: Kustomization"
        )
    for key in ("resources", "patches"):
        if not isinstance(value.get(key) or [], list):
            raise InputError(f"{source}: {key}: a list is expected")
    if _current(value, "resources", kept) == list(resources) and _current(value, "patches", kept) == list(patches):
        return text
    document = yamledit.load(text, source)
    _bring(document, "resources", list(resources), kept)
    _bring(document, "patches", list(patches), kept)
    return yamledit.dump(document, text)


def _current(value: dict[str, Yaml], key: str, kept: Set[str]) -> list[Yaml]:
    return [entry for entry in value.get(key) or () if is_ours(_path_of(entry), kept)]


def _bring(document: Any, key: str, wanted: list[Yaml], kept: Set[str]) -> None:
    """Change the list at `key` entry by entry, so that comments stay with what they stand at."""
    items = document.get(key)
    if not items:
        if wanted:
            document[key] = yamledit.to_node(wanted)
        return
    paths = {_clean(entry) for entry in wanted}
    for position in range(len(items) - 1, -1, -1):
        if is_ours(_path_of(items[position]), kept) and _clean(items[position]) not in paths:
            del items[position]
    place = 0
    for entry in wanted:
        found = next((i for i, item in enumerate(items) if _clean(item) == _clean(entry)), None)
        if found is None:
            items.insert(place, yamledit.to_node(entry))
            found = place
        elif isinstance(entry, dict) and yamlio.load(yamledit.dump(yamledit.to_node(entry))) != _plain(items[found]):
            items[found] = yamledit.to_node(entry)
        place = found + 1
    if not items:
        del document[key]


def _plain(node: Any) -> Yaml:
    return yamlio.load(yamledit.dump(node))
