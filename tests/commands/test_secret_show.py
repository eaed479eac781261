"""What `secret show` prints without --reveal: one value into a pipe, and never a private key."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.machine import Machine, copy_machine

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def holder(with_prod: Machine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    machine = copy_machine(with_prod, tmp_path_factory.mktemp("holder"))
    machine.hold_key()
    return machine


@pytest.mark.parametrize("options", [(), ("--output", "json")])
def test_whole_secrets_are_printed_with_reveal_only(holder: Machine, options: tuple[str, ...]) -> None:
    done = holder.run("secret", "show", "prod", *options)
    assert (done.code, done.stdout) == (2, "")
    assert "whole Secrets, private keys among them, are not printed without --reveal" in done.stderr
    assert "kasmgen secret show prod admin-password" in done.stderr
    assert "PRIVATE KEY" in holder.ok("secret", "show", "prod", "--reveal", *options).stdout


@pytest.mark.parametrize("options", [(), ("--output", "json")])
def test_a_private_key_is_printed_with_reveal_only(holder: Machine, options: tuple[str, ...]) -> None:
    name = "kasm-ingress-cert/tls.key"
    done = holder.run("secret", "show", "prod", name, *options)
    assert (done.code, done.stdout) == (2, "")
    assert f"{name} is a private key, and not printed without --reveal" in done.stderr
    assert "PRIVATE KEY" in holder.ok("secret", "show", "prod", name, "--reveal", *options).stdout


@pytest.mark.parametrize("options", [(), ("--output", "json")])
def test_one_value_goes_into_a_pipe(holder: Machine, options: tuple[str, ...]) -> None:
    assert len(holder.ok("secret", "show", "prod", "admin-password", *options).stdout) >= 26
    assert "BEGIN CERTIFICATE" in holder.ok("secret", "show", "prod", "kasm-ingress-cert/tls.crt", *options).stdout


@pytest.mark.parametrize(("options", "code"), [((), 2), (("--reveal",), 0)])
def test_a_terminal_gets_nothing_without_reveal(holder: Machine, options: tuple[str, ...], code: int) -> None:
    said, ended = on_a_terminal(holder.root, holder.env(), "secret", "show", "prod", "admin-password", *options)
    assert ended == code
    assert len(said.strip()) == (0 if code else 26)


def on_a_terminal(directory: Path, environment: dict[str, str], *arguments: str) -> tuple[str, int]:
    """What is printed to a terminal, and the exit code."""
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "kasmgen", *arguments],
        cwd=directory,
        env=environment,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
        timeout=300,
    )
    os.write(theirs, b"\0")
    os.close(theirs)
    said = os.read(ours, 65536).split(b"\0")[0].decode()
    os.close(ours)
    return said, done.returncode
