"""Keeping values of Secrets out of sight: wrapped in the model, masked in every text."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Iterator
from typing import cast

from kasmgen.kubernetes.resources import Object, Secret
from kasmgen.secrets.sealed_file import SECTIONS, is_sealed_value
from kasmgen.yaml.documents import Yaml

MASK = "(hidden)"
SHORTEST = 6
"""Characters that a value needs to be masked elsewhere; shorter ones occur by chance."""

_SHORTEST_LINE = 16
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_CREDENTIALS = frozenset(("password", "auth", "token", "identitytoken", "registrytoken"))


def is_sealed(obj: Object | None) -> bool:
    """Whether `obj` is a Secret under sops, so that what is not ciphertext in it is a mistake."""
    return isinstance(obj, dict) and isinstance(obj.get("sops"), dict)


def wrap(obj: Object) -> Object:
    """`obj` with the clear values of every Secret in it (a List may hold some) wrapped as `Secret`."""
    return cast(Object, _wrapped(obj)) if _may_hold_secrets(obj) else obj


def _may_hold_secrets(obj: Object) -> bool:
    kind = obj.get("kind")
    return kind == "Secret" or (isinstance(kind, str) and kind.endswith("List"))


def _wrapped(value: Yaml) -> Yaml:
    if isinstance(value, list):
        return [_wrapped(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("kind") != "Secret":
        return {key: _wrapped(item) for key, item in value.items()}
    return {key: _wrapped_field(key, item) for key, item in value.items()}


def _wrapped_field(key: str, value: Yaml) -> Yaml:
    if key in SECTIONS:
        return {k: _hide(v) for k, v in value.items()} if isinstance(value, dict) else _hide(value)
    if key == "metadata" and isinstance(value, dict) and isinstance(value.get("annotations"), dict):
        annotations = {k: _hide(v) if k == _LAST_APPLIED else v for k, v in value["annotations"].items()}
        return {**value, "annotations": annotations}
    return value


def _hide(value: Yaml) -> Yaml:
    # JSON, so that what is taken out again has the type that went in.
    return value if is_sealed_value(value) or value is None else Secret(json.dumps(value))


def reveal(value: Yaml) -> Yaml:
    """`value` with everything that `wrap` hid taken out again. Never for what is shown."""
    if isinstance(value, Secret):
        return json.loads(value.reveal())
    if isinstance(value, dict):
        return {key: reveal(item) for key, item in value.items()}
    return [reveal(item) for item in value] if isinstance(value, list) else value


def clear_values(obj: Object) -> dict[str, bytes]:
    """The values of a wrapped Secret as Kubernetes hands them to pods: decoded, `stringData` over `data`."""
    values: dict[str, bytes] = {}
    for section in SECTIONS:
        items = obj.get(section)
        for key, value in items.items() if isinstance(items, dict) else ():
            if isinstance(value, Secret):
                plain = reveal(value)
                text = plain if isinstance(plain, str) else json.dumps(plain)
                values[key] = _decoded(text) if section == "data" else text.encode("utf-8", "surrogatepass")
            elif value == "":
                values[key] = b""
    return values


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return text.encode("utf-8", "surrogatepass")


def known_values(objects: Iterable[Object]) -> frozenset[str]:
    """Every text that would give away a value that stands in clear in a Secret among `objects`.

    Values of 6 characters and more, their lines of 16 and more, the passwords in a
    registry login, and the base64 of all of these.
    """
    return frozenset(text for obj in objects for text in _texts_of(obj))


def _texts_of(obj: Object) -> Iterator[str]:
    for secret in _secrets(wrap(obj)) if _may_hold_secrets(obj) else ():
        for value in clear_values(secret).values():
            yield from _revealing(value)
        for wrapped in _all_wrapped(secret):
            plain = reveal(wrapped)
            if isinstance(plain, str) and len(plain) >= SHORTEST:
                yield plain


def _secrets(value: Yaml) -> Iterator[Object]:
    """The Secrets that `wrap` finds in an object."""
    if isinstance(value, dict) and value.get("kind") == "Secret":
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _secrets(item)


def _all_wrapped(value: Yaml) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _all_wrapped(item)


def _revealing(value: bytes) -> Iterator[str]:
    if len(value) < SHORTEST:
        return
    yield base64.b64encode(value).decode()
    yield base64.urlsafe_b64encode(value).decode().rstrip("=")
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return
    for part in {text, text.strip(), *_lines(text), *_credentials(text)}:
        if len(part) >= SHORTEST:
            yield part
            yield base64.b64encode(part.encode()).decode()


def _lines(text: str) -> Iterator[str]:
    """Lines that tell something by themselves: a key that was indented or cut is still found by them."""
    for written in text.splitlines() if "\n" in text else ():
        line = written.strip()
        if len(line) >= _SHORTEST_LINE and not line.startswith("-----"):
            yield line


def _credentials(text: str) -> Iterator[str]:
    try:
        document = json.loads(text) if text.lstrip().startswith("{") else None
    except (ValueError, RecursionError):
        return
    pending = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            yield from (v for k, v in value.items() if k in _CREDENTIALS and isinstance(v, str))
        if isinstance(value, (dict, list)):
            pending.extend(value.values() if isinstance(value, dict) else value)


def masker(known: Iterable[str]) -> Callable[[str], str]:
    """A function that replaces every known value in a text, long ones first."""
    # What is written in quotes or JSON looks different from what it stands for.
    escaped = {json.dumps(value, ensure_ascii=narrow)[1:-1] for value in known for narrow in (True, False)}
    ordered = sorted({*known, *escaped}, key=lambda value: (-len(value), value))

    def mask(text: str) -> str:
        for value in ordered:
            if value in text:
                text = text.replace(value, MASK)
        return text

    return mask
