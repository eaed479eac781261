"""Values that would put a secret into Git in clear: what a chart does with them tells."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kasmgen import yamlio
from kasmgen.model import Render
from kasmgen.steps import values as v
from kasmgen.steps.wanted import data_of
from kasmgen.yamlio import Yaml

LEAST_LENGTH = 4
"""Shorter texts (true, 8080, db) are in every Secret by accident."""

_SECRET_NAME = re.compile(r"pass(word|wd|phrase)?|token|secret|credential|private|(api|access|auth|ssh)_?-?key", re.I)


def secret_paths(given: Mapping[str, Yaml], rendered: Render) -> list[v.Path]:
    """Paths of texts in `given` that the chart puts into Secrets and nowhere else."""
    inside = b"\0".join(value.reveal() for item in rendered.secrets.values() for value in data_of(item.object).values())
    found = [(p, text) for p, text in v.text_leaves(given) if len(text) >= LEAST_LENGTH and text.encode() in inside]
    if not found:
        return []
    outside = "\0".join(yamlio.dump(item.object) for item in rendered.objects.values())
    return [path for path, text in found if text not in outside]


def refused_paths(given: Mapping[str, Yaml], rendered: Render) -> list[v.Path]:
    """Paths in `given` that are secrets by their name, or because they are the whole value of a Secret's key."""
    whole = {value.reveal() for item in rendered.secrets.values() for value in data_of(item.object).values()}
    return [
        path
        for path in secret_paths(given, rendered)
        if _SECRET_NAME.search(path[-1]) or str(v.get(given, path)).encode() in whole
    ]
