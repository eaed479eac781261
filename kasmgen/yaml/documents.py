"""YAML in and out, with the meaning that Kubernetes gives it.

Reading follows sigs.k8s.io/yaml (go-yaml 2): YAML 1.1 booleans and octals,
dates stay text, of duplicate keys the last one counts, keys are text. Writing
emits only what every parser on the way (kubectl, kustomize, Flux, sops, PyYAML,
ruamel) reads as the same value.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from kasmgen.errors import InputError
from kasmgen.yaml.scalars import resolve, resolve_key, resolve_tagged

Yaml: TypeAlias = Any
"""A plain value: dict with text keys, list, str, int, float, bool or None."""

MAX_BYTES = 64 * 1024 * 1024
MAX_NODES = 1_000_000
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


class Mark(Protocol):
    """A place in a text, counted from 0; `index` in characters."""

    index: int
    line: int
    column: int


class Event(Protocol):
    """What the parser finds; PyYAML ships no types of its own."""

    start_mark: Mark
    end_mark: Mark


class NodeEvent(Event, Protocol):
    """A scalar, an alias, or the begin of a mapping or sequence."""

    anchor: str | None


class AliasEvent(Event, Protocol):
    """An alias; `anchor` is what it points to."""

    anchor: str


class ScalarEvent(NodeEvent, Protocol):
    """A scalar. implicit: whether it may be resolved by its text, if it is plain, and if it is not."""

    value: str
    tag: str | None
    implicit: tuple[bool, bool]


@dataclass
class _Frame:
    """A mapping or sequence that is still open.

    nodes_before, text_before: what had been counted when it began.
    """

    value: Yaml
    path: str
    anchor: str | None
    nodes_before: int
    text_before: int
    key: str | None = None
    merging: bool = False
    seen: set[str] = field(default_factory=set)


class _Builder:
    """Turns parser events into documents, within fixed bounds."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.nodes = 0
        self.text = 0
        self.reset()

    def reset(self) -> None:
        self.stack: list[_Frame] = []
        self.anchors: dict[str, tuple[Yaml, int, int] | None] = {}
        self.duplicates: list[str] = []
        self.root: Yaml = None

    def fail(self, what: str, event: Event) -> InputError:
        return InputError(f"{self.source}, line {event.start_mark.line + 1}: {what}")

    def count(self, nodes: int, text: int, event: Event) -> None:
        self.nodes += nodes
        self.text += text
        if self.nodes > MAX_NODES:
            raise self.fail(f"more than {MAX_NODES:,} values (aliases counted as what they stand for)", event)
        if self.text > MAX_BYTES:
            raise self.fail(f"more than {MAX_BYTES:,} characters (aliases counted as what they stand for)", event)

    def open(self, value: Yaml, event: NodeEvent) -> None:
        if len(self.stack) >= MAX_DEPTH:
            raise self.fail(f"nested deeper than {MAX_DEPTH} levels", event)
        self.stack.append(_Frame(value, self.here(), event.anchor, self.nodes, self.text))
        self.count(1, 0, event)
        if event.anchor:
            self.anchors[event.anchor] = None

    def here(self) -> str:
        if not self.stack:
            return ""
        frame = self.stack[-1]
        step = frame.key or "?" if isinstance(frame.value, dict) else str(len(frame.value))
        return f"{frame.path}.{step}" if frame.path else step

    def close(self, event: Event) -> None:
        frame = self.stack.pop()
        # An anchor of the same name inside came later and counts.
        if frame.anchor and self.anchors[frame.anchor] is None:
            nodes, text = self.nodes - frame.nodes_before, self.text - frame.text_before
            self.anchors[frame.anchor] = (frame.value, nodes, text)
        self.put(frame.value, event)

    def alias(self, event: AliasEvent) -> None:
        anchor = self.anchors.get(event.anchor)
        if anchor is None:
            raise self.fail(f"alias *{event.anchor} points to nothing that is complete before it", event)
        value, nodes, text = anchor
        self.count(nodes, text, event)
        self.put(_copy(value), event)

    def scalar(self, event: ScalarEvent) -> None:
        text = event.value
        self.count(1, len(text), event)
        try:
            if self.is_key() and not event.tag and event.implicit[0]:
                self.plain_key(text, event)
                return
            value = _scalar_value(text, event)
        except ValueError as error:
            raise self.fail(str(error), event) from None
        if event.anchor:
            self.anchors[event.anchor] = (value, 1, len(text))
        self.put(value, event)

    def is_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].value, dict) and self.stack[-1].key is None

    def plain_key(self, text: str, event: ScalarEvent) -> None:
        frame = self.stack[-1]
        frame.merging = text == "<<"
        frame.key = text if frame.merging else resolve_key(text)
        if event.anchor:
            self.anchors[event.anchor] = (resolve(text), 1, len(text))

    def put(self, value: Yaml, event: Event) -> None:
        if not self.stack:
            self.root = value
            return
        frame = self.stack[-1]
        if isinstance(frame.value, list):
            frame.value.append(value)
        elif frame.key is None:
            frame.key = self.key_text(value, event)
        elif frame.merging:
            frame.key, frame.merging = None, False
            self.merge(frame, value, event)
        else:
            key, frame.key = frame.key, None
            if key in frame.seen:
                self.duplicates.append(f"{frame.path}.{key}" if frame.path else key)
            frame.seen.add(key)
            frame.value[key] = value

    def merge(self, frame: _Frame, value: Yaml, event: Event) -> None:
        """As go-yaml does it: a merge wins over the keys above it, and loses to those below."""
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            raise self.fail("a merge key (<<) needs a mapping or a list of mappings", event)
        for part in reversed(parts):
            frame.value.update(_copy(part))

    def key_text(self, value: Yaml, event: Event) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (int, float)):
            return _number(value)
        raise self.fail("a key must be text, a number or a boolean", event)


def _copy(value: Yaml) -> Yaml:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _scalar_value(text: str, event: ScalarEvent) -> Yaml:
    tag = str(event.tag or "")
    if tag and tag != "!":
        return resolve_tagged(text, tag)
    return resolve(text) if event.implicit[0] and not tag else text


def events(text: str, source: str = "YAML") -> Iterator[Any]:
    """What the parser finds in `text`, one event after the other; the end of the stream is left out.

    The parser is libyaml of PyYAML, which is of the family that Kubernetes reads with;
    the older libyaml of ruamel.yaml refuses `[http://host]`. Raises InputError for what is no YAML.
    """
    # Imported here: `kasmgen --help` reads no YAML.
    from yaml import StreamEndEvent, YAMLError
    from yaml._yaml import CParser

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
    actions: dict[str, Callable[[Any], None]] = {
        "MappingStartEvent": lambda e: builder.open({}, e),
        "SequenceStartEvent": lambda e: builder.open([], e),
        "MappingEndEvent": builder.close,
        "SequenceEndEvent": builder.close,
        "ScalarEvent": builder.scalar,
        "AliasEvent": builder.alias,
    }
    documents: list[Document] = []
    line = 1
    for event in events(text, source):
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
_LONGEST_KEY = 1000  # characters; parsers look no further than 1024 for the colon
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
    # 1e+22 is text to readers of YAML 1.1, which want a dot in a number with an exponent.
    text = repr(value)
    return text if "." in text else text.replace("e", ".0e")


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


def _key(key: str, indent: str) -> str:
    """The key up to its colon; one that is too long for the short form takes a line of its own."""
    text = key if _plain_ok(key) else _quoted(key)
    return f"{indent}{text}:" if len(text) <= _LONGEST_KEY else f"{indent}? {text}\n{indent}:"


def _lines(value: Yaml, indent: str) -> Iterator[str]:
    """Lines of a mapping or sequence that is not empty, each with its indent."""
    if isinstance(value, dict):
        for key in sorted(value):
            head, item = _key(key, indent), value[key]
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
