"""YAML in and out, with the meaning that Kubernetes gives it.

Reading follows sigs.k8s.io/yaml (go-yaml 2): YAML 1.1 booleans and octals,
dates stay text, of duplicate keys the last one counts, keys are text. Writing
emits only what every parser on the way (kubectl, kustomize, Flux, sops, PyYAML,
ruamel) reads as the same value.
"""

from __future__ import annotations

import base64
import copy
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from kasmgen.errors import InputError

Yaml: TypeAlias = Any
"""A plain value: dict with text keys, list, str, int, float, bool or None."""

MAX_BYTES = 64 * 1024 * 1024
MAX_NODES = 2_000_000
MAX_DEPTH = 150


@dataclass(frozen=True)
class Document:
    """One YAML document.

    value: the plain value. duplicates: dotted paths of keys that stood there
    more than once. line: where the document begins, counted from 1.
    """

    value: Yaml
    duplicates: tuple[str, ...] = ()
    line: int = 1


# --- reading -------------------------------------------------------------

_BOOLEANS: dict[str, bool] = {
    **dict.fromkeys(["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"], True),
    **dict.fromkeys(["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"], False),
}
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_RADIX = (
    ("0x", 16, re.compile("[0-9a-fA-F]+")),
    ("0b", 2, re.compile("[01]+")),
    ("0o", 8, re.compile("[0-7]+")),
)


def _go_int(text: str) -> int | None:
    sign = "-" if text[:1] == "-" else ""
    digits = text.lstrip("+-") if text[:1] in "+-" and text[1:2] not in "+-" else text
    for prefix, base, allowed in _RADIX:
        if digits[:2].lower() == prefix:
            return int(sign + digits[2:], base) if allowed.fullmatch(digits[2:]) else None
    if len(digits) > 1 and digits[0] == "0":
        return int(sign + digits[1:], 8) if re.fullmatch("[0-7]+", digits[1:]) else None
    return int(sign + digits) if re.fullmatch("[0-9]+", digits) else None


def resolve(text: str) -> Yaml:
    """The value that Kubernetes reads from the plain scalar `text`.

    Timestamps and sexagesimal numbers stay text. Raises ValueError for `.inf`
    and `.nan`, which JSON cannot say.
    """
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(text)
    if text[0] == ".":
        return float(text) if _FLOAT.fullmatch(text) else text
    plain = text.replace("_", "")
    number = _go_int(plain)
    if number is not None and -(2**63) <= number < 2**64:
        return number
    if _FLOAT.fullmatch(plain):
        value = float(plain)
        if not math.isinf(value):
            return int(value) if value == int(value) and abs(value) < 1e21 else value
    return text


@dataclass
class _Frame:
    """A mapping or sequence that is still open."""

    value: Yaml
    path: str
    anchor: str | None
    nodes_before: int
    key: str | None = None
    has_key: bool = False
    seen: set[str] = field(default_factory=set)
    merges: list[Yaml] = field(default_factory=list)


class _Builder:
    """Turns parser events into documents, within fixed bounds."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.nodes = 0
        self.reset()

    def reset(self) -> None:
        self.stack: list[_Frame] = []
        self.anchors: dict[str, tuple[Yaml, int]] = {}
        self.duplicates: list[str] = []
        self.root: Yaml = None

    def fail(self, what: str, event: Any) -> InputError:
        line = event.start_mark.line + 1 if event.start_mark else "?"
        return InputError(f"{self.source}, line {line}: {what}")

    def count(self, more: int, event: Any) -> None:
        self.nodes += more
        if self.nodes > MAX_NODES:
            raise self.fail(f"more than {MAX_NODES:,} values (aliases counted as what they stand for)", event)

    def open(self, value: Yaml, event: Any) -> None:
        self.count(1, event)
        if len(self.stack) >= MAX_DEPTH:
            raise self.fail(f"nested deeper than {MAX_DEPTH} levels", event)
        self.stack.append(_Frame(value, self.here(), event.anchor, self.nodes))

    def here(self) -> str:
        if not self.stack:
            return ""
        frame = self.stack[-1]
        step = frame.key or "?" if isinstance(frame.value, dict) else str(len(frame.value))
        return f"{frame.path}.{step}" if frame.path else step

    def close(self, event: Any) -> None:
        frame = self.stack.pop()
        for merged in frame.merges:
            for key, value in merged.items():
                if key not in frame.value:
                    frame.value[key] = copy.deepcopy(value)
        if frame.anchor:
            self.anchors[frame.anchor] = (frame.value, self.nodes - frame.nodes_before + 1)
        self.put(frame.value, event)

    def alias(self, event: Any) -> None:
        if event.anchor not in self.anchors:
            raise self.fail(f"alias *{event.anchor} points to nothing before it", event)
        value, size = self.anchors[event.anchor]
        self.count(size, event)
        self.put(copy.deepcopy(value), event)

    def scalar(self, event: Any) -> None:
        self.count(1, event)
        frame = self.stack[-1] if self.stack else None
        is_key = frame is not None and isinstance(frame.value, dict) and not frame.has_key
        if is_key and event.value == "<<" and event.implicit[0]:
            assert frame is not None
            frame.key, frame.has_key = "<<", True
            frame.merges.append(None)
            return
        try:
            value = _scalar_value(event)
        except ValueError as error:
            raise self.fail(f"{error} cannot be said in JSON", event) from None
        if event.anchor:
            self.anchors[event.anchor] = (value, 1)
        self.put(value, event)

    def put(self, value: Yaml, event: Any) -> None:
        if not self.stack:
            self.root = value
            return
        frame = self.stack[-1]
        if isinstance(frame.value, list):
            frame.value.append(value)
        elif not frame.has_key:
            frame.key, frame.has_key = self.key_text(value, event), True
        else:
            frame.has_key = False
            assert frame.key is not None
            self.put_pair(frame, frame.key, value, event)

    def put_pair(self, frame: _Frame, key: str, value: Yaml, event: Any) -> None:
        if frame.merges and frame.merges[-1] is None:
            parts = value if isinstance(value, list) else [value]
            if not all(isinstance(part, dict) for part in parts):
                raise self.fail("a merge key (<<) needs a mapping or a list of mappings", event)
            frame.merges[-1:] = parts
            return
        if key in frame.seen:
            self.duplicates.append(f"{frame.path}.{key}" if frame.path else key)
        frame.seen.add(key)
        frame.value[key] = value

    def key_text(self, value: Yaml, event: Any) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (int, float)):
            return _number(value)
        raise self.fail("a key must be text, a number or a boolean", event)


def _scalar_value(event: Any) -> Yaml:
    text: str = event.value
    tag = str(event.tag) if event.tag else ""
    if tag.endswith(":binary"):
        return base64.b64decode(text).decode("utf-8", errors="replace")
    if tag.endswith(":float"):
        return float(text)
    if event.implicit[0] or tag.endswith((":int", ":bool", ":null")):
        return resolve(text)
    return text


def _events(text: str, source: str) -> Iterator[Any]:
    # Imported here: `kasmgen --help` reads no YAML.
    from _ruamel_yaml import CParser
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.events import StreamEndEvent

    try:
        parser = CParser(text)
        while not isinstance(event := parser.get_event(), StreamEndEvent):
            yield event
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{source}{where}: not YAML: {getattr(error, 'problem', None) or error}") from None
    except UnicodeError:
        raise InputError(f"{source}: not UTF-8 text") from None


def load_all(text: str, source: str = "YAML") -> list[Document]:
    """All documents of `text` that say something; empty ones are left out.

    `source` names the text in errors. Raises InputError for text that is not
    YAML, that JSON cannot say, or that is beyond the bounds of this module.
    """
    if len(text) > MAX_BYTES:
        raise InputError(f"{source}: larger than {MAX_BYTES // 2**20} MiB")
    builder = _Builder(source)
    actions = {
        "MappingStartEvent": lambda e: builder.open({}, e),
        "SequenceStartEvent": lambda e: builder.open([], e),
        "MappingEndEvent": builder.close,
        "SequenceEndEvent": builder.close,
        "ScalarEvent": builder.scalar,
        "AliasEvent": builder.alias,
    }
    documents: list[Document] = []
    line = 1
    for event in _events(text, source):
        kind = type(event).__name__
        if kind in actions:
            actions[kind](event)
        elif kind == "DocumentStartEvent":
            builder.reset()
            line = event.start_mark.line + 1
        elif kind == "DocumentEndEvent" and builder.root is not None:
            documents.append(Document(builder.root, tuple(builder.duplicates), line))
    return documents


def load(text: str, source: str = "YAML") -> Yaml:
    """The one document of `text`; None if it is empty.

    Raises InputError as `load_all` does, and if there is more than one.
    """
    documents = load_all(text, source)
    if len(documents) > 1:
        raise InputError(f"{source}: holds {len(documents)} YAML documents, one is expected")
    return documents[0].value if documents else None


# --- writing -------------------------------------------------------------

_PLAIN = re.compile(r"[A-Za-z_/.][A-Za-z0-9_./+=,@%()-]*(?:[ :][A-Za-z0-9_./+=,@%()-]+)*")
_QUANTITY = re.compile(r"[0-9]{1,9}(?:m|Ki|Mi|Gi|Ti)")
_NOT_LITERAL = re.compile(r"[^\x20-\x7e\n\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_ESCAPE = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
# Words that some parser on the way takes for something else than text.
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "none"])


def _plain_ok(text: str) -> bool:
    if _QUANTITY.fullmatch(text):
        return True
    if not _PLAIN.fullmatch(text) or text.lower().lstrip(".+-") in _WORDS:
        return False
    return text[0] != "." or text.strip(".0123456789_eE+-") != ""


def _literal_ok(text: str) -> bool:
    """Whether `text` survives as a block literal in every parser (kustomize's is the picky one)."""
    if "\n" not in text or _NOT_LITERAL.search(text) or text[0] == "\n":
        return False
    lines = text.split("\n")
    if any(line != line.rstrip() for line in lines):
        return False
    first = next((line for line in lines if line), "")
    return bool(first) and first[0] != " "


def _quoted(text: str) -> str:
    out = json.dumps(text, ensure_ascii=False)
    return _ESCAPE.sub(lambda m: f"\\u{ord(m[0]):04x}", out)


def _literal(text: str, indent: str) -> str:
    body = text.rstrip("\n")
    trailing = len(text) - len(body)
    chomp = {0: "-", 1: ""}.get(trailing, "+")
    lines = "".join(f"\n{indent}{line}" if line else "\n" for line in text.removesuffix("\n").split("\n"))
    return f"|{chomp}{lines}"


def _number(value: int | float) -> str:
    if isinstance(value, int):
        return str(value)
    if math.isinf(value) or math.isnan(value):
        raise ValueError(f"{value} cannot be said in JSON")
    return repr(value)


def _scalar(value: Yaml, indent: str) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return _number(value)
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} is no YAML value")
    if _plain_ok(value):
        return value
    return _literal(value, indent) if _literal_ok(value) else _quoted(value)


def _key(key: str) -> str:
    return key if _plain_ok(key) else _quoted(key)


def _lines(value: Yaml, indent: str) -> Iterator[str]:
    """Lines of a mapping or sequence that is not empty, each with its indent."""
    if isinstance(value, dict):
        for key in sorted(value):
            head, item = f"{indent}{_key(key)}:", value[key]
            if isinstance(item, dict) and item:
                yield head
                yield from _lines(item, indent + "  ")
            elif isinstance(item, list) and item:
                yield head
                yield from _lines(item, indent)
            else:
                yield f"{head} {_leaf(item, indent + '  ')}"
        return
    for item in value:
        if isinstance(item, (dict, list)) and item:
            inner = list(_lines(item, indent + "  "))
            yield f"{indent}- {inner[0].removeprefix(indent + '  ')}"
            yield from inner[1:]
        else:
            yield f"{indent}- {_leaf(item, indent + '  ')}"


def _leaf(value: Yaml, indent: str) -> str:
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return "[]"
    return _scalar(value, indent)


def dump(value: Yaml) -> str:
    """`value` as one YAML document: keys sorted, 2 spaces, no anchors, newline at the end."""
    if isinstance(value, (dict, list)) and value:
        return "\n".join(_lines(value, "")) + "\n"
    return _leaf(value, "  ") + "\n"
