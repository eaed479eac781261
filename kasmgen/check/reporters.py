"""Findings as text, JSON, SARIF 2.1.0, JUnit XML and annotations of GitHub."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from urllib.parse import quote
from xml.etree import ElementTree

from kasmgen import __version__
from kasmgen.check.results import CheckReport
from kasmgen.check.rule import ERROR, AnyRule, Finding
from kasmgen.safe_text import escaped

Rules = Mapping[str, AnyRule]

SCHEMA = "https://kasmgen.dev/schemas/v1/check.json"
HOME = "https://kasmgen.dev/docs/checks"


def clean(text: str) -> str:
    """`text` in one line that is what it shows: names and messages of tools may hold anything."""
    return escaped(text.replace("\n", " ").replace("\t", " "))


def _where(finding: Finding) -> str:
    line = f":{finding.line}" if finding.line else ""
    place = f"{finding.path}{line}" if finding.path else ""
    return " ".join(part for part in (place, f"({finding.object})" if finding.object else "") if part)


# --- text ----------------------------------------------------------------


def text(report: CheckReport, rules: Rules) -> str:
    """For people: by environment, each finding in a line and its next step below."""
    lines: list[str] = []
    for environment in sorted({finding.environment for finding in report.findings}):
        lines += ["", clean(environment) or "all environments"]
        shown = [finding for finding in report.findings if finding.environment == environment]
        for finding in sorted(shown, key=lambda finding: (finding.severity != ERROR, finding)):
            lines += _text_of(finding)
    for finding, reason in report.silenced:
        lines += ["", f"off: {finding.rule} {clean(_where(finding))}: {clean(reason)}"]
    del rules
    return "\n".join(lines).lstrip("\n")


def _text_of(finding: Finding) -> list[str]:
    where = clean(_where(finding))
    head = f"  {finding.severity:<7} {finding.rule} {where}{': ' if where else ''}{clean(finding.message)}"
    return [head, f"          next: {clean(finding.next_step)}"]


# --- JSON ----------------------------------------------------------------


def as_json(report: CheckReport, rules: Rules) -> str:
    """The documented form, `schemas/check.schema.json`."""
    value = {
        "$schema": SCHEMA,
        "version": 1,
        "environments": [clean(name) for name in report.environments],
        "errors": report.errors,
        "warnings": report.warnings,
        "findings": [_json_of(finding, rules) for finding in report.findings],
        "off": [{**_json_of(finding, rules), "reason": clean(reason)} for finding, reason in report.silenced],
        "skipped": [clean(what) for what in report.skipped],
    }
    return json.dumps(value, indent=2, ensure_ascii=False)


def _json_of(finding: Finding, rules: Rules) -> dict[str, object]:
    value: dict[str, object] = {
        "rule": finding.rule,
        "severity": finding.severity,
        "title": rules[finding.rule].title,
        "environment": clean(finding.environment),
        "path": clean(finding.path),
        "object": clean(finding.object),
        "message": clean(finding.message),
        "nextStep": clean(finding.next_step),
    }
    return value | ({"line": finding.line} if finding.line else {})


# --- SARIF ---------------------------------------------------------------


def sarif(report: CheckReport, rules: Rules) -> str:
    """SARIF 2.1.0 (OASIS): one run; findings that are switched off are suppressed results."""
    listed = sorted(rules)
    driver = {
        "name": "kasmgen",
        "version": __version__,
        "informationUri": HOME,
        "rules": [_sarif_rule(rules[rule]) for rule in listed],
    }
    results = [_sarif_result(finding, listed) for finding in report.findings]
    for finding, reason in report.silenced:
        suppression = {"kind": "external", "justification": clean(reason)}
        results.append({**_sarif_result(finding, listed), "suppressions": [suppression]})
    value = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results, "columnKind": "unicodeCodePoints"}],
    }
    return json.dumps(value, indent=2, ensure_ascii=False)


def _sarif_rule(rule: AnyRule) -> dict[str, object]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.meaning},
        "help": {"text": rule.next_step},
        "helpUri": f"{HOME}#{rule.id.lower()}",
        "defaultConfiguration": {"level": rule.severity},
    }


def _sarif_result(finding: Finding, listed: list[str]) -> dict[str, object]:
    about = ": ".join(clean(part) for part in (finding.environment, finding.object, finding.message) if part)
    result: dict[str, object] = {
        "ruleId": finding.rule,
        "ruleIndex": listed.index(finding.rule),
        "level": finding.severity,
        "message": {"text": f"{about}. Next: {clean(finding.next_step)}"},
    }
    # Code scanning shows only what has a place; what is about the whole project is about its inputs.
    path = finding.path or "kasmgen.yaml"
    uri = quote(path.encode("utf-8", "surrogateescape"))
    region = {"region": {"startLine": finding.line or 1}}
    result["locations"] = [{"physicalLocation": {"artifactLocation": {"uri": uri}, **region}}]
    return result


# --- JUnit ---------------------------------------------------------------


def junit(report: CheckReport, rules: Rules) -> str:
    """JUnit XML: a suite for each environment, a case for each rule; one with findings has failed.

    Warnings stand in `system-out` of their case, which JUnit does not count as failed.
    """
    suites = ["", *(name for name in report.environments if name)]
    suites += sorted({finding.environment for finding in report.findings} - set(suites))
    total = {"tests": str(len(suites) * len(rules)), "failures": str(_failed(report.findings))}
    root = ElementTree.Element("testsuites", {"name": "kasmgen check", **total})
    for environment in suites:
        _add_suite(
            root, [finding for finding in report.findings if finding.environment == environment], environment, rules
        )
    ElementTree.indent(root, "")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, "unicode")}'


def _failed(findings: tuple[Finding, ...] | list[Finding]) -> int:
    return len({(finding.environment, finding.rule) for finding in findings if finding.severity == ERROR})


def _add_suite(root: ElementTree.Element, findings: list[Finding], environment: str, rules: Rules) -> None:
    name = clean(environment) or "project"
    count = {"tests": str(len(rules)), "failures": str(_failed(findings))}
    suite = ElementTree.SubElement(root, "testsuite", {"name": name, **count})
    for rule in sorted(rules):
        title = f"{rule} {rules[rule].title}"
        case = ElementTree.SubElement(suite, "testcase", {"classname": name, "name": title})
        if own := [finding for finding in findings if finding.rule == rule]:
            _add_findings(case, rules[rule], own)


def _add_findings(case: ElementTree.Element, rule: AnyRule, findings: list[Finding]) -> None:
    if rule.severity == ERROR:
        told = ElementTree.SubElement(case, "failure", {"type": rule.id, "message": clean(findings[0].message)})
    else:
        told = ElementTree.SubElement(case, "system-out")
    told.text = "\n".join(f"{clean(_where(f))}: {clean(f.message)}; next: {clean(f.next_step)}" for f in findings)


# --- GitHub --------------------------------------------------------------


def github(report: CheckReport, rules: Rules) -> str:
    """Workflow commands of GitHub Actions, one line for each finding."""
    del rules
    return "\n".join(_github_of(finding) for finding in report.findings)


def _github_of(finding: Finding) -> str:
    about = ": ".join(clean(part) for part in (finding.environment, finding.object, finding.message) if part)
    pairs = {"title": finding.rule, "file": clean(finding.path), "line": str(finding.line or "")}
    properties = ",".join(f"{key}={_property(value)}" for key, value in pairs.items() if value)
    return f"::{finding.severity} {properties}::{_data(f'{about}. Next: {clean(finding.next_step)}')}"


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")


FORMATS: dict[str, Callable[[CheckReport, Rules], str]] = {
    "text": text,
    "json": as_json,
    "sarif": sarif,
    "junit": junit,
    "github": github,
}
"""Name of a format -> what writes it."""
