"""The chart with everything nasty: rendered by libhelm, made into a base and overlays, built by kustomize."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from kasmgen.chart import normalise, values_schema
from kasmgen.chart.sources import directory as sources_directory
from kasmgen.errors import InputError
from kasmgen.kubernetes import equality
from kasmgen.kubernetes.resources import Chart, Object, Render, ResourceId
from kasmgen.overlay import kustomize_limits
from kasmgen.programs import helm
from kasmgen.programs.libhelm import HelmLibrary
from tests.overlay.test_patch_kustomize import must_be_exact

pytestmark = pytest.mark.tool

NASTY = Path(__file__).parent.parent / "charts" / "nasty"
TOKEN = {"token": "given"}

pytest.importorskip("helm_python")


LIBRARY = HelmLibrary()


@pytest.fixture(scope="module", autouse=True)
def opened() -> Iterator[None]:
    with LIBRARY:
        yield


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Chart:
    return sources_directory.snapshot(NASTY, tmp_path_factory.mktemp("nasty") / "chart")


def rendered(values: dict[str, Any], namespace: str = "kasm") -> Render:
    """A render of a copy of its own, so that no render can lean on an earlier one."""
    with tempfile.TemporaryDirectory() as directory:
        chart = sources_directory.snapshot(NASTY, Path(directory) / "chart")
        texts = helm.render(helm.locate(LIBRARY), chart, {**TOKEN, **values}, "nasty", namespace)
    return normalise.normalise(texts, namespace)


def objects(render: Render) -> list[Object]:
    """What goes into a base: without annotations that kustomize drops."""
    return [without_empty_annotations(item.object) for item in render.objects.values()]


def without_empty_annotations(obj: Object) -> Object:
    metadata = obj["metadata"]
    if metadata.get("annotations", True):
        return obj
    return {**obj, "metadata": {key: value for key, value in metadata.items() if key != "annotations"}}


def find(render: Render, kind: str, name: str, namespace: str = "kasm", group: str = "") -> Object:
    found = {(k.kind, k.name, k.namespace, k.group): v for k, v in {**render.objects, **render.secrets}.items()}
    return found[(kind, name, namespace, group)].object


def test_its_own_defaults_do_not_satisfy_its_schema(chart: Chart) -> None:
    with pytest.raises(InputError, match="token"):
        helm.render(helm.locate(LIBRARY), chart, {}, "nasty", "kasm")


def test_a_relaxed_schema_lets_its_defaults_render_and_still_refuses_nonsense(tmp_path: Path) -> None:
    copy = sources_directory.snapshot(NASTY, tmp_path / "chart")
    assert sources_directory.rewrite_schemas(copy, values_schema.relax)
    assert helm.render(helm.locate(LIBRARY), copy, {}, "nasty", "kasm")
    with pytest.raises(InputError, match="storage"):
        helm.render(helm.locate(LIBRARY), copy, {"storage": "tape"}, "nasty", "kasm")


def test_every_hook_and_every_kind_of_secret_is_in_the_render(chart: Chart) -> None:
    texts = "\n".join(helm.render(helm.locate(LIBRARY), chart, TOKEN, "nasty", "kasm").values())
    for hook in ("install", "upgrade", "delete", "rollback"):
        for when in ("pre", "post"):
            assert f"helm.sh/hook: {when}-{hook}\n" in texts
    secrets = {key.name for key in rendered({}).secrets}
    assert secrets >= {f"nasty-{name}" for name in ("passwords", "strings", "registry", "tls", "signed", "ca", "sub")}


def test_values_are_read_as_kubernetes_reads_them() -> None:
    widget = find(rendered({}), "Widget", "nasty", group="widgets.example.com")["spec"]
    assert widget["modes"] == [0o755, 0o644, 0o600, 420]
    assert equality.equal(widget["switches"], {"true": False, "false": False, "quoted": "yes"})
    assert widget["dates"] == ["2024-01-01", "2024-01-01T10:00:00Z", "2024-01-01"]
    assert widget["times"] == ["12:30", "1:30:00", "http://x/y"]
    assert widget["anchors"]["two"] == {"a": 2, "b": ["x", "z"]}


def test_texts_arrive_byte_for_byte() -> None:
    data = find(rendered({}), "ConfigMap", "nasty-texts")["data"]
    assert data["script.sh"] == (NASTY / "files/script.sh").read_bytes().decode()
    assert data["crlf.conf"] == (NASTY / "files/crlf.conf").read_bytes().decode()
    assert data["duplicate"] == "last"


# What environments differ in: enough for every template to change.
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(0, 3),
        "tag": st.sampled_from(["1.10", "1.20", "latest"]),
        "initOrder": st.permutations(["first", "second", "third", "fourth"]),
        "extraEnv": st.lists(
            st.sampled_from([{"name": "HOST", "value": "again"}, {"name": "X", "value": "$(Y)"}, {"name": "Y"}]),
            max_size=3,
            unique_by=lambda item: item["name"],
        ),
        "storage": st.sampled_from(["memory", "claim", "config"]),
        "arguments": st.lists(st.sampled_from(["--a", "yes", "0755", "", "\ttab ", "${X}"]), max_size=4),
        "tolerations": st.lists(st.sampled_from([{"operator": "Exists"}, {"key": "a", "value": "true"}]), max_size=2),
        "hosts": st.lists(st.sampled_from(["a.example.com", "b.example.com", "xn--bcher-kva.example"]), min_size=1),
        "clusterDomain": st.sampled_from(["cluster.local", "k8s.corp"]),
        "systemNamespace": st.sampled_from(["nasty-system", "other"]),
        "podAnnotations": st.dictionaries(st.sampled_from(["a", "b.io/c~d"]), st.sampled_from(["yes", ""])),
        "limits": st.sampled_from([{"cpu": 2}, {"cpu": "2", "memory": "1Gi"}, {"nvidia.com/gpu": 1}]),
        "wholeLimits": st.sampled_from([{}, {"cpu": "3"}]),
        "monitoring": st.fixed_dictionaries({"enabled": st.booleans()}),
        "widget": st.fixed_dictionaries({"size": st.integers(1, 3), "swapped": st.booleans()}),
        "hooks": st.fixed_dictionaries({"enabled": st.booleans()}),
        "nasty-sub": st.fixed_dictionaries(
            {"enabled": st.booleans(), "greeting": st.sampled_from(["hello", "yes", "", "a: b"])}
        ),
    },
)


@settings(max_examples=12, deadline=None, phases=[Phase.reuse, Phase.generate])
@given(base=VALUES, environment=VALUES, namespace=st.sampled_from(["kasm", "kasm", "prod"]))
def test_any_environment_is_exactly_what_helm_would_install(
    base: dict[str, Any], environment: dict[str, Any], namespace: str
) -> None:
    shared = objects(rendered(base))
    wanted = objects(rendered({**base, **environment}, namespace))
    must_be_exact(shared, wanted, json=False)


def test_nothing_in_it_but_empty_annotations_is_beyond_kustomize() -> None:
    found = [d for item in rendered({}).objects.values() for d in kustomize_limits.find(item.object)]
    assert {(d.id.kind, d.path) for d in found} <= {("ServiceAccount", "/metadata/annotations")}


def test_what_kustomize_would_change_is_named_before_it_is_built() -> None:
    render = rendered({"forbidden": {"nextLine": True}})
    texts = find(render, "ConfigMap", "nasty-texts")
    (one,) = kustomize_limits.find(texts)
    assert (one.id, one.path) == (ResourceId("ConfigMap", "kasm", "nasty-texts"), "/data/next-line")
    assert "U+0085" in one.detail
    with pytest.raises(AssertionError, match="next-line"):
        must_be_exact([texts], [texts], json=False)


def test_renders_differ_in_secrets_only() -> None:
    first, second = rendered({}), rendered({})
    assert not equality.differences(*({k: v.object for k, v in r.objects.items()} for r in (first, second)))
    random = [k.name for k in first.secrets if first.secrets[k].object != second.secrets[k].object]
    assert {"nasty-passwords", "nasty-tls", "nasty-signed", "nasty-sub"} <= set(random)
    assert "nasty-registry" not in random


def test_a_subchart_that_one_render_leaves_out_is_back_in_the_next(chart: Chart) -> None:
    def templates(enabled: bool) -> list[str]:
        values = {**TOKEN, "nasty-sub": {"enabled": enabled}}
        return sorted(helm.render(helm.locate(LIBRARY), chart, values, "nasty", "kasm"))

    before = templates(True)
    assert templates(False) != before
    assert templates(True) == before


def test_the_schema_is_json() -> None:
    assert json.loads((NASTY / "values.schema.json").read_text())["required"] == ["token", "replicas"]
