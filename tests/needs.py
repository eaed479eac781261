"""Outside programs that tests drive for real."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

# Debian keeps the server binaries of PostgreSQL and nginx off the default PATH.
EXTRA_PLACES = (
    str(Path(sys.executable).parent),
    "/usr/sbin",
    "/usr/local/sbin",
    *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"))),
)


def program(name: str) -> str:
    """Absolute path of the program `name`.

    A missing one skips the test on a laptop and fails it in CI, where a skipped
    test would be a hole that nobody sees.
    """
    path = shutil.which(name) or shutil.which(name, path=os.pathsep.join(EXTRA_PLACES))
    if path:
        return path
    if os.environ.get("CI"):
        pytest.fail(f"{name} is not installed; .ci/run must install it")
    pytest.skip(f"{name} is not installed")


def official_sops() -> str:
    """Absolute path of a sops that is not the bundled one; skips or fails as `program` does."""
    bundled = Path(sys.executable).parent
    places = [place for place in os.get_exec_path() if Path(place).resolve() != bundled.resolve()]
    path = shutil.which("sops", path=os.pathsep.join(places))
    if path:
        return path
    if os.environ.get("CI"):
        pytest.fail("no official sops on PATH; .ci/run must install it")
    pytest.skip("no official sops on PATH")
