"""Commands that look at a change before Flux does: check, diff, ci."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kasmgen.cli import early_start
from kasmgen.cli import output as cli_output
from kasmgen.cli.options import Group, changing, common, complete_environment, count_environments, output_option
from kasmgen.cli.output import OutputSettings
from kasmgen.errors import AnswerIsNo, InputError, ToolError

if TYPE_CHECKING:
    from kasmgen.check.results import CheckReport
    from kasmgen.commands.change import Options
    from kasmgen.review import Report

commands = Group()


@commands.command()
@click.argument("environments", nargs=-1, metavar="[ENV]...", shell_complete=complete_environment)
@click.option("--staged", is_flag=True, help="Only the secret rules, on what is staged: for a pre-commit hook.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "sarif", "junit", "github"]),
    default="text",
    show_default=True,
    help="How to print the findings.",
)
@click.option("--strict", is_flag=True, help="Exit 1 for warnings, too.")
@click.option(
    "--days",
    default=30,
    show_default=True,
    metavar="N",
    type=click.IntRange(0),
    help="Warn of certificates that expire within N days.",
)
@click.option("--kubernetes-version", default="", metavar="V", help="Validate against Kubernetes V [newest known].")
@click.option(
    "--base",
    default="",
    metavar="REV",
    help="Look for dangerous changes since REV [where the branch left KASMGEN_BASE, CI's target branch or upstream].",
)
@click.option("--no-schemas", is_flag=True, help="Do not validate objects.")
@click.option("--no-history", is_flag=True, help="Do not compare with an earlier revision.")
@click.option("--no-keys", is_flag=True, help="Do not open sealed files, even if a key is at hand.")
@common
@click.pass_obj
def check(
    settings: OutputSettings,
    environments: Sequence[str],
    staged: bool,
    format_: str,
    strict: bool,
    days: int,
    kubernetes_version: str,
    base: str,
    no_schemas: bool,
    no_history: bool,
    no_keys: bool,
) -> None:
    """Check everything that can be known before Flux tries.

    Needs no cluster and no private key. Each rule stands in docs/checks.md;
    kasmgen.yaml can switch one off with a reason.

    \b
    Examples:
      kasmgen check
      kasmgen check prod --days 60
      kasmgen check --staged
      kasmgen check --format sarif > kasmgen.sarif
    """
    if staged and environments:
        raise InputError("--staged takes no environments: it checks whatever is staged")
    start = Path(settings.directory)
    if staged:
        from kasmgen.commands.check import run_staged

        found = run_staged(start)
    else:
        helm = early_start.helm()
        from kasmgen.commands.check import CheckRequest, run

        request = CheckRequest(
            environments=environments,
            days=days,
            kubernetes_version=kubernetes_version,
            base=base,
            schemas=not no_schemas,
            history=not no_history,
            keys=not no_keys,
        )
        with cli_output.progress(settings, "environments", len(environments) or count_environments(start)) as step:
            found = run(start, request, helm, step)
    _show(settings, found, format_)
    if found.errors or (strict and found.findings):
        raise AnswerIsNo(found.summary)
    cli_output.say(settings, found.summary, "good")


def _show(settings: OutputSettings, found: CheckReport, format_: str) -> None:
    """The findings in a format, and for people what could not be checked."""
    from kasmgen.commands.check import write

    written = write(found, format_)
    if written:
        cli_output.out(written)
    for line in found.skipped:
        cli_output.say(settings, f"note: {line}", "warn")


@commands.command()
@click.argument("arguments", nargs=-1, metavar="[BASE] [HEAD] [ENV]...", shell_complete=complete_environment)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "markdown", "html", "json"]),
    default="text",
    show_default=True,
    help="How to print the report.",
)
@click.option("--max-bytes", type=click.IntRange(2000), default=60_000, show_default=True, help="Size of markdown.")
@click.option("--exit-code", is_flag=True, help="Exit 1 if there is any difference.")
@click.option("--full", is_flag=True, help="Show whole objects and every line (text).")
@click.option("--no-pager", is_flag=True, help="Never use a pager.")
@common
@click.pass_obj
def diff(
    settings: OutputSettings,
    arguments: Sequence[str],
    output: str,
    max_bytes: int,
    exit_code: bool,
    full: bool,
    no_pager: bool,
) -> None:
    """Show what a change does to each cluster, secrets masked.

    Compares what Flux would apply between two revisions: by default where the
    branch left its upstream (in CI the target branch; the variable KASMGEN_BASE
    names another) against the work tree. Needs no cluster and no key.

    \b
    Examples:
      kasmgen diff
      kasmgen diff main prod
      kasmgen diff v1 v2 --output html > report.html
      kasmgen diff origin/main --output markdown --exit-code
    """
    from kasmgen.commands.diff import run

    with cli_output.progress(settings, "environments", 100) as step:
        found = run(Path(settings.directory), arguments, step)
    if output == "text":
        from kasmgen.review.formats import text

        colour = settings.color and sys.stdout.isatty()
        cli_output.out_paged(text.render(found, colour=colour, full=full), colour=colour, pager=not no_pager)
    else:
        cli_output.out(_written(found, output, max_bytes).rstrip("\n"))
    if found.failed:
        names = ", ".join(item.name for item in found.failed)
        raise ToolError(f"these environments could not be built, so nobody knows what changes there: {names}")
    if exit_code and found.different:
        raise AnswerIsNo("there are differences")


def _written(report: Report, output: str, max_bytes: int) -> str:
    """The report in a form for programs: "markdown", "html" or "json"."""
    from kasmgen.review.formats import html, json, markdown

    if output == "markdown":
        return markdown.render(report, max_bytes)
    return html.render(report) if output == "html" else json.render(report)


@commands.command()
@click.argument("platform", type=click.Choice(["github", "gitlab"]))
@changing
@output_option
@common
@click.pass_obj
def ci(settings: OutputSettings, options: Options, platform: str, output: str) -> None:
    """Write a pipeline that checks every pull request and shows what it changes.

    It needs no key and no secret, so it works for forks too. docs/ci.md says
    what it does, and how to have the same elsewhere.

    \b
    Examples:
      kasmgen ci github
      kasmgen ci gitlab --dry-run
    """
    from kasmgen.commands.ci import run

    cli_output.outcome(settings, run(Path(settings.directory), platform, options), output)
