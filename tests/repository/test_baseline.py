"""Compared with what: one answer, whoever asks Git for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kasmgen.errors import InputError
from kasmgen.repository import baseline, history
from kasmgen.repository.objects import Reader
from tests.repository.repositories import Clone, make

pytestmark = [pytest.mark.tool, pytest.mark.usefixtures("home")]

CI = ("KASMGEN_BASE", "GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME")


@pytest.fixture(autouse=True)
def no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CI:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def origin(tmp_path: Path) -> Clone:
    """main, and release that left it a commit earlier."""
    origin = make(tmp_path / "origin")
    origin.git("branch", "release")
    origin.commit({"main": "1\n"})
    return origin


@pytest.fixture
def clone(origin: Clone, tmp_path: Path) -> Clone:
    """The branch feature, begun at main, with a commit; main has gone on since."""
    origin.git("clone", "-q", str(origin.root), str(tmp_path / "clone"))
    clone = Clone(tmp_path / "clone")
    clone.git("switch", "-q", "-c", "feature", "--no-track")
    clone.commit({"feature": "1\n"})
    origin.commit({"main": "2\n"})
    clone.git("fetch", "-q")
    return clone


@pytest.fixture(params=["the git program", "GitPython"])
def how(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def reader(clone: Clone, how: str) -> Iterator[Reader]:
    if how == "the git program":
        yield Reader(clone.repo)
        return
    with history.opened(clone.repo) as opened:
        yield opened


def found(clone: Clone, how: str) -> baseline.Baseline | None:
    return next(baseline.find(one) for one in reader(clone, how))


def test_it_is_where_the_branch_left_the_main_branch(clone: Clone, how: str) -> None:
    main = clone.git("rev-parse", "origin/main~1")
    assert found(clone, how) == baseline.Baseline(main, "origin/HEAD")
    clone.git("branch", "-q", "--set-upstream-to", "origin/release")
    release = clone.git("rev-parse", "origin/release")
    base = found(clone, how)
    assert base == baseline.Baseline(release, "@{upstream}")
    assert base.label == f"{release[:12]} (where the branch left its upstream)"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GITHUB_BASE_REF", "release"),
        ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "release"),
        ("KASMGEN_BASE", "origin/release"),
    ],
)
def test_in_ci_it_is_where_the_branch_left_the_target_branch(
    clone: Clone, how: str, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert found(clone, how) == baseline.Baseline(clone.git("rev-parse", "origin/release"), "origin/release")


def test_our_own_variable_wins_and_an_empty_one_says_nothing(
    clone: Clone, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_BASE_REF", "")
    base = found(clone, how)
    assert base is not None
    assert base.revision == "origin/HEAD"
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    monkeypatch.setenv("KASMGEN_BASE", "origin/release")
    base = found(clone, how)
    assert base is not None
    assert base.revision == "origin/release"


def test_a_variable_that_names_no_revision_is_an_error(clone: Clone, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("nowhere", "--all", "HEAD:main"):
        monkeypatch.setenv("KASMGEN_BASE", value)
        with pytest.raises(InputError, match=r"KASMGEN_BASE: .* is no revision"):
            found(clone, how)


def test_a_target_branch_that_is_not_here_is_said_with_the_way_to_fetch_it(
    clone: Clone, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_BASE_REF", "release")
    clone.git("update-ref", "-d", "refs/remotes/origin/release")
    with pytest.raises(baseline.MissingHistoryError, match="the target branch release is not in this clone") as caught:
        found(clone, how)
    clone.git(*caught.value.hint.split("`")[1].split()[1:])
    base = found(clone, how)
    assert base is not None
    assert base.revision == "origin/release"


def test_a_shallow_clone_is_said_and_nothing_guessed(
    origin: Clone, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.git("switch", "-q", "-c", "feature", "release")
    origin.commit({"feature": "1\n"})
    shallow = Clone(tmp_path / "shallow")
    origin.git("clone", "-q", "--depth", "1", f"file://{origin.root}", str(shallow.root))
    shallow.git("fetch", "-q", "--depth", "1", "origin", "+refs/heads/main:refs/remotes/origin/main")
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    with pytest.raises(baseline.MissingHistoryError, match="no commit in common here") as caught:
        found(shallow, how)
    assert "git fetch --unshallow" in caught.value.hint
    monkeypatch.setenv("GITHUB_BASE_REF", "release")
    with pytest.raises(baseline.MissingHistoryError, match="the target branch release is not in this shallow clone"):
        found(shallow, how)
    monkeypatch.delenv("GITHUB_BASE_REF")
    for ref in shallow.git("for-each-ref", "--format=%(refname)", "refs/remotes").split():
        shallow.git("update-ref", "-d", "--no-deref", ref)
    with pytest.raises(baseline.MissingHistoryError, match="a shallow clone does not know"):
        found(shallow, how)


def test_without_any_remote_it_is_the_last_commit_and_without_a_commit_nothing(tmp_path: Path, how: str) -> None:
    clone = make(tmp_path / "alone")
    assert found(clone, how) == baseline.Baseline(clone.head, "HEAD")
    clone.git("switch", "-q", "--orphan", "empty")
    assert found(clone, how) is None
