"""What a NetworkPolicy lets through, and whether that is within what others let through.

Source: the Kubernetes API reference, NetworkPolicy (networking.k8s.io/v1).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from kasmgen.kubernetes.fields import get, mapping, texts
from kasmgen.kubernetes.resources import Object
from kasmgen.review.risks import selectors
from kasmgen.review.risks.selectors import Selector
from kasmgen.yaml.documents import Yaml

SIDES = {"Ingress": "from", "Egress": "to"}
_MOST_PIECES = 64
# Every namespace carries its own name as this label.
_NAME = "kubernetes.io/metadata.name"

T = TypeVar("T")
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Pods:
    """Pods by their labels, in the namespaces that have these labels. own: in the policy's own one."""

    pods: Selector
    namespaces: Selector
    own: bool = False


@dataclass(frozen=True)
class Addresses:
    """A block of addresses without some."""

    block: _Network
    but: tuple[_Network, ...] = ()


@dataclass(frozen=True)
class Unclear:
    """A peer that is not as it should be, as text."""

    text: str


Peer = Pods | Addresses | Unclear | None
"""Who may talk; None is everybody."""


@dataclass(frozen=True)
class Port:
    """A port or a range of them; name: of one that has no number. first: None for every port."""

    protocol: str
    first: int | None = None
    last: int | None = None
    name: str = ""


@dataclass(frozen=True)
class Flow:
    """One way that is open. port: None for every port of every protocol."""

    peer: Peer
    port: Port | None


def covers(policy: Object, direction: str) -> bool:
    """Whether the policy limits "Ingress" or "Egress" at all."""
    types = texts(policy, "spec.policyTypes")
    if types:
        return direction in types
    return direction == "Ingress" or get(policy, "spec.egress") is not None


def flows(policy: Object, direction: str) -> list[Flow]:
    """Everything that the policy lets through in a direction."""
    namespace = str(get(policy, "metadata.namespace") or "")
    return [
        Flow(peer, port)
        for rule in _rules(get(policy, f"spec.{direction.lower()}"))
        for peer in _each(rule.get(SIDES[direction]), lambda value: _peer(value, namespace))
        for port in _each(rule.get("ports"), _port)
    ]


def _rules(value: Yaml) -> list[dict[str, Yaml]]:
    """The rules; an empty one lets everything through."""
    return [rule if isinstance(rule, dict) else {} for rule in value] if isinstance(value, list) else []


def _each(value: Yaml, read: Callable[[Yaml], T]) -> list[T] | list[None]:
    """What stands in a list; none there, or an empty one, is no limit."""
    return [read(item) for item in value] if isinstance(value, list) and value else [None]


def _peer(value: Yaml, namespace: str) -> Peer:
    block = mapping(value, "ipBlock")
    if block:
        return _addresses(block)
    if not isinstance(value, dict) or not value.keys() & {"podSelector", "namespaceSelector"}:
        return Unclear(str(value))
    where = get(value, "namespaceSelector")
    own = selectors.read({"matchLabels": {_NAME: namespace}})
    spaces = own if where is None else selectors.read(where)
    return Pods(selectors.read(value.get("podSelector")), spaces, own=spaces == own)


def _addresses(block: dict[str, Yaml]) -> Peer:
    try:
        but = tuple(_network(text) for text in texts(block, "except"))
        return Addresses(_network(str(block.get("cidr"))), but)
    except ValueError:
        return Unclear(str(block))


def _network(text: str) -> _Network:
    return ipaddress.ip_network(text, strict=False)


def _port(value: Yaml) -> Port:
    port, last = get(value, "port"), get(value, "endPort")
    protocol = str(get(value, "protocol") or "TCP")
    if isinstance(port, int):
        return Port(protocol, port, last if isinstance(last, int) else port)
    return Port(protocol, name=str(port)) if port is not None else Port(protocol)


# --- comparing -----------------------------------------------------------


def wider(new: Iterable[Flow], old: Iterable[Flow]) -> list[Flow]:
    """What is open in `new` and not in `old`, in as few flows as it takes; [] if nothing is."""
    before = list(old)
    found: list[Flow] = []
    for flow in new:
        pieces = list(islice(_pieces(flow), _MOST_PIECES + 1))
        if len(pieces) > _MOST_PIECES:
            pieces = [flow]
        open_now = [piece for piece in pieces if not any(_within(piece, other) for other in before)]
        found += [flow] if len(open_now) == len(pieces) else open_now
    return list(dict.fromkeys(found))


def _pieces(flow: Flow) -> Iterator[Flow]:
    """The flow by single values of labels, as two of the old peers may cover one of the new."""
    if not isinstance(flow.peer, Pods):
        yield flow
        return
    for pods in selectors.split(flow.peer.pods):
        for namespaces in selectors.split(flow.peer.namespaces):
            yield Flow(Pods(pods, namespaces, flow.peer.own), flow.port)


def _within(inner: Flow, outer: Flow) -> bool:
    return _peer_within(inner.peer, outer.peer) and _port_within(inner.port, outer.port)


def _peer_within(inner: Peer, outer: Peer) -> bool:
    if outer is None or inner == outer:
        return True
    if isinstance(inner, Pods) and isinstance(outer, Pods):
        return selectors.within(inner.pods, outer.pods) and selectors.within(inner.namespaces, outer.namespaces)
    if isinstance(inner, Addresses) and isinstance(outer, Addresses):
        return _block_within(inner, outer)
    return False


def _block_within(inner: Addresses, outer: Addresses) -> bool:
    if not _inside(inner.block, outer.block):
        return False
    return all(
        any(_inside(hole, mine) for mine in inner.but)
        for hole in outer.but
        if hole.version == inner.block.version and hole.overlaps(inner.block)
    )


def _inside(inner: _Network, outer: _Network) -> bool:
    if isinstance(inner, ipaddress.IPv4Network) and isinstance(outer, ipaddress.IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, ipaddress.IPv6Network) and isinstance(outer, ipaddress.IPv6Network):
        return inner.subnet_of(outer)
    return False


def _port_within(inner: Port | None, outer: Port | None) -> bool:
    if outer is None or inner == outer:
        return True
    if inner is None or inner.protocol != outer.protocol:
        return False
    if outer.first is None and not outer.name:
        return True
    if inner.first is None or inner.last is None or outer.first is None or outer.last is None:
        return False
    return outer.first <= inner.first and inner.last <= outer.last


# --- words ---------------------------------------------------------------


def words(flow: Flow) -> str:
    """`pods labelled app=web on 8080/TCP`."""
    return f"{_peer_words(flow.peer)} on {_port_words(flow.port)}"


def _peer_words(peer: Peer) -> str:
    if peer is None:
        return "everybody"
    if isinstance(peer, Unclear):
        return peer.text
    if isinstance(peer, Addresses):
        but = f" but {', '.join(map(str, peer.but))}" if peer.but else ""
        return f"addresses in {peer.block}{but}"
    pods = f"pods labelled {selectors.words(peer.pods)}" if peer.pods else "every pod"
    if peer.own:
        return pods
    return f"{pods} of {_space_words(peer.namespaces)}"


def _space_words(namespaces: Selector) -> str:
    if not namespaces:
        return "every namespace"
    only = namespaces[0]
    if len(namespaces) == 1 and only.key == _NAME and only.operator == "In":
        return f"namespace {' or '.join(only.values)}"
    return f"namespaces labelled {selectors.words(namespaces)}"


def _port_words(port: Port | None) -> str:
    if port is None:
        return "every port"
    if port.name:
        return f"{port.name}/{port.protocol}"
    if port.first is None:
        return f"every {port.protocol} port"
    return f"{port.first}-{port.last}/{port.protocol}" if port.last != port.first else f"{port.first}/{port.protocol}"
