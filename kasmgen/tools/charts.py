"""Charts on disk: a directory or a `.tgz`, copied once into a private directory.

All renders read the copy, so the chart cannot change between two of them, and
nothing in it (links, paths with `..`, endless archives) reaches outside.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from kasmgen import yamlio
from kasmgen.errors import InputError
from kasmgen.model import Chart
from kasmgen.yamlio import Yaml

MAX_FILES = 10_000
MAX_TOTAL = 100 * 1024 * 1024  # bytes; the bound that Helm has for an unpacked chart
BUILTIN = "builtin"


def builtin_path() -> Path:
    """The directory of the chart that comes with kasmgen."""
    return Path(__file__).parent.parent / "charts" / "kasm-single-zone"


def locate(source: str, root: Path) -> Path:
    """Where the chart of `source` ("builtin" or a path, relative ones from `root`) stands.

    Raises InputError if there is none.
    """
    path = builtin_path() if source == BUILTIN else root / Path(source).expanduser()
    if path.is_dir() and not (path / "Chart.yaml").is_file():
        raise InputError(
            f"chart {source}: the directory has no Chart.yaml",
            hint="name the directory that holds Chart.yaml",
        )
    if not path.exists():
        raise InputError(
            f"chart {source}: there is no such file or directory",
            hint="a chart is 'builtin', a directory or a .tgz file",
        )
    return path


def snapshot(path: Path, into: Path) -> Chart:
    """A private copy of the chart at `path` (directory or .tgz) below `into`.

    Raises InputError for what is no chart, for links that lead out of it, and
    for archives that are too large or try to write elsewhere.
    """
    into.mkdir(parents=True, exist_ok=True)
    files = _directory(path) if path.is_dir() else _archive(path)
    digest, total, count = hashlib.sha256(), 0, 0
    entries: dict[str, str] = {}
    for name, content in files:
        total, count = total + len(content), count + 1
        if total > MAX_TOTAL or count > MAX_FILES:
            raise InputError(f"chart {path.name}: more than {MAX_FILES:,} files or {MAX_TOTAL // 2**20} MiB")
        target = into / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        except (OSError, ValueError):
            raise InputError(f"chart {path.name}: the file name '{name[:80]}' cannot be used") from None
        entries[name] = hashlib.sha256(content).hexdigest()
    for name in sorted(entries):
        digest.update(f"{entries[name]}  {name}\n".encode())
    return _describe(path, into, f"sha256:{digest.hexdigest()}")


def _describe(path: Path, into: Path, digest: str) -> Chart:
    metadata = _load_yaml(into / "Chart.yaml", f"chart {path.name}: Chart.yaml")
    if (
        not isinstance(metadata, dict)
        or not isinstance(metadata.get("name"), str)
        or not metadata.get("version")
    ):
        raise InputError(f"chart {path.name}: Chart.yaml needs a name and a version")
    if metadata.get("type") == "library":
        raise InputError(f"chart {path.name}: a library chart renders nothing by itself")
    return Chart(
        name=metadata["name"],
        version=str(metadata["version"]),
        app_version=str(metadata.get("appVersion") or ""),
        digest=digest,
        path=str(into),
    )


def _directory(root: Path) -> Iterator[tuple[str, bytes]]:
    real = root.resolve()
    for directory, folders, files in os.walk(real, followlinks=False):
        folders[:] = sorted(f for f in folders if f != ".git")
        here = Path(directory)
        for name in (*sorted(files), *[f for f in folders if (here / f).is_symlink()]):
            path = here / name
            if path.is_symlink() and not path.resolve().is_relative_to(real):
                raise InputError(
                    f"chart {root.name}: {path.relative_to(real)} is a link that leads out of the chart"
                )
            if path.is_symlink() and path.is_dir():
                raise InputError(
                    f"chart {root.name}: {path.relative_to(real)} is a link to a directory",
                    hint="put the files there",
                )
            if not path.is_file():
                raise InputError(f"chart {root.name}: {path.relative_to(real)} is no regular file")
            if path.stat().st_size > MAX_TOTAL:
                raise InputError(
                    f"chart {root.name}: {path.relative_to(real)} is larger than {MAX_TOTAL // 2**20} MiB"
                )
            yield path.relative_to(real).as_posix(), path.read_bytes()


def _archive(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        # Read as a stream: an archive that unpacks without end is left at the bound.
        with tarfile.open(path, mode="r|gz") as archive:
            yield from _members(archive, path.name)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise InputError(f"chart {path.name}: no gzipped tar archive ({error})") from None


def _members(archive: tarfile.TarFile, source: str) -> Iterator[tuple[str, bytes]]:
    for count, member in enumerate(archive):
        if count > MAX_FILES:
            raise InputError(f"chart {source}: more than {MAX_FILES:,} files")
        parts = PurePosixPath(member.name.removeprefix("./")).parts
        if member.name.startswith("/") or ".." in parts or "\\" in member.name or "\0" in member.name:
            raise InputError(f"chart {source}: the path '{member.name[:80]}' leads out of the archive")
        if member.isdir() or member.type in (tarfile.XGLTYPE, tarfile.XHDTYPE):
            continue
        if not member.isreg():
            raise InputError(
                f"chart {source}: '{member.name[:80]}' is a link or a device", hint="charts hold plain files"
            )
        if member.size > MAX_TOTAL:
            raise InputError(f"chart {source}: '{member.name[:80]}' is larger than {MAX_TOTAL // 2**20} MiB")
        if len(parts) < 2:
            continue  # a packaged chart stands in one folder of its name
        content = archive.extractfile(member)
        assert content is not None
        yield "/".join(parts[1:]), content.read()


def _load_yaml(path: Path, source: str) -> Yaml:
    try:
        return yamlio.load(path.read_text(encoding="utf-8-sig"), source)
    except FileNotFoundError:
        raise InputError(f"{source}: the file is missing") from None
    except UnicodeDecodeError:
        raise InputError(f"{source}: not UTF-8 text") from None


def defaults(chart: Chart) -> Yaml:
    """The chart's own `values.yaml`, {} if it has none."""
    path = Path(chart.path, "values.yaml")
    value = _load_yaml(path, f"chart {chart.name}: values.yaml") if path.exists() else {}
    return value if isinstance(value, dict) else {}


def rewrite_schemas(
    chart: Chart, relax: Callable[[Yaml, Yaml], tuple[Yaml, tuple[str, ...]]]
) -> tuple[str, ...]:
    """Put each `values.schema.json` of the copy (subcharts too) through `relax(schema, defaults)`.

    Returns what was taken out, as "<chart folder>: <path>".
    """
    changed: list[str] = []
    for path in sorted(Path(chart.path).rglob("values.schema.json")):
        folder = path.parent
        if not (folder / "Chart.yaml").is_file():
            continue
        try:
            schema = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            raise InputError(f"chart {chart.name}: {path.relative_to(chart.path)} is no JSON") from None
        values = folder / "values.yaml"
        own = (
            _load_yaml(values, f"chart {chart.name}: {values.relative_to(chart.path)}")
            if values.exists()
            else {}
        )
        relaxed, dropped = relax(schema, own)
        if dropped:
            path.write_text(json.dumps(relaxed))
            name = chart.name if folder == Path(chart.path) else folder.relative_to(chart.path).as_posix()
            changed += [f"{name}: {item}" for item in dropped]
    return tuple(changed)
