"""What kustomize, and with it Flux, cannot carry from a file to the cluster.

Each rule was tried on kustomize 5.8.1; nothing that a file says can avoid them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kasmgen.kubernetes.equality import Difference, pointer, short
from kasmgen.kubernetes.resources import Object, ResourceId
from kasmgen.yaml.documents import Yaml

_CHARACTERS = re.compile("[\x7f-\x9f\ufffe\uffff]")
_KEY_LENGTH = 1000
_MERGE = "<<"  # YAML 1.1's merge key, which kustomize obeys even in quotes
_OWN_ANNOTATIONS = re.compile(
    r"config\.kubernetes\.io/(?:index|path|origin|local-config)|config\.k8s\.io/id"
    r"|alpha\.config\.kubernetes\.io/transformations"
    r"|internal\.config\.kubernetes\.io/.*"
)


def find(obj: Object) -> list[Difference]:
    """Every place of `obj` that kustomize refuses or changes whatever stands in the files; usually none."""
    key = ResourceId.of(obj)
    texts = () if _carried(obj) else _texts("", obj)
    return [Difference(key, path, why) for path, why in (*_shape(obj), *_annotations(obj), *texts)]


def _shape(obj: Object) -> Iterator[tuple[str, str]]:
    if str(obj["kind"]).endswith("List") and isinstance(obj.get("items"), list):
        yield "/items", "kustomize takes the object for a list of objects and unwraps it"


def _annotations(obj: Object) -> Iterator[tuple[str, str]]:
    metadata = obj["metadata"]
    if "annotations" not in metadata:
        return
    annotations, path = metadata["annotations"], "/metadata/annotations"
    if not annotations or not isinstance(annotations, dict):
        yield path, f"kustomize drops annotations that are {short(annotations)}"
        return
    for key, value in annotations.items():
        if not isinstance(value, str):
            yield pointer(path, key), f"kustomize turns the annotation {short(value)} into text"
        elif value.startswith("\t") and "\n" in value:
            yield pointer(path, key), "kustomize cannot write an annotation of several lines that begins with a tab"
        elif _OWN_ANNOTATIONS.fullmatch(key):
            yield pointer(path, key), "kustomize keeps this annotation for itself"


def _carried(value: Yaml) -> bool:
    """Whether `_texts` finds nothing: asked first, because it makes no paths."""
    if isinstance(value, str):
        return _CHARACTERS.search(value) is None
    if isinstance(value, dict):
        return all(map(_key_carried, value)) and all(map(_carried, value.values()))
    return not isinstance(value, list) or all(map(_carried, value))


def _key_carried(key: str) -> bool:
    return key != _MERGE and len(key) <= _KEY_LENGTH and _CHARACTERS.search(key) is None


def _texts(path: str, value: Yaml) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, below in value.items():
            here = pointer(path, key)
            if len(key) > _KEY_LENGTH:
                yield path, f"the key {short(key)} is longer than {_KEY_LENGTH} characters"
            if key == _MERGE:
                yield here, "kustomize drops this key, which means merging in YAML 1.1, even in quotes"
            yield from ((here, f"the key {why}") for why in _bad_character(key))
            yield from _texts(here, below)
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _texts(pointer(path, index), below)
    elif isinstance(value, str):
        yield from ((path, f"the text {why}") for why in _bad_character(value))


def _bad_character(text: str) -> Iterator[str]:
    found = _CHARACTERS.search(text)
    if found:
        yield f"has U+{ord(found[0]):04X}, which kustomize cannot read; put it into binaryData"
