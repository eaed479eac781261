"""Identities, and secrets that do not show."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from kasmgen.errors import InputError
from kasmgen.kubernetes.resources import Note, Render, Rendered, ResourceId, Secret, by_id


def test_the_version_is_no_part_of_an_identity_and_the_group_is() -> None:
    def obj(version: str) -> dict[str, object]:
        return {"apiVersion": version, "kind": "Deployment", "metadata": {"name": "x", "namespace": "n"}}

    assert (
        ResourceId.of(obj("apps/v1"))
        == ResourceId.of(obj("apps/v1beta1"))
        == ResourceId("Deployment", "n", "x", "apps")
    )
    assert ResourceId.of(obj("apps/v1")) != ResourceId.of(obj("v1"))
    assert str(ResourceId.of(obj("apps/v1"))) == "Deployment x in n"
    assert str(ResourceId("Node", "", "x")) == "Node x"


def test_objects_are_keyed_by_identity_and_none_twice() -> None:
    one = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "n"}}
    assert list(by_id([one, other]).values()) == [one, other]
    with pytest.raises(InputError, match="two objects are the same ConfigMap x"):
        by_id([one, dict(one)])


def test_a_secret_shows_nowhere_and_is_never_pickled() -> None:
    secret = Secret("hunter2")
    for shown in (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>20}",
        f"{secret:>20}",
        repr([secret]),
        repr({"k": secret}),
    ):
        assert "hunter2" not in shown
    for leak in (pickle.dumps, json.dumps, copy.deepcopy):
        with pytest.raises(TypeError) as caught:
            leak(secret)
        assert "hunter2" not in str(caught.value)
    assert secret.reveal() == b"hunter2"


def test_secrets_are_equal_by_value_and_to_nothing_else() -> None:
    assert Secret("x") == Secret(b"x")
    assert len({Secret("x"), Secret(b"x"), Secret("y")}) == 2
    assert Secret("x") != "x"


def test_a_render_does_not_show_its_secrets() -> None:
    key = ResourceId("Secret", "n", "x")
    render = Render({}, {key: Rendered(key, {"stringData": {"k": "hunter2"}}, "t")}, (Note("rule", "Secret x"),))
    assert "hunter2" not in repr(render)
    assert str(render.notes[0]) == "rule: Secret x"
