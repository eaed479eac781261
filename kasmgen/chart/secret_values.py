"""Values that would put a secret into Git in clear. What a chart does with a value tells: it is rendered without it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from kasmgen.chart import secret_names
from kasmgen.errors import InputError
from kasmgen.kubernetes import checksums, equality
from kasmgen.kubernetes.resources import Render, ResourceId
from kasmgen.secrets.required import data_of
from kasmgen.yaml import documents, mappings
from kasmgen.yaml.documents import Yaml

Attempt = Callable[[Mapping[str, Yaml]], Render]
"""Renders the chart with some values. Raises InputError where the chart does not take them."""

_ON_PURPOSE = 6
"""Characters; shorter texts are everywhere by accident."""

Contents = Mapping[tuple[ResourceId, str], bytes]


@dataclass(frozen=True)
class Found:
    """Paths of values. sealed: only Secrets come of them. loud: they look like secrets, and why they would not be
    sealed.
    """

    sealed: tuple[mappings.Path, ...] = ()
    loud: Mapping[mappings.Path, str] = field(default_factory=dict)


def find(
    given: Mapping[str, Yaml], defaults: Mapping[str, Yaml], attempt: Attempt, plain: Collection[str] = ()
) -> Found:
    """What becomes of each value of `given` that is not the chart's own, which everybody knows.

    plain: paths ("a.b") of values that may be read by everybody. Raises InputError where the chart does not render
    with the values.
    """
    every = dict.fromkeys(path for path, text in mappings.text_leaves(given) if text and ".".join(path) not in plain)
    paths = [path for path in every if mappings.get(given, path) != mappings.get(defaults, path)]
    loud = secret_names.in_clear(given, defaults, plain)
    if not paths:
        return Found()
    whole = attempt(given)
    if not whole.secrets and not loud:
        return Found()
    probe = _Probe(given, attempt, whole, _steady(whole, attempt(given)))
    suspects = probe.suspects(paths) if whole.secrets else []
    sealed = [path for path in suspects if probe.only_in_secrets(path)]
    return Found(
        sealed=tuple(sealed),
        loud={path: probe.reason(path, in_secrets=path in suspects) for path in loud if path not in sealed},
    )


def written_secrets(
    given: Mapping[str, Yaml], defaults: Mapping[str, Yaml], attempt: Attempt, plain: Collection[str] = ()
) -> list[mappings.Path]:
    """Paths in what people wrote into a file that Git has: the whole value of a Secret's key.

    Other values that only a Secret holds may be its settings, and who writes them there knows that they are read.
    """
    found = find(given, defaults, attempt, plain)
    if not found.sealed:
        return []
    whole = set(_contents(attempt(given)).values())
    return [path for path in found.sealed if str(mappings.get(given, path)).encode() in whole]


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

    def reason(self, path: mappings.Path, *, in_secrets: bool) -> str:
        """Why a value would not be sealed."""
        too = " too" if in_secrets else ""
        for text in self._texts(path):
            for form, shape in _FORMS.items():
                if len(found := shape(text)) >= _ON_PURPOSE and found in self._others:
                    return f"another object holds it{too}{form}"
        bare = self.bare(path)
        if bare is not None and others_alike(self.whole, bare):
            return "the chart does nothing with it"
        if bare is not None:
            changed = sorted(str(key) for key in _changed(self.whole, bare))
            return f"{', '.join(changed[:3])} depends on it{too}"
        return "the chart makes no Secret of it alone"

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


_CUT = 8

_FORMS: Mapping[str, Callable[[str], str]] = {
    "": str,
    ", in base64": lambda text: base64.b64encode(text.encode()).decode(),
    ", in upper case": str.upper,
    ", in lower case": str.lower,
    ", as a SHA-256": lambda text: hashlib.sha256(text.encode()).hexdigest()[:_CUT],
    ", as a SHA-1": lambda text: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:_CUT],
    ", cut off": lambda text: text[:_CUT],
}
"""What charts make of a value -> how that reads, cut so that shortened ones are found."""


def _changed(one: Render, other: Render) -> Iterator[ResourceId]:
    yield from one.objects.keys() ^ other.objects.keys()
    for key in one.objects.keys() & other.objects.keys():
        if not equality.equal(one.objects[key].object, other.objects[key].object):
            yield key
