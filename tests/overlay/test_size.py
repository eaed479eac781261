"""How much a reader has to read, and whether it is at least so much."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kasmgen.overlay.size import lines, reaches
from kasmgen.yaml.documents import Yaml

SCALARS = st.none() | st.booleans() | st.integers() | st.text("ab\n", max_size=12) | st.just("x" * 250)
VALUES: st.SearchStrategy[Yaml] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=4),
    max_leaves=20,
)


def test_lines_are_counted_as_they_are_read() -> None:
    assert lines("short") == 1
    assert lines("a\nb") == 2
    assert lines("x" * 99) == 1
    assert lines("x" * 100) == 2
    assert lines("a\n" + "x" * 250 + "\n") == 5
    assert lines({"a": {"b": 1, "c": [1, 2]}}) == 5
    assert lines({}) == lines([]) == lines(None) == 1


@given(VALUES, st.integers(-2, 40))
def test_reaching_a_number_of_lines_is_having_as_many(value: Yaml, least: int) -> None:
    assert reaches(value, least) == (lines(value) >= least)
