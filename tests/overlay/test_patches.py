"""What an environment adds to its base, and how its files are called."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kasmgen.kubernetes.resources import Object, ResourceId, by_id
from kasmgen.overlay import patch, patches


def an_object(kind: str, name: str, namespace: str = "kasm", group: str = "", **parts: Any) -> Object:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": f"{group}/v1" if group else "v1", "kind": kind, "metadata": metadata, **parts}


def patched(base: list[Object], want: list[Object], *json_only: ResourceId) -> patches.Assembly:
    return patches.patched(by_id(base), by_id(want), frozenset(json_only))


def test_equal_objects_add_nothing() -> None:
    made = patched([an_object("Service", "a")], [an_object("Service", "a")])
    assert (made.patches, made.added) == ({}, {})


def test_change_removal_and_addition_each_find_their_place() -> None:
    base = [an_object("ConfigMap", "a", data={"k": "1"}), an_object("ConfigMap", "b")]
    want = [an_object("ConfigMap", "a", data={"k": "2"}), an_object("ConfigMap", "c")]
    made = patched(base, want)
    assert {key.name: type(p) for key, p in made.patches.items()} == {"a": patch.MergePatch, "b": patch.DeletePatch}
    assert [key.name for key in made.added] == ["c"]


def test_json_only_is_known_by_either_id() -> None:
    base, want = (an_object("ConfigMap", "a", data={"k": v}) for v in "12")
    assert [type(p) for p in patched([base], [want], ResourceId.of(base)).patches.values()] == [patch.JsonPatch]


def test_an_object_in_another_namespace_is_the_same_one_moved() -> None:
    made = patched([an_object("Service", "a", "kasm")], [an_object("Service", "a", "prod")])
    assert made.added == {}
    assert list(made.becomes.values()) == [ResourceId("Service", "prod", "a")]
    (p,) = made.patches.values()
    assert p.content == [{"op": "replace", "path": "/metadata/namespace", "value": "prod"}]


def test_one_name_in_two_namespaces_follows_where_the_others_moved() -> None:
    def chart(first: str, second: str) -> list[Object]:
        return [
            *(an_object("Service", "same", namespace) for namespace in (first, second)),
            an_object("Service", "only-first", first),
            an_object("Service", "only-second", second),
        ]

    made = patched(chart("kasm", "monitoring"), chart("prod", "metrics"))
    assert made.added == {}
    moves = {(a.namespace, b.namespace) for a, b in made.becomes.items()}
    assert moves == {("kasm", "prod"), ("monitoring", "metrics")}


def test_what_cannot_be_told_apart_is_removed_and_added() -> None:
    base = [an_object("Service", "a", namespace) for namespace in ("n1", "n2")]
    want = [an_object("Service", "a", namespace) for namespace in ("m1", "m2")]
    made = patched(base, want)
    assert [type(p) for p in made.patches.values()] == [patch.DeletePatch, patch.DeletePatch]
    assert len(made.added) == 2


def test_a_core_object_beside_its_namesake_of_another_group_goes_by_identity() -> None:
    """A target without a group meets every group, and the core group has no name."""
    namesake = an_object("Service", "a", group="serving.knative.dev", spec={"x": 1})
    base = [an_object("Service", "a", spec={"type": "ClusterIP"}), namesake]
    want = [an_object("Service", "a", spec={"type": "LoadBalancer"}), namesake]
    (p,) = patched(base, want).patches.values()
    assert patch.entry(p, "p.yaml") == {"path": "p.yaml"}


def test_file_names_are_kind_and_name() -> None:
    key = ResourceId("StatefulSet", "kasm", "db.main", "apps")
    assert patches.file_name(key, set()) == "statefulset-db.main.yaml"


def test_a_taken_name_gets_the_namespace_and_then_a_hash() -> None:
    taken: set[str] = set()
    names = [
        patches.file_name(ResourceId("Service", namespace, "a", group), taken)
        for namespace, group in (("one", ""), ("two", ""), ("two", "x.io"))
    ]
    assert names[:2] == ["service-a.yaml", "service-a-two.yaml"]
    assert re.fullmatch(r"service-a-two-[0-9a-f]{8}\.yaml", names[2])


def test_names_that_differ_in_case_only_are_different_files() -> None:
    taken: set[str] = set()
    lower = patches.file_name(ResourceId("ClusterRole", "", "admin"), taken)
    upper = patches.file_name(ResourceId("ClusterRole", "", "Admin"), taken)
    assert lower == "clusterrole-admin.yaml"
    assert upper.startswith("clusterrole-admin-")


@given(
    st.lists(
        st.builds(ResourceId, st.text(min_size=1), st.text(), st.text(min_size=1), st.text()),
        max_size=20,
        unique=True,
    )
)
def test_any_identity_gets_a_safe_name_of_its_own(keys: list[ResourceId]) -> None:
    taken: set[str] = set()
    names = [patches.file_name(key, taken) for key in keys]
    assert len(set(names)) == len(names)
    for name in names:
        assert re.fullmatch(r"[a-z0-9-][a-z0-9.-]*\.yaml", name)
        assert ".." not in name
        assert len(name) <= 200


def test_a_very_long_name_is_cut() -> None:
    name = patches.file_name(ResourceId("ConfigMap", "n" * 63, "x" * 253), set())
    assert len(name) <= 200
    assert re.search(r"-[0-9a-f]{8}\.yaml$", name)
