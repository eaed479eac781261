"""A chart that kasmgen knows nothing about: its Secrets are read from what it renders."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.machine import Machine, copy_machine, make_machine

pytestmark = pytest.mark.e2e

NASTY = Path(__file__).parent.parent / "charts" / "nasty"
UPSTREAM_LIKE = Path(__file__).parent.parent / "charts" / "upstream-like"
MARKER = "MarkerPasswordPq4"


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    machine = make_machine(tmp_path_factory.mktemp("nasty"))
    machine.hold_key()
    machine.ok("init", "--chart", str(NASTY), "--recipient", machine.recipient, "--set", "image=registry.example.com/n")
    machine.ok(
        *("env", "add", "prod", "--hostname", "nasty.example.com"),
        *("--set", f"registry.password={MARKER}", "--set", f"token={MARKER}t"),
    )
    return machine


@pytest.fixture
def nasty(sealed: Machine, tmp_path: Path) -> Machine:
    """A project of the nasty chart with one environment that was given passwords."""
    return copy_machine(sealed, tmp_path)


def openssl(pem: str, *arguments: str) -> str:
    done = subprocess.run(
        ["openssl", "x509", "-noout", *arguments], input=pem.encode(), capture_output=True, check=True
    )
    return done.stdout.decode()


def test_every_secret_of_the_chart_is_sealed_and_none_is_in_the_base(nasty: Machine) -> None:
    assert "kind: Secret" not in "".join(path.read_text() for path in nasty.root.glob("base/**/*.yaml"))
    shown = nasty.ok("secret", "show", "prod", "--reveal", "--output", "json").json
    assert shown["kasm-strings/both"] == "from stringData"
    assert shown["kasm/kasm-passwords/fixed"] == "not random"
    assert shown["kasm/kasm-passwords/twice"] == "last"
    assert shown["kasm/kasm-passwords/admin"] in shown["kasm/kasm-passwords/url"], "made in one render, kept together"
    assert f'"{MARKER}"' in shown["kasm-registry/.dockerconfigjson"].replace(" ", "")
    assert shown["kasm/kasm-passwords/token"] == f"{MARKER}t"


def test_what_only_secrets_get_is_not_written_down(nasty: Machine) -> None:
    assert MARKER not in "".join(
        path.read_text() for path in nasty.root.rglob("*") if path.is_file() and ".git" not in path.parts
    )


@pytest.mark.parametrize("file", ["overlays/prod/environment.yaml", "kasmgen.yaml"])
def test_a_secret_that_people_write_into_a_file_of_theirs_is_refused(nasty: Machine, file: str) -> None:
    text = nasty.read(file)
    more = "values: {registry: {password: " + MARKER + "other}}\n"
    values = text.replace("values:\n", "values:\n  registry: {password: " + MARKER + "other}\n")
    (nasty.root / file).write_text(values if values != text else text + more)
    before = nasty.git("rev-parse", "HEAD")
    done = nasty.run("render")
    assert done.code == 4
    assert f"{file}: values: these are secrets and would be committed in clear: registry.password" in done.stderr
    assert MARKER not in done.stdout + done.stderr
    assert nasty.git("rev-parse", "HEAD") == before


def test_a_tls_secret_gets_a_certificate_with_the_charts_names(nasty: Machine) -> None:
    pem = nasty.ok("secret", "show", "prod", "kasm-tls/tls.crt").stdout
    names = openssl(pem, "-ext", "subjectAltName")
    assert "DNS:nasty.example.com" in names
    assert "IP Address:10.0.0.1" in names
    assert openssl(pem, "-issuer").partition("=")[2] == openssl(pem, "-subject").partition("=")[2], (
        "self-signed, by kasmgen"
    )
    assert "kasmgen.dev/not-after" in nasty.read("overlays/prod/secrets/kasm-tls.sops.yaml")


def test_random_values_are_frozen_and_what_follows_the_chart_is_sealed_again(nasty: Machine) -> None:
    before = nasty.ok("secret", "show", "prod", "--reveal", "--output", "json").json
    nasty.ok("render", "--check")
    environment = nasty.root / "overlays/prod/environment.yaml"
    environment.write_text(environment.read_text() + "values: {hosts: [other.example.com]}\n")
    nasty.ok("render")
    after = nasty.ok("secret", "show", "prod", "--reveal", "--output", "json").json
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"kasm-strings/hosts"}
    assert after["kasm-strings/hosts"] == "other.example.com"
    nasty.ok("render", "--check")


def test_without_a_key_what_follows_the_chart_cannot_be_changed_and_the_file_is_named(nasty: Machine) -> None:
    (nasty.home / ".config/sops/age/keys.txt").unlink()
    environment = nasty.root / "overlays/prod/environment.yaml"
    environment.write_text(environment.read_text() + "values: {hosts: [other.example.com]}\n")
    before = nasty.state()
    done = nasty.run("render")
    assert done.code == 4
    assert "overlays/prod/secrets/kasm-strings.sops.yaml" in done.stderr
    assert nasty.state() == before


def test_shared_values_may_hold_no_secret(machine: Machine) -> None:
    done = machine.run(
        "init", "--chart", str(NASTY), "--recipient", machine.recipient, "--set", f"registry.password={MARKER}"
    )
    assert done.code == 2
    assert "registry.password" in done.stderr
    assert MARKER not in done.stderr
    assert not (machine.root / ".git").exists()


def test_an_upstream_values_file_works_as_it_is(machine: Machine) -> None:
    key, certificate = machine.home / "key.pem", machine.home / "cert.pem"
    machine.tool(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "100"),
        *("-subj", "/CN=mine.example.com", "-addext", "subjectAltName=DNS:mine.example.com"),
        *("-keyout", str(key), "-out", str(certificate)),
    )
    values = (UPSTREAM_LIKE / "values.yaml").read_text()
    for old, new in {
        'hostname: ""': "hostname: mine.example.com",
        'dbPassword: ""': f'dbPassword: "{MARKER}"',
        "pullCredentials: {}": f"pullCredentials: {{registry: docker.io/kasmweb, username: u, password: {MARKER}r}}",
        'pullSecrets: ""': "pullSecrets: mypull",
        'namespace: ""': "namespace: desks",
        "deploymentSize: small": "deploymentSize: large",
    }.items():
        assert old in values
        values = values.replace(old, new, 1)
    for placeholder, path in (("Put your SSL Cert here", certificate), ("Put your key here", key)):
        begin = values.index("      -----BEGIN", values.rindex("|", 0, values.index(placeholder)))
        end = values.index("\n", values.index(placeholder)) + 1
        values = values[:begin] + "".join(f"      {line}\n" for line in path.read_text().splitlines()) + values[end:]
    machine.hold_key()
    machine.ok("init", "--chart", str(UPSTREAM_LIKE), "--recipient", machine.recipient)
    machine.ok("env", "add", "prod", "--hostname", "mine.example.com", "--values", "-", stdin=values)
    shown = machine.ok("secret", "show", "prod", "--reveal", "--output", "json").json
    assert shown["kasm-secrets/db-password"] == MARKER
    assert len(shown["kasm-secrets/redis-password"]) == 26
    assert shown["kasm-ingress-cert/tls.crt"] == certificate.read_text()
    assert f"{MARKER}r" in shown["mypull/.dockerconfigjson"]
    text = machine.read("overlays/prod/environment.yaml")
    assert "size: large" in text
    assert "namespace: desks" in text
    assert MARKER not in text
    assert "BEGIN" not in text
    machine.ok("render", "--check")


def test_a_refused_value_is_named_with_the_option_that_brought_it(project: Machine) -> None:
    values = project.home / "values.yaml"
    values.write_text("kasmApp: {servicesToDeploy: {db: {tag: 5}}}\n")
    for option, value, said in (
        ("--set", "kasmApp.foo=1", "additional properties 'foo' not allowed"),
        ("--set", "kasmApp=1", "values.kasmApp: a mapping is expected"),
        ("--values", str(values), "at '/kasmApp/servicesToDeploy/db/tag': got number, want string"),
    ):
        done = project.run("env", "add", "prod", "--hostname", "kasm.example.com", option, value)
        assert done.code == 2
        assert done.stderr.startswith(f"error: {option}")
        assert said in done.stderr
