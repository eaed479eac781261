"""The report for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from kasmgen.quantities import count
from kasmgen.review.formats import words
from kasmgen.review.formats.line_diff import Line, clip
from kasmgen.review.formats.view import EntryView, FieldView, ReportView, view
from kasmgen.review.grouping import Report

_SEVERITY = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_MARKS = {"-": "red", "+": "green", " ": "", "~": "dim"}
_OPS = {"add": "green", "remove": "red", "change": "yellow", "rename": "magenta", "replace": "", "move": "magenta"}
_STATES = {"failed": "bold red", "changed": "yellow", "added": "green", "removed": "red", "same": "dim"}
_MOST_LINES = 60
_LONGEST_RUN = 20
_MOST_ENVIRONMENTS = 6

_Styled = tuple[str, str]
"""Text and its style."""


def render(report: Report, *, colour: bool = False, full: bool = False) -> str:
    """The report as text, worst first; with ANSI colours if `colour`.

    full: whole objects that come or go, and every line of a diff that the report has.
    Long lines are not wrapped, so that the text can be searched and piped.
    """
    shown = view(report)
    console = Console(
        force_terminal=colour,
        no_color=not colour,
        color_system="standard" if colour else None,
        width=200,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )
    with console.capture() as captured:
        for line in _report(shown, full):
            console.print(_assemble(line), soft_wrap=True)
    return captured.get()


def _assemble(parts: list[_Styled]) -> Text:
    return Text.assemble(*((text, style) for text, style in parts), no_wrap=True, end="")


def _report(shown: ReportView, full: bool) -> Iterator[list[_Styled]]:
    worst = shown.severity or "info"
    yield [(words.verdict(shown), "bold" if worst == "info" else _SEVERITY[worst])]
    if shown.base or shown.head:
        yield [(f"{shown.base or '?'} → {shown.head or '?'}", "dim")]
    yield from _environments(shown)
    single, whole = words.by_environment_state(shown)
    for entry in single:
        yield []
        yield from _entry(entry, shown, full)
    for together in whole:
        yield []
        yield from _whole(together)
    if shown.quiet:
        yield []
        yield [(f"{count(len(shown.quiet), 'more change')} of versions, order and own marks only", "dim")]


def _environments(shown: ReportView) -> Iterator[list[_Styled]]:
    width = max((len(environment.name) for environment in shown.environments), default=0)
    unchanged = [environment.name for environment in shown.environments if environment.state == "same"]
    for environment in shown.environments:
        if environment.state == "same":
            continue
        line = [(f"  {environment.name:<{width}}  ", "bold"), (f"{environment.state:<8}", _STATES[environment.state])]
        if environment.state != "failed":
            line.append((words.numbers(environment), ""))
        for number, word in ((environment.errors, "error"), (environment.warnings, "warning")):
            if number and environment.state != "failed":
                line.append((f", {count(number, word)}", _SEVERITY[word]))
        yield line
        for part in environment.error.splitlines():
            yield [("    " + part, "red")]
    if unchanged and len(unchanged) < len(shown.environments):
        yield [(f"  nothing changes in {words.listed(unchanged, _MOST_ENVIRONMENTS)}", "dim")]


def _entry(entry: EntryView, shown: ReportView, full: bool) -> Iterator[list[_Styled]]:
    yield [
        (f"{words.SIGNS[entry.op]} {words.object_name(entry)} ", f"bold {_OPS[entry.op]}"),
        (words.op_words(entry), _OPS[entry.op]),
        (f"  [{words.where(entry, shown, _MOST_ENVIRONMENTS)}]", "dim"),
    ]
    for risk in entry.risks:
        yield [(f"    {risk.severity}: {words.title(risk.id)}", _SEVERITY[risk.severity]), (f": {risk.reason}", "")]
    if entry.secret is not None and entry.op != "remove":
        for line in words.secret_lines(entry.secret):
            yield [("    " + line, "")]
    for field in entry.fields:
        yield from _field(field, full)
    if full:
        yield from (_line(line, "    ") for line in entry.lines)
    elif entry.op == "add" and entry.lines and entry.secret is None:
        yield [(f"    {count(len(entry.lines), 'line')} of YAML", "dim")]
    if folded := words.folded_line(entry):
        yield [(f"    not shown: {folded}", "dim")]


def _whole(together: words.WholeEnvironments) -> Iterator[list[_Styled]]:
    sign = words.SIGNS[together.op]
    yield [(f"{sign} {together.title(_MOST_ENVIRONMENTS)}", f"bold {_OPS[together.op]}")]
    for severity, fate, kinds in together.groups():
        if severity:
            yield [(f"    {severity}: {fate}", _SEVERITY[severity])]
        yield from ([(f"{'        ' if severity else '    '}{line}", "")] for line in kinds)


def _field(field: FieldView, full: bool) -> Iterator[list[_Styled]]:
    head: list[_Styled] = [(f"    {words.SIGNS[field.op]} {field.path}", _OPS[field.op])]
    if field.old is not None and field.new is not None:
        head += [(": ", ""), (field.old, "red"), (" → ", "dim"), (field.new, "green")]
    elif field.old is not None or field.new is not None:
        head += [(": ", ""), (field.old or field.new or "", "red" if field.op == "remove" else "green")]
    if field.note:
        head.append((f"  ({field.note})", "dim"))
    yield head
    lines = field.lines if full else clip(field.lines, _LONGEST_RUN, _MOST_LINES)
    yield from (_line(line, "        ") for line in lines)


def _line(line: Line, indent: str) -> list[_Styled]:
    return [(f"{indent}{line.mark} {line.text}", _MARKS[line.mark])]
