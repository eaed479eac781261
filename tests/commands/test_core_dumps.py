"""A crash leaves no memory on the disk: neither of kasmgen nor of a program that it gave a secret."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.machine import Machine

pytestmark = pytest.mark.e2e

# A sops that says under which limits it runs, and sends its parent, which holds every password, a signal.
SOPS = """\
#!/bin/sh
case "$*" in
  *--version*) echo "sops 3.11.0"; exit ;;
esac
echo "$(ulimit -S -c) $(ulimit -H -c)" >>"$LIMITS"
cat >/dev/null
kill -"$SIGNAL" "$PPID"
exec sleep 60
"""


def dumping() -> None:
    """As somebody runs it who has core dumps switched on."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def dumps(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("core*") if path.is_file() and path.read_bytes()[:4] == b"\x7fELF"]


@pytest.fixture
def dumps_are_made(tmp_path: Path) -> None:
    folder = tmp_path / "crash"
    folder.mkdir()
    subprocess.run(
        [sys.executable, "-c", "import os; os.abort()"],
        cwd=folder,
        preexec_fn=dumping,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    if not dumps(folder):
        pytest.skip("this machine keeps core dumps elsewhere, or makes none")
    for path in dumps(folder):
        path.unlink()


@pytest.mark.usefixtures("dumps_are_made")
@pytest.mark.parametrize("name", ["ABRT", "QUIT"])
def test_a_crash_while_secrets_are_at_hand_leaves_no_core_dump(project: Machine, tmp_path: Path, name: str) -> None:
    ended = crash(project, tmp_path, name)
    assert ended == -signal.Signals[f"SIG{name}"]
    assert dumps(tmp_path) == []


def test_programs_run_without_core_dumps(project: Machine, tmp_path: Path) -> None:
    crash(project, tmp_path, "KILL")
    assert set((tmp_path / "limits").read_text().splitlines()) == {"0 0"}


def crash(project: Machine, folder: Path, name: str) -> int:
    """How `env add` ends that gets the signal while it seals."""
    sops = folder / "sops"
    sops.write_text(SOPS)
    sops.chmod(0o755)
    environment = project.env(KASMGEN_SOPS=str(sops), LIMITS=str(folder / "limits"), SIGNAL=name)
    return subprocess.run(
        [sys.executable, "-m", "kasmgen", "env", "add", "prod", "--hostname", "kasm.example.com"],
        cwd=project.root,
        env=environment,
        preexec_fn=dumping,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=300,
    ).returncode
