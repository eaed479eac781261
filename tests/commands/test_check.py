"""`kasmgen check` on a real project, and on the damage that real tools and people do to one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pyrage
import pytest

from kasmgen.yaml import documents
from tests.machine import Machine
from tests.needs import program
from tests.some import some

pytestmark = pytest.mark.e2e

SECRETS = "overlays/prod/secrets"


def found(machine: Machine, *arguments: str, code: int = 1) -> list[dict[str, Any]]:
    """The findings of `kasmgen check ARGUMENTS`, which must end with `code`."""
    done = machine.run("check", "--format", "json", *arguments)
    assert done.code == code, f"exit {done.code}\n{done.stdout[-3000:]}\n{done.stderr[-2000:]}"
    findings: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return findings


def rules(findings: list[dict[str, Any]]) -> set[str]:
    return {finding["rule"] for finding in findings}


def edit(machine: Machine, path: str, old: str, new: str) -> None:
    text = machine.read(path)
    assert old in text
    (machine.root / path).write_text(text.replace(old, new, 1))


def write(machine: Machine, path: str, text: str | bytes) -> None:
    place = machine.root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(text.encode() if isinstance(text, str) else text)


def own_resource(machine: Machine, text: str) -> None:
    """A resource of people's own in the overlay."""
    kind = documents.load(text)["kind"].lower()
    name = f"own-{kind}-{len(list((machine.root / 'overlays/prod').glob('own-*')))}.yaml"
    text = text.replace("name: own", f"name: own-{name[-6]}")
    write(machine, f"overlays/prod/{name}", text)
    edit(machine, "overlays/prod/kustomization.yaml", "resources:\n", f"resources:\n- {name}\n")


# --- nothing wrong -----------------------------------------------------------


def test_a_project_as_kasmgen_makes_it_is_clean_with_and_without_a_key(prod: Machine) -> None:
    assert found(prod, code=0) == []
    before = prod.state()
    prod.hold_key()
    assert found(prod, "--strict", code=0) == []
    assert prod.state() == before


def test_a_newer_and_an_older_kubernetes_accept_the_objects(prod: Machine) -> None:
    assert found(prod, "--kubernetes-version", "1.30", code=0) == []
    done = prod.run("check", "--kubernetes-version", "1.7")
    assert done.code == 2
    assert "no schemas of Kubernetes 1.7" in done.stderr


def test_an_environment_that_does_not_exist_is_an_error_of_usage(prod: Machine) -> None:
    done = prod.run("check", "prdo")
    assert done.code == 2
    assert "perhaps you meant 'prod'" in done.stderr


# --- generated files ---------------------------------------------------------


def _edit_base(machine: Machine) -> None:
    edit(machine, "base/api/service-kasm-api.yaml", "kind: Service", "kind: Service # mine")


def _delete_patch(machine: Machine) -> None:
    next((machine.root / "overlays/prod/patches").glob("deployment-kasm-api*")).unlink()


def _other_hostname(machine: Machine) -> None:
    edit(machine, "overlays/prod/environment.yaml", "kasm.example.com", "other.example.com")


def _forgotten_file(machine: Machine) -> None:
    shutil.copy(machine.root / "base/api/service-kasm-api.yaml", machine.root / "base/api/service-old.yaml")


def _sops_set(machine: Machine) -> None:
    machine.hold_key()
    path = f"{SECRETS}/kasm-secrets.sops.yaml"
    keys = sorted(documents.load(machine.read(path))["data"])
    machine.tool(program("sops"), "set", "--value-stdin", path, f'["data"]["{keys[0]}"]', stdin=b'"bmV3IHZhbHVl"')


def _lost_environment(machine: Machine) -> None:
    shutil.rmtree(machine.root / "overlays/prod")


# --- builds ------------------------------------------------------------------


def _broken_entry(machine: Machine) -> None:
    edit(machine, "overlays/prod/kustomization.yaml", "resources:\n", "resources:\n- nowhere.yaml\n")


def _patch_without_target(machine: Machine) -> None:
    add = "patches:\n- patch: |\n    - op: replace\n      path: /spec/replicas\n      value: 3\n"
    edit(machine, "overlays/prod/kustomization.yaml", "patches:\n", f"{add}  target: {{kind: Deployment, name: api}}\n")


def _patch_without_effect(machine: Machine) -> None:
    add = "patches:\n- patch: |\n    - op: add\n      path: /kind\n      value: Service\n"
    edit(
        machine, "overlays/prod/kustomization.yaml", "patches:\n", f"{add}  target: {{kind: Service, name: kasm-api}}\n"
    )


def _unused_image(machine: Machine) -> None:
    write(
        machine,
        "overlays/prod/kustomization.yaml",
        machine.read("overlays/prod/kustomization.yaml") + "images:\n- name: no/where\n  newTag: '1'\n",
    )


def _bad_values(machine: Machine) -> None:
    path = "overlays/prod/environment.yaml"
    write(machine, path, machine.read(path) + "values:\n  components: 7\n")


# --- objects -----------------------------------------------------------------


def _invalid_object(machine: Machine) -> None:
    own_resource(
        machine,
        "apiVersion: v1\nkind: Service\nmetadata: {name: own, namespace: kasm}\n"
        "spec: {type: ExternalName, externalName: example.org, ports: [{port: many}]}\n",
    )


def _removed_kind(machine: Machine) -> None:
    own_resource(
        machine,
        "apiVersion: policy/v1beta1\nkind: PodSecurityPolicy\nmetadata: {name: own}\nspec: {privileged: true}\n",
    )


def _deployment(machine: Machine, pod: str) -> None:
    own_resource(
        machine,
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: own, namespace: kasm}\nspec:\n"
        "  selector: {matchLabels: {app: own}}\n  template:\n    metadata: {labels: {app: own}}\n"
        f"    spec: {pod}\n",
    )


def _missing_key(machine: Machine) -> None:
    reference = "{name: X, valueFrom: {secretKeyRef: {name: kasm-secrets, key: no-such-key}}}"
    _deployment(machine, f"{{containers: [{{name: c, image: i, env: [{reference}]}}]}}")


def _missing_config_map(machine: Machine) -> None:
    _deployment(machine, "{containers: [{name: c, image: i, envFrom: [{configMapRef: {name: nowhere}}]}]}")


def _key_in_config_map(machine: Machine) -> None:
    pem = pyrage.x25519.Identity.generate()
    own_resource(
        machine, f'apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: own, namespace: kasm}}\ndata: {{k: "{pem}"}}\n'
    )


# --- secrets -----------------------------------------------------------------


def _plain_secret(machine: Machine) -> None:
    write(machine, "extra.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: own}\nstringData: {a: b}\n")


def _wrong_recipients(machine: Machine) -> None:
    machine.hold_key()
    other = str(pyrage.x25519.Identity.generate().to_public())
    path = f"{SECRETS}/kasm-secrets.sops.yaml"
    machine.tool(program("sops"), "rotate", "-i", "--add-age", other, path)


def _seal(machine: Machine, path: str, text: str, regex: str) -> None:
    config = f"creation_rules: [{{encrypted_regex: '{regex}', mac_only_encrypted: true, age: {machine.recipient}}}]\n"
    rule = machine.home / "other.sops.yaml"
    rule.write_text(config)
    arguments = ("--config", str(rule), "encrypt", "--input-type", "yaml", "--output-type", "yaml")
    sealed = machine.tool(program("sops"), *arguments, "--filename-override", "x.yaml", stdin=text.encode())
    write(machine, path, sealed)


def _regex_that_matched_nothing(machine: Machine) -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: own, namespace: kasm}\ndata: {a: Yg==}\n"
    _seal(machine, f"{SECRETS}/own.sops.yaml", secret, "^DATA$")


def _shadowing_rule(machine: Machine) -> None:
    other = str(pyrage.x25519.Identity.generate().to_public())
    edit(machine, ".sops.yaml", "creation_rules:\n", f"creation_rules:\n  - path_regex: .*\n    age: {other}\n")


def _removed_entry(machine: Machine) -> None:
    edit(machine, "overlays/prod/kustomization.yaml", "- secrets/kasm-secrets.sops.yaml\n", "")


def _secret_in_base(machine: Machine) -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: kasm-secrets, namespace: kasm}\ndata: {a: Yg==}\n"
    write(machine, "base/mine/secret.yaml", secret)


def _tampered(machine: Machine) -> None:
    machine.hold_key()
    path = f"{SECRETS}/kasm-secrets.sops.yaml"
    text = machine.read(path)
    first, second = sorted(documents.load(text)["data"].values())[:2]
    write(machine, path, text.replace(first, "SWAP").replace(second, first).replace("SWAP", second))


def _known_value(machine: Machine) -> None:
    machine.hold_key()
    document = documents.load(machine.tool(program("sops"), "decrypt", f"{SECRETS}/kasm-secrets.sops.yaml"))
    write(machine, "login.txt", f"login: {document['data'][sorted(document['data'])[0]]}\n")


def _mask(machine: Machine) -> None:
    write(machine, "overlays/prod/own-values.yaml", 'password: "**SOPS**"\n')


# --- certificates, Flux, changes, repository -----------------------------------


def _expired(machine: Machine) -> None:
    path = f"{SECRETS}/kasm-db-cert.sops.yaml"
    text = machine.read(path)
    date = documents.load(text)["metadata"]["annotations"]["kasmgen.dev/not-after"]
    write(machine, path, text.replace(date, "2020-01-01T00:00:00Z"))


def _soon(machine: Machine) -> None:
    path = f"{SECRETS}/kasm-db-cert.sops.yaml"
    text = machine.read(path)
    date = documents.load(text)["metadata"]["annotations"]["kasmgen.dev/not-after"]
    write(machine, path, text.replace(date, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 864000))))


def _flux_path(machine: Machine) -> None:
    edit(machine, "clusters/prod/kasm.yaml", "./overlays/prod", "./overlays/prd")


def _flux_without_decryption(machine: Machine) -> None:
    edit(machine, "clusters/prod/kasm.yaml", "    provider: sops\n", "    provider: none\n")


def _forced(machine: Machine) -> None:
    edit(machine, "clusters/prod/kasm.yaml", "spec:\n", "spec:\n  force: true\n")


def _substitution(machine: Machine) -> None:
    edit(machine, "clusters/prod/kasm.yaml", "spec:\n", "spec:\n  postBuild: {substitute: {a: b}}\n")
    own_resource(
        machine,
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: own, namespace: kasm}\ndata: {run.sh: 'echo ${HOME}'}\n",
    )


def _lost_database(machine: Machine) -> None:
    storage = "/spec/volumeClaimTemplates/0/spec/resources/requests/storage"
    patch = f"patches:\n- patch: |\n    - op: replace\n      path: {storage}\n      value: 1Mi\n"
    target = "  target: {kind: StatefulSet, name: kasm-db-statefulset}\n"
    edit(machine, "overlays/prod/kustomization.yaml", "patches:\n", patch + target)


def _immutable(machine: Machine) -> None:
    add = "patches:\n- patch: |\n    - op: add\n      path: /spec/selector/matchLabels/new\n      value: x\n"
    labels = "    - op: add\n      path: /spec/template/metadata/labels/new\n      value: x\n"
    edit(
        machine,
        "overlays/prod/kustomization.yaml",
        "patches:\n",
        f"{add}{labels}  target: {{kind: Deployment, name: kasm-api-deployment}}\n",
    )


def _link(machine: Machine) -> None:
    (machine.root / "overlays/prod/own.yaml").symlink_to("../../kasmgen.yaml")


def _remote_base(machine: Machine) -> None:
    remote = "resources:\n- https://example.invalid/app?ref=v1\n"
    edit(machine, "overlays/prod/kustomization.yaml", "resources:\n", remote)


def _dropped_file(machine: Machine) -> None:
    write(machine, "overlays/prod/logo.png", b"\x89PNG")
    path = "overlays/prod/kustomization.yaml"
    generator = "configMapGenerator:\n- name: logo\n  namespace: kasm\n  files: [logo.png]\n"
    write(machine, path, machine.read(path) + generator)


def _ignored_file(machine: Machine) -> None:
    write(machine, ".gitignore", "own-*.yaml\n")
    own_resource(machine, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: own, namespace: kasm}\ndata: {a: b}\n")


# What does not get into the way of each other is done at once.
DAMAGE: dict[str, tuple[list[Callable[[Machine], None]], set[str]]] = {
    "generated files": ([_forgotten_file, _edit_base, _sops_set, _soon], {"KG102", "KG105", "KG104", "KG502"}),
    "a lost patch": ([_delete_patch], {"KG103", "KG202"}),
    "a lost environment": ([_lost_environment], {"KG107"}),
    "another host name": ([_other_hostname], {"KG104", "KG503"}),
    "a broken entry": ([_broken_entry], {"KG202"}),
    "bad values": ([_bad_values], {"KG201"}),
    "own patches": ([_patch_without_target, _patch_without_effect, _unused_image], {"KG204", "KG205", "KG206"}),
    "objects": (
        [_invalid_object, _removed_kind, _missing_key, _missing_config_map, _key_in_config_map],
        {"KG301", "KG302", "KG311", "KG312", "KG412"},
    ),
    "leaks": ([_plain_secret, _mask, _known_value], {"KG411", "KG413", "KG414"}),
    "sealed files": (
        [_wrong_recipients, _regex_that_matched_nothing, _removed_entry],
        {"KG404", "KG402", "KG403", "KG406", "KG104", "KG311"},
    ),
    "rules and certificates": ([_shadowing_rule, _expired], {"KG404", "KG405", "KG501"}),
    "a Secret in base": ([_secret_in_base], {"KG407", "KG411"}),
    "swapped values": ([_tampered], {"KG408"}),
    "a bad path of Flux": ([_flux_path], {"KG102", "KG601"}),
    "Flux objects": ([_flux_without_decryption, _forced, _substitution], {"KG602", "KG608", "KG605"}),
    "changes": ([_lost_database, _immutable], {"KG701", "KG702"}),
    "the repository": ([_link, _dropped_file, _ignored_file], {"KG801", "KG803", "KG804"}),
    "a remote base": ([_remote_base], {"KG802"}),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_found(prod: Machine, what: str) -> None:
    damages, expected = DAMAGE[what]
    for damage in damages:
        damage(prod)
    done = prod.run("check", "--format", "json")
    report = done.json
    assert done.code == (1 if report["errors"] else 0)
    findings = report["findings"]
    assert expected <= rules(findings), json.dumps(findings, indent=1)[:3000]
    assert [finding["rule"] for finding in findings if not (finding["nextStep"] and finding["message"])] == []


# --- several environments, and names -------------------------------------------


def test_an_environment_that_goes_is_compared_with_what_it_was(prod: Machine) -> None:
    prod.git("rm", "-rq", "overlays/prod", "clusters/prod")
    (left,) = found(prod, code=0)
    assert (left["rule"], left["severity"], left["environment"]) == ("KG703", "warning", "prod")
    assert "StatefulSet kasm-db-statefulset" in left["object"]
    assert "kasm-db-data" in left["message"]


def test_a_claim_that_goes_with_its_environment_is_an_error(prod: Machine) -> None:
    claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: own, namespace: kasm}\n"
    own_resource(prod, claim + "spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n")
    prod.git("add", "-A")
    prod.git("commit", "-qm", "own claim")
    prod.git("rm", "-rq", "overlays/prod", "clusters/prod")
    lost = [item for item in found(prod) if item["rule"] == "KG701"]
    assert [item["object"].split()[0] for item in lost] == ["PersistentVolumeClaim"]
    assert "Flux deletes it, and the storage with it" in lost[0]["message"]


def test_an_environment_without_its_inputs_that_flux_still_applies_is_told(prod: Machine) -> None:
    (prod.root / "overlays/prod/environment.yaml").unlink()
    (lost,) = (item for item in found(prod) if item["rule"] == "KG107")
    assert "overlays/prod/environment.yaml is not there: Flux still applies overlays/prod" in lost["message"]
    assert "restore overlays/prod/environment.yaml" in lost["nextStep"]
    shutil.rmtree(prod.root / "overlays/prod")
    (lost,) = (item for item in found(prod) if item["rule"] == "KG107")
    assert "its overlay is gone" in lost["message"]


def test_one_broken_environment_does_not_hide_the_others(prod: Machine) -> None:
    _bad_values(prod)
    shutil.copytree(prod.root / "overlays/prod", prod.root / "overlays/dev")
    edit(prod, "overlays/dev/environment.yaml", "values:\n  components: 7\n", "")
    findings = found(prod)
    assert {"KG201"} <= rules([finding for finding in findings if finding["environment"] == "prod"])
    assert {"KG103", "KG405"} <= rules([finding for finding in findings if finding["environment"] == "dev"])
    assert {finding["environment"] for finding in found(prod, "prod")} <= {"prod", ""}


def test_inputs_that_cannot_be_read_do_not_hide_leaks(prod: Machine) -> None:
    write(prod, "overlays/prod/environment.yaml", "kind: [\n")
    _plain_secret(prod)
    assert {"KG101", "KG411"} <= rules(found(prod))


def test_names_and_content_from_strangers_steer_nothing(prod: Machine) -> None:
    evil = "\x1b[2J\u202e::error::x%0A"
    name = f"evil\n::warning::{evil}.yaml"
    write(prod, name, 'apiVersion: v1\nkind: Secret\nmetadata: {name: "\\x1b]0;x\\a<b>&"}\nstringData: {a: b}\n')
    for form in ("text", "json", "sarif", "junit", "github"):
        done = prod.run("check", "--no-schemas", "--no-history", "--format", form)
        assert done.code == 1, done.stderr
        assert not set(done.stdout + done.stderr) & {"\x1b", "\u202e", "\a", "\x00"}, form
        assert not [line for line in done.stdout.splitlines() if line.startswith("::warning::")], form
    assert all(line.startswith("::error ") for line in some(done.stdout.splitlines()))


# --- formats -------------------------------------------------------------------


def test_the_formats_say_the_same(prod: Machine) -> None:
    _plain_secret(prod)
    _soon(prod)
    flags = ("check", "--no-schemas", "--no-history")
    listed = prod.run(*flags, "--format", "json").json["findings"]
    sarif = json.loads(prod.run(*flags, "--format", "sarif").stdout)["runs"][0]
    assert [result["ruleId"] for result in sarif["results"]] == [finding["rule"] for finding in listed]
    for result in sarif["results"]:
        assert sarif["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    junit = ElementTree.fromstring(prod.run(*flags, "--format", "junit").stdout)
    errors = {finding["rule"] for finding in listed if finding["severity"] == "error"}
    assert {failure.attrib["type"] for failure in junit.iter("failure")} == errors
    assert int(junit.attrib["failures"]) == len(list(junit.iter("failure")))
    lines = prod.run(*flags, "--format", "github").stdout.splitlines()
    assert len(lines) == len(listed)
    text = prod.run(*flags)
    assert all(finding["rule"] in text.stdout for finding in some(listed))
    assert "error: 1 error, 1 warning in 1 environment" in text.stderr


def test_warnings_fail_only_where_that_is_asked_for(prod: Machine) -> None:
    _soon(prod)
    flags = ("--no-schemas", "--no-history")
    assert rules(found(prod, *flags, code=0)) == {"KG502"}
    assert rules(found(prod, *flags, "--strict", code=1)) == {"KG502"}
    assert found(prod, *flags, "--days", "5", "--strict", code=0) == []


# --- switching off -------------------------------------------------------------


def _off(machine: Machine, text: str) -> None:
    write(machine, "kasmgen.yaml", f"{machine.read('kasmgen.yaml')}checks:\n  off:\n  - {text}\n")


def test_a_rule_can_be_switched_off_with_a_reason(prod: Machine) -> None:
    _expired(prod)
    _off(prod, "{rule: KG501, reason: replaced next week, environments: [prod]}")
    done = prod.run("check", "--format", "json", "--no-schemas", "--no-history")
    assert done.code == 0
    assert done.json["findings"] == []
    assert [(off["rule"], off["reason"]) for off in done.json["off"]] == [("KG501", "replaced next week")]
    sarif = json.loads(prod.run("check", "--format", "sarif", "--no-schemas", "--no-history").stdout)
    assert sarif["runs"][0]["results"][0]["suppressions"][0]["justification"] == "replaced next week"
    assert "1 finding switched off" in prod.run("check", "--no-schemas", "--no-history").stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{rule: KG501}", "checks.off[0].reason: is missing"),
        ("{rule: KG999, reason: x}", "there is no rule KG999"),
        ("{rule: expired, reason: x}", "must be the identifier of a rule"),
        ("{rule: KG501, reason: x, env: [prod]}", "unknown key"),
        ("{rule: KG501, reason: x, environments: [dev]}", "KG501"),
    ],
)
def test_switching_off_is_read_strictly(prod: Machine, text: str, said: str) -> None:
    _expired(prod)
    _off(prod, text)
    done = prod.run("check", "--no-schemas", "--no-history")
    assert done.code == (1 if "dev" in text else 2)
    assert said in done.stderr + done.stdout


# --- staged --------------------------------------------------------------------


def test_a_hook_refuses_what_is_staged_and_ignores_what_is_not(prod: Machine) -> None:
    assert found(prod, "--staged", code=0) == []
    _plain_secret(prod)
    assert found(prod, "--staged", code=0) == []
    prod.git("add", "extra.yaml")
    (prod.root / "extra.yaml").unlink()
    assert rules(found(prod, "--staged")) == {"KG411"}
    # What was committed before is no business of this commit.
    prod.git("commit", "-q", "-m", "x")
    assert found(prod, "--staged", code=0) == []


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (_regex_that_matched_nothing, {"KG402", "KG403", "KG406"}),
        (_shadowing_rule, {"KG404", "KG405"}),
        (_removed_entry, {"KG406"}),
        (_secret_in_base, {"KG407", "KG411"}),
        (_wrong_recipients, {"KG404"}),
        (_key_in_config_map, {"KG412"}),
        (_mask, {"KG413"}),
    ],
)
def test_staged_damage_is_found(prod: Machine, damage: Callable[[Machine], None], expected: set[str]) -> None:
    damage(prod)
    prod.git("add", "-A")
    prod.git("worktree", "list")
    for path in ("overlays", "base"):
        shutil.rmtree(prod.root / path)
    assert rules(found(prod, "--staged")) == expected


def test_a_hook_sees_what_commit_a_and_commit_path_would_take(prod: Machine) -> None:
    hook = prod.root / ".git/hooks/pre-commit"
    hook.write_text(f"#!/bin/sh\nexec {sys.executable} -m kasmgen check --staged\n")
    hook.chmod(0o755)
    write(prod, "notes.txt", "harmless\n")
    prod.git("add", "notes.txt")
    prod.git("commit", "-q", "-m", "fine")
    write(prod, "notes.txt", f"{pyrage.x25519.Identity.generate()}\n")
    head = prod.git("rev-parse", "HEAD")
    prod.git("commit", "-q", "-a", "-m", "bad", check=False)
    prod.git("commit", "-q", "-m", "bad", "notes.txt", check=False)
    assert prod.git("rev-parse", "HEAD") == head
    # kasmgen's own commits pass their hook, with an index of their own.
    prod.git("checkout", "-q", "notes.txt")
    prod.ok("ci", "github")
    assert prod.git("rev-parse", "HEAD~1") == head


def test_staged_starts_git_only_and_imports_nothing_slow(prod: Machine) -> None:
    _plain_secret(prod)
    prod.git("add", "-A")
    slow = ["helm_python", "cryptography", "rich", "jsonschema", "ruamel.yaml", "git", "pyrage", "kasmgen.build"]
    code = (
        "import logging, sys; from kasmgen.cli import group\n"
        "logging.basicConfig(level=logging.DEBUG, format='%(message)s')\n"
        "group.run(['check', '--staged'])\n"
        f"print('slow:', [name for name in {slow!r} if name in sys.modules], file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=prod.root, env=prod.env(), capture_output=True, text=True, check=True)
    assert "slow: []" in done.stderr
    started = [line for line in done.stderr.splitlines() if line.startswith("$ ")]
    assert [line for line in started if not line.startswith("$ git ")] == []
    assert len([line for line in started if line.endswith("cat-file --batch")]) == 1
    assert len(started) <= 8


# --- the pipeline --------------------------------------------------------------


def test_ci_writes_a_pipeline_once_and_keeps_what_people_have(prod: Machine) -> None:
    assert "create .github/workflows/kasmgen.yml" in prod.ok("ci", "github", "--dry-run").stdout
    assert not (prod.root / ".github").exists()
    prod.ok("ci", "github")
    assert prod.git("show", "--format=", "--name-only", "HEAD") == ".github/workflows/kasmgen.yml"
    head = prod.git("rev-parse", "HEAD")
    prod.ok("ci", "github")
    assert prod.git("rev-parse", "HEAD") == head
    write(prod, ".gitlab-ci.yml", "build: {script: [make]}\n")
    done = prod.ok("ci", "gitlab")
    assert "include" in done.stderr
    assert prod.read(".gitlab-ci.yml") == "build: {script: [make]}\n"
    edit(prod, ".github/workflows/kasmgen.yml", "ubuntu-latest", "my-runner")
    refused = prod.run("ci", "github")
    assert refused.code == 5
    assert "edited" in refused.stderr
    assert found(prod, code=0) == []
