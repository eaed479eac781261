"""The chart as a package: metadata, lint, notes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import helm_python
import pytest
from ruamel.yaml import YAML

from tests.builtin_chart.conftest import (
    CHART,
    PLAIN,
    Object,
    Render,
    containers,
    find,
    merged,
    parse,
    pod_specs,
    services,
)
from tests.needs import program

pytestmark = pytest.mark.tool

Texts = Callable[..., dict[str, str]]


@pytest.mark.parametrize("values", [{}, PLAIN, services(kasmApi={"replicas": 2})], ids=["defaults", "plain", "own"])
def test_lint_has_nothing_to_say(values: Object) -> None:
    report = helm_python.lint(CHART, values, strict=True)
    assert (report["messages"], report["errors"]) == ([], [])


def test_lint_finds_a_broken_chart(chart: helm_python.Chart, tmp_path: Path) -> None:
    """The check above can fail."""
    chart.save_dir(tmp_path)
    broken = tmp_path / chart.name / "templates" / "api" / "service.yaml"
    broken.write_text("kind: Service\n  metadata: {")
    assert helm_python.lint(tmp_path / chart.name)["errors"]


def test_no_template_counts_on_another_one_before_it() -> None:
    """`.kasm` is made by whoever comes first, and Helm promises no order."""
    users = [path for path in CHART.glob("templates/**/*.*") if path.suffix != ".tpl" and ".kasm." in path.read_text()]
    assert len(users) > 25
    assert [path.name for path in users if not path.read_text().startswith('{{- template "kasm.facts" . -}}\n')] == []


def test_the_version_is_no_pre_release_and_says_what_it_supports(chart: helm_python.Chart) -> None:
    """D-76, D-81."""
    metadata = chart.metadata
    assert metadata["name"] == "kasm-single-zone"
    assert re.fullmatch(r"1\.16\.\d+", metadata["version"])
    assert metadata["appVersion"] == "1.16.0"
    # -0 lets in the versions of managed clusters, which look like pre-releases.
    assert metadata["kubeVersion"] == ">=1.27.0-0"


def test_the_list_of_images_is_what_the_defaults_start(chart: helm_python.Chart, render: Render) -> None:
    """D-77."""
    (listed,) = parse(chart.metadata["annotations"]["artifacthub.io/images"])
    started = {c["image"] for template in pod_specs(render(PLAIN)).values() for c in containers(template)}
    assert {entry["image"] for entry in listed} == started
    names = [entry["name"] for entry in listed]
    assert len(set(names)) == len(names)


def test_what_editors_leave_behind_is_not_packaged(chart: helm_python.Chart, tmp_path: Path) -> None:
    """D-78: the ignore file lies in the chart, where Helm reads it."""
    copied = tmp_path / chart.name
    chart.save_dir(tmp_path)
    (copied / ".helmignore").write_text((CHART / ".helmignore").read_text())
    for name in ("values.yaml.bak", "templates/api/.service.yaml.swp", ".DS_Store"):
        (copied / name).write_text("x")
    with helm_python.Chart.load(copied) as loaded:
        found = {f["name"] for f in [*loaded.files, *loaded.templates]}
    assert not [name for name in found if name.endswith(("bak", "swp", "DS_Store"))]
    assert "README.md" in {f["name"] for f in chart.files}


def test_every_template_file_belongs_to_a_component(chart: helm_python.Chart) -> None:
    folders = {
        Path(t["name"]).parent.name
        for t in chart.templates
        if not Path(t["name"]).name.startswith("_") and Path(t["name"]).parent.name != "templates"
    }
    assert folders == {
        "api",
        "db",
        "db-init",
        "guac",
        "ingress",
        "manager",
        "policies",
        "proxy",
        "rdp-gateway",
        "rdp-https-gateway",
        "redis",
        "secrets",
        "share",
    }


def test_yaml_readers_agree_on_every_value(render_text: Texts) -> None:
    """D-56: YAML 1.1 and 1.2 differ on octal numbers, yes and no, and sexagesimals; none is in the render."""

    def read(text: str, version: tuple[int, int]) -> list[Any]:
        yaml = YAML(typ="safe", pure=True)
        yaml.version = version  # type: ignore[assignment]
        return [document for document in yaml.load_all(text) if document]

    assert read("a: 0755\nb: yes\nc: 1:30", (1, 1)) != read("a: 0755\nb: yes\nc: 1:30", (1, 2))
    texts = render_text({})
    for path, text in texts.items():
        if path.endswith(".yaml"):
            assert read(text, (1, 1)) == read(text, (1, 2)), path


# --- notes ---------------------------------------------------------------


def notes(render_text: Texts, *layers: Object, **options: Any) -> str:
    return render_text(merged(PLAIN, *layers), **options)["NOTES.txt"]


def test_notes_tell_the_address_and_the_users(render_text: Texts) -> None:
    text = notes(render_text, {"global": {"altHostnames": ["kasm.example.org"]}})
    for line in ("https://kasm.example.com", "https://kasm.example.org", "admin@kasm.local", "user@kasm.local"):
        assert line in text
    assert "any host name" in notes(render_text, {"global": {"hostname": ""}})
    assert "There is no Ingress" in notes(render_text, {"ingress": {"enabled": False}})


def test_notes_name_the_upstream_auth_address_of_the_service(render_text: Texts) -> None:
    """D-20, D-30: the Service keeps its name when the workload gets another."""
    values = merged(
        services(kasmProxy={"name": "front"}), {"global": {"namespace": "desk", "clusterDomain": "corp.internal"}}
    )
    assert "kasm-proxy.desk.svc.corp.internal" in notes(render_text, values)
    text = notes(render_text, values, {"kasmApp": {"upstreamAuth": "auth.example.com"}})
    assert "auth.example.com" in text
    assert "set when the database is seeded" in text


def test_notes_tell_how_to_read_every_password_and_it_works(
    render: Render, render_text: Texts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D-79: kubectl itself reads each password with the template of the notes."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    kubectl = program("kubectl")
    keys = ["redisPassword", "dbPassword", "managerToken", "serviceToken", "adminPassword", "userPassword"]
    values = {"global": {"namespace": "desk", "kasmPasswords": {key: f"the {key} 'ü%" for key in keys}}}
    secret = find(render(values), "Secret", "kasm-secrets")
    found = []
    text = render_text(values)["NOTES.txt"]
    for namespace, name, template in re.findall(r"kubectl -n (\S+) get secret (\S+) -o go-template='(.*)'", text):
        assert (namespace, name) == ("desk", "kasm-secrets")
        # --local: the object comes from standard input, not from a cluster.
        shown = subprocess.run(
            [kubectl, "annotate", "--local", "-f", "-", "a=b", "-o", f"go-template={template}"],
            input=json.dumps(secret),
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(shown.stdout)
    assert sorted(found) == sorted(values["global"]["kasmPasswords"].values())


def test_rendering_does_not_look_at_the_clock_or_the_machine(render_text: Texts, tmp_path: Path) -> None:
    """Another process, another directory: the same bytes."""
    code = (
        "import helm_python, json, sys;"
        f"chart = helm_python.Chart.load({str(CHART)!r});"
        "json.dump(chart.render(json.load(sys.stdin), name='kasm', namespace='workspaces'), sys.stdout)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(PLAIN),
        cwd=tmp_path,
        env={"TZ": "Asia/Tokyo", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert {path.partition("templates/")[2]: text for path, text in json.loads(found.stdout).items()} == render_text(
        PLAIN
    )
