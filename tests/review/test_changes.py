"""The list of changes: complete, exact, and in the words of Kubernetes."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kasmgen.kubernetes.resources import Object, ResourceId
from kasmgen.review import field_changes
from kasmgen.review.builds import apply_changes, compare_builds
from kasmgen.review.changes import MovedItem, ObjectChange
from tests.effort import cpu_seconds_at_most
from tests.review.builds import Build, build, deployment, edited, pairs_of_builds, plain, statefulset, values

CONTAINERS = "spec.template.spec.containers"


def exact(value: object) -> str:
    """Text that is the same for exactly equal values: 1, 1.0, True and "1" are four."""
    return json.dumps(value, sort_keys=True)


def exact_build(objects: Build) -> dict[ResourceId, str]:
    return {key: exact(obj) for key, obj in objects.items()}


def shown(change: ObjectChange) -> list[tuple[str, str]]:
    return [(change.op, ".".join(map(str, change.path))) for change in change.fields if not change.folded]


def changed(old: Object, *edits: tuple[str, object]) -> ObjectChange:
    (change,) = compare_builds(build(old), build(edited(old, *edits)))
    return change


# --- the two properties --------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(pairs_of_builds())
def test_the_list_is_empty_exactly_when_the_builds_are_equal(builds: tuple[Build, Build]) -> None:
    old, new = builds
    assert (compare_builds(old, new) == ()) == (exact_build(old) == exact_build(new))
    assert compare_builds(new, copy.deepcopy(new)) == ()


@settings(max_examples=150, deadline=None)
@given(pairs_of_builds())
def test_the_listed_changes_make_the_new_build_of_the_old_one(builds: tuple[Build, Build]) -> None:
    old, new = builds
    before = exact_build(old)
    assert exact_build(apply_changes(old, compare_builds(old, new))) == exact_build(new)
    assert exact_build(old) == before, "comparing and applying change nothing in place"


@settings(max_examples=200, deadline=None)
@given(values, values)
def test_fields_of_any_two_values_are_complete(old: object, new: object) -> None:
    found = field_changes.compare(old, new)
    assert (found == ()) == (exact(old) == exact(new))
    assert exact(field_changes.apply(old, found)) == exact(new)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from("abcdef"), max_size=9), st.lists(st.sampled_from("abcdef"), max_size=9))
def test_lists_are_laid_side_by_side_completely(old: list[str], new: list[str]) -> None:
    assert field_changes.apply(old, field_changes.compare(old, new)) == new
    named_old, named_new = ([{"name": x} for x in dict.fromkeys(part)] for part in (old, new))
    found = field_changes.compare({"env": named_old}, {"env": named_new})
    assert field_changes.apply({"env": named_old}, found) == {"env": named_new}


@pytest.mark.parametrize(("old", "new"), [(1, True), (0, False), (1, 1.0), ("1", 1), (0.0, -0.0), (None, ""), ({}, [])])
def test_values_that_python_confuses_are_different(old: object, new: object) -> None:
    config = plain("ConfigMap", "c", data={"x": old})
    (change,) = compare_builds(build(config), build(edited(config, ("data.x", new))))
    assert [exact([field.old, field.new]) for field in change.fields] == [exact([old, new])]


# --- lists by their keys -------------------------------------------------


def test_items_are_matched_by_their_kubernetes_keys() -> None:
    old = deployment()
    new = edited(old, (f"{CONTAINERS}.0.image", "x:2"), (f"{CONTAINERS}.0.ports.0.containerPort", 8443))
    new["spec"]["template"]["spec"]["containers"].reverse()
    (change,) = compare_builds(build(old), build(new))
    assert shown(change) == [
        ("replace", f"{CONTAINERS}.main.image"),
        ("replace", f"{CONTAINERS}.main.ports.http.containerPort"),
    ]
    folded = [field for field in change.fields if field.folded]
    assert [field.op for field in folded] == ["move"], "the order of containers has no meaning"


def test_ports_without_names_are_matched_by_number_and_protocol() -> None:
    tcp, udp = {"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}
    old = edited(deployment(), (f"{CONTAINERS}.0.ports", [tcp, udp]))
    new = edited(old, (f"{CONTAINERS}.0.ports", [{**udp, "hostPort": 53}, tcp]))
    (change,) = compare_builds(build(old), build(new))
    assert shown(change) == [("add", f"{CONTAINERS}.main.ports.53/UDP.hostPort")]


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        ((f"{CONTAINERS}.0.volumeMounts.0.readOnly", True), f"{CONTAINERS}.main.volumeMounts./conf.readOnly"),
        (("spec.template.spec.volumes.0.configMap.name", "other"), "spec.template.spec.volumes.conf.configMap.name"),
        ((f"{CONTAINERS}.0.env.1.value", "3"), f"{CONTAINERS}.main.env.B.value"),
        ((f"{CONTAINERS}.0.args.1", "9090"), f"{CONTAINERS}.main.args.1"),
    ],
)
def test_a_change_inside_a_list_names_the_item(edit: tuple[str, object], what: str) -> None:
    assert [path for _, path in shown(changed(deployment(), edit))] == [what]


def test_claim_templates_are_matched_by_the_name_in_their_metadata() -> None:
    path = "spec.volumeClaimTemplates"
    change = changed(statefulset(), (f"{path}.0.spec.resources.requests.storage", "10Gi"))
    assert shown(change) == [("replace", f"{path}.data.spec.resources.requests.storage")]


# --- order ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "means_something"),
    [
        ("spec.template.spec.initContainers", True),
        (f"{CONTAINERS}.0.args", True),
        (f"{CONTAINERS}.0.env", False),
        ("spec.template.spec.containers", False),
    ],
)
def test_another_order_is_shown_where_it_means_something(path: str, means_something: bool) -> None:
    old = deployment()
    new = copy.deepcopy(old)
    items = new
    for step in path.split("."):
        items = items[int(step)] if isinstance(items, list) else items[step]
    items.append(items.pop(0))  # type: ignore[attr-defined]
    (change,) = compare_builds(build(old), build(new))
    assert {field.op for field in change.fields} == {"move"}
    assert bool(shown(change)) is means_something
    assert change.folded is not means_something


def test_order_of_variables_means_something_where_one_refers_to_another() -> None:
    env = [{"name": "A", "value": "1"}, {"name": "URL", "value": "http://$(A)"}]
    change = changed(edited(deployment(), (f"{CONTAINERS}.0.env", env)), (f"{CONTAINERS}.0.env", env[::-1]))
    assert [op for op, _ in shown(change)] == ["move"]


def test_a_move_says_from_where_to_where() -> None:
    assert field_changes.compare(list("abcd"), list("dabc")) == (MovedItem((3,), 3, 0),)


# --- noise, renames ------------------------------------------------------


def test_noise_is_folded_and_still_listed() -> None:
    change = changed(
        deployment(),
        ("metadata.labels", {"app": "proxy", "helm.sh/chart": "kasm-1.2", "app.kubernetes.io/version": "1.2"}),
        ("metadata.annotations", {"kasmgen.dev/revision": "2"}),
        ("spec.template.metadata.annotations", {"kasmgen.dev/secrets": "abc"}),
    )
    assert len(change.fields) == 4
    assert change.folded


def test_a_label_of_the_same_name_elsewhere_is_no_noise() -> None:
    change = changed(deployment(), ("spec.selector.matchLabels", {"app": "proxy", "app.kubernetes.io/version": "2"}))
    assert shown(change) == [("add", "spec.selector.matchLabels.app.kubernetes.io/version")]


def test_a_renamed_object_is_recognised() -> None:
    old, new = deployment("proxy"), deployment("kasm-proxy")
    (change,) = compare_builds(build(old), build(edited(new, ("spec.replicas", 3))))
    assert (change.op, change.was, change.id.name) == ("rename", ResourceId.of(old), "kasm-proxy")
    assert ("replace", "spec.replicas") in shown(change)


def test_objects_that_share_little_are_not_called_renamed() -> None:
    one = plain("ConfigMap", "one", data={f"a{i}": "x" for i in range(5)})
    other = plain("ConfigMap", "other", data={f"b{i}": "y" for i in range(5)})
    assert sorted(change.op for change in compare_builds(build(one), build(other))) == ["add", "remove"]


def test_the_hash_in_a_jobs_name_is_noise() -> None:
    def job(name: str, image: str) -> Object:
        spec = {"template": {"spec": {"containers": [{"name": "seed", "image": image}]}}}
        return plain("Job", name, "batch/v1", spec=spec)

    (change,) = compare_builds(build(job("db-init-1a2b3c4d", "s:1")), build(job("db-init-9e8d7c6b", "s:2")))
    assert change.op == "rename"
    assert shown(change) == [("replace", "spec.template.spec.containers.seed.image")]


def test_renames_do_not_depend_on_the_order_of_the_builds() -> None:
    old = [plain("ConfigMap", f"old-{i}", data=dict.fromkeys("abcdef", "same")) for i in range(4)]
    new = [plain("ConfigMap", f"new-{i}", data=dict.fromkeys("abcdef", "same")) for i in range(4)]
    forwards = compare_builds(build(*old), build(*new))
    backwards = compare_builds(build(*old[::-1]), build(*new[::-1]))
    assert forwards == backwards
    assert {(str(c.was), str(c.id)) for c in forwards} == {
        (f"ConfigMap old-{i} in kasm", f"ConfigMap new-{i} in kasm") for i in range(4)
    }


# --- bounds --------------------------------------------------------------


def test_huge_builds_are_compared_in_bounded_time() -> None:
    lines = [f"line {i}" for i in range(200_000)]
    old = plain("ConfigMap", "big", data={"f": "\n".join(lines)}, list=[{"v": i} for i in range(6000)])
    new = plain("ConfigMap", "big", data={"f": "\n".join(lines[::-1])}, list=[{"v": -i} for i in range(6000)])
    with cpu_seconds_at_most(30):
        found = compare_builds(build(old), build(new))
    assert exact_build(apply_changes(build(old), found)) == exact_build(build(new))


def test_hundreds_of_new_and_gone_objects_are_matched_in_bounded_time() -> None:
    old = build(*(deployment(f"old-{i}") for i in range(140)))
    new = build(*(edited(deployment(f"new-{i}"), ("spec.replicas", 7)) for i in range(140)))
    with cpu_seconds_at_most(60):
        found = compare_builds(old, new)
    assert len(found) >= 140
