"""What can be reached that could not be reached before."""

from __future__ import annotations

from collections.abc import Iterator

from kasmgen.kubernetes.fields import get, items, mapping, short, texts
from kasmgen.kubernetes.kinds import named_containers, pod_spec
from kasmgen.kubernetes.resources import Object
from kasmgen.review.changes import AddedObject, ObjectChange, RemovedObject, Risk
from kasmgen.review.field_changes import same

_OPEN_TYPES = ("LoadBalancer", "NodePort")


def exposed(change: ObjectChange) -> Iterator[Risk]:
    """New ways in from outside, and barriers that fall."""
    kind, old, new = change.id.kind, change.old, change.new
    if isinstance(change, RemovedObject):
        return
    if kind == "Service":
        yield from _service(old, new)
    elif kind == "Ingress":
        yield from _ingress(old, new)
    elif kind in ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "Gateway", "IngressRoute", "VirtualService"):
        yield from _route(change)
    yield from _host_network(old, new)


def _warn(reason: str) -> Risk:
    return Risk("exposed", "warning", reason)


def _more(old: list[str], new: list[str]) -> list[str]:
    return [value for value in dict.fromkeys(new) if value not in old]


def _service(old: Object, new: Object) -> Iterator[Risk]:
    was, now = str(get(old, "spec.type") or "ClusterIP"), str(get(new, "spec.type") or "ClusterIP")
    if now in _OPEN_TYPES and (not old or was not in _OPEN_TYPES):
        yield _warn(f"the Service can be reached from outside the cluster (type {now})")
    elif now in _OPEN_TYPES and (ports := _more(_ports(old), _ports(new))):
        yield _warn(f"port {short(ports)} can be reached from outside the cluster (type {now})")
    if addresses := _more(texts(old, "spec.externalIPs"), texts(new, "spec.externalIPs")):
        yield _warn(f"the Service answers on the external address {short(addresses)}")
    ranges = "spec.loadBalancerSourceRanges"
    if now in _OPEN_TYPES and texts(old, ranges):
        if not texts(new, ranges):
            yield _warn("any address may connect: loadBalancerSourceRanges is removed")
        elif wider := _more(texts(old, ranges), texts(new, ranges)):
            yield _warn(f"addresses in {short(wider)} may connect")


def _ports(service: Object) -> list[str]:
    return [f"{port.get('port')}/{port.get('protocol') or 'TCP'}" for port in items(service, "spec.ports")]


def _ingress(old: Object, new: Object) -> Iterator[Risk]:
    if more := _more(_addresses(old), _addresses(new)):
        yield Risk("exposed", "warning" if not old else "info", f"{short(more)} is served")
    lost = [host for host in _tls_hosts(old) if host not in _tls_hosts(new) and host in _hosts(new)]
    if lost or (items(old, "spec.tls") and not items(new, "spec.tls")):
        yield _warn(f"{short(lost) or 'it'} is served without TLS")
    if added := [host for host in _tls_hosts(new) if host not in _tls_hosts(old)] if old else []:
        yield Risk("exposed", "info", f"TLS is served for {short(added)}")


def _hosts(ingress: Object) -> list[str]:
    return [str(rule.get("host") or "*") for rule in items(ingress, "spec.rules")]


def _addresses(ingress: Object) -> list[str]:
    found = [
        f"{rule.get('host') or '*'}{path.get('path') or '/'}"
        for rule in items(ingress, "spec.rules")
        for path in items(rule, "http.paths") or [{}]
    ]
    return found + (["every host (defaultBackend)"] if mapping(ingress, "spec.defaultBackend") else [])


def _tls_hosts(ingress: Object) -> list[str]:
    return [host for entry in items(ingress, "spec.tls") for host in texts(entry, "hosts")]


def _route(change: ObjectChange) -> Iterator[Risk]:
    if isinstance(change, AddedObject):
        yield _warn(f"a new {change.id.kind} leads into the cluster")
    elif not same(get(change.old, "spec"), get(change.new, "spec")):
        yield Risk("exposed", "info", f"what the {change.id.kind} lets in changes")


# --- ports of the node ---------------------------------------------------


def _host_network(old: Object, new: Object) -> Iterator[Risk]:
    if pod_spec(new).get("hostNetwork") is True and pod_spec(old).get("hostNetwork") is not True:
        yield _warn("pods use the node's own network (hostNetwork)")
    if ports := _more(_host_ports(old), _host_ports(new)):
        yield _warn(f"port {short(ports)} of the node leads to the pod (hostPort)")


def _host_ports(obj: Object) -> list[str]:
    return [str(p["hostPort"]) for _, c in named_containers(obj) for p in items(c, "ports") if p.get("hostPort")]
