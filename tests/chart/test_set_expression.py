"""Values of a chart: merging, paths and `--set`."""

from __future__ import annotations

import copy
from typing import Any

import helm_python
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kasmgen.chart import set_expression as v
from kasmgen.errors import InputError
from kasmgen.yaml import mappings

WORDS = st.sampled_from(["a", "b", "c", "image"])
TREES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(0, 9), st.sampled_from(["", "x", "y"]), st.lists(st.integers(0, 2))
    ),
    lambda inner: st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(WORDS, TREES, max_size=3)


# --- merging -----------------------------------------------------------------------


def test_later_layers_win_mappings_are_merged_and_lists_replaced() -> None:
    first = {"a": {"x": 1, "y": [1, 2]}, "b": {"z": 1}, "c": "text"}
    second = {"a": {"y": [3], "w": None}, "b": "gone", "c": {"k": 1}}
    assert mappings.merge(first, second) == {"a": {"x": 1, "y": [3], "w": None}, "b": "gone", "c": {"k": 1}}


@given(MAPPINGS, MAPPINGS, MAPPINGS)
@settings(deadline=None, max_examples=100)
def test_merging_is_associative_has_an_empty_element_and_changes_no_layer(a: Any, b: Any, c: Any) -> None:
    before = copy.deepcopy((a, b, c))
    together = mappings.merge(a, b, c)
    assert together == mappings.merge(mappings.merge(a, b), c)
    assert mappings.merge({}, a, {}) == a
    assert mappings.merge(a, a) == a
    for value in together.values():  # what comes out shares nothing with what went in
        if isinstance(value, list | dict):
            value.clear()
    assert (a, b, c) == before


# --- paths -------------------------------------------------------------------------


def test_get_takes_the_path_of_a_list_item_and_falls_back_where_a_path_ends() -> None:
    values = {"a": {"b": [{"c": 1}]}, "t": "text", "n": None}
    assert mappings.get(values, ("a", "b", "0", "c")) == 1
    assert mappings.get(values, ("a", "b", "1", "c"), "default") == "default"
    assert mappings.get(values, ("t", "b"), "default") == "default"
    assert mappings.get(values, ("n",), "default") is None
    assert mappings.put(("a", "b"), 1) == {"a": {"b": 1}}


def test_without_takes_the_key_and_what_it_leaves_empty_and_changes_nothing_given() -> None:
    values = {"a": {"b": {"c": 1}, "d": 2}, "e": {"f": {"g": 1}}, "users": [{"name": "x", "password": "y"}, 5]}
    before = copy.deepcopy(values)
    assert mappings.without(values, ("a", "b", "c")) == {**values, "a": {"d": 2}}
    assert "e" not in mappings.without(values, ("e", "f", "g"))
    assert mappings.without(values, ("users", "0", "password"))["users"] == [{"name": "x"}, 5]
    assert mappings.without(mappings.without(values, ("users", "0", "password")), ("users", "0", "name"))["users"] == [
        {},
        5,
    ]
    for missing in (("x",), ("a", "x", "y"), ("a", "d", "x"), ("users", "7", "x"), ("users", "1", "x"), ("users", "0")):
        assert mappings.without(values, missing) == values
    assert values == before


def test_text_leaves_reach_into_lists_and_take_numbers_for_text() -> None:
    values = {
        "a": {"b": "text", "pin": 12345678, "on": True, "none": None, "f": 1.5},
        "users": [{"password": "s3cret", "deep": [{"k": "v"}]}, "bare", ["nested"]],
    }
    assert list(mappings.text_leaves(values)) == [
        (("a", "b"), "text"),
        (("a", "pin"), "12345678"),
        (("a", "f"), "1.5"),
        (("users", "0", "password"), "s3cret"),
        (("users", "0", "deep", "0", "k"), "v"),
        (("users",), "bare"),
        (("users",), "nested"),
    ]


@given(MAPPINGS)
@settings(deadline=None, max_examples=100)
def test_a_value_whose_leaves_are_all_taken_away_has_none_left(values: Any) -> None:
    rest = values
    for path, _ in mappings.text_leaves(values):
        rest = mappings.without(rest, path)
    assert list(mappings.text_leaves(rest)) == []


# --- --set -------------------------------------------------------------------------

KEYS = st.text("abc.,=[]{}\\ é'\"-0", min_size=1, max_size=5)
SCALARS = st.one_of(
    st.sampled_from(
        ["true", "FALSE", "null", "Null", "0", "01", "-1", "+5", "1e3", "1.5", "9223372036854775807", "--"]
    ),
    st.sampled_from(["9223372036854775808", "-9223372036854775808", "-9223372036854775809", "0x10", "yes", "+-1"]),
    st.text("abc.,=[]{}\\ é'\"-0\n", max_size=5),
)


def escaped(text: str, also: str) -> str:
    return "".join(f"\\{char}" if char in f"\\{also}" else char for char in text)


@st.composite
def assignments(draw: st.DrawFn) -> str:
    """One well-formed `path=value`."""
    path = escaped(draw(KEYS), ".=[,")
    for _ in range(draw(st.integers(0, 3))):
        if draw(st.booleans()):
            path += f".{escaped(draw(KEYS), '.=[,')}"
        else:
            path += f"[{draw(st.integers(0, 3))}]"
    if draw(st.integers(0, 3)) == 0:
        items = draw(st.lists(SCALARS, max_size=3))
        return f"{path}={{{','.join(escaped(item, ',}') for item in items)}}}"
    text = escaped(draw(SCALARS), ",")
    return f"{path}=" + (f"\\{text}" if text.startswith("{") else text)


@given(st.lists(assignments(), min_size=1, max_size=4))
@settings(deadline=None, max_examples=500)
def test_every_well_formed_set_means_what_it_means_to_helm(parts: list[str]) -> None:
    text = ",".join(parts)
    try:
        expected = helm_python.parse_set_string(text)
    except helm_python.HelmError as error:
        if "interface conversion" in str(error):
            return  # a[0]=x after a=y: Helm stumbles, here the later one wins as it does in a.b=x after a=y
        with pytest.raises(InputError):
            v.parse_set(text)
        return
    if text.endswith("=") and "]." in text:
        return  # Helm drops an empty value at the very end of a path through a list
    assert typed(v.parse_set(text)) == typed(expected)


def typed(value: Any) -> Any:
    """`value` so that 1 and true differ; libhelm hands out large numbers as floats."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return ("number", float(value)) if type(value) in (int, float) else value


@given(st.text("ab01.,=[]{}\\ -", max_size=12))
@example("a[99999999999]=x")
@example("a[65537]=x")
@example("a[" + "9" * 5000 + "]=x")
@example("a=" + "9" * 5000)
@example("a[-1]=x")
@example("a[٣]=x")
@settings(deadline=None, max_examples=500)
def test_any_text_is_read_as_helm_reads_it_or_refused(text: str) -> None:
    try:
        ours = v.parse_set(text)
    except InputError:
        return
    if not (text.rstrip("\\").endswith("=") and "]" in text):
        assert typed(ours) == typed(helm_python.parse_set_string(text))


@pytest.mark.parametrize("text", ["a", "a=1,b", "=1", ".a=1", "a..b=1", "a.=1", "a[x]=1", "a[0]", "a[0]x=1", "a={1,2"])
def test_a_set_that_says_nothing_clear_is_refused_and_never_quotes_the_value(text: str) -> None:
    with pytest.raises(InputError) as caught:
        v.parse_set(f"password=hunter2,{text}")
    assert "--set" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "key[0]=value" in caught.value.hint


def test_a_set_over_other_values_keeps_the_rest_of_lists_and_mappings() -> None:
    onto = {"a": {"x": 1}, "list": [{"k": 1, "l": 2}, "second"], "t": "text"}
    before = copy.deepcopy(onto)
    assert v.parse_set("a.y=2,list[0].k=9,list[3]=z,t.u=1", onto=onto) == {
        "a": {"x": 1, "y": 2},
        "list": [{"k": 9, "l": 2}, "second", None, "z"],
        "t": {"u": 1},
    }
    assert onto == before
    assert v.parse_set("list[1]=z") == {"list": [None, "z"]}
