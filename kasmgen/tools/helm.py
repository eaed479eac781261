"""Helm: libhelm in process, or the helm program.

Setting: KASMGEN_HELM is "libhelm" (the default where helm-python-sdk is
installed) or the path of a helm program.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kasmgen import proc
from kasmgen.errors import InputError, ToolError
from kasmgen.model import Chart
from kasmgen.yamlio import Yaml

SETTING = "KASMGEN_HELM"
LEAST = (3, 14)
# What libhelm 4.2 tells charts; the program is told the same, so that both render alike.
KUBE_VERSION = "v1.36.0"

_SOURCE = re.compile(r"^---\n# Source: (?P<template>[^\n]+)\n", re.MULTILINE)
_TEMPORARY = re.compile(r"(?:/[^\s:'\"()]+)?/kasmgen-[^/\s]+/[^/\s]+/")


@dataclass(frozen=True)
class Engine:
    """What renders: "libhelm" or the helm program at `path`."""

    kind: Literal["libhelm", "program"]
    path: str
    version: str

    def __str__(self) -> str:
        return f"libhelm {self.version}" if self.kind == "libhelm" else f"helm {self.version}"


@functools.cache
def locate() -> Engine:
    """The engine to use. Raises ToolError if there is none or it is too old."""
    setting = os.environ.get(SETTING, "")
    if setting and setting != "libhelm":
        return _program(setting)
    try:
        import helm_python
    except Exception as error:  # noqa: BLE001 - a broken native library raises whatever its loader raises
        found = shutil.which("helm")
        if found and not setting:
            return _program(found)
        raise ToolError(
            f"no Helm to render with ({type(error).__name__})",
            hint="pip install 'kasmgen[tools]', or put helm on PATH, or set KASMGEN_HELM",
        ) from None
    return Engine("libhelm", str(helm_python.library_path), helm_python.helm_sdk_version())


def _program(path: str) -> Engine:
    found = shutil.which(path)
    if not found:
        raise ToolError(f"{SETTING}: there is no program {path}", hint="give the path of helm, or 'libhelm'")
    said = proc.run(found, "version", "--template", "{{.Version}}").stdout.decode()
    match = re.search(r"v?(\d+)\.(\d+)", said)
    if not match or (int(match[1]), int(match[2])) < LEAST:
        raise ToolError(f"{found} is helm {said.strip() or '?'}, at least {LEAST[0]}.{LEAST[1]} is needed")
    return Engine("program", found, said.strip())


def render(
    engine: Engine, chart: Chart, values: Mapping[str, Yaml], release: str, namespace: str
) -> dict[str, str]:
    """Template path -> rendered text, CRDs included, notes not.

    Raises InputError for values that the chart refuses and for templates that
    fail, with what Helm said.
    """
    if engine.kind == "libhelm":
        return _with_library(chart, values, release, namespace)
    return _with_program(engine.path, chart, values, release, namespace)


def _with_library(chart: Chart, values: Mapping[str, Yaml], release: str, namespace: str) -> dict[str, str]:
    import helm_python
    from helm_python.errors import HelmError

    try:
        loaded, crds = _loaded(chart.path)
        rendered = loaded.render(dict(values), name=release, namespace=namespace)
    except HelmError as error:
        raise _refused(chart, str(error)) from None
    del helm_python
    out = {f"{chart.name}/{name}": text for name, text in crds}
    out |= {path: text for path, text in rendered.items() if not _is_notes(path) and text.strip()}
    return out


@functools.lru_cache(maxsize=8)
def _loaded(path: str) -> tuple[Any, tuple[tuple[str, str], ...]]:
    import helm_python

    chart = helm_python.Chart.load(path)
    return chart, tuple((crd["filename"], crd["data"]) for crd in chart.crds)


def _with_program(
    path: str, chart: Chart, values: Mapping[str, Yaml], release: str, namespace: str
) -> dict[str, str]:
    argv = ("template", release, chart.path, "--namespace", namespace, "--include-crds", "--values", "-")
    done = proc.run(
        path,
        *argv,
        "--kube-version",
        KUBE_VERSION,
        stdin=json.dumps(values).encode(),
        ok=range(256),
        secret=True,
    )
    if done.code:
        raise _refused(chart, done.stderr.decode("utf-8", errors="replace"))
    text = "\n" + done.stdout.decode("utf-8")
    out: dict[str, str] = {}
    marks = list(_SOURCE.finditer(text))
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        body = text[mark.end() : following.start() if following else len(text)]
        template = mark["template"].strip()
        out[template] = f"{out[template]}\n---\n{body}" if template in out else body
    return out


def _is_notes(path: str) -> bool:
    return Path(path).name == "NOTES.txt" or Path(path).name.startswith("_")


def _refused(chart: Chart, said: str) -> InputError:
    message = _TEMPORARY.sub("", said.strip().removeprefix("Error: ")).strip()
    if "values don't meet the specifications" in message:
        lines = [line.strip("- ") for line in message.splitlines() if line.startswith("- at ")]
        return InputError(
            f"chart {chart.name}: the values do not fit its schema: " + ("; ".join(lines) or message[:1500]),
            hint="the path after 'at' is the path of the value",
        )
    return InputError(
        f"chart {chart.name} does not render: {message[:1500]}", hint="set the values that the chart asks for"
    )


def helm_versions() -> str:
    """The engine in words, for commit trailers."""
    return str(locate())
