"""What a review consists of: the changes of an object, with enough in them to make the new one from the old."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

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
class FieldChange:
    """One field that changed.

    path: where, in the old object; the last step of an added item is its position
    in the new list. old, new: the values, None where there is none; of a moved item
    the positions. position: where in the new list an added item stands. folded: why
    a reader need not look at it, "" where they should.
    """

    path: tuple[Step, ...]
    op: Literal["add", "remove", "replace", "move"]
    old: Yaml = field(default=None, repr=False)
    new: Yaml = field(default=None, repr=False)
    position: int | None = None
    folded: str = ""


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


@dataclass(frozen=True)
class ObjectChange:
    """One object that was added, removed, changed or renamed.

    id: the new identity, of a removed object its last one. was: the old identity of
    a renamed one. old, new: the whole objects, values of Secrets that stand in clear
    wrapped as `Secret`. fields: the changes of a changed or renamed object.
    secret: only for Secrets. known: values of Secrets that must not be shown.
    """

    id: ResourceId
    op: Literal["add", "remove", "change", "rename"]
    old: Object | None = field(default=None, repr=False)
    new: Object | None = field(default=None, repr=False)
    fields: tuple[FieldChange, ...] = ()
    was: ResourceId | None = None
    secret: SecretChange | None = None
    risks: tuple[Risk, ...] = ()
    known: frozenset[str] = field(default=frozenset(), repr=False, compare=False)

    @property
    def severity(self) -> Severity | None:
        """The worst of its risks; None without any."""
        found = {risk.severity for risk in self.risks}
        return next((severity for severity in SEVERITIES if severity in found), None)

    @property
    def folded(self) -> bool:
        """Whether a reader need not look at it: nothing but noise changed, and nothing comes of it."""
        return self.op in ("change", "rename") and not self.risks and all(change.folded for change in self.fields)
