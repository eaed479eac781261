"""Private keys made ahead in threads, while charts render."""

from __future__ import annotations

from concurrent.futures import Future

from kasmgen.concurrency import Ahead
from kasmgen.secrets import certificates


class KeyPool:
    """Private keys that are made ahead, as long as `ahead` is open.

    An RSA key of 4096 bits takes longer than everything else together, and is made
    outside of Python's lock.
    """

    def __init__(self, ahead: Ahead) -> None:
        self._ahead = ahead
        self._waiting: dict[str, list[Future[certificates.PrivateKey]]] = {}

    def order(self, key_type: str) -> None:
        """Have a key of this type made."""
        self._waiting.setdefault(key_type, []).append(self._ahead.start(certificates.new_key, key_type))

    def take(self, key_type: str) -> certificates.PrivateKey:
        """A key of this type: one that was ordered, or a new one."""
        ready = self._waiting.get(key_type)
        return ready.pop(0).result() if ready else certificates.new_key(key_type)
