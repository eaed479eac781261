"""Private directories: nobody else's business, gone in the end, and swept up after a kill."""

from __future__ import annotations

import fcntl
import signal
import stat
import subprocess
import sys
import tempfile
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


@pytest.mark.parametrize("inside", [(), (".held.new",)], ids=["nothing in it", "a lock that is not held yet"])
def test_one_that_was_only_being_made_goes(temporary: Path, inside: tuple[str, ...]) -> None:
    path = temporary / f"{PREFIX}aaaaaaaa"
    path.mkdir(mode=0o700)
    for name in inside:
        (path / name).touch()
    assert sweep() == [path]
    assert not path.exists()


def test_whoever_sweeps_while_one_is_made_disturbs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[list[Path]] = []
    lock = fcntl.flock

    def late(descriptor: int, how: int) -> None:
        if not swept and how == fcntl.LOCK_EX:
            swept.append([])
            swept.append(sweep())
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with private_directory() as path:
        assert len(swept[1]) == 1
        assert swept[1] != [path]
        assert (path / ".held").exists()
    assert not path.exists()


def test_what_only_looks_like_one_stays(temporary: Path) -> None:
    notes = temporary / f"{PREFIX}my-notes"
    projects = temporary / f"{PREFIX}projects"
    full = temporary / f"{PREFIX}eeeeeeee"
    for place in (notes, projects):
        place.mkdir(mode=0o755)
    full.mkdir(mode=0o700)
    (full / "people's").touch()
    file = temporary / f"{PREFIX}cccccccc"
    file.write_text("people's")
    link = temporary / f"{PREFIX}dddddddd"
    link.symlink_to(notes)
    assert sweep() == []
    assert (notes.exists(), projects.exists(), file.exists(), link.is_symlink()) == (True, True, True, True)
    assert (full / "people's").exists()
