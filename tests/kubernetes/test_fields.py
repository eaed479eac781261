"""Reading what may have any shape."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasmgen.kubernetes import fields

OBJECT: dict[str, Any] = {"spec": {"a": {"b": 1}, "list": [{"n": 1}, "x", None, 5, ["y"]], "none": None}}
ANY = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)


@pytest.mark.parametrize(
    ("path", "value"),
    [("spec.a.b", 1), ("spec.a", {"b": 1}), ("spec.a.b.c", None), ("spec.list.n", None), ("x.y", None)],
)
def test_a_path_that_ends_early_gives_nothing(path: str, value: object) -> None:
    assert fields.get(OBJECT, path) == value


def test_what_has_another_shape_is_left_out() -> None:
    assert fields.mapping(OBJECT, "spec.list") == fields.mapping(OBJECT, "spec.none") == {}
    assert fields.items(OBJECT, "spec.list") == [{"n": 1}]
    assert fields.texts(OBJECT, "spec.list") == ["x", "5"]
    assert fields.items(OBJECT, "spec.a") == fields.texts(OBJECT, "spec.a") == []


@given(ANY, st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(".".join))
def test_no_shape_makes_reading_fail(value: Any, path: str) -> None:
    assert isinstance(fields.mapping(value, path), dict)
    assert {type(item) for item in fields.items(value, path)} <= {dict}
    assert {type(text) for text in fields.texts(value, path)} <= {str}
