"""A change lands whole or not at all, whatever happens, and nothing of people is touched."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kasmgen.errors import InputError, RepositoryError
from kasmgen.layout import marks
from kasmgen.repository import publish
from kasmgen.repository.publish import FileChanges, Publication
from tests.points import Points
from tests.repository import publisher
from tests.repository.repositories import Clone, Snapshot, make

pytestmark = [pytest.mark.tool, pytest.mark.usefixtures("home")]

CHART = "chart 1.0.0"


def generated(text: str) -> bytes:
    return marks.stamp(text.encode(), CHART)


@pytest.fixture
def clone(clone: Clone) -> Clone:
    """A repository in which people have work of every kind lying about."""
    return people_at_work(clone)


def people_at_work(clone: Clone) -> Clone:
    clone.commit({"theirs/staged": "1\n", "theirs/edited": "1\n", "theirs/removed": "1\n"})
    clone.write("theirs/staged", "2\n")
    clone.write("theirs/added", "1\n")
    clone.git("add", "theirs/staged", "theirs/added")
    clone.git("rm", "-q", "--cached", "theirs/removed")
    clone.write("theirs/edited", "2\n")
    clone.write("theirs/untracked", "1\n")
    return clone


TREE = {
    "kasmgen.yaml": b"kind: Project\n",
    "base/kustomization.yaml": generated("resources: [a/x.yaml, b/y.yaml]\n"),
    "base/a/x.yaml": generated("x: 1\n"),
    "base/b/y.yaml": generated("y: 1\n"),
}
NEXT = {
    "kasmgen.yaml": b"kind: Project # people's\n",
    "base/kustomization.yaml": generated("resources: [a/x.yaml, c/d/z.yaml]\n"),
    "base/a/x.yaml": generated("x: 2\n"),
    "base/c/d/z.yaml": generated("z: 1\n"),
}


def go(clone: Clone, tree: dict[str, bytes], *, root: str = "", prune: tuple[str, ...] = ("base",), **options: Any):
    place = clone.root / root
    return publisher.commit(clone.repo, place, publish.plan(place, tree, prune=prune), **options)


def assert_tidy(clone: Clone) -> None:
    assert list(clone.root.rglob(".kasmgen-tmp-*")) == []
    assert [p.name for p in (clone.repo.git_dir / "kasmgen").glob("*")] in ([], ["lock"])
    clone.git("fsck", "--strict")


# --- planning ------------------------------------------------------------


def test_a_plan_says_what_changes_and_nothing_else(clone: Clone) -> None:
    go(clone, TREE)
    plan = publish.plan(clone.root, NEXT, prune=["base"])
    assert plan.describe() == [
        "change base/a/x.yaml",
        "delete base/b/y.yaml",
        "create base/c/d/z.yaml",
        "change base/kustomization.yaml",
        "change kasmgen.yaml",
    ]
    assert plan.paths == [line.split()[1] for line in plan.describe()]
    assert plan
    assert not publish.plan(clone.root, TREE, prune=["base"])


def test_planning_writes_nothing(clone: Clone) -> None:
    before = clone.snapshot()
    publish.plan(clone.root, TREE, prune=["base", "overlays/*/patches"])
    assert clone.snapshot() == before
    assert not (clone.root / ".git/kasmgen").exists()


def test_only_marked_files_are_pruned(clone: Clone) -> None:
    sealed = b"kind: Secret\nmetadata:\n  annotations:\n    kasmgen.dev/revision: '1'\nsops:\n  mac: x\n"
    for path, content in {
        "base/old.yaml": generated("1\n"),
        "base/own.yaml": b"kind: ConfigMap\n",
        "base/a.sops.yaml": sealed,
        "overlays/x/patches/old.yaml": generated("1\n"),
        "overlays/x/kustomization.yaml": generated("1\n"),
        "elsewhere/old.yaml": generated("1\n"),
    }.items():
        clone.write(path, content)
    (clone.root / "base/link.yaml").symlink_to("old.yaml")
    plan = publish.plan(clone.root, {}, prune=["base", "overlays/*/patches", "not-there"])
    assert plan.deletes == {"base/old.yaml", "overlays/x/patches/old.yaml"}


def test_a_file_that_is_named_is_deleted_whatever_it_is(clone: Clone) -> None:
    clone.commit({"overlays/x/environment.yaml": "own\n"})
    plan = publish.plan(clone.root, {}, delete=["overlays/x/environment.yaml", "not/there"])
    assert plan.deletes == {"overlays/x/environment.yaml"}
    assert publisher.commit(clone.repo, clone.root, plan, "Remove").commit == clone.head
    assert clone.committed() == {"overlays/x/environment.yaml": "D"}
    assert not (clone.root / "overlays").exists()


@pytest.mark.parametrize("where", ["changed", "pruned"])
def test_a_generated_file_that_people_edited_stops_the_plan(clone: Clone, where: str) -> None:
    clone.write("base/x.yaml", generated("x: 1\n") + b"y: people's\n")
    tree = {"base/x.yaml": generated("x: 2\n")} if where == "changed" else {}
    with pytest.raises(RepositoryError, match=r"base/x\.yaml is generated, and somebody has edited it") as caught:
        publish.plan(clone.root, tree, prune=["base"])
    assert "--force" in caught.value.hint
    assert "environment.yaml" in caught.value.hint
    assert publish.plan(clone.root, tree, prune=["base"], force=True).paths == ["base/x.yaml"]


def test_a_file_of_people_where_a_generated_one_must_go_stops_the_plan(clone: Clone) -> None:
    clone.write("base/x.yaml", "people's\n")
    tree = {"base/x.yaml": generated("x: 2\n")}
    with pytest.raises(RepositoryError, match="a file that kasmgen did not make stands there"):
        publish.plan(clone.root, tree)
    assert publish.plan(clone.root, tree, force=True).describe() == ["change base/x.yaml"]


def test_files_that_git_checked_out_with_crlf_are_no_change(clone: Clone) -> None:
    clone.git("config", "core.autocrlf", "true")
    go(clone, TREE)
    for path in TREE:
        (clone.root / path).unlink()
    clone.git("checkout", "--", *TREE)
    assert b"\r\n" in (clone.root / "base/a/x.yaml").read_bytes()
    assert not publish.plan(clone.root, TREE, prune=["base"])
    done = go(clone, NEXT)
    assert done.commit
    assert clone.committed()["base/b/y.yaml"] == "D"
    assert [line for line in clone.status if "theirs/" not in line] == []


EVIL = ["../x", "a/../../x", "/etc/x", "a//b", "./a", "a/.", "", ".git/hooks/pre-commit", "a/.GIT/config", "git~1/x"]
EVIL += ["a\nb", "a\x00b", "..\\x", ".g\u200cit/config", "a/\x1b[31m"]


@pytest.mark.parametrize("path", EVIL)
def test_a_path_that_leaves_the_project_is_refused(clone: Clone, path: str) -> None:
    before = clone.snapshot()
    with pytest.raises(InputError, match="does not stay inside the project"):
        publish.plan(clone.root, {path: b"x"})
    with pytest.raises(InputError):
        publisher.commit(clone.repo, clone.root, FileChanges({path: b"x"}), "x")
    with pytest.raises(InputError):
        publish.plan(clone.root, {}, prune=[path])
    assert clone.snapshot() == before


def _link_parent(clone: Clone, outside: Path) -> None:
    (clone.root / "base").symlink_to(outside)


def _link_file(clone: Clone, outside: Path) -> None:
    (clone.root / "base/a").mkdir(parents=True)
    (clone.root / "base/a/x.yaml").symlink_to(outside / "x.yaml")


def _dangling_link(clone: Clone, outside: Path) -> None:
    (clone.root / "base/a").mkdir(parents=True)
    (clone.root / "base/a/x.yaml").symlink_to(outside / "not-there")


def _directory(clone: Clone, _: Path) -> None:
    (clone.root / "base/a/x.yaml").mkdir(parents=True)


def _file_as_parent(clone: Clone, _: Path) -> None:
    clone.write("base/a", "people's\n")


def _other_repository(clone: Clone, _: Path) -> None:
    make(clone.root / "base/a")


def _device(clone: Clone, _: Path) -> None:
    (clone.root / "base/a").mkdir(parents=True)
    os.mkfifo(clone.root / "base/a/x.yaml")


IN_THE_WAY = {
    "symbolic link": _link_parent,
    "is a symbolic link where a file": _link_file,
    "a symbolic link where": _dangling_link,
    "directory or device where a file": _directory,
    "is a file where": _file_as_parent,
    "a repository of its own": _other_repository,
    "device where a file must be": _device,
}


@pytest.mark.parametrize("said", IN_THE_WAY)
def test_what_is_in_the_way_is_named_and_nothing_is_written_through_it(clone: Clone, tmp_path: Path, said: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.yaml").write_text("people's\n")
    IN_THE_WAY[said](clone, outside)
    content = generated("x: 1\n")
    with pytest.raises(RepositoryError, match=said):
        publish.plan(clone.root, {"base/a/x.yaml": content}, force=True)
    with pytest.raises(RepositoryError, match=said):
        publisher.commit(clone.repo, clone.root, FileChanges({"base/a/x.yaml": content}), "x")
    assert {p.name: p.read_text() for p in outside.iterdir()} == {"x.yaml": "people's\n"}


# --- publishing ----------------------------------------------------------


def test_a_change_is_one_commit_of_its_own_paths(clone: Clone) -> None:
    theirs = clone.status
    first = go(clone, TREE)
    assert first.commit == clone.head
    assert clone.committed() == dict.fromkeys(TREE, "A")
    (clone.root / "base/a/x.yaml").chmod(0o600)
    second = go(clone, NEXT)
    assert second.commit == clone.head
    assert clone.committed() == {
        "kasmgen.yaml": "M",
        "base/kustomization.yaml": "M",
        "base/a/x.yaml": "M",
        "base/b/y.yaml": "D",
        "base/c/d/z.yaml": "A",
    }
    assert clone.status == theirs
    modes = {path: mode for path, (mode, _) in clone.files().items() if path in NEXT}
    assert modes == {**dict.fromkeys(NEXT, 0o644), "base/a/x.yaml": 0o600}
    assert not (clone.root / "base/b").exists()
    assert_tidy(clone)


def test_twice_the_same_is_no_commit(clone: Clone) -> None:
    go(clone, TREE)
    before = clone.snapshot()
    assert go(clone, TREE).commit is None
    assert clone.snapshot() == before


def test_a_project_in_a_subdirectory_commits_only_below_it(clone: Clone) -> None:
    done = go(clone, TREE, root="apps/kasm")
    assert done.commit == clone.head
    assert clone.committed() == {f"apps/kasm/{path}": "A" for path in TREE}
    go(clone, NEXT, root="apps/kasm")
    assert clone.committed()["apps/kasm/base/b/y.yaml"] == "D"


def test_a_project_in_a_linked_work_tree_and_in_a_submodule(clone: Clone, tmp_path: Path) -> None:
    clone.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    inner = make(tmp_path / "inner")
    clone.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner.root), "sub")
    for place in (tmp_path / "side", clone.root / "sub"):
        other = Clone(place)
        head = clone.head
        assert go(other, TREE).commit == other.head
        assert clone.head == head
        assert other.status == []
        assert_tidy(other)


def test_the_first_commit_of_a_new_repository(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "new")
    clone.root.mkdir()
    clone.git("init", "-q")
    assert go(clone, TREE).commit == clone.head
    assert clone.committed() == dict.fromkeys(TREE, "A")
    assert clone.status == []


def test_without_a_commit_only_the_files_change_and_are_then_what_is_there(clone: Clone) -> None:
    before = clone.snapshot()
    plan = publish.plan(clone.root, TREE, prune=["base"])
    done = publish.publish(Publication(clone.repo, clone.root, plan, commit=None))
    after = clone.snapshot()
    assert done.commit is None
    assert (after.head, after.staged, after.refs) == (before.head, before.staged, before.refs)
    assert {path: content for path, (_, content) in after.files.items() if path in TREE} == TREE
    assert not publish.plan(clone.root, TREE, prune=["base"])
    assert go(clone, NEXT).commit == clone.head
    assert_tidy(clone)


def test_files_that_people_edited_go_along_when_they_are_named(clone: Clone) -> None:
    go(clone, TREE)
    clone.write("kasmgen.yaml", "kind: Project\nvalues: {}\n")
    clone.write("overlays/x/environment.yaml", "new\n")
    tree = {**TREE, "base/a/x.yaml": generated("x: 3\n")}
    tree.pop("kasmgen.yaml")
    also = ["kasmgen.yaml", "overlays/x/environment.yaml", "base/b/y.yaml"]
    done = publisher.commit(clone.repo, clone.root, publish.plan(clone.root, tree), "Render", also=also)
    assert done.commit == clone.head
    assert clone.committed() == {"kasmgen.yaml": "M", "overlays/x/environment.yaml": "A", "base/a/x.yaml": "M"}


def test_a_new_branch_gets_the_commit_and_the_old_one_does_not(clone: Clone) -> None:
    before = clone.head
    done = go(clone, TREE, branch="add-kasm")
    assert clone.git("symbolic-ref", "HEAD") == "refs/heads/add-kasm"
    assert clone.git("rev-parse", "main") == before
    assert clone.git("rev-parse", "add-kasm") == done.commit


def test_a_detached_head_is_refused_and_a_new_branch_is_the_way_out(clone: Clone) -> None:
    clone.git("checkout", "-q", "--detach")
    before = clone.snapshot()
    with pytest.raises(RepositoryError, match="HEAD is detached"):
        go(clone, TREE)
    assert clone.snapshot() == before
    assert go(clone, TREE, branch="new").commit == clone.git("rev-parse", "new")


def test_push_sends_the_new_branch_and_says_early_when_there_is_nowhere_to_send_it(
    clone: Clone, tmp_path: Path
) -> None:
    before = clone.snapshot()
    with pytest.raises(RepositoryError, match="no remote called origin"):
        go(clone, TREE, push=True)
    assert clone.snapshot() == before
    clone.git("clone", "-q", "--bare", ".", str(tmp_path / "remote.git"))
    clone.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    done = go(clone, TREE, branch="new", push=True)
    assert Clone(tmp_path / "remote.git").git("rev-parse", "refs/heads/new") == done.commit


def test_a_file_that_changed_since_the_plan_is_not_overwritten(clone: Clone) -> None:
    go(clone, TREE)
    plan = publish.plan(clone.root, NEXT, prune=["base"])
    clone.write("kasmgen.yaml", "saved in an editor meanwhile\n")
    before = clone.snapshot()
    with pytest.raises(RepositoryError, match=r"kasmgen\.yaml was changed while kasmgen was at work"):
        publisher.commit(clone.repo, clone.root, plan)
    assert clone.snapshot() == before


def test_a_new_spelling_of_a_name_replaces_the_old_one(clone: Clone) -> None:
    clone.git("config", "core.ignorecase", "true")
    go(clone, {"base/Web.yaml": generated("1\n")})
    go(clone, {"base/web.yaml": generated("1\n")})
    assert clone.git("ls-tree", "-r", "--name-only", "HEAD", "base/") == "base/web.yaml"
    assert [p.name for p in (clone.root / "base").iterdir()] == ["web.yaml"]


# --- refused -------------------------------------------------------------


def _hook(clone: Clone) -> None:
    clone.hook("pre-commit", "echo x >> base/a/x.yaml; echo 'no' >&2; exit 1")


def _message_hook(clone: Clone) -> None:
    clone.hook("commit-msg", "echo 'no ticket' >&2; exit 1")


def _signing(clone: Clone) -> None:
    clone.git("config", "gpg.format", "ssh")
    clone.git("config", "user.signingkey", "/nowhere/key")
    clone.git("config", "commit.gpgsign", "true")


def _ignored(clone: Clone) -> None:
    clone.write(".git/info/exclude", "z.yaml\n")


def _merging(clone: Clone) -> None:
    head = clone.head
    clone.git("stash", "-q", "--include-untracked")
    clone.git("switch", "-q", "-c", "side", "HEAD~1")
    clone.commit({"side": "1\n"})
    clone.git("switch", "-q", "main")
    clone.git("merge", "-q", "--no-commit", "side")
    assert clone.head == head


def _no_identity(clone: Clone) -> None:
    clone.git("config", "--global", "--unset", "user.email")


REFUSALS: dict[str, Callable[[Clone], None]] = {
    "refused the commit: no": _hook,
    "no ticket": _message_hook,
    "refused the commit": _signing,
    r"git ignores .*z\.yaml \(\.git/info/exclude:1: z\.yaml\)": _ignored,
    "a merge is in progress": _merging,
    "does not know who you are": _no_identity,
}


@pytest.mark.parametrize("branch", [None, "new"])
@pytest.mark.parametrize("said", REFUSALS)
def test_a_refused_change_leaves_everything_as_it_was(clone: Clone, said: str, branch: str | None) -> None:
    go(clone, TREE)
    REFUSALS[said](clone)
    before = clone.snapshot()
    with pytest.raises(RepositoryError, match=said) as caught:
        go(clone, NEXT, branch=branch)
    assert caught.value.code == 5
    assert caught.value.hint
    assert clone.snapshot() == before
    assert_tidy(clone)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_fails_files_index_and_head_are_as_before(tmp_path: Path, data: st.DataObject) -> None:
    """Random work of people, random changes, and a failure at a random place."""
    shutil.rmtree(tmp_path / "random", ignore_errors=True)
    clone = make(tmp_path / "random")
    paths = [f"{d}{n}" for d in ("", "a/", "a/b/", "c/") for n in ("x", "y")]
    contents = st.binary(max_size=50)
    committed = data.draw(st.dictionaries(st.sampled_from(paths), contents), label="committed")
    staged = data.draw(st.dictionaries(st.sampled_from(paths), contents), label="staged")
    edited = data.draw(st.dictionaries(st.sampled_from(paths), contents), label="edited")
    if committed:
        clone.commit(dict(committed))
    for path, content in staged.items():
        clone.write(path, content)
        clone.git("add", path)
    for path, content in edited.items():
        clone.write(path, content)
    writes = data.draw(st.dictionaries(st.sampled_from(paths), contents), label="writes")
    deletes = data.draw(st.sets(st.sampled_from(paths)), label="deletes") - set(writes)
    plan = publish.plan(clone.root, writes, delete=deletes)
    branch = data.draw(st.sampled_from([None, "new"]), label="branch")
    failure = data.draw(st.sampled_from(["pre-commit", "commit-msg", "signal"]), label="failure")
    before = clone.snapshot()
    if failure == "signal":
        rehearsal = Clone(tmp_path / "rehearsal")
        shutil.rmtree(rehearsal.root, ignore_errors=True)
        shutil.copytree(clone.root, rehearsal.root, symlinks=True)
        passed = _points_of(rehearsal, plan, branch)
        if passed:
            _interrupt(clone, plan, branch, data.draw(st.sampled_from(passed), label="at"), before)
        return
    clone.hook(failure, "echo x > a/x; exit 1" if (clone.root / "a").exists() else "exit 1")
    if plan and _makes_a_commit(clone, plan):
        with pytest.raises(RepositoryError, match="git refused"):
            publisher.commit(clone.repo, clone.root, plan, branch=branch)
        if "a/x" not in plan.paths:
            clone.write("a/x", before.files["a/x"][1]) if "a/x" in before.files else None
        _assert_same(clone.snapshot(), before, but="a/x" if "a/x" not in plan.paths else "")
    assert_tidy(clone)


def _makes_a_commit(clone: Clone, plan: FileChanges) -> bool:
    def there(path: str) -> bytes | None:
        done = subprocess.run(["git", "show", f"HEAD:{path}"], cwd=clone.root, capture_output=True, check=False)
        return done.stdout if done.returncode == 0 else None

    return any(there(path) != plan.writes.get(path) for path in plan.paths)


def _assert_same(after: Snapshot, before: Snapshot, but: str = "") -> None:
    kept = {path: file for path, file in after.files.items() if path != but}
    assert kept == {path: file for path, file in before.files.items() if path != but}
    assert (after.on, after.head, after.refs) == (before.on, before.head, before.refs)
    assert (after.staged, after.staged_diff) == (before.staged, before.staged_diff)


_POINTS = Points()


def _points_of(clone: Clone, plan: FileChanges, branch: str | None) -> list[str]:
    """The points that this change passes."""
    repo = clone.repo
    with _POINTS.watching(clone.root):
        publisher.commit(repo, clone.root, plan, branch=branch)
    return _POINTS.seen


def _interrupt(clone: Clone, plan: FileChanges, branch: str | None, at: str, before: Snapshot) -> None:
    """Publish, with a real SIGINT at this point."""
    repo = clone.repo
    with pytest.raises(KeyboardInterrupt), _POINTS.watching(clone.root, at, lambda: signal.raise_signal(signal.SIGINT)):
        publisher.commit(repo, clone.root, plan, branch=branch)
    assert at in _POINTS.seen
    if clone.head == before.head:
        _assert_same(clone.snapshot(), before)
    assert_tidy(clone)
