"""What a review consists of: the changes of an object, with enough in them to make the new one from the old."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from kasmgen.kubernetes.resources import Object, ResourceId
from kasmgen.yaml.documents import Yaml

Severity = Literal["info", "warning", "error"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
"""Worst first."""


@dataclass(frozen=True, order=True)
class Key:
    """The item of a list that has these values: `containers[web]` is Key((("name", "web"),)).

    A name with a dot looks into the item (`metadata.name`).
    """

    fields: tuple[tuple[str, str | int | float | bool | None], ...]

    def __str__(self) -> str:
        return "/".join(str(value) for _, value in self.fields)


Step: TypeAlias = str | int | Key
"""One step into an object: the key of a mapping, a position in the old list, or a keyed item of it."""

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")


def path_text(path: Iterable[Step]) -> str:
    """A path as people write it: `spec.containers[web].env[A]`, odd keys in quotes."""
    out = ""
    for step in path:
        if isinstance(step, str):
            plain = _PLAIN_KEY.fullmatch(step)
            out += (f".{step}" if out else step) if plain else f'["{step}"]'
        else:
            out += f"[{step}]"
    return out


@dataclass(frozen=True)
class _OfField:
    """What all changes of fields share.

    path: where, in the old object. folded: why a reader need not look at it, "" where they should.
    """

    path: tuple[Step, ...]
    folded: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class AddedField(_OfField):
    """A key that a mapping has now."""

    op: ClassVar[Literal["add"]] = "add"
    new: Yaml = field(repr=False)


@dataclass(frozen=True)
class AddedItem(_OfField):
    """An item that a list has now. position: where in the new list; without keys, `path` ends with it too."""

    op: ClassVar[Literal["add"]] = "add"
    new: Yaml = field(repr=False)
    position: int


@dataclass(frozen=True)
class RemovedField(_OfField):
    """A key or an item that is there no more."""

    op: ClassVar[Literal["remove"]] = "remove"
    old: Yaml = field(repr=False)


@dataclass(frozen=True)
class ReplacedField(_OfField):
    """A value that is another one now."""

    op: ClassVar[Literal["replace"]] = "replace"
    old: Yaml = field(repr=False)
    new: Yaml = field(repr=False)


@dataclass(frozen=True)
class MovedItem(_OfField):
    """An item that stands elsewhere in its list. old, new: its positions."""

    op: ClassVar[Literal["move"]] = "move"
    old: int
    new: int


FieldChange: TypeAlias = AddedField | AddedItem | RemovedField | ReplacedField | MovedItem
"""One field that changed. Every case has `op`, the word for it in reports."""


@dataclass(frozen=True, order=True)
class Risk:
    """What a change does to a cluster: `id` for filters and rules, `reason` in words."""

    id: str
    severity: Severity
    reason: str


KeyState = Literal["added", "removed", "changed", "same", "resealed", "sealed", "unsealed"]
"""What became of a Secret's key.

resealed: under a new data key, so that nobody without a private key can tell whether
the value is another one. sealed, unsealed: in clear before, or now.
"""


@dataclass(frozen=True)
class CertificateFacts:
    """A certificate by its Secret's clear annotations, each as it stands there."""

    names: tuple[str, ...]
    not_before: str
    not_after: str
    fingerprint: str
    issued_by: str


@dataclass(frozen=True)
class SecretChange:
    """What became of a Secret; it holds no value.

    keys: (data key, state), sorted. resealed: whether the data key is another one.
    recipients: who can decrypt it now and could not before, and the other way round.
    certificate_old, certificate_new: None where there is none.
    """

    keys: tuple[tuple[str, KeyState], ...]
    sealed: bool
    resealed: bool = False
    recipients_added: tuple[str, ...] = ()
    recipients_removed: tuple[str, ...] = ()
    certificate_old: CertificateFacts | None = None
    certificate_new: CertificateFacts | None = None


@dataclass(frozen=True, kw_only=True)
class _Change:
    """What all changes of objects share.

    id: the new identity, of a removed object its last one. secret: only for Secrets.
    known: values of Secrets that must not be shown.
    """

    id: ResourceId
    secret: SecretChange | None = None
    risks: tuple[Risk, ...] = ()
    known: frozenset[str] = field(default=frozenset(), repr=False, compare=False)

    @property
    def old_id(self) -> ResourceId:
        """The identity before the change, of an added object its first one."""
        return self.id

    @property
    def severity(self) -> Severity | None:
        """The worst of its risks; None without any."""
        found = {risk.severity for risk in self.risks}
        return next((severity for severity in SEVERITIES if severity in found), None)

    @property
    def folded(self) -> bool:
        """Whether a reader need not look at it: nothing but noise changed, and nothing comes of it."""
        return False


@dataclass(frozen=True, kw_only=True)
class AddedObject(_Change):
    """An object that only the new build has. `old` is empty."""

    op: ClassVar[Literal["add"]] = "add"
    fields: ClassVar[tuple[FieldChange, ...]] = ()
    new: Object = field(repr=False)

    @property
    def old(self) -> Object:
        return {}


@dataclass(frozen=True, kw_only=True)
class RemovedObject(_Change):
    """An object that only the old build has. `new` is empty."""

    op: ClassVar[Literal["remove"]] = "remove"
    fields: ClassVar[tuple[FieldChange, ...]] = ()
    old: Object = field(repr=False)

    @property
    def new(self) -> Object:
        return {}


@dataclass(frozen=True, kw_only=True)
class _InBothBuilds(_Change):
    """old, new: the whole objects. fields: what makes the one into the other."""

    old: Object = field(repr=False)
    new: Object = field(repr=False)
    fields: tuple[FieldChange, ...]

    @property
    def folded(self) -> bool:
        return not self.risks and all(change.folded for change in self.fields)


@dataclass(frozen=True, kw_only=True)
class ChangedObject(_InBothBuilds):
    """An object of both builds that is not the same in them."""

    op: ClassVar[Literal["change"]] = "change"


@dataclass(frozen=True, kw_only=True)
class RenamedObject(_InBothBuilds):
    """An object that the new build has under another name or in another namespace. was: its old identity."""

    op: ClassVar[Literal["rename"]] = "rename"
    was: ResourceId

    @property
    def old_id(self) -> ResourceId:
        return self.was


ObjectChange: TypeAlias = AddedObject | RemovedObject | ChangedObject | RenamedObject
"""What became of one object. Values of Secrets that stand in clear are wrapped as `Secret`.

Every case has `op`, the word for it in reports, and `old`, `new` and `fields`.
"""
