"""`diff` and `check` in one run of CI: both compare with the same commit, and both say where it is not here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.machine import Done, Machine, copy_machine

pytestmark = pytest.mark.e2e

OVERLAY = "overlays/prod/kustomization.yaml"
_TREE = re.compile(r"^\$ git .*\bls-tree\b.* ([0-9a-f]{40})$", re.MULTILINE)
CI = {
    "GitHub": {"GITHUB_ACTIONS": "true", "GITHUB_BASE_REF": "release", "GITHUB_HEAD_REF": "feature"},
    "GitLab": {"GITLAB_CI": "true", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "release", "CI_MERGE_REQUEST_IID": "7"},
    "another": {"KASMGEN_BASE": "origin/release"},
}


@pytest.fixture
def origin(prod: Machine) -> Machine:
    """Where the change is proposed: main has gone on since release, and feature began at release."""
    prod.git("branch", "release")
    prod.git("switch", "-q", "-c", "feature")
    change(prod, "feature")
    prod.git("switch", "-q", "main")
    change(prod, "main")
    return prod


def change(machine: Machine, name: str) -> None:
    place = machine.root / OVERLAY
    place.write_text(f"{place.read_text()}commonAnnotations:\n  example.com/by: {name}\n")
    machine.git("commit", "-q", "-a", "-m", name)


def checkout(origin: Machine, tmp_path: Path, *options: str) -> Machine:
    """What CI works in: a clone without a branch of its own."""
    clone = copy_machine(origin, tmp_path / "ci")
    clone = Machine(clone.home, tmp_path / "checkout", clone.recipient, clone.identity)
    origin.git("clone", "-q", "--branch", "feature", *options, f"file://{origin.root}", str(clone.root))
    clone.git("checkout", "-q", "--detach")
    return clone


def compared(done: Done) -> str:
    """The commit whose files were read."""
    (commit,) = set(_TREE.findall(done.stderr))
    return str(commit)


@pytest.mark.parametrize("system", CI)
def test_in_ci_both_compare_with_where_the_branch_left_the_target(origin: Machine, tmp_path: Path, system: str) -> None:
    clone = checkout(origin, tmp_path)
    diff = clone.ok("-vv", "diff", **CI[system])
    check = clone.run("-vv", "check", "--no-schemas", **CI[system])
    assert compared(diff) == compared(check) == origin.git("rev-parse", "release")
    assert "example.com/by" in diff.stdout


def test_in_a_shallow_clone_both_say_so_and_compare_with_nothing(origin: Machine, tmp_path: Path) -> None:
    clone = checkout(origin, tmp_path, "--depth", "1")
    diff = clone.run("-vv", "diff", **CI["GitHub"])
    check = clone.run("-vv", "check", "--no-schemas", **CI["GitHub"])
    said = "the target branch release is not in this shallow clone"
    assert said in diff.stderr
    assert said in check.stderr
    assert diff.code == 2
    assert _TREE.findall(diff.stderr + check.stderr) == []
