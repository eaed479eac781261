"""What people see, and what programs read."""

from __future__ import annotations

import json
import logging

import pytest

from kasmgen.cli import output
from kasmgen.cli.output import OutputSettings
from kasmgen.errors import InputError
from kasmgen.safe_text import escaped_lines

NASTY = "a\x1b[31mb\r\u202ec\x07\udce9"


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_nothing_that_is_shown_can_steer_a_terminal() -> None:
    assert escaped_lines(NASTY) == r"a\x1b[31mb\r\u202ec\x07\udce9"
    assert escaped_lines("lines\nand\ttabs é") == "lines\nand\ttabs é"
    assert escaped_lines(escaped_lines(NASTY)) == escaped_lines(NASTY)


def test_an_error_says_what_and_what_next_on_stderr_even_when_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    output.error(OutputSettings(quiet=True), InputError(f"wrong {NASTY}\nsecond line", hint=f"do {NASTY}"))
    out, err = capsys.readouterr()
    assert out == ""
    first, second, third = err.splitlines()
    assert first.startswith("error: wrong a\\x1b[31m")
    assert second == "second line"
    assert third.startswith("next: do a")
    assert "\x1b" not in err


def test_text_for_people_goes_to_stderr_and_is_silenced_by_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    output.say(OutputSettings(), "hello", "good")
    output.say(OutputSettings(quiet=True), "never")
    assert capsys.readouterr() == ("", "hello\n")


@pytest.mark.parametrize(
    ("settings", "variable", "value", "expected"),
    [
        (OutputSettings(), "X", "", True),
        (OutputSettings(no_color=True), "X", "", False),
        (OutputSettings(), "NO_COLOR", "1", False),
        (OutputSettings(), "NO_COLOR", "", True),
        (OutputSettings(), "TERM", "dumb", False),
    ],
)
def test_colour_follows_option_and_environment(
    monkeypatch: pytest.MonkeyPatch, settings: OutputSettings, variable: str, value: str, expected: bool
) -> None:
    monkeypatch.setenv(variable, value)
    assert settings.color is expected


def test_json_is_sorted_readable_and_exact(capsys: pytest.CaptureFixture[str]) -> None:
    output.out_json({"b": ["é", 1], "a": None})
    text = capsys.readouterr().out
    assert json.loads(text) == {"b": ["é", 1], "a": None}
    assert text.index('"a"') < text.index('"b"') and "é" in text


def test_bytes_come_out_exactly(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    output.out_bytes(b"\x00\xff\n")
    assert capfdbinary.readouterr().out == b"\x00\xff\n"


def test_a_table_for_programs_is_tab_separated_and_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(OutputSettings(), ["A", "B"], [["x", NASTY], ["y", ""]])
    assert capsys.readouterr().out == f"x\t{escaped_lines(NASTY)}\ny\t\n"


def test_facts_are_aligned_and_empty_ones_are_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    output.facts({"host": ["a", "b"], "longer name": []})
    assert capsys.readouterr().out == "host         a\n             b\nlonger name  -\n"


def test_progress_is_nothing_where_nobody_would_see_it(capsys: pytest.CaptureFixture[str]) -> None:
    with output.progress(OutputSettings(), "work", 5) as step:
        step("one")
    assert capsys.readouterr() == ("", "")


def test_programs_are_shown_with_vv_only(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("kasmgen")
    before = (logger.level, list(logger.handlers))
    try:
        output.log_to_stderr(OutputSettings(verbose=1))
        logger.debug("$ quiet")
        output.log_to_stderr(OutputSettings(verbose=2))
        logger.debug("$ shown")
        assert capsys.readouterr().err == "$ shown\n"
    finally:
        logger.setLevel(before[0])
        logger.handlers[:] = before[1]
