"""Charts on disk: a directory or a `.tgz`, copied once into a private directory.

All renders read the copy, so the chart cannot change between two of them, and
nothing in it (links, paths with `..`, endless archives) reaches outside.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from kasmgen import safe_text
from kasmgen.chart.sources import archive
from kasmgen.errors import InputError
from kasmgen.kubernetes.resources import Chart
from kasmgen.yaml import documents
from kasmgen.yaml.documents import Yaml

BUILTIN = "builtin"


def builtin_path() -> Path:
    """The directory of the chart that comes with kasmgen."""
    return Path(__file__).parents[2] / "charts" / "kasm-single-zone"


def locate(source: str, root: Path) -> Path:
    """Where the chart of `source` ("builtin" or a path, relative ones from `root`) stands.

    Raises InputError if there is none.
    """
    try:
        # Of a project that is not there yet, as in a dry run, nothing can be looked up on the way.
        path = builtin_path() if source == BUILTIN else Path(os.path.normpath(root / Path(source).expanduser()))
        missing = not path.exists()
    except (OSError, RuntimeError, ValueError):  # a name that no file can have, ~ of nobody
        missing, path = True, root
    if not missing and path.is_dir() and not (path / "Chart.yaml").is_file():
        raise InputError(
            f"chart {source}: the directory has no Chart.yaml",
            hint="name the directory that holds Chart.yaml",
        )
    if missing:
        raise InputError(
            f"chart {safe_text.shown(source)}: there is no such file or directory",
            hint="a chart is 'builtin', a directory or a .tgz file",
        )
    return path


def snapshot(path: Path, into: Path) -> Chart:
    """A private copy of the chart at `path` (directory or .tgz) below `into`.

    Raises InputError for what is no chart, for links that lead out of it, for
    archives that are too large or try to write elsewhere, and for dependencies
    that are not in its `charts/`.
    """
    into.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    entries: dict[str, str] = {}
    for name, content in archive.read(path):
        _write(into, name, content, f"chart {path.name}: the file name '{safe_text.shown(name)}' cannot be used")
        entries[name] = hashlib.sha256(content).hexdigest()
    for name in sorted(entries):
        digest.update(f"{entries[name]}  {name}\n".encode())
    return _describe(path, into, f"sha256:{digest.hexdigest()}")


def _write(into: Path, name: str, content: bytes, problem: str) -> None:
    # Names with control characters could steer a terminal, or end a line of the digest.
    if not name.isprintable():
        raise InputError(problem)
    try:
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    except (OSError, ValueError):
        raise InputError(problem) from None


def _describe(path: Path, into: Path, digest: str) -> Chart:
    source = f"chart {path.name}"
    metadata = _load_yaml(into / "Chart.yaml", f"{source}: Chart.yaml")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str) or not metadata.get("version"):
        raise InputError(f"{source}: Chart.yaml needs a name and a version")
    name, version = metadata["name"], str(metadata["version"])
    # Both stand in marks, in commit messages and on terminals. Rules: Helm's chart names, and SemVer.
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,250}", name) or not re.fullmatch(r"[A-Za-z0-9._+-]{1,250}", version):
        raise InputError(f"{source}: Chart.yaml has a name or version that Helm does not allow")
    if metadata.get("type") == "library":
        raise InputError(f"{source}: a library chart renders nothing by itself")
    _require_dependencies(into, metadata, source)
    return Chart(
        name=name,
        version=version,
        app_version=str(metadata.get("appVersion") or ""),
        digest=digest,
        path=str(into),
    )


def _require_dependencies(chart: Path, metadata: dict[str, Yaml], source: str) -> None:
    """Refuse a chart whose dependencies are not all there: libhelm would render it without them and say nothing."""
    listed = metadata.get("dependencies")
    requirements = chart / "requirements.yaml"  # where charts of apiVersion v1 have them
    if listed is None and requirements.is_file():
        found = _load_yaml(requirements, f"{source}: requirements.yaml")
        listed = found.get("dependencies") if isinstance(found, dict) else None
    wanted = [item.get("name") for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    there = set(_subcharts(chart / "charts", source))
    for name in wanted:
        if not any(name == one or re.fullmatch(re.escape(str(name)) + r"-v?\d.*", one) for one in there):
            raise InputError(
                f"{source}: its dependency '{safe_text.shown(str(name))}' is not in its charts/ folder",
                hint="run `helm dependency build` on the chart first",
            )


def _subcharts(folder: Path, source: str) -> Iterator[str]:
    """Names of the subcharts that are directories, and "<name>-<version>" of packed ones."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_file() and path.suffix in (".tgz", ".gz"):
            yield path.name.removesuffix(".gz").removesuffix(".tgz").removesuffix(".tar")
        elif (path / "Chart.yaml").is_file():
            found = _load_yaml(path / "Chart.yaml", f"{source}: charts/{path.name}/Chart.yaml")
            yield str(found.get("name")) if isinstance(found, dict) else path.name


def _load_yaml(path: Path, source: str) -> Yaml:
    try:
        return documents.load(path.read_text(encoding="utf-8-sig"), source)
    except FileNotFoundError:
        raise InputError(f"{source}: the file is missing") from None
    except UnicodeDecodeError:
        raise InputError(f"{source}: not UTF-8 text") from None


def defaults(chart: Chart) -> Yaml:
    """The chart's own `values.yaml`, {} if it has none."""
    path = Path(chart.path, "values.yaml")
    value = _load_yaml(path, f"chart {chart.name}: values.yaml") if path.exists() else {}
    return value if isinstance(value, dict) else {}


def rewrite_schemas(chart: Chart, relax: Callable[[Yaml, Yaml], tuple[Yaml, tuple[str, ...]]]) -> tuple[str, ...]:
    """Put each `values.schema.json` of the copy (subcharts too) through `relax(schema, defaults)`.

    Returns what was taken out, as "<chart folder>: <path>".
    """
    changed: list[str] = []
    for path in sorted(Path(chart.path).rglob("values.schema.json")):
        folder = path.parent
        if not (folder / "Chart.yaml").is_file():
            continue
        own = _own_values(folder, chart)
        try:
            relaxed, dropped = relax(json.loads(path.read_bytes()), own)
        except (ValueError, RecursionError):
            raise InputError(f"chart {chart.name}: {path.relative_to(chart.path)} is no JSON") from None
        if dropped:
            path.write_text(json.dumps(relaxed))
            name = chart.name if folder == Path(chart.path) else folder.relative_to(chart.path).as_posix()
            changed += [f"{name}: {item}" for item in dropped]
    return tuple(changed)


def _own_values(folder: Path, chart: Chart) -> Yaml:
    values = folder / "values.yaml"
    source = f"chart {chart.name}: {values.relative_to(chart.path)}"
    return _load_yaml(values, source) if values.exists() else {}
