"""Strategic merge patches that kustomize 5 applies with exactly the result that is asked for.

Rules from kustomize's own merge (kyaml `walk` and `merge2`), each tried on the
program: a null removes a key; lists are replaced whole, except the ones in
`mergelists`, where the items of the patch come first, in its order, and the
rest follows in the order it had; a merge walks the whole object, so irregular
lists elsewhere in it change too. Where a result would not be exact, there is
no patch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from kasmgen.kubernetes.equality import equal, kind
from kasmgen.kubernetes.resources import Object
from kasmgen.overlay.merge_keys import Schema, schema
from kasmgen.overlay.size import lines, reaches
from kasmgen.yaml.documents import Yaml

DIRECTIVE = "$patch"

_ItemId: TypeAlias = tuple[str, ...]


class Inexpressible(Exception):  # noqa: N818 - an answer between the functions of this package, no error
    """No strategic merge patch leads from one object to the other."""


def merge_patch(base: Object, want: Object) -> Object:
    """The smallest strategic merge patch that makes `want` of `base`, with its identity.

    Raises Inexpressible if there is none that is exact.
    """
    for key in ("apiVersion", "kind"):
        if not equal(base.get(key), want.get(key)):
            raise Inexpressible(f"{key} is never merged")
    known = schema(str(base["apiVersion"]), str(base["kind"]))
    _check_walk(base, known)
    meta, want_meta = base["metadata"], want["metadata"]
    for key in ("name", "namespace"):
        if not equal(meta.get(key), want_meta.get(key)):
            raise Inexpressible(f"metadata.{key} is never merged")
    patch = _mapping(_without_marks(base), _without_marks(want), known)
    identity = {key: meta[key] for key in ("name", "namespace") if key in meta}
    patch["metadata"] = {**identity, **patch.get("metadata", {}), **_marks(meta, want_meta)}
    return {"apiVersion": base["apiVersion"], "kind": base["kind"], **patch}


# --- labels and annotations of the object itself ---------------------------

_MARKS = ("annotations", "labels")


def _without_marks(obj: Object) -> Object:
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k not in _MARKS}}


def _marks(base: Object, want: Object) -> Object:
    """The part of a patch for labels and annotations.

    A patch with a target turns their nulls into the text "null", so a removal
    has to say the whole mapping. What is left of it is {} for labels, and
    nothing for annotations.
    """
    patch: Object = {}
    for name in _MARKS:
        old, new = base.get(name), want.get(name)
        if equal(old, new) and (name in base) == (name in want):
            continue
        if not all(_is_text_map(value) for value in (old, new) if value is not None):
            raise Inexpressible(f"metadata.{name} is not a mapping of plain text")
        if old is None and name in base:
            raise Inexpressible(f"metadata.{name} is null")
        if not new and (not old or (name == "labels") == (new is None)):
            raise Inexpressible(f"metadata.{name} cannot be emptied by a merge")
        old, new = old or {}, new or {}
        if old.keys() <= new.keys():
            patch[name] = {k: v for k, v in new.items() if k not in old or old[k] != v}
        else:
            patch[name] = {DIRECTIVE: "replace", **new}
    return patch


def _is_text_map(value: Yaml) -> bool:
    if not isinstance(value, dict) or DIRECTIVE in value:
        return False
    return all(isinstance(text, str) and not text.startswith("\t") for text in value.values())


# --- mappings --------------------------------------------------------------


def _mapping(base: Object, want: Object, known: Schema) -> Object:
    """The patch between two mappings; {} if they are equal."""
    patch: Object = {}
    for key in sorted(base.keys() | want.keys()):
        if key in base and key in want and equal(base[key], want[key]):
            continue
        if key in ("", DIRECTIVE):
            raise Inexpressible(f"the key {key!r} has a meaning of its own")
        if key not in want:
            patch[key] = None
        elif key not in base or base[key] is None:
            patch[key] = _new(want[key], key, known)
        else:
            patch[key] = _changed(base[key], want[key], key, known)
    return patch


def _changed(base: Yaml, want: Yaml, key: str, known: Schema) -> Yaml:
    if kind(base) != kind(want):
        # kustomize keeps the quotes that the old value had, so a number becomes text.
        raise Inexpressible(f"{key} changes its type")
    if isinstance(want, str) and want.startswith("\t"):
        # In the style of the old value, which may be a block, where a tab cannot come first.
        raise Inexpressible(f"{key} begins with a tab")
    if isinstance(want, dict):
        below = known.below(key)
        return _shorter(lambda: _mapping(base, want, below), lambda: _replaced_mapping(want, below), want)
    if isinstance(want, list) and key in known.lists:
        return _merged_list(base, want, key, known)
    return want


def _new(value: Yaml, key: str, known: Schema) -> Yaml:
    """A value where nothing was: a mapping in a patch loses its nulls."""
    if value is None:
        raise Inexpressible(f"{key} becomes null, which removes it")
    if isinstance(value, dict):
        if "" in value or DIRECTIVE in value:
            raise Inexpressible(f"{key} has a key with a meaning of its own")
        return {k: _new(v, k, known.below(key)) for k, v in value.items()}
    if isinstance(value, list) and key in known.lists:
        if not known.lists[key]:
            raise Inexpressible(f"{key} is a merged list of scalars")
        _check_items(value, known.lists[key])
        return [_new(item, key, known) for item in value]
    return value


def _replaced_mapping(want: Object, known: Schema) -> Object:
    return {DIRECTIVE: "replace", **_new(want, "", Schema(fields={"": known}))}


# --- lists that are merged by key ------------------------------------------


def _merged_list(base: list[Yaml], want: list[Yaml], key: str, known: Schema) -> list[Yaml]:
    names = known.lists[key]
    if not names:
        raise Inexpressible(f"{key} is a merged list of scalars")
    _check_items(base, names)
    _check_items(want, names)
    used = _used_keys([*base, *want], names)
    patch: list[Yaml] = _shorter(
        lambda: _merged_items(base, want, used, known.below(key)),
        lambda: [{DIRECTIVE: "replace"}, *(_new(item, key, known) for item in want)],
        want,
    )
    return patch


def _merged_items(base: list[Object], want: list[Object], names: tuple[str, ...], known: Schema) -> list[Object]:
    """The items to name: those that change, those that order needs, then the removals."""
    old = {_item_id(item, names): item for item in base}
    new = {_item_id(item, names): item for item in want}
    chosen = _to_name_in_order(old, new) if len(names) == 1 else _to_name_in_place(old, new)
    patch = [_item(old.get(item_id), new[item_id], names, known) for item_id in chosen]
    gone = [item for item_id, item in old.items() if item_id not in new]
    return patch + [{**{n: item[n] for n in names}, DIRECTIVE: "delete"} for item in gone]


def _to_name_in_order(old: Mapping[_ItemId, Object], new: Mapping[_ItemId, Object]) -> list[_ItemId]:
    """Where one key identifies items, the patch's come first: name all up to the last that changes or moves."""
    ids, position = list(new), {item_id: index for index, item_id in enumerate(old)}
    head = len(ids)
    while head:
        item_id = ids[head - 1]
        if item_id not in old or not equal(old[item_id], new[item_id]):
            break
        if head < len(ids) and position[item_id] > position[ids[head]]:
            break
        head -= 1
    return ids[:head]


def _to_name_in_place(old: Mapping[_ItemId, Object], new: Mapping[_ItemId, Object]) -> list[_ItemId]:
    """Where several keys do (port and protocol), new items come first and the old ones keep their order."""
    if list(new) != [i for i in new if i not in old] + [i for i in old if i in new]:
        raise Inexpressible("items move in a list with several keys")
    return [i for i in new if i not in old or not equal(old[i], new[i])]


def _item(base: Object | None, want: Object, names: tuple[str, ...], known: Schema) -> Object:
    if base is None:
        return {k: _new(v, k, known) for k, v in want.items()}
    if any(kind(base[n]) != kind(want[n]) for n in names):
        raise Inexpressible("a key of a merged list changes its type")
    return {**{n: want[n] for n in names}, **_mapping(base, want, known)}


def _item_id(item: Object, names: tuple[str, ...]) -> _ItemId:
    return tuple(str(item[name]) for name in names)


def _used_keys(items: Iterable[Yaml], names: tuple[str, ...]) -> tuple[str, ...]:
    """The keys that items really have: `protocol` is often left out, by all or by none."""
    items = list(items)
    used = tuple(name for name in names if any(name in item for item in items))
    if any(name not in item for item in items for name in used):
        raise Inexpressible(f"some items have {' and '.join(used)}, some have not")
    return used


def _check_items(items: Yaml, names: tuple[str, ...]) -> None:
    """Whether kustomize's merge leaves the list as it is: every item has its keys, no two the same."""
    if not isinstance(items, list):
        raise Inexpressible("a merged list is no list")
    ids = _named_ids(items, names) if names else _scalar_ids(items)
    if len(set(ids)) != len(ids):
        raise Inexpressible("a merged list has the same item twice")


def _scalar_ids(items: list[Yaml]) -> list[Yaml]:
    if any(not isinstance(item, str) or not item for item in items):
        raise Inexpressible("a merged list of scalars has something else in it")
    return items


def _named_ids(items: list[Yaml], names: tuple[str, ...]) -> list[Yaml]:
    if not all(isinstance(item, dict) for item in items):
        raise Inexpressible("a merged list has an item that is no mapping")
    used = _used_keys(items, names)
    if items and not used:
        raise Inexpressible("a merged list has items without keys")
    values = [item[name] for item in items for name in used]
    if any(isinstance(v, bool) or not isinstance(v, (str, int)) or v == "" for v in values):
        raise Inexpressible("a merged list has an item with an odd key")
    if any(DIRECTIVE in item or "" in item for item in items):
        raise Inexpressible("a merged list has an item with a directive")
    return [_item_id(item, used) for item in items]


def _check_walk(value: Yaml, known: Schema) -> None:
    """Whether a merge leaves alone what a patch does not name."""
    if not isinstance(value, dict):
        return
    if "" in value:
        raise Inexpressible("kustomize cannot walk an empty key")
    for key, below in value.items():
        if key in known.lists and below is not None:
            _check_items(below, known.lists[key])
            for item in below:
                _check_walk(item, known.below(key))
        else:
            _check_walk(below, known.below(key))


# --- the choice between a change and a replacement --------------------------


def _shorter(change: Callable[[], Yaml], replacement: Callable[[], Yaml], want: Yaml) -> Yaml:
    """What takes fewer lines; the change if it is even. Either may be Inexpressible.

    A replacement spells out all of `want`, so it is not made where that alone is longer.
    """
    found: list[Yaml] = []
    with contextlib.suppress(Inexpressible):
        found.append(change())
        if reaches(want, lines(found[0])):
            return found[0]
    with contextlib.suppress(Inexpressible):
        found.append(replacement())
    if not found:
        raise Inexpressible("neither a change nor a replacement is exact")
    return min(found, key=lines)
