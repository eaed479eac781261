"""The table of merged lists against the real kustomize, for every list of every kind in Kubernetes' own schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kasmgen.kubernetes import schema_files
from kasmgen.overlay import merge_keys
from kasmgen.programs import kustomize

pytestmark = pytest.mark.tool

PER_BUILD = 400
# What kustomize knows and the newest schemas do not: read as what came after.
OLD = {
    ("batch/v1beta1", "CronJob"): "batch/v1",
    **{
        ("admissionregistration.k8s.io/v1beta1", f"{kind}WebhookConfiguration"): "admissionregistration.k8s.io/v1"
        for kind in ("Mutating", "Validating")
    },
}


@dataclass(frozen=True)
class Step:
    """A field on the way to a list, and the names of plain fields of its items if it is a list itself."""

    field: str
    is_list: bool
    plain: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """A list of a kind, and the fields in which an item of the patch differs from that of the base; () for scalars."""

    api_version: str
    kind: str
    way: tuple[Step, ...]
    differs: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.api_version} {self.kind} {'.'.join(step.field for step in self.way)} by {self.differs}"

    @property
    def is_own_metadata(self) -> bool:
        return self.way[0].field == "metadata"

    def objects(self, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Of the base and of the patch: the same but for one item of the list."""
        base, patch = (
            {"apiVersion": self.api_version, "kind": self.kind, **_inside(self.way, self.differs, value)}
            for value in ("one", "two")
        )
        for obj in (base, patch):
            obj["metadata"] = {**obj.get("metadata", {}), "name": name}
        return base, patch

    def is_merged(self, obj: Any) -> bool:
        """Whether the list has the items of both sides in what kustomize built."""
        for step in self.way:
            obj = obj[0][step.field] if isinstance(obj, list) else obj[step.field]
        return len(obj) == 2

    def should_merge(self) -> bool:
        keys = keys_of(self.api_version, self.kind, self.way)
        return keys is not None and (not self.differs or bool({*keys} & {*self.differs}))


def keys_of(api_version: str, kind: str, way: Sequence[Step]) -> tuple[str, ...] | None:
    """By which fields the table says that the list is merged; None if it, or a list around it, is replaced."""
    schema = merge_keys.schema(api_version, kind)
    keys: tuple[str, ...] | None = None
    for step in way:
        keys = schema.lists.get(step.field)
        if step.is_list and keys is None:
            return None
        schema = schema.below(step.field)
    return keys


def _inside(way: Sequence[Step], differs: tuple[str, ...], value: str) -> dict[str, Any]:
    step, rest = way[0], way[1:]
    if not step.is_list:
        return {step.field: _inside(rest, differs, value)}
    if not rest and not differs:
        return {step.field: [value]}
    item: dict[str, Any] = dict.fromkeys(step.plain, "same")
    item |= _inside(rest, differs, value) if rest else dict.fromkeys(differs, value)
    return {step.field: [item]}


class Lists:
    """Every list of a kind's schema, with the way to it."""

    def __init__(self, definitions: Any) -> None:
        self._definitions = definitions

    def of(self, schema: Any, way: tuple[Step, ...] = (), seen: frozenset[str] = frozenset()) -> Iterator[Any]:
        for field, found in schema.get("properties", {}).items():
            if not way and field in ("apiVersion", "kind", "status"):
                continue
            inner, name = self._resolved(found)
            if name in seen:
                continue
            if inner.get("items"):
                item, name = self._resolved(inner["items"])
                fields = item.get("properties", {})
                # A mapping of mappings is told apart by a field that nobody knows.
                plain = tuple(key for key in fields if self._is_plain(fields[key])) or ("unknown",) * bool(fields)
                yield (*way, Step(field, True, plain))
                if name not in seen:
                    yield from self.of(item, (*way, Step(field, True, plain)), seen | {name})
            else:
                yield from self.of(inner, (*way, Step(field, False)), seen | {name})

    def _resolved(self, schema: Any) -> tuple[Any, str]:
        name = schema.get("$ref", "").rpartition("/")[2]
        return (self._definitions[name], name) if name else (schema, f"{id(schema)}")

    def _is_plain(self, schema: Any) -> bool:
        types = self._resolved(schema)[0].get("type", [])
        return bool({"string", "integer"} & set([types] if isinstance(types, str) else types))


def cases() -> list[Case]:
    schemas = schema_files.load()
    lists = Lists(schemas.definitions)
    return [
        Case(api_version, kind, way, differs)
        for api_version, kind, definition in kinds(schemas.definitions)
        for way in lists.of(definition)
        # Which field is the key matters where there is one.
        for differs in {way[-1].plain, *zip(way[-1].plain if keys_of(api_version, kind, way) else ())}
    ]


def kinds(definitions: Any) -> Iterator[tuple[str, str, Any]]:
    """apiVersion, kind and schema of all that these schemas know as objects, and of what is OLD."""
    for definition in definitions.values():
        for known in definition.get("x-kubernetes-group-version-kind", []):
            version, kind = "/".join(filter(None, (known["group"], known["version"]))), known["kind"]
            if not kind.endswith("List") and "metadata" in definition.get("properties", {}):
                yield version, kind, definition
                yield from (
                    (old, kind, definition) for (old, other), new in OLD.items() if (new, other) == (version, kind)
                )


def built(place: Path, wanted: Sequence[Case]) -> dict[Case, bool]:
    """Whether the list of each case has the items of both sides in what kustomize makes of base and patch."""
    place.mkdir()
    pairs = [case.objects(f"case-{number}") for number, case in enumerate(wanted)]
    for side, name in enumerate(("base.yaml", "patches.yaml")):
        (place / name).write_text("\n---\n".join(json.dumps(pair[side]) for pair in pairs), encoding="utf-8")
    kustomization = {"resources": ["base.yaml"], "patches": [{"path": "patches.yaml"}]}
    (place / "kustomization.yaml").write_text(json.dumps(kustomization), encoding="utf-8")
    results = {obj["metadata"]["name"]: obj for obj in kustomize.build(kustomize.locate(), place)}
    return {case: case.is_merged(results[f"case-{number}"]) for number, case in enumerate(wanted)}


@pytest.mark.slow
def test_the_table_says_which_lists_kustomize_merges_and_by_which_fields(tmp_path: Path) -> None:
    wanted = cases()
    merged: dict[Case, bool] = {}
    for start in range(0, len(wanted), PER_BUILD):
        merged |= built(tmp_path / f"{start}", wanted[start : start + PER_BUILD])
    known = {(case.api_version, case.kind) for case in wanted if case.is_own_metadata and merged[case]}
    # No patch is made for the metadata's lists, so what the table says of kinds unknown to kustomize is not used.
    used = [case for case in wanted if not case.is_own_metadata or (case.api_version, case.kind) in known]
    assert [str(case) for case in used if merged[case] != case.should_merge()] == []
    assert known >= {*OLD, ("v1", "ConfigMap"), ("apps/v1", "Deployment"), ("networking.k8s.io/v1", "Ingress")}
