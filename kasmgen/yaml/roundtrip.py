"""Editing YAML that people wrote: comments, order, quotes and spellings stay.

No scalar is interpreted: `0755`, `1e10` and `yes` are kept as they stand, because
ruamel's own reading would write some of them back as another value.
"""

from __future__ import annotations

import io
from typing import Any

from kasmgen.errors import InputError
from kasmgen.yaml import documents


def _yaml(indent: tuple[int, int, int]) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.resolver import VersionedResolver

    class AsWritten(VersionedResolver):
        """Takes every plain scalar for text."""

        def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
            from ruamel.yaml.nodes import ScalarNode
            from ruamel.yaml.tag import Tag

            if kind is ScalarNode and value != "<<":
                return Tag(suffix="tag:yaml.org,2002:str")
            return super().resolve(kind, value, implicit)

    yaml = YAML(typ="rt")
    yaml.Resolver = AsWritten
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


def load(text: str, source: str) -> Any:
    """`text` as a ruamel mapping that remembers how it was written. Empty text gives None.

    Raises InputError for text that is not one YAML document with a mapping.
    """
    value = documents.load(text, source)  # bounded, and with errors that name the line
    if value is not None and not isinstance(value, dict):
        raise InputError(f"{source}: a mapping is expected")
    from ruamel.yaml.error import YAMLError

    try:
        return _yaml(_indent_of(text)).load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{source}{where}: {getattr(error, 'problem', None) or 'not YAML'}") from None


def dump(document: Any, original: str = "") -> str:
    """The document as text, indented as `original` was."""
    out = io.StringIO()
    _yaml(_indent_of(original)).dump(document, out)
    return out.getvalue()


def to_node(value: documents.Yaml) -> Any:
    """A plain value as it has to stand in an edited document: the same spelling as `documents.dump` gives."""
    return _yaml((2, 2, 0)).load(documents.dump(value)) if isinstance(value, (dict, list)) else _scalar(value)


def _scalar(value: documents.Yaml) -> Any:
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    text = documents.dump(value).removesuffix("\n")
    if text.startswith('"'):
        return DoubleQuotedScalarString(value)
    return text if not isinstance(value, str) else value
