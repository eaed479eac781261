"""The report as a comment on a pull request, within a number of bytes."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence

from kasmgen.errors import InputError
from kasmgen.quantities import count
from kasmgen.review.formats import words
from kasmgen.review.formats.line_diff import Line, clip
from kasmgen.review.formats.view import EntryView, EnvironmentView, FieldView, ReportView, view
from kasmgen.review.grouping import Report

MARKER = "<!-- kasmgen diff -->"
"""First line of every comment, by which the next run finds it."""

MAX_BYTES = 60_000
LEAST_BYTES = 2_000
_SIGNS = {"error": "🛑", "warning": "⚠️", "info": "🔹", None: "▫️"}
_MOST_ENVIRONMENTS = 4
_MOST_ROWS = 25
_MOST_RISKS = 30
_MOST_WHOLE = 10
_MOST_LINES = 80
_LONGEST_RUN = 30
_MOST_FIELDS = 60
_FOR_THE_TAIL = 600


def render(report: Report, max_bytes: int = MAX_BYTES, full_report: str = "the full report") -> str:
    """GitHub-flavoured Markdown of at most `max_bytes` bytes (UTF-8).

    The summary comes first, then one collapsed block per object, worst first. What
    does not fit is left out whole and named at the end. full_report: where to find the
    rest, in words. Raises InputError for less than 2,000 bytes.
    """
    if max_bytes < LEAST_BYTES:
        raise InputError(f"--max-bytes {max_bytes} is too small for a summary", hint=f"give at least {LEAST_BYTES}")
    shown = view(report)
    out = _Budget(max_bytes - _FOR_THE_TAIL)
    left_out = [what for what, piece in _summary(shown) if not out.add(piece)]
    single, whole = words.by_environment_state(shown)
    if single or whole:
        out.add("### Objects\n")
    missing = [entry for entry in single if not out.add(_block(entry, shown))]
    missing += [entry for together in whole if not out.add(_whole(together)) for entry in together.entries]
    if shown.quiet:
        out.add(f"{count(len(shown.quiet), 'more change')} of versions, order and own marks only.\n")
    return out.text + _tail(left_out, missing, full_report)


class _Budget:
    """Text that takes pieces as long as they fit."""

    def __init__(self, most: int) -> None:
        self.text = ""
        self._left = most

    def add(self, piece: str) -> bool:
        size = len(piece.encode()) + 1
        if size > self._left:
            return False
        self._left -= size
        self.text += piece + "\n"
        return True


def _tail(left_out: Sequence[str], missing: Sequence[EntryView], full_report: str) -> str:
    if not left_out and not missing:
        return ""
    parts = list(left_out)
    if missing:
        named = [f"{entry.kind} {_cut(entry.name)}" for entry in missing]
        parts.append(f"{count(len(missing), 'object')} ({_names(named, 3)})")
    return f"✂️ **Cut to fit:** {_cut(', '.join(parts), 400)}. See {_escape(_cut(full_report, 100))}.\n"


def _names(named: Sequence[str], most: int) -> str:
    shown = ", ".join(_code(name) for name in named[:most])
    return shown if len(named) <= most else f"{shown} and {len(named) - most:,} more"


def _cut(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[:most] + "…"


# --- escaping ------------------------------------------------------------


def _code(text: str) -> str:
    """`text` as a code span that it cannot end, safe in a table too."""
    fence = "`" * (_longest_run(text) + 1)
    pad = " " if not text or text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|")


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _escape(text: str) -> str:
    """`text` as words: nothing in it is markup, a link, a mention or an issue."""
    encoded = re.sub(r"[^\w\s.,;:%'()/@#-]|_|(?<=[wW])\.|:(?=//)", lambda found: f"&#{ord(found[0])};", text)
    return _no_mention(encoded)


def _html(text: str) -> str:
    """`text` inside HTML, where Markdown is not read."""
    return _no_mention(html.escape(text))


def _no_mention(text: str) -> str:
    # Mentions and issues are looked for in the finished page, where an entity is a plain character;
    # a comment splits the text that they are found in. What follows & is part of an entity.
    return re.sub(r"@|(?<!&)#", lambda found: f"{found[0]}<!-- -->", text)


def _fence(lines: Iterable[str]) -> str:
    text = "\n".join(lines)
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}diff\n{text}\n{fence}"


# --- summary -------------------------------------------------------------


def _summary(shown: ReportView) -> Iterator[tuple[str, str]]:
    """(what it is, text) of each piece, the most important first."""
    sign = "✅" if shown.severity is None and not shown.entries else _SIGNS[shown.severity]
    yield "the verdict", f"{MARKER}\n## {sign} {words.verdict(shown)}\n"
    if shown.base or shown.head:
        yield "the revisions", f"{_code(_cut(shown.base or '?', 80))} → {_code(_cut(shown.head or '?', 80))}\n"
    failed = [environment for environment in shown.environments if environment.state == "failed"]
    if failed:
        yield "errors of environments", _failures(failed)
    yield "the table of environments", _table(shown)
    if risks := list(_risks(shown)):
        yield "the list of risks", "### Risks\n\n" + "\n".join(risks) + "\n"


def _failures(failed: Sequence[EnvironmentView]) -> str:
    lines = [f"🛑 **{_escape(_cut(e.name))}** could not be built:\n\n{_fence(_error_lines(e))}\n" for e in failed[:5]]
    if len(failed) > len(lines):
        lines.append(f"🛑 {count(len(failed) - len(lines), 'more environment')} could not be built.\n")
    return "\n".join(lines)


def _error_lines(environment: EnvironmentView) -> list[str]:
    lines = [_cut(line, 300) for line in environment.error.splitlines()[:12]]
    return [f"! {line}" for line in lines] or ["! no reason was given"]


def _table(shown: ReportView) -> str:
    """One row for all environments that fare the same."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for environment in shown.environments:
        errors, warnings = str(environment.errors or ""), str(environment.warnings or "")
        row: tuple[str, ...] = (environment.state, words.numbers(environment), errors, warnings)
        rows.setdefault(row, []).append(_cut(environment.name))
    lines = ["| environments | | objects | errors | warnings |", "|---|---|---|--:|--:|"]
    for row, names in list(rows.items())[:_MOST_ROWS]:
        many = f"**{len(names):,}**: " if len(names) > 1 else ""
        lines.append(f"| {many}{_names(names, _MOST_ENVIRONMENTS)} | {' | '.join(row)} |")
    if len(rows) > _MOST_ROWS:
        rest = sum(len(names) for names in list(rows.values())[_MOST_ROWS:])
        lines.append(f"| {rest:,} more | | | | |")
    return "\n".join(lines) + "\n"


def _risks(shown: ReportView) -> Iterator[str]:
    # That everything goes when its environment goes is one line further down, and not one for each object.
    single, whole = words.by_environment_state(shown)
    found = [(risk, entry) for entry in single for risk in entry.risks if risk.severity != "info"]
    found.sort(key=lambda pair: pair[0].severity != "error")
    for risk, entry in found[:_MOST_RISKS]:
        where = _escape(words.where(entry, shown, _MOST_ENVIRONMENTS))
        name = f"{_escape(entry.kind)} {_code(_cut(entry.name))}"
        words_ = f"**{words.title(risk.id)}**: {_escape(_cut(risk.reason, 240))}"
        yield f"- {_SIGNS[risk.severity]} {name}: {words_} _({where})_"
    if len(found) > _MOST_RISKS:
        yield f"- {count(len(found) - _MOST_RISKS, 'more risk')}"
    yield from _risks_of_whole(whole)


def _risks_of_whole(whole: Sequence[words.WholeEnvironments]) -> Iterator[str]:
    told = [(together, *group) for together in whole for group in together.groups()]
    found = [(together, severity, fate, kinds) for together, severity, fate, kinds in told if severity]
    for together, severity, fate, kinds in found[:_MOST_WHOLE]:
        names = _names([_cut(name) for name in together.environments], _MOST_ENVIRONMENTS)
        listed = _escape(_cut("; ".join(kinds), 240))
        yield f"- {_SIGNS[severity]} {words.OPS[together.op]} with {names}: **{_escape(fate)}**: {listed}"
    if len(found) > _MOST_WHOLE:
        yield f"- {count(len(found) - _MOST_WHOLE, 'more risk')} of environments that go"


# --- objects -------------------------------------------------------------


def _block(entry: EntryView, shown: ReportView) -> str:
    name, where = html.escape(_cut(entry.name, 120)), _html(words.where(entry, shown, _MOST_ENVIRONMENTS))
    risks = ", ".join(dict.fromkeys(words.title(risk.id) for risk in entry.risks))
    op = _html(_cut(words.op_words(entry), 160))
    summary = f"{_SIGNS[entry.severity]} {_html(entry.kind)} <code>{name}</code> {op} · {where}"
    if risks:
        summary += f" · <b>{_html(risks)}</b>"
    body = "\n".join(_body(entry))
    return f"<details><summary>{summary}</summary>\n\n{body}\n</details>\n"


def _whole(together: words.WholeEnvironments) -> str:
    worst = next((severity for severity, _, _ in together.groups() if severity), None)
    lines = []
    for severity, fate, kinds in together.groups():
        if severity:
            lines.append(f"{_SIGNS[severity]} **{_escape(fate)}**\n")
        lines += [f"- {_escape(_cut(line, 1200))}" for line in kinds]
        lines.append("")
    summary = f"{_SIGNS[worst]} {_html(_cut(together.title(_MOST_ENVIRONMENTS), 300))}"
    return f"<details><summary>{summary}</summary>\n\n" + "\n".join(lines) + "\n</details>\n"


def _body(entry: EntryView) -> Iterator[str]:
    if entry.namespaces:
        yield f"Namespace {_names([_cut(name) for name in entry.namespaces], 5)}\n"
    for risk in entry.risks:
        yield f"- {_SIGNS[risk.severity]} **{words.title(risk.id)}**: {_escape(risk.reason)}"
    if entry.risks:
        yield ""
    if entry.secret is not None and entry.op != "remove":
        yield from (f"- {_escape(line)}" for line in words.secret_lines(entry.secret)[:_MOST_FIELDS])
        yield ""
    lines = [line for field in entry.fields[:_MOST_FIELDS] for line in _field(field)]
    if len(entry.fields) > _MOST_FIELDS:
        lines.append(f"  … {count(len(entry.fields) - _MOST_FIELDS, 'more field')}")
    if entry.op != "remove":
        lines += _diff(entry.lines)
    if lines:
        yield _fence(lines) + "\n"
    if folded := words.folded_line(entry):
        yield f"Not shown: {_escape(folded)}\n"


def _field(field: FieldView) -> Iterator[str]:
    note = f"  ({field.note})" if field.note else ""
    yield f"@@ {field.path} @@{note}"
    if field.old is not None:
        yield f"- {field.old}"
    if field.new is not None:
        yield f"+ {field.new}"
    yield from _diff(field.lines)


def _diff(lines: Sequence[Line]) -> list[str]:
    one_sided = len({line.mark for line in lines}) == 1
    shown = clip(lines, _MOST_LINES if one_sided else _LONGEST_RUN, _MOST_LINES)
    return [f"{'#' if line.mark == '~' else line.mark} {line.text}" for line in shown]
