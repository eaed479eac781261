"""Killed, interrupted, out of disk, two at once: the repository is as before, or the next run makes it so."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kasmgen.errors import RepositoryError
from kasmgen.layout import marks
from kasmgen.repository import publish
from tests import waiting
from tests.needs import program
from tests.repository import publisher
from tests.repository.repositories import Clone, Snapshot, make
from tests.some import some

pytestmark = [pytest.mark.tool, pytest.mark.usefixtures("home")]

OLD = {
    "kasmgen.yaml": b"kind: Project\n",
    "base/a/x.yaml": marks.stamp(b"x: 1\n", "chart 1"),
    "base/b/y.yaml": marks.stamp(b"y: 1\n", "chart 1"),
}
NEW = {
    "kasmgen.yaml": b"kind: Project # changed\n",
    "base/a/x.yaml": marks.stamp(b"x: 2\n", "chart 1"),
    "base/c/d/z.yaml": marks.stamp(b"z: 1\n", "chart 1"),
}


@pytest.fixture
def clone(clone: Clone) -> Clone:
    """A project with everything committed, and work of people beside it."""
    clone.commit({**OLD, "theirs/staged": "1\n", "theirs/edited": "1\n"})
    clone.write("theirs/staged", "2\n")
    clone.git("add", "theirs/staged")
    clone.write("theirs/edited", "2\n")
    clone.write("theirs/untracked", "1\n")
    return clone


def spec(clone: Clone, **options: Any) -> dict[str, Any]:
    tree = {path: content.decode() for path, content in NEW.items()}
    return {"root": str(clone.root), "tree": tree, "delete": ["base/b/y.yaml"], **options}


def held_at(place: Path) -> str:
    """Lines of a hook that says in `place` that it runs, and goes on when it is let go there."""
    return f"touch {place}/running; while [ ! -e {place}/go ]; do sleep 0.05; done"


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A git that was let go is waited for to its end, however slow the machine is."""
    monkeypatch.setattr(publish, "_WAIT_SECONDS", waiting.GUARD)


def assert_tidy(clone: Clone) -> None:
    assert list(clone.root.rglob(".kasmgen-tmp-*")) == []
    assert [p.name for p in (clone.repo.git_dir / "kasmgen").glob("*")] in ([], ["lock"])
    assert list((clone.root / ".git").rglob("*.lock")) == []
    clone.git("fsck", "--strict")


def assert_complete(clone: Clone, before: Snapshot) -> None:
    """HEAD is one commit further, with all of the change and nothing else; index and files agree with it."""
    assert clone.git("rev-parse", "HEAD~1") == before.head
    assert clone.committed() == {
        "kasmgen.yaml": "M",
        "base/a/x.yaml": "M",
        "base/b/y.yaml": "D",
        "base/c/d/z.yaml": "A",
    }
    after = clone.snapshot()
    assert after.staged_diff == before.staged_diff
    theirs = {path: file for path, file in before.files.items() if path.startswith("theirs/") or path == "README"}
    assert after.files == {**theirs, **{path: (0o644, content) for path, content in NEW.items()}}


def assert_whole_or_nothing(clone: Clone, before: Snapshot) -> bool:
    """Whether the change is there. Either way it can be made again."""
    complete = clone.head != before.head
    if complete:
        assert_complete(clone, before)
    else:
        assert clone.snapshot() == before
    assert_tidy(clone)
    plan = publish.plan(clone.root, NEW, delete=["base/b/y.yaml"])
    assert bool(plan) != complete
    publisher.commit(clone.repo, clone.root, plan)
    assert_complete(clone, before)
    assert_tidy(clone)
    return complete


# --- killed --------------------------------------------------------------

SLICES = 4
POINTS = 7


# Slow: 28 runs are killed, and 28 more make them whole.
@pytest.mark.slow
@pytest.mark.parametrize("part", range(SLICES))
def test_a_run_that_is_killed_at_any_point_is_completed_or_undone(clone: Clone, tmp_path: Path, part: int) -> None:
    template = tmp_path / "template"
    shutil.copytree(clone.root, template, symlinks=True)
    before = clone.snapshot()
    counted = publisher.start(spec(clone))
    out, err = counted.communicate(timeout=waiting.GUARD)
    assert counted.returncode == 0, err
    passed = json.loads(out)
    assert len(passed) >= SLICES * POINTS
    # Evenly spread, the last one among them, and no point in two slices.
    for at in [passed[(len(passed) - 1) * (SLICES * i + part) // (SLICES * POINTS - 1)] for i in range(POINTS)]:
        shutil.rmtree(clone.root)
        shutil.copytree(template, clone.root, symlinks=True)
        died = publisher.start(spec(clone, die=at))
        died.communicate(timeout=waiting.GUARD)
        assert died.returncode == -signal.SIGKILL, at
        publish.recover(clone.repo)
        assert_whole_or_nothing(clone, before)


@pytest.mark.parametrize("group", [False, True], ids=["kasmgen alone", "its git and hooks too"])
@pytest.mark.parametrize("hook", ["pre-commit", "commit-msg", "post-commit"])
@pytest.mark.usefixtures("patient")
def test_a_run_that_is_killed_while_a_hook_runs(clone: Clone, tmp_path: Path, hook: str, group: bool) -> None:
    clone.hook(hook, held_at(tmp_path))
    before = clone.snapshot()
    process = publisher.start(spec(clone))
    waiting.until_there(tmp_path / "running")
    (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
    process.communicate(timeout=waiting.GUARD)
    (tmp_path / "go").touch()
    report = publish.recover(clone.repo)
    assert "a kasmgen was killed at work in this repository" in report
    complete = assert_whole_or_nothing(clone, before)
    # A git that was left alone finishes its commit; one that died with kasmgen does not.
    assert complete == (hook == "post-commit" or not group)


def test_a_git_that_outlives_its_kasmgen_is_waited_for_and_then_named(
    clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone.hook("pre-commit", held_at(tmp_path))
    before = clone.snapshot()
    process = publisher.start(spec(clone))
    waiting.until_there(tmp_path / "running")
    process.kill()
    process.communicate(timeout=waiting.GUARD)
    with pytest.raises(RepositoryError, match=r"still at work \(process \d+\)") as caught:
        publish.recover(clone.repo)
    assert "kill" in caught.value.hint
    assert clone.head == before.head
    (tmp_path / "go").touch()
    monkeypatch.setattr(publish, "_WAIT_SECONDS", waiting.GUARD)
    assert "its commit was complete (4 files)" in publish.recover(clone.repo)
    assert_whole_or_nothing(clone, before)


def test_locks_of_a_branch_that_a_killed_git_held_are_removed(clone: Clone, tmp_path: Path) -> None:
    clone.hook(
        "reference-transaction",
        f'if [ "$1" = prepared ] && [ ! -e {tmp_path}/held ]; then touch {tmp_path}/held; sleep 60; fi',
    )
    before = clone.snapshot()
    process = publisher.start(spec(clone))
    waiting.until_there(tmp_path / "held")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=waiting.GUARD)
    locks = [str(lock) for lock in (clone.root / ".git").rglob("*.lock")]
    assert locks
    report = publish.recover(clone.repo)
    assert {line for line in report if line.startswith("removed ")} == {
        f"removed {lock}, which a killed git had left" for lock in locks
    }
    assert not assert_whole_or_nothing(clone, before)


def test_a_lock_of_somebody_else_is_left_alone(clone: Clone) -> None:
    before = clone.snapshot()
    _killed_halfway(clone)
    (clone.root / ".git/index.lock").touch()
    publish.recover(clone.repo)
    assert (clone.root / ".git/index.lock").exists()
    (clone.root / ".git/index.lock").unlink()
    assert clone.snapshot() == before


def _killed_halfway(clone: Clone, **options: Any) -> None:
    """A run that dies when its files are written and nothing is committed yet."""
    hook = clone.root / ".git/hooks/pre-commit"
    clone.hook("pre-commit", "kill -9 0")
    process = publisher.start(spec(clone, **options))
    process.communicate(timeout=waiting.GUARD)
    assert process.returncode == -signal.SIGKILL
    hook.unlink()
    assert (clone.root / "base/c/d/z.yaml").exists()


def test_what_people_did_since_the_kill_is_left_alone_and_reported(clone: Clone) -> None:
    _killed_halfway(clone)
    clone.write("base/a/x.yaml", "people's\n")
    (clone.root / "base/c/d/z.yaml").unlink()
    report = publish.recover(clone.repo)
    assert "base/a/x.yaml was changed since and is left as it is" in report
    assert "kasmgen.yaml is again as it was before" in report
    assert "base/b/y.yaml is again as it was before" in report
    assert (clone.root / "base/a/x.yaml").read_text() == "people's\n"
    assert (clone.root / "kasmgen.yaml").read_bytes() == OLD["kasmgen.yaml"]
    assert not (clone.root / "base/c").exists()
    assert_tidy(clone)


def test_people_may_clean_up_themselves_after_a_kill(clone: Clone) -> None:
    before = clone.snapshot()
    _killed_halfway(clone)
    clone.git("restore", "--", "base", "kasmgen.yaml")
    clone.git("clean", "-fdq", "base")
    publish.recover(clone.repo)
    assert clone.snapshot() == before
    assert_tidy(clone)


def test_what_people_committed_since_the_kill_stays(clone: Clone) -> None:
    _killed_halfway(clone)
    clone.git("add", "base/a/x.yaml")
    clone.git("commit", "-q", "-m", "Keep this one", "--", "base/a/x.yaml")
    kept = clone.head
    publish.recover(clone.repo)
    assert clone.head == kept
    assert (clone.root / "base/a/x.yaml").read_bytes() == NEW["base/a/x.yaml"]
    assert (clone.root / "kasmgen.yaml").read_bytes() == OLD["kasmgen.yaml"]
    assert (clone.root / "base/b/y.yaml").exists()
    assert [line for line in clone.status if "theirs/" not in line] == []
    assert_tidy(clone)


def test_a_new_branch_is_taken_back_after_a_kill(clone: Clone) -> None:
    before = clone.snapshot()
    _killed_halfway(clone, branch="new")
    assert clone.git("symbolic-ref", "HEAD") == "refs/heads/new"
    publish.recover(clone.repo)
    assert clone.snapshot() == before
    assert_tidy(clone)


def test_the_next_change_recovers_by_itself(clone: Clone) -> None:
    before = clone.snapshot()
    _killed_halfway(clone)
    changes = publish.FileChanges(NEW, frozenset(["base/b/y.yaml"]))
    publisher.commit(clone.repo, clone.root, changes)
    assert_complete(clone, before)


def test_recovering_where_nothing_happened_writes_nothing(clone: Clone) -> None:
    assert publish.recover(clone.repo) == []
    assert not (clone.root / ".git/kasmgen").exists()


def test_a_damaged_journal_is_not_guessed_at(clone: Clone) -> None:
    _killed_halfway(clone)
    journal = clone.root / ".git/kasmgen/journal"
    journal.write_bytes(journal.read_bytes()[:-3])
    before = clone.snapshot()
    with pytest.raises(RepositoryError, match="cannot be read") as caught:
        publish.recover(clone.repo)
    assert f"delete {journal}" in caught.value.hint
    assert clone.snapshot() == before


# --- interrupted ---------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_a_hook_runs_undoes_the_change_and_then_ends_the_process(
    clone: Clone, tmp_path: Path, number: signal.Signals
) -> None:
    clone.hook("pre-commit", f"touch {tmp_path}/running; sleep 1800")
    before = clone.snapshot()
    process = publisher.start(spec(clone, branch="new"))
    waiting.until_there(tmp_path / "running")
    process.send_signal(number)
    _, err = process.communicate(timeout=waiting.GUARD)
    # Python turns SIGINT into KeyboardInterrupt and then dies of it as the system expects.
    assert process.returncode == -number, err
    assert clone.snapshot() == before
    assert_tidy(clone)


def test_what_a_hook_starts_while_it_is_ended_is_ended_with_it(clone: Clone, tmp_path: Path) -> None:
    # One that is missed holds the pipes that kasmgen reads to their end.
    clone.hook("pre-commit", f"touch {tmp_path}/running; for i in $(seq 100); do sleep 1800 & sleep 0.05; done; wait")
    before = clone.snapshot()
    # Every signal that kasmgen sends comes late, as on a busy machine.
    late = (program("strace"), "-D", "-qq", "-o", "/dev/null", "-e", "inject=kill:delay_enter=100000")
    process = publisher.start(spec(clone), *late)
    waiting.until_there(tmp_path / "running")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=waiting.GUARD)
    assert process.returncode == -signal.SIGTERM, err
    assert clone.snapshot() == before
    assert_tidy(clone)


# --- two at once ---------------------------------------------------------


def test_a_second_kasmgen_is_refused_at_once_and_told_who_is_first(clone: Clone, tmp_path: Path) -> None:
    clone.hook("pre-commit", held_at(tmp_path))
    before = clone.snapshot()
    first = publisher.start(spec(clone))
    waiting.until_there(tmp_path / "running")
    # The first one is held until both answers are there, so nobody can have waited for it.
    second = publish.FileChanges({"other.yaml": b"x\n"})
    with pytest.raises(RepositoryError, match=rf"another kasmgen \(process {first.pid}\)") as caught:
        publisher.commit(clone.repo, clone.root, second, "Second")
    with pytest.raises(RepositoryError, match="another kasmgen"):
        publish.recover(clone.repo)
    assert caught.value.code == 5
    assert not (clone.root / "other.yaml").exists()
    (tmp_path / "go").touch()
    _, err = first.communicate(timeout=waiting.GUARD)
    assert first.returncode == 0, err
    assert_complete(clone, before)
    assert publisher.commit(clone.repo, clone.root, second, "Second").commit == clone.head


def test_an_index_that_somebody_holds_follows_with_the_next_run(clone: Clone) -> None:
    before = clone.snapshot()
    # As `git commit -a` does while its editor is open.
    clone.hook("pre-commit", "touch .git/index.lock")
    changes = publish.FileChanges(NEW, frozenset(["base/b/y.yaml"]))
    with pytest.raises(RepositoryError, match=r"committed as [0-9a-f]{40}, but the index could not follow") as caught:
        publisher.commit(clone.repo, clone.root, changes)
    assert "next kasmgen command" in caught.value.hint
    (clone.root / ".git/index.lock").unlink()
    (clone.root / ".git/hooks/pre-commit").unlink()
    assert "its commit was complete (4 files)" in publish.recover(clone.repo)
    assert assert_whole_or_nothing(clone, before)


def test_many_at_once_leave_one_commit_each_or_an_error(clone: Clone) -> None:
    head = clone.head
    specs = [{"root": str(clone.root), "tree": {f"own/{n}.yaml": f"n: {n}\n"}} for n in range(4)]
    processes = [publisher.start(one) for one in specs]
    ends = [(process.communicate(timeout=waiting.GUARD), process.returncode) for process in processes]
    done = [code == 0 for _, code in ends]
    assert any(done)
    assert all(code == 0 or out.startswith("5 another kasmgen") for (out, _), code in some(ends)), ends
    assert len(clone.git("rev-list", f"{head}..HEAD").split()) == sum(done)
    assert [(clone.root / f"own/{n}.yaml").exists() for n in range(4)] == done
    assert_tidy(clone)


# --- disks and permissions -----------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk; the test with a limit on file sizes runs everywhere")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _fill(disk: Path, leave: int) -> Path:
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    filler = disk / "filler"
    filler.write_bytes(b"\0" * max(0, free - leave))
    return filler


@pytest.mark.parametrize("leave", [0, 4, 8, 16, 24, 32, 48, 64, 80, 96, 128, 160])
def test_a_full_disk_leaves_everything_as_it_was(small_disk: Path, leave: int) -> None:
    clone = make(small_disk / "repo")
    shutil.rmtree(clone.root / ".git/hooks", ignore_errors=True)
    clone.commit({"base/a.yaml": b"a" * 9000, "base/b.yaml": b"b" * 9000, "base/gone.yaml": b"g" * 9000})
    # Random, so that git cannot compress it away.
    tree = {f"base/{name}.yaml": os.urandom(9000) for name in "abc"}
    plan = publish.plan(clone.root, tree, delete=["base/gone.yaml"])
    before = clone.snapshot()
    filler = _fill(small_disk, leave * 1024)
    try:
        made = publisher.commit(clone.repo, clone.root, plan).commit
    except RepositoryError as error:
        made = None
        assert "No space left" in error.message
    if made is None:
        assert clone.snapshot() == before
    filler.unlink()
    assert publish.recover(clone.repo) == []
    assert clone.head == (made or before.head)
    if made is None:
        assert publisher.commit(clone.repo, clone.root, plan).commit == clone.head
    assert clone.status == []
    assert_tidy(clone)


def test_a_file_that_the_system_refuses_to_write_leaves_everything_as_it_was(clone: Clone) -> None:
    before = clone.snapshot()
    asked = spec(clone)
    asked["tree"]["base/big.yaml"] = "x" * 60_000

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        # Without this the system would kill the process instead of refusing to write.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    process = publisher.start(asked, preexec_fn=limit)
    out, err = process.communicate(timeout=waiting.GUARD)
    assert (process.returncode, out) == (1, "5 File too large; nothing was changed\n"), err
    assert clone.snapshot() == before
    assert_tidy(clone)


def test_a_directory_that_may_not_be_written_to_leaves_everything_as_it_was(
    clone: Clone, tmp_path: Path, home: Path
) -> None:
    before = clone.snapshot()
    prefix = _as_somebody_without_rights(clone, tmp_path, home)
    process = publisher.start(spec(clone), *prefix)
    out, err = process.communicate(timeout=waiting.GUARD)
    (clone.root / "base/b").chmod(0o755)
    assert process.returncode == 1, err
    assert out.startswith("5 ")
    assert "Permission denied; nothing was changed" in out
    after = clone.snapshot()
    assert after == before
    assert_tidy(clone)


def _as_somebody_without_rights(clone: Clone, tmp_path: Path, home: Path) -> tuple[str, ...]:
    """Make one of the directories that must change read-only, even if the tests run as root."""
    place = clone.root / "base/b"
    place.chmod(0o555)
    if os.geteuid() != 0:
        return ()
    for directory, _, names in os.walk(tmp_path):
        for name in ("", *names):
            os.chown(Path(directory, name), 65534, 65534)
    for parent in (tmp_path, *tmp_path.parents):
        parent.chmod(parent.stat().st_mode | 0o055)
    with (home / ".gitconfig").open("a") as file:
        file.write("[safe]\n\tdirectory = *\n")
    return (program("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups")
