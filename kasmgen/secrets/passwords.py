"""Passwords and tokens: how they are made, and which ones Kasm can live with."""

from __future__ import annotations

import os
import re
import string
from collections.abc import Callable

from kasmgen.kubernetes.resources import Secret

ALPHABET = string.ascii_letters + string.digits
LENGTH = 26
"""As the chart's own generator has it: 26 characters of 62, about 154 bits."""

LONGEST = 128

# What other tools print in a secret's place. Sealing one would replace the real value by it.
_PLACEHOLDER = re.compile(
    r"\*{2,}|\*+(SOPS|redacted|masked|hidden|sensitive)\*+|[<\[({]*(redacted|masked|hidden|sensitive( value)?)[>\])}]*"
    r"|x{4,}|change-?_?me|password|ENC\[.*|<[^>]*>|\$\{.*\}|REPLACE.*|TODO",
    re.IGNORECASE,
)

_BREAKS = re.compile(r"[\s%\\\"'*?\[]")


def generate(random: Callable[[int], bytes] = os.urandom) -> Secret:
    """A new password: 26 letters and digits, each equally likely.

    random: gives that many random bytes, as `os.urandom` does.
    """
    # 248 is the largest multiple of 62 in a byte: bytes above it would make the first letters likelier.
    limit = 256 - 256 % len(ALPHABET)
    chosen = ""
    while len(chosen) < LENGTH:
        chosen += "".join(ALPHABET[byte % len(ALPHABET)] for byte in random(LENGTH) if byte < limit)
    return Secret(chosen[:LENGTH])


def is_placeholder(value: Secret) -> bool:
    """Whether `value` is the mask or placeholder of some tool and no secret at all (flux2#2690)."""
    text = value.reveal().decode("utf-8", errors="replace").strip()
    return bool(_PLACEHOLDER.fullmatch(text))


def check(value: Secret) -> list[str]:
    """Why a password that people bring may not work, in words that never quote it; [] if it will.

    Kasm's database script uses a password unquoted, as a printf format, and pastes
    tokens into a yq expression; Redis reads its password as a line of configuration.
    """
    try:
        text = value.reveal().decode("utf-8")
    except UnicodeDecodeError:
        return ["it is not UTF-8 text"]
    if not text:
        return ["it is empty"]
    problems = []
    if text != text.strip():
        problems.append("it begins or ends with a space or a line break")
    elif is_placeholder(value):
        problems.append("it is a placeholder or the mask of a tool, not a password")
    if not text.strip().isprintable() or _BREAKS.search(text.strip()):
        problems.append("it holds characters that Kasm's scripts break on: a space, or one of % \\ \" ' * ? [")
    if text[0] == "-":
        problems.append('it begins with "-", which programs take for an option')
    if len(text) > LONGEST:
        problems.append(f"it is longer than {LONGEST} characters")
    return problems
