"""The names of our annotations stand in one module."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "kasmgen"
# "kasmgen.dev/v1" and the like are versions of formats, not annotations.
ANNOTATION = re.compile(r"kasmgen\.dev/(?!v\d)[a-z0-9-]*")


def test_names_of_annotations_stand_in_one_module_only() -> None:
    spelled = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and ANNOTATION.fullmatch(node.value)
    }
    assert spelled == {"layout/annotations.py"}
