"""Private directories: nobody else's business, gone in the end, and swept up after a kill."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from kasmgen.programs.private_directory import PREFIX, private_directory, sweep

HOLDS = """
import sys, time
from kasmgen.programs.private_directory import private_directory
with private_directory() as path:
    (path / "chart").mkdir()
    print(path, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def holder() -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen([sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


def test_only_the_user_may_enter_and_it_is_gone_in_the_end() -> None:
    with private_directory() as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert sweep() == []
        assert path.exists()
    assert not path.exists()


def test_that_of_a_run_that_lives_stays_and_that_of_a_killed_one_goes() -> None:
    process, path = holder()
    assert sweep() == []
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert path.exists()
    assert sweep() == [path]
    assert not path.exists()


def test_one_without_a_lock_goes_a_day_later(temporary: Path) -> None:
    young, old = temporary / f"{PREFIX}aaaaaaaa", temporary / f"{PREFIX}bbbbbbbb"
    young.mkdir()
    old.mkdir()
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    assert sweep() == [old]
    assert young.exists()


def test_what_only_looks_like_one_stays(temporary: Path) -> None:
    mine = temporary / f"{PREFIX}my-notes"
    mine.mkdir()
    file = temporary / f"{PREFIX}cccccccc"
    file.write_text("people's")
    link = temporary / f"{PREFIX}dddddddd"
    link.symlink_to(mine)
    yesterday = time.time() - 25 * 3600
    os.utime(mine, (yesterday, yesterday))
    assert sweep() == []
    assert (mine.exists(), file.exists(), link.is_symlink()) == (True, True, True)
