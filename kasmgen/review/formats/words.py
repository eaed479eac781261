"""The words that all formats share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kasmgen.quantities import count
from kasmgen.review.changes import CertificateFacts, SecretChange, Severity
from kasmgen.review.formats.view import EntryView, EnvironmentView, ReportView
from kasmgen.review.grouping import goes_along
from kasmgen.review.risks import TITLES

_MOST_NAMES = 20

OPS = {"add": "added", "remove": "removed", "change": "changed", "rename": "renamed"}
SIGNS = {"add": "+", "remove": "-", "replace": "~", "move": "↕", "change": "~", "rename": "→"}
STATES = {
    "added": "added",
    "removed": "removed",
    "changed": "changed",
    "resealed": "re-sealed (new data key; whether the value changed, only a private key can tell)",
    "sealed": "sealed (was in clear)",
    "unsealed": "in clear (was sealed)",
    "same": "same",
}
"""State of a Secret's key -> how it is told; those that matter first."""


def listed(names: Sequence[str], most: int) -> str:
    """Names in words, with the number of those left out."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


def title(risk: str) -> str:
    """What a reader calls a risk."""
    return TITLES.get(risk, risk)


def verdict(view: ReportView) -> str:
    """The whole report in one sentence."""
    failed = sum(environment.state == "failed" for environment in view.environments)
    differ = sum(environment.state not in ("same", "failed") for environment in view.environments)
    total = len(view.environments)
    parts = []
    if failed:
        parts.append(f"{count(failed, 'environment')} could not be built")
    if differ:
        parts.append(f"{differ:,} of {count(total, 'environment')} change{'s' if differ == 1 else ''}")
    elif not failed:
        return f"Nothing changes in {count(total, 'environment')}." if total else "There are no environments."
    else:
        parts.append("nothing changes in the others" if total > failed else "so nobody knows what changes")
    risks = [(risk.severity, risk.reason) for entry in view.entries for risk in entry.risks]
    errors, warnings = (sum(s == severity for s, _ in risks) for severity in ("error", "warning"))
    errors += failed
    tail = [count(n, word) for n, word in ((errors, "error"), (warnings, "warning")) if n]
    return "; ".join(parts) + (f" ({', '.join(tail)})" if tail else "") + "."


def where(entry: EntryView, view: ReportView, most: int) -> str:
    """The environments of an entry: "all 100 environments", or their names."""
    total = len(view.environments)
    if len(entry.environments) == total and total > 1:
        return f"all {total:,} environments"
    return listed(entry.environments, most)


def object_name(entry: EntryView) -> str:
    """Kind, name and namespace."""
    return f"{entry.kind} {entry.name}" + (f" in {listed(entry.namespaces, 3)}" if entry.namespaces else "")


def op_words(entry: EntryView) -> str:
    """What became of the object."""
    return OPS[entry.op] + (f" (was {entry.was})" if entry.was else "")


def numbers(environment: EnvironmentView) -> str:
    """What changes in an environment: "3 changed, 1 added"."""
    if environment.state == "failed":
        return "could not be built"
    found = [
        (environment.added, "added"),
        (environment.changed, "changed"),
        (environment.removed, "removed"),
        (environment.renamed, "renamed"),
        (environment.quiet, "only noise"),
    ]
    return ", ".join(f"{number:,} {word}" for number, word in found if number) or "nothing changes"


def secret_lines(secret: SecretChange) -> list[str]:
    """What became of a Secret, a line each; what stayed the same is counted."""
    lines = []
    for state, words in STATES.items():
        keys = [key for key, found in secret.keys if found == state]
        if keys and state != "same":
            lines += [f"{key}: {words}" for key in keys]
        elif keys:
            lines.append(f"same: {listed(keys, 12)}")
    if secret.resealed:
        lines.insert(0, "sealed again with a new data key")
    lines += [f"can decrypt it now: {recipient}" for recipient in secret.recipients_added]
    lines += [f"cannot decrypt it any more: {recipient}" for recipient in secret.recipients_removed]
    return lines + certificate_lines(secret)


def certificate_lines(secret: SecretChange) -> list[str]:
    """The certificate before and now, where it is another one."""
    old, new = secret.certificate_old, secret.certificate_new
    if old == new:
        return []
    return [f"certificate {word}: {_certificate(c)}" for word, c in (("before", old), ("now", new)) if c is not None]


def _certificate(certificate: CertificateFacts) -> str:
    names = listed(certificate.names, 8) or "no names"
    since = f"{certificate.not_before} to " if certificate.not_before else "until "
    issuer = f", issued by {certificate.issued_by}" if certificate.issued_by else ""
    return f"{names}; valid {since}{certificate.not_after}{issuer}"


def folded_line(entry: EntryView) -> str:
    """What is not shown of an entry, "" if nothing."""
    return ", ".join(f"{reason} ({number:,})" for reason, number in entry.folded)


def by_environment_state(view: ReportView) -> tuple[list[EntryView], list[WholeEnvironments]]:
    """(entries to tell one by one, what only comes or goes with its environment)."""
    whole = {environment.name for environment in view.environments if environment.state in ("added", "removed")}
    single: list[EntryView] = []
    along: dict[tuple[str, tuple[str, ...]], list[EntryView]] = {}
    for entry in view.shown:
        if whole.issuperset(entry.environments) and goes_along(entry.risks):
            along.setdefault((entry.op, entry.environments), []).append(entry)
        else:
            single.append(entry)
    return single, [WholeEnvironments(op, names, tuple(entries)) for (op, names), entries in along.items()]


@dataclass(frozen=True)
class WholeEnvironments:
    """Objects that come or go with these environments."""

    op: str
    environments: tuple[str, ...]
    entries: tuple[EntryView, ...]

    def title(self, most: int) -> str:
        """`Removed with environment test: 44 objects`."""
        names = f"environment{'' if len(self.environments) == 1 else 's'} {listed(self.environments, most)}"
        return f"{OPS[self.op].capitalize()} with {names}: {count(len(self.entries), 'object')}"

    def groups(self) -> list[tuple[Severity | None, str, list[str]]]:
        """(severity, what becomes of them, "Service (2): a, b" for each kind); every object is in one."""
        found: dict[tuple[Severity | None, str], list[EntryView]] = {}
        for entry in self.entries:
            risk = next((risk for risk in entry.risks if risk.id in _FATES), None)
            fate = (risk.severity, f"{title(risk.id)}: {_FATES[risk.id]}") if risk else (None, "")
            found.setdefault(fate, []).append(entry)
        return [(severity, words, _by_kind(entries)) for (severity, words), entries in found.items()]


_FATES = {
    "pruned": "Flux deletes them from the cluster",
    "stays-behind": "Flux leaves them in the cluster (prune: disabled) until somebody deletes them",
}


def _by_kind(entries: Iterable[EntryView]) -> list[str]:
    of_kind: dict[str, list[str]] = {}
    for entry in entries:
        of_kind.setdefault(entry.kind, []).append(entry.name)
    return [
        f"{kind}{f' ({len(names):,})' if len(names) > 1 else ''}: {listed(names, _MOST_NAMES)}"
        for kind, names in sorted(of_kind.items())
    ]
