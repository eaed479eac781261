"""Small projects by hand, for tests of `kasmgen diff`: it needs no chart and no Secret to compare two builds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from kasmgen.commands import diff
from kasmgen.review.formats import html as formats_html
from kasmgen.review.formats import json as formats_json
from kasmgen.review.formats import markdown
from kasmgen.review.formats import text as formats_text
from tests.machine import Machine, make_machine

PROJECT = "apiVersion: kasmgen.dev/v1\nkind: Project\n"
ENVIRONMENT = "apiVersion: kasmgen.dev/v1\nkind: Environment\nhostname: kasm.example.com\n"
KUSTOMIZATION = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
FORMATS = ("text", "markdown", "html", "json")


def config_map(name: str, data: str) -> str:
    """A ConfigMap with the data of a flow mapping such as "{a: b}"."""
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: kasm}}\ndata: {data}\n"


def environment(name: str, *resources: str, more: str = "") -> dict[str, str | bytes]:
    """The files of an environment that lists these resources."""
    listed = "".join(f"- {resource}\n" for resource in resources)
    return {
        f"overlays/{name}/environment.yaml": ENVIRONMENT,
        f"overlays/{name}/kustomization.yaml": f"{KUSTOMIZATION}resources:\n{listed}{more}",
    }


def write(machine: Machine, files: Mapping[str, str | bytes], under: str = "") -> None:
    """Write files, their directories too."""
    for path, content in files.items():
        place = machine.root / under / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)


def commit(machine: Machine, branch: str = "") -> None:
    """Commit everything; `branch` is made to point there."""
    machine.git("add", "-A")
    machine.git("commit", "-q", "--allow-empty", "-m", "change")
    if branch:
        machine.git("branch", "-f", branch)


def small(base: Path, files: Mapping[str, str | bytes] | None = None, under: str = "") -> Machine:
    """A committed project with the environment prod of one ConfigMap, and whatever `files` says."""
    machine = make_machine(base)
    machine.git("init", "-q")
    write(machine, {"kasmgen.yaml": PROJECT, **environment("prod", "app.yaml")}, under)
    write(machine, {"overlays/prod/app.yaml": config_map("app", "{a: b}"), **(files or {})}, under)
    commit(machine)
    return machine


def in_every_format(machine: Machine, *arguments: str) -> dict[str, str]:
    """The report of `kasmgen diff ARGUMENTS` in all formats, made from one comparison."""
    report = diff.run(machine.root, arguments)
    return {
        "text": formats_text.render(report),
        "markdown": markdown.render(report),
        "html": formats_html.render(report),
        "json": formats_json.render(report),
    }


@pytest.fixture
def app(tmp_path: Path) -> Machine:
    """The small project."""
    return small(tmp_path)
