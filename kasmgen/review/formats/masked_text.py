"""Text that is safe to show: no value of a Secret, nothing that steers a terminal or hides from a reader."""

from __future__ import annotations

import re
from collections.abc import Collection

from kasmgen.errors import InputError
from kasmgen.kubernetes.resources import Secret
from kasmgen.review.mask import MASK, masker
from kasmgen.safe_text import escaped, escaped_lines
from kasmgen.secrets.sealed_file import without_ciphertext
from kasmgen.yaml.documents import Yaml, dump, load

SEALED = "(sealed)"
_PRINTABLE = re.compile(r"[!-~]+(?: [!-~]+)*")


def _reads_as_itself(text: str) -> bool:
    """Whether YAML without quotes gives the same text. The writer of files quotes more, for other readers."""
    if not _PRINTABLE.fullmatch(text):
        return False
    try:
        return bool(load(text) == text)
    except InputError:
        return False


class Cleaner:
    """Takes out of every text what must not be shown; `known` are the values of Secrets."""

    def __init__(self, known: Collection[str]) -> None:
        self._mask = masker(known)

    def block(self, text: str) -> str:
        """`text` of any number of lines, safe to show."""
        return escaped_lines(self._hide(text))

    def line(self, text: str) -> str:
        """`text` on one line, safe to show."""
        return escaped(self._hide(text))

    def value(self, value: Yaml) -> str:
        """A value as a reader expects it: text as it is, all else as YAML.

        Text that YAML would take for something else stands in quotes, as the number 1 and
        the text "1" are not the same.
        """
        if isinstance(value, str) and "\n" in value:
            return self.block(value)
        shown = self._tree(value)
        return shown + "\n" if isinstance(shown, str) and _reads_as_itself(shown) else escaped_lines(dump(shown))

    def _hide(self, text: str) -> str:
        if "ENC[" in text:
            text = without_ciphertext(text, SEALED)
        return self._mask(text)

    def _tree(self, value: Yaml) -> Yaml:
        """Masked before it becomes YAML, which may quote, escape and indent what is to be found."""
        if isinstance(value, Secret):
            return MASK
        if isinstance(value, str):
            return self._hide(value)
        if isinstance(value, dict):
            return {self._hide(key): self._tree(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._tree(item) for item in value]
        # A number may be a secret too.
        return masked if isinstance(value, (int, float)) and (masked := self._mask(str(value))) == MASK else value
