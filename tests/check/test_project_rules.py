"""1xx, 2xx, 5xx to 8xx: each rule fires where it should, and only there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kasmgen.check.rule import Rule, run
from kasmgen.check.rules import expiry, generated, overlays, reconcilers, since_base, tracked_files
from kasmgen.check.rules.overlays import BuiltOverlay
from kasmgen.errors import InputError, KasmgenError, ToolError
from kasmgen.kubernetes.resources import by_id
from kasmgen.layout import marks
from kasmgen.layout.annotations import DNS_NAMES, NOT_AFTER, NOT_BEFORE
from kasmgen.review import compare_builds
from kasmgen.review.risks import RiskContext, assess
from kasmgen.secrets.certificates import CertificateSpec
from kasmgen.secrets.recipients import Recipients
from kasmgen.secrets.sealed_file import Sealed
from kasmgen.yaml.documents import load


def rules(table: tuple[Rule[Any], ...], context: Any) -> list[str]:
    return sorted(finding.rule for finding in run(table, context))


# --- 1xx -----------------------------------------------------------------------

FILE = marks.stamp(b"a: 1\n", "chart 1")
EDITED = FILE + b"# mine\n"
OTHER = marks.stamp(b"a: 2\n", "chart 1")
PATH = "base/x.yaml"


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (FILE, []),
        (FILE.replace(b"\n", b"\r\n"), []),
        (EDITED, ["KG102"]),
        (None, ["KG103"]),
        (OTHER, ["KG104"]),
        (b"mine: 1\n", ["KG104"]),
    ],
)
def test_generated_files(present: bytes | None, expected: list[str]) -> None:
    context = generated.Generated({PATH: FILE}, {PATH: present})
    assert rules(generated.RULES, context) == expected


def test_left_over_files_and_files_of_people() -> None:
    assert rules(generated.RULES, generated.Generated({}, {PATH: FILE})) == ["KG105"]
    assert rules(generated.RULES, generated.Generated({}, {PATH: b"mine: 1\n"})) == []
    assert rules(generated.RULES, generated.Generated({}, {PATH: EDITED})) == ["KG102"]


def test_inputs_secrets_and_orphans() -> None:
    error = InputError("kasmgen.yaml: no", hint="do this")
    found = list(run(generated.RULES, generated.Generated(unreadable=(("", error),))))
    assert [(f.rule, f.message, f.next_step) for f in found] == [("KG101", "kasmgen.yaml: no", "do this")]
    assert rules(generated.RULES, generated.Generated(missing={"overlays/p/secrets/s": "lacks k"})) == ["KG106"]
    assert rules(generated.RULES, generated.Generated(orphans={"clusters/old/kasm.yaml": True})) == ["KG107"]


# --- 2xx -----------------------------------------------------------------------


@pytest.mark.parametrize(("what", "rule"), [("render", "KG201"), ("build", "KG202"), ("exact", "KG203")])
def test_what_failed_is_told_once(what: str, rule: str) -> None:
    failures: dict[str, KasmgenError] = {what: ToolError("it failed", hint="do this")}
    patch = {"patches": [{"patch": "- {op: test}", "target": {"kind": "X"}}]}
    assert rules(overlays.RULES, BuiltOverlay("prod", "k", failures, patch)) == [rule]


def workload(replicas: int = 1) -> dict[str, Any]:
    containers = [{"name": "c", "image": "registry:5000/team/api:1"}]
    metadata = {"name": "api", "namespace": "kasm", "labels": {"app": "api"}}
    spec = {"replicas": replicas, "template": {"spec": {"containers": containers}}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({"target": {"kind": "Deployment", "name": "api"}}, []),
        ({"target": {"kind": "Deployment", "name": "a.*"}}, []),
        ({"target": {"kind": "Deployment", "name": "ap"}}, ["KG204"]),
        ({"target": {"kind": "StatefulSet"}}, ["KG204"]),
        ({"target": {"group": "apps", "version": "v1"}}, []),
        ({"target": {"version": "v2"}}, ["KG204"]),
        ({"target": {"labelSelector": "app=api"}}, []),
        ({"target": {"labelSelector": "app=web"}}, ["KG204"]),
        ({"target": {"labelSelector": "app in (web)"}}, []),
        ({"path": "own.yaml"}, []),
        ({"path": "patches/ours.yaml", "target": {"kind": "Nothing"}}, []),
    ],
)
def test_patches_match_something(patch: dict[str, Any], expected: list[str]) -> None:
    content = b"kind: Deployment\nmetadata: {name: api}\n"
    built = BuiltOverlay(
        "prod",
        "k",
        kustomization={"patches": [{"patch": "- op: add", **patch}]},
        ours=by_id([workload()]),
        objects=by_id([workload(2)]),
        patches={"own.yaml": content},
    )
    assert rules(overlays.RULES, built) == expected


def test_a_patch_that_changes_nothing() -> None:
    listed = {"patches": [{"patch": "- op: add", "target": {"kind": "Deployment"}}]}
    same = by_id([workload()])
    assert rules(overlays.RULES, BuiltOverlay("prod", "k", {}, listed, same, same)) == ["KG205"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("registry:5000/team/api", []), ("team/api", ["KG206"]), ("api", ["KG206"])],
)
def test_images_that_are_used(name: str, expected: list[str]) -> None:
    objects = by_id([workload()])
    assert rules(overlays.RULES, BuiltOverlay("p", "k", {}, {"images": [{"name": name}]}, objects, objects)) == expected


# --- 5xx -----------------------------------------------------------------------

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SPEC = CertificateSpec("a.example.com", (), ("a.example.com", "b.example.com"), (), "rsa-2048", 365)


def moment(days: int) -> str:
    return (NOW + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def tls(begin: int = -10, end: int = 100, names: str = "*.example.com", **changes: Any) -> Sealed:
    annotations = {
        NOT_BEFORE: moment(begin),
        NOT_AFTER: moment(end),
        DNS_NAMES: names,
    }
    nobody = Recipients.of([])
    return Sealed("x", "s", "kasm", "kubernetes.io/tls", annotations | changes, {}, {}, (), nobody, True, "", True)


@pytest.mark.parametrize(
    ("sealed", "expected"),
    [
        (tls(), []),
        (tls(end=-1), ["KG501"]),
        (tls(end=0), ["KG501"]),
        (tls(end=30), ["KG502"]),
        (tls(end=31), []),
        (tls(names="a.example.com"), ["KG503"]),
        (tls(end=-1, names="a.example.com"), ["KG501", "KG503"]),
        (tls(begin=1), ["KG504"]),
        (tls(begin=50, end=20), ["KG502", "KG504"]),
        (tls(**{NOT_AFTER: "soon"}), ["KG505"]),
    ],
)
def test_certificates(sealed: Sealed, expected: list[str]) -> None:
    assert rules(expiry.RULES, expiry.Certificates({"p": sealed}, NOW, 30, {"p": SPEC})) == expected


def test_certificates_that_nobody_asked_for_are_watched_too() -> None:
    assert rules(expiry.RULES, expiry.Certificates({"p": tls(end=5, names="x")}, NOW)) == ["KG502"]


# --- 6xx -----------------------------------------------------------------------

KUSTOMIZATION = """
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: kasm, namespace: flux-system}
spec:
  interval: 1h
  timeout: 15m
  path: ./overlays/prod
  prune: true
  sourceRef: {kind: GitRepository, name: flux-system}
  decryption: {provider: sops, secretRef: {name: sops-age}}
"""


def reconciler(file: str = "clusters/prod/kasm.yaml", name: str = "kasm", **spec: Any) -> reconcilers.Reconciler:
    document = load(KUSTOMIZATION)
    document["metadata"]["name"] = name
    document["spec"] = {key: value for key, value in (document["spec"] | spec).items() if value is not None}
    return reconcilers.Reconciler(file, document)


def flux_rules(*items: reconcilers.Reconciler, **more: Any) -> list[str]:
    files = frozenset(["overlays/prod/kustomization.yaml", "overlays/bare/x.yaml"])
    context = reconcilers.Flux(items, **{"files": files, "sealed": frozenset(["prod"]), **more})
    return rules(reconcilers.RULES, context)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"path": "overlays/prod/"}, []),
        ({"path": "./overlays/prd"}, ["KG601"]),
        ({"path": "./overlays/bare"}, ["KG601"]),
        ({"path": "./apps/elsewhere"}, []),
        ({"decryption": None}, ["KG602"]),
        ({"decryption": {"provider": "sops"}}, ["KG602"]),
        ({"interval": None}, ["KG603"]),
        ({"prune": None}, ["KG603"]),
        ({"interval": "1d"}, ["KG603"]),
        ({"timeout": "10"}, ["KG603"]),
        ({"interval": "1h30m"}, []),
        ({"interval": "10s"}, ["KG604"]),
        ({"timeout": "5s"}, ["KG604"]),
        ({"timeout": None}, ["KG604"]),
        ({"timeout": None, "interval": "5m"}, []),
        ({"force": True}, ["KG608"]),
        ({"force": False}, []),
        ({"dependsOn": [{"name": "kasm"}]}, ["KG606"]),
        ({"dependsOn": [{"name": "other"}]}, ["KG607"]),
    ],
)
def test_a_flux_object(spec: dict[str, Any], expected: list[str]) -> None:
    assert flux_rules(reconciler(**spec)) == expected


def test_paths_in_a_project_below_the_root_of_git() -> None:
    assert flux_rules(reconciler(path="./deploy/overlays/prod"), prefix="deploy") == []
    assert flux_rules(reconciler(path="./deploy/overlays/prd"), prefix="deploy") == ["KG601"]


def test_circles_of_any_length_and_none() -> None:
    first = reconciler(name="a", dependsOn=[{"name": "b"}], path="x")
    second = reconciler(name="b", dependsOn=[{"name": "c"}], path="x")
    last = reconciler(name="c", dependsOn=[{"name": "a"}], path="x")
    assert flux_rules(first, second, last) == ["KG606"] * 3
    assert flux_rules(first, second, reconciler(name="c", path="x")) == []


@pytest.mark.parametrize(
    ("text", "annotations", "expected"),
    [
        ("echo ${HOME}", {}, ["KG605"]),
        ("kill $$", {}, ["KG605"]),
        ("echo $HOME", {}, []),
        ("echo ${HOME}", {"kustomize.toolkit.fluxcd.io/substitute": "disabled"}, []),
    ],
)
def test_substitution(text: str, annotations: dict[str, str], expected: list[str]) -> None:
    metadata = {"name": "m", "annotations": annotations}
    built = {"prod": by_id([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"run": text}}])}
    assert flux_rules(reconciler(postBuild={"substitute": {"a": "b"}}), builds=built) == expected
    assert flux_rules(reconciler(), builds=built) == []


def test_two_objects_for_one_overlay_and_one_inside_it() -> None:
    assert flux_rules(reconciler(), reconciler(name="twin")) == ["KG609"]
    assert flux_rules(reconciler(), reconciler("clusters/other/kasm.yaml")) == []
    assert flux_rules(reconciler("overlays/prod/flux.yaml")) == ["KG610"]


# --- 7xx -----------------------------------------------------------------------

CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "c", "namespace": "kasm"},
    "spec": {"resources": {"requests": {"storage": "5Gi"}}},
}


def selecting(label: str) -> dict[str, Any]:
    obj = workload()
    return {**obj, "spec": {**obj["spec"], "selector": {"matchLabels": {"app": label}}}}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([CLAIM], [CLAIM], []),
        ([CLAIM], [], ["KG701"]),
        ([selecting("a")], [selecting("b")], ["KG702"]),
        ([workload(1)], [workload(2)], []),
    ],
)
def test_changes(old: list[dict[str, Any]], new: list[dict[str, Any]], expected: list[str]) -> None:
    before, now = by_id(old), by_id(new)
    found = assess(compare_builds(before, now), RiskContext(before, now))
    assert rules(since_base.RULES, since_base.ChangesSince("prod", "origin/main", found)) == expected


# --- 8xx -----------------------------------------------------------------------

OVERLAY = "overlays/prod/kustomization.yaml"


def tree(kustomization: dict[str, Any] | None = None, *files: str, **more: Any) -> tracked_files.Tree:
    return tracked_files.Tree(frozenset([OVERLAY, *files]), kustomizations={OVERLAY: kustomization or {}}, **more)


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (tree(), []),
        (tree(links={"overlays/prod/x.yaml": "../y"}), ["KG801"]),
        (tree(links={"base": "/elsewhere"}), ["KG801"]),
        (tree(links={"docs/x": "../y"}), []),
        (tree({"resources": ["https://example.com/x"]}), ["KG802"]),
        (tree({"resources": ["github.com/a/b?ref=v1"]}), ["KG802"]),
        (tree({"resources": ["git@example.com:a/b"]}), ["KG802"]),
        (tree({"components": ["ssh://git@example.com/a"]}), ["KG802"]),
        (tree({"resources": ["../../base", "own.yaml"]}), []),
        (tree({"configMapGenerator": [{"files": ["l=logo.png"]}]}, "overlays/prod/logo.png"), ["KG803"]),
        (tree({"configMapGenerator": [{"files": ["logo.svg"]}]}, "overlays/prod/logo.svg"), []),
        (tree({"resources": [".sops.yaml"]}, "overlays/prod/.sops.yaml"), ["KG803"]),
        (tree({"resources": ["own.yaml"]}, ignored=frozenset(["overlays/prod/own.yaml"])), ["KG804"]),
        (tree({}, "overlays/prod/kustomization.yml"), ["KG805"]),
        (tree({}, "overlays/dev/kustomization.yml"), []),
        (tree({}, ".sourceignore"), ["KG806"]),
        (tree(repositories=("base/sub",)), ["KG807"]),
        (tree(repositories=("vendor/sub",)), []),
    ],
)
def test_the_repository(context: tracked_files.Tree, expected: list[str]) -> None:
    assert rules(tracked_files.RULES, context) == expected
