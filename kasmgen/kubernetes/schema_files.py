"""kubernetes-validate: the JSON schemas of Kubernetes that this package carries, read from its files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from kasmgen.errors import InputError, ToolError
from kasmgen.yaml.documents import Yaml

PACKAGE = "kubernetes_validate"
HINT = "pip install 'kasmgen[check]', or check without schemas: --no-schemas"

_DIRECTORY = re.compile(r"v(\d+)\.(\d+)\.(\d+)-local-strict")


@dataclass(frozen=True)
class Schemas:
    """version: as in "1.34". find: (apiVersion, kind) -> schema or None. definitions: by name."""

    version: str
    find: Callable[[str, str], Yaml]
    definitions: Mapping[str, Yaml]


def _home() -> Path:
    # Importing the package takes a third of a second; only its files are of use here.
    found = find_spec(PACKAGE)
    folders = list(found.submodule_search_locations or ()) if found else []
    home = Path(folders[0]) / "kubernetes-json-schema" if folders else None
    if home is None or not home.is_dir():
        raise ToolError("objects cannot be validated: the package kubernetes-validate is not installed", hint=HINT)
    return home


def versions() -> list[str]:
    """Versions of Kubernetes whose schemas are there, oldest first. Raises ToolError without the package."""
    found = [match for path in _home().iterdir() if (match := _DIRECTORY.fullmatch(path.name))]
    return [f"{major}.{minor}" for major, minor in sorted({(int(m[1]), int(m[2])) for m in found})]


def load(version: str = "") -> Schemas:
    """The schemas of `version` ("1.34" or "v1.34.2"), or of the newest that is there.

    Raises ToolError without the package, InputError for a version that it does not have.
    """
    known = versions()
    minor = ".".join(version.removeprefix("v").split(".")[:2]) if version else known[-1]
    if minor not in known:
        raise InputError(
            f"there are no schemas of Kubernetes {version}", hint=f"known versions: {known[0]} to {known[-1]}"
        )
    folder = max(
        path for path in _home().iterdir() if re.fullmatch(rf"v{re.escape(minor)}\.\d+-local-strict", path.name)
    )
    definitions = json.loads((folder / "_definitions.json").read_text("utf-8"))

    def find(api_version: str, kind: str) -> Yaml:
        # As the package names its files: rbac.authorization.k8s.io/v1 is "rbac-v1".
        place = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
        name = f"{kind.lower()}-{place}.json"
        path = folder / name
        if not re.fullmatch(r"[a-z0-9-]+\.json", name) or not path.is_file():
            return None
        return json.loads(path.read_text("utf-8"))

    return Schemas(minor, find, definitions.get("$defs") or definitions.get("definitions") or definitions)
