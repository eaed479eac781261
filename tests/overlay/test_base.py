"""Where objects stand in the base, and what the Flux objects say."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kasmgen.delivery import flux
from kasmgen.kubernetes.resources import Object, Rendered, ResourceId
from kasmgen.layout import marks
from kasmgen.overlay import base
from kasmgen.project.config import Environment, FluxInput, Project
from kasmgen.yaml import documents


def rendered(
    template: str = "chart/templates/x.yaml", kind: str = "ConfigMap", name: str = "x", **metadata: object
) -> Rendered:
    obj: Object = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, **metadata}}
    return Rendered(ResourceId.of(obj), obj, template)


@pytest.mark.parametrize(
    ("item", "folder"),
    [
        (rendered("chart/templates/api/deployment.yaml"), "api"),
        (rendered("chart/templates/RDP Gateway/x/deployment.yaml"), "rdp-gateway"),
        (rendered(labels={"app.kubernetes.io/component": "Web UI", "app": "other"}), "web-ui"),
        (rendered(labels={"app.kubernetes.io/name": "kasm-db-svc"}), "kasm-db-svc"),
        (rendered(labels={"app": "x"}), "x"),
        (rendered(), "common"),
        (rendered(labels={"app": "../.."}), "common"),
        (rendered(labels=None), "common"),
        (rendered("chart/charts/redis/templates/x.yaml"), "redis"),
        (rendered("chart/charts/a/charts/b/templates/x.yaml"), "b"),
        (rendered("chart/crds/x.yaml", "CustomResourceDefinition"), "crds"),
        (rendered("chart/templates/api/x.yaml", "CustomResourceDefinition"), "crds"),
        (rendered(labels={"app": "kustomization.yaml"}), "kustomization-yaml"),
    ],
)
def test_an_object_stands_in_the_folder_of_its_component(item: Rendered, folder: str) -> None:
    assert base.component(item) == folder


HOSTILE = st.one_of(
    st.sampled_from(
        ["../x", "/etc/passwd", "..", ".", "a/b", "a\\b", "CON", "a" * 300, "\x00", "A", "a", ".git", "x.yaml"]
    ),
    st.sampled_from(["kustomization.yaml", "kustomization", "a.", "a-", "é", "a:b", "-", "system:node"]),
    st.text(min_size=1, max_size=12),
)
ITEMS = st.builds(
    lambda template, kind, name, namespace, label: rendered(
        template, kind, name, namespace=namespace, labels={"app": label}
    ),
    st.one_of(HOSTILE, HOSTILE.map("c/templates/{}/x.yaml".format), HOSTILE.map("c/charts/{}/templates/x.yaml".format)),
    st.sampled_from(["ConfigMap", "configmap", "CustomResourceDefinition", "../Kind", "Kustomization"]),
    HOSTILE,
    st.one_of(st.just("n"), HOSTILE),
    HOSTILE,
)


@given(st.lists(ITEMS, max_size=12, unique_by=lambda item: item.id))
@settings(deadline=None, max_examples=150)
def test_every_object_has_a_file_of_its_own_inside_of_the_base(items: list[Rendered]) -> None:
    files = base.base({item.id: item for item in items}, "chart 1.0.0")
    assert len(files) == len(items) + 1
    assert len({path.lower() for path in files}) == len(files), "also where upper and lower case are one"
    found = []
    for path, content in files.items():
        assert re.fullmatch(r"base/([a-z0-9][a-z0-9-]*/)?[a-z0-9][a-z0-9.-]*\.yaml", path)
        assert ".." not in path
        assert max(len(part) for part in PurePosixPath(path).parts) <= 255
        assert isinstance(marks.read(content), marks.Unedited)
        assert [other for other in files if other.startswith(f"{path}/")] == []
        found.append(documents.load(content.decode()))
    assert sorted(map(documents.dump, found[:-1])) == sorted(documents.dump(item.object) for item in items)
    listed = documents.load(files["base/kustomization.yaml"].decode())["resources"]
    assert listed == sorted(path.removeprefix("base/") for path in files if path != "base/kustomization.yaml")


def test_the_base_is_the_same_whatever_order_objects_come_in() -> None:
    items = [rendered(name=name, namespace=namespace) for name in "abc" for namespace in ("n", "m")]
    forwards = base.base({item.id: item for item in items}, "chart 1.0.0")
    assert forwards == base.base({item.id: item for item in reversed(items)}, "chart 1.0.0")
    assert list(forwards) == list(base.base({item.id: item for item in reversed(items)}, "chart 1.0.0"))


# --- Flux --------------------------------------------------------------------------------

PROJECT = Project(release="kasm")


@pytest.mark.parametrize(("prefix", "path"), [("", "./overlays/prod"), ("deploy/kasm", "./deploy/kasm/overlays/prod")])
def test_flux_reads_the_overlay_from_the_git_root(prefix: str, path: str) -> None:
    made = flux.kustomization(PROJECT, Environment("prod", "h.example"), prefix)
    assert made["spec"]["path"] == path


def test_the_kustomization_reconciles_under_a_locked_down_flux() -> None:
    made = flux.kustomization(PROJECT, Environment("prod", "h.example", flux=FluxInput(decryption_secret="age")), "")
    spec = made["spec"]
    assert made["metadata"] == {"name": "kasm-prod", "namespace": "flux-system"}
    assert spec["decryption"] == {"provider": "sops", "secretRef": {"name": "age"}}
    assert spec["sourceRef"] == {"kind": "GitRepository", "name": "flux-system"}, "no reference to another namespace"
    assert spec["prune"] is True
    assert not {"force", "postBuild", "targetNamespace", "patches"} & set(spec)
    for key in ("interval", "retryInterval", "timeout"):
        assert re.fullmatch(r"([0-9]+(\.[0-9]+)?(ms|s|m|h))+", spec[key])


@pytest.mark.parametrize(
    ("url", "secret"), [("https://git.example.com/x", None), ("ssh://git@h/x", {"name": "kasm-prod"})]
)
def test_an_environment_with_an_address_brings_its_own_repository(url: str, secret: object) -> None:
    environment = Environment("prod", "h.example", flux=FluxInput(url=url, branch="live"))
    files = flux.files(PROJECT, environment, "", "chart 1.0.0")
    assert set(files) == {"clusters/prod/kasm.yaml", "clusters/prod/source.yaml"}
    repository = documents.load(files["clusters/prod/source.yaml"].decode())
    assert repository["spec"]["ref"] == {"branch": "live"}
    assert repository["spec"].get("secretRef") == secret
    kustomization = documents.load(files["clusters/prod/kasm.yaml"].decode())
    assert kustomization["spec"]["sourceRef"]["name"] == repository["metadata"]["name"]


def test_without_an_address_there_is_no_repository_and_files_carry_the_mark() -> None:
    files = flux.files(PROJECT, Environment("prod", "h.example"), "", "chart 1.0.0")
    assert set(files) == {"clusters/prod/kasm.yaml"}
    assert marks.read(files["clusters/prod/kasm.yaml"]) == marks.Unedited("chart 1.0.0")
