"""Values that would put a secret into Git in clear. What a chart does with a value tells: it is rendered without it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from kasmgen.errors import InputError
from kasmgen.kubernetes import checksums, equality
from kasmgen.kubernetes.resources import Render, ResourceId
from kasmgen.secrets.required import data_of
from kasmgen.yaml import documents, mappings
from kasmgen.yaml.documents import Yaml

Attempt = Callable[[Mapping[str, Yaml]], Render]
"""Renders the chart with some values. Raises InputError where the chart does not take them."""

_SECRET_NAME = re.compile(r"pass(word|wd|phrase)?|token|secret|credential|private|(api|access|auth|ssh)_?-?key", re.I)

_ON_PURPOSE = 6
"""Characters; shorter texts are everywhere by accident."""

Contents = Mapping[tuple[ResourceId, str], bytes]


@dataclass(frozen=True)
class Found:
    """Paths of values. sealed: only Secrets come of them. spread: they sound like secrets, and other objects hold
    something of them too. idle: they sound like secrets, and nothing comes of them.
    """

    sealed: tuple[mappings.Path, ...] = ()
    spread: tuple[mappings.Path, ...] = ()
    idle: tuple[mappings.Path, ...] = ()


def find(given: Mapping[str, Yaml], defaults: Mapping[str, Yaml], attempt: Attempt) -> Found:
    """What becomes of each value of `given` that is not the chart's own, which everybody knows.

    Raises InputError where the chart does not render with them.
    """
    every = dict.fromkeys(path for path, text in mappings.text_leaves(given) if text)
    paths = [path for path in every if mappings.get(given, path) != mappings.get(defaults, path)]
    if not paths:
        return Found()
    whole = attempt(given)
    if not whole.secrets:
        return Found()
    probe = _Probe(given, attempt, whole, _steady(whole, attempt(given)))
    suspects = probe.suspects(paths)
    sealed = [path for path in suspects if probe.only_in_secrets(path)]
    loud = [path for path in paths if _sounds_secret(path) and path not in sealed]
    return Found(
        sealed=tuple(sealed),
        spread=tuple(path for path in loud if probe.in_both(path)),
        idle=tuple(path for path in loud if path not in suspects and probe.changes_nothing(path)),
    )


def written_secrets(given: Mapping[str, Yaml], defaults: Mapping[str, Yaml], attempt: Attempt) -> list[mappings.Path]:
    """Paths in what people wrote into a file that Git has: secrets by name, or the whole value of a Secret's key.

    Other values that only a Secret holds may be its settings, and who writes them there knows that they are read.
    """
    found = find(given, defaults, attempt)
    if not found.sealed and not found.spread:
        return []
    whole = set(_contents(attempt(given)).values())
    return [*found.spread] + [
        path for path in found.sealed if _sounds_secret(path) or str(mappings.get(given, path)).encode() in whole
    ]


def others_alike(one: Render, other: Render) -> bool:
    """Whether all objects but Secrets are the same, hashes in annotations apart: charts hash their Secrets there."""
    return one.objects.keys() == other.objects.keys() and all(
        equality.equal(checksums.without(item.object), checksums.without(other.objects[key].object))
        for key, item in one.objects.items()
        if item.object is not other.objects[key].object
    )


@dataclass(frozen=True)
class _Probe:
    """Renders without some of the values. steady: what Secrets hold and is the same in each render."""

    given: Mapping[str, Yaml]
    attempt: Attempt
    whole: Render
    steady: Contents

    def suspects(self, paths: Sequence[mappings.Path]) -> list[mappings.Path]:
        """Those without which some Secret is not the same; whole groups are cleared by one render."""
        if not paths or not self._change_secrets(paths):
            return []
        if len(paths) == 1:
            return list(paths)
        half = len(paths) // 2
        return self.suspects(paths[:half]) + self.suspects(paths[half:])

    def only_in_secrets(self, path: mappings.Path) -> bool:
        """Whether no other object is another one without the value."""
        bare = self.bare(path)
        if bare is None:  # the chart takes this value only; its text tells
            return all(self._in_secrets(text) and text not in self._others for text in self._texts(path))
        return others_alike(self.whole, bare)

    def in_both(self, path: mappings.Path) -> bool:
        """Whether a text, long enough to be there on purpose, stands in Secrets and in other objects."""
        texts = [text for text in self._texts(path) if len(text) >= _ON_PURPOSE]
        return any(self._in_secrets(text) and text in self._others for text in texts)

    def changes_nothing(self, path: mappings.Path) -> bool:
        """Whether nothing at all comes of a text."""
        bare = self.bare(path) if isinstance(mappings.get(self.given, path), str) else None
        return bare is not None and others_alike(self.whole, bare)

    def bare(self, path: mappings.Path) -> Render | None:
        """The render without one value, or where the chart demands one, with another; None if it takes neither."""
        found = self._try(mappings.without(self.given, path))
        return found if found is not None else self._try(mappings.replaced(self.given, path, _another))

    def _change_secrets(self, paths: Sequence[mappings.Path]) -> bool:
        bare = self.bare(paths[0]) if len(paths) == 1 else self._try(_without(self.given, paths))
        return bare is None or not _holds(_contents(bare), self.steady)

    def _texts(self, path: mappings.Path) -> list[str]:
        return [text for _, text in mappings.text_leaves(mappings.get(self.given, path))]

    def _in_secrets(self, text: str) -> bool:
        return any(text.encode() in value for value in _contents(self.whole).values())

    @cached_property
    def _others(self) -> str:
        return "\0".join(documents.dump(item.object) for item in self.whole.objects.values())

    def _try(self, given: Mapping[str, Yaml]) -> Render | None:
        try:
            return self.attempt(given)
        except InputError:
            return None


def _without(given: Mapping[str, Yaml], paths: Sequence[mappings.Path]) -> Mapping[str, Yaml]:
    # From the back: taking an item out of a list would move those behind it.
    for path in reversed(paths):
        given = mappings.without(given, path)
    return given


def _another(value: Yaml) -> Yaml:
    """A value of the same kind and length that is not the same."""
    if isinstance(value, str):
        return "".join("y" if letter == "x" else "x" for letter in value)
    return value + 1 if isinstance(value, int | float) and not isinstance(value, bool) else value


def _contents(render: Render) -> Contents:
    return {
        (key, name): value.reveal()
        for key, item in render.secrets.items()
        for name, value in data_of(item.object).items()
    }


def _steady(one: Render, other: Render) -> Contents:
    again = _contents(other)
    return {place: value for place, value in _contents(one).items() if again.get(place) == value}


def _holds(contents: Contents, steady: Contents) -> bool:
    return all(contents.get(place) == value for place, value in steady.items())


def _sounds_secret(path: mappings.Path) -> bool:
    return any(_SECRET_NAME.search(step) for step in path[-1:])
