"""Private keys made ahead in threads, while charts render."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING

from kasmgen.concurrency import Ahead

if TYPE_CHECKING:
    from kasmgen.secrets.tls import PrivateKey


def new_key(key_type: str) -> PrivateKey:
    """A new private key of a type in KEY_TYPES, as `tls.new_key` makes it."""
    # Imported here, and so in a thread if the key is made ahead: cryptography takes a tenth of a second to load.
    from kasmgen.secrets import tls

    return tls.new_key(key_type)


class KeyPool:
    """Private keys that are made ahead, as long as `ahead` is open.

    An RSA key of 4096 bits takes longer than everything else together, and is made
    outside of Python's lock.
    """

    def __init__(self, ahead: Ahead) -> None:
        self._ahead = ahead
        self._waiting: dict[str, list[Future[PrivateKey]]] = {}

    def order(self, key_type: str) -> None:
        """Have a key of this type made."""
        self._waiting.setdefault(key_type, []).append(self._ahead.start(new_key, key_type))

    def take(self, key_type: str) -> PrivateKey:
        """A key of this type: one that was ordered, or a new one."""
        ready = self._waiting.get(key_type)
        return ready.pop(0).result() if ready else new_key(key_type)
