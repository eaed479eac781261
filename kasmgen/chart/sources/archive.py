"""The files of a chart, read from a directory or a gzipped archive that somebody else made."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from kasmgen import safe_text
from kasmgen.errors import InputError

MAX_FILES = 10_000
MAX_TOTAL = 100 * 1024 * 1024  # bytes; the bound that Helm has for an unpacked chart


def read(path: Path) -> Iterator[tuple[str, bytes]]:
    """Path in the chart, with forward slashes -> content of each file of the chart at `path`.

    Raises InputError for links that lead out, for what is no plain file, and beyond the bounds.
    """
    total = 0
    for count, (name, content) in enumerate(_directory(path) if path.is_dir() else _archive(path), 1):
        total += len(content)
        if total > MAX_TOTAL or count > MAX_FILES:
            raise InputError(f"chart {path.name}: more than {MAX_FILES:,} files or {MAX_TOTAL // 2**20} MiB")
        yield name, content


def _directory(root: Path) -> Iterator[tuple[str, bytes]]:
    def stop(error: OSError) -> None:
        raise error

    try:
        real = root.resolve()
        for directory, folders, files in os.walk(real, followlinks=False, onerror=stop):
            folders[:] = sorted(f for f in folders if f != ".git")
            here = Path(directory)
            for name in (*sorted(files), *[f for f in folders if (here / f).is_symlink()]):
                path = here / name
                yield path.relative_to(real).as_posix(), _content(path, real, f"chart {root.name}")
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        reason = error.strerror if isinstance(error, OSError) else "links that lead in a circle"
        raise InputError(f"chart {root.name}: cannot be read: {reason}") from None


def _content(path: Path, root: Path, source: str) -> bytes:
    """The content of a file of a chart's directory. Raises InputError if it is none of the chart's own."""
    shown = f"{source}: {safe_text.shown(path.relative_to(root).as_posix())}"
    if path.is_symlink() and not path.resolve().is_relative_to(root):
        raise InputError(f"{shown} is a link that leads out of the chart")
    if path.is_symlink() and path.is_dir():
        raise InputError(f"{shown} is a link to a directory", hint="put the files there")
    if not path.is_file():
        raise InputError(f"{shown} is no regular file")
    if path.stat().st_size > MAX_TOTAL:
        raise InputError(f"{shown} is larger than {MAX_TOTAL // 2**20} MiB")
    return path.read_bytes()


class _Bounded(io.RawIOBase):
    """Unpacks a gzip stream up to a bound: also headers of an archive may go on without end."""

    def __init__(self, packed: gzip.GzipFile, source: str) -> None:
        self.packed, self.source, self.left = packed, source, 2 * MAX_TOTAL

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        self.left -= max(size, 0)
        if self.left < 0 or size < 0:
            raise InputError(f"{self.source}: unpacks to more than {2 * MAX_TOTAL // 2**20} MiB")
        return self.packed.read(size)


def _archive(path: Path) -> Iterator[tuple[str, bytes]]:
    source = f"chart {path.name}"
    try:
        # Read as a stream: an archive that unpacks without end is left at the bound.
        with (
            gzip.open(path) as packed,
            tarfile.open(fileobj=_Bounded(packed, source), mode="r|") as archive,
        ):
            yield from _members(archive, source)
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise InputError(f"{source}: no gzipped tar archive ({error})") from None


def _members(archive: tarfile.TarFile, source: str) -> Iterator[tuple[str, bytes]]:
    for count, member in enumerate(archive):
        shown = f"{source}: '{safe_text.shown(member.name)}'"
        if count > MAX_FILES:
            raise InputError(f"{source}: more than {MAX_FILES:,} files")
        parts = PurePosixPath(member.name.removeprefix("./")).parts
        if member.name.startswith("/") or ".." in parts or "\\" in member.name or "\0" in member.name:
            raise InputError(f"{shown} leads out of the archive")
        if member.isdir() or member.type in (tarfile.XGLTYPE, tarfile.XHDTYPE):
            continue
        content = archive.extractfile(member) if member.isreg() else None
        if content is None:
            raise InputError(f"{shown} is a link or a device", hint="charts hold plain files")
        if member.size > MAX_TOTAL:
            raise InputError(f"{shown} is larger than {MAX_TOTAL // 2**20} MiB")
        if len(parts) < 2:
            continue  # a packaged chart stands in one folder of its name
        yield "/".join(parts[1:]), content.read()
