"""Editing YAML that people wrote: comments, order, quotes and spellings stay.

Only what edits imports this module: ruamel.yaml takes long to load.

No scalar is interpreted: `0755`, `1e10` and `yes` are kept as they stand, because
ruamel's own reading would write some of them back as another value.
"""

from __future__ import annotations

import io

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.scalarstring import DoubleQuotedScalarString
from ruamel.yaml.tag import Tag

from kasmgen.errors import InputError
from kasmgen.yaml import documents
from kasmgen.yaml.documents import Yaml


class _AsWritten(VersionedResolver):
    """Takes every plain scalar for text."""

    def resolve(self, kind: object, value: object, implicit: object) -> object:
        if kind is ScalarNode and value != "<<":
            return Tag(suffix="tag:yaml.org,2002:str")
        return super().resolve(kind, value, implicit)


def _yaml(indent: tuple[int, int, int]) -> YAML:
    yaml = YAML(typ="rt")
    yaml.Resolver = _AsWritten
    yaml.preserve_quotes = True
    yaml.width = 10**9
    yaml.allow_duplicate_keys = False
    mapping, sequence, offset = indent
    yaml.indent(mapping=mapping, sequence=sequence, offset=offset)
    return yaml


def _indent_of(text: str) -> tuple[int, int, int]:
    """Spaces of mappings, of sequences, and before the dash, as `text` has them."""
    for line, following in zip(text.splitlines(), text.splitlines()[1:], strict=False):
        if line.rstrip().endswith(":") and not line.startswith((" ", "#")) and following.lstrip().startswith("- "):
            dash = len(following) - len(following.lstrip())
            return 2, dash + 2, dash
    return 2, 2, 0


def load(text: str, source: str) -> Yaml:
    """`text` as a ruamel mapping that remembers how it was written. Empty text gives None.

    Raises InputError for text that is not one YAML document with a mapping.
    """
    value = documents.load(text, source)  # bounded, and with errors that name the line
    if value is not None and not isinstance(value, dict):
        raise InputError(f"{source}: a mapping is expected")
    try:
        return _yaml(_indent_of(text)).load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{source}{where}: {getattr(error, 'problem', None) or 'not YAML'}") from None


def dump(document: Yaml, original: str = "") -> str:
    """The document as text, indented as `original` was."""
    out = io.StringIO()
    _yaml(_indent_of(original)).dump(document, out)
    return out.getvalue()


def to_node(value: Yaml) -> Yaml:
    """A plain value as it has to stand in an edited document: the same spelling as `documents.dump` gives."""
    return _yaml((2, 2, 0)).load(documents.dump(value)) if isinstance(value, (dict, list)) else _scalar(value)


def _scalar(value: Yaml) -> Yaml:
    text = documents.dump(value).removesuffix("\n")
    if text.startswith('"'):
        return DoubleQuotedScalarString(value)
    return text if not isinstance(value, str) else value
