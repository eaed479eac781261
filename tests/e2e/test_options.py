"""What is refused names the option or file that it came with, has the exit code of the table, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from kasmgen import cli


def _commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from _commands(below, (*path, name))


def _empty_texts() -> Iterator[tuple[list[str], str]]:
    """Every command with each option and argument that takes any text, given as an empty one."""
    for path, command in _commands(cli.cli):
        for item in command.params:
            if isinstance(item.type, click.types.StringParamType | click.Path):
                words = [
                    _words(other, "" if other is item else "x")
                    for other in command.params
                    if other is item or other.required
                ]
                said = max(item.opts, key=len) if isinstance(item, click.Option) else item.human_readable_name
                yield [*path, *(word for part in words for word in part)], said.strip("[].")


def _words(item: click.Parameter, text: str) -> list[str]:
    if isinstance(item.type, click.Choice):
        text = item.type.choices[0]
    return [item.opts[-1], text] if isinstance(item, click.Option) else [text]


EMPTY = list(_empty_texts())


def test_the_table_of_texts_has_every_option_that_decides_where_an_environment_goes() -> None:
    said = {option for arguments, option in EMPTY if arguments[:2] == ["env", "add"]}
    assert {"--namespace", "--cluster-domain", "--ingress-ip", "--git-url", "--size", "--hostname"} < said
    assert {"NAME", "--alt-hostname", "--recipient", "--registry-server", "--flux-source", "-C"} < said


@pytest.mark.parametrize(("arguments", "said"), EMPTY, ids=[" ".join(arguments) for arguments, _ in EMPTY])
def test_an_empty_text_is_not_an_option_that_was_left_out(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == 2
    error = capsys.readouterr().err
    assert f"error: {said}: is empty" in error
    assert "next: give it a value or leave it out" in error
