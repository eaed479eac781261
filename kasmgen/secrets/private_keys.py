"""Private keys, known by what they look like: PEM, age, DER and key stores, also in base64."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass

_KINDS = ("", "RSA ", "EC ", "DSA ", "ENCRYPTED ", "OPENSSH ")
_BODY = rb"(?s:.{0,300}?)[A-Za-z0-9+/]{40}"
_PEM = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----" + _BODY)
_AGE = re.compile(rb"AGE-(?:SECRET-KEY(?:-PQ)?|PLUGIN-[A-Z0-9-]{1,80})-1[0-9A-Z]{40,}")
# In `data` a key is base64 from its first character on, so the beginning is always the same.
_ENCODED = re.compile(
    b"|".join(base64.b64encode(f"-----BEGIN {kind}PRIVATE KEY----".encode())[:-4] for kind in _KINDS)
    + b"|"
    + base64.b64encode(b"AGE-SECRET-KEY-1")[:-4]
)
# DER: a sequence that begins with the version number of PKCS #1, PKCS #8, SEC 1 or PKCS #12; magic numbers of Java.
_BINARY = re.compile(
    rb"\x30(?:[\x00-\x7f]|\x81.|\x82..|\x83...)\x02\x01[\x00\x01\x03][\x02\x04\x30]"
    rb"|\xfe\xed\xfe\xed|\xce\xce\xce\xce|PuTTY-User-Key-File-",
    re.DOTALL,
)


@dataclass(frozen=True)
class FoundKey:
    """A private key in a text. form: "(PEM)", "of age" or "in base64"; position: of its first byte."""

    form: str
    position: int


def find(content: bytes) -> Iterator[FoundKey]:
    """The first private key of each form in a text."""
    if b"-----BEGIN" in content and (found := _PEM.search(content)):
        yield FoundKey("(PEM)", found.start())
    if b"AGE-" in content and (found := _AGE.search(content)):
        yield FoundKey("of age", found.start())
    if found := _ENCODED.search(content):
        yield FoundKey("in base64", found.start())


def holds_one(value: bytes) -> bool:
    """Whether a value is a private key or a store of them, or has one in it."""
    return any(find(value)) or _BINARY.match(value) is not None
