"""1xx: the files in the repository are what the inputs say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kasmgen.check.rule import ERROR, Hit, Rule
from kasmgen.errors import KasmgenError
from kasmgen.layout import marks, paths


@dataclass(frozen=True)
class Generated:
    """What must be there, and what is.

    planned: path -> content that the inputs ask for. present: the same paths and generated
    files that nobody asked for -> content on disk, None if there is none. missing: Secrets
    that the chart asks for -> what would happen to them. orphans: files of Flux objects
    without an environment.yaml -> whether the overlay that they apply is still there.
    unreadable: why the inputs cannot be read.
    """

    planned: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    present: Mapping[str, bytes | None] = field(default_factory=dict, repr=False)
    missing: Mapping[str, str] = field(default_factory=dict)
    orphans: Mapping[str, bool] = field(default_factory=dict)
    unreadable: tuple[tuple[str, KasmgenError], ...] = ()


def _hit(path: str, message: str) -> Hit:
    return Hit(message, path, environment=paths.environment(path))


def _same(present: bytes, planned: bytes) -> bool:
    # With core.autocrlf=true git puts CRLF into the work tree and takes it out again.
    return present == planned or (b"\r" not in planned and present.replace(b"\r\n", b"\n") == planned)


def _is_ours(content: bytes) -> bool:
    return isinstance(marks.read(content), marks.Unedited) or marks.is_sealed_by_us(content)


def inputs(generated: Generated) -> Iterator[Hit]:
    for environment, error in generated.unreadable:
        yield Hit(error.message, environment=environment, next_step=error.hint)


def edited(generated: Generated) -> Iterator[Hit]:
    for path, content in generated.present.items():
        if content is not None and isinstance(marks.read(content), marks.Edited):
            yield _hit(path, "the file is generated, and somebody has edited it")


def missing(generated: Generated) -> Iterator[Hit]:
    for path in generated.planned:
        if generated.present.get(path) is None:
            yield _hit(path, "the file must be there and is not")


def stale(generated: Generated) -> Iterator[Hit]:
    for path, planned in generated.planned.items():
        content = generated.present.get(path)
        if content is None or _same(content, planned) or isinstance(marks.read(content), marks.Edited):
            continue
        if _is_ours(planned) and not _is_ours(content):
            yield _hit(path, "a file that kasmgen did not make stands where a generated one must be")
        else:
            yield _hit(path, "the file is not what the inputs say")


def left_over(generated: Generated) -> Iterator[Hit]:
    for path, content in generated.present.items():
        if path not in generated.planned and content is not None and isinstance(marks.read(content), marks.Unedited):
            yield _hit(path, "the file is generated, and nothing asks for it any longer")


def secrets(generated: Generated) -> Iterator[Hit]:
    return (_hit(path, what) for path, what in generated.missing.items())


def orphans(generated: Generated) -> Iterator[Hit]:
    for path, applied in generated.orphans.items():
        overlay = paths.overlay(paths.environment(path))
        if applied:
            what = f"Flux still applies {overlay}, but nobody renders or checks that any more"
            step = f"restore {overlay}/environment.yaml; or remove {path} and {overlay}, once the deployment may go"
        else:
            what = "its overlay is gone; removing it, too, makes Flux delete the deployment"
            step = f"restore {overlay}; or remove {path}, once the deployment may go"
        yield Hit(f"{overlay}/environment.yaml is not there: {what}", path, "", paths.environment(path), 0, step)


_RENDER = "run `kasmgen render` and commit what it changes"

RULES: tuple[Rule[Generated], ...] = (
    Rule(
        "KG101",
        ERROR,
        "the inputs cannot be read",
        "`kasmgen.yaml`, an `environment.yaml`, `.sops.yaml` or the recorded chart is not what it must be, so nothing "
        "can be rendered from it.",
        "correct the file",
        inputs,
    ),
    Rule(
        "KG102",
        ERROR,
        "a generated file was edited",
        "Generated files carry a checksum. What is edited by hand is lost with the next `kasmgen render`, and nothing "
        "says why it was done.",
        "move the edit into environment.yaml or a patch of your own, and run `kasmgen render --force`",
        edited,
    ),
    Rule(
        "KG103",
        ERROR,
        "a generated file is missing",
        "The inputs ask for a file that is not there: `render` was not run, or somebody deleted it.",
        _RENDER,
        missing,
    ),
    Rule(
        "KG104",
        ERROR,
        "a file is not what the inputs say",
        "The inputs or the chart changed and `render` was not run, or its result was not committed. What Flux applies "
        "is not what reviewers of the inputs believe.",
        _RENDER,
        stale,
    ),
    Rule(
        "KG105",
        ERROR,
        "a generated file is left over",
        "A file carries kasmgen's mark, and the inputs no longer ask for it.",
        _RENDER,
        left_over,
    ),
    Rule(
        "KG106",
        ERROR,
        "a Secret that the chart asks for is not sealed",
        "Pods would wait for a Secret that is not there, or for a key that it lacks.",
        "run `kasmgen render`, where a private key fits if keys have to be added to a sealed file",
        secrets,
    ),
    Rule(
        "KG107",
        ERROR,
        "Flux objects without an environment",
        "Objects below `clusters/` belong to no environment.yaml. Flux still reconciles them, with what nobody "
        "renders or checks any more; removing them makes Flux delete what they applied.",
        "remove them once the deployment may go, or restore the environment",
        orphans,
    ),
)
