"""Values that people pass: files and `--set`, and what must not be written down from them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from kasmgen import safe_text
from kasmgen.chart import secret_values
from kasmgen.chart import set_expression as v
from kasmgen.errors import InputError, SecretError
from kasmgen.kubernetes.resources import Render, ResourceId, Secret
from kasmgen.secrets import required
from kasmgen.secrets.required import Fixed, RequiredSecret, data_of
from kasmgen.yaml import documents, mappings
from kasmgen.yaml.documents import Yaml


def read(files: Sequence[str], sets: Sequence[str]) -> dict[str, Yaml]:
    """Files over each other in their order ("-" is standard input), then every `--set`."""
    given = mappings.merge(*(_file(name) for name in files))
    for expression in sets:
        given = v.parse_set(expression, onto=given)
    return given


# A schema of Helm, our own words, and what a template says that fails.
_PATH = re.compile(r"at '/([^']*)'|(?:(?:^|: )values\.|execution error at \([^)]*\): )([\w.-]*\w)")
# Helm puts the names that a schema does not know behind the path of the mapping that they stand in.
_UNKNOWN = re.compile(r"at '/?([^']*)': additional propert(?:y|ies) (.+?) not allowed")


@contextmanager
def named(files: Sequence[str], sets: Sequence[str]) -> Iterator[None]:
    """Let a refusal of a value say with which option it came."""
    try:
        yield
    except (InputError, SecretError) as error:
        paths = _paths(error.message)
        found = options(files, sets, lambda given: any(_says(given, path) for path in paths))
        if not found and paths and "-" in files:
            found = ["--values -"]
        if not found:
            raise
        raise type(error)(f"{', '.join(found)}: {error.message}", hint=error.hint) from None


def _paths(message: str) -> list[list[str]]:
    """The values that a refusal is about."""
    unknown = [
        [*filter(None, place.split("/")), name]
        for place, quoted in _UNKNOWN.findall(message)
        for name in re.findall("'([^']*)'", quoted)
    ]
    known = _PATH.findall(_UNKNOWN.sub("", message))
    return unknown + [(a or b.replace(".", "/")).split("/") for a, b in known]


def options(files: Sequence[str], sets: Sequence[str], test: Callable[[dict[str, Yaml]], bool]) -> list[str]:
    """The options that brought values which pass `test`: "--set", "--values FILE". Standard input was read already."""
    inputs = [("--set", v.parse_set(expression)) for expression in sets]
    inputs += [(f"--values {name}", _file(name)) for name in files if name != "-"]
    return list(dict.fromkeys(option for option, given in inputs if test(given)))


def _says(given: Yaml, path: Sequence[str]) -> bool:
    """Whether a value stands at `path`, or is in the way to it."""
    for key in path:
        if not isinstance(given, dict):
            return True
        if key not in given:
            return False
        given = given[key]
    return True


def _file(name: str) -> dict[str, Yaml]:
    value = read_yaml(name, "--values")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"--values {name}: a mapping is expected")
    return value


def read_yaml(name: str, option: str, *, strict: bool = False) -> Yaml:
    """The one YAML document of the file `name`, or of standard input for "-". strict: no key twice."""
    text = read_text(name, option)
    if strict and any(document.duplicates for document in documents.load_all(text, f"{option} {name}")):
        raise InputError(f"{option} {name}: a key stands there twice")
    return documents.load(text, f"{option} {name}")


def read_text(name: str, option: str) -> str:
    """The text of the file `name`, or of standard input for "-". Raises InputError that names the option."""
    try:
        content = sys.stdin.buffer.read(documents.MAX_BYTES + 1) if name == "-" else _bounded(Path(name), option)
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{option} {name}: not UTF-8 text") from None
    except OSError as error:
        raise InputError(f"{option} {name}: {error.strerror}") from None


def _bounded(path: Path, option: str) -> bytes:
    with path.open("rb") as file:
        content = file.read(documents.MAX_BYTES + 1)
    if len(content) > documents.MAX_BYTES:
        raise InputError(f"{option} {path}: larger than {documents.MAX_BYTES // 2**20} MiB")
    return content


# --- values that would put a secret into Git -----------------------------------


def lift(
    given: Mapping[str, Yaml],
    defaults: Mapping[str, Yaml],
    render: secret_values.Attempt,
    plain: Collection[str] = (),
) -> tuple[dict[str, Yaml], tuple[RequiredSecret, ...]]:
    """Values without secrets, and what came of them: Secrets with the keys that the chart makes of them only.

    defaults: the chart's own values. render: the chart with some values in place of `given`. plain: paths ("a.b")
    that people say are no secrets. Raises InputError for what looks like a secret and would stand in clear, and
    where the chart does not render the same without what is sealed.
    """
    require_values(given, plain)
    found = secret_values.find(given, defaults, render, plain)
    if found.loud:
        raise InputError(f"these look like secrets and would be committed in clear: {told(found.loud)}", hint=NEXT)
    if not found.sealed:
        return dict(given), ()
    whole = render(given)
    why = ""
    for rest in _without(given, found.sealed):
        bare, why = _rendered_alike(render, rest, whole)
        if bare is not None:
            texts = [text.encode() for path, text in mappings.text_leaves(given) if path in found.sealed]
            return rest, _came_of(texts, whole, render(given), bare)
    _refuse(found.sealed, f"go into Secrets and may not be written to Git, and {why}")
    return dict(given), ()


def _without(given: Mapping[str, Yaml], paths: Sequence[mappings.Path]) -> list[dict[str, Yaml]]:
    """`given` without what stands at the paths: without the items of lists that this empties, and with them."""
    rest = dict(given)
    for path in reversed(paths):
        rest = mappings.without(rest, path)
    short = mappings.without_empty_items(rest)
    return [rest] if short == rest else [short, rest]


def _rendered_alike(
    render: secret_values.Attempt, rest: Mapping[str, Yaml], whole: Render
) -> tuple[Render | None, str]:
    """The render with `rest`, if the difference to `whole` is only what Secrets lack; and why it is not."""
    try:
        bare = render(rest)
    except InputError as error:
        return None, f"without them: {error.message}"
    if not secret_values.others_alike(bare, whole):
        return None, "other objects depend on them"
    taken = _taken_away(whole, bare)
    return (None, f"without them the chart makes {', '.join(taken)} too") if taken else (bare, "")


NEXT = "use a Secret that exists, if the chart offers that, or leave it out; if it is no secret: --plain PATH"


def told(loud: Mapping[mappings.Path, str]) -> str:
    """Values and why they would not be sealed, for a message."""
    return ", ".join(f"{'.'.join(path)} ({why})" for path, why in loud.items())


def require_values(given: Mapping[str, Yaml], plain: Collection[str]) -> None:
    """Raise InputError for a path of `plain` that no value of `given` has: it would be none, or another, later."""
    known = {".".join(path) for path, _ in mappings.text_leaves(given)}
    for path in plain:
        if path not in known:
            raise InputError(f"--plain {safe_text.shown(path)}: no value that goes into the file stands there")


def _refuse(
    paths: Sequence[mappings.Path], why: str, hint: str = "use a Secret that exists, if the chart offers that"
) -> None:
    if paths:
        raise InputError(f"the values {', '.join('.'.join(path) for path in paths)} {why}", hint=hint)


def _taken_away(whole: Render, bare: Render) -> list[str]:
    """What the chart makes only without the values: whoever renders without them would add it."""
    return [
        f"{key.name}/{name}"
        for key, item in bare.secrets.items()
        for name in data_of(item.object).keys() - _data(whole, key).keys()
    ] + [str(key) for key in bare.secrets if key not in whole.secrets]


def _came_of(texts: Sequence[bytes], whole: Render, again: Render, bare: Render) -> tuple[RequiredSecret, ...]:
    """What the lifted texts made of the Secrets; what is random anyway is not counted."""
    found: list[RequiredSecret] = []
    for key, item in whole.secrets.items():
        second, before = _data(again, key), _data(bare, key)
        entries = {
            name: Fixed(value)
            for name, value in data_of(item.object).items()
            if name not in before or _is_of(texts, value, second.get(name), before[name])
        }
        if entries or key not in bare.secrets:
            found.append(replace(required.from_render(item, None), entries=entries))
    return tuple(found)


def _is_of(texts: Sequence[bytes], value: Secret, again: Secret | None, before: Secret) -> bool:
    """Whether the texts, not chance, made `value`: it is the same `again`, and it was another one `before`."""
    if value == again:
        return value != before
    # A password hash with a salt is random, and still of the password.
    return any(len(text) >= _LEAST_LENGTH and text in value.reveal() for text in texts)


def _data(render: Render, key: ResourceId) -> dict[str, Secret]:
    return data_of(render.secrets[key].object) if key in render.secrets else {}


_LEAST_LENGTH = 4  # shorter texts (true, 8080, db) are in every Secret by accident
