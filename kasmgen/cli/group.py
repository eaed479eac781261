"""The root of the command line, and the one place that catches errors and exits.

The commands stand in one module for each group of them. A module is imported when one of its commands is
named, so that `kasmgen --help` stays fast however many commands there are.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click

from kasmgen import __version__, signals
from kasmgen.cli import output
from kasmgen.cli.options import PROGRAM, Group, common
from kasmgen.cli.output import OutputSettings
from kasmgen.errors import KasmgenError

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class Deferred(click.Command):
    """A command of which only the name and the summary are known before it is named.

    load_group: imports the module with the command, and gives the group that holds it there.
    """

    def __init__(self, name: str, summary: str, load_group: Callable[[], click.Group]) -> None:
        super().__init__(name, short_help=summary)
        self.load_group = load_group

    def load(self) -> click.Command:
        """The command itself."""
        return self.load_group().commands[self.name or ""]

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: object
    ) -> click.Context:
        """The context in which the command itself parses its arguments and runs."""
        return self.load().make_context(info_name, args, parent, **extra)


def _environments() -> click.Group:
    from kasmgen.cli.environments import commands

    return commands


def _projects() -> click.Group:
    from kasmgen.cli.projects import commands

    return commands


def _reviews() -> click.Group:
    from kasmgen.cli.reviews import commands

    return commands


def _secrets() -> click.Group:
    from kasmgen.cli.secrets import commands

    return commands


# The summary is the first sentence of the command's own help; a test holds it to that.
COMMANDS = (
    Deferred("check", "Check everything that can be known before Flux tries.", _reviews),
    Deferred("ci", "Write a pipeline that checks every pull request and shows what it changes.", _reviews),
    Deferred("completion", "Print the completion script for a shell.", _projects),
    Deferred("demo", "Make a throwaway repository with two environments in DIR (./demo), and show it.", _projects),
    Deferred("diff", "Show what a change does to each cluster, secrets masked.", _reviews),
    Deferred("doctor", "Show which programs were found, where, which version, and what is wrong.", _projects),
    Deferred("env", "Environments: add one, list them, show one.", _environments),
    Deferred("init", "Make a project: kasmgen.yaml, .sops.yaml and base/, committed to Git.", _projects),
    Deferred("render", "Bring base, overlays and cluster objects in line with the inputs.", _projects),
    Deferred("secret", "Secrets of an environment.", _secrets),
)


@click.group(cls=Group, commands=COMMANDS, context_settings=CONTEXT)
@click.version_option(__version__, "--version", prog_name=PROGRAM)
@common
def root() -> None:
    """Kasm Workspaces for GitOps: from a Helm chart to a repository that Flux reconciles.

    \b
    Examples:
      kasmgen init --generate-key
      kasmgen env add prod --hostname kasm.example.com
      kasmgen render --check
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with a code of the table."""
    # A core dump holds the memory, passwords and private keys in it. Programs that are started inherit the limit.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with _garbage_seldom(), signals.as_interrupts():
        sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


@contextmanager
def _garbage_seldom() -> Iterator[None]:
    """Nearly all that a run makes is needed to its end: to look for garbage often is to find none."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def run(arguments: list[str]) -> int:
    """Run the command line; the exit code."""
    settings = OutputSettings()
    try:
        return _ended(settings, arguments)
    except KeyboardInterrupt:
        signals.ignore()
        output.error(settings, _interrupted(signals.landed()))
        return 130


def _ended(settings: OutputSettings, arguments: list[str]) -> int:
    """The exit code of a run that is not interrupted, with its error told."""
    try:
        root.main(arguments, prog_name=PROGRAM, standalone_mode=False, obj=settings)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except click.Abort:
        raise KeyboardInterrupt from None
    except KasmgenError as error:
        output.error(settings, error)
        return error.code
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - no traceback reaches a user, and none may show a value
        output.error(settings, _bug(error))
        return KasmgenError.code
    return 0


def _interrupted(landed: str) -> KasmgenError:
    if not landed:
        return KasmgenError("interrupted; nothing was changed", hint="run it again when you like")
    return KasmgenError(f"interrupted, but {landed}", hint="`git status` and `git log -1` show what is there")


def _bug(error: Exception) -> KasmgenError:
    """A bug in words: what kind and where, but not the message, which may hold anything."""
    from pathlib import Path

    trace = error.__traceback__
    place = "?"
    while trace:
        place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return KasmgenError(
        f"a bug in kasmgen: {type(error).__name__} at {place}", hint="please report it with the command"
    )
