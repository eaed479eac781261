"""Label selectors: what they select, whether one selects no more than another, and how to say them.

Source: the Kubernetes API reference, LabelSelector (all requirements have to hold; an
empty selector selects everything).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kasmgen.kubernetes.fields import get, items, mapping, texts
from kasmgen.yaml.documents import Yaml

_IN, _NOT_IN, _EXISTS, _ABSENT = "In", "NotIn", "Exists", "DoesNotExist"


@dataclass(frozen=True, order=True)
class Requirement:
    """One label and what is asked of it. values: sorted, () for Exists and DoesNotExist."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


Selector = tuple[Requirement, ...]
"""Requirements that all have to hold, sorted; () selects everything."""


def read(value: Yaml) -> Selector:
    """The requirements of a `LabelSelector`; what is not as it should be is left out."""
    found = {Requirement(str(key), _IN, (str(item),)) for key, item in mapping(value, "matchLabels").items()}
    for expression in items(value, "matchExpressions"):
        values = tuple(sorted(set(texts(expression, "values"))))
        found.add(Requirement(str(expression.get("key")), str(expression.get("operator")), values))
    return tuple(sorted(found))


def selects(selector: Selector, labels: Mapping[str, Yaml]) -> bool:
    """Whether something with these labels is selected."""
    return all(_holds(requirement, labels) for requirement in selector)


def _holds(requirement: Requirement, labels: Mapping[str, Yaml]) -> bool:
    there = requirement.key in labels
    if requirement.operator == _IN:
        return there and str(labels[requirement.key]) in requirement.values
    if requirement.operator == _NOT_IN:
        return not there or str(labels[requirement.key]) not in requirement.values
    return there is (requirement.operator == _EXISTS)


def within(inner: Selector, outer: Selector) -> bool:
    """Whether all that `inner` selects is selected by `outer`, as far as the requirements tell."""
    return all(_implied(requirement, inner) for requirement in outer)


def _implied(requirement: Requirement, by: Selector) -> bool:
    same_key = [other for other in by if other.key == requirement.key]
    if requirement in same_key:
        return True
    allowed, refused, absent = _known(same_key)
    if requirement.operator == _IN:
        return allowed is not None and allowed <= set(requirement.values)
    if requirement.operator == _NOT_IN:
        outside = allowed is not None and allowed.isdisjoint(requirement.values)
        return absent or outside or refused >= set(requirement.values)
    return requirement.operator == _EXISTS and allowed is not None


def _known(requirements: list[Requirement]) -> tuple[set[str] | None, set[str], bool]:
    """What is said of one label: its possible values (None for any), those it has not, whether it is absent."""
    allowed: set[str] | None = None
    refused: set[str] = set()
    for requirement in requirements:
        if requirement.operator == _IN:
            allowed = set(requirement.values) if allowed is None else allowed & set(requirement.values)
        elif requirement.operator == _NOT_IN:
            refused |= set(requirement.values)
    absent = any(requirement.operator == _ABSENT for requirement in requirements)
    return None if allowed is None else allowed - refused, refused, absent


def split(selector: Selector) -> Iterator[Selector]:
    """Selectors that together select the same, each with one value for the first label that may have several."""
    for index, requirement in enumerate(selector):
        if requirement.operator == _IN and len(requirement.values) > 1:
            for value in requirement.values:
                one = Requirement(requirement.key, _IN, (value,))
                yield (*selector[:index], one, *selector[index + 1 :])
            return
    yield selector


def words(selector: Selector) -> str:
    """`app=web and tier in (a, b)`; "" for everything."""
    return " and ".join(map(_words, selector))


def _words(requirement: Requirement) -> str:
    if requirement.operator in (_EXISTS, _ABSENT):
        return f"{requirement.key} {'set' if requirement.operator == _EXISTS else 'not set'}"
    if requirement.operator == _IN and len(requirement.values) == 1:
        return f"{requirement.key}={requirement.values[0]}"
    word = "not in" if requirement.operator == _NOT_IN else "in"
    return f"{requirement.key} {word} ({', '.join(requirement.values)})"


def labels_of(obj: Yaml) -> dict[str, Yaml]:
    """The labels in the metadata of an object or pod template."""
    return mapping(get(obj, "metadata"), "labels")
