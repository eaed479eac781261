"""`constraints.txt` names the version of every package that is installed, and the hashes of its files."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
ENTRY = re.compile(
    r"^(?P<requirement>[A-Za-z0-9._-]+==\S+(?: ; [^\\\n]+)?)(?P<hashes>(?: \\\n +--hash=sha256:[0-9a-f]{64})*)$", re.M
)


def pinned() -> dict[str, Requirement]:
    found = [Requirement(entry["requirement"]) for entry in ENTRY.finditer(CONSTRAINTS.read_text())]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def test_every_package_has_a_version_and_hashes() -> None:
    text = CONSTRAINTS.read_text()
    rest = re.sub(r"^ *#.*\n", "", ENTRY.sub("", text), flags=re.M).strip()
    assert rest == ""
    assert [entry["requirement"] for entry in ENTRY.finditer(text) if not entry["hashes"]] == []
    assert len(pinned()) > 20


def test_every_dependency_is_pinned_to_a_version_that_the_project_takes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(text for extra in project["optional-dependencies"].values() for text in extra),
    ]
    assert len(wanted) > 10
    versions = pinned()
    for requirement in map(Requirement, wanted):
        (pin,) = versions[canonicalize_name(requirement.name)].specifier
        assert requirement.specifier.contains(pin.version, prereleases=True), f"{requirement}: run make constraints"


@pytest.mark.tool
@pytest.mark.slow
def test_what_is_downloaded_has_the_hashes(tmp_path: Path) -> None:
    """Every file is downloaded anew, and none is taken that is not in the list."""
    install = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-cache-dir"]
    what = ["--dry-run", "--require-hashes", "--no-deps", "--target", str(tmp_path), "--requirement", str(CONSTRAINTS)]
    done = subprocess.run([*install, *what], check=False, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    would = done.stdout.rpartition("Would install ")[2].split()
    present = [pin for pin in pinned().values() if pin.marker is None or pin.marker.evaluate()]
    assert len(would) == len(present)
