"""`kasmgen demo`: a throwaway repository with two environments, to look at."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from kasmgen.commands import env_add, init
from kasmgen.commands.change import Options
from kasmgen.errors import InputError
from kasmgen.programs import age, kustomize
from kasmgen.programs.libhelm import HelmLibrary
from kasmgen.project.config import Environment
from kasmgen.repository import history, new_repository
from kasmgen.repository.undo import Undo
from kasmgen.yaml import documents as yaml_documents


@dataclass(frozen=True)
class Demo:
    """What was made: the repository, its files, what one environment builds to, and the commits.

    objects: "Kind name" of everything in the build, in its order. sample: one object of it, as YAML.
    build: the command line that builds it, in the repository.
    """

    root: Path
    files: tuple[str, ...]
    environment: str
    objects: tuple[str, ...]
    sample: str
    commits: tuple[str, ...]
    build: str

    @property
    def tree(self) -> list[str]:
        """The files as an indented tree."""
        lines: list[str] = []
        open_folders: tuple[str, ...] = ()
        for path in sorted(self.files, key=lambda path: path.split("/")):
            *folders, name = path.split("/")
            for depth, folder in enumerate(folders):
                if open_folders[: depth + 1] != tuple(folders[: depth + 1]):
                    lines.append(f"{'  ' * depth}{folder}/")
            open_folders = tuple(folders)
            lines.append(f"{'  ' * len(folders)}{name}")
        return lines


def run(directory: Path, helm: HelmLibrary) -> Demo:
    """Make the repository. Its private key is thrown away at once, so nobody can read its Secrets.

    Raises InputError if the directory is there and not empty.
    """
    root = directory.absolute()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise InputError(f"{root} is not empty", hint=f"rm -r {root}, or name another directory")
    recipient, _ = age.generate()
    with Undo() as undo:
        # A machine without a Git identity can still look at the demo.
        repo = new_repository.make(undo, root, {"user.name": "Demo", "user.email": "demo@example.com"})
        init.run(init.InitRequest(root, recipients=[recipient]), Options(), helm)
        undo.keep()
    env_add.run(root, env_add.AddRequest(Environment("staging", "kasm.staging.example.com")), Options(), helm)
    prod = Environment("prod", "kasm.example.com", ("desk.example.com",), size="large", ingress_ip="192.0.2.10")
    env_add.run(root, env_add.AddRequest(prod), Options(), helm)
    program = kustomize.locate()
    documents = kustomize.build_text(program, root / "overlays" / "prod").split("\n---\n")
    objects = [yaml_documents.load(document) for document in documents]
    sample = next(text for text, obj in zip(documents, objects, strict=True) if obj["kind"] == "Ingress")
    with history.opened(repo) as commits:
        files, subjects = commits.files(), commits.subjects()
    return Demo(
        root=root,
        files=tuple(files),
        environment="prod",
        objects=tuple(f"{obj['kind']} {obj['metadata']['name']}" for obj in objects),
        sample=sample,
        commits=tuple(subjects),
        build=_build_command(program, "overlays/prod"),
    )


def _build_command(program: kustomize.Kustomize, directory: str) -> str:
    """How people build `directory` themselves: the bundled program has its full path, for it is not on PATH."""
    name = program.path.name
    verb = ("kustomize",) if program.is_kubectl else ("build",)
    return shlex.join((name if shutil.which(name) else str(program.path), *verb, directory))
