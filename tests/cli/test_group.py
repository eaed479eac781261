"""The root of the command line: what it knows of a command before the command's module is imported."""

from __future__ import annotations

import pytest

from kasmgen.cli.group import COMMANDS, Deferred, run

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
