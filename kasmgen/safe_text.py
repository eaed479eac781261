r"""Text from charts, repositories and other programs, safe to show on a terminal, in a page or in a report.

Characters that steer a terminal, reorder or hide text, or look like something else
are written out (`\x1b`, `\u202e`), so that a reader sees what is there.
"""

from __future__ import annotations

import re

_UNSAFE = "".join(
    (
        r"\x00-\x1f\x7f-\x9f",  # control characters: they steer terminals, and XML takes most of them not
        r"\u2028\u2029",  # line ends that only some programs see
        r"\xa0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000",  # spaces that are not the plain one
        r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069",  # what reorders text (CVE-2021-42574)
        # What shows nothing (Unicode's Default_Ignorable_Code_Point, and interlinear annotations).
        r"\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2065\u206a-\u206f\u3164\ufe00-\ufe0f"
        r"\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff",
        r"\ud800-\udfff\ufffe\uffff",  # halves of characters and no characters: UTF-8 or XML cannot have them
    )
)
_ONE_LINE = re.compile(f"[{_UNSAFE}]")
_LINES = re.compile(rf"(?![\n\t])[{_UNSAFE}]")
_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def escaped(text: str) -> str:
    """`text` on one line, with line ends and tabs written out too."""
    return text if text.isascii() and text.isprintable() else _ONE_LINE.sub(_escape, text)


def escaped_lines(text: str) -> str:
    """`text` of any number of lines: line ends and tabs stay as they are."""
    return text if text.isascii() and text.isprintable() else _LINES.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if found[0] in _NAMED:
        return _NAMED[found[0]]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def shown(text: str) -> str:
    """`text` fit for an error: on one line, at most 80 characters."""
    clean = escaped(text[:100])
    return clean if len(clean) <= 80 else clean[:77] + "..."
