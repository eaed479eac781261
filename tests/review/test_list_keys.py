"""The tables of list keys against the schemas of Kubernetes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from kasmgen.kubernetes import schema_files
from kasmgen.review import list_keys


def keyed_lists() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Field and keys of every list that Kubernetes itself keeps by keys and that people write."""
    for name, definition in schema_files.load().definitions.items():
        for field, schema in definition.get("properties", {}).items():
            keys = schema.get("x-kubernetes-list-map-keys") or [schema.get("x-kubernetes-patch-merge-key")]
            # Of stable versions. Nobody writes what the server and its nodes say of themselves.
            if keys != [None] and re.search(r"\.v\d+\.(?!CSINode|.*(Status|Health))", name):
                yield field, tuple(keys)


KEYED = sorted(set(keyed_lists()))


def test_there_are_lists_with_keys() -> None:
    assert {"containers", "env", "ports", "volumeMounts", "webhooks"} <= {field for field, _ in KEYED}


@pytest.mark.parametrize(("field", "keys"), KEYED)
def test_items_are_told_apart_by_the_keys_of_kubernetes(field: str, keys: tuple[str, ...]) -> None:
    def item(changed: str) -> dict[str, Any]:
        return {key: f"{key}-{changed if key == keys[0] else 'same'}" for key in keys}

    found = list_keys.common_keys(field, [item("a"), item("b")], [item("b"), item("c")])
    assert found is not None
    (first, second), (third, fourth) = found
    assert second == third
    assert len({first, second, fourth}) == 3
    assert {name for name, _ in first.fields} == set(keys)


# Containers start one after the other; a variable may refer to one above it, of a pod and of a policy.
IN_ORDER = {"initContainers", "env", "variables"}


@pytest.mark.parametrize("field", sorted({field for field, _ in KEYED} - IN_ORDER))
def test_lists_with_keys_have_no_order(field: str) -> None:
    assert not list_keys.order_matters(field, [], [])


def test_lists_that_are_read_from_top_to_bottom_have_one() -> None:
    variables = [{"name": "A", "value": "$(B)"}]
    assert [field for field in sorted(IN_ORDER) if not list_keys.order_matters(field, variables, variables)] == []
