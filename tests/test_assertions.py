"""Assertions can fail: none says something about each of no things."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent


def quantified(tree: ast.AST) -> Iterator[ast.expr]:
    """What `assert all(... for x in HERE)` and `assert not any(... for x in HERE)` go through."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assert):
            continue
        negated = isinstance(node.test, ast.UnaryOp) and isinstance(node.test.op, ast.Not)
        call = node.test.operand if isinstance(node.test, ast.UnaryOp) else node.test
        wanted = "any" if negated else "all"
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == wanted:
            (argument,) = call.args
            generators = argument.generators if isinstance(argument, ast.GeneratorExp) else []
            yield from (one.iter for one in generators) if generators else [argument]


def may_be_empty(iterated: ast.expr) -> bool:
    if isinstance(iterated, (ast.Tuple, ast.List)):
        return not iterated.elts
    return not (isinstance(iterated, ast.Call) and isinstance(iterated.func, ast.Name) and iterated.func.id == "some")


def test_assertions_about_each_of_several_things_see_that_there_are_some() -> None:
    found = [
        f"{path.relative_to(TESTS)}:{iterated.lineno}: {ast.unparse(iterated)}"
        for path in sorted(TESTS.rglob("*.py"))
        for iterated in quantified(ast.parse(path.read_text()))
        if may_be_empty(iterated)
    ]
    assert found == []


def test_what_may_be_empty_is_found() -> None:
    text = "assert all(x for x in xs)\nassert not any(x for x in f())\nassert all(xs)\nassert all(x for x in some(xs))"
    assert [ast.unparse(one) for one in quantified(ast.parse(text)) if may_be_empty(one)] == ["xs", "f()", "xs"]
