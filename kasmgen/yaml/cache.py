"""Texts that are read once."""

from __future__ import annotations

import threading

from kasmgen.yaml import documents


class ParseCache:
    """`documents.load_all` that reads each text once.

    A hundred environments share most documents. What comes out is shared too and
    is never changed (steps return new objects).
    """

    def __init__(self, most_bytes: int = 48 * 1024 * 1024) -> None:
        self._known: dict[str, list[documents.Document]] = {}
        self._bytes = 0
        self._most = most_bytes
        self._lock = threading.Lock()

    def load(self, text: str, source: str) -> list[documents.Document]:
        """As `documents.load_all`."""
        found = self._known.get(text)
        if found is None:
            found = documents.load_all(text, source)
            with self._lock:
                if self._bytes + len(text) > self._most:
                    self._known.clear()
                    self._bytes = 0
                self._known[text] = found
                self._bytes += len(text)
        return found

    def load_stream(self, text: str, source: str) -> list[documents.Document]:
        """As `load`, document by document: `text` is kustomize's own output, where `---` stands alone."""
        return [document for part in text.split("\n---\n") for document in self.load(part, source)]
