"""Equality as Kubernetes sees it, and differences as people read them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from kasmgen.kubernetes import equality
from kasmgen.kubernetes.resources import ResourceId
from kasmgen.overlay import kustomize_limits

ID = ResourceId("ConfigMap", "kasm", "c")


@pytest.mark.parametrize(
    ("a", "b"),
    list(itertools.combinations([1, "1", True, None, "", 0, False, [], {}, "true", "null", 1.5], 2)),
)
def test_values_of_different_type_are_never_equal(a: Any, b: Any) -> None:
    assert not equality.equal(a, b)
    assert not equality.equal({"k": [a]}, {"k": [b]})


@pytest.mark.parametrize("value", [1, "1", True, None, 1.5, [1, [2]], {"a": {"b": [None]}}, {}, []])
def test_every_value_equals_itself(value: Any) -> None:
    assert equality.equal(value, value)


def test_a_whole_float_is_the_integer_that_kubernetes_reads() -> None:
    assert equality.equal(1.0, 1)


def test_the_order_of_lists_counts_and_that_of_mappings_does_not() -> None:
    assert not equality.equal([1, 2], [2, 1])
    assert equality.equal({"a": 1, "b": 2}, {"b": 2, "a": 1})


def found(want: Any, got: Any) -> list[tuple[str, str]]:
    return [(d.path, d.detail) for d in equality.differences({ID: want}, {ID: got})]


def test_equal_objects_have_no_differences() -> None:
    assert found({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}) == []


def test_a_difference_says_where_what_is_and_what_should_be() -> None:
    assert found({"a/b": {"c": "x"}}, {"a/b": {"c": "y"}}) == [("/a~1b/c", 'is "y", should be "x"')]


def test_types_are_named_where_only_they_differ() -> None:
    assert found({"a": "1"}, {"a": 1}) == [("/a", 'is the number 1, should be the text "1"')]


def test_missing_and_surplus_fields_are_told_apart() -> None:
    assert found({"a": 1}, {"b": 2}) == [
        ("/a", "is missing, should be 1"),
        ("/b", "is 2, should not be there"),
    ]


def test_another_order_is_called_that_and_shows_names() -> None:
    items = [{"name": "i1"}, {"name": "i2"}]
    assert found({"a": items}, {"a": items[::-1]}) == [("/a", "has another order: is i2, i1, should be i1, i2")]


def test_lists_of_other_length_name_the_items() -> None:
    assert found({"a": [1, 2, 3]}, {"a": [1]}) == [
        ("/a", "has 1 items, should have 3"),
        ("/a/1", "is missing, should be 2"),
        ("/a/2", "is missing, should be 3"),
    ]


def test_long_values_are_shortened() -> None:
    ((_, detail),) = found({"a": "x" * 5000}, {"a": "y" * 5000})
    assert len(detail) < 200


def test_whole_objects_that_are_missing_or_too_many_are_named() -> None:
    other = ResourceId("Service", "kasm", "s")
    assert [str(d) for d in equality.differences({ID: {}}, {other: {}})] == [
        "ConfigMap c in kasm: is missing",
        "Service s in kasm: should not be there",
    ]


def test_every_difference_is_found_by_equal_too() -> None:
    values = [1, True, "1", None, [], {}, [1], [True], {"a": 1}, {"a": None}, [1, 2], [2, 1]]
    for a, b in itertools.product(values, repeat=2):
        assert bool(found({"v": a}, {"v": b})) == (not equality.equal(a, b))


def object_with(**parts: Any) -> Any:
    metadata = {"name": "c", "namespace": "kasm", **parts.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **parts}


@pytest.mark.parametrize(
    ("obj", "path"),
    [
        (object_with(data={"a": "x\x85y"}), "/data/a"),
        (object_with(data={"a\x7f": "x"}), "/data/a\x7f"),
        (object_with(spec=[["\uffff"]]), "/spec/0/0"),
        (object_with(data={"k" * 1001: "x"}), "/data"),
        (object_with(metadata={"annotations": {}}), "/metadata/annotations"),
        (object_with(metadata={"annotations": None}), "/metadata/annotations"),
        (object_with(metadata={"annotations": {"a": 1}}), "/metadata/annotations/a"),
        (object_with(metadata={"annotations": {"a": "\tx\n"}}), "/metadata/annotations/a"),
        (
            object_with(metadata={"annotations": {"config.kubernetes.io/local-config": "true"}}),
            "/metadata/annotations/config.kubernetes.io~1local-config",
        ),
        ({**object_with(items=[]), "kind": "AllowList"}, "/items"),
    ],
)
def test_what_kustomize_cannot_carry_is_named(obj: Any, path: str) -> None:
    assert [d.path for d in kustomize_limits.find(obj)] == [path]


def test_an_ordinary_object_has_nothing_that_kustomize_cannot_carry() -> None:
    text = "\ttab, \u00a0, 漢字, \U0001f511, ${x}\r\n" + "long " * 10_000
    assert kustomize_limits.find(object_with(data={"a": text}, metadata={"annotations": {"a": "1"}})) == []
