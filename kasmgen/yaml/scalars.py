"""What a scalar of YAML means to Kubernetes.

Rules: sigs.k8s.io/yaml with go-yaml 2, which Helm and kubectl read with. Each one
is held to that library by the tests.
"""

from __future__ import annotations

import base64
import math
import re
import struct
from decimal import Decimal

_BOOLEANS: dict[str, bool] = {
    **dict.fromkeys(["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"], True),
    **dict.fromkeys(["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"], False),
}
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
# Text that begins with a dot takes another way through go-yaml, which lets underscores stand only between digits.
_DOT_FLOAT = re.compile(r"\.[0-9](?:_?[0-9])*(?:[eE][-+]?[0-9](?:_?[0-9])*)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_RADIX = (
    ("0x", 16, re.compile("[0-9a-fA-F]+")),
    ("0b", 2, re.compile("[01]+")),
    ("0o", 8, re.compile("[0-7]+")),
)
_DECIMAL = re.compile("[1-9][0-9]*|0")
_OCTAL = re.compile("0[0-7]+")
_LONGEST_DECIMAL = 20  # digits of 2**64

_CORE = "tag:yaml.org,2002:"


def _go_int(text: str) -> int | None:
    sign = text[:1] if text[:1] in ("+", "-") else ""
    digits = text[len(sign) :]
    for prefix, base, allowed in _RADIX:
        if digits[:2].lower() == prefix:
            if not sign and digits[:3] in ("0b-", "0b+"):
                sign, digits = digits[2], "0b" + digits[3:]  # a slip of go-yaml: it takes 0b-11 for -3
            return int(sign + digits[2:], base) if allowed.fullmatch(digits[2:]) else None
    if _OCTAL.fullmatch(digits):
        return int(sign + digits, 8)
    return int(sign + digits) if _DECIMAL.fullmatch(digits) and len(digits) <= _LONGEST_DECIMAL else None


def _finite(text: str) -> float | None:
    value = float(text)
    return None if math.isinf(value) else value


def _number(text: str) -> int | float | None:
    """The number that `text` is, with Go's type: int for what Go holds in 64 bits, else float; None for no number."""
    if text[0] not in "+-.0123456789":
        return None
    if text[0] == ".":
        return _finite(text) if _DOT_FLOAT.fullmatch(text) else None
    plain = text.replace("_", "")
    number = _go_int(plain)
    if number is not None and -(2**63) <= number < 2**64:
        return number
    return _finite(plain) if _FLOAT.fullmatch(plain) else None


def whole(value: float) -> int | float:
    """`value` as JSON spells it on the way to Kubernetes: without a fraction where it has none."""
    return int(value) if value == int(value) and abs(value) < 1e21 else value


def resolve(text: str) -> str | int | float | bool | None:
    """The value that Kubernetes reads from the plain scalar `text`.

    Timestamps and sexagesimal numbers stay text. Raises ValueError for `.inf`
    and `.nan`, which JSON cannot say.
    """
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} cannot be said in JSON")
    number = _number(text)
    if number is None:
        return text
    return whole(number) if isinstance(number, float) else number


def resolve_key(text: str) -> str:
    """The text of the key that Kubernetes reads from the plain scalar `text`.

    Raises ValueError for keys that it refuses.
    """
    if text in _NULLS:
        raise ValueError("a key must not be null")
    if text in _BOOLEANS:
        return "true" if _BOOLEANS[text] else "false"
    if _NOT_FINITE.fullmatch(text):
        return text.lower().removeprefix("+")
    number = _number(text)
    if number is None:
        return text
    if isinstance(number, float):
        return _single(number)
    if number >= 2**63:
        raise ValueError("a key that is a number must fit into 63 bits")
    return str(number)


def _single(value: float) -> str:
    """As Go's FormatFloat(value, 'g', -1, 32): the fewest digits that tell a 32-bit float apart."""
    try:
        exact: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return ".inf" if value > 0 else "-.inf"
    spelled = (f"{exact:.{digits}e}" for digits in range(9))
    shortest = next(text for text in spelled if struct.unpack("<f", struct.pack("<f", float(text)))[0] == exact)
    mantissa, _, exponent = shortest.partition("e")
    if not -4 <= int(exponent) < 6:
        return f"{mantissa}e{int(exponent):+03d}"
    return f"{Decimal(shortest):f}" if exact else f"{mantissa}"


def resolve_tagged(text: str, tag: str) -> str | int | float | bool | None:
    """The value of a scalar with an explicit tag. Raises ValueError where text and tag do not fit."""
    if tag == f"{_CORE}binary":
        return base64.b64decode(text).decode("utf-8", errors="replace")
    types = _TYPES.get(tag)
    if types is None:
        return text
    value = resolve(text)
    if type(value) not in types:
        raise ValueError(f"the text does not fit its tag {tag.replace(_CORE, '!!')}")
    return value


_TYPES: dict[str, tuple[type, ...]] = {
    f"{_CORE}int": (int,),
    f"{_CORE}float": (float, int),
    f"{_CORE}bool": (bool,),
    f"{_CORE}null": (type(None),),
}
