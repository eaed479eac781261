"""docs/files.md, the JSON Schemas and the parser say the same of kasmgen.yaml and environment.yaml."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from kasmgen.errors import InputError
from kasmgen.layout import annotations, marks
from kasmgen.project import config
from kasmgen.project.config import CertificateInput, ChartRef, CheckOff, Checks, Environment, FluxInput, Project
from kasmgen.secrets import certificates
from kasmgen.yaml import documents

ROOT = Path(__file__).parents[2]
SCHEMAS = {
    kind: json.loads((ROOT / f"kasmgen/schemas/{kind.lower()}.schema.json").read_text())
    for kind in ("Project", "Environment")
}
LEAST = {
    "Project": {"apiVersion": config.API_VERSION, "kind": "Project"},
    "Environment": {"apiVersion": config.API_VERSION, "kind": "Environment", "hostname": "kasm.example.com"},
}
PAGE = (ROOT / "docs/files.md").read_text()


def fields(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any], bool]]:
    """(path, schema, whether it is required) of every field, as the page names them."""
    for key, field in schema["properties"].items():
        path = f"{prefix}{key}"
        yield path, field, key in schema.get("required", ())
        if "properties" in field:
            yield from fields(field, f"{path}.")
        if isinstance(field.get("additionalProperties"), dict):
            yield from fields(field["additionalProperties"], f"{path}.<role>.")
        if isinstance(items := field.get("items"), dict) and "properties" in items:
            yield from fields(items, f"{path}[].")


def parse(kind: str, value: dict[str, Any]) -> Project | Environment:
    text = documents.dump(value)
    return config.parse_project(text) if kind == "Project" else config.parse_environment(text, "prod")


def within(kind: str, path: str, value: Any) -> dict[str, Any]:
    """The least file of the kind with `value` at `path`."""
    out: dict[str, Any] = json.loads(json.dumps(LEAST[kind]))
    steps = path.replace("[]", ".0").replace("<role>", "ingress").split(".")
    holder: Any = out
    for place, following in itertools.pairwise(steps):
        fresh: Any = [{"rule": "KG502", "reason": "a test"}] if following == "0" else {}
        holder = holder[int(place)] if isinstance(holder, list) else holder.setdefault(place, fresh)
    holder[steps[-1]] = value
    return out


def known(kind: str, path: str) -> set[str]:
    """The keys that the parser knows in the mapping at `path` ("" is the whole file)."""
    with pytest.raises(InputError, match="unknown key") as error:
        parse(kind, within(kind, f"{path}.zzzzzzzz".strip("."), 1))
    assert error.value.hint
    return set(error.value.hint.removeprefix("known keys: ").split(", "))


@pytest.mark.parametrize("kind", SCHEMAS)
def test_parser_and_schema_know_the_same_fields(kind: str) -> None:
    found: dict[str, set[str]] = {}
    for path, _, _ in fields(SCHEMAS[kind]):
        parent, _, key = path.rpartition(".")
        found.setdefault(parent, set()).add(key)
    for parent, keys in found.items():
        assert known(kind, parent) == keys, parent


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_page_has_every_field_with_its_default_and_meaning(kind: str) -> None:
    section = PAGE.partition("`kasmgen.yaml`\n" if kind == "Project" else "`overlays/<env>/environment.yaml`\n")[2]
    table = section.partition("\n### ")[0]
    rows = {
        cells[0].strip("`"): (cells[2], cells[3])
        for line in table.splitlines()
        if line.startswith("| `")
        for cells in [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]]
    }
    assert rows == {
        path: (f"`{field['default']}`" if "default" in field else "required" if required else "", field["description"])
        for path, field, required in fields(SCHEMAS[kind])
    }


@pytest.mark.parametrize("kind", SCHEMAS)
def test_a_default_that_is_written_down_changes_nothing(kind: str) -> None:
    for path, field, _ in fields(SCHEMAS[kind]):
        if "default" in field:
            parent = path.rpartition(".")[0]
            bare = within(kind, parent, {}) if parent else LEAST[kind]
            assert parse(kind, within(kind, path, field["default"])) == parse(kind, bare), path


def test_every_choice_of_the_schema_is_one_of_the_program() -> None:
    environment = SCHEMAS["Environment"]["properties"]
    certificate = environment["certificates"]["additionalProperties"]["properties"]

    def choices(field: dict[str, Any]) -> set[str]:
        return {item for item in field["enum"] if item}

    assert choices(environment["size"]) == set(config.SIZES)
    assert choices(certificate["source"]) == set(config.CERTIFICATE_SOURCES)
    assert choices(certificate["keyType"]) == set(certificates.KEY_TYPES)


FULL_PROJECT = Project(
    ChartRef("charts/kasm", "1.2.3", f"sha256:{'0' * 64}"),
    "kasm",
    "apps",
    {"ingress": {"className": "nginx"}},
    ("auth.tokenHint",),
    Checks((CheckOff("KG502", "the cluster has its own", ("prod",)),)),
)
FULL_ENVIRONMENT = Environment(
    "prod",
    "kasm.example.com",
    ("*.example.com",),
    "192.0.2.1",
    "kasm-blue",
    "k8s.example.net",
    "large",
    "kasm-registry",
    {"ingress": CertificateInput("kasmgen", "ecdsa-p256", 90), "db": CertificateInput("existing")},
    FluxInput("other", "ssh://git@git.example.com/a.git", "dev", "2h", "10m", "age-key"),
    ChartRef("charts/next"),
    {"ingress": {"enabled": False}},
)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("Project", config.project_text(Project())),
        ("Project", config.project_text(FULL_PROJECT)),
        ("Environment", config.environment_text(Environment("prod", "kasm.example.com"))),
        ("Environment", config.environment_text(FULL_ENVIRONMENT)),
    ],
)
def test_what_kasmgen_writes_fits_the_schema_and_points_to_it(kind: str, text: str) -> None:
    jsonschema.validate(documents.load(text), SCHEMAS[kind], cls=jsonschema.Draft202012Validator)
    assert text.startswith(f"# yaml-language-server: $schema={SCHEMAS[kind]['$id']}\n")


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Project", "chart.digest", "sha256:abc"),
        ("Project", "checks.off[].rule", "502"),
        ("Project", "realease", "kasm"),
        ("Environment", "size", "huge"),
        ("Environment", "certificates.<role>.days", 0),
        ("Environment", "certificates.<role>.keyType", "rsa-1024"),
        ("Environment", "flux.url", "git@example.com:a/b.git"),
        ("Environment", "altHostnames", "one.example.com"),
        ("Environment", "flux.intervall", "1h"),
    ],
)
def test_schema_and_parser_refuse_the_same(kind: str, path: str, value: Any) -> None:
    wrong = within(kind, path, value)
    with pytest.raises(InputError):
        parse(kind, wrong)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMAS[kind], cls=jsonschema.Draft202012Validator)


def test_the_page_has_every_annotation_and_the_mark() -> None:
    ours = {value for value in vars(annotations).values() if str(value).startswith(annotations.PREFIX)} - {
        annotations.PREFIX
    }
    assert set(re.findall(r"kasmgen\.dev/[a-z][a-z0-9-]+", PAGE)) - {config.API_VERSION} == ours
    line = marks.stamp(b"", "kasm-single-zone 1.16.0").decode().rpartition(":")[0]
    assert line in PAGE
