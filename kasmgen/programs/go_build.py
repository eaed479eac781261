"""What a Go program was built from: the linker writes it into the program, as `go version -m` shows it.

The format is that of Go's debug/buildinfo and runtime/debug.ParseBuildInfo, since Go 1.18.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_MAGIC = b"\xff Go buildinf:"
_HEADER = 32  # bytes; the strings follow
_FLAGS = 15  # position of the flags in the header
_STRINGS_FOLLOW = 2  # the flag of Go 1.18 and newer
_SENTINEL = 16  # bytes of a mark before and behind the modules
_LONGEST = 1 << 20  # bytes of modules; programs have some ten thousand

# https://go.dev/ref/mod#pseudo-versions: made of the time and the commit where there is no tag.
_PSEUDO = re.compile(r"[.-](?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)\d{6}-(?P<commit>[0-9a-f]{12})\b")
_RELEASE = re.compile(r"\d+\.\d+\.\d+(\+incompatible)?")


@dataclass(frozen=True)
class GoBuild:
    """What `go build` recorded.

    go: the version of Go. module, version: what the program is. dependencies: module -> version, or what was built in
    its place as "=> module version". settings: such as vcs.revision.
    """

    go: str
    module: str
    version: str
    dependencies: Mapping[str, str]
    settings: Mapping[str, str]

    def describe(self, product: str) -> str:
        """The program in one line, with the module `product` if that is a library in it."""
        path, version = self._part(product)
        library = f" with {path} {version}" if path not in ("", self.module) else ""
        return f"{self.module} {self.version}{library}, {self.go}"

    def doubt(self, product: str, said: str) -> str:
        """Why this is not the release `said` of the module `product`; "" if it is.

        product: the path of a module, or its beginning, as in "helm.sh/helm". It is the program or a library in it.
        """
        path, version = self._part(product)
        if not path:
            return f"it is {self.module}, and has no {product} in it"
        return self._unreleased(self.version) or self._unreleased(version) or _mismatch(version, said)

    def _part(self, product: str) -> tuple[str, str]:
        modules = {self.module: self.version, **self.dependencies}
        found = ((path, version) for path, version in modules.items() if f"{path}/".startswith(f"{product}/"))
        return next(found, ("", ""))

    def _unreleased(self, version: str) -> str:
        if version in ("", "(devel)"):
            return "its build records no version"
        if version.startswith("=>"):
            return f"it was built with another module in place of the official one ({version})"
        if "+dirty" in version or self.settings.get("vcs.modified") == "true":
            return f"it was built from changed sources ({version})"
        if found := _PSEUDO.search(version):
            day = f"{found['year']}-{found['month']}-{found['day']}"
            return f"it was built from commit {found['commit']} of {day}, which is no release ({version})"
        return "" if _RELEASE.fullmatch(version.removeprefix("v")) else f"it is a pre-release ({version})"


def _mismatch(version: str, said: str) -> str:
    built, claimed = version.removeprefix("v").partition("+")[0], said.removeprefix("v").partition("+")[0]
    return "" if built == claimed else f"it says that it is {said}, and was built from {version}"


def read(program: Path) -> GoBuild | None:
    """What a program or shared library was built from; None if it does not say or is not made with Go."""
    try:
        with program.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _read(content)
    except (OSError, ValueError):  # it cannot be read, or it is empty
        return None


def _read(content: mmap.mmap) -> GoBuild | None:
    at = content.find(_MAGIC)
    while at >= 0:
        if build := _parsed(content, at):
            return build
        # A program that can read such blobs has the magic bytes in it once more.
        at = content.find(_MAGIC, at + 1)
    return None


def _parsed(content: mmap.mmap, at: int) -> GoBuild | None:
    header = content[at : at + _HEADER]
    if len(header) < _HEADER or not header[_FLAGS] & _STRINGS_FOLLOW:
        return None
    go, at = _string(content, at + _HEADER)
    modules, _ = _string(content, at)
    if not go.startswith((b"go", b"devel")) or len(modules) <= 2 * _SENTINEL:
        return None
    return _build(go.decode(errors="replace"), modules[_SENTINEL:-_SENTINEL].decode(errors="replace"))


def _string(content: mmap.mmap, at: int) -> tuple[bytes, int]:
    """A string that stands behind its length (a varint of at most five bytes here), and the position behind it."""
    length = 0
    for shift in range(0, 35, 7):
        byte = content[at : at + 1]
        if not byte:
            break
        at += 1
        length |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return (content[at : at + length], at + length) if length <= _LONGEST else (b"", at)
    return b"", at


def _build(go: str, text: str) -> GoBuild:
    module = version = last = ""
    dependencies: dict[str, str] = {}
    settings: dict[str, str] = {}
    for line in text.splitlines():
        kind, *rest = line.split("\t")
        first, second = (*rest, "", "")[:2]
        if kind == "mod":
            module, version = first, second
        elif kind == "dep":
            last, dependencies[first] = first, second
        elif kind == "=>" and last:
            dependencies[last] = f"=> {first} {second}".rstrip()
        elif kind == "build":
            name, _, value = first.partition("=")
            settings[name] = value.strip('"`')
    return GoBuild(go, module, version, dependencies, settings)
