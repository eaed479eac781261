"""Objects against schemas: those of Kubernetes, and the structural ones of CustomResourceDefinitions.

A schema is turned into functions once, and applied to hundreds of objects. The
keywords are those that Kubernetes allows in structural schemas (apiextensions/v1
JSONSchemaProps) and those in its own published JSON schemas.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from kasmgen.kubernetes import go_regexp
from kasmgen.yaml.documents import Yaml

Problems: TypeAlias = Iterator[tuple[str, str]]
"""(path, what is wrong) pairs."""

Check: TypeAlias = Callable[[Yaml, str], Problems]

_TYPES: dict[str, Callable[[Yaml], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: not isinstance(value, bool) and (isinstance(value, int) or _is_whole(value)),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
}
_CALLED = {"object": "a mapping", "array": "a list", "string": "text", "boolean": "true or false", "null": "nothing",
           "integer": "a whole number", "number": "a number"}  # fmt: skip


def _is_whole(value: Yaml) -> bool:
    return isinstance(value, float) and value.is_integer()


class Compiler:
    """Turns schemas into checks. definitions: what `$ref` may point to, by the last part of the pointer.

    closed: a mapping with `properties` takes no other keys (as server-side apply has it for custom resources).
    """

    def __init__(self, definitions: Mapping[str, Yaml] | None = None, *, closed: bool = False) -> None:
        self._definitions = definitions or {}
        self._closed = closed
        self._known: dict[str, Check] = {}

    def compile(self, schema: Yaml) -> Check:
        """The check for `schema`."""
        if not isinstance(schema, dict):
            return _nothing
        if "$ref" in schema:
            return self._reference(str(schema["$ref"]).rpartition("/")[2])
        parts = [*self._plain(schema), *self._nested(schema), *self._combined(schema)]
        nullable = schema.get("nullable") is True

        def check(value: Yaml, path: str) -> Problems:
            if value is None and nullable:
                return
            for part in parts:
                yield from part(value, path)

        return check

    def _reference(self, name: str) -> Check:
        if name not in self._known:
            # A definition may refer to itself, so the name is known before it is compiled.
            compiled: list[Check] = []
            self._known[name] = lambda value, path: compiled[0](value, path)
            compiled.append(self.compile(self._definitions.get(name)))
        return self._known[name]

    def _plain(self, schema: dict[str, Yaml]) -> Iterator[Check]:
        if schema.get("x-kubernetes-int-or-string"):
            yield _typed(["integer", "string"])
        elif isinstance(types := schema.get("type"), (str, list)):
            yield _typed([types] if isinstance(types, str) else types)
        if isinstance(allowed := schema.get("enum"), list):
            yield _among(allowed)
        yield from (make(schema[key]) for key, make in _LIMITS.items() if key in schema)
        if isinstance(pattern := schema.get("pattern"), str):
            yield _matching(pattern)

    def _nested(self, schema: dict[str, Yaml]) -> Iterator[Check]:
        if isinstance(items := schema.get("items"), dict):
            yield _each(self.compile(items))
        properties = schema.get("properties")
        others = schema.get("additionalProperties")
        if isinstance(required := schema.get("required"), list):
            yield _having(required)
        known = {key: self.compile(value) for key, value in properties.items()} if isinstance(properties, dict) else {}
        if schema.get("x-kubernetes-embedded-resource"):
            known = {**dict.fromkeys(("apiVersion", "kind", "metadata"), _nothing), **known}
        rest = self.compile(others) if isinstance(others, dict) else None
        open_ = schema.get("x-kubernetes-preserve-unknown-fields") is True or others is True or rest is not None
        refuse = others is False or (self._closed and isinstance(properties, dict) and not open_)
        if known or rest or refuse:
            yield _fields(known, rest, refuse)

    def _combined(self, schema: dict[str, Yaml]) -> Iterator[Check]:
        # Inside of these, mappings are open: the fields are declared outside.
        inner = Compiler(self._definitions) if self._closed else self
        for key, make in (("oneOf", _one_of), ("anyOf", _any_of), ("allOf", _all_of)):
            if isinstance(schema.get(key), list):
                yield make([inner.compile(option) for option in schema[key]])
        if isinstance(schema.get("not"), dict):
            yield _not(inner.compile(schema["not"]))


# --- the keywords --------------------------------------------------------


def _nothing(_value: Yaml, _path: str) -> Problems:
    return iter(())


def _typed(types: list[Yaml]) -> Check:
    tests = [_TYPES[name] for name in types if name in _TYPES]
    expected = " or ".join(_CALLED[name] for name in types if name in _CALLED and name != "null") or "nothing"

    def check(value: Yaml, path: str) -> Problems:
        if tests and not any(test(value) for test in tests):
            yield path, f"must be {expected}"

    return check


def _among(allowed: list[Yaml]) -> Check:
    def check(value: Yaml, path: str) -> Problems:
        if value is not None and value not in allowed:
            yield path, f"must be one of {', '.join(map(str, allowed[:12]))}"

    return check


def _matching(pattern: str) -> Check:
    def check(value: Yaml, path: str) -> Problems:
        if isinstance(value, str) and not _fits_pattern(pattern, value):
            yield path, f"must match {pattern}"

    return check


def _fits_pattern(pattern: str, text: str) -> bool:
    # Of a pattern that nobody can read nothing is claimed; the API server refuses the schema itself.
    try:
        return go_regexp.matches(pattern, text)
    except ValueError:
        return True


def _limit(kind: type | tuple[type, ...], holds: Callable[[Yaml, Yaml], bool], words: str) -> Callable[[Yaml], Check]:
    def make(bound: Yaml) -> Check:
        def check(value: Yaml, path: str) -> Problems:
            if isinstance(value, kind) and not isinstance(value, bool) and not holds(value, bound):
                yield path, words.format(bound)

        return check if isinstance(bound, (int, float)) or bound is True else _nothing

    return make


def _is_unique(value: Yaml, _bound: Yaml) -> bool:
    texts = [json.dumps(item, sort_keys=True) for item in value]
    return len(set(texts)) == len(texts)


_NUMBER = (int, float)
_LIMITS: dict[str, Callable[[Yaml], Check]] = {
    "minimum": _limit(_NUMBER, lambda value, bound: value >= bound, "must be at least {}"),
    "maximum": _limit(_NUMBER, lambda value, bound: value <= bound, "must be at most {}"),
    "multipleOf": _limit(_NUMBER, lambda value, bound: not bound or value % bound == 0, "must be a multiple of {}"),
    "minLength": _limit(str, lambda value, bound: len(value) >= bound, "must have at least {} characters"),
    "maxLength": _limit(str, lambda value, bound: len(value) <= bound, "must have at most {} characters"),
    "minItems": _limit(list, lambda value, bound: len(value) >= bound, "must have at least {} items"),
    "maxItems": _limit(list, lambda value, bound: len(value) <= bound, "must have at most {} items"),
    "minProperties": _limit(dict, lambda value, bound: len(value) >= bound, "must have at least {} keys"),
    "maxProperties": _limit(dict, lambda value, bound: len(value) <= bound, "must have at most {} keys"),
    "uniqueItems": _limit(list, _is_unique, "must not have the same item twice"),
}


def _each(item: Check) -> Check:
    def check(value: Yaml, path: str) -> Problems:
        if isinstance(value, list):
            for number, entry in enumerate(value):
                yield from item(entry, f"{path}[{number}]")

    return check


def _having(required: list[Yaml]) -> Check:
    def check(value: Yaml, path: str) -> Problems:
        if isinstance(value, dict):
            for key in required:
                if key not in value:
                    yield path, f"lacks {key}"

    return check


def _fields(known: Mapping[str, Check], rest: Check | None, refuse: bool) -> Check:
    def check(value: Yaml, path: str) -> Problems:
        if not isinstance(value, dict):
            return
        for key, entry in value.items():
            own = known.get(key, rest)
            if own is not None:
                yield from own(entry, f"{path}.{key}" if path else key)
            elif refuse:
                yield path, f"knows no {key}"

    return check


def _fits(option: Check, value: Yaml, path: str) -> bool:
    return next(iter(option(value, path)), None) is None


def _one_of(options: list[Check]) -> Check:
    def check(value: Yaml, path: str) -> Problems:
        fitting = sum(_fits(option, value, path) for option in options)
        # Each of Kubernetes' own alternatives takes null, and null is a field that is left out.
        if fitting != 1 and value is not None:
            yield path, "fits none of the allowed forms" if not fitting else "fits several of the allowed forms"

    return check


def _any_of(options: list[Check]) -> Check:
    def check(value: Yaml, path: str) -> Problems:
        if not any(_fits(option, value, path) for option in options):
            yield path, "fits none of the allowed forms"

    return check


def _all_of(options: list[Check]) -> Check:
    def check(value: Yaml, path: str) -> Problems:
        for option in options:
            yield from option(value, path)

    return check


def _not(option: Check) -> Check:
    def check(value: Yaml, path: str) -> Problems:
        if _fits(option, value, path):
            yield path, "has a form that is not allowed"

    return check
