"""Making a chart's schema say what its defaults mean.

Helm takes keys whose default is null out of the values before it validates
them. A schema that lists such a key under `required` therefore refuses the
chart's own defaults. Only those entries are taken out; every other rule of the
schema stays, so a wrong value of people is still an error with its path.
"""

from __future__ import annotations

import copy

from kasmgen.yamlio import Yaml

MAX_DEPTH = 60


def relax(schema: Yaml, defaults: Yaml) -> tuple[Yaml, tuple[str, ...]]:
    """The schema without `required` entries for keys that `defaults` leave null, and their paths."""
    out = copy.deepcopy(schema)
    dropped: list[str] = []
    _walk(out, defaults, out, "", dropped, 0)
    return out, tuple(dropped)


def _walk(node: Yaml, defaults: Yaml, root: Yaml, path: str, dropped: list[str], depth: int) -> None:
    if not isinstance(node, dict) or not isinstance(defaults, dict) or depth > MAX_DEPTH:
        return
    required = node.get("required")
    if isinstance(required, list):
        nulls = [
            key for key in required if isinstance(key, str) and key in defaults and defaults[key] is None
        ]
        node["required"] = [key for key in required if key not in nulls]
        dropped.extend(f"{path}.{key}".lstrip(".") for key in nulls)
    reference = node.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        _walk(_resolve(root, reference), defaults, root, path, dropped, depth + 1)
    for word in ("allOf", "anyOf", "oneOf"):
        for part in node.get(word) or ():
            _walk(part, defaults, root, path, dropped, depth + 1)
    properties = node.get("properties")
    if isinstance(properties, dict):
        for key, part in properties.items():
            _walk(part, defaults.get(key), root, f"{path}.{key}", dropped, depth + 1)


def _resolve(root: Yaml, reference: str) -> Yaml:
    current = root
    for step in reference.lstrip("#/").split("/"):
        if step:
            step = step.replace("~1", "/").replace("~0", "~")
            current = current.get(step) if isinstance(current, dict) else None
    return current
