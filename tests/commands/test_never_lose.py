"""Never lose anything: a command that cannot succeed leaves the repository as it was."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests import points
from tests.effort import cpu_seconds_at_most
from tests.machine import Machine
from tests.some import some
from tests.waiting import GUARD

pytestmark = pytest.mark.e2e

ADD = ("env", "add", "prod", "--hostname", "kasm.example.com")
# Certificates that exist elsewhere: without RSA keys to make, an `env add` is quick.
QUICK = tuple(
    part
    for name in ("ingress", "kasmProxy", "rdpGateway", "db")
    for part in ("--set", f"kasmCerts.{name}.create=false")
)


def refused(machine: Machine, code: int, *arguments: str, **kwargs: str) -> str:
    """Run a command that has to be refused; what it said."""
    before = machine.state()
    done = machine.run(*arguments, **kwargs)
    assert done.code == code, f"exit {done.code}: {done.stderr}"
    assert "Traceback" not in done.stderr
    assert "next: " in done.stderr or code == 130
    assert machine.state() == before
    return done.stderr


# --- input ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("env", "add", "../up", "--hostname", "a.example.com"), "NAME"),
        (("env", "add", "/abs", "--hostname", "a.example.com"), "NAME"),
        (("env", "add", "Prod", "--hostname", "a.example.com"), "NAME"),
        (("env", "add", "a" * 64, "--hostname", "a.example.com"), "NAME"),
        (("env", "add", "x", "--hostname", "under_score"), "--hostname"),
        (("env", "add", "x", "--hostname", "10.0.0.1"), "--hostname"),
        (("env", "add", "x", "--hostname", "a.b", "--alt-hostname", "-"), "--alt-hostname"),
        (("env", "add", "x", "--hostname", "a.b", "--ingress-ip", "300.1.1.1"), "--ingress-ip"),
        (("env", "add", "x", "--hostname", "a.b", "--namespace", "Kube_System"), "--namespace"),
        (("env", "add", "x", "--hostname", "a.b", "--size", "huge"), "--size"),
        (("env", "add", "x", "--hostname", "a.b", "--recipient", "age1nonsense"), "--recipient"),
        (("env", "add", "x", "--hostname", "a.b", "--recipient", "AGE-SECRET-KEY-1QQ"), "--recipient"),
        (("env", "add", "x", "--hostname", "a.b", "--cluster-domain", "a..b"), "--cluster-domain"),
        (("env", "add", "x", "--hostname", "a.b", "--git-url", "https://user:pw@host/x"), "--git-url"),
        (("env", "add", "x", "--hostname", "a.b", "--values", "/nonexistent"), "--values"),
        (("env", "add", "x", "--hostname", "a.b", "--set", "a"), "--set"),
        (("env", "add", "x", "--hostname", "a.b", "--set", "kasmApp.nonsense=1"), "nonsense"),
        (("env", "add", "x", "--hostname", "a.b", "--registry-password-file", "-"), "--registry-username"),
    ],
)
def test_every_refusal_names_the_option(project: Machine, arguments: tuple[str, ...], option: str) -> None:
    assert option in refused(project, 2, *arguments)


def test_an_international_host_name_becomes_punycode(project: Machine) -> None:
    project.ok("env", "add", "x", "--hostname", "Bücher.Example.com", *QUICK)
    assert "hostname: xn--bcher-kva.example.com" in project.read("overlays/x/environment.yaml")


def test_an_existing_environment_is_not_touched(prod: Machine) -> None:
    assert "exists already" in refused(prod, 2, *ADD)


def test_an_edited_generated_file_stops_the_command(prod: Machine) -> None:
    path = prod.root / "base" / "api" / "service-kasm-api.yaml"
    path.write_text(path.read_text().replace("8080", "8081"))
    said = refused(prod, 5, "render")
    assert "base/api/service-kasm-api.yaml" in said
    prod.ok("render", "--force")
    assert prod.git("status", "--porcelain") == ""


def test_unknown_keys_name_file_path_and_the_nearest(prod: Machine) -> None:
    path = prod.root / "overlays/prod/environment.yaml"
    path.write_text(path.read_text() + "hostnam: x\n")
    said = refused(prod, 2, "render")
    assert "overlays/prod/environment.yaml" in said
    assert "perhaps you meant 'hostname'" in said


def test_a_deleted_sealed_file_is_not_made_anew(prod: Machine) -> None:
    (prod.root / "overlays/prod/secrets/kasm-secrets.sops.yaml").unlink()
    said = refused(prod, 4, "render")
    assert "git restore overlays/prod/secrets/kasm-secrets.sops.yaml" in said


def test_a_changed_chart_is_not_taken_silently(machine: Machine) -> None:
    chart = machine.home / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: small\nversion: 1.0.0\n")
    template = chart / "templates" / "map.yaml"
    template.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {a: '1'}\n")
    machine.ok("init", "--chart", str(chart), "--recipient", machine.recipient)
    template.write_text(template.read_text().replace("'1'", "'2'"))
    assert "--accept-chart" in refused(machine, 2, "render")
    machine.ok("render", "--accept-chart")
    assert 'a: "2"' in machine.read("base/common/configmap-m.yaml") or 'a: "2"' in "".join(
        path.read_text() for path in machine.root.glob("base/*/configmap-m.yaml")
    )
    machine.ok("render", "--check")


def test_people_s_own_entries_survive_and_must_build(prod: Machine) -> None:
    file = prod.root / "overlays/prod/kustomization.yaml"
    text = file.read_text().replace(
        "resources:\n- ../../base\n", "resources:\n- ../../base\n# the dashboard of the team\n- dashboard.yaml # keep\n"
    )
    file.write_text(text + "images: # pinned\n- name: kasmweb/api\n  newTag: '1e3'\n")
    (prod.root / "overlays/prod/dashboard.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: dashboard\n  namespace: kasm\n"
    )
    environment = prod.root / "overlays/prod/environment.yaml"
    environment.write_text(
        environment.read_text() + "values:\n  kasmApp: {servicesToDeploy: {kasmGuac: {deploy: false}}}\n"
    )
    said = refused(prod, 5, "render")
    assert "git add overlays/prod/dashboard.yaml" in said, "what Flux could not find is not committed"
    prod.git("add", "overlays/prod/dashboard.yaml")
    prod.git("commit", "-qm", "the dashboard", "overlays/prod/dashboard.yaml")
    prod.ok("render")
    after = file.read_text()
    assert "# the dashboard of the team\n- dashboard.yaml # keep\n" in after
    assert "images: # pinned\n- name: kasmweb/api\n  newTag: '1e3'\n" in after
    assert "patches/deployment-kasm-guac-deployment.yaml" in after
    (prod.root / "overlays/prod/dashboard.yaml").unlink()
    environment.write_text(environment.read_text() + "size: large\n")
    assert "dashboard.yaml" in refused(prod, 2, "render")


# --- the repository ---------------------------------------------------------------


def test_staged_and_unstaged_work_of_people_stays(project: Machine) -> None:
    (project.root / "staged.txt").write_text("staged\n")
    project.git("add", "staged.txt")
    (project.root / "loose.txt").write_text("loose\n")
    project.ok(*ADD, *QUICK)
    assert project.git("status", "--porcelain").splitlines() == ["A  staged.txt", "?? loose.txt"]


def test_a_detached_head_is_refused_and_a_branch_is_the_way_out(project: Machine) -> None:
    project.git("checkout", "-q", "--detach")
    assert "--branch" in refused(project, 5, *ADD, *QUICK)
    project.ok(*ADD, *QUICK, "--branch", "add-prod")
    assert project.git("branch", "--show-current") == "add-prod"


def test_a_merge_in_progress_is_refused(project: Machine) -> None:
    project.git("checkout", "-q", "-b", "side")
    project.git("commit", "-q", "--allow-empty", "-m", "side")
    project.git("checkout", "-q", "main")
    project.git("commit", "-q", "--allow-empty", "-m", "main")
    project.git("merge", "--no-commit", "--no-ff", "side")
    assert "merge" in refused(project, 5, *ADD, *QUICK)


def test_a_refusing_hook_leaves_nothing_behind(project: Machine) -> None:
    hook = project.root / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)
    assert "not today" in refused(project, 5, *ADD, *QUICK)
    assert not (project.root / "overlays").exists()


def test_no_identity_is_said_and_none_is_invented(project: Machine) -> None:
    (project.home / ".gitconfig").write_text("")
    assert "user.email" in refused(project, 5, *ADD, *QUICK)


def test_a_bare_repository_is_refused(machine: Machine) -> None:
    machine.git("init", "-q", "--bare", "bare.git")
    done = machine.run("init", "--recipient", machine.recipient, cwd=machine.root / "bare.git")
    assert done.code == 5, done.stderr
    assert "bare" in done.stderr


def test_a_project_in_a_subdirectory_stays_in_it(machine: Machine) -> None:
    machine.git("init", "-q")
    (machine.root / "README").write_text("mine\n")
    machine.ok("init", "deploy/kasm", "--recipient", machine.recipient)
    machine.ok("-C", "deploy/kasm", *ADD, *QUICK)
    changed = machine.git("log", "--name-only", "--format=").split()
    assert all(path.startswith("deploy/kasm/") for path in some(changed))
    assert "path: ./deploy/kasm/overlays/prod" in machine.read("deploy/kasm/clusters/prod/kasm.yaml")
    assert machine.git("status", "--porcelain") == "?? README"


def test_a_dry_run_writes_nothing_and_lists_what_the_run_would(project: Machine) -> None:
    before = project.state()
    dry = project.ok(*ADD, *QUICK, "--dry-run")
    assert project.state() == before
    project.ok(*ADD, *QUICK)
    written = sorted(project.git("show", "--name-only", "--format=").split())
    assert sorted(line.split(" ", 1)[1] for line in dry.stdout.splitlines()) == written


def test_without_a_commit_the_files_are_there_and_the_next_run_agrees(project: Machine) -> None:
    project.ok(*ADD, *QUICK, "--no-commit")
    assert "overlays/prod/environment.yaml" in project.git("status", "--porcelain", "--untracked-files=all")
    project.ok("render", "--check")


def test_links_in_the_way_are_refused(project: Machine) -> None:
    outside = project.home / "outside"
    outside.mkdir()
    (project.root / "overlays").symlink_to(outside)
    refused(project, 5, *ADD, *QUICK)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    ("setting", "name"), [("KASMGEN_SOPS", "sops"), ("KASMGEN_KUSTOMIZE", "kust"), ("KASMGEN_HELM", "helm")]
)
def test_a_missing_tool_ends_with_3(project: Machine, setting: str, name: str) -> None:
    said = refused(project, 3, *ADD, *QUICK, **{setting: f"/nonexistent/{name}"})
    assert setting in said


def test_a_bomb_in_the_values_is_refused_soon(project: Machine) -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
    )
    with cpu_seconds_at_most(60):
        refused(project, 2, *ADD, "--values", "-", stdin=bomb)


# --- killed -----------------------------------------------------------------------


ADD_E = ("env", "add", "e", "--hostname", "e.example.com", *QUICK)


# Slow: at each point one run is killed and another one makes it whole.
@pytest.mark.slow
@pytest.mark.parametrize(
    "point",
    [
        "start sops",
        "write .git/kasmgen/lock",
        "rename .git/kasmgen/journal",
        "mkdir overlays/e/secrets",
        "rename .sops.yaml",
        "start git commit",
        "link .git/index.lock",
        "remove .git/kasmgen/journal",
    ],
)
def test_killed_anywhere_the_next_run_makes_it_whole(project: Machine, point: str) -> None:
    killed = points.start(project, point, signal.SIGKILL, *ADD_E)
    assert killed.wait(timeout=GUARD) == -signal.SIGKILL
    done = project.run(*ADD_E)
    assert done.code == 0 or "exists already" in done.stderr, done.stderr
    assert project.git("status", "--porcelain") == ""
    assert not list(project.root.rglob(".kasmgen-tmp-*"))
    project.git("fsck", "--strict")
    project.hold_key()
    assert len(project.ok("secret", "show", "e", "--reveal", "--output", "json").json) == 6
    project.ok("render", "--check")


def test_two_at_once_never_mix(project: Machine) -> None:
    first = points.start(project, "start git commit", signal.SIGSTOP, *ADD_E)
    os.waitpid(first.pid, os.WUNTRACED)
    second = ("env", "add", "two", "--hostname", "two.example.com", *QUICK)
    said = project.run(*second)
    assert said.code == 5
    assert f"another kasmgen (process {first.pid})" in said.stderr
    assert not (project.root / "overlays/two").exists()
    first.send_signal(signal.SIGCONT)
    assert first.wait(timeout=GUARD) == 0
    project.ok(*second)
    assert [item["name"] for item in project.ok("env", "list", "--output", "json").json] == ["e", "two"]
    assert project.git("status", "--porcelain") == ""
    project.ok("render", "--check")


@pytest.mark.parametrize("point", ["start sops", "mkdir overlays/e/secrets", "rename .sops.yaml"])
def test_interrupted_by_ctrl_c_ends_with_130_and_everything_as_it_was(project: Machine, point: str) -> None:
    before = project.state()
    interrupted = points.start(project, point, signal.SIGINT, *ADD_E)
    assert interrupted.wait(timeout=GUARD) == 130
    assert project.state() == before


def test_a_directory_nobody_may_write_is_refused(project: Machine) -> None:
    if os.geteuid() == 0:
        pytest.skip("permissions do not hold root back; tests/repository/test_publish_crash.py drops privileges")
    Path(project.root).chmod(0o555)
    try:
        refused(project, 5, *ADD, *QUICK)
    finally:
        Path(project.root).chmod(0o755)
