"""What makes one object into another, in the form that a reviewer reads most easily."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from kasmgen.kubernetes.equality import equal
from kasmgen.kubernetes.resources import Object, ResourceId
from kasmgen.overlay import json_patch
from kasmgen.overlay.size import lines
from kasmgen.overlay.strategic_merge import DIRECTIVE, Inexpressible, merge_patch
from kasmgen.yaml.documents import Yaml


@dataclass(frozen=True)
class _OfObject:
    """id: the object as the base has it. version: its API version without the group."""

    id: ResourceId
    version: str


@dataclass(frozen=True)
class MergePatch(_OfObject):
    """A strategic merge patch: `content` has apiVersion, kind, metadata and what differs.

    targeted: False where a target would meet another object too, so that kustomize
    must go by the content's identity.
    """

    content: Object
    targeted: bool = True


@dataclass(frozen=True)
class DeletePatch(_OfObject):
    """Takes the object out of what is built. targeted: as of a `MergePatch`."""

    content: Object
    targeted: bool = True


@dataclass(frozen=True)
class JsonPatch(_OfObject):
    """RFC 6902 operations. They carry no identity, so they always need a target."""

    content: json_patch.Operations


Patch: TypeAlias = MergePatch | DeletePatch | JsonPatch
"""One change of one object of the base."""


def compute(base: Object, want: Object, *, form: Literal["auto", "json"] = "auto") -> Patch | None:
    """The patch that makes `want` of `base`; None if they are equal.

    "auto" prefers a strategic merge patch where kustomize's merge is exact and
    it is not much longer. "json" is exact for all that `jsonpatch.carries`.
    Raises ValueError if the two are objects of different kind or name.
    """
    key = ResourceId.of(base)
    other = ResourceId.of(want)
    if (key.group, key.kind, key.name) != (other.group, other.kind, other.name):
        raise ValueError(f"{key} cannot become {other}")
    if equal(base, want):
        return None
    operations = json_patch.operations(base, want)
    merged = _merge(base, want) if form == "auto" else None
    if merged is not None and (_reads_well(merged, operations) or not json_patch.carries(want)):
        return MergePatch(key, _version(base), merged)
    return JsonPatch(key, _version(base), operations)


def merge(base: Object, want: Object) -> MergePatch | None:
    """The strategic merge patch for the two, however long; None if there is no exact one."""
    content = _merge(base, want)
    return None if content is None else MergePatch(ResourceId.of(base), _version(base), content)


def delete(base: Object) -> DeletePatch:
    """The patch that takes the object out of what is built."""
    identity = {k: v for k, v in base["metadata"].items() if k in ("name", "namespace")}
    content = {
        DIRECTIVE: "delete",
        "apiVersion": base["apiVersion"],
        "kind": base["kind"],
        "metadata": identity,
    }
    return DeletePatch(ResourceId.of(base), _version(base), content)


def entry(patch: Patch, path: str) -> Yaml:
    """The entry of `patches:` in a kustomization.yaml for the patch that is stored at `path`.

    kustomize ignores a target that nothing matches, so whoever uses the entry
    has to look at what is built.
    """
    if not isinstance(patch, JsonPatch) and not patch.targeted:
        return {"path": path}
    target = {
        "group": patch.id.group,
        "version": patch.version,
        "kind": patch.id.kind,
        "name": _exactly(patch.id.name),
        "namespace": _exactly(patch.id.namespace),
    }
    return {"path": path, "target": {key: value for key, value in target.items() if value}}


def _exactly(text: str) -> str:
    """A regular expression (Go's RE2, which kustomize anchors) for `text` alone."""
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)


def _version(obj: Object) -> str:
    return str(obj["apiVersion"]).rpartition("/")[2]


def _merge(base: Object, want: Object) -> Object | None:
    try:
        return merge_patch(base, want)
    except Inexpressible:
        return None


def _reads_well(merged: Object, operations: json_patch.Operations) -> bool:
    """Whether the merge patch is the easier one to read.

    A mapping of the object's own shape is easier than paths and indexes even
    when it is longer; but not one that repeats a long list to keep its order.
    """
    return lines(merged) <= 2 * lines(operations) + 12
