"""The one door to other programs, with real ones behind it."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import pytest

from kasmgen.errors import ToolError
from kasmgen.programs import process

pytestmark = pytest.mark.tool


def sh(script: str, **options: object) -> process.Completed:
    return process.run("/bin/sh", "-c", script, **options)  # type: ignore[arg-type]


def test_both_outputs_and_the_code_come_back_and_the_repr_shows_neither() -> None:
    done = sh("printf out; printf err >&2; exit 3", ok=(0, 3))
    assert (done.code, done.stdout, done.stderr) == (3, b"out", b"err")
    assert "out" not in repr(done) and "err" not in repr(done)


def test_input_reaches_the_program_and_without_it_there_is_none() -> None:
    assert sh("cat", stdin=b"\0bytes\xff").stdout == b"\0bytes\xff"
    assert sh("cat").stdout == b""
    big = b"x" * 2_000_000
    assert sh("cat", stdin=big).stdout == big
    assert sh("exit 0", stdin=big).code == 0, "a program need not read what it is given"


def test_a_program_that_fails_is_an_error_with_what_it_said() -> None:
    with pytest.raises(ToolError, match=r"sh -c failed with exit code 7: went wrong") as caught:
        sh("echo went wrong >&2; exit 7")
    assert caught.value.code == 3


def test_what_a_program_says_at_length_is_shortened() -> None:
    with pytest.raises(ToolError) as caught:
        sh("echo begin >&2; head -c 100000 /dev/zero | tr '\\0' x >&2; echo end >&2; exit 1")
    assert len(str(caught.value)) < 2200
    assert "begin" in str(caught.value) and str(caught.value).endswith("end")


def test_secret_output_is_in_no_error_and_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ToolError) as caught:
        sh("cat; cat >&2; echo $0 hunter2 >&2; exit 1", stdin=b"hunter2", secret=True)
    assert "hunter2" not in str(caught.value)
    records = [record.getMessage() for record in caplog.records]
    assert records == ["$ sh -c 'cat; cat >&2; echo $0 hunter2 >&2; exit 1'"], (
        "only the command line, where no secret is"
    )


def test_the_log_shows_a_command_line_that_steers_no_terminal(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    process.run("/bin/echo", "a\x1b[31m b")
    assert caplog.records[0].getMessage() == r"$ echo 'a\x1b[31m b'"


def test_children_get_no_variable_of_sops_and_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOPS_AGE_KEY", "AGE-SECRET-KEY-1X")
    monkeypatch.setenv("SOPS_AGE_RECIPIENTS", "age1x")
    monkeypatch.setenv("OWN_VARIABLE", "kept")
    seen = sh("env").stdout.decode()
    assert "SOPS_" not in seen
    assert "OWN_VARIABLE=kept" in seen
    assert process.clean_environment({"SOPS_X": "1"})["SOPS_X"] == "1"
    assert sh("env", env={"ONLY": "this"}).stdout.decode().count("ONLY=this") == 1
    assert os.environ["SOPS_AGE_KEY"]


def test_a_program_runs_where_it_is_told(tmp_path: Path) -> None:
    assert sh("pwd -P", cwd=tmp_path).stdout.decode().strip() == str(tmp_path.resolve())


def test_a_program_that_is_missing_may_not_run_or_is_none_is_a_tool_error(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="the program nowhere-to-be-found was not found") as caught:
        process.run("nowhere-to-be-found")
    assert "doctor" in caught.value.hint
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    with pytest.raises(ToolError, match="may not be run"):
        process.run(str(plain))
    plain.write_bytes(b"\x7fELF nonsense")
    plain.chmod(0o755)
    with pytest.raises(ToolError, match="could not be started"):
        process.run(str(plain))


def test_a_directory_that_is_gone_is_not_called_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="there is no such directory"):
        sh("true", cwd=tmp_path / "gone")


def test_arguments_that_no_program_can_get_are_a_tool_error() -> None:
    with pytest.raises(ToolError, match="NUL"):
        process.run("/bin/echo", "a\0b")
    with pytest.raises(ToolError, match="could not be started"):
        process.run("/bin/echo", "x" * 50_000_000)


def test_a_program_that_does_not_end_is_ended() -> None:
    with pytest.raises(ToolError, match="did not finish within 0 seconds"):
        process.run(sys.executable, "-c", "import time; time.sleep(60)", timeout=0.3)
