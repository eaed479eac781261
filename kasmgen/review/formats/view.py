"""The report as it may be shown: every text masked, made harmless and shortened, once for all formats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, assert_never

from kasmgen.kubernetes.resources import Object
from kasmgen.review.changes import (
    AddedField,
    AddedItem,
    AddedObject,
    CertificateFacts,
    ChangedObject,
    FieldChange,
    MovedItem,
    ObjectChange,
    RemovedField,
    RemovedObject,
    RenamedObject,
    ReplacedField,
    Risk,
    SecretChange,
    Severity,
    path_text,
)
from kasmgen.review.formats.line_diff import Line, line_diff, one_sided
from kasmgen.review.formats.masked_text import Cleaner
from kasmgen.review.formats.shorten import shorten, shorten_pair
from kasmgen.review.grouping import FailedEnvironment, Report, ReportEntry, ReviewedEnvironment, State
from kasmgen.review.secret_changes import public_part
from kasmgen.secrets.sealed_file import SECTIONS
from kasmgen.yaml.documents import Yaml

_LONGEST_REASON = 600
_LONGEST_PATH = 400
# Kinds and environments are what a report is sorted by, and everybody sees them: they are not masked.
_OPEN = Cleaner(())
HIDDEN = "only hidden values differ"


@dataclass(frozen=True)
class FieldView:
    """One changed field. old, new: values of one line, None where there is none. lines: the diff of
    longer values, () where old and new say it all. note: a remark, "" without one."""

    path: str
    op: str
    old: str | None = None
    new: str | None = None
    lines: tuple[Line, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class EntryView:
    """One change of an object, as it is shown.

    was: the old name of a renamed object, with its namespace if that is another one.
    folded: (reason, number of fields) of what is not shown. quiet: nothing but such.
    lines: the whole object, of one that came or went.
    """

    op: str
    kind: str
    group: str
    name: str
    namespaces: tuple[str, ...]
    was: str
    environments: tuple[str, ...]
    severity: Severity | None
    risks: tuple[Risk, ...]
    secret: SecretChange | None
    fields: tuple[FieldView, ...]
    folded: tuple[tuple[str, int], ...]
    quiet: bool
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class EnvironmentView:
    """One environment with what happens in it; the numbers count objects and risks."""

    name: str
    state: State | Literal["failed"]
    error: str = ""
    added: int = 0
    changed: int = 0
    removed: int = 0
    renamed: int = 0
    quiet: int = 0
    errors: int = 0
    warnings: int = 0


@dataclass(frozen=True)
class ReportView:
    """Everything that is shown; nothing in it needs to be masked or escaped for a terminal any more."""

    base: str
    head: str
    severity: Severity | None
    environments: tuple[EnvironmentView, ...]
    entries: tuple[EntryView, ...]

    @property
    def shown(self) -> tuple[EntryView, ...]:
        """The entries that a reader needs to look at."""
        return tuple(entry for entry in self.entries if not entry.quiet)

    @property
    def quiet(self) -> tuple[EntryView, ...]:
        """The entries that are nothing but noise."""
        return tuple(entry for entry in self.entries if entry.quiet)


def view(report: Report) -> ReportView:
    """`report` as it may be shown."""
    clean = Cleaner(report.known)
    entries = tuple(_entry(entry, clean) for entry in report.entries)
    return ReportView(
        clean.line(report.base),
        clean.line(report.head),
        report.severity,
        tuple(_environment(environment, report.entries, clean) for environment in report.environments),
        entries,
    )


# --- environments --------------------------------------------------------


def _environment(
    environment: ReviewedEnvironment | FailedEnvironment, entries: Iterable[ReportEntry], clean: Cleaner
) -> EnvironmentView:
    name = _OPEN.line(environment.name)
    if isinstance(environment, FailedEnvironment):
        return EnvironmentView(name, "failed", clean.block(environment.error).strip(), errors=1)
    mine = [entry.change for entry in entries if environment.name in entry.environments]
    ops = Counter("quiet" if change.folded else change.op for change in mine)
    risks = Counter(risk.severity for change in mine for risk in change.risks)
    return EnvironmentView(
        name,
        environment.state,
        added=ops["add"],
        changed=ops["change"],
        removed=ops["remove"],
        renamed=ops["rename"],
        quiet=ops["quiet"],
        errors=risks["error"],
        warnings=risks["warning"],
    )


# --- entries -------------------------------------------------------------


def _entry(entry: ReportEntry, clean: Cleaner) -> EntryView:
    change = entry.change
    shown = [field for field in change.fields if not field.folded and not _told_by_secret(change, field)]
    return EntryView(
        op=change.op,
        kind=shorten(_OPEN.line(change.id.kind)),
        group=shorten(_OPEN.line(change.id.group)),
        name=shorten(clean.line(change.id.name)),
        namespaces=tuple(shorten(clean.line(namespace)) for namespace in entry.namespaces if namespace),
        was=_was(change, clean),
        environments=tuple(_OPEN.line(name) for name in entry.environments),
        severity=change.severity,
        risks=tuple(Risk(r.id, r.severity, shorten(clean.line(r.reason), _LONGEST_REASON)) for r in change.risks),
        secret=_secret(change.secret, clean) if change.secret else None,
        fields=tuple(_field(field, clean) for field in shown),
        folded=tuple(sorted(Counter(field.folded for field in change.fields if field.folded).items())),
        quiet=change.folded,
        lines=_whole(change, clean),
    )


def _was(change: ObjectChange, clean: Cleaner) -> str:
    if not isinstance(change, RenamedObject):
        return ""
    was = change.was
    # Masked before it is shortened: half of a value would not be found.
    name = shorten(clean.line(was.name))
    moved = was.namespace != change.id.namespace
    return f"{name} in {shorten(clean.line(was.namespace)) or 'no namespace'}" if moved else name


def _told_by_secret(change: ObjectChange, field: FieldChange) -> bool:
    return change.secret is not None and field.path[0] in (*SECTIONS, "sops")


def _whole(change: ObjectChange, clean: Cleaner) -> tuple[Line, ...]:
    match change:
        case AddedObject(new=obj):
            lines = one_sided(_text(change, obj, clean), "+")
        case RemovedObject(old=obj):
            lines = one_sided(_text(change, obj, clean), "-")
        case ChangedObject() | RenamedObject():
            lines = ()
        case _:
            assert_never(change)
    return lines


def _text(change: ObjectChange, obj: Object, clean: Cleaner) -> str:
    return clean.value(public_part(obj) if change.secret else obj)


def _secret(secret: SecretChange, clean: Cleaner) -> SecretChange:
    return SecretChange(
        tuple((shorten(clean.line(key)), state) for key, state in secret.keys),
        secret.sealed,
        secret.resealed,
        tuple(shorten(clean.line(recipient)) for recipient in secret.recipients_added),
        tuple(shorten(clean.line(recipient)) for recipient in secret.recipients_removed),
        _certificate(secret.certificate_old, clean),
        _certificate(secret.certificate_new, clean),
    )


def _certificate(certificate: CertificateFacts | None, clean: Cleaner) -> CertificateFacts | None:
    if certificate is None:
        return None

    def text(value: str) -> str:
        return shorten(clean.line(value))

    return CertificateFacts(
        tuple(text(name) for name in certificate.names),
        text(certificate.not_before),
        text(certificate.not_after),
        text(certificate.fingerprint),
        text(certificate.issued_by),
    )


# --- fields --------------------------------------------------------------


def _field(field: FieldChange, clean: Cleaner) -> FieldView:
    path = shorten(clean.line(path_text(field.path)), _LONGEST_PATH)
    match field:
        case MovedItem():
            shown = FieldView(path, "move", note=f"from place {field.old + 1} to place {field.new + 1}")
        case AddedField() | AddedItem():
            shown = _one_side(path, "add", clean.value(field.new))
        case RemovedField():
            shown = _one_side(path, "remove", clean.value(field.old))
        case ReplacedField():
            shown = _both_sides(path, field.old, field.new, clean)
        case _:
            assert_never(field)
    return shown


def _one_side(path: str, op: str, text: str) -> FieldView:
    one_line = text.removesuffix("\n")
    if "\n" in one_line:
        return FieldView(path, op, lines=one_sided(text, "+" if op == "add" else "-"))
    short = shorten(one_line.replace("\t", "\\t"))
    return FieldView(path, op, new=short) if op == "add" else FieldView(path, op, old=short)


def _both_sides(path: str, old: Yaml, new: Yaml, clean: Cleaner) -> FieldView:
    was, now = clean.value(old), clean.value(new)
    if isinstance(old, str) and isinstance(new, str) and ("\n" in old) != ("\n" in new):
        # One as YAML and one as it is would differ in their quotes.
        was, now = clean.block(old), clean.block(new)
    if was == now:
        return FieldView(path, "replace", note=HIDDEN)
    if "\n" in was.removesuffix("\n") or "\n" in now.removesuffix("\n"):
        return FieldView(path, "replace", lines=line_diff(was, now))
    pair = shorten_pair(was.removesuffix("\n").replace("\t", "\\t"), now.removesuffix("\n").replace("\t", "\\t"))
    note = "the newline at the end" if pair[0] == pair[1] else ""
    return FieldView(path, "replace", *pair, note=note)
