"""Patches, applied by the real kustomize, give exactly the wanted objects."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kasmgen.errors import ToolError
from kasmgen.kubernetes import equality
from kasmgen.kubernetes.resources import Object, ResourceId, by_id
from kasmgen.overlay import kustomize_limits, patch, patches
from kasmgen.programs import kustomize
from kasmgen.yaml import documents
from tests.overlay import random_objects

pytestmark = pytest.mark.tool

PER_BUILD = 150


@contextmanager
def overlay(base: Mapping[ResourceId, Object], made: patches.Assembly) -> Iterator[Path]:
    """The directory of an overlay over a base, as files."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        files = _directory(root / "base", base.values())
        _write(root / "base/kustomization.yaml", {"resources": files})
        over = root / "overlays/prod"
        added = _directory(over, made.added.values())
        entries = []
        for index, one in enumerate(made.patches.values()):
            _write(over / f"patches/{index}.yaml", one.content)
            entries.append(patch.entry(one, f"patches/{index}.yaml"))
        _write(over / "kustomization.yaml", {"resources": ["../../base", *added], "patches": entries})
        yield over


def _directory(where: Path, objects: Any) -> list[str]:
    names = []
    for index, obj in enumerate(objects):
        _write(where / f"{index}.yaml", obj)
        names.append(f"{index}.yaml")
    return names


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# written by a test\n" + documents.dump(value), encoding="utf-8")


def built(base: Mapping[ResourceId, Object], made: patches.Assembly) -> dict[ResourceId, Object]:
    with overlay(base, made) as directory:
        return by_id(kustomize.build(kustomize.locate(), directory))


def must_be_exact(base: list[Object], want: list[Object], *, json: bool) -> patches.Assembly:
    """All objects but those that are named as inexpressible come out exactly as wanted."""
    objects, wanted = by_id(base), by_id(want)
    made = assembled(objects, wanted, json=json)
    for key in {difference.id for difference in made.inexpressible}:
        del wanted[key]
        del objects[next(mine for mine, other in made.becomes.items() if other == key)]
    made = assembled(objects, wanted, json=json)
    wrong = equality.differences(wanted, built(objects, made))
    assert not wrong, explained(wrong, objects, made)
    return made


def assembled(base: Mapping[ResourceId, Object], want: Mapping[ResourceId, Object], *, json: bool) -> patches.Assembly:
    return patches.patched(base, want, frozenset(base) if json else frozenset())


def explained(wrong: list[equality.Difference], objects: Mapping[ResourceId, Object], made: patches.Assembly) -> str:
    """The differences, and for the first one what the base had and what the patch said."""
    back = {other: key for key, other in made.becomes.items()}
    key = back.get(wrong[0].id, wrong[0].id)
    content = made.patches[key].content if key in made.patches else "no patch"
    return "\n".join([*map(str, wrong[:5]), documents.dump(objects.get(key)), documents.dump(content)])


def pairs(seed: int) -> tuple[list[Object], list[Object]]:
    r = Random(seed)
    made = [random_objects.pair(r, f"object-{index}") for index in range(PER_BUILD)]
    return [base for base, _ in made], [want for _, want in made]


@pytest.mark.parametrize("json", [False, True], ids=["auto", "json"])
@settings(max_examples=5, deadline=None, phases=[Phase.reuse, Phase.generate])
@given(seed=st.integers(0, 2**32))
def test_random_objects_become_exactly_what_is_wanted(json: bool, seed: int) -> None:
    made = must_be_exact(*pairs(seed), json=json)
    forms = Counter(type(p) for p in made.patches.values())
    assert len(made.patches) > PER_BUILD / 2
    assert (
        forms[patch.JsonPatch] > 4 * forms[patch.MergePatch]
        if json
        else forms[patch.MergePatch] > forms[patch.JsonPatch]
    )


def test_the_pairs_are_worth_testing() -> None:
    """Enough of each kind differs, in each form, that a test over them says something."""
    base, want = pairs(1)
    made = patches.patched(by_id(base), by_id(want))
    assert {key.kind for key in made.patches} == set(random_objects.KINDS)
    assert len(made.patches) > PER_BUILD / 2
    forms = Counter(type(p) for p in made.patches.values())
    assert min(forms[patch.MergePatch], forms[patch.JsonPatch]) > 10


# Shrinks, unlike the objects above: what fails is shown as small as it gets. Floats between
# 2^53 and 1e21 are read as integers, which `jsonpatch.loses_digits` is about.
KEYS = st.sampled_from(random_objects.KEYS) | st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=5
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda f: not 2**53 < abs(f) < 1e21)
    | st.sampled_from(random_objects.TEXTS)
    | st.text(
        st.characters(
            exclude_categories=["Cs"],
            exclude_characters="\ufffe\uffff" + "".join(map(chr, range(0x7F, 0xA0))),
        )
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(KEYS, below, max_size=4),
    max_leaves=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=12), st.booleans())
def test_any_value_of_a_custom_resource_becomes_any_other(values: list[tuple[Any, Any]], json: bool) -> None:
    def objects(side: int) -> list[Object]:
        return [
            {"apiVersion": "x.io/v1", "kind": "Any", "metadata": {"name": f"a{at}"}, "spec": {"v": pair[side]}}
            for at, pair in enumerate(values)
        ]

    must_be_exact(objects(0), objects(1), json=json)


def moved(first: str, second: str) -> list[Object]:
    """Objects in two namespaces that refer to each other in the ways that kustomize follows."""
    rbac = "rbac.authorization.k8s.io"
    subjects = [{"kind": "ServiceAccount", "name": "sa", "namespace": ns} for ns in (first, second)]
    out: list[Object] = []
    for namespace in (first, second):
        place = {"namespace": namespace}
        pod = {
            "serviceAccountName": "sa",
            "containers": [{"name": "c", "envFrom": [{"configMapRef": {"name": "cm"}}]}],
            "volumes": [{"name": "v", "configMap": {"name": "cm"}}],
        }
        out += [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sa", **place}},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm", **place}, "data": {"ns": namespace}},
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "d", **place},
                "spec": {"template": {"spec": pod}},
            },
        ]
    out += [
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": f"rb-{namespace[:1]}", "namespace": namespace},
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "r"},
            "subjects": subjects,
        }
        for namespace in (first,)
    ]
    out.append(
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "crb"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "r"},
            "subjects": subjects,
        }
    )
    return out


@pytest.mark.parametrize(
    "to", [("prod", "metrics"), ("metrics", "kasm"), ("prod", "default")], ids=["other", "swapped", "default"]
)
def test_references_follow_objects_into_another_namespace(to: tuple[str, str]) -> None:
    must_be_exact(moved("kasm", "metrics"), moved(*to), json=False)


def test_removed_and_added_objects_come_out_too() -> None:
    base, want = pairs(2)
    must_be_exact(base[:100], want[50:], json=False)


def services(kind: str, namespace: str, *, namesake: bool) -> list[Object]:
    metadata = {"name": "web", "namespace": namespace}
    both = [("v1", kind), ("serving.knative.dev/v1", "x")]
    return [
        {"apiVersion": version, "kind": "Service", "metadata": metadata, "spec": {"type": one}}
        for version, one in (both if namesake else both[:1])
    ]


@pytest.mark.parametrize("namespace", ["kasm", "prod"])
@pytest.mark.parametrize("before", [True, False], ids=["namesake in base", "namesake added"])
def test_a_core_service_beside_its_namesake_of_another_group_is_patched_alone(namespace: str, before: bool) -> None:
    base = services("ClusterIP", "kasm", namesake=before)
    must_be_exact(base, services("LoadBalancer", namespace, namesake=True), json=False)


def test_a_patch_whose_guard_does_not_hold_fails_the_build() -> None:
    base = {
        "apiVersion": "x.io/v1",
        "kind": "Any",
        "metadata": {"name": "a"},
        "spec": {"items": [{"name": "one", "a": 1, "b": 1, "c": 1}, {"name": "two", "a": 1, "b": 1, "c": 1}]},
    }
    want = {**base, "spec": {"items": [base["spec"]["items"][0], {**base["spec"]["items"][1], "a": 2}]}}
    made = patches.patched(by_id([base]), by_id([want]), frozenset(by_id([base])))
    drifted = {**base, "spec": {"items": base["spec"]["items"][::-1]}}
    with pytest.raises(ToolError, match="test failed"):
        built(by_id([drifted]), made)


def a_config_map(**parts: Any) -> Object:
    metadata = {"name": "c", "namespace": "kasm", **parts.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **parts}


@pytest.mark.parametrize(
    "obj",
    [
        *(a_config_map(data={"k": f"a{chr(c)}b"}) for c in (0x7F, 0x80, 0x85, 0x9F, 0xFFFE, 0xFFFF)),
        a_config_map(data={"k" * 1100: "x"}),
        a_config_map(metadata={"annotations": {}}),
        a_config_map(metadata={"annotations": {"a": 1}}),
        a_config_map(metadata={"annotations": {"a": "\tx\ny"}}),
        a_config_map(metadata={"annotations": {"config.kubernetes.io/local-config": "true"}}),
        a_config_map(metadata={"annotations": {"internal.config.kubernetes.io/index": "1"}}),
        {**a_config_map(items=[]), "kind": "AllowList", "apiVersion": "x.io/v1"},
    ],
    ids=lambda obj: equality.short(obj)[-30:],
)
def test_what_limits_names_is_really_lost(obj: Object) -> None:
    """A limit that kustomize no longer has must go from the list."""
    assert kustomize_limits.find(obj)
    objects = by_id([obj])
    try:
        got = built(objects, patches.patched(objects, objects))
    except ToolError:
        return
    assert equality.differences(objects, got)


@pytest.mark.parametrize("value", ["\tfirst\n\tsecond\n", 2**53 + 1], ids=["tab", "integer"])
def test_what_json_patches_lose_is_named_merged_where_possible_and_moved_anew(value: Any) -> None:
    base = a_config_map(data={"a": "1"}, more={"v": value, "x": [{"y": 1}]})
    changed = {**base, "data": {"a": "2"}}
    assert [type(p) for p in must_be_exact([base], [changed], json=True).patches.values()] == [patch.MergePatch]
    moved = {**base, "metadata": {"name": "c", "namespace": "prod"}}
    made = must_be_exact([base], [moved], json=False)
    assert list(made.added) == [ResourceId("ConfigMap", "prod", "c")]
    only_json = {**base, "apiVersion": "v2"}
    objects, wanted = by_id([base]), by_id([only_json])
    made = patches.patched(objects, wanted)
    assert [d.path for d in made.inexpressible] == ["/more/v"]
    try:
        assert equality.differences(wanted, built(objects, made))
    except ToolError as error:
        assert "tab" in str(error)


def test_nulls_and_empty_parts_are_carried() -> None:
    obj = {
        **a_config_map(metadata={"labels": {}, "creationTimestamp": None}),
        "data": None,
        "more": {"null": None, "map": {}, "list": [], "text": "", "items": [None, {}, [], ""]},
    }
    want = {**obj, "new": {"null": None, "map": {}, "list": [None]}}
    for json in (False, True):
        must_be_exact([obj], [want], json=json)


def test_a_patch_without_its_target_would_meet_the_namesake() -> None:
    """Why `targeted` exists: were this to change, it could go."""
    metadata = {"name": "web", "namespace": "kasm"}
    base = by_id(
        {"apiVersion": version, "kind": "Service", "metadata": metadata, "spec": {"type": "x"}}
        for version in ("v1", "serving.knative.dev/v1")
    )
    core = ResourceId("Service", "kasm", "web")
    made = patches.patched(base, {**base, core: {**base[core], "spec": {"type": "y"}}})
    (one,) = made.patches.values()
    got = built(base, replace(made, patches={core: replace(one, targeted=True)}))
    assert {obj["spec"]["type"] for obj in got.values()} == {"y"}
