"""`kasmgen doctor`: which programs were found, and what is wrong with them or the project."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from kasmgen import __version__
from kasmgen.errors import InputError, KasmgenError
from kasmgen.programs import age, go_build, helm, kustomize, libhelm, sops
from kasmgen.project import workspace
from kasmgen.repository import git


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was looked at. ok: whether it is as it must be.

    built_from: the module and version of a Go program, and of the library that counts in it. warning: what to think
    about, though it works.
    """

    what: str
    ok: bool
    version: str = ""
    where: str = ""
    problem: str = ""
    built_from: str = ""
    warning: str = ""


def run(start: Path) -> list[Diagnosis]:
    """What was found: kasmgen itself, the programs it uses, the key file, the project."""
    return [
        Diagnosis("kasmgen", True, __version__, f"Python {sys.version.split()[0]}"),
        _look("helm", _helm),
        _look("kustomize", _kustomize),
        _look("sops", _sops),
        _look("git", lambda: Diagnosis("git", True, git.version(), "PATH")),
        _look("age key file", _key_file),
        _look("project", lambda: _project(start)),
    ]


def _look(what: str, find: Callable[[], Diagnosis]) -> Diagnosis:
    try:
        return find()
    except KasmgenError as error:
        return Diagnosis(what, False, problem=f"{error.message}; {error.hint}" if error.hint else error.message)


def _helm() -> Diagnosis:
    with libhelm.HelmLibrary() as library:
        engine = helm.locate(library)
    kind = "libhelm" if isinstance(engine, helm.LibHelm) else "program"
    return _built(
        Diagnosis("helm", True, engine.version, f"{kind} {engine.path}"), engine.path, "helm.sh/helm", libhelm.SETTING
    )


def _kustomize() -> Diagnosis:
    found = kustomize.locate()
    diagnosis = Diagnosis("kustomize", True, found.version.take(), " ".join(found.command))
    return _built(diagnosis, found.command[0], "sigs.k8s.io/kustomize/kustomize", kustomize.SETTING)


def _sops() -> Diagnosis:
    found = sops.locate()
    diagnosis = Diagnosis("sops", True, found.version, f"{found.path} ({found.found})")
    return _built(diagnosis, found.path, "github.com/getsops/sops", f"{sops.SETTING}, or put it on PATH")


def _built(diagnosis: Diagnosis, path: str, product: str, settings: str) -> Diagnosis:
    """The diagnosis, and what the program was built from. settings: by what another one is taken."""
    build = go_build.read(Path(path))
    if build is None:
        return diagnosis
    doubt = build.doubt(product, diagnosis.version)
    warning = (
        f"{path} is not known to be an official release: {doubt}; name another one with {settings}" if doubt else ""
    )
    return replace(diagnosis, built_from=build.describe(product), warning=warning)


def _key_file() -> Diagnosis:
    path = age.key_file()
    if not path.exists():
        return Diagnosis("age key file", True, "", f"{path}: none; only decrypting needs one")
    if path.stat().st_mode & 0o077:
        return Diagnosis("age key file", False, "", str(path), f"others may read it; chmod 600 {path}")
    return Diagnosis("age key file", True, "", str(path))


def _project(start: Path) -> Diagnosis:
    try:
        root = workspace.find_root(start)
    except InputError:
        return Diagnosis("project", True, "", "none here")
    found = workspace.load(root)
    return Diagnosis(
        "project", True, str(found.project.chart.version), f"{root}, {len(found.environments)} environments"
    )
