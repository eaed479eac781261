"""The same change in many environments, told once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, assert_never

from kasmgen.kubernetes.resources import ResourceId, Secret
from kasmgen.review.changes import (
    SEVERITIES,
    AddedField,
    AddedItem,
    AddedObject,
    ChangedObject,
    FieldChange,
    MovedItem,
    ObjectChange,
    RemovedField,
    RemovedObject,
    RenamedObject,
    ReplacedField,
    Risk,
    Severity,
)
from kasmgen.review.secret_changes import public_part
from kasmgen.secrets.sealed_file import SECTIONS
from kasmgen.yaml.documents import Yaml

State = Literal["changed", "same", "added", "removed"]


@dataclass(frozen=True)
class ReviewedEnvironment:
    """One environment of the report, and what becomes of it."""

    name: str
    state: State


@dataclass(frozen=True)
class FailedEnvironment:
    """One environment that could not be built, and why; nobody knows what changes there."""

    name: str
    error: str


@dataclass(frozen=True)
class ReportEntry:
    """One change and the environments that it is made in.

    change: as it is in the first of them. namespaces: where the object lives, sorted.
    """

    change: ObjectChange
    environments: tuple[str, ...]
    namespaces: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """Everything a reviewer is told.

    environments: sorted by name. entries: worst first. base, head: what was compared,
    in words. known: values of Secrets to be masked in every text.
    """

    environments: tuple[ReviewedEnvironment | FailedEnvironment, ...]
    entries: tuple[ReportEntry, ...]
    base: str = ""
    head: str = ""
    known: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def failed(self) -> tuple[FailedEnvironment, ...]:
        """The environments that could not be built."""
        return tuple(environment for environment in self.environments if isinstance(environment, FailedEnvironment))

    @property
    def different(self) -> bool:
        """Whether anything changes at all, noise included."""
        return bool(self.failed) or any(
            isinstance(environment, ReviewedEnvironment) and environment.state != "same"
            for environment in self.environments
        )

    @property
    def severity(self) -> Severity | None:
        """The worst of all risks; an environment that failed is an error."""
        found = {entry.change.severity for entry in self.entries} | ({"error"} if self.failed else set())
        return next((severity for severity in SEVERITIES if severity in found), None)


def group(
    per_environment: Mapping[str, tuple[ObjectChange, ...]],
    *,
    added: Collection[str] = (),
    removed: Collection[str] = (),
    failed: Mapping[str, str] | None = None,
    base: str = "",
    head: str = "",
    known: Collection[str] = (),
) -> Report:
    """One report of all environments' changes.

    added, removed: environments that only one side has. failed: environment -> why it
    could not be built; its changes, if any are given, are left out, as they may be
    incomplete. known: values of Secrets to be masked besides those of the changes.
    """
    failed = failed or {}
    built = {name: changes for name, changes in sorted(per_environment.items()) if name not in failed}
    reviewed = [ReviewedEnvironment(name, _state(name, built[name], added, removed)) for name in built]
    unbuilt = [FailedEnvironment(name, error) for name, error in failed.items()]
    masked = frozenset(known).union(*(change.known for changes in built.values() for change in changes))
    whole = {environment.name for environment in reviewed if environment.state in ("added", "removed")}
    return Report(
        tuple(sorted([*reviewed, *unbuilt], key=lambda environment: environment.name)),
        tuple(sorted(_entries(built), key=lambda entry: _weight(entry, whole))),
        base,
        head,
        masked,
    )


def _state(name: str, changes: tuple[ObjectChange, ...], added: Collection[str], removed: Collection[str]) -> State:
    if name in added:
        return "added"
    if name in removed:
        return "removed"
    return "changed" if changes else "same"


def _entries(built: Mapping[str, tuple[ObjectChange, ...]]) -> list[ReportEntry]:
    found: dict[str, list[tuple[str, ObjectChange]]] = {}
    # In one environment, objects of two namespaces may change in the same way: those stay apart.
    for name, changes in built.items():
        seen: dict[str, int] = {}
        for change in changes:
            digest = _digest(change)
            seen[digest] = seen.get(digest, 0) + 1
            found.setdefault(f"{digest}/{seen[digest]}", []).append((name, change))
    return [
        ReportEntry(
            pairs[0][1],
            tuple(name for name, _ in pairs),
            tuple(sorted({change.id.namespace for _, change in pairs})),
        )
        for pairs in found.values()
    ]


def goes_along(risks: Iterable[Risk]) -> bool:
    """Whether it says enough of an object that it comes or goes with its environment."""
    return all(risk.severity == "info" or risk.id in _GOES_ALONG for risk in risks)


# What is true of everything in an environment that goes.
_GOES_ALONG = frozenset(["pruned", "stays-behind"])


def _weight(entry: ReportEntry, whole: set[str]) -> tuple[int, bool, bool, ResourceId, str, tuple[str, ...]]:
    """Worst first; what only comes or goes with its environment after what changes in one that stays."""
    severity, change = entry.change.severity, entry.change
    rank = SEVERITIES.index(severity) if severity else len(SEVERITIES)
    along = whole.issuperset(entry.environments) and goes_along(change.risks)
    return rank, along, change.folded, change.id, change.op, entry.environments


def _digest(change: ObjectChange) -> str:
    """What makes two changes the same one: what is changed and what comes of it.

    The namespace and ciphertexts differ from environment to environment by nature,
    and so do the values of what is folded. The digest covers values of Secrets, so it
    must never be shown.
    """
    key = change.id
    was = (change.was.name, change.was.namespace != key.namespace) if isinstance(change, RenamedObject) else None
    fields = [
        (list(map(str, f.path)), f.op, {} if f.folded else _values(f))
        for f in change.fields
        if not (change.secret and f.path[0] in (*SECTIONS, "sops"))
    ]
    told = [
        key.kind,
        key.group,
        key.name,
        was,
        change.op,
        fields,
        _whole(change),
        repr(change.secret),
        repr(change.risks),
    ]
    text = json.dumps(told, sort_keys=True, default=_wrapped)
    return hashlib.sha256(text.encode()).hexdigest()


def _values(change: FieldChange) -> dict[str, Yaml]:
    match change:
        case AddedField(new=new):
            values = {"new": new}
        case AddedItem(new=new, position=position):
            values = {"new": new, "position": position}
        case RemovedField(old=old):
            values = {"old": old}
        case ReplacedField(old=old, new=new) | MovedItem(old=old, new=new):
            values = {"old": old, "new": new}
        case _:
            assert_never(change)
    return values


def _whole(change: ObjectChange) -> Yaml:
    """The object that came or went, without its namespace."""
    match change:
        case AddedObject(new=obj) | RemovedObject(old=obj):
            obj = public_part(obj) if change.secret else obj
        case ChangedObject() | RenamedObject():
            return None
        case _:
            assert_never(change)
    metadata = obj.get("metadata")
    return {**obj, "metadata": {**metadata, "namespace": ""}} if isinstance(metadata, dict) else obj


def _wrapped(value: object) -> object:
    if isinstance(value, Secret):
        return {"\0secret": value.reveal().decode()}
    raise TypeError(f"{type(value).__name__} is no YAML value")
