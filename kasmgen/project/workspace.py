"""What is on disk, read once: the project's inputs, its environments and their sealed files."""

from __future__ import annotations

import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kasmgen import names, safe_text
from kasmgen.errors import InputError, RepositoryError
from kasmgen.layout import marks, paths
from kasmgen.project import config
from kasmgen.project.config import Environment, Project
from kasmgen.repository import git
from kasmgen.repository.journal import digest
from kasmgen.secrets import sealed_file
from kasmgen.secrets.plan import Existing

MAX_INPUT = 16 * 1024 * 1024
"""Bytes; no file that kasmgen reads as an input is anywhere near it."""


@dataclass(frozen=True)
class EnvironmentFiles:
    """One environment as it stands on disk, or is about to.

    kustomization: text of its kustomization.yaml, None if there is none yet.
    kept: files of people in our folders, such as "secrets/own.sops.yaml".
    """

    environment: Environment
    kustomization: str | None = None
    existing: tuple[Existing, ...] = field(default=(), repr=False)
    kept: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Workspace:
    """A project: where it stands and what its inputs say.

    head: the last commit when it was read, None if there is none. root: the project's directory.
    prefix: that directory from the Git root ("" if it is the root). digests: path of each input -> SHA-256 of what
    was read there (None: nothing), so that nothing else is replaced later.
    """

    repo: git.Repository
    head: str | None
    root: Path
    prefix: str
    project: Project
    sops_config: bytes = field(repr=False)
    environments: Mapping[str, EnvironmentFiles] = field(default_factory=dict)
    digests: Mapping[str, str | None] = field(default_factory=dict, repr=False)

    def in_repo(self, path: str) -> str:
        """A path of the project as Git has it."""
        return f"{self.prefix}/{path}" if self.prefix else path


def read_text(path: Path, shown: str) -> str:
    """The text of an input file. Raises InputError if it is missing, no plain file, too large or no UTF-8."""
    return _decode(read_bytes(path, shown), shown)


def _decode(content: bytes, shown: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{shown}: not UTF-8 text") from None


def read_bytes(path: Path, shown: str) -> bytes:
    """The content of an input file. Raises InputError as `read_text`."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{shown}: not a regular file", hint="links and devices are not followed")
        if status.st_size > MAX_INPUT:
            raise InputError(f"{shown}: larger than {MAX_INPUT // 2**20} MiB")
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{shown}: the file is missing") from None
    except OSError as error:
        raise RepositoryError(f"{shown}: cannot be read: {error.strerror}") from None


class _Inputs:
    """The inputs of a project, and what each of them held when it was read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.digests: dict[str, str | None] = {}

    def content(self, path: str) -> bytes:
        """A file by its path from the project's root. Raises as `read_bytes` does."""
        content = read_bytes(self.root / path, path)
        self.digests[path] = digest(content)
        return content

    def text(self, path: str) -> str:
        """Its text. Raises as `read_text` does."""
        return _decode(self.content(path), path)

    def text_if_there(self, path: str) -> str | None:
        """Its text, None if there is no such file."""
        if (self.root / path).exists():
            return self.text(path)
        self.digests[path] = None
        return None


def find_root(start: Path) -> Path:
    """The nearest directory at or above `start` with a `kasmgen.yaml`, not above the Git root.

    Raises InputError if there is none.
    """
    try:
        if not start.is_dir():
            raise InputError(f"{safe_text.shown(str(start))} is no directory")
        place = start.resolve()
        for directory in (place, *place.parents):
            if (directory / paths.PROJECT_FILE).is_file():
                return directory
            if (directory / ".git").exists():
                break
    except OSError as error:
        raise InputError(f"{safe_text.shown(str(start))} cannot be read: {error.strerror}") from None
    raise InputError(
        f"there is no {paths.PROJECT_FILE} in {start} or above it",
        hint="make a project with `kasmgen init`, or name its directory with -C",
    )


def load(start: Path, found: tuple[git.Repository, git.State] | None = None, *, complete: bool = True) -> Workspace:
    """The project at or above `start`. found: its repository, if it was looked at already. complete: refuse an
    overlay of ours that has lost its inputs; without it that overlay counts as no environment.

    Raises InputError or RepositoryError that say what is wrong where.
    """
    root = find_root(start)
    found = found or git.look(root)
    if found is None:
        raise RepositoryError(f"{root} is in no Git repository", hint="`git init` there, or `kasmgen init`")
    repo, now = found
    inputs = _Inputs(root)
    project = config.parse_project(inputs.text(paths.PROJECT_FILE))
    relative = git.toplevel_relative(repo, root)
    return Workspace(
        repo=repo,
        head=now.head,
        root=root,
        prefix="" if relative == "." else relative,
        project=project,
        sops_config=inputs.content(paths.SOPS_FILE),
        environments=dict(_environments(inputs, complete=complete)),
        digests=inputs.digests,
    )


def environment_names(root: Path) -> list[str]:
    """Names of the environments on disk, sorted."""
    overlays = root / paths.OVERLAYS
    if overlays.is_symlink():
        raise RepositoryError(f"{paths.OVERLAYS} is a symbolic link", hint="Flux drops links; put the directory there")
    if not overlays.is_dir():
        return []
    return sorted(path.parent.name for path in overlays.glob(f"*/{paths.ENVIRONMENT_FILE}"))


def _environments(inputs: _Inputs, *, complete: bool) -> list[tuple[str, EnvironmentFiles]]:
    found = environment_names(inputs.root)
    if complete:
        _require_inputs(inputs.root, found)
    return [(name, _environment(inputs, name)) for name in found]


def _require_inputs(root: Path, environments: Collection[str]) -> None:
    """Raise InputError for an overlay that kasmgen made and that has lost its inputs: it would be passed over."""
    overlays = root / paths.OVERLAYS
    for folder in sorted(overlays.iterdir()) if overlays.is_dir() else ():
        if folder.name not in environments and folder.is_dir() and not folder.is_symlink() and _holds_ours(folder):
            missing = f"{paths.overlay(folder.name)}/{paths.ENVIRONMENT_FILE}"
            raise InputError(
                f"{missing}: the file is missing, and the overlay that was made from it is there",
                hint=f"bring it back: git restore {missing}",
            )


def _holds_ours(folder: Path) -> bool:
    return any(
        marks.is_sealed_by_us(content) or not isinstance(marks.read(content), marks.Foreign)
        for part, suffix in (("secrets", paths.SEALED_SUFFIX), ("patches", ".yaml"), ("resources", ".yaml"))
        for path in _below(folder / part)
        if _may_be_ours(path, part, suffix)
        for content in [read_bytes(path, path.name)]
    )


def _environment(inputs: _Inputs, name: str) -> EnvironmentFiles:
    root = inputs.root
    names.dns_label(name, f"{paths.OVERLAYS}/ (the name of an environment)")
    directory = f"{paths.OVERLAYS}/{name}"
    if (root / directory).is_symlink():
        raise RepositoryError(f"{directory} is a symbolic link", hint="Flux drops links; put the directory there")
    shown = f"{directory}/{paths.ENVIRONMENT_FILE}"
    environment = config.parse_environment(inputs.text(shown), name, shown)
    kustomization = inputs.text_if_there(f"{directory}/{paths.KUSTOMIZATION}")
    existing, kept = _sealed_files(inputs, directory)
    return EnvironmentFiles(environment, kustomization, existing, kept | _foreign(root, directory))


def _sealed_files(inputs: _Inputs, directory: str) -> tuple[tuple[Existing, ...], frozenset[str]]:
    """kasmgen's sealed files, and files of people beside them (relative to the overlay)."""
    root = inputs.root
    ours: list[Existing] = []
    kept: set[str] = set()
    for path in _below(root / directory / "secrets"):
        shown = path.relative_to(root).as_posix()
        content = inputs.content(shown) if _may_be_ours(path, "secrets", paths.SEALED_SUFFIX) else b""
        if marks.is_sealed_by_us(content):
            ours.append(Existing(shown, content, sealed_file.parse(content, shown)))
        else:
            kept.add(path.relative_to(root / directory).as_posix())
    return tuple(ours), frozenset(kept)


def _foreign(root: Path, directory: str) -> frozenset[str]:
    """Files of people in `patches/` and `resources/`: those without our mark."""
    return frozenset(
        path.relative_to(root / directory).as_posix()
        for folder in ("patches", "resources")
        for path in _below(root / directory / folder)
        if not _may_be_ours(path, folder, ".yaml")
        or isinstance(marks.read(read_bytes(path, path.relative_to(root).as_posix())), marks.Foreign)
    )


def _below(folder: Path) -> list[Path]:
    """Everything below a folder of an overlay; links are not followed."""
    return sorted(folder.rglob("*")) if folder.is_dir() and not folder.is_symlink() else []


def _may_be_ours(path: Path, folder: str, suffix: str) -> bool:
    """kasmgen writes plain files, right in its folders; whatever else stands there is people's and not read."""
    return path.parent.name == folder and path.name.endswith(suffix) and not path.is_symlink() and path.is_file()
