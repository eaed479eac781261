"""The journal of a change: what is written down can be read again, and what is damaged is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kasmgen.errors import RepositoryError
from kasmgen.repository import journal
from kasmgen.repository.journal import Journal, JournalEntry

ENTRIES = st.builds(
    JournalEntry,
    path=st.text(min_size=1),
    old=st.none() | st.binary(),
    mode=st.integers(0, 0o7777),
    new=st.none() | st.binary().map(journal.digest),
)
JOURNALS = st.builds(
    Journal,
    head=st.none() | st.just("a" * 40),
    branch=st.none() | st.text(),
    new_branch=st.none() | st.text(),
    commits=st.booleans(),
    entries=st.lists(ENTRIES).map(tuple),
    made=st.lists(st.text()).map(tuple),
    index=st.dictionaries(st.text(), st.text()),
)


@settings(max_examples=40, deadline=None)
@given(JOURNALS)
def test_a_journal_is_read_as_it_was_written(written: Journal) -> None:
    assert journal.decode(journal.encode(written), "journal") == written


@settings(max_examples=40, deadline=None)
@given(JOURNALS, st.integers(min_value=1))
def test_a_journal_that_was_cut_short_is_refused(written: Journal, missing: int) -> None:
    content = journal.encode(written)
    cut = content[: -(missing % len(content)) or -1]
    if cut + b"\n" == content:  # nothing but the line's own end: no content is missing
        return
    with pytest.raises(RepositoryError, match="cannot be read"):
        journal.decode(cut, "journal")


@pytest.mark.parametrize("content", [b"", b"{}\n", b"[]\n", b"null\n", b"\xff\n", b'{"version": 2}\n'])
def test_what_is_no_journal_is_refused_with_the_way_out(content: bytes) -> None:
    with pytest.raises(RepositoryError) as caught:
        journal.decode(content, ".git/kasmgen/journal")
    assert "delete .git/kasmgen/journal" in caught.value.hint


def test_the_digest_of_nothing_is_nothing_and_that_of_an_empty_file_is_not() -> None:
    assert journal.digest(None) is None
    assert journal.digest(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
