"""What people see: text for them on stderr, results on stdout, colour and progress only on a terminal."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import click

from kasmgen.errors import KasmgenError
from kasmgen.quantities import count
from kasmgen.safe_text import escaped_lines

if TYPE_CHECKING:
    from rich.console import Console

    from kasmgen.commands.change import Outcome

Style: TypeAlias = Literal["good", "warn", "bad", "dim"]

_STYLES: Mapping[Style, str] = {"good": "32", "warn": "33", "bad": "31", "dim": "2"}
"""Style -> parameter of the terminal's escape sequence (ECMA-48, SGR)."""

_WORD_START = re.compile("_([a-z])")


@dataclass
class OutputSettings:
    """The global options: where to work and how to talk."""

    directory: str = "."
    verbose: int = 0
    quiet: bool = False
    no_color: bool = False

    @property
    def color(self) -> bool:
        """Whether colours are welcome (no-color.org)."""
        return not self.no_color and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def console(settings: OutputSettings, *, stderr: bool = True) -> Console:
    """A rich console on stderr (for people) or stdout (for results)."""
    from rich.console import Console

    return Console(stderr=stderr, no_color=not settings.color, highlight=False, soft_wrap=True)


def say(settings: OutputSettings, text: str, style: Style | None = None) -> None:
    """One line for people."""
    if settings.quiet:
        return
    line = escaped_lines(text)
    if style and settings.color and sys.stderr.isatty():
        line = f"\x1b[{_STYLES[style]}m{line}\x1b[0m"
    print(line, file=sys.stderr)  # noqa: T201 - this is where text for people is printed


def out(text: str) -> None:
    """One line of the result."""
    print(text)  # noqa: T201 - this is where results are printed


def out_json(value: object) -> None:
    """A result as JSON."""
    # Imported here, as all that `--help` has no use for.
    import json

    out(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True))


def out_records(value: object) -> None:
    """A dataclass, or a list of them, as JSON, with keys as JSON has them: `not_after` becomes `notAfter`."""
    out_json(_plain(value))


def _plain(value: object) -> object:
    if is_dataclass(value):
        return {_WORD_START.sub(lambda m: m[1].upper(), f.name): _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def out_paged(text: str, *, colour: bool, pager: bool) -> None:
    """A long result: on a terminal in a pager, unless `pager` is False."""
    if not (pager and sys.stdout.isatty()):
        out(text.rstrip("\n"))
        return
    os.environ.setdefault("LESS", "FRX")
    click.echo_via_pager(text, color=colour)


def out_bytes(value: bytes) -> None:
    """A result that may be no text, exactly."""
    sys.stdout.flush()
    sys.stdout.buffer.write(value)
    sys.stdout.buffer.flush()


def error(settings: OutputSettings, problem: KasmgenError) -> None:
    """What was wrong, where, and the next step. Never silenced."""
    loud = replace(settings, quiet=False)
    lines = escaped_lines(problem.message).splitlines() or [""]
    say(loud, f"error: {lines[0]}", "bad")
    for line in lines[1:]:
        say(loud, line)
    if problem.hint:
        say(loud, f"next: {problem.hint}", "dim")


def table(settings: OutputSettings, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows on stdout: a table on a terminal, tab-separated for programs."""
    if not sys.stdout.isatty():
        for row in rows:
            out("\t".join(escaped_lines(cell) for cell in row))
        return
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        drawn.add_row(*(Text(escaped_lines(cell)) for cell in row))
    console(settings, stderr=False).print(drawn)


def facts(pairs: Mapping[str, Sequence[str]]) -> None:
    """Names with one or several lines each, aligned, on stdout."""
    width = max(map(len, pairs))
    for name, lines in pairs.items():
        for number, line in enumerate(lines or ("-",)):
            out(f"{name if not number else '':<{width}}  {escaped_lines(line)}".rstrip())


def outcome(settings: OutputSettings, done: Outcome, output: str) -> None:
    """What a changing command did: the result as text or JSON, and for people what to look at and do next."""
    if output == "json":
        out_json(
            {
                "summary": done.summary,
                "commit": done.commit,
                "dryRun": done.dry_run,
                "changes": list(done.lines),
                "reports": list(done.reports),
                "nextSteps": list(done.next_steps),
                **done.data,
            }
        )
    if settings.verbose:
        for note in done.notes:
            say(settings, f"normalised: {note}", "dim")
    if output == "text" and done.dry_run:
        for line in done.lines:
            out(escaped_lines(line))
    elif settings.verbose:
        for line in done.lines:
            say(settings, f"  {line}")
    for report in done.reports:
        say(settings, f"note: {report}", "warn")
    say(settings, done.summary, "good")
    if done.commit:
        say(settings, f"committed {done.commit[:12]}: {count(done.files, 'file')}", "dim")
    next_steps(settings, done.next_steps)


def next_steps(settings: OutputSettings, steps: Sequence[str]) -> None:
    """What people do now."""
    if steps:
        say(settings, "next:")
    for step in steps:
        say(settings, f"  {step}")


@contextmanager
def progress(settings: OutputSettings, what: str, total: int) -> Iterator[Callable[[str], None]]:
    """A bar on stderr while many things are done; nothing where nobody would see it."""
    if settings.quiet or total < 2 or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[item]}"))
    with Progress(*columns, console=console(settings), transient=True) as bar:
        task = bar.add_task(what, total=total, item="")

        def step(item: str) -> None:
            bar.update(task, advance=1, item=escaped_lines(item))

        yield step


def log_to_stderr(settings: OutputSettings) -> None:
    """With -vv, every program that is started is shown. Secrets are never on a command line."""
    if settings.verbose > 1:
        import logging

        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger = logging.getLogger("kasmgen")
        logger.handlers[:] = [handler]
        logger.setLevel(logging.DEBUG)
