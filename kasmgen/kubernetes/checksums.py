"""Hashes in annotations of pods, by which charts have pods restarted when a Secret or a ConfigMap changes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from kasmgen.kubernetes.resources import Note, Object, Render, ResourceId
from kasmgen.yaml import mappings
from kasmgen.yaml.documents import Yaml

_METADATA = ("spec", "template", "metadata")
_DIGEST = re.compile(r"[0-9a-f]{8,128}", re.I)


def of(obj: Object) -> dict[str, str]:
    """The annotations of a workload's pods that hold hashes."""
    annotations = mappings.get(obj, (*_METADATA, "annotations"))
    return {k: x for k, x in annotations.items() if _is_digest(k, x)} if isinstance(annotations, dict) else {}


def without(obj: Object, keys: frozenset[str] | None = None) -> Object:
    """A workload without those annotations, or without those of them that `keys` names."""
    gone = frozenset(of(obj)) if keys is None else keys
    return dict(mappings.replaced(obj, _METADATA, lambda found: _without(found, gone))) if gone else obj


def _without(metadata: dict[str, Yaml], gone: frozenset[str]) -> dict[str, Yaml]:
    kept = {key: value for key, value in metadata["annotations"].items() if key not in gone}
    rest = {key: value for key, value in metadata.items() if key != "annotations"}
    return {**rest, "annotations": kept} if kept else rest


def _is_digest(key: str, value: Yaml) -> bool:
    return "checksum" in key.lower() and isinstance(value, str) and bool(_DIGEST.fullmatch(value))


def without_random(first: Render, second: Render) -> tuple[Render, Render]:
    """Two renders without those hashes that are others in each: they are hashes of Secrets that are made anew.

    What they are for, `templates.mark_secrets` does in the overlay.
    """
    random: dict[ResourceId, frozenset[str]] = {}
    notes: list[Note] = []
    for key, item in first.objects.items():
        other = second.objects.get(key)
        after = of(other.object) if other else {}
        gone = frozenset(name for name, value in of(item.object).items() if after.get(name, value) != value)
        if gone:
            random[key] = gone
            notes.append(Note("hash of a random Secret removed from the pods", str(key), ", ".join(sorted(gone))))
    return replace(_cleared(first, random), notes=(*first.notes, *notes)), _cleared(second, random)


def _cleared(render: Render, gone: Mapping[ResourceId, frozenset[str]]) -> Render:
    kept = {
        key: replace(item, object=without(item.object, gone[key])) if key in gone else item
        for key, item in render.objects.items()
    }
    return replace(render, objects=kept)
