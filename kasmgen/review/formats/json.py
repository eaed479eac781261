"""The report for programs: `kasmgen/schemas/diff.schema.json` describes it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from kasmgen.review.changes import CertificateFacts, Risk, SecretChange
from kasmgen.review.formats import words
from kasmgen.review.formats.line_diff import Line
from kasmgen.review.formats.view import EntryView, EnvironmentView, FieldView, ReportView, view
from kasmgen.review.grouping import Report
from kasmgen.yaml.documents import Yaml

FORMAT = "kasmgen.dev/diff/v1"


def render(report: Report) -> str:
    """The report as one JSON document, indented, with a newline at the end."""
    return json.dumps(document(report), indent=2, ensure_ascii=False) + "\n"


def document(report: Report) -> dict[str, Yaml]:
    """The report as plain values."""
    shown = view(report)
    return {
        "format": FORMAT,
        "base": shown.base,
        "head": shown.head,
        "verdict": words.verdict(shown),
        "severity": shown.severity,
        "different": report.different,
        "failed": bool(report.failed),
        "environments": [_environment(environment) for environment in shown.environments],
        "changes": [_entry(entry) for entry in shown.entries],
        "riskTitles": _titles(shown),
    }


def _titles(shown: ReportView) -> dict[str, str]:
    return {risk.id: words.title(risk.id) for entry in shown.entries for risk in entry.risks}


def _environment(environment: EnvironmentView) -> dict[str, Yaml]:
    return {
        "name": environment.name,
        "state": environment.state,
        **({"error": environment.error} if environment.state == "failed" else {}),
        "added": environment.added,
        "changed": environment.changed,
        "removed": environment.removed,
        "renamed": environment.renamed,
        "quiet": environment.quiet,
        "errors": environment.errors,
        "warnings": environment.warnings,
    }


def _entry(entry: EntryView) -> dict[str, Yaml]:
    return {
        "op": entry.op,
        "kind": entry.kind,
        "group": entry.group,
        "name": entry.name,
        "namespaces": list(entry.namespaces),
        **({"was": entry.was} if entry.was else {}),
        "environments": list(entry.environments),
        "severity": entry.severity,
        "quiet": entry.quiet,
        "risks": [_risk(risk) for risk in entry.risks],
        **({"secret": _secret(entry.secret)} if entry.secret else {}),
        "fields": [_field(field) for field in entry.fields],
        "folded": [{"reason": reason, "fields": number} for reason, number in entry.folded],
        "lines": _lines(entry.lines),
    }


def _risk(risk: Risk) -> dict[str, Yaml]:
    return {"id": risk.id, "severity": risk.severity, "reason": risk.reason}


def _field(field: FieldView) -> dict[str, Yaml]:
    return {
        "path": field.path,
        "op": field.op,
        **({"old": field.old} if field.old is not None else {}),
        **({"new": field.new} if field.new is not None else {}),
        **({"lines": _lines(field.lines)} if field.lines else {}),
        **({"note": field.note} if field.note else {}),
    }


def _lines(lines: Sequence[Line]) -> list[str]:
    return [line.mark + line.text for line in lines]


def _secret(secret: SecretChange) -> dict[str, Yaml]:
    return {
        "keys": [{"key": key, "state": state} for key, state in secret.keys],
        "sealed": secret.sealed,
        "resealed": secret.resealed,
        "recipientsAdded": list(secret.recipients_added),
        "recipientsRemoved": list(secret.recipients_removed),
        "certificateOld": _certificate(secret.certificate_old),
        "certificateNew": _certificate(secret.certificate_new),
    }


def _certificate(certificate: CertificateFacts | None) -> dict[str, Yaml] | None:
    if certificate is None:
        return None
    return {
        "names": list(certificate.names),
        "notBefore": certificate.not_before,
        "notAfter": certificate.not_after,
        "fingerprint": certificate.fingerprint,
        "issuedBy": certificate.issued_by,
    }
