"""The report as one HTML file that needs nothing else: no network, no build step."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib import resources

from kasmgen.review.formats import json as formats_json
from kasmgen.review.formats import words
from kasmgen.review.formats.view import EnvironmentView, ReportView, view
from kasmgen.review.grouping import Report
from kasmgen.yaml.documents import Yaml


def render(report: Report) -> str:
    """One HTML page. What comes from manifests is in it as data only and can never run.

    The browser is told (Content-Security-Policy) to run nothing but this module's own
    script, by its hash, and to load nothing at all.
    """
    shown = view(report)
    style, script, page = (_asset(f"report.{suffix}") for suffix in ("css", "js", "html"))
    parts = {
        "TITLE": html.escape(words.verdict(shown)),
        "POLICY": _policy(script, style),
        "STYLE": style,
        "SCRIPT": script,
        "DATA": _data(report),
        "PLAIN": _plain(shown),
    }
    # One pass, so that nothing in the data is taken for a placeholder.
    head, *rest = page.split("{{")
    return head + "".join(parts[piece.partition("}}")[0]] + piece.partition("}}")[2] for piece in rest)


def _asset(name: str) -> str:
    return resources.files("kasmgen.review.formats").joinpath(name).read_text(encoding="utf-8")


def _policy(script: str, style: str) -> str:
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _data(report: Report) -> str:
    """The report as JSON that cannot end the element it stands in."""
    document = formats_json.document(report)
    names = [environment["name"] for environment in document["environments"]]
    numbers = {name: index for index, name in enumerate(names)}
    for change in document["changes"]:
        change["environments"] = _indices(change["environments"], numbers)
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _indices(environments: list[str], numbers: dict[str, int]) -> Yaml:
    """Positions of the environments; null for all of them, which is the usual case and would be long."""
    return None if len(environments) == len(numbers) else [numbers[name] for name in environments]


def _plain(shown: ReportView) -> str:
    """What a browser without scripts shows."""
    rows = "".join(map(_row, shown.environments))
    return (
        f"<h1>{html.escape(words.verdict(shown))}</h1>"
        "<p>The details need JavaScript, which this browser does not run.</p>"
        "<table><thead><tr><th>Environment</th><th>State</th><th>Objects</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _row(environment: EnvironmentView) -> str:
    cells = (environment.name, environment.state, environment.error or words.numbers(environment))
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
