"""Where objects stand in the base: one file per object, in folders by component."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from kasmgen.kubernetes.resources import Rendered, ResourceId
from kasmgen.layout import marks, paths
from kasmgen.overlay import patches
from kasmgen.yaml import documents

_WORD = re.compile(r"[^a-z0-9-]+")  # no dots: a folder must not be called kustomization.yaml
_LABELS = ("app.kubernetes.io/component", "app.kubernetes.io/name", "app")


def component(rendered: Rendered) -> str:
    """The folder of an object: the template's own folder, else what its labels name, else its subchart or kind.

    CRDs stand together, as they do in charts.
    """
    if rendered.id.kind == "CustomResourceDefinition":
        return "crds"
    parts = PurePosixPath(rendered.template).parts
    inner = parts[parts.index("templates") + 1 : -1] if "templates" in parts else ()
    if inner and _folder(inner[0]):
        return _folder(inner[0])
    if parts.count("charts"):
        return _folder(parts[len(parts) - 1 - parts[::-1].index("charts") + 1]) or "common"
    labels = (rendered.object.get("metadata") or {}).get("labels")
    for label in _LABELS:
        value = labels.get(label) if isinstance(labels, dict) else None
        if isinstance(value, str) and _folder(value):
            return _folder(value)
    return "common"


def _folder(text: str) -> str:
    return _WORD.sub("-", text.lower()).strip("-")[:60]


def base(objects: Mapping[ResourceId, Rendered], source: str) -> dict[str, bytes]:
    """Path -> content of the whole base: one stamped file per object and its `kustomization.yaml`.

    source: the chart and its version, for the stamp.
    """
    files: dict[str, bytes] = {}
    taken: dict[str, set[str]] = {}
    for key in sorted(objects):
        folder = component(objects[key])
        name = patches.file_name(key, taken.setdefault(folder, set()))
        files[f"{folder}/{name}"] = marks.stamp(documents.dump(objects[key].object).encode(), source)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": sorted(files),
    }
    files[paths.KUSTOMIZATION] = marks.stamp(documents.dump(kustomization).encode(), source)
    return {f"{paths.BASE}/{path}": content for path, content in files.items()}
