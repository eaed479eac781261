"""Reading objects and other manifests of any shape, by dotted paths of mapping keys (`spec.template.metadata`).

What is not as it should be reads as absent, and nothing fails. A key with a dot in it, such as a label, is looked up
in what `mapping` gives.
"""

from __future__ import annotations

from kasmgen.yaml.documents import Yaml


def get(value: Yaml, path: str) -> Yaml:
    """The value at a dotted path of mapping keys; None where the path ends early."""
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def mapping(value: Yaml, path: str) -> dict[str, Yaml]:
    """The mapping at a dotted path, {} where there is none."""
    found = get(value, path)
    return found if isinstance(found, dict) else {}


def items(value: Yaml, path: str) -> list[dict[str, Yaml]]:
    """The mappings in the list at a dotted path."""
    found = get(value, path)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def texts(value: Yaml, path: str) -> list[str]:
    """The scalars of the list at a dotted path, as text."""
    found = get(value, path)
    scalars = found if isinstance(found, list) else []
    return [str(item) for item in scalars if item is not None and not isinstance(item, (dict, list))]


def whole(value: Yaml, default: int) -> int:
    """`value` if it is a whole number, else `default`."""
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def short(values: list[str], most: int = 3) -> str:
    """A list in words, with the number of those left out."""
    shown = ", ".join(values[:most])
    return shown if len(values) <= most else f"{shown} and {len(values) - most} more"
