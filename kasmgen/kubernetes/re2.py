"""Go's regular expressions (RE2), which sops reads `path_regex` with, in Python's spelling."""

from __future__ import annotations

import functools
import re

_TOKEN = re.compile(
    r"\\Q(?P<literal>.*?)(?:\\E|\Z)"
    r"|\\x\{(?P<code>[0-9A-Fa-f]{1,6})\}"
    r"|\\(?P<escape>.)"
    r"|(?P<posix>\[:\^?[a-z]+:\])"
    r"|(?P<foreign>\(\?(?:=|!|<=|<!|>|\(|P=|#)|[*+?}]\+)"
    r"|\(\?<(?P<named>\w+)>"
    r"|(?P<plain>.)",
    re.DOTALL,
)
_POSIX = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": r"0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
# Escapes that mean the same in both.
_SAME = frozenset("abBdDfnrsStvwWAx")


@functools.lru_cache(maxsize=512)
def compile(pattern: str) -> re.Pattern[str]:  # noqa: A001 - reads as re2.compile
    """`pattern` with Go's meaning, to be used with `search`.

    Raises ValueError, in words, for what Go refuses (look-around, back references,
    possessive quantifiers) and for Unicode classes, which Python cannot say.
    """
    out: list[str] = []
    in_class = class_start = False
    for token in _TOKEN.finditer(pattern):
        text = _translated(token, in_class)
        if token["plain"] == "[" and not in_class:
            in_class, class_start = True, True
        elif token["plain"] == "]" and in_class and not class_start:
            in_class = False
        elif token["plain"] != "^":
            class_start = False
        out.append(text)
    try:
        return re.compile("".join(out), re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _translated(token: re.Match[str], in_class: bool) -> str:
    if token["literal"] is not None:
        return re.escape(token["literal"])
    if token["code"]:
        return re.escape(chr(int(token["code"], 16)))
    if token["escape"]:
        return _escape(token["escape"])
    if token["posix"]:
        return _posix(token["posix"], in_class)
    if token["foreign"] and not in_class:
        raise ValueError(f"Go's regular expressions have no {token['foreign']}")
    if token["named"] and not in_class:
        return f"(?P<{token['named']}>"
    if token["plain"] == "$" and not in_class:
        # Python's $ also matches before a line break at the end.
        return r"\Z"
    if token["plain"] == "[" and in_class:
        return r"\["
    return token[0]


def _escape(letter: str) -> str:
    if letter == "z":
        return r"\Z"
    if letter in _SAME or not letter.isalnum():
        return "\\" + letter
    if letter in "pP":
        raise ValueError(f"the Unicode class \\{letter} cannot be compared outside sops")
    raise ValueError(f"Go's regular expressions have no \\{letter}")


def _posix(text: str, in_class: bool) -> str:
    name = text[2:-2]
    if not in_class:
        # Outside a class "[:alpha:]" is a class of these letters.
        return text
    if name.startswith("^") or name not in _POSIX:
        raise ValueError(f"the class {text} cannot be compared outside sops")
    return _POSIX[name]
