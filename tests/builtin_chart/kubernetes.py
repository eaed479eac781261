"""The Kubernetes API's own schemas, in strict form: an unknown field is an error."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

SCHEMAS = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"


def minor(version: str) -> int:
    """34 of "1.34.0"."""
    return int(version.split(".")[1])


def versions(oldest: int) -> list[str]:
    """All versions with schemas from minor `oldest` on, oldest first, such as "1.34.0"."""
    found = [re.fullmatch(r"v(.*)-local-strict", path.name) for path in SCHEMAS.iterdir()]
    return sorted((m[1] for m in found if m and minor(m[1]) >= oldest), key=minor)


# The definitions are four megabytes a version; reading them for each object would take minutes.
@functools.cache
def registry(version: str) -> Registry[Any]:
    definitions = json.loads((SCHEMAS / f"v{version}-local-strict" / "_definitions.json").read_text())
    # Every schema refers to the file by its bare name.
    return Registry().with_resource("_definitions.json", Resource.from_contents(definitions)).crawl()


@functools.cache
def validator(version: str, kind: str, api_version: str) -> Draft202012Validator:
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    path = SCHEMAS / f"v{version}-local-strict" / f"{kind.lower()}-{group}.json"
    assert path.exists(), f"Kubernetes {version} has no {kind} of {api_version}"
    return Draft202012Validator(json.loads(path.read_text()), registry=registry(version))


def errors(obj: dict[str, Any], version: str) -> list[str]:
    """What the API server of this version would refuse, each with its path."""
    name = f"{obj['kind']}/{obj['metadata']['name']}"
    found = validator(version, obj["kind"], obj["apiVersion"]).iter_errors(obj)
    return [f"{version} {name} {'.'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in found]
