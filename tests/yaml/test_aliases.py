"""Aliases that stand for too much are found, others are not."""

from __future__ import annotations

import pytest

from kasmgen.yaml import aliases


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def test_aliases_that_multiply_are_found() -> None:
    assert aliases.multiply(bomb(9).encode())
    assert aliases.multiply(b"k: &k {a: [1]}\n---\n" + bomb(7).encode())
    merged = "m0: &m0 {a: 1, b: 2}\n" + "".join(
        f"m{n}: &m{n} {{a: *m{n - 1}, b: *m{n - 1}, <<: *m{n - 1}}}\n" for n in range(1, 30)
    )
    assert aliases.multiply(merged.encode())


@pytest.mark.parametrize(
    "content",
    [
        b"a: &a [1, 2]\nb: *a\nc: *a\n",
        b"a: " + b"[" + b"x, " * 300_000 + b"x]\n",
        b"#!/bin/sh\nsleep 1 &x\nls *y & {[\n",
        bytes(range(256)) + b" &a *a",
        b"a: *nowhere\nb: &b x\n",
        bomb(4).encode(),
    ],
)
def test_others_are_not(content: bytes) -> None:
    assert not aliases.multiply(content)
