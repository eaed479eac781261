"""What the API server would fill in or refuse: namespaces, and list entries with one key twice."""

from __future__ import annotations

from collections.abc import Mapping

from kasmgen.chart.normalise.normalisation import NormalisationContext
from kasmgen.kubernetes import kinds
from kasmgen.kubernetes.fields import mapping
from kasmgen.kubernetes.kinds import with_template
from kasmgen.kubernetes.resources import Object
from kasmgen.yaml.documents import Yaml


def namespaces(obj: Object, context: NormalisationContext) -> Object:
    """Namespaced objects without a namespace get the release's; one that points elsewhere is reported."""
    metadata = mapping(obj, "metadata")
    if not kinds.has_namespace(obj, context.scopes):
        if not metadata.get("namespace"):
            return obj
        context.note("namespace removed from a cluster-scoped object", obj, str(metadata["namespace"]))
        return {**obj, "metadata": {k: v for k, v in metadata.items() if k != "namespace"}}
    if metadata.get("namespace"):
        if metadata["namespace"] != context.namespace:
            context.note("namespace is not the release's", obj, f"{metadata['namespace']}, kept as the chart has it")
        return obj
    context.note("namespace filled in", obj, context.namespace)
    return {**obj, "metadata": {**metadata, "namespace": context.namespace}}


CONTAINER_LIST_KEYS: Mapping[str, tuple[str, ...]] = {"env": ("name",), "ports": ("containerPort", "protocol")}
"""List of a container -> the keys by which server-side apply tells its items apart.

Only lists are here that charts repeat entries of, and that a client-side apply takes so.
"""

SERVICE_LIST_KEYS: Mapping[str, tuple[str, ...]] = {"ports": ("port", "protocol")}
"""As CONTAINER_LIST_KEYS, of the `spec` of a Service."""


def list_duplicates(obj: Object, context: NormalisationContext) -> Object:
    """Of `env` and `ports` entries with the same key, the last one stays."""
    spec = obj.get("spec")
    if obj.get("kind") == "Service" and isinstance(spec, dict) and isinstance(spec.get("ports"), list):
        ports = _unique(spec["ports"], SERVICE_LIST_KEYS["ports"], obj, "ports", context)
        return obj if ports is spec["ports"] else {**obj, "spec": {**spec, "ports": ports}}
    template = kinds.pod_template(obj)
    if template is None or not isinstance(template.get("spec"), dict):
        return obj
    pod = _unique_in_pod(template["spec"], obj, context)
    return obj if pod is template["spec"] else _with_pod_spec(obj, pod)


def _unique_in_pod(pod: dict[str, Yaml], obj: Object, context: NormalisationContext) -> dict[str, Yaml]:
    out = dict(pod)
    for name in kinds.CONTAINER_LISTS:
        if isinstance(pod.get(name), list):
            items = [_unique_in_container(c, obj, context) if isinstance(c, dict) else c for c in pod[name]]
            if any(new is not old for new, old in zip(items, pod[name], strict=True)):
                out[name] = items
    return out if any(out[key] is not pod[key] for key in pod) else pod


def _unique_in_container(container: dict[str, Yaml], obj: Object, context: NormalisationContext) -> dict[str, Yaml]:
    out = container
    for name, keys in CONTAINER_LIST_KEYS.items():
        items = container.get(name)
        if isinstance(items, list):
            kept = _unique(items, keys, obj, f"{container.get('name')}.{name}", context)
            if kept is not items:
                out = {**out, name: kept}
    return out


def _unique(
    items: list[Yaml], keys: tuple[str, ...], obj: Object, where: str, context: NormalisationContext
) -> list[Yaml]:
    def key_of(item: Yaml) -> tuple[Yaml, ...] | None:
        if not isinstance(item, dict) or item.get(keys[0]) is None:
            return None
        return tuple(str(item.get(k) or ("TCP" if k == "protocol" else "")) for k in keys)

    last = {key: position for position, item in enumerate(items) if (key := key_of(item)) is not None}
    kept = [item for position, item in enumerate(items) if (key := key_of(item)) is None or last[key] == position]
    if len(kept) == len(items):
        return items
    names = sorted(
        {"/".join(map(str, key)) for i, item in enumerate(items) if (key := key_of(item)) and last[key] != i}
    )
    context.note("duplicate list entries, the last one kept", obj, f"{where}: {', '.join(names)}")
    return kept


def _with_pod_spec(obj: Object, pod: dict[str, Yaml]) -> Object:
    """`obj` with another pod spec in its template."""
    return with_template(obj, lambda template: {**template, "spec": pod})
