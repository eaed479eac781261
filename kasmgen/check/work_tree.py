"""What stands in the work tree, as the rules of `check` look at it; nothing is rendered or built."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kasmgen.check.rule import Finding, run
from kasmgen.check.rules import leaks, sealed_files, tracked_files
from kasmgen.check.rules import reconcilers as rules_reconcilers
from kasmgen.concurrency import each
from kasmgen.errors import InputError, SecretError
from kasmgen.kubernetes.resources import Secret
from kasmgen.layout import paths as layout_paths
from kasmgen.repository import git
from kasmgen.repository.objects import Reader
from kasmgen.repository.snapshots import Bounds, Snapshot, WorkTree
from kasmgen.secrets import sealed_file as sealing
from kasmgen.yaml import documents as yaml_documents


@dataclass(frozen=True)
class ProjectFiles:
    """The project's files. Paths are relative to its root.

    files: regular files that Git has or would take. links: symbolic links -> target.
    sealed: every `*.sops.yaml`. opened: what was decrypted with a key at hand.
    """

    reader: Reader
    snapshot: Snapshot
    root: Path
    prefix: str
    files: frozenset[str]
    links: Mapping[str, str]
    repositories: tuple[str, ...]
    sealed: tuple[sealed_files.SealedFile, ...] = ()
    opened: Opened = field(default_factory=lambda: Opened())

    def read(self, path: str) -> bytes | None:
        """Content of a file; None if it is gone, no plain file or too large to be looked into."""
        return self.snapshot.get(f"{self.prefix}/{path}" if self.prefix else path)

    def documents(self, path: str) -> list[object]:
        """The YAML documents of a file; [] if it cannot be read."""
        try:
            return [
                document.value for document in yaml_documents.load_all((self.read(path) or b"").decode("utf-8"), path)
            ]
        except (InputError, UnicodeDecodeError):
            return []

    @property
    def environments(self) -> list[str]:
        """Names of the environments on disk."""
        tail = f"/{layout_paths.ENVIRONMENT_FILE}"
        return sorted(
            {
                layout_paths.environment(p)
                for p in self.files
                if p.startswith(layout_paths.OVERLAYS) and p.endswith(tail)
            }
        )


@dataclass(frozen=True)
class Opened:
    """broken: path -> why it does not open although a key is at hand. known: what must not stand elsewhere."""

    broken: Mapping[str, str] = field(default_factory=dict)
    known: leaks.Known = field(default_factory=leaks.Known, repr=False)


@dataclass(frozen=True)
class Keys:
    """Private keys at hand. held: the recipients that they belong to. decrypt: (content, path) -> plaintext."""

    held: frozenset[str]
    decrypt: Callable[[bytes, str], Secret]


def look(repo: git.Repository, root: Path, keys: Keys | None) -> ProjectFiles:
    """The project at `root`. keys: open the sealed files that they fit."""
    relative = git.toplevel_relative(repo, root)
    prefix = "" if relative == "." else relative
    start = f"{prefix}/" if prefix else ""
    reader = Reader(repo)
    snapshot = WorkTree(reader, prefix, Bounds(file=leaks.LARGEST))
    files = frozenset(path.removeprefix(start) for path in snapshot.names)
    links = {path.removeprefix(start): str((repo.root / path).readlink()) for path in sorted(snapshot.links)}
    repositories = tuple(sorted(path.removeprefix(start) for path in snapshot.repositories))
    project = ProjectFiles(reader, snapshot, root, prefix, files, links, repositories)
    paths = sorted(path for path in files if layout_paths.is_sealed(path))
    sealed = tuple(sealed_files.read(path, project.read(path) or b"") for path in paths)
    opened = _open(project, sealed, keys) if keys else Opened()
    return replace(project, sealed=sealed, opened=opened)


# --- with a key at hand ------------------------------------------------------


def _open(project: ProjectFiles, sealed: tuple[sealed_files.SealedFile, ...], keys: Keys) -> Opened:
    mine = [file for file in sealed if file.sealed and _fits(file.sealed, keys.held)]
    broken: dict[str, str] = {}
    values: dict[str, Secret] = {}

    def open_one(file: sealed_files.SealedFile) -> tuple[str, dict[str, Secret] | str]:
        try:
            plain = keys.decrypt(project.read(file.path) or b"", file.path)
            return file.path, sealing.data_of(plain, file.path)
        except SecretError as error:
            return file.path, error.message.removeprefix(f"{file.path} ")

    for path, found in each(open_one, mine):
        if isinstance(found, str):
            broken[path] = f"the file {found}"
        else:
            values |= {f"{key} in {path}": value for key, value in found.items()}
    return Opened(broken, leaks.Known.of(values))


def _fits(sealed: sealing.Sealed, held: frozenset[str]) -> bool:
    groups = sealed.recipients.groups
    return len(groups) == 1 and bool(held & set(groups[0]))


# --- findings ----------------------------------------------------------------


def findings(project: ProjectFiles) -> Iterator[Finding]:
    """What the secret rules and the rules about the repository find."""
    yield from run(sealed_files.RULES, secret_tree(project))
    yield from run(tracked_files.RULES, repository_tree(project))
    templates = leaks.chart_directories(project.files)
    for path in sorted(project.files):
        text = leaks.Text(
            path,
            project.read(path),
            layout_paths.environment(path),
            in_chart=path.startswith(templates),
            known=project.opened.known,
        )
        yield from run(leaks.RULES, text)


def secret_tree(project: ProjectFiles) -> sealed_files.SecretTree:
    """The sealed files as the rules look at them."""
    environments = {file.environment for file in project.sealed} - {""}
    overlays = {name: f"{layout_paths.overlay(name)}/kustomization.yaml" for name in environments}
    return sealed_files.SecretTree(
        files=project.sealed,
        config=project.read(layout_paths.SOPS_FILE) if layout_paths.SOPS_FILE in project.files else None,
        resources={name: sealed_files.resources_of(project.read(path) or b"", path) for name, path in overlays.items()},
        plain=sealed_files.plain_secrets(_plain_documents(project)),
        broken=project.opened.broken,
    )


def _plain_documents(project: ProjectFiles) -> Iterator[tuple[str, object]]:
    for path in sorted(project.files):
        inside = path.startswith((f"{layout_paths.BASE}/", f"{layout_paths.OVERLAYS}/"))
        if inside and layout_paths.is_yaml(path) and not layout_paths.is_sealed(path):
            content = project.read(path) or b""
            if leaks.may_hold_secret(content):
                yield from ((path, document) for document in project.documents(path))


def repository_tree(project: ProjectFiles) -> tracked_files.Tree:
    """The repository as the rules look at it."""
    kustomizations: dict[str, Mapping[str, yaml_documents.Yaml]] = {}
    for path in sorted(project.files):
        if path.rpartition("/")[2] in layout_paths.KUSTOMIZATION_NAMES:
            for document in project.documents(path):
                if isinstance(document, dict):
                    kustomizations[path] = document
    tree = tracked_files.Tree(project.files, project.links, kustomizations, frozenset(), project.repositories)
    absent = {target for _, _, target in tracked_files.local(tree) if target not in project.files}
    there = [path for path in sorted(absent) if not path.startswith("../") and (project.root / path).is_file()]
    start = f"{project.prefix}/" if project.prefix else ""
    ignored = project.reader.ignored([f"{start}{path}" for path in there])
    return tracked_files.Tree(
        project.files,
        project.links,
        kustomizations,
        frozenset(path for path in there if f"{start}{path}" in ignored),
        project.repositories,
    )


def reconcilers(project: ProjectFiles) -> tuple[rules_reconcilers.Reconciler, ...]:
    """Every Flux Kustomization of the project."""
    found = []
    for path in sorted(project.files):
        if layout_paths.is_yaml(path) and not layout_paths.is_sealed(path):
            content = project.read(path)
            if content and rules_reconcilers.API.encode() in content and b"Kustomization" in content:
                found += [
                    rules_reconcilers.Reconciler(path, document)
                    for document in project.documents(path)
                    if isinstance(document, dict) and rules_reconcilers.is_reconciler(document)
                ]
    return tuple(found)
