"""Regular expressions as Go reads them: those of sops, kustomize and Kubernetes.

They come from files that anybody may have written, and Python's engine can be made
to search for ever. RE2 is the engine that Go's `regexp` was made after: the same
syntax and the same answers, in time that grows with the text and no faster.
"""

from __future__ import annotations

import functools
import re
from typing import Protocol

# A schema may hold thousands of expressions, so neither one nor all of them may take much.
_MEMORY = 1 << 20  # bytes for one compiled expression; those of Kubernetes take a few thousand
_CACHED = 256

_QUOTED_OR_ESCAPE = re.compile(r"\\Q.*?(?:\\E|\Z)|\\(?P<escape>.)", re.DOTALL)
# A byte of a file name that is no UTF-8, as Python holds it; Go reads it as the replacement character.
_NO_CHARACTER = re.compile("[\ud800-\udfff]")


class _Expression(Protocol):
    """What is used of a compiled expression of `re2`, which ships no types."""

    @property
    def groupindex(self) -> dict[str, int]:
        """Name of a group -> its number."""

    def search(self, text: str) -> object | None:
        """The first place where it is found, or None."""


def matches(pattern: str, text: str) -> bool:
    """Whether `pattern` is found anywhere in `text`, as Go's `regexp.MatchString` says.

    Raises ValueError, in words, for what Go refuses (look-around and back references
    among others) and for an expression of more than a megabyte when compiled.
    """
    return _compiled(pattern).search(_NO_CHARACTER.sub("\ufffd", text)) is not None


@functools.lru_cache(maxsize=_CACHED)
def _compiled(pattern: str) -> _Expression:
    # Imported here: a compiled library, and many commands meet no expression.
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        compiled: _Expression = re2.compile(pattern, options)
    except re2.error as error:
        raise ValueError(_words(error)) from None
    _refuse_what_only_re2_takes(pattern, compiled)
    return compiled


def _words(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode("utf-8", errors="replace") if isinstance(reason, bytes) else str(reason)


def _refuse_what_only_re2_takes(pattern: str, compiled: _Expression) -> None:
    if any(found["escape"] == "C" for found in _QUOTED_OR_ESCAPE.finditer(pattern)):
        raise ValueError(r"invalid escape sequence: \C")
    for name in compiled.groupindex:
        if not name.isascii():
            raise ValueError(f"invalid named capture group: {name}")
