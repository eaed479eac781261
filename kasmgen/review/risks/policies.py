"""Network policies that let more through than before.

Pods that no policy limits can be reached from everywhere; those that some limit, by
what any of them lets through. So a policy that goes opens pods only where it was the
last one, and a new one only widens what others let through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import assert_never

from kasmgen.delivery.flux import kept_by_flux
from kasmgen.kubernetes import kinds
from kasmgen.kubernetes.fields import get, short
from kasmgen.kubernetes.resources import Object, ResourceId
from kasmgen.review.changes import AddedObject, ChangedObject, ObjectChange, RemovedObject, RenamedObject, Risk
from kasmgen.review.risks import selectors, traffic
from kasmgen.review.risks.context import RiskContext
from kasmgen.review.risks.selectors import Selector
from kasmgen.yaml.documents import Yaml

Build = Mapping[ResourceId, Object]
Labels = Mapping[str, Yaml]

_GROUP, _KIND = "networking.k8s.io", "NetworkPolicy"
_WORDS = {"Ingress": "in", "Egress": "out"}


def policies(change: ObjectChange, context: RiskContext) -> Iterator[Risk]:
    """Barriers that fall, and ways that open."""
    if (change.id.group, change.id.kind) != (_GROUP, _KIND):
        return
    match change:
        case RemovedObject():
            yield from _removed(change, context)
        case AddedObject():
            yield from _reaches(change, context)
        case ChangedObject() | RenamedObject():
            yield from _changed(change.old, change.new)
            yield from _left(change, context)
            yield from _reaches(change, context)
        case _:
            assert_never(change)


def _warn(reason: str) -> Risk:
    return Risk("exposed", "warning", reason)


def _selector(policy: Object | None) -> Selector:
    return selectors.read(get(policy, "spec.podSelector"))


def _changed(old: Object, new: Object) -> Iterator[Risk]:
    for direction, word in _WORDS.items():
        if not traffic.covers(old, direction):
            continue
        if not traffic.covers(new, direction):
            yield _warn(f"the NetworkPolicy does not limit traffic {word} any more")
        elif more := traffic.wider(traffic.flows(new, direction), traffic.flows(old, direction)):
            yield _warn(f"traffic {word} is allowed that was not: {short([traffic.words(flow) for flow in more])}")


# --- pods that a policy leaves -------------------------------------------


def _removed(change: ObjectChange, context: RiskContext) -> Iterator[Risk]:
    if kept_by_flux(change.old):
        return
    if _opens(change, context, lambda _: True):
        yield _warn("the NetworkPolicy is removed: what it kept away can connect")


def _left(change: ObjectChange, context: RiskContext) -> Iterator[Risk]:
    before, now = _selector(change.old), _selector(change.new)
    moved = change.old_id.namespace != change.id.namespace
    if (moved or not selectors.within(before, now)) and _opens(
        change, context, lambda labels: moved or not selectors.selects(now, labels)
    ):
        yield _warn("the NetworkPolicy covers other pods: those that it leaves are open")


def _opens(change: ObjectChange, context: RiskContext, leaves: Callable[[Labels], bool]) -> bool:
    """Whether pods that the policy covered stay, and in some direction without any policy.

    Where the build never had any such pods, nobody knows, and it counts as open.
    """
    old, key = change.old, change.old_id
    selector = _selector(old)
    had = [labels for labels in _pods(context.old, key.namespace) if selectors.selects(selector, labels)]
    stay = [labels for labels in _pods(context.new, key.namespace) if selectors.selects(selector, labels)]
    others = [p for k, p in _policies(context.new, key.namespace) if k != change.id]
    for direction in _WORDS:
        if not traffic.covers(old, direction):
            continue
        covering = [_selector(policy) for policy in others if traffic.covers(policy, direction)]
        if not had and not any(selectors.within(selector, other) for other in covering):
            return True
        for labels in stay:
            if leaves(labels) and not any(selectors.selects(other, labels) for other in covering):
                return True
    return False


# --- pods that a policy reaches ------------------------------------------


def _reaches(change: ObjectChange, context: RiskContext) -> Iterator[Risk]:
    """Ways to pods that other policies limited, and this one did not cover."""
    new, key = change.new, change.old_id
    selector, before = _selector(new), _selector(change.old) if change.old else None
    reached = [
        labels
        for labels in _pods(context.old, change.id.namespace)
        if selectors.selects(selector, labels) and (before is None or not selectors.selects(before, labels))
    ]
    limiting = [(_selector(p), p) for k, p in _policies(context.old, change.id.namespace) if k != key]
    for direction, word in _WORDS.items():
        if traffic.covers(new, direction) and (more := _opened(new, direction, reached, limiting)):
            yield _warn(f"traffic {word} is allowed that was not: {short([traffic.words(flow) for flow in more])}")


def _opened(
    new: Object, direction: str, reached: list[Labels], limiting: list[tuple[Selector, Object]]
) -> list[traffic.Flow]:
    found: list[traffic.Flow] = []
    for labels in reached:
        mine = [p for selector, p in limiting if traffic.covers(p, direction) and selectors.selects(selector, labels)]
        if mine:
            allowed = [flow for policy in mine for flow in traffic.flows(policy, direction)]
            found += traffic.wider(traffic.flows(new, direction), allowed)
    return list(dict.fromkeys(found))


# --- builds --------------------------------------------------------------


def _pods(build: Build, namespace: str) -> list[Labels]:
    """The labels of the pods of every workload in a namespace."""
    templates = (kinds.pod_template(obj) for key, obj in build.items() if key.namespace == namespace)
    return [selectors.labels_of(template) for template in templates if template]


def _policies(build: Build, namespace: str) -> list[tuple[ResourceId, Object]]:
    return [
        (key, obj)
        for key, obj in build.items()
        if key.namespace == namespace and (key.group, key.kind) == (_GROUP, _KIND)
    ]
