"""The chart's README is true: each defect once, each test that it names there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.builtin_chart.conftest import CHART, DEFAULTS

pytestmark = pytest.mark.tool

HERE = Path(__file__).parent
README = (CHART / "README.md").read_text()
ROWS = re.findall(r"^\| (D-\d\d) \| (.*?) \| ?(.*?) ?\|$", README, re.MULTILINE)


def test_every_defect_has_one_row_in_order() -> None:
    assert [number for number, _, _ in ROWS] == [f"D-{n:02}" for n in range(1, 82)]


@pytest.mark.parametrize(("number", "done", "tests"), ROWS, ids=[row[0] for row in ROWS])
def test_the_tests_of_a_row_exist(number: str, done: str, tests: str) -> None:
    assert len(done) > 3
    named = [name for name in tests.split(", ") if name]
    assert named or done.startswith("Not applicable, because"), f"{number} names no test"
    for name in named:
        file, _, function = name.partition("::")
        tree = ast.parse((HERE / file).read_text())
        assert function.startswith("test_")
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name


def test_every_value_that_the_readme_names_exists() -> None:
    """Full paths, and paths below servicesToDeploy, as the README writes them in backticks."""
    text = README.partition("## The 81 defects")[0]
    roots = DEFAULTS.keys() | DEFAULTS["kasmApp"]["servicesToDeploy"].keys()
    named = [
        path for path in re.findall(r"`([A-Za-z]+(?:\.[A-Za-z]+)+)(?::[^`]*)?`", text) if path.split(".")[0] in roots
    ]
    assert len(named) > 25
    for path in named:
        first, *rest = path.split(".")
        value = DEFAULTS.get(first, DEFAULTS["kasmApp"]["servicesToDeploy"].get(first))
        for key in rest:
            assert key in value, path
            value = value[key]
