"""How often a command starts git: each time costs as much as a good part of the command's own work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.machine import Machine
from tests.needs import program

pytestmark = pytest.mark.e2e


def started(machine: Machine, place: Path, *arguments: str) -> list[str]:
    """What git is started for by `kasmgen ARGUMENTS`: a program of its name notes it and becomes git."""
    place.mkdir()
    (place / "git").write_text(f'#!/bin/sh\necho "$*" >> "{place}/log"\nexec "{program("git")}" "$@"\n')
    (place / "git").chmod(0o755)
    machine.ok(*arguments, PATH=f"{place}{os.pathsep}{os.environ['PATH']}")
    return (place / "log").read_text().splitlines()


def test_adding_an_environment_starts_git_at_most_15_times(project: Machine, tmp_path: Path) -> None:
    commands = started(project, tmp_path / "bin", "env", "add", "prod", "--hostname", "kasm.example.com")
    assert 0 < len(commands) <= 15, "\n".join(commands)
    assert project.git("status", "--porcelain") == ""


def test_a_render_with_nothing_to_do_starts_git_at_most_5_times(prod: Machine, tmp_path: Path) -> None:
    commands = started(prod, tmp_path / "bin", "render")
    assert 0 < len(commands) <= 5, "\n".join(commands)


def test_a_check_before_a_commit_starts_git_at_most_5_times(prod: Machine, tmp_path: Path) -> None:
    sealed = sorted(prod.root.glob("overlays/prod/secrets/*.sops.yaml"))
    assert len(sealed) > 1
    for place in (*sealed, prod.root / "overlays/prod/kustomization.yaml"):
        place.write_text(place.read_text() + "\n# staged\n")
    prod.git("add", "--all")
    commands = started(prod, tmp_path / "bin", "check", "--staged")
    assert 0 < len(commands) <= 5, "\n".join(commands)
