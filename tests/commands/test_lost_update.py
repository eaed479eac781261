"""What was read is what is replaced: whoever writes while a command is at work loses nothing."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from kasmgen.programs import kustomize
from tests.machine import Machine

pytestmark = pytest.mark.e2e

INPUTS = [
    ".sops.yaml",
    "kasmgen.yaml",
    "overlays/prod/environment.yaml",
    "overlays/prod/kustomization.yaml",
    "overlays/prod/secrets/kasm-secrets.sops.yaml",
]


def meanwhile(machine: Machine, command: str) -> str:
    """A kustomize that runs `command` in the repository once, when the first build begins: inputs were read then."""
    program = machine.home / "bin" / "kubectl"
    program.parent.mkdir()
    real = shlex.join(kustomize.locate().command[:1])
    program.write_text(
        f"#!/bin/sh\nif mkdir {machine.home}/once 2>/dev/null; then (cd {machine.root} && {command}) >&2; fi\n"
        f'exec {real} "$@"\n'
    )
    program.chmod(0o755)
    return str(program)


def larger(machine: Machine) -> None:
    inputs = machine.root / "overlays/prod/environment.yaml"
    inputs.write_text(f"{inputs.read_text()}size: large\n")


@pytest.mark.parametrize("path", INPUTS)
def test_an_input_that_is_edited_during_a_render_stays_and_nothing_is_written(prod: Machine, path: str) -> None:
    larger(prod)
    before = prod.read(path)
    program = meanwhile(prod, f"echo '# by hand' >>{path}")
    head, _, base = prod.git("rev-parse", "HEAD"), None, prod.git("status", "--porcelain", "overlays/prod/patches")
    done = prod.run("render", KASMGEN_KUSTOMIZE=program)
    assert (done.code, f"{path} was changed while kasmgen was at work; nothing was written" in done.stderr) == (5, True)
    assert prod.read(path) == f"{before}# by hand\n"
    assert (prod.git("rev-parse", "HEAD"), prod.git("status", "--porcelain", "overlays/prod/patches")) == (head, base)


def test_of_two_environments_that_are_added_at_once_none_loses_its_rule(project: Machine) -> None:
    other = shlex.join([sys.executable, "-m", "kasmgen", "env", "add", "lab", "--hostname", "lab.example.com"])
    program = meanwhile(project, f"env -u KASMGEN_KUSTOMIZE {other}")
    add = ("env", "add", "prod", "--hostname", "kasm.example.com")
    done = project.run(*add, KASMGEN_KUSTOMIZE=program)
    assert (done.code, ".sops.yaml was changed while kasmgen was at work" in done.stderr) == (5, True)
    assert not (project.root / "overlays/prod").exists()
    project.ok(*add)
    assert [name in project.read(".sops.yaml") for name in ("overlays/lab/", "overlays/prod/")] == [True, True]
    project.ok("render", "--check")


def test_a_file_that_appears_where_one_will_be_written_stays(project: Machine) -> None:
    path = "overlays/prod/kustomization.yaml"
    program = meanwhile(project, f"mkdir -p overlays/prod && echo '# by hand' >{path}")
    done = project.run("env", "add", "prod", "--hostname", "kasm.example.com", KASMGEN_KUSTOMIZE=program)
    assert done.code == 5
    assert Path(project.root, path).read_text() == "# by hand\n"
