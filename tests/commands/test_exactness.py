"""Invariant 1 as a property: whatever the values, what kustomize builds is what Helm would install.

The comparison here is the test's own: JSON texts of what the real kustomize builds
from the written files, against those of the normalised render.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kasmgen import build
from kasmgen.chart import render
from kasmgen.errors import KasmgenError
from kasmgen.kubernetes.resources import Render
from kasmgen.overlay import assemble, verify
from kasmgen.overlay.assemble import OverlayInputs
from kasmgen.programs import kustomize
from kasmgen.programs.libhelm import HelmLibrary
from kasmgen.project.config import ChartRef, Environment, Project
from kasmgen.project.workspace import EnvironmentFiles
from kasmgen.repository import git, scratch
from kasmgen.yaml import documents
from tests.some import some

# Slow: each of many random environments is rendered by Helm and built by kustomize.
pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NASTY = Path(__file__).parent.parent / "charts" / "nasty"
UPSTREAM_LIKE = Path(__file__).parent.parent / "charts" / "upstream-like"

QUIET = settings(
    max_examples=int(os.environ.get("KASMGEN_EXAMPLES", "12")),
    deadline=None,
    # An example costs half a second: what fails is said as it is and not made smaller first.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# --- values ----------------------------------------------------------------------

LABEL = st.from_regex(r"[a-z]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True)
HOST = st.builds("{}.{}.example.com".format, LABEL, LABEL)
REPLICAS = st.one_of(st.none(), st.integers(0, 5))
TAG = st.sampled_from(["1.16.0", "1.16.1", "1e3", "0755", "latest", "1.20"])
CPU = st.sampled_from(["100m", "1", "0.5", "2000m"])
MEMORY = st.sampled_from(["64Mi", "1Gi", "512Mi"])
RESOURCES = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {},
        optional={"requests": st.fixed_dictionaries({"cpu": CPU}), "limits": st.fixed_dictionaries({"memory": MEMORY})},
    ),
)
SWITCHED = ("kasmGuac", "rdpGateway", "rdpHttpsGateway", "kasmShare", "kasmRedis")
COUNTED = ("kasmProxy", "kasmApi", "kasmManager", "kasmGuac", "rdpGateway", "rdpHttpsGateway", "kasmShare")


def component(name: str) -> st.SearchStrategy[dict[str, Any]]:
    optional: dict[str, Any] = {"tag": TAG, "resources": RESOURCES, "addHealthChecks": st.booleans()}
    if name in SWITCHED:
        optional["deploy"] = st.booleans()
    if name in COUNTED:
        optional["replicas"] = REPLICAS
    if name == "db":
        optional["storageClassName"] = st.sampled_from(["", "fast"])
    if name in ("kasmApi", "kasmGuac"):
        optional["name"] = st.sampled_from([f"x-{name.lower()[:8]}", f"{name.lower()[4:8]}-2"])
    return st.fixed_dictionaries({}, optional=optional)


KASM = st.fixed_dictionaries(
    {},
    optional={
        "kasmApp": st.fixed_dictionaries(
            {},
            optional={
                "applyHardening": st.booleans(),
                "name": st.sampled_from(["kasm", "desk"]),
                "zoneName": LABEL,
                "deploymentSize": st.sampled_from(["small", "medium", "large"]),
                "servicesToDeploy": st.fixed_dictionaries(
                    {}, optional={name: component(name) for name in (*COUNTED, "kasmRedis", "db")}
                ),
            },
        ),
        "global": st.fixed_dictionaries(
            {}, optional={"image": st.fixed_dictionaries({"pullPolicy": st.sampled_from(["Always", "IfNotPresent"])})}
        ),
    },
)

ENVIRONMENT = st.builds(
    Environment,
    name=st.just("prod"),
    hostname=HOST,
    alt_hostnames=st.lists(HOST, max_size=2, unique=True).map(tuple),
    namespace=st.sampled_from(["", "kasm", "elsewhere"]),
    cluster_domain=st.sampled_from(["cluster.local", "k8s.example"]),
    values=KASM,
)

# --- the proof ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[render.RenderSession]:
    root = tmp_path_factory.mktemp("exact")
    with HelmLibrary() as library, render.session(root, library) as session:
        yield session


def canonical(objects: Any) -> list[str]:
    """Every object as JSON with its types visible, in an order of its own."""
    return sorted(json.dumps(item, sort_keys=True, ensure_ascii=True) for item in objects)


def prove(run: render.RenderSession, project: Project, environment: Environment) -> tuple[Path, dict[str, bytes]]:
    """Make the overlay, write it, build it, compare; the directory and the overlay's files."""
    release = run.release(project, environment, locked=False)
    want, _ = render.render(run, release)
    base = build.render_base(run, project)
    repo = git.Repository(run.root, run.root)
    builder = verify.Builder(run.programs, run.cache, run.directory, base.files, repo, "")
    objects = {key: item.object for key, item in want.objects.items()}
    namespace = release.namespace
    inputs = OverlayInputs(EnvironmentFiles(environment), namespace, base.objects, objects, {}, "test 1")
    files = dict(assemble.prove(inputs, builder).files)
    out = run.directory / "build"
    for stale in sorted(out.rglob("*"), reverse=True):
        stale.unlink() if stale.is_file() else stale.rmdir()
    scratch.write_tree(out, {**base.files, **files})
    built = kustomize.build(run.programs.kustomize, out / environment.directory)
    added = {(obj["kind"], obj["metadata"]["name"]) for obj in built} - {(k.kind, k.name) for k in objects}
    assert added <= {("Namespace", namespace)}
    rest = [obj for obj in built if (obj["kind"], obj["metadata"]["name"]) not in added]
    assert canonical(rest) == canonical(objects.values())
    _assert_no_secret(want, files)
    return out, files


def _assert_no_secret(want: Render, files: dict[str, bytes]) -> None:
    assert not any(b"kind: Secret" in content for content in some(files.values()))
    assert not any(key.kind == "Secret" for key in some(want.objects))


@QUIET
@given(environment=ENVIRONMENT)
def test_the_built_in_chart_is_exact_for_any_values(run: render.RenderSession, environment: Environment) -> None:
    prove(run, Project(), environment)


@QUIET
@given(environment=ENVIRONMENT, shared=KASM)
def test_shared_values_change_the_base_and_stay_exact(
    run: render.RenderSession, environment: Environment, shared: dict[str, Any]
) -> None:
    prove(run, Project(values=shared), environment)


@QUIET
@given(environment=ENVIRONMENT)
def test_a_chart_with_upstreams_defects_is_exact(run: render.RenderSession, environment: Environment) -> None:
    values = json.loads(json.dumps(environment.values))
    for block in values.get("kasmApp", {}).get("servicesToDeploy", {}).values():
        block.pop("addHealthChecks", None)
    prove(run, Project(chart=ChartRef(str(UPSTREAM_LIKE))), environment.replace(values=values))


def test_every_patch_of_an_environment_has_an_effect(run: render.RenderSession) -> None:
    environment = Environment(
        "prod",
        "kasm.example.com",
        ("desk.example.com",),
        size="large",
        values={"kasmApp": {"servicesToDeploy": {"kasmGuac": {"deploy": False}}}},
    )
    out, files = prove(run, Project(), environment)
    overlay = out / environment.directory
    whole = canonical(kustomize.build(kustomize.locate(), overlay))
    text = (overlay / "kustomization.yaml").read_text()
    patches = [path for path in files if "/patches/" in path]
    assert len(patches) > 5
    for path in patches:
        body = files[path]
        (out / path).write_text("[]\n" if body.splitlines()[1].startswith(b"-") else _emptied(body.decode()))
        assert canonical(kustomize.build(kustomize.locate(), overlay)) != whole, f"{path} has no effect"
        (out / path).write_bytes(body)
    assert text == (overlay / "kustomization.yaml").read_text()


def _emptied(patch: str) -> str:
    """A merge patch that says nothing but which object it is about."""
    value = documents.load(patch)
    metadata = {key: item for key, item in value["metadata"].items() if key in ("name", "namespace")}
    return documents.dump({"apiVersion": value["apiVersion"], "kind": value["kind"], "metadata": metadata})


# --- the nasty chart ---------------------------------------------------------------


TEXT = st.sampled_from(
    ["plain", "0755", "yes", "é ${x} $$", "tab\there", "trailing ", "1e3", "", "a: b", "- x", "x" * 300]
)
NASTY_VALUES = st.fixed_dictionaries(
    {"token": st.sampled_from(["t", "0644"])},
    optional={
        "replicas": st.integers(0, 5),
        "tag": TAG,
        "initOrder": st.permutations(["first", "second", "third"]).map(list),
        "extraEnv": st.lists(
            st.fixed_dictionaries({"name": st.sampled_from(["A", "B", "C", "D"]), "value": TEXT}), max_size=4
        ),
        "storage": st.sampled_from(["memory", "claim", "config"]),
        "arguments": st.lists(TEXT, max_size=4),
        "tolerations": st.lists(st.fixed_dictionaries({"key": LABEL, "operator": st.just("Exists")}), max_size=2),
        "hosts": st.lists(HOST, min_size=1, max_size=3, unique=True),
        "podAnnotations": st.dictionaries(LABEL, TEXT, max_size=3),
        "limits": st.fixed_dictionaries({}, optional={"cpu": CPU, "memory": MEMORY}),
        "monitoring": st.fixed_dictionaries({"enabled": st.booleans()}),
        "widget": st.fixed_dictionaries({"size": st.integers(0, 3), "swapped": st.booleans()}),
        "hooks": st.fixed_dictionaries({"enabled": st.booleans()}),
        "nasty-sub": st.fixed_dictionaries({"enabled": st.booleans(), "greeting": TEXT}),
    },
)


@QUIET
@given(shared=NASTY_VALUES, own=NASTY_VALUES, namespace=st.sampled_from(["", "elsewhere"]))
def test_the_nasty_chart_is_exact(
    run: render.RenderSession, shared: dict[str, Any], own: dict[str, Any], namespace: str
) -> None:
    environment = Environment("prod", "nasty.example.com", namespace=namespace, values=own)
    prove(run, Project(chart=ChartRef(str(NASTY)), values=shared), environment)


@pytest.mark.parametrize("name", ["randomOutside", "nextLine"])
def test_what_cannot_be_exact_is_an_error_that_names_the_object(run: render.RenderSession, name: str) -> None:
    environment = Environment("prod", "nasty.example.com", values={"token": "t", "forbidden": {name: True}})
    with pytest.raises(KasmgenError, match=r"ConfigMap|Deployment|Widget"):
        prove(run, Project(chart=ChartRef(str(NASTY)), values={"token": "t"}), environment)
