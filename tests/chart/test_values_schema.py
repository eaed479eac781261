"""Taking out of a schema what the chart's own defaults can never satisfy, and no more."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from kasmgen.chart import values_schema
from tests.effort import cpu_seconds_at_most


def required(*keys: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(keys), "properties": properties}


def test_only_keys_that_the_defaults_leave_null_are_no_longer_required() -> None:
    given_schema = required("a", "b", "c", a={"type": "integer"}, sub=required("d", "e"))
    before = copy.deepcopy(given_schema)
    relaxed, dropped = values_schema.relax(given_schema, {"a": None, "b": 1, "sub": {"d": None, "e": ""}})
    assert relaxed == required("b", "c", a={"type": "integer"}, sub=required("e"))
    assert dropped == ("a", "sub.d")
    assert given_schema == before


def test_a_key_that_the_defaults_do_not_have_stays_required() -> None:
    assert values_schema.relax(required("host"), {}) == (required("host"), ())


@pytest.mark.parametrize("pointer", ["#/$defs/part", "#/definitions/a~1b~0c%25", "#/allOf/0"])
def test_references_into_the_schema_are_followed(pointer: str) -> None:
    part = required("n")
    root = {
        "$defs": {"part": part},
        "definitions": {"a/b~c%": copy.deepcopy(part)},
        "allOf": [{"type": "object", **copy.deepcopy(part)}],
        "properties": {"x": {"$ref": pointer}},
    }
    relaxed, dropped = values_schema.relax(root, {"x": {"n": None}})
    assert dropped == ("x.n",)
    assert Draft7Validator(relaxed).is_valid({"x": {}, "n": 1})


def test_all_of_is_entered_and_one_of_is_not() -> None:
    one_of = [{"required": ["existing"]}, {"required": ["password"]}]
    values = {"existing": None, "password": None, "n": None}
    relaxed, dropped = values_schema.relax({"allOf": [required("n")], "oneOf": one_of}, values)
    assert relaxed == {"allOf": [required()], "oneOf": one_of}
    assert dropped == ("n",)


def test_alternatives_that_ask_for_one_of_several_keys_mean_it() -> None:
    alternatives = {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}
    assert values_schema.relax(alternatives, {"a": None, "b": None}) == (alternatives, ())
    optional = {"anyOf": [{"type": "null"}, required("n", n={"type": "integer"})]}
    assert values_schema.relax(optional, {"n": None})[1] == ("n",)


@pytest.mark.parametrize(
    "odd",
    [
        True,
        [],
        5,
        None,
        {"required": "x"},
        {"allOf": 5, "anyOf": {"a": 1}},
        {"properties": []},
        {"required": [1, ["x"]]},
        {"$ref": "#/nowhere/0"},
        {"$ref": "https://example.com/x"},
        {"$ref": 5},
        {"$ref": "#"},
        {"$ref": ""},
    ],
)
def test_what_is_no_proper_schema_is_left_as_it_is(odd: Any) -> None:
    assert values_schema.relax(odd, {"x": None}) == (odd, ())


def test_references_in_circles_and_trees_of_them_end_soon() -> None:
    part = {
        **required("n"),
        "allOf": [{"$ref": "#/$defs/part"}] * 30,
        "properties": {"n": {"$ref": "#"}, "s": {"$ref": "#"}},
    }
    defaults: Any = {"n": None}
    for _ in range(100):
        defaults = {"n": None, "s": defaults}
    with cpu_seconds_at_most(30):
        _, dropped = values_schema.relax({"$defs": {"part": part}, "$ref": "#/$defs/part"}, defaults)
    assert dropped[0] == "n"


KEYS = st.sampled_from("abc")
VALUES = st.recursive(
    st.one_of(st.none(), st.integers(0, 3), st.just("x")), lambda v: st.dictionaries(KEYS, v, max_size=3), max_leaves=6
)
SCHEMAS = st.recursive(
    st.sampled_from([{}, {"type": "integer"}, {"type": ["object", "null"]}]),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "required": st.lists(KEYS, unique=True, max_size=3),
            "properties": st.dictionaries(KEYS, inner, max_size=3),
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
        },
    ),
    max_leaves=6,
)


@given(SCHEMAS, st.dictionaries(KEYS, VALUES, max_size=3), VALUES)
@settings(deadline=None, max_examples=120)
def test_what_fitted_before_fits_still(given_schema: Any, defaults: Any, value: Any) -> None:
    relaxed, dropped = values_schema.relax(given_schema, defaults)
    if Draft7Validator(given_schema).is_valid(value):
        assert Draft7Validator(relaxed).is_valid(value)
    if not dropped:
        assert relaxed == given_schema
