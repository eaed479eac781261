"""The ending that all changing commands share, in real repositories."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kasmgen import __version__
from kasmgen.commands import change
from kasmgen.commands.change import Options, Outcome, PlannedChange
from kasmgen.errors import RepositoryError
from kasmgen.repository import publish
from tests.repository.repositories import Clone

pytestmark = pytest.mark.tool

TREE = {"base/x.yaml": b"x: 1\n", "base/y.yaml": b"y: 1\n"}


def plan(clone: Clone, **more: object) -> PlannedChange:
    made = PlannedChange(
        clone.repo,
        clone.root,
        publish.plan(clone.root, TREE),
        title="Add files",
        done="files are there",
        nothing="nothing to do",
        reports=["look at this"],
        notes=["base: a note"],
        by_hand=["before"],
        next_steps=["after"],
        data={"key": "value"},
    )
    return replace(made, **more)


def test_a_run_commits_and_says_what_comes_next(clone: Clone) -> None:
    landed: list[str] = []
    done = change.finish(plan(clone, body="And why."), Options(), lambda: landed.append(clone.head))
    assert done == Outcome(
        "files are there",
        clone.head,
        lines=("create base/x.yaml", "create base/y.yaml"),
        reports=("look at this",),
        notes=("base: a note",),
        next_steps=("before", "after"),
        data={"key": "value"},
        files=2,
    )
    assert clone.git("log", "-1", "--format=%B") == f"Add files\n\nAnd why.\n\nKasmgen: {__version__}"
    assert landed == [clone.head]


@pytest.mark.parametrize("without_repository", [False, True])
def test_a_dry_run_says_the_same_and_does_nothing(clone: Clone, without_repository: bool) -> None:
    before = clone.snapshot()
    wanted = plan(clone, **{"repo": None} if without_repository else {})
    done = change.finish(wanted, Options(dry_run=True), pytest.fail)
    assert done == Outcome(
        "would change 2 files",
        lines=("create base/x.yaml", "create base/y.yaml"),
        reports=("look at this",),
        notes=("base: a note",),
        next_steps=("before",),
        dry_run=True,
    )
    assert change.finish(replace(wanted, would="would add it"), Options(dry_run=True)).summary == "would add it"
    assert clone.snapshot() == before


def test_where_everything_is_there_nothing_is_done(clone: Clone) -> None:
    change.finish(plan(clone), Options())
    before = clone.snapshot()
    for options in (Options(), Options(dry_run=True)):
        done = change.finish(plan(clone), options, pytest.fail)
        assert (done.summary, done.commit, done.lines, done.dry_run) == ("nothing to do", None, (), False)
        assert (done.next_steps, done.data) == (("before",), {})
    assert clone.snapshot() == before


def test_without_a_commit_the_files_are_written_and_no_more(clone: Clone) -> None:
    head = clone.head
    done = change.finish(plan(clone), Options(commit=False))
    assert (done.summary, done.commit, done.files) == ("files are there", None, 0)
    assert clone.head == head
    assert (clone.root / "base/x.yaml").read_bytes() == b"x: 1\n"


def test_people_word_the_message_and_name_the_branch_and_the_trailers_stay(clone: Clone) -> None:
    clone.write("input.yaml", "edited: true\n")
    options = Options(message="Mine\n\nBecause.\n", branch="new")
    done = change.finish(plan(clone, body="not used", also_commit=["input.yaml"]), options)
    assert clone.git("log", "-1", "--format=%B", "new") == f"Mine\n\nBecause.\n\nKasmgen: {__version__}"
    assert done.files == 3
    assert set(clone.committed()) == {*TREE, "input.yaml"}


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_git_ignores_is_refused_and_a_dry_run_is_refused_alike(clone: Clone, dry_run: bool) -> None:
    clone.write(".gitignore", "base/\n")
    before = clone.snapshot()
    with pytest.raises(RepositoryError, match="git ignores what has to be committed"):
        change.finish(plan(clone), Options(dry_run=dry_run))
    assert clone.snapshot() == before
    assert change.finish(plan(clone), Options(dry_run=dry_run, commit=False)).lines
