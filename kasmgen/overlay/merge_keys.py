"""Which lists kustomize merges by key.

Source: the OpenAPI document built into kustomize (Kubernetes 1.21.2,
`x-kubernetes-patch-strategy` and `x-kubernetes-list-map-keys`). Every other
list, and every list of a kind that is not in it, is replaced as a whole, also
where a custom resource has `containers`. A test asks kustomize about every list
of every kind. The lists of `status` are left out: nobody writes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Schema:
    """What is known about a mapping's fields.

    lists: field -> keys that identify an item; () for lists of scalars.
    fields: field -> schema of the mapping below, or of the list's items.
    """

    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fields: Mapping[str, Schema] = field(default_factory=dict)

    def below(self, key: str) -> Schema:
        """The schema of the field `key`, or of the items of that list."""
        return self.fields.get(key, NOTHING)


NOTHING = Schema()

_METADATA = Schema({"finalizers": (), "ownerReferences": ("uid",)})
_EPHEMERAL = Schema({"env": ("name",), "volumeDevices": ("devicePath",), "volumeMounts": ("mountPath",)})
_CONTAINER = Schema({**_EPHEMERAL.lists, "ports": ("containerPort", "protocol")})
_CLAIM = Schema(fields={"volumeClaimTemplate": Schema(fields={"metadata": _METADATA})})
_POD = Schema(
    {
        "containers": ("name",),
        "ephemeralContainers": ("name",),
        "hostAliases": ("ip",),
        "imagePullSecrets": ("name",),
        "initContainers": ("name",),
        "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
        "volumes": ("name",),
    },
    {
        "containers": _CONTAINER,
        "ephemeralContainers": _EPHEMERAL,
        "initContainers": _CONTAINER,
        "volumes": Schema(fields={"ephemeral": _CLAIM}),
    },
)
_TEMPLATE = Schema(fields={"metadata": _METADATA, "spec": _POD})
_WORKLOAD = Schema(fields={"template": _TEMPLATE})
_JOB_TEMPLATE = Schema(fields={"metadata": _METADATA, "spec": _WORKLOAD})
_WEBHOOKS = Schema({"webhooks": ("name",)})


def _spec(schema: Schema) -> Schema:
    return Schema(fields={"spec": schema})


_CRON = _spec(Schema(fields={"jobTemplate": _JOB_TEMPLATE}))
_KINDS: Mapping[tuple[str, str], Schema] = {
    ("v1", "ComponentStatus"): Schema({"conditions": ("type",)}),
    ("v1", "Pod"): _spec(_POD),
    ("v1", "PodTemplate"): Schema(fields={"template": _TEMPLATE}),
    ("v1", "ReplicationController"): _spec(_WORKLOAD),
    ("v1", "Service"): _spec(Schema({"ports": ("port", "protocol")})),
    ("v1", "ServiceAccount"): Schema({"secrets": ("name",)}),
    ("v1", "Node"): _spec(Schema({"podCIDRs": ()})),
    ("apps/v1", "DaemonSet"): _spec(_WORKLOAD),
    ("apps/v1", "Deployment"): _spec(_WORKLOAD),
    ("apps/v1", "ReplicaSet"): _spec(_WORKLOAD),
    ("apps/v1", "StatefulSet"): _spec(_WORKLOAD),
    ("batch/v1", "Job"): _spec(_WORKLOAD),
    ("batch/v1", "CronJob"): _CRON,
    ("batch/v1beta1", "CronJob"): _CRON,
    ("storage.k8s.io/v1", "CSINode"): _spec(Schema({"drivers": ("name",)})),
    **{
        (f"admissionregistration.k8s.io/{version}", f"{kind}WebhookConfiguration"): _WEBHOOKS
        for version in ("v1", "v1beta1")
        for kind in ("Mutating", "Validating")
    },
}


def schema(api_version: str, kind: str) -> Schema:
    """The lists that kustomize merges in objects of this kind; of unknown kinds only the metadata's.

    A kind that kustomize does not know has no merged lists in its metadata
    either; taking them for merged costs nothing, as no patch is made for them.
    """
    known = _KINDS.get((api_version, kind), NOTHING)
    return Schema(known.lists, {**known.fields, "metadata": _METADATA})
