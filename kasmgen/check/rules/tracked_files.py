"""8xx: what Flux fetches is what stands in the repository."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kasmgen.check.rule import ERROR, WARNING, Hit, Rule
from kasmgen.kubernetes.fields import items, texts
from kasmgen.layout import paths
from kasmgen.yaml.documents import Yaml

_OURS = (f"{paths.BASE}/", f"{paths.OVERLAYS}/", f"{paths.CLUSTERS}/")
_REMOTE = re.compile(
    r"^(?:[a-z][a-z0-9+.-]*://|git::|git@|[\w.-]+@[\w.-]+:|(?:github|gitlab)\.com[/:])|\?(?:[^?]*&)?ref=", re.I
)

# fluxcd/pkg sourceignore, ExcludeExt, ExcludeCI and ExcludeExtra.
_DROPPED_SUFFIXES = (".jpg", ".jpeg", ".gif", ".png", ".wmv", ".flv", ".tar.gz", ".zip")
_DROPPED_NAMES = frozenset(
    [".goreleaser.yml", ".goreleaser.brew.yml", ".sops.yaml", ".flux.yaml", ".travis.yml", ".gitlab-ci.yml",
     "appveyor.yml", ".drone.yml", "cloudbuild.yaml", "codeship-services.yml", "codeship-steps.yml",
     ".gitignore", ".gitmodules", ".gitattributes"]
)  # fmt: skip
_DROPPED_FOLDERS = frozenset([".github", ".circleci", ".git"])


@dataclass(frozen=True)
class Tree:
    """What stands in the project. Paths are relative to its root.

    files: what Git has or would take. links: symbolic links -> where they point.
    kustomizations: path of each kustomization file -> its content. ignored: files that
    are on disk and that Git ignores. repositories: folders that are repositories of their own.
    """

    files: frozenset[str]
    links: Mapping[str, str] = field(default_factory=dict)
    kustomizations: Mapping[str, Mapping[str, Yaml]] = field(default_factory=dict, repr=False)
    ignored: frozenset[str] = frozenset()
    repositories: tuple[str, ...] = ()


def _hit(path: str, message: str) -> Hit:
    return Hit(message, path, environment=paths.environment(path))


def references(kustomization: Mapping[str, Yaml]) -> Iterator[str]:
    """Every path or address that a kustomization.yaml names."""
    for key in ("resources", "bases", "components", "crds", "generators", "transformers", "validators"):
        yield from texts(kustomization, key)
    yield from (entry for entry in texts(kustomization, "patchesStrategicMerge") if "\n" not in entry)
    for key in ("patches", "patchesJson6902", "replacements"):
        yield from (str(entry["path"]) for entry in items(kustomization, key) if entry.get("path"))
    for key in ("configMapGenerator", "secretGenerator"):
        for entry in items(kustomization, key):
            env = [str(entry["env"])] if entry.get("env") else []
            for text in [*texts(entry, "files"), *texts(entry, "envs"), *env]:
                yield text.rpartition("=")[2]


def local(tree: Tree) -> Iterator[tuple[str, str, str]]:
    """(kustomization file, entry, path from the project's root) of every reference that is not remote."""
    for path, content in tree.kustomizations.items():
        for entry in references(content):
            if not _REMOTE.search(entry):
                yield path, entry, posixpath.normpath(posixpath.join(posixpath.dirname(path), entry))


def links(tree: Tree) -> Iterator[Hit]:
    for path, target in tree.links.items():
        if path.startswith(_OURS) or path in (paths.BASE, paths.OVERLAYS, paths.CLUSTERS):
            yield _hit(path, f"it is a symbolic link to {target}")


def remote(tree: Tree) -> Iterator[Hit]:
    for path, content in tree.kustomizations.items():
        for entry in references(content):
            if _REMOTE.search(entry):
                yield _hit(path, f"{entry} is fetched from elsewhere")


def dropped(tree: Tree) -> Iterator[Hit]:
    for path, entry, target in local(tree):
        if target not in tree.files:
            continue
        folders = set(target.split("/")[:-1])
        name = posixpath.basename(target)
        if target.endswith(_DROPPED_SUFFIXES) or name in _DROPPED_NAMES or folders & _DROPPED_FOLDERS:
            yield _hit(path, f"{entry} is needed, and Flux leaves such a file out of what it fetches")


def ignored(tree: Tree) -> Iterator[Hit]:
    for path, entry, target in local(tree):
        if target in tree.ignored:
            yield _hit(path, f"{entry} is needed, and Git ignores it")


def several(tree: Tree) -> Iterator[Hit]:
    seen: dict[str, str] = {}
    for path in sorted(path for path in tree.files if posixpath.basename(path) in paths.KUSTOMIZATION_NAMES):
        folder = posixpath.dirname(path)
        if folder in seen:
            yield _hit(path, f"{posixpath.basename(seen[folder])} stands in the same folder")
        seen.setdefault(folder, path)


def own_ignores(tree: Tree) -> Iterator[Hit]:
    for path in sorted(tree.files):
        if posixpath.basename(path) == ".sourceignore":
            yield _hit(path, "it replaces what Flux ignores by default")


def repositories(tree: Tree) -> Iterator[Hit]:
    for path in tree.repositories:
        if f"{path}/".startswith(_OURS):
            yield _hit(path, "it is a repository of its own, and Flux gets an empty folder")


RULES: tuple[Rule[Tree], ...] = (
    Rule(
        "KG801",
        ERROR,
        "a symbolic link",
        "Flux drops links when it packs what it fetched, so the build works here and fails in the cluster.",
        "put the file or folder itself there",
        links,
    ),
    Rule(
        "KG802",
        ERROR,
        "a remote base",
        "What is fetched at each reconciliation can change without a commit, and a locked-down Flux refuses it "
        "(`--no-remote-bases`).",
        "copy it into the repository",
        remote,
    ),
    Rule(
        "KG803",
        ERROR,
        "Flux would not fetch a file that the build needs",
        "By default Flux leaves out images, archives, `.sops.yaml`, `.flux.yaml` and the files of CI systems. The "
        "build works here and fails in the cluster.",
        "give the file another name, or put its content into a manifest (binaryData)",
        dropped,
    ),
    Rule(
        "KG804",
        ERROR,
        "Git ignores a file that the build needs",
        "The file is on this disk and in no commit. The build works here and fails in the cluster.",
        "remove the pattern from .gitignore, or force it in with `git add -f`",
        ignored,
    ),
    Rule(
        "KG805",
        ERROR,
        "two kustomization files in one folder",
        "kustomize and Flux refuse a folder with more than one of kustomization.yaml, kustomization.yml and "
        "Kustomization.",
        "keep one of them",
        several,
    ),
    Rule(
        "KG806",
        WARNING,
        "a .sourceignore replaces Flux's defaults",
        "With any `.sourceignore` Flux no longer leaves out images, archives and files of CI systems, and it leaves "
        "out whatever the file says.",
        "make sure that it names none of base/, overlays/ and clusters/, and repeat the defaults that are wanted",
        own_ignores,
    ),
    Rule(
        "KG807",
        ERROR,
        "a repository inside the repository",
        "A submodule or an embedded repository is an empty folder in what Flux fetches, unless it is told to recurse.",
        "put the files themselves there",
        repositories,
    ),
)
