"""Objects against the shipped schemas of Kubernetes: our check and the package jsonschema find the same ones valid."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.validators import extend
from referencing import Registry, Resource

from kasmgen.kubernetes import schema_files
from kasmgen.kubernetes.schema import Compiler
from kasmgen.kubernetes.schema_files import Schemas

DEPTH = 12
FAULTS = 0.03
DEFINITIONS = "https://kubernetes.io/api/_definitions.json"


def _left_out_if_null(keyword: str) -> Any:
    """The keyword, but for null, which to Kubernetes is a field that is left out."""
    original = Draft202012Validator.VALIDATORS[keyword]

    def check(validator: Any, argument: Any, value: Any, schema: Any) -> Iterator[Any]:
        if value is not None:
            yield from original(validator, argument, value, schema) or ()

    return check


Oracle = extend(Draft202012Validator, {keyword: _left_out_if_null(keyword) for keyword in ("enum", "oneOf")})


class Objects:
    """Random objects of a schema, of which some are wrong in one place or another."""

    def __init__(self, schemas: Schemas, random: Random) -> None:
        self._definitions = schemas.definitions
        self._random = random

    def of(self, schema: dict[str, Any], depth: int = 0) -> Any:
        if "$ref" in schema:
            return self.of(self._definitions[schema["$ref"].rpartition("/")[2]], depth)
        if self._random.random() < FAULTS:
            return self._random.choice([None, "text", 7, 1.5, True, [], ["text"], {}, {"a": "b"}])
        if "enum" in schema:
            return self._random.choice(schema["enum"])
        if "oneOf" in schema:
            return self.of(self._random.choice(schema["oneOf"]), depth)
        types = schema.get("type", "object")
        return self._of_type(self._random.choice(types if isinstance(types, list) else [types]), schema, depth)

    def _of_type(self, kind: str, schema: dict[str, Any], depth: int) -> Any:
        if kind == "object":
            return self._mapping(schema, depth)
        if kind == "array":
            return [
                self.of(schema["items"], depth + 1) for _ in range(self._random.randint(0, 2 if depth < DEPTH else 0))
            ]
        return {"string": "text", "integer": 7, "number": 1.5, "boolean": True, "null": None}[kind]

    def _mapping(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        required = [name for name in schema.get("required", []) if self._random.random() > FAULTS]
        optional = self._random.sample(sorted(properties), min(len(properties), 4)) if depth < DEPTH else []
        made = {name: self.of(properties[name], depth + 1) for name in (*required, *optional) if name in properties}
        others = schema.get("additionalProperties")
        if isinstance(others, dict) and depth < DEPTH:
            made["extra"] = self.of(others, depth + 1)
        elif self._random.random() < FAULTS:
            made["unknown"] = "text"
        return made


def kinds(schemas: Schemas) -> Iterator[tuple[str, str]]:
    """apiVersion and kind of all that these schemas know as objects."""
    for definition in schemas.definitions.values():
        for known in definition.get("x-kubernetes-group-version-kind", []):
            if "metadata" in definition.get("properties", {}):
                yield "/".join(filter(None, (known["group"], known["version"]))), known["kind"]


@pytest.mark.parametrize("version", [schema_files.versions()[0], schema_files.versions()[-1]])
def test_the_same_objects_are_valid_to_jsonschema(version: str) -> None:
    schemas = schema_files.load(version)
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": dict(schemas.definitions)}
    registry = Registry().with_resource(DEFINITIONS, Resource.from_contents(document))
    compiler, objects = Compiler(schemas.definitions), Objects(schemas, Random(version))
    verdicts = []
    for api_version, kind in sorted(kinds(schemas)):
        schema = schemas.find(api_version, kind)
        if schema is None:
            continue
        check, oracle = compiler.compile(schema), Oracle(schema, registry=registry)
        for _ in range(10):
            value = objects.of(schema)
            problems, expected = list(check(value, "")), oracle.is_valid(value)
            assert (not problems) == expected, f"{api_version} {kind}: {problems}\n{value}"
            verdicts.append(expected)
    assert verdicts.count(True) > 300
    assert verdicts.count(False) > 300
