"""The proof before every commit: the real kustomize builds what Helm would install."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kasmgen.concurrency import Once
from kasmgen.errors import InputError, KasmgenError, ToolError
from kasmgen.kubernetes import equality
from kasmgen.kubernetes.resources import Object, ResourceId, by_id
from kasmgen.layout import paths
from kasmgen.overlay import kustomize_limits, reach
from kasmgen.programs import kustomize
from kasmgen.programs.kustomize import Kustomize
from kasmgen.programs.session import Programs
from kasmgen.repository import git
from kasmgen.repository.scratch import copy_work_tree, write_tree
from kasmgen.yaml import aliases
from kasmgen.yaml.cache import ParseCache


def build(program: Kustomize, root: Path, directory: str, cache: ParseCache) -> dict[ResourceId, Object]:
    """What kustomize makes of a directory below `root`, by identity."""
    text = kustomize.build_text(program, root / directory)
    return by_id(document.value for document in cache.load_stream(text, f"the build of {directory}"))


def build_within(program: Kustomize, top: Path, directory: str, cache: ParseCache) -> dict[ResourceId, Object]:
    """As `build`, where people's files take part: what would read outside of `top`, or too much, is not started.

    top: a private copy of a repository's files. directory: from there. Raises InputError that names file and field.
    """

    def read(path: str) -> bytes | None:
        place = top / path
        return place.read_bytes() if place.is_file() else None

    for path in sorted(reach.require_inside(directory, read)):
        if aliases.multiply(read(path) or b""):
            raise InputError(f"{path}: its aliases stand for more than {aliases.MOST_VALUES:,} values")
    return build(program, top, directory, cache)


class Builder:
    """Builds what is planned on top of a base, before any of it stands in the work tree.

    directory: a private one. base: path -> content of the base's files. repo: where the project is, with
    the path `prefix` to it.
    """

    def __init__(
        self,
        programs: Programs,
        cache: ParseCache,
        directory: Path,
        base: Mapping[str, bytes],
        repo: git.Repository,
        prefix: str,
    ) -> None:
        self._programs = programs
        self._cache = cache
        self._repo = repo
        self._prefix = prefix
        self._base = base
        place = Path(tempfile.mkdtemp(prefix="overlays-", dir=directory))
        self._alone = Once(lambda: self._laid(place / "alone"))
        self._copy = Once(lambda: self._with_base(self._copied(place / "work_tree_copy")))
        self._disk = Once(lambda: self._copied(place / "on_disk"))

    def _laid(self, root: Path) -> Path:
        write_tree(root, self._base)
        return root

    def _copied(self, into: Path) -> Path:
        copy_work_tree(self._repo, into)
        return into

    def _with_base(self, top: Path) -> Path:
        write_tree(top / self._prefix, self._base)
        return top

    def _from_top(self, directory: str) -> str:
        return f"{self._prefix}/{directory}" if self._prefix else directory

    def alone(self, files: Mapping[str, bytes], directory: str) -> dict[ResourceId, Object]:
        """What `directory` builds to of these files and the base. Raises ToolError if it does not build."""
        root = self._alone.take()
        write_tree(root, files)
        return build(self._programs.kustomize, root, directory, self._cache)

    def among_own(self, files: Mapping[str, bytes], directory: str) -> dict[ResourceId, Object]:
        """The same laid over a copy of the work tree, for what people refer to may stand anywhere in it.

        Raises InputError if it does not build.
        """
        top = self._copy.take()
        write_tree(top / self._prefix, files)
        try:
            return build_within(self._programs.kustomize, top, self._from_top(directory), self._cache)
        except ToolError as error:
            raise InputError(
                f"{directory} does not build with your own entries in its kustomization.yaml: {error.message}",
                hint=f"correct them, or see `kustomize build {directory}`",
            ) from None

    def as_it_stands(self, directory: str) -> dict[ResourceId, Object]:
        """What `directory` builds to as it is in the work tree. Raises ToolError or InputError if it does not."""
        return build_within(self._programs.kustomize, self._disk.take(), self._from_top(directory), self._cache)


def without_secrets(objects: Mapping[ResourceId, Object], apart: Iterable[ResourceId] = ()) -> dict[ResourceId, Object]:
    """The objects that have to be exactly what Helm would install."""
    skipped = set(apart)
    return {key: obj for key, obj in objects.items() if (key.kind, key.group) != ("Secret", "") and key not in skipped}


def inexact(want: Mapping[ResourceId, Object], got: Mapping[ResourceId, Object]) -> frozenset[ResourceId]:
    """Identities of the objects that are not as they must be, missing or too many."""
    return frozenset(
        key
        for key in want.keys() | got.keys()
        if key not in want or key not in got or not equality.equal(want[key], got[key])
    )


def require_expressible(where: str, differences: Sequence[equality.Difference]) -> None:
    """Raise InputError that names what kustomize cannot bring out, if there is anything."""
    if differences:
        raise InputError(
            f"{where}: the chart renders what Flux (kustomize) cannot carry: {_few(differences)}",
            hint="change it in the chart or its values; data of any kind fits into binaryData (base64)",
        )


def _few(found: Sequence[equality.Difference]) -> str:
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return "; ".join(str(item) for item in found[:5]) + more


def require_exact(where: str, want: Mapping[ResourceId, Object], got: Mapping[ResourceId, Object]) -> None:
    """Raise KasmgenError that names object and path of the first differences, if there are any."""
    found = equality.differences(want, got)
    if not found:
        return
    raise KasmgenError(
        f"{where}: what kustomize builds is not what Helm would install: {_few(found)}",
        hint="nothing was written; please report this with the chart and its values",
    )


def prove_base(
    program: Kustomize,
    root: Path,
    files: Mapping[str, bytes],
    want: Mapping[ResourceId, Object],
    cache: ParseCache,
) -> None:
    """Write the files of a base below `root` and build it, where no environment that stands on it is built.

    Raises InputError that names what kustomize cannot carry, KasmgenError if the build is not `want`.
    """
    where = "the base"
    require_expressible(where, [place for obj in want.values() for place in kustomize_limits.find(obj)])
    write_tree(root, files)
    require_exact(where, want, build(program, root, paths.BASE, cache))
