"""Input files by declaration: one class says what may stand in a file, and everything else follows from it.

A class of fields (`Input`) gives reading with errors that name file and path, writing with defaults left out, and the
JSON Schema that editors use. msgspec holds the types; what it cannot know of a text (that it is a host name, say) is a
function of `names` beside the field.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Self, TypeAlias, TypeVar

import msgspec
from msgspec import inspect, structs

from kasmgen import safe_text
from kasmgen.errors import InputError
from kasmgen.yaml.documents import Yaml

I = TypeVar("I", bound="Input")  # noqa: E741 - the one kind of input

Check = Callable[[str, str], str]
"""(text, what it is) -> the text in its canonical spelling. Raises InputError that names `what`."""

Schema: TypeAlias = Mapping[str, Yaml]
"""A JSON Schema, or a part of one."""

Called = Callable[[str], str]
"""Path of a field, such as `flux.url`, -> what errors call it. The path of the whole mapping is ""."""


def in_file(source: str) -> Called:
    """Errors name the file, and the path in it."""
    return lambda path: f"{source}: {path}" if path else source


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """A mapping of an input file. Names of fields are camelCase in the file."""

    def replace(self, **changes: object) -> Self:
        """The same, with other values in some fields."""
        return structs.replace(self, **changes)


@dataclass(frozen=True)
class _Said:
    check: Check | None = None
    missing: str = ""


def says(description: str, *, check: Check | None = None, missing: str = "", **schema: object) -> msgspec.Meta:
    """What a field says to people and to editors.

    check: makes its text canonical or refuses it. missing: the next step where a required field is not there. schema:
    more of its JSON Schema, such as `pattern`, which editors hold the text to before kasmgen does.
    """
    described = {"description": description} if description else {}
    return msgspec.Meta(extra_json_schema={**described, **schema}, extra={"said": _Said(check, missing)})


@cache
def _fields(cls: type[Input]) -> tuple[inspect.Field, ...]:
    found = inspect.type_info(cls)
    return found.fields if isinstance(found, inspect.StructType) else ()


def _plain(kind: inspect.Type) -> tuple[inspect.Type, _Said]:
    """A type without what is said of it, and without "or nothing"; and what is said."""
    said = _Said()
    while True:
        if isinstance(kind, inspect.Metadata):
            said = (kind.extra or {}).get("said", said)
            kind = kind.type
        elif isinstance(kind, inspect.UnionType):
            kind = next(part for part in kind.types if not isinstance(part, inspect.NoneType))
        else:
            return kind, said


# --- reading -----------------------------------------------------------------


def read(
    value: Mapping[str, Yaml],
    cls: type[I],
    called: Called,
    *,
    beside: Sequence[str] = (),
    fixed: Mapping[str, str] | None = None,
) -> I:
    """The mapping of a file as a `cls`, its texts in canonical spelling. Raises InputError.

    A key without a value is a key that is not there. beside: keys that were read before. fixed: fields that
    do not stand in the file, and what they are.
    """
    known = [field.encode_name for field in _fields(cls) if field.encode_name not in (fixed or {})]
    for key in value:
        if key not in known:
            raise unknown_key(called(safe_text.shown(key)), key, [*known, *beside])
    value = {**value, **(fixed or {})}
    try:
        found = msgspec.convert(_present(value, inspect.type_info(cls)), cls)
    except msgspec.ValidationError as error:
        for explained in _wrong(value, inspect.type_info(cls), called, ""):
            raise explained from None
        raise InputError(f"{called('')}: {error}") from None
    return _canonical(found, called, "")


def _present(value: Yaml, kind: inspect.Type) -> Yaml:
    """`value` without the keys that have no value, as far as the declaration goes."""
    kind, _ = _plain(kind)
    if isinstance(kind, inspect.StructType) and isinstance(value, dict):
        kinds = {field.encode_name: field.type for field in kind.fields}
        kept = {key: item for key, item in value.items() if not (key in kinds and item in (None, ""))}
        return {key: _present(item, kinds[key]) if key in kinds else item for key, item in kept.items()}
    if isinstance(kind, inspect.DictType) and isinstance(value, dict) and _is_declared(kind.value_type):
        return {key: _present({} if item is None else item, kind.value_type) for key, item in value.items()}
    if isinstance(kind, inspect.VarTupleType) and isinstance(value, list):
        return [_present(item, kind.item_type) for item in value]
    return value


def _is_declared(kind: inspect.Type) -> bool:
    return isinstance(_plain(kind)[0], inspect.StructType)


def _canonical(found: I, called: Called, path: str) -> I:
    changes: dict[str, object] = {}
    for field in _fields(type(found)):
        here = f"{path}.{field.encode_name}".removeprefix(".")
        old = getattr(found, field.name)
        new = _checked(old, field.type, called, here)
        if new is not old:
            changes[field.name] = new
    return structs.replace(found, **changes) if changes else found


def _checked(value: object, kind: inspect.Type, called: Called, path: str) -> object:
    kind, said = _plain(kind)
    if isinstance(value, Input):
        return _canonical(value, called, path)
    if isinstance(value, str) and said.check and value:
        return said.check(value, called(path))
    if isinstance(kind, inspect.VarTupleType) and isinstance(value, tuple):
        shown = [f"{path}[{number}]" if isinstance(item, Input) else path for number, item in enumerate(value)]
        return tuple(_checked(item, kind.item_type, called, here) for item, here in zip(value, shown, strict=True))
    if isinstance(kind, inspect.DictType) and isinstance(value, dict) and _is_declared(kind.value_type):
        return {key: _checked(item, kind.value_type, called, f"{path}.{key}") for key, item in value.items()}
    return value


# --- what is wrong, in words of ours ----------------------------------------


def _wrong(value: Yaml, kind: inspect.Type, called: Called, path: str) -> Iterator[InputError]:
    """What keeps `value` from being of a kind; first what a reader meets first."""
    kind, _ = _plain(kind)
    where = f"{called(path)}: "
    match kind:
        case inspect.StructType():
            yield from _wrong_mapping(value, kind, called, path)
        case inspect.StrType() if not isinstance(value, str):
            yield InputError(f"{where}text is expected", hint="put quotes around it")
        case inspect.IntType() if not isinstance(value, int) or isinstance(value, bool):
            yield InputError(f"{where}a whole number is expected")
        case inspect.IntType(ge=least, le=most) if not (least or value) <= value <= (most or value):
            yield InputError(f"{where}must be {least} to {most}")
        case inspect.DictType() if not isinstance(value, dict):
            yield InputError(f"{where}a mapping is expected")
        case inspect.DictType() if _is_declared(kind.value_type):
            for key, item in value.items():
                yield from _wrong(item if item is not None else {}, kind.value_type, called, f"{path}.{key}")
        case inspect.VarTupleType() if not isinstance(value, list):
            yield InputError(f"{where}a list is expected")
        case inspect.VarTupleType() if _is_declared(kind.item_type):
            for number, item in enumerate(value):
                yield from _wrong(item, kind.item_type, called, f"{path}[{number}]")
        case inspect.VarTupleType() if any(not isinstance(item, str) for item in value):
            yield InputError(f"{where}a list of texts is expected")


def _wrong_mapping(value: Yaml, kind: inspect.StructType, called: Called, path: str) -> Iterator[InputError]:
    where = f"{called(path)}: "
    if not isinstance(value, dict):
        yield InputError(f"{where}a mapping is expected")
        return
    kinds = {field.encode_name: field for field in kind.fields}
    for key, item in value.items():
        here = f"{path}.{key}".removeprefix(".")
        if key not in kinds:
            yield unknown_key(called(f"{path}.{safe_text.shown(key)}".removeprefix(".")), key, kinds)
        elif item not in (None, ""):
            yield from _wrong(item, kinds[key].type, called, here)
    for key, field in kinds.items():
        if field.required and value.get(key) in (None, ""):
            hint = _plain(field.type)[1].missing
            yield InputError(f"{called(f'{path}.{key}'.removeprefix('.'))}: is missing", hint=hint)


def unknown_key(what: str, key: str, known: Collection[str]) -> InputError:
    """The error for a key that nobody declared, with the nearest one that somebody did."""
    near = difflib.get_close_matches(key, known, 1, 0.5)
    hint = f"perhaps you meant '{near[0]}'" if near else f"known keys: {', '.join(sorted(known))}"
    return InputError(f"{what}: unknown key", hint=hint)


# --- writing, and the schema -------------------------------------------------


def plain(found: Input) -> dict[str, Yaml]:
    """All fields under the keys of the file, also those that are as their default."""
    return {
        field.encode_name: msgspec.json.decode(msgspec.json.encode(getattr(found, field.name)))
        for field in _fields(type(found))
    }


def written(found: Input) -> dict[str, Yaml]:
    """What has to stand in the file: no field that is as its default, and none without anything in it."""
    said: dict[str, Yaml] = _said(msgspec.to_builtins(found), inspect.type_info(type(found)))
    return said


def _said(value: Yaml, kind: inspect.Type) -> Yaml:
    kind, _ = _plain(kind)
    if isinstance(kind, inspect.StructType):
        fields = {field.encode_name: field for field in kind.fields}
        # msgspec leaves out what is the default itself, and not what is only equal to it.
        usual = kind.cls.__struct_config__.omit_defaults
        kept = {key: item for key, item in value.items() if not (usual and item == fields[key].default)}
        said = {key: _said(item, fields[key].type) for key, item in kept.items()}
        return {key: item for key, item in said.items() if item not in ("", None, [], {})}
    if isinstance(kind, inspect.VarTupleType):
        return [_said(item, kind.item_type) for item in value]
    if isinstance(kind, inspect.DictType) and _is_declared(kind.value_type):
        return {key: _said(item, kind.value_type) for key, item in value.items()}
    return value


def schema(cls: type[Input], *, beside: Mapping[str, Schema], fixed: Collection[str] = ()) -> Schema:
    """The JSON Schema (2020-12) of a file: it takes what `read` takes, as far as a schema can tell.

    beside: keys that are read before, and their schemas. fixed: fields that do not stand in the file.
    """
    body = _schema(inspect.type_info(cls))
    fields = {key: item for key, item in body["properties"].items() if key not in fixed}
    required = [*beside, *(key for key in body.get("required", ()) if key not in fixed)]
    return {**body, "required": required, "properties": {**beside, **fields}}


def _schema(kind: inspect.Type) -> Schema:
    match kind:
        case inspect.Metadata():
            return {**_schema(kind.type), **(kind.extra_json_schema or {})}
        case inspect.UnionType():
            return _schema(next(part for part in kind.types if not isinstance(part, inspect.NoneType)))
        case inspect.StrType():
            return {"type": "string"}
        case inspect.IntType():
            return {"type": "integer", "minimum": kind.ge, "maximum": kind.le}
        case inspect.VarTupleType():
            return {"type": "array", "items": _anchored(_schema(kind.item_type))}
        case inspect.DictType() if _is_declared(kind.value_type):
            return {"type": "object", "additionalProperties": _optional(_schema(kind.value_type))}
        case inspect.DictType():
            return {"type": "object"}
        case inspect.StructType():
            required = [field.encode_name for field in kind.fields if field.required]
            return {
                "type": "object",
                "additionalProperties": False,
                **({"required": required} if required else {}),
                "properties": {field.encode_name: _property(field) for field in kind.fields},
            }
    raise TypeError(f"no field of an input is of the kind {kind}")


def _property(field: inspect.Field) -> Schema:
    found = _schema(field.type)
    if field.required:
        return _anchored({**found, "minLength": 1} if found.get("type") == "string" else found)
    default = {"default": field.default} if isinstance(field.default, str) and field.default else {}
    return _optional({**found, **default})


def _anchored(found: Schema) -> Schema:
    return {**found, "pattern": f"^{found['pattern']}$"} if "pattern" in found else found


def _optional(found: Schema) -> Schema:
    """A schema that takes nothing as well, and for a text an empty one."""
    if "enum" in found:
        return {**{key: item for key, item in found.items() if key != "type"}, "enum": [*found["enum"], "", None]}
    pattern = {"pattern": f"^({found['pattern']})?$"} if "pattern" in found else {}
    return {**found, "type": [found["type"], "null"], **pattern}
