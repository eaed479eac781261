"""Commands about a project as a whole, and about kasmgen itself: init, render, doctor, demo, completion."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kasmgen.cli import early_start
from kasmgen.cli import output as cli_output
from kasmgen.cli.options import (
    PROGRAM,
    Group,
    changing,
    common,
    complete_environment,
    count_environments,
    output_option,
)
from kasmgen.cli.output import OutputSettings
from kasmgen.errors import AnswerIsNo

if TYPE_CHECKING:
    from kasmgen.commands.change import Options

commands = Group()


@commands.command()
@click.argument("directory", metavar="[DIR]", default="", type=click.Path())
@click.option("--chart", default="builtin", show_default=True, metavar="builtin|DIR|FILE.tgz", help="The chart.")
@click.option("--release", default="kasm", show_default=True, help="Name of the Helm release.")
@click.option("--namespace", default="kasm", show_default=True, help="Namespace of environments without their own.")
@click.option("--values", "value_files", multiple=True, metavar="FILE", help="Values that all environments share.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="One shared value, as in helm --set.")
@click.option("--plain", multiple=True, metavar="PATH", help="A value that looks like a secret and is none.")
@click.option("--recipient", "recipients", multiple=True, metavar="AGE", help="Public key of who may decrypt.")
@click.option("--generate-key", is_flag=True, help="Make an age key and keep it where sops looks for it.")
@changing
@output_option
@common
@click.pass_obj
def init(
    settings: OutputSettings,
    options: Options,
    directory: str,
    chart: str,
    release: str,
    namespace: str,
    value_files: Sequence[str],
    sets: Sequence[str],
    plain: Sequence[str],
    recipients: Sequence[str],
    generate_key: bool,
    output: str,
) -> None:
    """Make a project: kasmgen.yaml, .sops.yaml and base/, committed to Git.

    Works in an empty directory, in an existing repository, and in any
    subdirectory of one. A second run in the same place changes nothing.

    \b
    Examples:
      kasmgen init --generate-key
      kasmgen init deploy/kasm --chart ./charts/kasm-single-zone --recipient age1...
    """
    helm = early_start.helm()
    from kasmgen.commands.init import InitRequest, run

    request = InitRequest(
        directory=Path(settings.directory, directory),
        chart=_chart_path(settings, chart),
        release=release,
        namespace=namespace,
        value_files=value_files,
        sets=sets,
        recipients=recipients,
        generate_key=generate_key,
        plain=tuple(dict.fromkeys(plain)),
    )
    cli_output.outcome(settings, run(request, options, helm), output)


def _chart_path(settings: OutputSettings, chart: str) -> str:
    return chart if chart == "builtin" else str(Path(settings.directory, Path(chart).expanduser()).absolute())


@commands.command()
@click.argument("environments", nargs=-1, metavar="[ENV]...", shell_complete=complete_environment)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 and list the files that are stale.")
@click.option("--accept-chart", is_flag=True, help="Take a chart whose content is not the recorded one.")
@changing
@output_option
@common
@click.pass_obj
def render(
    settings: OutputSettings,
    options: Options,
    environments: Sequence[str],
    check: bool,
    accept_chart: bool,
    output: str,
) -> None:
    """Bring base, overlays and cluster objects in line with the inputs.

    Secrets that exist are kept. Nothing to change means no commit.

    \b
    Examples:
      kasmgen render
      kasmgen render prod --dry-run
      kasmgen render --check
    """
    helm = early_start.helm()
    from kasmgen.commands.render import run

    start = Path(settings.directory)
    total = len(environments) or count_environments(start)
    with cli_output.progress(settings, "environments", total) as step:
        outcome = run(start, environments, options, helm, check=check, accept_chart=accept_chart, progress=step)
    cli_output.outcome(settings, outcome, output)
    if outcome.answer_is_no:
        raise AnswerIsNo("the repository is stale", hint="run `kasmgen render` and commit what it changes")


@commands.command()
@output_option
@common
@click.pass_obj
def doctor(settings: OutputSettings, output: str) -> None:
    """Show which programs were found, where, which version, and what is wrong.

    Of a program made with Go it says which module it was built from, and warns of one that is no release.

    \b
    Examples:
      kasmgen doctor
      kasmgen doctor --output json
    """
    from kasmgen.commands.doctor import run

    findings = run(Path(settings.directory))
    if output == "json":
        cli_output.out_records(findings)
    else:
        rows = [
            (
                item.what,
                "PROBLEM" if not item.ok else "warning" if item.warning else "ok",
                item.version,
                item.where or item.problem,
                item.built_from,
            )
            for item in findings
        ]
        cli_output.table(settings, ("WHAT", "STATE", "VERSION", "WHERE", "BUILT FROM"), rows)
        for item in findings:
            if item.warning:
                cli_output.say(settings, f"warning: {item.what}: {item.warning}", "warn")
    wrong = [item.what for item in findings if not item.ok]
    if wrong:
        raise AnswerIsNo(f"something is wrong with: {', '.join(wrong)}")


@commands.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for a shell.

    \b
    Examples:
      eval "$(kasmgen completion bash)"
      kasmgen completion fish > ~/.config/fish/completions/kasmgen.fish
    """
    from click.shell_completion import BashComplete, FishComplete, ZshComplete

    complete = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}[shell]
    root = click.get_current_context().find_root().command
    cli_output.out(complete(root, {}, PROGRAM, "_KASMGEN_COMPLETE").source())


@commands.command()
@click.argument("directory", metavar="[DIR]", default="demo", type=click.Path())
@common
@click.pass_obj
def demo(settings: OutputSettings, directory: str) -> None:
    """Make a throwaway repository with two environments in DIR (./demo), and show it.

    \b
    Examples:
      kasmgen demo
      kasmgen demo /tmp/kasm-demo
    """
    helm = early_start.helm()
    from kasmgen.commands.demo import run

    made = run(Path(settings.directory, directory), helm)
    cli_output.out(f"{made.root}\n" + "\n".join(f"  {line}" for line in made.tree))
    cli_output.out(f"\nkustomize build overlays/{made.environment}: {len(made.objects)} objects")
    for line in made.objects:
        cli_output.out(f"  {line}")
    cli_output.out(f"\nOne of them:\n\n{made.sample}")
    cli_output.say(settings, f"{made.root}: {len(made.files)} files, {len(made.commits)} commits", "good")
    # From a checkout's virtual environment it is not on PATH.
    program = PROGRAM if shutil.which(PROGRAM) else str(Path(sys.argv[0]).absolute())
    cli_output.next_steps(
        settings,
        (
            f"cd {made.root} && git log --stat",
            f"{made.build}   # everything that Flux would apply",
            f"{program} env show {made.environment}",
            f"{program} diff HEAD~1 HEAD   # what the last commit does to each cluster",
            f"{program} init my-repository --generate-key   # the real one",
        ),
    )
