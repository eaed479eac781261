"""Which item of a list is which: Kubernetes' list-map keys, and where order has no meaning.

Source: x-kubernetes-list-map-keys and x-kubernetes-patch-merge-key of the Kubernetes
API, whose schemas a test holds these tables to. Where all items have a unique name it
is used first: a port whose number changed is then a changed port and no new one.
"""

from __future__ import annotations

from collections.abc import Sequence

from kasmgen.review.changes import Key
from kasmgen.yaml.documents import Yaml

_BY_FIELD: dict[str, tuple[tuple[str, ...], ...]] = {
    "ports": (("name",), ("containerPort", "protocol"), ("port", "protocol")),
    "volumeMounts": (("mountPath",),),
    "volumeDevices": (("devicePath",),),
    "hostAliases": (("ip",),),
    "topologySpreadConstraints": (("topologyKey", "whenUnsatisfiable"),),
    "volumeClaimTemplates": (("metadata.name",),),
    "items": (("key",), ("metadata.name",), ("path",)),
    "subjects": (("kind", "namespace", "name"),),
    "ownerReferences": (("uid",),),
    "conditions": (("type",),),
    "tls": (("secretName",),),
    "x-kubernetes-validations": (("rule",),),
}
# Custom resources name the items of their lists as Kubernetes does.
_ANYWHERE: tuple[tuple[str, ...], ...] = (("name",),)
_DEFAULTS: dict[str, str] = {"protocol": "TCP", "namespace": ""}

# What Kubernetes keeps by keys, but for initContainers and the variables of policies, and a few lists without keys.
_ORDER_FREE = frozenset(
    ("containers", "ephemeralContainers", "volumes", "ports", "volumeMounts", "volumeDevices", "imagePullSecrets",
     "hostAliases", "topologySpreadConstraints", "schedulingGates", "resourceClaims", "claims", "evictionResponders",
     "volumeClaimTemplates", "items", "subjects", "ownerReferences", "conditions", "secrets", "tls", "versions",
     "webhooks", "matchConditions", "x-kubernetes-validations")
)  # fmt: skip


def key_of(item: Yaml, names: Sequence[str]) -> Key | None:
    """The key of `item` by these fields; None if it lacks one, or one is no scalar."""
    fields = []
    for name in names:
        value = item
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            value = _DEFAULTS.get(name)
        if value is None or isinstance(value, (dict, list)):
            return None
        fields.append((name, value))
    return Key(tuple(fields))


def _exact(key: Key) -> tuple[tuple[str, str, Yaml], ...]:
    # Python takes 1, 1.0 and True for one; as keys they are three.
    return tuple((name, type(value).__name__, value) for name, value in key.fields)


def keys(items: Sequence[Yaml], names: Sequence[str]) -> list[Key] | None:
    """The key of each item; None if an item has none or two have the same."""
    found = [key_of(item, names) for item in items]
    if any(key is None for key in found):
        return None
    whole = [key for key in found if key is not None]
    # The text counts too: a path is shown by it.
    unique = len({_exact(key) for key in whole}) == len({str(key) for key in whole}) == len(whole)
    return whole if unique else None


def common_keys(field: str, old: Sequence[Yaml], new: Sequence[Yaml]) -> tuple[list[Key], list[Key]] | None:
    """The keys of both lists by the first set of fields that tells all items of both apart."""
    if not all(isinstance(item, dict) for item in (*old, *new)):
        return None
    for names in _BY_FIELD.get(field, ()) + _ANYWHERE:
        old_keys, new_keys = keys(old, names), keys(new, names)
        if old_keys is not None and new_keys is not None and _tell_apart(old_keys, new_keys):
            return old_keys, new_keys
    return None


def _tell_apart(old: list[Key], new: list[Key]) -> bool:
    exact = {_exact(key) for key in (*old, *new)}
    return len(exact) == len({*old, *new}) == len({str(key) for key in (*old, *new)})


def order_matters(field: str, old: Sequence[Yaml], new: Sequence[Yaml]) -> bool:
    """Whether another order of these items means something else to Kubernetes.

    Variables are read from top to bottom, so their order counts where one refers to another.
    """
    if field == "env":
        return any("$(" in str(item.get("value", "")) for item in (*old, *new) if isinstance(item, dict))
    return field not in _ORDER_FREE
