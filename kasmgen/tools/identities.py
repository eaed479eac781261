"""Private keys at hand: for which recipients, and never more than that."""

from __future__ import annotations

import os
import re

from kasmgen.errors import InputError
from kasmgen.tools import agekeys

_IDENTITY = re.compile(r"^\s*(AGE-SECRET-KEY-1[0-9A-Z]+)\s*$", re.MULTILINE)
_LARGEST = 1024 * 1024


def recipients() -> frozenset[str]:
    """The age recipients (age1...) whose private key sops would find in its variable or its key file.

    Other ways to a key (SSH, plugins, commands, key services) are not asked.
    """
    texts = [os.environ.get("SOPS_AGE_KEY", ""), _key_file()]
    found = [identity for text in texts for identity in _IDENTITY.findall(text)]
    if not found:
        return frozenset()
    # Imported here: a compiled library, and mostly there is no key.
    import pyrage

    out = set()
    for identity in found:
        try:
            out.add(str(pyrage.x25519.Identity.from_str(identity).to_public()))
        except (pyrage.IdentityError, ValueError):
            continue
    return frozenset(out)


def _key_file() -> str:
    try:
        path = agekeys.key_file()
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return ""
        return path.read_text("utf-8", errors="replace")
    except (OSError, InputError):
        return ""
