"""Helm: libhelm in a process beside this one, or the helm program.

Setting: KASMGEN_HELM is "libhelm" (the default where helm-python-sdk is
installed) or the path of a helm program.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from kasmgen.errors import InputError, ToolError
from kasmgen.kubernetes.resources import Chart
from kasmgen.programs import libhelm, process
from kasmgen.yaml.documents import Yaml

SETTING = libhelm.SETTING
LEAST = (3, 14)
# What libhelm 4.2 tells charts; the program is told the same, so that both render alike.
KUBE_VERSION = "v1.36.0"

# A template may loop, and nest loops; the largest of charts need few seconds.
LONGEST = 120  # seconds for one render

_SOURCE = re.compile(r"^---\n# Source: (?P<template>[^\n]+)\n", re.MULTILINE)
_WORD = re.compile(r"[^\s:'\"()]+")
_TEMPORARY = "/kasmgen-"


@dataclass(frozen=True)
class LibHelm:
    """libhelm, and the process of it that renders. path: its file."""

    path: str
    version: str
    library: libhelm.HelmLibrary = field(compare=False, repr=False)

    def __str__(self) -> str:
        return f"libhelm {self.version}"


@dataclass(frozen=True)
class HelmProgram:
    """The helm program at `path`."""

    path: str
    version: str

    def __str__(self) -> str:
        return f"helm {self.version}"


Engine: TypeAlias = LibHelm | HelmProgram
"""What renders."""


def locate(library: libhelm.HelmLibrary) -> Engine:
    """The engine to use. Raises ToolError if there is none or it is too old."""
    setting = os.environ.get(SETTING, "")
    if setting and setting != "libhelm":
        return _program(setting)
    greeting = _greeting(library)
    if "missing" in greeting:
        found = shutil.which("helm")
        if found and not setting:
            return _program(found)
        raise ToolError(
            f"no Helm to render with ({greeting['missing']})",
            hint="pip install 'kasmgen[tools]', or put helm on PATH, or set KASMGEN_HELM",
        )
    return LibHelm(greeting["path"], greeting["version"], library)


def _greeting(library: libhelm.HelmLibrary) -> libhelm.Answer:
    try:
        return library.process().greeting.result(timeout=LONGEST)
    except (libhelm.EndedError, TimeoutError):
        return {"missing": "it does not start"}


def _program(path: str) -> HelmProgram:
    found = shutil.which(path)
    if not found:
        raise ToolError(f"{SETTING}: there is no program {path}", hint="give the path of helm, or 'libhelm'")
    said = process.run(found, "version", "--template", "{{.Version}}").stdout.decode()
    match = re.search(r"v?(\d+)\.(\d+)", said)
    if not match or (int(match[1]), int(match[2])) < LEAST:
        raise ToolError(f"{found} is helm {said.strip() or '?'}, at least {LEAST[0]}.{LEAST[1]} is needed")
    return HelmProgram(found, said.strip())


Texts = dict[str, str]
"""Template path -> rendered text, CRDs included, notes not."""


def render(engine: Engine, chart: Chart, values: Mapping[str, Yaml], release: str, namespace: str) -> Texts:
    """One render.

    Raises InputError for values that the chart refuses and for templates that
    fail, with what Helm said, and for charts that take more than they may.
    """
    return order(engine, chart, values, release, namespace, times=1)()[0]


def order(
    engine: Engine, chart: Chart, values: Mapping[str, Yaml], release: str, namespace: str, *, times: int
) -> Callable[[], list[Texts]]:
    """The same render `times` over; libhelm begins at once. What comes back waits for them, and raises as `render`."""
    match engine:
        case LibHelm(library=library):
            running = library.process()
            request = {"chart": chart.path, "values": dict(values), "name": release, "namespace": namespace}
            asked = [running.ask(request) for _ in range(times)]
            return lambda: _answered(running, asked, chart, values)
        case HelmProgram(path=path):
            return lambda: [_with_program(path, chart, values, release, namespace) for _ in range(times)]


def _answered(
    running: libhelm.HelmProcess, asked: Sequence[Future[libhelm.Answer]], chart: Chart, values: Mapping[str, Yaml]
) -> list[Texts]:
    try:
        answers = [answer.result(timeout=LONGEST) for answer in asked]
    except (libhelm.EndedError, TimeoutError):
        running.stop()
        raise _endless(chart) from None
    for answer in answers:
        if "refused" in answer:
            raise _refused(chart, answer["refused"], values)
        if "unreadable" in answer:
            raise _no_text(chart)
    return [_texts(answer) for answer in answers]


def _texts(answer: libhelm.Answer) -> Texts:
    kept = {path: text for path, text in answer["texts"].items() if not _is_notes(path) and text.strip()}
    return {**answer["crds"], **kept}


def _endless(chart: Chart) -> InputError:
    return InputError(
        f"chart {chart.name} does not render within {LONGEST} seconds and {libhelm.MEMORY >> 30} GB of memory",
        hint="look for a loop in its templates",
    )


def _no_text(chart: Chart) -> InputError:
    return InputError(
        f"chart {chart.name} renders bytes that are no UTF-8 text", hint="such data belongs into binaryData (b64enc)"
    )


def _with_program(path: str, chart: Chart, values: Mapping[str, Yaml], release: str, namespace: str) -> Texts:
    argv = ("template", release, chart.path, "--namespace", namespace, "--include-crds", "--values", "-")
    given = json.dumps(values).encode()
    try:
        done = process.run(
            path,
            *argv,
            "--kube-version",
            KUBE_VERSION,
            stdin=given,
            ok=range(256),
            secret=True,
            timeout=LONGEST,
            memory=libhelm.MEMORY,
        )
    except process.TimedOutError:
        raise _endless(chart) from None
    if b"out of memory" in done.stderr:
        raise _endless(chart)
    if done.code:
        raise _refused(chart, done.stderr.decode("utf-8", errors="replace"), values)
    try:
        text = "\n" + done.stdout.decode("utf-8")
    except UnicodeDecodeError:
        raise _no_text(chart) from None
    out: dict[str, str] = {}
    marks = list(_SOURCE.finditer(text))
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        body = text[mark.end() : following.start() if following else len(text)]
        template = mark["template"].strip()
        out[template] = f"{out[template]}\n---\n{body}" if template in out else body
    return out


def _is_notes(path: str) -> bool:
    return Path(path).name == "NOTES.txt" or Path(path).name.startswith("_")


# Keys whose values may be secrets: what Helm says of them is shown without the value.
_SECRET_KEY = re.compile(r"pass|secret|token|credential|private|key", re.IGNORECASE)
_LEAST_SECRET = 4  # characters; shorter ones would mask half of the message
_QUOTED_VALUE = re.compile(r"(at '[^']*': )'.*' (does not match pattern|is not valid \S+).*")
_ADVICE = "Use --debug flag to render out invalid YAML"
_LONGEST = 1500


def _refused(chart: Chart, said: str, values: Mapping[str, Yaml]) -> InputError:
    message = said.replace(_ADVICE, "").strip().removeprefix("Error: ")
    message = _WORD.sub(lambda word: _without_directory(word[0]), message).strip()
    for secret in sorted(_secrets(values, False), key=len, reverse=True):
        message = message.replace(secret, "***")
    if "values don't meet the specifications" in message:
        lines = [_without_value(line) for line in _reasons(message)]
        return InputError(
            f"chart {chart.name}: the values do not fit its schema: " + ("; ".join(lines) or _shortened(message)),
            hint="the path after 'at' is the path of the value",
        )
    return InputError(
        f"chart {chart.name} does not render: {_shortened(message)}", hint="set the values that the chart asks for"
    )


def _without_directory(word: str) -> str:
    """A path without the temporary directory and the chart's own folder in it."""
    # No regular expression: a chart says how long the message is, and to search it must take no longer than to read it.
    before, mark, after = word.rpartition(_TEMPORARY)
    *folders, rest = after.split("/", 2)
    return before.partition("/")[0] + rest if mark and len(folders) == 2 else word


def _without_value(line: str) -> str:
    # Sought first: without an end, the expression would look for it from each beginning anew.
    ends = "' does not match pattern" in line or "' is not valid " in line
    return _QUOTED_VALUE.sub(r"\1the value \2", line) if ends else line


def _reasons(message: str) -> list[str]:
    """What the schema minds. A line with others below it says only that one of them is the reason."""
    found = [(len(line) - len(line.lstrip()), line.strip("- ")) for line in message.splitlines() if "- at '" in line]
    below = [depth for depth, _ in found[1:]] + [0]
    return list(dict.fromkeys(line for (depth, line), next_ in zip(found, below, strict=True) if next_ <= depth))


def _secrets(values: Yaml, secret: bool) -> Iterator[str]:
    """Texts below keys that sound like secrets."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from _secrets(value, secret or bool(_SECRET_KEY.search(key)))
    elif isinstance(values, list):
        for item in values:
            yield from _secrets(item, secret)
    elif secret and isinstance(values, str) and len(values) >= _LEAST_SECRET:
        yield values


def _shortened(message: str) -> str:
    """The head, which says where, and the end, which says what."""
    if len(message) <= _LONGEST:
        return message
    return f"{message[: _LONGEST // 2]} ... {message[-_LONGEST // 2 :]}"
