"""The classes of commands, and options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click
from click.core import ParameterSource

from kasmgen.cli.output import OutputSettings, log_to_stderr
from kasmgen.errors import InputError, KasmgenError

if TYPE_CHECKING:
    from pathlib import Path

    from kasmgen.commands.change import Options

PROGRAM = "kasmgen"

Function = TypeVar("Function", bound=Callable[..., object])
P = ParamSpec("P")
R = TypeVar("R")


class Command(click.Command):
    """A command that takes an empty text for a mistake, not for an option that was left out.

    It mostly comes of a variable that the shell does not have.
    """

    def invoke(self, context: click.Context) -> object:
        """Run the command. Raises InputError that names the first option or argument given as an empty text."""
        for parameter in self.params:
            name = parameter.name or ""
            value = context.params.get(name)
            texts = value if isinstance(value, tuple) else (value,)
            if "" in texts and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                raise _empty(parameter)
        return super().invoke(context)


class Group(click.Group):
    """A group of such commands."""

    command_class = Command
    group_class = type


def _empty(parameter: click.Parameter) -> InputError:
    said = max(parameter.opts, key=len) if isinstance(parameter, click.Option) else parameter.human_readable_name
    return InputError(
        f"{said.strip('[].')}: is empty", hint="give it a value or leave it out; a variable of the shell may not be set"
    )


def _set(name: str) -> Callable[[click.Context, click.Parameter, object], None]:
    """A callback that puts a global option into the settings, wherever on the line it stood."""

    def callback(context: click.Context, parameter: click.Parameter, value: object) -> None:
        settings = context.ensure_object(OutputSettings)
        if value == "":
            raise _empty(parameter)
        if value not in (None, False, 0):
            setattr(settings, name, value)
            log_to_stderr(settings)

    return callback


def common(function: Function) -> Function:
    """The global options; they may stand before or behind the command."""
    options = (
        click.option(
            "-C",
            "chdir",
            metavar="DIR",
            callback=_set("directory"),
            expose_value=False,
            help="Work in DIR instead of the current directory.",
        ),
        click.option(
            "-v",
            "--verbose",
            count=True,
            callback=_set("verbose"),
            expose_value=False,
            help="Say what was normalised; -vv shows every program that is run.",
        ),
        click.option(
            "-q",
            "--quiet",
            is_flag=True,
            callback=_set("quiet"),
            expose_value=False,
            help="Say nothing but errors and results.",
        ),
        click.option(
            "--no-color",
            is_flag=True,
            callback=_set("no_color"),
            expose_value=False,
            help="No colours (so does the variable NO_COLOR).",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def output_option(function: Function) -> Function:
    """`--output`, for commands with something to read."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="How to print the result.",
    )(function)


def changing(function: Callable[Concatenate[Options, P], R]) -> Callable[..., R]:
    """The options of commands that change the repository, handed on as one value: the first argument."""

    @click.option("--dry-run", is_flag=True, help="Say what would change and write nothing.")
    @click.option("--no-commit", is_flag=True, help="Write the files and leave the commit to you.")
    @click.option("--branch", metavar="NAME", help="Commit on a new branch NAME.")
    @click.option("-m", "--message", metavar="TEXT", help="The commit's message; trailers are added.")
    @click.option("--push", is_flag=True, help="Push the branch after the commit.")
    @click.option("--force", is_flag=True, help="Overwrite generated files that were edited.")
    @functools.wraps(function)
    def collected(
        dry_run: bool,
        no_commit: bool,
        branch: str | None,
        message: str | None,
        push: bool,
        force: bool,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        from kasmgen.commands.change import Options

        if message is not None and not message.strip():
            raise InputError("--message: the message is empty", hint="leave --message out to have one written")
        if no_commit and (branch or push or message):
            raise InputError("--no-commit does not go with --branch, --message or --push")
        return function(Options(dry_run, not no_commit, branch, message, push, force), *args, **kwargs)

    return collected


def count_environments(start: Path) -> int:
    """How many environments the project at or above `start` has."""
    from kasmgen.project import workspace

    return len(workspace.environment_names(workspace.find_root(start)))


def complete_environment(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Names of environments that begin so, for the shell's completion."""
    from pathlib import Path

    from kasmgen.project import workspace

    try:
        root = workspace.find_root(Path(context.ensure_object(OutputSettings).directory))
        return [name for name in workspace.environment_names(root) if name.startswith(incomplete)]
    except KasmgenError:
        return []
