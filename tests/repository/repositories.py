"""Real repositories in temporary directories, of a user whose home holds nothing but a Git identity."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from kasmgen.repository import git as repository_git
from tests.needs import program


@dataclass(frozen=True)
class Snapshot:
    """Everything that must be the same after a refused change."""

    on: str
    head: str
    refs: str
    staged: str
    staged_diff: str
    files: Mapping[str, tuple[int, bytes]]
    directories: frozenset[str]


@dataclass(frozen=True)
class Clone:
    """A work tree, driven as people do it."""

    root: Path

    def git(self, *arguments: str, stdin: str | None = None, ok: tuple[int, ...] = (0,)) -> str:
        done = subprocess.run(
            [program("git"), *arguments],
            cwd=self.root,
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            check=False,
        )
        assert done.returncode in ok, f"git {arguments} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def write(self, path: str, content: str | bytes) -> Path:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        return place

    def commit(self, files: Mapping[str, str | bytes], message: str = "people's work") -> str:
        for path, content in files.items():
            self.write(path, content)
        self.git("add", "--", *files)
        self.git("commit", "-q", "-m", message, "--", *files)
        return self.head

    def hook(self, name: str, script: str) -> None:
        hooks = Path(self.git("rev-parse", "--git-path", "hooks"))
        place = self.root / hooks / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"#!/bin/sh\n{script}\n")
        place.chmod(0o755)

    @property
    def head(self) -> str:
        return self.git("rev-parse", "-q", "--verify", "HEAD", ok=(0, 1, 128))

    @property
    def repo(self) -> git.Repository:
        found = repository_git.find(self.root)
        assert found is not None
        return found

    @property
    def status(self) -> list[str]:
        return self.git("status", "--porcelain", "--untracked-files=all").splitlines()

    def committed(self, revision: str = "HEAD") -> dict[str, str]:
        """Path -> "A", "M" or "D" of one commit."""
        lines = self.git("show", "--format=", "--name-status", "--no-renames", "--root", revision).splitlines()
        return {path: sign for sign, path in (line.split("\t") for line in lines)}

    def snapshot(self) -> Snapshot:
        return Snapshot(
            on=self.git("symbolic-ref", "-q", "HEAD", ok=(0, 1)),
            head=self.head,
            refs=self.git("for-each-ref"),
            staged=self.git("ls-files", "-s"),
            staged_diff=self.git("diff", "--cached", "--binary"),
            files=self.files(),
            directories=frozenset(str(p.relative_to(self.root)) for p in self._walk() if p.is_dir()),
        )

    def files(self) -> dict[str, tuple[int, bytes]]:
        places = [place for place in self._walk() if place.is_file() or place.is_symlink()]
        return {
            str(place.relative_to(self.root)): (
                stat.S_IMODE(place.lstat().st_mode),
                os.fsencode(place.readlink()) if place.is_symlink() else place.read_bytes(),
            )
            for place in places
        }

    def _walk(self) -> list[Path]:
        return [place for place in self.root.rglob("*") if ".git" not in place.relative_to(self.root).parts]


def make(root: Path) -> Clone:
    """A repository with one commit, on the branch main."""
    root.mkdir(parents=True)
    clone = Clone(root)
    clone.git("init", "-q", "-b", "main")
    clone.commit({"README": "a project\n"})
    return clone


def settle_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `home` the user's home, with an identity and nothing else."""
    home.mkdir(parents=True, exist_ok=True)
    for name in list(os.environ):
        if name.startswith(("GIT_", "XDG_", "SSH_", "GNUPG")) or name == "EMAIL":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Test\n\temail = test@example.com\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n"
    )
