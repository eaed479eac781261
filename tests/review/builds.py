"""Objects and builds that the tests of the review compare."""

from __future__ import annotations

import base64
import copy
from typing import Any

from hypothesis import strategies as st

from kasmgen.kubernetes.resources import Object, ResourceId, by_id

Build = dict[ResourceId, Object]


def build(*objects: Object) -> Build:
    return by_id(copy.deepcopy(objects))


def edited(obj: Object, *edits: tuple[str, Any]) -> Object:
    """A copy of `obj` with values set at dotted paths; a number is a position, `...` removes."""
    out = copy.deepcopy(obj)
    for path, value in edits:
        *above, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        target: Any = out
        for step in above:
            target = target.setdefault(step, {}) if isinstance(target, dict) else target[step]
        if value is ...:
            del target[last]
        else:
            target[last] = value
    return out


def deployment(name: str = "proxy", **spec: Any) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "kasm", "labels": {"app": name}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "initContainers": [
                        {"name": "wait-db", "image": "busybox:1.36"},
                        {"name": "wait-api", "image": "busybox:1.36"},
                    ],
                    "containers": [
                        {
                            "name": "main",
                            "image": "registry.example/proxy:1.16.0",
                            "args": ["--port", "8080", "--verbose"],
                            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                            "ports": [{"name": "http", "containerPort": 8080}],
                            "volumeMounts": [{"name": "conf", "mountPath": "/conf"}],
                            "resources": {"limits": {"memory": "512Mi"}},
                        },
                        {"name": "side", "image": "registry.example/side:1"},
                    ],
                    "volumes": [{"name": "conf", "configMap": {"name": "conf"}}],
                },
            },
            **spec,
        },
    }


def statefulset(name: str = "db", **spec: Any) -> Object:
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "20Gi"}}},
    }
    obj = deployment(name, serviceName=name, replicas=1, volumeClaimTemplates=[claim], **spec)
    return {**obj, "kind": "StatefulSet"}


def plain(kind: str, name: str, version: str = "v1", namespace: str = "kasm", **fields: Any) -> Object:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version, "kind": kind, "metadata": {**metadata, **fields.pop("metadata", {})}, **fields}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def sealed(name: str, values: dict[str, str], *, wrapped: str = "k1", **changes: Any) -> Object:
    """A sealed Secret as it stands in a build: `values` stand for the ciphertexts."""
    age = [
        {"recipient": recipient, "enc": f"-----BEGIN AGE ENCRYPTED FILE-----\n{wrapped}{recipient}\n-----END"}
        for recipient in changes.pop("recipients", ("age1alice",))
    ]
    data = {
        key: f"ENC[AES256_GCM,data:{encoded(value)},iv:aXY=,tag:dGFn,type:str]" if value else ""
        for key, value in values.items()
    }
    return {
        **plain("Secret", name, metadata={"annotations": changes.pop("annotations", {"kasmgen.dev/inputs": "x"})}),
        "type": "Opaque",
        "data": data,
        "sops": {"age": age, "mac": f"ENC[AES256_GCM,data:{wrapped},iv:aXY=,tag:dGFn,type:str]", "version": "3.11.0"},
    }


# --- random ones ---------------------------------------------------------

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.sampled_from([0.0, -0.0, 1.0, 1.5]),
    st.sampled_from(["", "1", "True", "a", "b", "$(A)", "x" * 300, "line\nline\n", "\x1b[31m", "\ud800"]),
)
_KEYS = st.sampled_from(
    ["metadata", "labels", "annotations", "spec", "containers", "env", "ports", "args", "rules", "initContainers",
     "kasmgen.dev/x", "app.kubernetes.io/version", "name", "items", "tls", "volumeClaimTemplates", "containerPort",
     "protocol", "key", "template"]
)  # fmt: skip
_named = st.fixed_dictionaries({"name": st.sampled_from(["a", "b", "c", "1", 1, True])}, optional={"value": scalars})
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(st.one_of(_named, inner), max_size=4),
        st.lists(_named, max_size=4, unique_by=lambda item: str(item["name"])),
        st.dictionaries(_KEYS, inner, max_size=4),
    ),
    max_leaves=12,
)
_KINDS = [("ConfigMap", "v1"), ("Deployment", "apps/v1"), ("Secret", "v1"), ("Job", "batch/v1"), ("SecretList", "v1")]


@st.composite
def objects(draw: st.DrawFn) -> Object:
    kind, version = draw(st.sampled_from(_KINDS))
    metadata = {"name": draw(st.sampled_from(["a", "b", "job-1a2b3c4d", "job-9f8e7d6c"]))}
    if draw(st.booleans()):
        metadata["namespace"] = draw(st.sampled_from(["x", "y"]))
    annotations = draw(st.none() | st.dictionaries(_KEYS, scalars, max_size=2))
    if annotations is not None:
        metadata["annotations"] = annotations  # type: ignore[assignment]
    body = draw(st.dictionaries(st.sampled_from(["spec", "data", "stringData", "sops", "items"]), values, max_size=3))
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **body}


@st.composite
def pairs_of_builds(draw: st.DrawFn) -> tuple[Build, Build]:
    """Two builds that have much in common: the new one is the old one with some objects exchanged."""
    pool = draw(st.lists(objects(), max_size=5))
    old = {ResourceId.of(obj): obj for obj in pool}
    new = {key: obj for key, obj in old.items() if draw(st.integers(0, 3))}
    for obj in draw(st.lists(objects(), max_size=3)):
        new[ResourceId.of(obj)] = obj
    for key in draw(st.lists(st.sampled_from(sorted(old) or [None]), max_size=2)):
        if key is not None:
            moved = {**old[key], "metadata": {**old[key]["metadata"], "name": draw(st.sampled_from(["b", "c"]))}}
            new[ResourceId.of(moved)] = moved
    return copy.deepcopy(old), copy.deepcopy(new)
