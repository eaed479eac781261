"""Interrupted or killed at any step: all of it or nothing is there, the message says which, and the next run works."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import points
from tests.machine import Machine, copy_machine
from tests.needs import program
from tests.waiting import GUARD

pytestmark = pytest.mark.e2e

CHART = {
    "Chart.yaml": "apiVersion: v2\nname: small\nversion: 1.0.0\n",
    "values.yaml": "text: a\n",
    "templates/map.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {a: '{{ .Values.text }}'}\n",
}
INIT = ("init", "new/project", "--generate-key", "--chart", "../home/chart")
AGAIN = ("init", "new/project", "--chart", "../home/chart")
THEIRS = "# somebody's key\n"


@pytest.fixture
def small(machine: Machine) -> Machine:
    """A machine with a small chart and a key file that others use, too; nothing is in `root`."""
    for path, text in CHART.items():
        place = machine.home / "chart" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    machine.hold_key()
    keys(machine).write_text(THEIRS)
    return machine


def keys(machine: Machine) -> Path:
    return machine.home / ".config/sops/age/keys.txt"


def in_repository(machine: Machine) -> Machine:
    """The same with a repository of people at `root`."""
    machine.git("init", "-q")
    (machine.root / "theirs").write_text("1\n")
    machine.git("add", "theirs")
    machine.git("commit", "-qm", "Theirs")
    return machine


def with_project(machine: Machine) -> Machine:
    """The same with a project, and a value that `render` has to bring into it."""
    in_repository(machine)
    machine.ok("init", ".", "--chart", "../home/chart", "--recipient", machine.recipient)
    machine.ok("env", "add", "old", "--hostname", "old.example.com")
    place = machine.root / "overlays/old/environment.yaml"
    place.write_text(f"{place.read_text()}values:\n  text: b\n")
    machine.git("commit", "-qam", "A value")
    return machine


def hook(machine: Machine, name: str, script: str) -> None:
    """A hook of every repository of this user."""
    place = machine.home / "hooks" / name
    place.parent.mkdir(exist_ok=True)
    place.write_text(f"#!/bin/sh\n{script}\n")
    place.chmod(0o755)
    machine.git("config", "--global", "core.hooksPath", str(place.parent))


def contents(machine: Machine) -> dict[str, bytes | None]:
    """Every file and directory of the user, but for what a reading git refreshes and what is kasmgen's own lock."""
    base = machine.root.parent
    return {
        path.relative_to(base).as_posix(): path.read_bytes() if path.is_file() else None
        for path in base.rglob("*")
        if not path.match("repo/.git/kasmgen") and not path.match("repo/.git/kasmgen/lock")
        if not path.match("repo/.git/index") and "objects" not in path.parts and path.name != "COMMIT_EDITMSG"
    }


def ended(machine: Machine, point: str, number: int, *arguments: str) -> tuple[int, str]:
    """Exit code and words of a run that gets the signal at the point."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.points", str(machine.root.parent), point, str(int(number)), *arguments],
        cwd=machine.root,
        env=machine.env(PYTHONPATH=str(Path(__file__).parents[2])),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        check=False,
        timeout=GUARD,
    )
    return done.returncode, done.stderr


def assert_told(said: str, commit: str) -> None:
    """The message names the commit that is there, or says that nothing is; never both, never another."""
    assert ("nothing was changed" in said) == (not commit), said
    assert (f"interrupted, but commit {commit[:12]} was made" in said) == bool(commit), said
    assert "Traceback" not in said


def assert_works(machine: Machine, directory: str = "new/project") -> None:
    """The next commands do what they are for, and nothing of a killed run is left anywhere."""
    project = machine.root / directory
    machine.ok("init", ".", "--chart", "../../../home/chart" if directory != "." else "../home/chart", cwd=project)
    machine.ok("env", "add", "next", "--hostname", "next.example.com", "--recipient", machine.recipient, cwd=project)
    machine.ok("render", "--check", cwd=project)
    assert_tidy(machine, project)


def assert_tidy(machine: Machine, project: Path) -> None:
    """Nothing of ours is left where nobody would look for it."""
    assert machine.git("status", "--porcelain", cwd=project) == ""
    assert list((machine.home / "tmp").iterdir()) == []
    assert not [path for name in ("begun-*", ".kasmgen-tmp-*", "*.lock") for path in machine.root.rglob(name)]
    machine.git("fsck", "--strict", cwd=project)


# --- init --generate-key ----------------------------------------------------------


# Both signals take one way; the nightly form below sends each of them at every point.
@pytest.mark.parametrize(
    ("point", "number"),
    [
        ("mkdir repo/new/project", signal.SIGTERM),
        ("start git init", signal.SIGINT),
        ("write home/.config/sops/age/keys.txt", signal.SIGTERM),
        ("rename repo/new/project/kasmgen.yaml", signal.SIGINT),
        ("start git update-index", signal.SIGTERM),
    ],
)
def test_before_the_commit_everything_of_init_is_taken_back(small: Machine, point: str, number: signal.Signals) -> None:
    before = contents(small)
    code, said = ended(small, point, number, *INIT)
    assert code == 130, said
    assert_told(said, "")
    assert contents(small) == before


def test_in_a_repository_of_people_only_what_init_made_is_taken_back(small: Machine) -> None:
    in_repository(small)
    # The Ctrl-C of a terminal, which reaches the hook and git, too; meanwhile another program keeps a key.
    hook(small, "pre-commit", f"echo '# another' >> {keys(small)}; kill -INT 0; sleep 1800")
    before = contents(small)
    code, said = ended(small, "", 0, *INIT)
    assert code == 130, said
    assert_told(said, "")
    name = keys(small).relative_to(small.root.parent).as_posix()
    assert contents(small) == {**before, name: f"{THEIRS}# another\n".encode()}


def test_a_new_repository_that_somebody_uses_meanwhile_stays(small: Machine) -> None:
    hook(small, "pre-commit", "git config remote.origin.url https://git.example.com/x.git; exit 1")
    done = small.run(*INIT)
    assert done.code == 5
    assert keys(small).read_text() == THEIRS
    assert small.git("config", "remote.origin.url", cwd=small.root / "new/project") == "https://git.example.com/x.git"
    assert [path.name for path in (small.root / "new/project").iterdir()] == [".git"]


@pytest.mark.parametrize(
    ("where", "number"),
    [
        ("post-commit", signal.SIGINT),
        ("post-commit", signal.SIGTERM),
        ("remove repo/new/project/.git/kasmgen/journal", signal.SIGINT),
    ],
)
@pytest.mark.parametrize("new", [True, False], ids=["new repository", "existing repository"])
def test_after_the_commit_nothing_of_init_is_taken_back(
    small: Machine, number: signal.Signals, where: str, new: bool
) -> None:
    if not new:
        in_repository(small)
    point = where if new else where.replace("new/project/", "")
    if where == "post-commit":
        # kasmgen, whose child is the git that runs this hook.
        parent = 'kill -"$SIGNAL" "$(cut -d" " -f4 "/proc/$PPID/stat")"; sleep 1800'
        hook(small, "post-commit", parent.replace("$SIGNAL", number.name.removeprefix("SIG")))
        point = ""
    code, said = ended(small, point, number, *INIT)
    assert code == 130, said
    if where == "post-commit":
        (small.home / "hooks/post-commit").unlink()
    project = small.root / "new/project"
    assert_told(said, small.git("rev-parse", "HEAD", cwd=project))
    assert keys(small).read_text().startswith(THEIRS)
    assert keys(small).read_text().count("AGE-SECRET-KEY-1") == 1
    assert_works(small)
    shown = small.ok("check", cwd=project).stdout
    assert "fail" not in shown


def test_a_push_that_fails_or_is_interrupted_undoes_nothing(small: Machine) -> None:
    in_repository(small)
    small.git("remote", "add", "origin", str(small.home / "nowhere"))
    failed = small.run(*INIT, "--push")
    assert failed.code == 5
    assert "the commit is there" in failed.stderr
    assert keys(small).read_text().count("AGE-SECRET-KEY-1") == 1
    code, said = ended(
        small, "start git push", signal.SIGTERM, "init", "two", "--generate-key", "--chart", "../home/chart", "--push"
    )
    assert code == 130
    assert_told(said, small.git("rev-parse", "HEAD"))
    assert "may not be pushed" in said
    assert keys(small).read_text().count("AGE-SECRET-KEY-1") == 2


@pytest.mark.parametrize(
    ("point", "told"),
    [
        ("start git init", ["this Git repository"]),
        ("rename repo/new/project/.git/kasmgen/journal", ["this Git repository", "the age key age1"]),
        ("start git commit", ["this Git repository", "the age key age1"]),
        ("remove repo/new/project/.git/kasmgen/journal", []),
    ],
)
def test_what_a_kill_left_is_told_once_and_the_next_run_works(small: Machine, point: str, told: list[str]) -> None:
    code, _ = ended(small, point, signal.SIGKILL, *INIT)
    assert code == -signal.SIGKILL
    said = small.ok(*AGAIN).stderr
    found = [line for line in said.splitlines() if "that was killed had made" in line]
    assert [text for text in told if any(text in line for line in found)] == told
    assert len(found) == len(told)
    assert "AGE-SECRET-KEY" not in said
    assert "killed" not in small.ok(*AGAIN).stderr
    assert_works(small)


@pytest.mark.parametrize("arguments", [("diff",), ("render", "--check")], ids=["diff", "render"])
def test_what_a_kill_left_in_the_temporary_folder_goes_with_the_next_run(
    small: Machine, arguments: tuple[str, ...]
) -> None:
    with_project(small)
    point = f"start {Path(program('kubectl')).name}"
    code, said = ended(small, point, signal.SIGKILL, "render")
    assert code == -signal.SIGKILL, said
    assert [path.name for path in (small.home / "tmp").iterdir()] != []
    small.run(*arguments)
    assert [path.name for path in (small.home / "tmp").iterdir()] == []


# --- env add and render -----------------------------------------------------------

ADD = ("env", "add", "e", "--hostname", "e.example.com")


@pytest.mark.parametrize("arguments", [ADD, ("render",)], ids=["env add", "render"])
@pytest.mark.parametrize("where", ["start kustomize", "start git update-index", "post-commit", "remove journal"])
def test_a_change_is_whole_or_not_there_and_the_message_says_which(
    small: Machine, arguments: tuple[str, ...], where: str
) -> None:
    with_project(small)
    head = small.git("rev-parse", "HEAD")
    before = contents(small)
    point = {"remove journal": "remove repo/.git/kasmgen/journal", "post-commit": ""}.get(where, where)
    if where == "start kustomize":
        point = f"start {Path(program('kubectl')).name}"
    if where == "post-commit":
        hook(small, "post-commit", "kill -INT 0; sleep 1800")
    code, said = ended(small, point, signal.SIGTERM, *arguments)
    assert code == 130, said
    now = small.git("rev-parse", "HEAD")
    assert (now != head) == (where in ("post-commit", "remove journal"))
    assert_told(said, now if now != head else "")
    if now == head:
        assert contents(small) == before
    if where == "post-commit":
        (small.home / "hooks/post-commit").unlink()
    small.ok("render")
    assert_works(small, ".")


def test_files_that_are_written_and_not_committed_are_told_as_written(small: Machine) -> None:
    with_project(small)
    code, said = ended(small, "remove repo/.git/kasmgen/journal", signal.SIGTERM, "render", "--no-commit")
    assert code == 130
    assert "interrupted, but the files were written" in said
    assert "nothing was changed" not in said
    small.ok("render", "--check")


# --- every step -------------------------------------------------------------------

MOST = 60
COMMANDS: dict[str, tuple[tuple[str, ...], Callable[[Machine], Machine], str]] = {
    "init, new repository": (INIT, lambda machine: machine, "new/project"),
    "init, existing repository": (INIT, in_repository, "new/project"),
    "env add": (ADD, with_project, "."),
    "render": (("render",), with_project, "."),
}


# Slow: at each of 60 points one run is stopped, and the next commands make it whole.
@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("KASMGEN_NIGHTLY"), reason="takes an hour; KASMGEN_NIGHTLY=1 runs it")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("command", COMMANDS)
def test_any_step_may_be_the_last(small: Machine, tmp_path: Path, command: str, number: signal.Signals) -> None:
    arguments, prepare, directory = COMMANDS[command]
    prepare(small)
    code, said = ended(copy_machine(small, tmp_path / "counted"), points.ALL, 0, *arguments)
    assert code == 0, said
    # Python tries whether the temporary folder can be written, with a file whose name is another each time.
    passed = [point for point in json.loads(said.splitlines()[-1]) if not re.fullmatch(r"\w+ home/tmp/\w{8}", point)]
    for step, point in enumerate(passed[(len(passed) - 1) * n // (MOST - 1)] for n in range(MOST)):
        machine = copy_machine(small, tmp_path / str(step))
        before, head = contents(machine), machine.git("rev-parse", "-q", "--verify", "HEAD", check=False)
        code, said = ended(machine, point, number, *arguments)
        assert code == (-number if number == signal.SIGKILL else 130), f"{point}: {said}"
        if number != signal.SIGKILL:
            place = machine.root / directory if (machine.root / directory).exists() else machine.root
            now = machine.git("rev-parse", "-q", "--verify", "HEAD", cwd=place, check=False)
            assert_told(said, now if now != head else "")
            assert now != head or contents(machine) == before, point
        again = machine.run(*arguments)
        assert again.code == 0 or "exists already" in again.stderr, f"{point}: {again.stderr}"
        machine.ok("render", cwd=machine.root / directory)
        machine.ok("render", "--check", cwd=machine.root / directory)
        assert_tidy(machine, machine.root / directory)
        shutil.rmtree(tmp_path / str(step))
