"""`--set` as Helm reads it.

Rules: Helm's strvals.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping

from kasmgen.errors import InputError
from kasmgen.yaml.documents import Yaml

MAX_INDEX = 65536  # as in Helm


# --- --set -----------------------------------------------------------------


class _SetParser:
    """One `--set` expression: `a.b=1,c[0]=x,d={1,2},e\\.f=g`."""

    def __init__(self, text: str, what: str) -> None:
        self.text, self.what, self.at = text, what, 0

    def error(self, why: str) -> InputError:
        return InputError(f"{self.what}: {why}", hint="the form is key.sub=value, lists are key[0]=value or key={a,b}")

    def take(self, stops: str) -> tuple[str, str]:
        """Text up to one of `stops` (a backslash keeps the next character), and the stop."""
        out: list[str] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            self.at += 1
            if char == "\\":
                out.append(self.text[self.at : self.at + 1])
                self.at += 1
            elif char in stops:
                return "".join(out), char
            else:
                out.append(char)
        return "".join(out), ""

    def parse(self, into: dict[str, Yaml]) -> None:
        while self.at < len(self.text):
            self.assign(into)

    def assign(self, target: Yaml) -> None:
        """One `path=value` below `target`."""
        key, stop = self.take(".=[,")
        if stop in (",", ""):
            raise self.error(f"the key '{key}' has no value")
        if not key:
            raise self.error("a key is empty")
        if stop == "=":
            target[key] = self.value()
        elif stop == ".":
            if not isinstance(target.get(key), dict):
                target[key] = {}
            self.assign(target[key])
        else:
            if not isinstance(target.get(key), list):
                target[key] = []
            self.index(target[key])

    def index(self, items: list[Yaml]) -> None:
        number, stop = self.take("]")
        if stop != "]" or not re.fullmatch("[0-9]{1,9}", number) or int(number) > MAX_INDEX:
            raise self.error(f"'{number}' is no index of a list")
        position = int(number)
        items.extend([None] * (position + 1 - len(items)))
        following = self.text[self.at : self.at + 1]
        self.at += 1
        if following == "=":
            items[position] = self.value()
        elif following == ".":
            if not isinstance(items[position], dict):
                items[position] = {}
            self.assign(items[position])
        elif following == "[":
            if not isinstance(items[position], list):
                items[position] = []
            self.index(items[position])
        else:
            raise self.error("after an index comes =, . or [")

    def value(self) -> Yaml:
        if self.text[self.at : self.at + 1] == "{":
            self.at += 1
            return self.braces()
        text, _ = self.take(",")
        return _typed(text)

    def braces(self) -> list[Yaml]:
        items: list[Yaml] = []
        while True:
            text, stop = self.take(",}")
            if not stop:
                raise self.error("a list begins with { and has no } at its end")
            items.append(_typed(text))
            if stop == "}":
                if self.text[self.at : self.at + 1] == ",":
                    self.at += 1
                return items


def _typed(text: str) -> Yaml:
    """true, false, null and whole numbers (no zero in front) are what they look like."""
    lower = text.lower()
    if lower in ("true", "false"):
        return lower == "true"
    if lower == "null":
        return None
    if text == "0":
        return 0
    if re.fullmatch(r"[-+]?[0-9]{1,19}", text) and text[0] != "0" and -(2**63) <= int(text) < 2**63:
        return int(text)
    return text


def parse_set(expression: str, what: str = "--set", onto: Mapping[str, Yaml] | None = None) -> dict[str, Yaml]:
    """A `--set` expression as values, or as what it makes of the values `onto`.

    Only with `onto` does `list[1]=x` keep the other items of a list, as Helm does over its values files.
    Raises InputError without repeating a value (it may be a password).
    """
    out: dict[str, Yaml] = copy.deepcopy(dict(onto or {}))
    _SetParser(expression, what).parse(out)
    return out
