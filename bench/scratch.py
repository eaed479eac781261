"""Throwaway repositories to measure in, in a home of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kasmgen.layout import paths
from kasmgen.programs import age
from kasmgen.project import config
from kasmgen.project.config import Environment
from kasmgen.secrets import sops_config as secrets_sops_config

SIZES = config.SIZES
_CLEARED = ("SOPS_", "GIT_", "XDG_", "NO_COLOR", "PYTHON")
_GIT = """\
[user]
name = Bench
email = bench@example.com
[init]
defaultBranch = main
[commit]
gpgsign = false
[gc]
auto = 0
"""


def program() -> tuple[str, ...]:
    """How people start kasmgen: the console script of this Python, or its module where there is none."""
    script = Path(sys.executable).with_name("kasmgen")
    return (str(script),) if script.exists() else (sys.executable, "-m", "kasmgen")


def environment_name(number: int) -> str:
    """e001, e002, ..."""
    return f"e{number:03}"


@dataclass(frozen=True)
class Scratch:
    """A private directory with a home, and a recipient whose private key was thrown away."""

    directory: Path
    recipient: str
    env: Mapping[str, str]

    def git(self, root: Path, *arguments: str) -> str:
        """Run git in `root`; what it printed."""
        return self._run("git", *arguments, cwd=root)

    def kasmgen(self, root: Path, *arguments: str) -> None:
        """Run kasmgen in `root`."""
        self._run(*program(), *arguments, cwd=root)

    def _run(self, *argv: str, cwd: Path) -> str:
        done = subprocess.run(argv, cwd=cwd, env=dict(self.env), capture_output=True, check=False)
        if done.returncode:
            said = done.stderr[-2000:].decode("utf-8", "replace")
            raise RuntimeError(f"{' '.join(argv[:4])} ended with {done.returncode}: {said}")
        return done.stdout.decode()

    def place(self, name: str) -> Path:
        """A path in the scratch directory where nothing is."""
        path = self.directory / name
        shutil.rmtree(path, ignore_errors=True)
        return path

    def project(self, name: str) -> Path:
        """A project of the built-in chart, as `kasmgen init` leaves it."""
        root = self.place(name)
        self.kasmgen(self.directory, "init", str(root), "--recipient", self.recipient)
        return root

    def by_hand(self, name: str) -> Path:
        """A repository for `by_hand.sh`: Git and a `.sops.yaml`."""
        root = self.place(name)
        self.git(self.directory, "init", "--quiet", str(root))
        (root / paths.SOPS_FILE).write_bytes(secrets_sops_config.initial([self.recipient]))
        self.git(root, "add", "--all")
        self.git(root, "commit", "--quiet", "--message", "Begin")
        return root

    def fleet(self, name: str, count: int) -> Path:
        """A project with `count` environments of different host names and sizes, rendered and committed.

        Secrets are made for the first only and copied: making them is what `env add` is measured by.
        """
        root = self.project(name)
        first = environment_name(1)
        host = f"{first}.kasm.example.com"
        # The wildcard makes the first certificate fit the copies, which is what render looks at.
        self.kasmgen(root, "env", "add", first, "--hostname", host, "--alt-hostname", "*.kasm.example.com")
        sops_config = (root / paths.SOPS_FILE).read_bytes()
        for number in range(2, count + 1):
            environment = Environment(
                environment_name(number), f"{environment_name(number)}.kasm.example.com", size=SIZES[number % 3]
            )
            folder = root / environment.directory
            shutil.copytree(root / paths.OVERLAYS / first / "secrets", folder / "secrets")
            (folder / paths.ENVIRONMENT_FILE).write_text(config.environment_text(environment))
            sops_config = secrets_sops_config.add_environment(sops_config, environment.name, [self.recipient])
        (root / paths.SOPS_FILE).write_bytes(sops_config)
        self.kasmgen(root, "render", "--no-commit")
        self.git(root, "add", "--all")
        self.git(root, "commit", "--quiet", "--allow-empty", "--message", "Add environments")
        return root


def scratch(directory: Path) -> Scratch:
    """A Scratch in `directory`, which exists and is empty."""
    home = directory / "home"
    (home / "tmp").mkdir(parents=True)
    (home / ".gitconfig").write_text(_GIT)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_CLEARED)}
    env = {**kept, "HOME": str(home), "TMPDIR": str(home / "tmp"), "GIT_CONFIG_NOSYSTEM": "1"}
    recipient, _ = age.generate()
    return Scratch(directory, recipient, env)


def resize(root: Path) -> None:
    """Give every environment of the project its next size, so that every overlay is another one."""
    for path in sorted(root.glob(f"{paths.OVERLAYS}/*/{paths.ENVIRONMENT_FILE}")):
        environment = config.parse_environment(path.read_text(), path.parent.name)
        size = SIZES[(SIZES.index(environment.size) + 1) % 3] if environment.size else SIZES[1]
        path.write_text(config.environment_text(environment.replace(size=size)))
