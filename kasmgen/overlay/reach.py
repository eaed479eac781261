"""Where a build would read: what leads out of the repository is found before kustomize is started.

kustomize fetches what a kustomization names by URL, clones what looks like a Git repository, and builds directories
above its own (kustomize api/internal/git/repospec.go, api/internal/loader/fileloader.go). Of a branch that somebody
proposes none of that may happen.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kasmgen import safe_text
from kasmgen.errors import InputError
from kasmgen.layout.paths import KUSTOMIZATION_NAMES
from kasmgen.yaml import documents
from kasmgen.yaml.documents import Yaml

Read = Callable[[str], bytes | None]
"""Content of a file by its path from the Git root; None where there is none."""

# Fields, in lower case, by which a kustomization or the object of a built-in plugin names files and directories. Go
# compares the names of fields without case, so `Resources` is one, too.
_PLUGINS = frozenset(["generators", "transformers", "validators"])
_FIELDS = _PLUGINS | {
    *("resources", "bases", "components", "crds", "configurations", "patchesstrategicmerge"),
    *("path", "paths", "files", "envs", "env", "filesources", "envsources", "envsource"),
}
# Below these stands what people choose freely, and nothing that kustomize opens.
_FREE = frozenset(
    [
        "commonlabels",
        "commonannotations",
        "labels",
        "annotations",
        "options",
        "literals",
        "images",
        "target",
        "metadata",
    ]
)
# What kustomize takes for an address: with a scheme, as `git::`, as user@host, or by the one host that needs neither.
_ADDRESS = re.compile(r"\w[\w+.-]*://|git::|[\w.-]+@[\w.-]+[:/]|(?:www\.)?github\.com[:/]|gh:", re.I)
_INLINE = re.compile(r"\s*(?:\{|[\w./-]+:\s)")


@dataclass(frozen=True)
class _Named:
    """What is named, and by which field, such as "patches[0].path". plugin: it is, or leads to, objects of plugins."""

    field: str
    text: str
    plugin: bool


def require_inside(directory: str, read: Read) -> frozenset[str]:
    """Raise InputError if building `directory` (from the Git root) would read outside of the repository.

    The message names the file, the field and what it names. Kustomizations that the first one points to are followed.
    Returns the paths that the build reads, as far as they are named.
    """
    waiting = [(posixpath.normpath(directory), False)]
    seen: set[tuple[str, bool]] = set()
    reached: set[str] = set()
    while waiting:
        here, plugin = waiting.pop()
        if (here, plugin) in seen:
            continue
        seen.add((here, plugin))
        for name in KUSTOMIZATION_NAMES:
            path = posixpath.normpath(f"{here}/{name}")
            reached.add(path)
            for named in _named_in(path, read, plugin=plugin):
                target = _inside(path, here, named)
                reached.add(target)
                waiting.append((target, named.plugin))
                if named.plugin:
                    for inner in _named_in(target, read, plugin=True):
                        _inside(target, here, inner)
    return frozenset(path for path in reached if read(path) is not None)


def _named_in(path: str, read: Read, *, plugin: bool) -> Iterator[_Named]:
    """What the documents of a file name. One that cannot be read is told where it is built."""
    content = read(path)
    if content is None:
        return
    try:
        values = [document.value for document in documents.load_all(content.decode("utf-8"), path)]
    except (InputError, UnicodeDecodeError):
        return
    for value in values:
        yield from _named(value, "", plugin=plugin)


def _named(value: Yaml, where: str, *, plugin: bool) -> Iterator[_Named]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _named(item, f"{where}[{number}]", plugin=plugin)
    elif isinstance(value, dict):
        for key, item in value.items():
            name = str(key).lower()
            if name in _FREE:
                continue
            here = f"{where}.{key}" if where else str(key)
            within = plugin or name in _PLUGINS
            if name in _FIELDS:
                yield from _texts(item, here, plugin=within)
            yield from _named(item, here, plugin=within)


def _texts(value: Yaml, where: str, *, plugin: bool) -> Iterator[_Named]:
    for number, item in enumerate(value if isinstance(value, list) else [value]):
        if not isinstance(item, str):
            continue
        here = f"{where}[{number}]" if isinstance(value, list) else where
        if "\n" in item or _INLINE.match(item):
            yield from _inline(item, here)
        else:
            # A generator names a file as `key=path`, or by its path alone.
            texts = {item, item.partition("=")[2] or item} if "?" not in item else {item}
            yield from (_Named(here, text, plugin) for text in sorted(texts))


def _inline(text: str, where: str) -> Iterator[_Named]:
    """What objects name that stand in a list as text."""
    try:
        values = [document.value for document in documents.load_all(text, where)]
    except InputError:
        return
    for value in values:
        yield from _named(value, where, plugin=True)


def _inside(path: str, directory: str, named: _Named) -> str:
    """The path from the Git root of what is named. Raises InputError if it is not there."""
    hint = "copy what you need of it into the repository, and name that"
    what = f"{path}: {named.field}: '{safe_text.shown(named.text)}'"
    if _ADDRESS.match(named.text):
        raise InputError(f"{what} is on the network, and a build reads this repository only", hint=hint)
    target = posixpath.normpath(posixpath.join(directory, named.text))
    if target.startswith(("/", "../")) or target == ".." or named.text.startswith("~"):
        raise InputError(f"{what} leads out of the Git repository", hint=hint)
    return target
