"""One side of a comparison: the project at a revision or in the work tree, ready to be built.

A revision is read from Git's objects; the work tree is not touched and nothing is checked out.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kasmgen.errors import InputError, KasmgenError, RepositoryError
from kasmgen.kubernetes.resources import Object, ResourceId, by_id
from kasmgen.layout import paths as layout_paths
from kasmgen.overlay import files_read, reach, verify
from kasmgen.programs import kustomize
from kasmgen.programs.kustomize import Kustomize
from kasmgen.repository.snapshots import Bounds, Snapshot, T
from kasmgen.secrets.sealed_file import has_sops_block
from kasmgen.yaml import aliases
from kasmgen.yaml.cache import ParseCache

# kustomize quotes what a generator is given, which may be the values of a Secret.
_LITERALS = re.compile(r"literal sources .*", re.DOTALL)
_NAME = re.compile("[a-z0-9-]+")
BOUNDS = Bounds(together=512 * 1024 * 1024)
"""Of the files of one side; overlays that read more are refused."""

_SECRET = re.compile(rb"""kind["']?[ \t]*:[ \t]*["']?(?:Secret|List|SecretList)\b""")


@dataclass(frozen=True)
class OverlayFiles:
    """One environment on one side: what its build reads, and a hash over that."""

    name: str
    paths: frozenset[str]
    digest: str

    @property
    def directory(self) -> str:
        """The overlay's directory, from the project's root."""
        return f"{layout_paths.OVERLAYS}/{self.name}"


class Side:
    """One side of a comparison. prefix: the project's directory from the Git root."""

    def __init__(self, files: Snapshot, prefix: str, directory: Path) -> None:
        self.files = files
        self.prefix = prefix
        self._directory = directory
        self._written: set[str] = set()
        self._clear: set[str] = set()

    def _at(self, path: str) -> str:
        return posixpath.join(self.prefix, path) if self.prefix else path

    def environments(self) -> list[str]:
        """Names of the environments, sorted: the directories that hold an environment.yaml.

        An overlay that lost it and that Flux applies all the same counts too, and so does a link in the
        place of one: neither is to be taken for nothing.
        Raises RepositoryError if all of them are behind a link.
        """
        if self._at(layout_paths.OVERLAYS) in self.files.links:
            raise RepositoryError(
                f"{layout_paths.OVERLAYS} is a symbolic link at {self.files.label}",
                hint="Flux drops links; put the directory there",
            )
        start = self._at(f"{layout_paths.OVERLAYS}/")
        below = [path.removeprefix(start).split("/") for path in self.files.names if path.startswith(start)]
        linked = [path.removeprefix(start).split("/") for path in self.files.links if path.startswith(start)]
        clusters = self._at(f"{layout_paths.CLUSTERS}/")
        applied = {
            path.removeprefix(clusters).partition("/")[0] for path in self.files.names if path.startswith(clusters)
        }
        in_overlays = [parts for parts in below if len(parts) == 2]
        found = {name for name, file in in_overlays if file == layout_paths.ENVIRONMENT_FILE}
        found |= {name for name, file in in_overlays if file in layout_paths.KUSTOMIZATION_NAMES} & applied
        return sorted(found | {parts[0] for parts in linked if len(parts) == 1 and _NAME.fullmatch(parts[0])})

    def has(self, name: str) -> bool:
        """Whether Flux would find anything to build for the environment, right or wrong."""
        start = self._at(f"{layout_paths.OVERLAYS}/{name}")
        markers = {f"{start}/{file}" for file in (layout_paths.ENVIRONMENT_FILE, *layout_paths.KUSTOMIZATION_NAMES)}
        return start in self.files.links or not markers.isdisjoint(self.files.names)

    def ready(self) -> None:
        """Fetch all kustomizations at once: asking Git for each one costs a process."""
        names = layout_paths.KUSTOMIZATION_NAMES
        self.files.prefetch(path for path in self.files.names if posixpath.basename(path) in names)

    def overlay(self, name: str) -> OverlayFiles:
        """What the environment's build reads, and its Flux objects. Raises InputError if it cannot be read."""
        directory = self._at(f"{layout_paths.OVERLAYS}/{name}")
        clusters = self._at(f"{layout_paths.CLUSTERS}/{name}/")
        paths = set(files_read.of(directory, self.files.names, self.files.read))
        paths |= {path for path in self.files.names if path.startswith(clusters)}
        digest = hashlib.sha256()
        for path in sorted(paths):
            digest.update(f"{path}\0{self.files.identity(path)}\n".encode(errors="surrogateescape"))
        return OverlayFiles(name, frozenset(paths), digest.hexdigest())

    def write(self, overlays: Iterable[OverlayFiles]) -> None:
        """Put what these overlays read into the private directory, all at once.

        Raises InputError if it is too much, of a kind to make kustomize run out of memory, or cannot be written.
        """
        missing = {path for overlay in overlays for path in overlay.paths} - self._written
        self.files.prefetch(missing)
        for path in missing:
            if ".." in path.split("/") or path.startswith("/"):
                raise InputError(f"the path {path} leads out of the repository")
            content = self.files.read(path)
            if aliases.multiply(content):
                raise InputError(f"{path}: its aliases stand for more than {aliases.MOST_VALUES:,} values")
            try:
                target = self._directory / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            except OSError as error:
                raise InputError(f"{path} cannot be built from: {error.strerror}") from None
            self._written.add(path)
            if _holds_clear_secret(path, content):
                self._clear.add(path)

    def require_builds(self, program: Kustomize, overlay: OverlayFiles, cache: ParseCache) -> None:
        """Raise KasmgenError if the overlay does not build or its Flux objects are none; quicker than `build`."""
        directory = self._at(overlay.directory)
        reach.require_inside(directory, self._read)
        self._demanding(lambda: kustomize.build_text(program, self._directory / directory))
        for path in self._flux_files(overlay):
            self._objects(path, cache)

    def build(self, program: Kustomize, overlay: OverlayFiles, cache: ParseCache) -> dict[ResourceId, Object]:
        """What Flux would apply for the environment, its own Flux objects included.

        Raises KasmgenError if it does not build, or if one object is in both.
        """
        reach.require_inside(self._at(overlay.directory), self._read)
        built = self._demanding(lambda: verify.build(program, self._directory, self._at(overlay.directory), cache))
        for path in self._flux_files(overlay):
            for key, obj in by_id(self._objects(path, cache)).items():
                if built.setdefault(key, obj) != obj:
                    raise InputError(f"{path}: {key} stands in the overlay or another file, too, and is another one")
        return built

    def clear_secrets(self, cache: ParseCache) -> Iterator[Object]:
        """The objects of written files that hold Secrets in clear; of overlays that do not build, too."""
        for path in sorted(self._clear):
            # A file that cannot be read is told where it is built.
            with suppress(KasmgenError):
                yield from self._objects(path, cache)

    def generates_secrets(self, overlay: OverlayFiles) -> bool:
        """Whether Secrets come out of the build that stand in no file as such."""
        lists = (path for path in overlay.paths if posixpath.basename(path) in layout_paths.KUSTOMIZATION_NAMES)
        return any(b"secretGenerator" in self.files.read(path) for path in lists)

    def _read(self, path: str) -> bytes | None:
        return self.files.read(path) if path in self.files.names else None

    def _demanding(self, build: Callable[[], T]) -> T:
        try:
            return build()
        except KasmgenError as error:
            reason = _LITERALS.sub("literal sources: one is not key=value", error.message)
            named = sorted(path for path in self.files.links if posixpath.basename(path) in reason)
            linked = f"{named[0]} is a symbolic link, which Flux drops; " if named else ""
            raise InputError(linked + reason) from None

    def _flux_files(self, overlay: OverlayFiles) -> list[str]:
        clusters = self._at(f"{layout_paths.CLUSTERS}/{overlay.name}/")
        return sorted(path for path in overlay.paths if path.startswith(clusters) and path.endswith((".yaml", ".yml")))

    def _objects(self, path: str, cache: ParseCache) -> list[Object]:
        """The objects of a file; `flux bootstrap` puts kustomizations of its own beside them, which are none."""
        try:
            text = self.files.read(path).decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{path}: not UTF-8 text") from None
        values = [document.value for document in cache.load(text, path)]
        return [value for value in values if isinstance(value, dict) and value.get("kind") and value.get("metadata")]


def _holds_clear_secret(path: str, content: bytes) -> bool:
    """Whether a Secret may stand there that is not sealed; in a document of its own, it may beside a sealed one."""
    if not path.endswith((".yaml", ".yml", ".json")) or not _SECRET.search(content):
        return False
    return not has_sops_block(content) or b"\n---" in content


def reason(error: KasmgenError) -> str:
    """Why a side could not be built, in one line."""
    return " ".join(error.message.split())


def same(old: Mapping[str, OverlayFiles], new: Mapping[str, OverlayFiles], name: str) -> bool:
    """Whether an environment's build reads the same bytes on both sides."""
    return name in old and name in new and old[name].digest == new[name].digest
