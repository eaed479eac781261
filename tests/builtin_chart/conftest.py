"""The built-in chart, rendered in process by the same library that kasmgen uses."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

Object = dict[str, Any]
Render = Callable[..., list[Object]]

CHART = Path(__file__).parents[2] / "kasmgen" / "charts" / "kasm-single-zone"
NAMESPACE = "workspaces"
RELEASE = "kasm"

# A render without generated certificates and with a host name: small, fast and the same each time.
PLAIN: Object = {
    "global": {"hostname": "kasm.example.com", "kasmPasswords": {"existingSecret": "kasm-secrets"}},
    "kasmCerts": {name: {"create": False} for name in ("ingress", "kasmProxy", "rdpGateway", "db")},
}


def merged(*layers: Object) -> Object:
    """The layers laid over one another, maps merged, everything else replaced by the later one."""
    result: Object = {}
    for layer in layers:
        for key, value in layer.items():
            old = result.get(key)
            both = isinstance(old, dict) and isinstance(value, dict)
            result[key] = merged(old or {}, value) if both else value
    return result


def services(**blocks: Object) -> Object:
    """Values that change `kasmApp.servicesToDeploy`: services(kasmGuac={"deploy": False})."""
    return {"kasmApp": {"servicesToDeploy": blocks}}


class Strict(yaml.CSafeLoader):
    """PyYAML's C reader, which is YAML 1.1 like Kubernetes'; but a duplicate key is an error, as in kustomize."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        result = super().construct_mapping(node, deep)
        if len(result) != len(node.value):
            keys = sorted(key.value for key, _ in node.value)
            raise ValueError(f"a key stands twice among {keys}, line {node.start_mark.line + 1}")
        return result


def parse(text: str) -> list[Object]:
    """The objects of a YAML stream."""
    return [document for document in yaml.load_all(text, Loader=Strict) if document]


DEFAULTS: Object = parse((CHART / "values.yaml").read_text())[0]


@pytest.fixture(scope="session")
def chart() -> helm_python.Chart:
    return helm_python.Chart.load(CHART)


@pytest.fixture(scope="session")
def render_text(chart: helm_python.Chart) -> Callable[..., dict[str, str]]:
    """Rendered text by template path below `templates/`, NOTES.txt among it."""

    def run(
        values: Object | None = None, *, release: str = RELEASE, namespace: str = NAMESPACE, **options: Any
    ) -> dict[str, str]:
        rendered = chart.render(values or {}, name=release, namespace=namespace, **options)
        prefix = f"{chart.name}/templates/"
        return {path.removeprefix(prefix): text for path, text in rendered.items()}

    return run


@pytest.fixture(scope="session")
def render(render_text: Callable[..., dict[str, str]]) -> Render:
    """render(values, release=, namespace=): all objects, in the order of their template files."""

    # Reading the YAML takes longer than rendering it, and many tests look at the same values.
    known: dict[str, list[Object]] = {}

    def run(
        values: Object | None = None, *, release: str = RELEASE, namespace: str = NAMESPACE, **options: Any
    ) -> list[Object]:
        key = json.dumps([values, release, namespace, options], sort_keys=True)
        if key not in known:
            known[key] = objects_of(render_text(values, release=release, namespace=namespace, **options))
        return copy.deepcopy(known[key])

    return run


def objects_of(texts: dict[str, str]) -> list[Object]:
    """The objects of rendered templates, in the order of their files."""
    return [
        document
        for path, text in sorted(texts.items())
        if path.endswith((".yaml", ".yml")) and text.strip()
        for document in parse(text)
    ]


def find(objects: list[Object], kind: str, name: str | None = None) -> Object:
    """The one object of this kind (and name)."""
    found = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} objects are {kind} {name or ''}: {names(objects)}"
    return found[0]


def names(objects: list[Object]) -> list[str]:
    """Every object as Kind/name, for comparing sets of objects and for messages."""
    return [f"{o['kind']}/{o['metadata']['name']}" for o in objects]


def pod_specs(objects: list[Object]) -> dict[str, Object]:
    """The pod templates (metadata and spec) by Kind/name of the workload."""
    return {
        f"{o['kind']}/{o['metadata']['name']}": o["spec"]["template"]
        for o in objects
        if o["kind"] in ("Deployment", "StatefulSet", "Job")
    }


def containers(template: Object) -> list[Object]:
    """Init containers, then containers, of a pod template."""
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]
