"""What is known of kinds, against the schemas of Kubernetes and what the real kustomize knows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kasmgen.chart.normalise import for_kubernetes
from kasmgen.kubernetes import kinds, schema_files
from kasmgen.programs import kustomize

DEFINITIONS = schema_files.load().definitions
CORE = "io.k8s.api.core.v1."
OBJECTS = {
    ("/".join(filter(None, (known["group"], known["version"]))), known["kind"]): definition
    for definition in DEFINITIONS.values()
    for known in definition.get("x-kubernetes-group-version-kind", [])
    if "metadata" in definition.get("properties", {}) and not known["kind"].endswith("List")
}


def points_to(schema: Any) -> str:
    """The name of the definition that a schema, or that of its items, refers to."""
    reference = schema.get("$ref") or (schema.get("items") or {}).get("$ref") or ""
    return reference.rpartition("/")[2]


def fields(schema: Any) -> Mapping[str, Any]:
    return DEFINITIONS.get(points_to(schema), schema).get("properties", {})


def templates(schema: Any, way: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The ways to pod templates in a schema."""
    for name, found in fields(schema).items():
        if points_to(found) == f"{CORE}PodTemplateSpec":
            yield (*way, name)
        elif name in ("spec", "jobTemplate"):
            yield from templates(found, (*way, name))


def test_pod_templates_are_found_wherever_the_schemas_have_one() -> None:
    found = {key: way for key, definition in OBJECTS.items() for way in templates(definition)}
    # Objects of this kind make no pods; they are copied by those that do.
    assert found.pop(("v1", "PodTemplate")) == ("template",)
    assert ("batch/v1", "CronJob") in found
    for (api_version, kind), way in found.items():
        template: dict[str, Any] = {"spec": {"containers": []}}
        inside: Any = template
        for name in reversed(way):
            inside = {name: inside}
        assert kinds.pod_template({"apiVersion": api_version, "kind": kind, **inside}) is template, (api_version, kind)


def test_every_list_of_containers_is_known() -> None:
    pod = DEFINITIONS[f"{CORE}PodSpec"]["properties"]
    of_containers = {name for name, found in pod.items() if re.search("Container$", points_to(found))}
    assert set(kinds.CONTAINER_LISTS) == of_containers


def test_every_volume_that_reads_a_secret_is_known() -> None:
    drivers = DEFINITIONS[f"{CORE}Volume"]["properties"]
    references = {
        (driver, name)
        for driver, found in drivers.items()
        for name, reference in fields(found).items()
        if name == "secretName" or re.search("(SecretReference|LocalObjectReference)$", points_to(reference))
    }
    assert references >= {("secret", "secretName"), ("csi", "nodePublishSecretRef"), ("iscsi", "secretRef")}
    for driver, name in sorted(references):
        volume = {driver: {name: "wanted" if name == "secretName" else {"name": "wanted"}}}
        assert kinds.secrets_used({"volumes": [volume]}) == {"wanted"}, (driver, name)


@pytest.mark.parametrize(
    ("definition", "known"),
    [("Container", for_kubernetes.CONTAINER_LIST_KEYS), ("ServiceSpec", for_kubernetes.SERVICE_LIST_KEYS)],
)
def test_repeated_entries_are_told_by_the_keys_of_server_side_apply(definition: str, known: Any) -> None:
    properties = DEFINITIONS[f"{CORE}{definition}"]["properties"]
    assert {name: tuple(properties[name]["x-kubernetes-list-map-keys"]) for name in known} == known


@pytest.mark.tool
def test_what_kustomize_gives_no_namespace_has_none(tmp_path: Path) -> None:
    objects = [
        {"apiVersion": api_version, "kind": kind, "metadata": {"name": f"n{number}"}}
        for number, (api_version, kind) in enumerate(sorted(OBJECTS))
    ]
    (tmp_path / "objects.yaml").write_text("\n---\n".join(map(json.dumps, objects)))
    kustomization = {"namespace": "kasm", "resources": ["objects.yaml"]}
    (tmp_path / "kustomization.yaml").write_text(json.dumps(kustomization))
    built = kustomize.build(kustomize.locate(), tmp_path)
    assert len(built) == len(objects)
    wrong = [obj for obj in built if ("namespace" not in obj["metadata"]) and kinds.has_namespace(obj, {})]
    assert wrong == []
