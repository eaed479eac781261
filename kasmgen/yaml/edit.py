"""Changing one entry of a YAML text and not one byte of the rest.

ruamel.yaml edits flow collections (`[a, b]`) here, through `roundtrip`. Block collections are edited as text, because
its round trip does not keep what stands around them: an item that is inserted takes the comment of the item it goes
before, all lists get one indentation, and spaces within a line are lost (`a:   b`, `[ x,y ]`). Where things stand is
asked of the parser that also says what a text means: ruamel's own refuses some that Kubernetes takes, such as a tab
behind `key:`. Whatever the way, the result has to read as expected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kasmgen.errors import InputError
from kasmgen.yaml import documents
from kasmgen.yaml.documents import Yaml


@dataclass
class Part:
    """One value in a text: `start` and `end` are character offsets, `column` where it begins.

    entries: of a mapping, pairs of key and value; of a sequence, pairs with the key None.
    """

    kind: str
    start: int
    end: int
    column: int
    flow: bool = False
    text: str = ""
    entries: list[tuple[Part | None, Part]] = field(default_factory=list)
    key: Part | None = None


def parts(text: str, source: str) -> Part | None:
    """Where the values of the one document in `text` stand; None if it says nothing.

    Raises InputError as `documents.load` does.
    """
    documents.load(text, source)
    root: Part | None = None
    stack: list[Part] = []
    for event in documents.events(text, source):
        kind = type(event).__name__.removesuffix("Event")
        if kind in ("MappingEnd", "SequenceEnd"):
            _close(stack.pop(), event)
        elif kind in ("MappingStart", "SequenceStart", "Scalar", "Alias"):
            part = _part(kind, event, text)
            if stack:
                _attach(stack[-1], part)
            else:
                root = part
            if kind.endswith("Start"):
                stack.append(part)
    return root


def _part(kind: str, event: documents.Event, text: str) -> Part:
    start, end = event.start_mark.index, event.end_mark.index
    # The end of a block literal is the begin of the next line that is not its own.
    end = start + len(text[start:end].rstrip())
    flow = bool(getattr(event, "flow_style", False))
    return Part(
        kind.removesuffix("Start").lower(),
        start,
        end,
        event.start_mark.column,
        flow,
        getattr(event, "value", ""),
    )


def _close(part: Part, event: documents.Event) -> None:
    if part.flow:
        part.end = event.end_mark.index
    elif part.entries:
        part.end = max(part.end, part.entries[-1][1].end)


def _attach(parent: Part, part: Part) -> None:
    if parent.kind == "sequence":
        parent.entries.append((None, part))
    elif parent.key is None:
        parent.key = part
    else:
        parent.entries.append((parent.key, part))
        parent.key = None


def entry(part: Part | None, key: str) -> tuple[Part, Part] | None:
    """Key and value of the last entry `key` of a mapping, as parsers take it."""
    for name, value in reversed(part.entries if part and part.kind == "mapping" else []):
        if name is not None and name.text == key:
            return name, value
    return None


# --- lines ---------------------------------------------------------------


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _line_end(text: str, index: int) -> int:
    """Offset behind the line break of the line that holds `index`."""
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _put(text: str, at: int, lines: Sequence[str], column: int) -> str:
    """`lines`, indented by `column`, as whole lines before offset `at`, the begin of a line."""
    newline = _newline(text)
    head = text[:at]
    if head and not head.endswith("\n"):
        head += newline
    return head + "".join(f"{' ' * column}{line}{newline}" for line in lines) + text[at:]


def _dash(text: str, sequence: Part, position: int, source: str) -> tuple[int, int]:
    """Where the item at `position` of a block sequence begins: offset of its line, column of its dash.

    Raises InputError if its dash is not the first thing in a line.
    """
    before = sequence.entries[position - 1][1].end if position else 0
    at = _line_end(text, before) if position else _line_start(text, sequence.start)
    while at <= sequence.entries[position][1].start:
        end = _line_end(text, at)
        if dash := re.match(r"( *)-(\s|$)", text[at:end]):
            return at, len(dash[1])
        at = end
    raise _unusual(source)


def _above(text: str, at: int, floor: int) -> int:
    """Begin of the comment lines that stand right above the line at `at`, not before `floor`."""
    while at > floor:
        above = _line_start(text, at - 1)
        if above < floor or not text[above:at].lstrip(" ").startswith("#"):
            return at
        at = above
    return at


# --- edits ---------------------------------------------------------------


def _unusual(source: str) -> InputError:
    return InputError(
        f"{source} is written in a way that cannot be edited in place",
        hint="write its lists and mappings one entry per line, with spaces for indentation",
    )


def _proved(after: str, expected: Yaml, source: str) -> str:
    """`after` if it reads as `expected`. Raises InputError otherwise: the text is too unusual to edit."""
    try:
        if documents.load(after, source) == expected:
            return after
    except InputError:
        pass
    raise _unusual(source) from None


def insert_item(text: str, key: str, position: int, lines: Sequence[str], source: str) -> str:
    """`text` with one more item in the list under its top-level `key`.

    position: what index the item will have. lines: the item as YAML, its dash first,
    without indentation. Comments right above the item that it goes before stay with
    that item. A missing or empty list is made. Raises InputError if the text is no
    mapping, or `key` is no list.
    """
    old = documents.load(text, source) or {}
    if not isinstance(old, dict) or not isinstance(old.get(key) or [], list):
        raise InputError(f"{source}: {key} must be a list")
    item = documents.load("\n".join(lines), source)[0]
    items = list(old.get(key) or [])
    items.insert(position, item)
    expected = {**old, key: items}
    root = parts(text, source)
    found = entry(root, key)
    flow = [part for part in (root, found and found[1]) if part and part.flow and part.entries]
    if flow:
        return _proved(_insert_by_library(text, key, position, item, source), expected, source)
    return _proved(_insert_by_text(text, root, key, position, lines, source), expected, source)


def _insert_by_text(text: str, root: Part | None, key: str, position: int, lines: Sequence[str], source: str) -> str:
    found = entry(root, key)
    if found is None:
        column = root.column if root and not root.flow else 0
        text = text if root is None or not root.flow else text[: root.start] + text[root.end :]
        return _put(text, len(text), [f"{key}:", *(f"  {line}" for line in lines)], column)
    name, sequence = found
    if not sequence.entries:
        text = text[: name.end] + ":" + text[max(sequence.end, name.end + 1) :]
        return _put(text, _line_end(text, name.end), lines, name.column + 2)
    if position >= len(sequence.entries):
        _, column = _dash(text, sequence, 0, source)
        return _put(text, _line_end(text, sequence.entries[-1][1].end), lines, column)
    at, column = _dash(text, sequence, position, source)
    floor = _line_end(text, sequence.entries[position - 1][1].end) if position else _line_end(text, name.end)
    return _put(text, _above(text, at, floor), lines, column)


def _insert_by_library(text: str, key: str, position: int, item: Yaml, source: str) -> str:
    from kasmgen.yaml import roundtrip

    document = roundtrip.load(text, source)
    document[key].insert(position, roundtrip.to_node(item))
    return roundtrip.dump(document, text)


def _remove_by_library(text: str, key: str, position: int, source: str) -> str:
    from kasmgen.yaml import roundtrip

    document = roundtrip.load(text, source)
    del document[key][position]
    return roundtrip.dump(document, text)


def remove_item(text: str, key: str, position: int, source: str) -> str:
    """`text` without the item at `position` of the list under its top-level `key`.

    Comments above and below the item stay: they may speak of its neighbours.
    """
    old = documents.load(text, source)
    items = list(old[key])
    del items[position]
    found = entry(parts(text, source), key)
    if found is None:
        raise InputError(f"{source}: there is no {key}")
    name, sequence = found
    if sequence.flow:
        after = _remove_by_library(text, key, position, source)
    else:
        last = _line_end(text, sequence.entries[position][1].end)
        first, _ = _dash(text, sequence, position, source)
        after = text[:first] + text[last:]
        if not items:
            after = after[: name.end] + ": []" + after[name.end + 1 :]
    return _proved(after, {**old, key: items}, source)


def set_entries(text: str, path: Sequence[str], values: Mapping[str, str], source: str) -> str:
    """`text` with the entries of the block mapping at `path` set to `values`, all text.

    An entry that has its value already keeps its spelling; a new one goes where the
    sorted order has it. Mappings of `path` that are missing are made at the end of
    the last one that is there. Raises InputError if that is not possible in place.
    """
    old = documents.load(text, source)
    if not isinstance(old, dict) or not old:
        raise InputError(f"{source}: a mapping is expected")
    after = text
    for key in sorted(values):
        after = _set(after, path, key, values[key], source)
    return _proved(after, _with(old, path, values), source)


def _with(value: Yaml, path: Sequence[str], values: Mapping[str, str]) -> Yaml:
    if not path:
        return {**(value or {}), **values}
    return {**(value or {}), path[0]: _with((value or {}).get(path[0]), path[1:], values)}


def _one_line(key: str, value: str, source: str) -> str:
    line = documents.dump({key: value}).removesuffix("\n")
    if "\n" in line:
        raise InputError(f"{source}: {key} cannot hold a line break")
    return line


def _set(text: str, path: Sequence[str], key: str, value: str, source: str) -> str:
    line = _one_line(key, value, source)
    holder = parts(text, source)
    if holder is None:
        raise InputError(f"{source}: a mapping is expected")
    for depth, step in enumerate(path):
        found = entry(holder, step)
        if found is not None and found[1].entries:
            holder = found[1]
        elif found is not None:
            return _fill(text, *found, _nested(path[depth + 1 :], line))
        elif keys := [name for name, _ in holder.entries if name is not None]:
            return _put(text, _line_start(text, keys[0].start), _nested(path[depth:], line), holder.column)
        else:
            raise InputError(f"{source}: {'.'.join(path[:depth])}: a mapping is expected")
    if (own := entry(holder, key)) is not None:
        if own[1].text == value and own[1].kind == "scalar":
            return text
        return text[: own[1].start] + line.split(": ", 1)[1] + text[own[1].end :]
    names = [(name, item) for name, item in holder.entries if name is not None]
    after = [name for name, _ in names if name.text > key]
    at = _line_start(text, after[0].start) if after else _line_end(text, names[-1][1].end)
    return _put(text, at, [line], holder.column)


def _fill(text: str, name: Part, empty: Part, lines: list[str]) -> str:
    """`text` with `lines` in the place of the empty mapping under `name`."""
    text = text[: name.end] + ":" + text[max(empty.end, name.end + 1) :]
    return _put(text, _line_end(text, name.end), lines, name.column + 2)


def _nested(path: Sequence[str], line: str) -> list[str]:
    lines = [f"{'  ' * depth}{step}:" for depth, step in enumerate(path)]
    return [*lines, "  " * len(path) + line]
