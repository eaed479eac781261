"""Patches as a reviewer sees them: for each change, the very text."""

from __future__ import annotations

import copy
from textwrap import dedent
from typing import Any

import pytest

from kasmgen.kubernetes.resources import ResourceId
from kasmgen.overlay import patch
from kasmgen.overlay.json_patch import operations
from kasmgen.yaml import documents

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: kasm
  labels: {app: web, tier: front}
spec:
  replicas: 1
  template:
    spec:
      initContainers:
      - {name: i1, image: "busybox:1"}
      - {name: i2, image: "busybox:1"}
      - {name: i3, image: "busybox:1"}
      containers:
      - name: web
        image: nginx:1
        args: [--listen, "80"]
        env:
        - {name: A, value: one}
        - {name: B, value: $(A)/two}
        - {name: C, value: three}
        ports:
        - {containerPort: 53, protocol: TCP}
        - {containerPort: 53, protocol: UDP}
      volumes:
      - {name: data, emptyDir: {}}
"""
CUSTOM = """
apiVersion: example.com/v1
kind: Widget
metadata: {name: w, namespace: kasm}
spec:
  containers:
  - {name: a, image: "a:1", size: 1}
  - {name: b, image: "b:1", size: 1}
  - {name: c, image: "c:1", size: 1}
"""


def load(text: str) -> Any:
    return documents.load(dedent(text))


def changed(text: str, path: str, value: Any) -> tuple[Any, Any]:
    """The object, and it with `value` at the dotted `path` (None takes it away)."""
    base = load(text)
    want = copy.deepcopy(base)
    *parents, last = path.split(".")
    at = want
    for step in parents:
        at = at[int(step) if isinstance(at, list) else step]
    key: Any = int(last) if isinstance(at, list) else last
    if value is None:
        del at[key]
    elif isinstance(at, list) and key == len(at):
        at.append(value)
    else:
        at[key] = value
    return base, want


def computed(pair: tuple[Any, Any], form: Any = "auto") -> patch.Patch:
    made = patch.compute(*pair, form=form)
    assert made is not None
    return made


def shows(made: patch.Patch, form: type[patch.Patch], text: str) -> None:
    assert isinstance(made, form)
    assert documents.dump(made.content) == documents.dump(load(text))


def test_equal_objects_need_no_patch() -> None:
    assert patch.compute(load(DEPLOYMENT), load(DEPLOYMENT)) is None


def test_a_changed_field_is_a_merge_with_just_that_field() -> None:
    shows(
        computed(changed(DEPLOYMENT, "spec.replicas", 3)),
        patch.MergePatch,
        """
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web, namespace: kasm}
        spec: {replicas: 3}
        """,
    )


def test_a_changed_item_names_what_stands_before_it_so_that_order_holds() -> None:
    made = computed(changed(DEPLOYMENT, "spec.template.spec.containers.0.env.1.value", "new"))
    assert made.content["spec"]["template"]["spec"] == {
        "containers": [{"name": "web", "env": [{"name": "A"}, {"name": "B", "value": "new"}]}]
    }


def test_moved_init_containers_are_named_up_to_the_last_that_moved() -> None:
    base = load(DEPLOYMENT)
    want = copy.deepcopy(base)
    containers = want["spec"]["template"]["spec"]["initContainers"]
    containers[0], containers[1] = containers[1], containers[0]
    made = computed((base, want))
    assert made.content["spec"]["template"]["spec"] == {"initContainers": [{"name": "i2"}]}


def test_a_new_item_at_the_end_names_those_before_it() -> None:
    made = computed(changed(DEPLOYMENT, "spec.template.spec.volumes.1", {"name": "tmp", "emptyDir": {}}))
    assert made.content["spec"]["template"]["spec"] == {"volumes": [{"name": "data"}, {"name": "tmp", "emptyDir": {}}]}


def test_a_removed_item_is_a_delete_of_its_key() -> None:
    made = computed(changed(DEPLOYMENT, "spec.template.spec.containers.0.env.0", None))
    env = made.content["spec"]["template"]["spec"]["containers"][0]["env"]
    assert env == [{"name": "A", "$patch": "delete"}]


def test_another_member_of_a_union_takes_the_old_one_away() -> None:
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    made = computed(changed(DEPLOYMENT, "spec.template.spec.volumes.0", volume))
    assert made.content["spec"]["template"]["spec"]["volumes"] == [{**volume, "emptyDir": None}]


def test_items_with_two_keys_are_named_by_both() -> None:
    made = computed(changed(DEPLOYMENT, "spec.template.spec.containers.0.ports.1.name", "dns"))
    ports = made.content["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert ports == [{"containerPort": 53, "protocol": "UDP", "name": "dns"}]


def test_a_list_without_keys_is_replaced_as_a_whole() -> None:
    made = computed(changed(DEPLOYMENT, "spec.template.spec.containers.0.args.1", "81"))
    assert made.content["spec"]["template"]["spec"]["containers"] == [{"name": "web", "args": ["--listen", "81"]}]


def test_a_removed_field_is_null() -> None:
    assert computed(changed(DEPLOYMENT, "spec.replicas", None)).content["spec"] == {"replicas": None}


def test_a_removed_label_repeats_the_rest_because_a_null_would_become_text() -> None:
    made = computed(changed(DEPLOYMENT, "metadata.labels.tier", None))
    assert isinstance(made, patch.MergePatch)
    assert made.content["metadata"]["labels"] == {"$patch": "replace", "app": "web"}


def test_containers_of_a_custom_resource_are_a_list_like_any_other() -> None:
    base, want = changed(CUSTOM, "spec.containers.2.size", 2)
    assert computed((base, want)).content["spec"]["containers"] == want["spec"]["containers"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.namespace", "prod"),
        ("apiVersion", "apps/v1beta2"),
        ("spec.replicas", "3"),
        ("spec.paused", {"a": None}),
        ("spec.template.spec.containers.0.env.0", {"name": "C", "value": "twice"}),
        ("spec.template.spec.containers.0.env.0.$patch", "delete"),
        ("metadata.labels", None),
        ("metadata.finalizers", ["a/b"]),
    ],
)
def test_what_a_merge_cannot_say_exactly_is_a_json_patch(path: str, value: Any) -> None:
    assert isinstance(computed(changed(DEPLOYMENT, path, value)), patch.JsonPatch)


def test_a_value_of_another_type_comes_with_its_whole_mapping() -> None:
    """kustomize keeps the quotes of the value it replaces: 2 over "1" would stay text."""
    base, want = load(CUSTOM), load(CUSTOM)
    base["spec"]["limits"], want["spec"]["limits"] = {"cpu": "1", "memory": "1Gi"}, {"cpu": 2, "memory": "1Gi"}
    made = computed((base, want))
    assert made.content["spec"] == {"limits": {"$patch": "replace", "cpu": 2, "memory": "1Gi"}}


def test_a_merge_that_would_change_an_irregular_list_elsewhere_is_avoided() -> None:
    base, want = changed(DEPLOYMENT, "spec.replicas", 3)
    for obj in (base, want):
        obj["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "A", "value": "again"})
    assert isinstance(computed((base, want)), patch.JsonPatch)


def test_an_index_is_guarded_by_the_name_of_what_stands_there() -> None:
    shows(
        computed(changed(DEPLOYMENT, "spec.template.spec.containers.0.env.1.value", "new"), "json"),
        patch.JsonPatch,
        """
        - {op: test, path: /spec/template/spec/containers/0/name, value: web}
        - {op: test, path: /spec/template/spec/containers/0/env/1/name, value: B}
        - {op: replace, path: /spec/template/spec/containers/0/env/1/value, value: new}
        """,
    )


def test_an_item_that_moves_is_taken_out_and_put_in_under_guards() -> None:
    items = [{"name": name, "value": f"the value of {name}"} for name in "ABCDEF"]
    assert operations({"items": items}, {"items": [items[5], *items[:5]]}) == [
        {"op": "test", "path": "/items/0/name", "value": "A"},
        {"op": "add", "path": "/items/0", "value": items[5]},
        {"op": "test", "path": "/items/6/name", "value": "F"},
        {"op": "remove", "path": "/items/6"},
    ]


def test_an_appended_item_needs_no_index() -> None:
    want = changed(DEPLOYMENT, "spec.template.spec.volumes.1", {"name": "tmp", "emptyDir": {}})
    *_, last = operations(*want)
    assert (last["op"], last["path"]) == ("add", "/spec/template/spec/volumes/-")


def test_slash_and_tilde_in_keys_are_escaped() -> None:
    base, want = load(CUSTOM), load(CUSTOM)
    base["metadata"]["annotations"] = {"a.io/b~c": "1"}
    want["metadata"]["annotations"] = {"a.io/b~c": "2"}
    assert operations(base, want) == [{"op": "replace", "path": "/metadata/annotations/a.io~1b~0c", "value": "2"}]


def test_items_without_anything_short_to_test_are_replaced_with_their_list() -> None:
    base = {"a": ["x" * 200, "y" * 200, "z" * 200], "n": {}}
    want = {"a": ["x" * 200, "y" * 200, "w" * 200], "n": {}}
    assert operations(base, want) == [{"op": "replace", "path": "/a", "value": want["a"]}]


def test_a_merge_that_repeats_a_long_list_gives_way_to_a_json_patch() -> None:
    base = load(DEPLOYMENT)
    container = base["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": f"VARIABLE_{i}", "value": "x"} for i in range(60)]
    want = copy.deepcopy(base)
    want["spec"]["template"]["spec"]["containers"][0]["env"][59]["value"] = "new"
    assert isinstance(computed((base, want)), patch.JsonPatch)


def test_integers_that_json_would_round_stay_in_a_merge() -> None:
    base, want = changed(CUSTOM, "spec.containers.0.size", 2**60 + 1)
    assert isinstance(computed((base, want)), patch.MergePatch)


def test_lists_with_thousands_of_items_take_no_quadratic_time() -> None:
    base = {"a": [str(i) for i in range(30_000)]}
    want = {"a": ["new", *base["a"]]}
    assert [op["op"] for op in operations(base, want)] == ["replace"]


def test_deep_objects_are_patched_in_both_forms() -> None:
    def nested(leaf: int) -> Any:
        value: Any = leaf
        for _ in range(documents.MAX_DEPTH - 5):
            value = {"a": value}
        return {"apiVersion": "x/v1", "kind": "Deep", "metadata": {"name": "d"}, "spec": value}

    assert patch.merge(nested(1), nested(2)) is not None
    assert computed((nested(1), nested(2)), "json").content[0]["value"] == 2


def test_a_delete_names_the_object_and_nothing_else() -> None:
    shows(
        patch.delete(load(DEPLOYMENT)),
        patch.DeletePatch,
        """
        $patch: delete
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web, namespace: kasm}
        """,
    )


def test_the_entry_targets_exactly_one_object() -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "system:a.b"},
    }
    assert patch.entry(patch.delete(role), "patches/x.yaml") == {
        "path": "patches/x.yaml",
        "target": {
            "group": "rbac.authorization.k8s.io",
            "version": "v1",
            "kind": "ClusterRole",
            "name": "system:a\\.b",
        },
    }


def test_the_patch_carries_the_identity_that_the_base_has() -> None:
    made = computed(changed(DEPLOYMENT, "metadata.namespace", "prod"))
    assert made.id == ResourceId("Deployment", "kasm", "web", "apps")
    assert made.version == "v1"


def test_objects_of_other_name_are_refused() -> None:
    base, want = changed(DEPLOYMENT, "metadata.name", "other")
    with pytest.raises(ValueError, match="cannot become"):
        patch.compute(base, want)
