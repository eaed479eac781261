"""The words that all formats share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kasmgen.report.view import EntryView, EnvironmentView, ReportView
from kasmgen.steps.review.changes import Certificate, SecretChange
from kasmgen.steps.risks import TITLES

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


def count(number: int, one: str, many: str = "") -> str:
    """`number` with its unit: "1 error", "2 errors"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


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


def _certificate(certificate: Certificate) -> str:
    names = listed(certificate.names, 8) or "no names"
    since = f"{certificate.not_before} to " if certificate.not_before else "until "
    issuer = f", issued by {certificate.issued_by}" if certificate.issued_by else ""
    return f"{names}; valid {since}{certificate.not_after}{issuer}"


def folded_line(entry: EntryView) -> str:
    """What is not shown of an entry, "" if nothing."""
    return ", ".join(f"{reason} ({number:,})" for reason, number in entry.folded)


def by_environment_state(view: ReportView) -> tuple[list[EntryView], list[EntryView]]:
    """(entries to tell one by one, entries that only say that a whole environment comes or goes)."""
    whole = {environment.name for environment in view.environments if environment.state in ("added", "removed")}
    single: list[EntryView] = []
    summed: list[EntryView] = []
    for entry in view.shown:
        together = whole.issuperset(entry.environments) and entry.severity != "error"
        (summed if together else single).append(entry)
    return single, summed


def whole_environments(entries: Iterable[EntryView]) -> str:
    """How many objects of which kind come and go: "added 3 Deployment, 2 Service"."""
    found: dict[str, dict[str, int]] = {}
    for entry in entries:
        of_kind = found.setdefault(OPS[entry.op], {})
        of_kind[entry.kind] = of_kind.get(entry.kind, 0) + 1
    return "; ".join(f"{op} {_numbered(of_kind)}" for op, of_kind in sorted(found.items()))


def _numbered(of_kind: dict[str, int]) -> str:
    ordered = sorted(of_kind.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number:,} {kind}" for kind, number in ordered)
