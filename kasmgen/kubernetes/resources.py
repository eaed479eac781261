"""The values that flow through kasmgen: small, frozen, with an identity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from kasmgen.errors import InputError
from kasmgen.yaml.documents import Yaml

Object: TypeAlias = dict[str, Yaml]
"""A Kubernetes object as a plain mapping. Steps never change one in place; they return a new one."""

Tree: TypeAlias = Mapping[str, bytes]
"""Path from the project's root, with forward slashes -> content of the file."""


@dataclass(frozen=True, order=True)
class ResourceId:
    """What makes a Kubernetes object the same object: group, kind, namespace and name.

    The version is no part of it: apps/v1 and apps/v1beta1 address one object.
    `namespace` is "" for cluster-scoped objects.
    """

    kind: str
    namespace: str
    name: str
    group: str = ""

    @classmethod
    def of(cls, obj: Object) -> ResourceId:
        """The identity of `obj`. Raises InputError if kind, apiVersion or name are missing."""
        metadata = obj.get("metadata") if isinstance(obj, dict) else None
        if not isinstance(metadata, dict):
            raise InputError("a rendered document is no Kubernetes object: it has no metadata")
        kind, name, version = obj.get("kind"), metadata.get("name"), obj.get("apiVersion")
        for what, value in (("kind", kind), ("apiVersion", version), ("metadata.name", name)):
            if not isinstance(value, str) or not value:
                raise InputError(f"a rendered {kind or 'document'} {name or ''} has no {what}".replace("  ", " "))
        namespace = metadata.get("namespace") or ""
        return cls(str(kind), str(namespace), str(name), str(version).rpartition("/")[0])

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.kind} {self.name}{where}"


@dataclass(frozen=True)
class Rendered:
    """One object that the chart made, and the template it came from ("<chart>/templates/x.yaml")."""

    id: ResourceId
    object: Object
    template: str


@dataclass(frozen=True, order=True)
class Note:
    """One thing that a normalisation did: `rule` names it, `subject` the object, `detail` what exactly."""

    rule: str
    subject: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.rule}: {self.subject}" + (f": {self.detail}" if self.detail else "")


@dataclass(frozen=True)
class Render:
    """A chart's render, normalised: what a base or an environment is made of.

    objects: everything but Secrets. secrets: the Secrets, still with what the
    chart put into them (never to be written in clear). notes: what was normalised.
    """

    objects: Mapping[ResourceId, Rendered]
    secrets: Mapping[ResourceId, Rendered] = field(repr=False)
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Chart:
    """A chart as it was read: name and versions from Chart.yaml, `digest` "sha256:<hex>" of its files."""

    name: str
    version: str
    app_version: str
    digest: str
    path: str
    """Directory of the private copy that the engines render."""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Secret:
    """A value that must not be seen: masked wherever it is printed or logged."""

    __slots__ = ("_value",)

    def __init__(self, value: str | bytes) -> None:
        self._value = value.encode() if isinstance(value, str) else bytes(value)

    def reveal(self) -> bytes:
        """The value itself. Whoever calls this is responsible for where it goes."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a Secret is never pickled")


def by_id(objects: Iterable[Object]) -> dict[ResourceId, Object]:
    """Objects keyed by identity. Raises InputError if two are the same one."""
    out: dict[ResourceId, Object] = {}
    for obj in objects:
        key = ResourceId.of(obj)
        if key in out:
            raise InputError(f"two objects are the same {key}")
        out[key] = obj
    return out
