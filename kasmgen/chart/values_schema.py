"""Making a chart's schema say what its defaults mean.

Helm takes keys whose default is null out of the values before it validates
them. A schema that lists such a key under `required` therefore refuses the
chart's own defaults. Only those entries are taken out; every other rule of the
schema stays, so a wrong value of people is still an error with its path. `oneOf`
is left alone: two alternatives that both lose a demand would both fit, and so neither.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator
from urllib.parse import unquote

from kasmgen.yaml.documents import Yaml


def relax(schema: Yaml, defaults: Yaml) -> tuple[Yaml, tuple[str, ...]]:
    """The schema without `required` entries for keys that `defaults` leave null, and their paths."""
    root = copy.deepcopy(schema)
    dropped: list[str] = []
    waiting: deque[tuple[Yaml, Yaml, str]] = deque([(root, defaults, "")])
    met: set[tuple[int, int]] = set()
    while waiting:
        node, own, path = waiting.popleft()
        if isinstance(node, dict) and isinstance(own, dict) and (id(node), id(own)) not in met:
            met.add((id(node), id(own)))
            dropped += _relax(node, own, path)
            waiting.extend(_below(node, own, path, root))
    return root, tuple(dict.fromkeys(dropped))


def _relax(node: dict[str, Yaml], defaults: dict[str, Yaml], path: str) -> list[str]:
    required = node.get("required")
    if not isinstance(required, list):
        return []
    nulls = [key for key in required if isinstance(key, str) and key in defaults and defaults[key] is None]
    node["required"] = [key for key in required if key not in nulls]
    return [f"{path}{key}" for key in nulls]


def _below(node: dict[str, Yaml], defaults: dict[str, Yaml], path: str, root: Yaml) -> Iterator[tuple[Yaml, Yaml, str]]:
    """The parts of a schema that speak of the same values, or of those one step down."""
    reference = node.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        yield _resolve(root, reference), defaults, path
    for word in ("allOf", "anyOf"):
        parts = node.get(word)
        for part in parts if isinstance(parts, list) else ():
            # Alternatives that only say `required` ask for one of several keys, and mean it.
            if word == "allOf" or (isinstance(part, dict) and not part.keys() <= {"required", "title", "description"}):
                yield part, defaults, path
    properties = node.get("properties")
    for key, part in properties.items() if isinstance(properties, dict) else ():
        yield part, defaults.get(key), f"{path}{key}."


def _resolve(root: Yaml, reference: str) -> Yaml:
    """What a JSON pointer into the schema itself points to (RFC 6901), None for nothing."""
    current = root
    for step in unquote(reference.removeprefix("#")).split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(current, list) and key.isdecimal() and int(key) < len(current):
            current = current[int(key)]
        else:
            current = current.get(key) if isinstance(current, dict) else None
    return current
