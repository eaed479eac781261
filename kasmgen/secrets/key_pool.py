"""Private keys made ahead in threads, while charts render."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from kasmgen.secrets import certificates


@contextmanager
def key_maker() -> Iterator[tuple[Callable[[str], None], Callable[[str], certificates.PrivateKey]]]:
    """Private keys made ahead in threads: (order one of a type, take one of a type).

    An RSA key of 4096 bits takes longer than everything else together, and is made
    outside of Python's lock.
    """
    waiting: dict[str, list[Future[certificates.PrivateKey]]] = {}
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:

        def order(key_type: str) -> None:
            waiting.setdefault(key_type, []).append(pool.submit(certificates.new_key, key_type))

        def take(key_type: str) -> certificates.PrivateKey:
            ready = waiting.get(key_type)
            return ready.pop(0).result() if ready else certificates.new_key(key_type)

        yield order, take
