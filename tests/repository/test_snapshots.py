"""The files at one place: a commit, the index and the work tree are read by the same protocol."""

from __future__ import annotations

from pathlib import Path

import pytest

from kasmgen.errors import InputError
from kasmgen.repository import history
from kasmgen.repository.objects import Reader
from kasmgen.repository.snapshots import Bounds, Commit, Index, Snapshot, WorkTree
from tests.repository.repositories import Clone, make, settle_home

pytestmark = pytest.mark.tool

FILES = {"p/small": b"1\n", "p/ä": b"", "p/large": b"x" * 101, "q/other": b"2\n"}


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    settle_home(tmp_path / "home", monkeypatch)
    clone = make(tmp_path / "repo")
    (clone.root / "p").mkdir()
    (clone.root / "p/link").symlink_to("small")
    clone.commit({**FILES, ".gitignore": "ignored\n"})
    clone.git("add", "p/link")
    clone.git("commit", "-q", "-m", "link")
    clone.write("p/ignored", "3\n")
    return clone


def places(clone: Clone, reader: Reader, bounds: Bounds) -> list[Snapshot]:
    return [
        Commit(reader, clone.head, "HEAD", bounds),
        Index(reader, bounds=bounds),
        WorkTree(reader, bounds=bounds),
    ]


def test_where_nothing_is_changed_all_places_say_the_same(clone: Clone) -> None:
    with history.opened(clone.repo) as commits:
        for reader in (Reader(clone.repo), commits):
            for place in places(clone, reader, Bounds(file=100)):
                assert place.names == {*FILES, "README", ".gitignore"}
                assert place.links == {"p/link"}
                place.prefetch(["p/small", "p/large"])
                assert (place.read("p/small"), place.read("p/ä"), place.read("q/other")) == (b"1\n", b"", b"2\n")
                assert place.identity("p/small") == clone.git("rev-parse", "HEAD:p/small")
                for path in ("p/large", "p/none", "p"):
                    assert place.get(path) is None
                    with pytest.raises(InputError, match=path):
                        place.read(path)


def test_too_much_together_is_refused_before_it_is_read(clone: Clone) -> None:
    for place in places(clone, Reader(clone.repo), Bounds(together=100)):
        with pytest.raises(InputError, match="read more than"):
            place.prefetch(["p/small", "p/large"])


def test_each_place_has_its_own_content_and_prefix(clone: Clone) -> None:
    clone.write("p/small", "staged\n")
    clone.git("add", "p/small")
    clone.write("p/small", "edited\n")
    reader = Reader(clone.repo)
    commit, index, work_tree = Commit(reader, clone.head, "HEAD"), Index(reader, "p"), WorkTree(reader, "p")
    assert [place.read("p/small") for place in (commit, index, work_tree)] == [b"1\n", b"staged\n", b"edited\n"]
    assert index.names == work_tree.names == {"p/small", "p/ä", "p/large"}


def test_in_a_hook_the_index_that_git_commits_counts_and_no_other(
    clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = clone.root / ".git/next-index.lock"
    own.write_bytes((clone.root / ".git/index").read_bytes())
    monkeypatch.setenv("GIT_INDEX_FILE", str(own))
    clone.write("p/new", "1\n")
    clone.git("add", "p/new")
    reader = Reader(clone.repo)
    assert "p/new" in Index(reader).names
    assert reader.staged() == {"p/new"}
    assert "p/new" not in reader.index().entries
    foreign = tmp_path / "index"
    foreign.write_bytes(own.read_bytes())
    monkeypatch.setenv("GIT_INDEX_FILE", str(foreign))
    assert "p/new" not in Index(reader).names
