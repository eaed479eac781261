"""Commands about the Secrets of an environment: secret show."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kasmgen.cli import output as cli_output
from kasmgen.cli.options import Group, common, complete_environment, output_option
from kasmgen.cli.output import OutputSettings
from kasmgen.errors import InputError

if TYPE_CHECKING:
    from kasmgen.kubernetes.resources import Secret

commands = Group()


@commands.group()
def secret() -> None:
    """Secrets of an environment.

    \b
    Examples:
      kasmgen secret show prod admin-password --reveal
    """


@secret.command("show")
@click.argument("environment", metavar="ENV", shell_complete=complete_environment)
@click.argument("key", default="")
@click.option("--reveal", is_flag=True, help="Print private keys and whole Secrets, and to a terminal.")
@output_option
@common
@click.pass_obj
def secret_show(settings: OutputSettings, environment: str, key: str, reveal: bool, output: str) -> None:
    """Decrypt the Secrets of ENV, or one KEY of them, for those who hold a key.

    Without --reveal only one value goes out, into a pipe or a file, and no private key. A terminal has a
    scrollback and onlookers, and the log of a pipeline is read by many.

    \b
    Examples:
      kasmgen secret show prod admin-password --reveal
      kasmgen secret show prod kasm-secrets/db-password | pbcopy
      kasmgen secret show prod --reveal --output json > /dev/shm/prod.json
    """
    if sys.stdout.isatty() and not reveal:
        raise InputError("secrets are not printed to a terminal without --reveal", hint="add it, or pipe the output")
    from kasmgen.commands.secret_show import run

    found = run(Path(settings.directory), environment, key, reveal=reveal)
    if key and output == "text":
        value = next(iter(found.values())).reveal()
        cli_output.out_bytes(value + b"\n" if sys.stdout.isatty() and not value.endswith(b"\n") else value)
        return
    texts = {name: _as_text(value) for name, value in found.items()}
    if output == "json":
        cli_output.out_json(texts)
        return
    from kasmgen.yaml import documents

    cli_output.out_bytes(documents.dump(texts).encode())


def _as_text(value: Secret) -> str:
    try:
        return value.reveal().decode()
    except UnicodeDecodeError:
        return base64.b64encode(value.reveal()).decode()
