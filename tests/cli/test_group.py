"""The root of the command line: what it knows of a command before the command's module is imported."""

from __future__ import annotations

import gc
import os
import subprocess
import sys

import pytest

from kasmgen.cli.group import COMMANDS, Deferred, main, run

WIDE = 1000


@pytest.mark.parametrize("command", COMMANDS, ids=[str(command.name) for command in COMMANDS])
def test_the_summary_is_the_first_sentence_of_the_commands_own_help(command: Deferred) -> None:
    itself = command.load()
    assert not isinstance(itself, Deferred)
    assert itself.name == command.name
    assert command.get_short_help_str(WIDE) == itself.get_short_help_str(WIDE)


def test_every_command_of_a_module_is_one_of_the_root() -> None:
    held = {command.name for command in COMMANDS}
    assert {name for command in COMMANDS for name in command.load_group().commands} == held


def test_a_name_that_is_nearly_a_command_is_met_with_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rendr"]) == 2
    assert "Did you mean 'render'?" in capsys.readouterr().err


def test_the_help_of_a_command_is_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["env", "add", "--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Usage: kasmgen env add [OPTIONS] NAME\n")
    assert "--hostname" in said


def test_the_help_imports_no_module_of_a_command() -> None:
    code = """
import sys
from kasmgen.cli.group import run
run(["--help"])
print(*sorted(name for name in sys.modules if name.startswith("kasmgen.")), sep=" ", file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split() == [
        "kasmgen.cli",
        "kasmgen.cli.group",
        "kasmgen.cli.options",
        "kasmgen.cli.output",
        "kasmgen.errors",
        "kasmgen.quantities",
        "kasmgen.safe_text",
        "kasmgen.signals",
    ]


@pytest.mark.parametrize(
    ("words", "found"),
    [("d", ["demo", "diff", "doctor"]), ("env s", ["show"]), ("render --dr", ["--dry-run"])],
)
def test_the_shell_completes_commands_and_options(words: str, found: list[str]) -> None:
    variables = {
        "_KASMGEN_COMPLETE": "bash_complete",
        "COMP_WORDS": f"kasmgen {words}",
        "COMP_CWORD": str(len(words.split())),
    }
    command = [sys.executable, "-m", "kasmgen"]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [f"plain,{name}" for name in found]


def test_a_run_leaves_the_collector_of_garbage_as_it_found_it(capsys: pytest.CaptureFixture[str]) -> None:
    before = gc.get_threshold()
    with pytest.raises(SystemExit) as done:
        main(["--version"])
    assert done.value.code == 0
    assert capsys.readouterr().out.startswith("kasmgen, version ")
    assert gc.get_threshold() == before
