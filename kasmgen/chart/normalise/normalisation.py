"""What a normalisation is, and the small edits that all of them make."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from kasmgen.kubernetes.fields import get, mapping
from kasmgen.kubernetes.resources import Note, Object
from kasmgen.yaml.documents import Yaml


@dataclass
class NormalisationContext:
    """What a normalisation may know beside the object, and where it writes what it did.

    selected: Helm's labels that some selector asks pods for. selected_anywhere: those that
    it may ask any object for.
    """

    namespace: str
    scopes: dict[tuple[str, str], bool] = field(default_factory=dict)
    selected: frozenset[str] = frozenset()
    selected_anywhere: frozenset[str] = frozenset()
    notes: list[Note] = field(default_factory=list)

    def note(self, rule: str, obj: Object, detail: str = "") -> None:
        self.notes.append(Note(rule, f"{obj.get('kind')} {get(obj, 'metadata.name')}", detail))


Normalisation: TypeAlias = Callable[[Object, NormalisationContext], Object | None]


def without_entries(mapping: dict[str, Yaml], key: str, gone: Iterable[str]) -> dict[str, Yaml]:
    """`mapping` with the entries `gone` taken out of the mapping at `key`, which goes too if that empties it."""
    gone = set(gone)
    kept = {k: v for k, v in mapping[key].items() if k not in gone}
    rest = {k: v for k, v in mapping.items() if k != key}
    return {**rest, key: kept} if kept else rest


def annotate(obj: Object, annotations: Mapping[str, str]) -> Object:
    """`obj` with these annotations added."""
    merged = {**mapping(obj, "metadata.annotations"), **annotations}
    return {**obj, "metadata": {**mapping(obj, "metadata"), "annotations": merged}}
