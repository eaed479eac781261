"""Temporary homes and repositories in which the command line runs for real."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyrage

# As people have it: whoever runs the tests may have any of these set.
_CLEARED = ("SOPS_", "GIT_", "KASMGEN_", "XDG_", "NO_COLOR", "GITHUB_", "CI_")


@dataclass(frozen=True)
class Done:
    """What a run of the command line left behind."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


@dataclass
class Machine:
    """A user's home, with an age key and a Git identity, and a directory to work in."""

    home: Path
    root: Path
    recipient: str
    identity: str = field(repr=False)
    environment: dict[str, str] = field(default_factory=dict)

    def env(self, **extra: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_CLEARED)}
        home = {"HOME": str(self.home), "GIT_CONFIG_NOSYSTEM": "1", "TMPDIR": str(self.home / "tmp")}
        return {**kept, **home, **self.environment, **extra}

    def run(self, *arguments: str, stdin: str | bytes = b"", cwd: Path | None = None, **extra: str) -> Done:
        """`kasmgen ARGUMENTS` in a process of its own, in `root`."""
        done = subprocess.run(
            [sys.executable, "-m", "kasmgen", *arguments],
            cwd=cwd or self.root,
            env=self.env(**extra),
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            check=False,
            timeout=300,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def ok(self, *arguments: str, **kwargs: Any) -> Done:
        done = self.run(*arguments, **kwargs)
        assert done.code == 0, f"exit {done.code}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done

    def tool(self, *argv: str, cwd: Path | None = None, check: bool = True, stdin: bytes = b"") -> str:
        """Any other program, in `root`."""
        done = subprocess.run(argv, cwd=cwd or self.root, env=self.env(), input=stdin, capture_output=True, check=False)
        assert not check or done.returncode == 0, done.stderr.decode()
        return done.stdout.decode(errors="replace")

    def git(self, *arguments: str, cwd: Path | None = None, check: bool = True) -> str:
        return self.tool("git", *arguments, cwd=cwd, check=check).strip()

    def hold_key(self) -> None:
        """Put the private key where sops looks for it."""
        keys = self.home / ".config" / "sops" / "age" / "keys.txt"
        keys.parent.mkdir(parents=True, mode=0o700)
        keys.touch(mode=0o600)
        keys.write_text(f"{self.identity}\n")

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def state(self) -> tuple[str, str, str]:
        """What must be the same after a refused command: HEAD, index and files."""
        head = self.git("rev-parse", "-q", "--verify", "HEAD", check=False)
        status = self.git("status", "--porcelain", "--untracked-files=all")
        diff = self.git("diff", "HEAD", check=False)
        return head, status, diff


def make_machine(base: Path) -> Machine:
    home, root = base / "home", base / "repo"
    (home / "tmp").mkdir(parents=True)
    root.mkdir()
    (home / ".gitconfig").write_text(
        "[user]\nname = Test\nemail = test@example.com\n[init]\ndefaultBranch = main\n[commit]\ngpgsign = false\n"
    )
    identity = pyrage.x25519.Identity.generate()
    return Machine(home, root, str(identity.to_public()), str(identity))


def copy_machine(template: Machine, base: Path) -> Machine:
    """The same user with the same repository, in another place: a project to work on that was made before.

    Times are kept, but files have other inodes now: git has to look at each once.
    """
    home, root = base / "home", base / "repo"
    shutil.copytree(template.home, home, symlinks=True)
    shutil.copytree(template.root, root, symlinks=True)
    copy = dataclasses.replace(template, home=home, root=root, environment=dict(template.environment))
    if (root / ".git").exists():
        copy.git("update-index", "-q", "--refresh")
    return copy
