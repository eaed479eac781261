"""3xx: objects are what the API server accepts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from kasmgen.check.rule import ERROR, Hit, Rule
from kasmgen.kubernetes.fields import get, items
from kasmgen.kubernetes.resources import Object, ResourceId
from kasmgen.kubernetes.schema import Check, Compiler
from kasmgen.yaml.documents import Yaml

BUILT_IN = frozenset(
    """
    apps autoscaling batch extensions policy admissionregistration.k8s.io apiextensions.k8s.io apiregistration.k8s.io
    authentication.k8s.io authorization.k8s.io certificates.k8s.io coordination.k8s.io discovery.k8s.io events.k8s.io
    flowcontrol.apiserver.k8s.io internal.apiserver.k8s.io networking.k8s.io node.k8s.io rbac.authorization.k8s.io
    resource.k8s.io scheduling.k8s.io storage.k8s.io storagemigration.k8s.io
    """.split()  # noqa: SIM905 - reads as the table it is
) | {""}
"""API groups of Kubernetes itself."""

_MOST = 5


class SchemaLibrary:
    """Schemas of one version of Kubernetes, made into checks when they are asked for.

    find: (apiVersion, kind) -> JSON schema, None if that version does not serve the kind.
    definitions: what their references point to.
    """

    def __init__(self, version: str, find: Callable[[str, str], Yaml], definitions: Mapping[str, Yaml]) -> None:
        self.version = version
        self._find = find
        self._compiler = Compiler(definitions)
        self._checks: dict[tuple[str, str], Check | None] = {}
        self._seen: dict[str, tuple[tuple[str, str], ...]] = {}

    def check_for(self, api_version: str, kind: str) -> Check | None:
        """The check of a kind, None if this version does not serve it."""
        key = (api_version, kind)
        if key not in self._checks:
            schema = self._find(api_version, kind)
            self._checks[key] = None if schema is None else self._compiler.compile(schema)
        return self._checks[key]

    def problems(self, obj: Object) -> tuple[tuple[str, str], ...] | None:
        """(path, what is wrong) of a built-in object, each object once; None if its kind is not served."""
        check = self.check_for(str(obj.get("apiVersion")), str(obj.get("kind")))
        if check is None:
            return None
        # A hundred environments share most objects.
        text = json.dumps(obj, sort_keys=True)
        if text not in self._seen:
            self._seen[text] = tuple(check(obj, ""))
        return self._seen[text]


@dataclass(frozen=True)
class Objects:
    """What an environment builds to. library: None if objects are not validated."""

    environment: str
    objects: Mapping[ResourceId, Object] = field(repr=False)
    library: SchemaLibrary | None = field(default=None, repr=False)

    def hits(self, key: ResourceId, problems: Iterator[tuple[str, str]] | tuple[tuple[str, str], ...]) -> Iterator[Hit]:
        """The first of `problems` as hits."""
        for number, (path, what) in enumerate(problems):
            if number == _MOST:
                yield Hit("and more", "", str(key), self.environment)
                return
            yield Hit(f"{path or 'the object'} {what}", "", str(key), self.environment)


def _without_sops(obj: Object) -> Object:
    """The object as Flux applies it: decrypted, sops takes its own block out."""
    return {key: value for key, value in obj.items() if key != "sops"} if "sops" in obj else obj


def valid(context: Objects) -> Iterator[Hit]:
    if context.library is None:
        return
    for key, obj in context.objects.items():
        if key.group in BUILT_IN:
            yield from context.hits(key, context.library.problems(_without_sops(obj)) or ())


def served(context: Objects) -> Iterator[Hit]:
    if context.library is None:
        return
    for key, obj in context.objects.items():
        if key.group in BUILT_IN and context.library.problems(_without_sops(obj)) is None:
            what = f"Kubernetes {context.library.version} does not serve {obj.get('kind')} of {obj.get('apiVersion')}"
            yield Hit(what, "", str(key), context.environment)


def custom(context: Objects) -> Iterator[Hit]:
    definitions = custom_schemas(context.objects)
    checks = {place: Compiler(closed=True).compile(_rooted(schema)) for place, schema in definitions.items()}
    for key, obj in context.objects.items():
        place = (key.group, str(obj.get("apiVersion")).rpartition("/")[2], key.kind)
        if place in checks:
            yield from context.hits(key, checks[place](obj, ""))


def unserved_custom(context: Objects) -> Iterator[Hit]:
    definitions = custom_schemas(context.objects)
    versions: dict[tuple[str, str], list[str]] = {}
    for group, version, kind in definitions:
        versions.setdefault((group, kind), []).append(version)
    for key, obj in context.objects.items():
        version = str(obj.get("apiVersion")).rpartition("/")[2]
        known = versions.get((key.group, key.kind))
        if known and version not in known:
            what = f"its CustomResourceDefinition serves {', '.join(sorted(known))}, and not {version}"
            yield Hit(what, "", str(key), context.environment)


def custom_schemas(objects: Mapping[ResourceId, Object]) -> dict[tuple[str, str, str], Yaml]:
    """(group, version, kind) -> structural schema, of the CustomResourceDefinitions in the build."""
    found: dict[tuple[str, str, str], Yaml] = {}
    for key, obj in objects.items():
        if key.kind != "CustomResourceDefinition":
            continue
        group, kind = str(get(obj, "spec.group")), str(get(obj, "spec.names.kind"))
        for version in items(obj, "spec.versions"):
            if version.get("served") is not False:
                found[group, str(version.get("name")), kind] = get(version, "schema.openAPIV3Schema")
    return found


def _rooted(schema: Yaml) -> Yaml:
    """The schema with what every object has, which the definitions leave out or leave open."""
    if not isinstance(schema, dict):
        return {}
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return schema
    always = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    # What a definition says about metadata can only restrict its name; the rest is Kubernetes' own.
    return {**schema, "properties": {**properties, **always}}


RULES: tuple[Rule[Objects], ...] = (
    Rule(
        "KG301",
        ERROR,
        "an object is not valid",
        "The object does not fit the schema of its kind in the chosen version of Kubernetes (`--kubernetes-version`). "
        "Flux tries all objects before it applies one, so a single invalid one blocks all of them.",
        "correct the values or the patch that it comes from",
        valid,
    ),
    Rule(
        "KG302",
        ERROR,
        "a kind is not served",
        "The chosen version of Kubernetes has removed the kind in this API version, or does not have it yet.",
        "use the API version that is served; the chart may have a value for it",
        served,
    ),
    Rule(
        "KG303",
        ERROR,
        "a custom object is not valid",
        "The object does not fit the CustomResourceDefinition that is in the same build. Definitions that come from "
        "elsewhere are not known.",
        "correct the values or the patch that it comes from",
        custom,
    ),
    Rule(
        "KG304",
        ERROR,
        "a custom object has a version that is not served",
        "The CustomResourceDefinition in the same build serves other versions.",
        "use a version that is served",
        unserved_custom,
    ),
)
