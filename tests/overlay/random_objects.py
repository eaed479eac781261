"""Random Kubernetes objects in pairs: one as a base may have it, one as an environment wants it.

Plain `random` with a seed, not hypothesis strategies: one example holds more
than a hundred objects, beyond what hypothesis draws, and a failure names its
object anyway.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from random import Random
from typing import Any

TEXTS = [
    *["yes", "no", "on", "off", "y", "n", "true", "False", "null", "~", "", "=", "<<", "-", ".5", "+1"],
    *["0755", "0o644", "0x10", "1_000", "08", "1e3", "5e10", "1.10", "12:30", "2024-01-01", "1", "0"],
    *["tab\there", "\tleading tab", "trailing ", "  leading", "a: b", "# c", "- x", "{}", "[]", "!tag", "%x"],
    *["@x", "`x`", "'q'", '"q"', "\\n", "a\\", "<a>&b", "a/b", "a~b", "--- a", "...", "key=val"],
    *[
        "\tlead\n\ttab\n",
        "line1\nline2\n",
        "line1\nline2",
        "\n\nx\n",
        "a\n b\n  c\n",
        "t\tx\ny \n",
        "#\n#x\n",
        "c\rd",
        "\r\nx",
    ],
    *["${FOO}", "$(REF)", "$$", "${a:-b}", "é ü 漢字 \U0001f511", "a\u2028b", "\ufeffb", "\u00a0c", "x" * 3000],
]
KEYS = [
    *["a", "b", "c", "d", "name", "containers", "env", "e.f/g", "x~y", "a b", "é", "k-1", "K"],
    *["yes", "on", "true", "null", "1", "0", "-", "$x", "$patch2"],
]


def text(r: Random) -> str:
    return r.choice(TEXTS) if r.random() < 0.7 else "".join(r.choices("abcdefgh", k=r.randint(1, 8)))


def scalar(r: Random) -> Any:
    return r.choices(
        [
            text(r),
            r.randint(-5, 100_000),
            r.random() < 0.5,
            r.choice([1.5, 0.1, 1e22, 1e-7, -2.25, 123456.789, 10**6, 2**31, 2**53, -(10**15)]),
            None,
        ],
        [60, 15, 10, 10, 5],
    )[0]


def value(r: Random, depth: int = 0) -> Any:
    """Anything a custom resource may hold, empty and null parts included."""
    chance = r.random()
    if depth > 3 or chance < 0.55:
        return scalar(r)
    if chance < 0.8:
        return {r.choice(KEYS): value(r, depth + 1) for _ in range(r.randint(0, 4))}
    if r.random() < 0.5:
        return [scalar(r) for _ in range(r.randint(0, 5))]
    return [_item(r, depth) for _ in range(r.randint(0, 4))]


def _item(r: Random, depth: int) -> Any:
    named = {"name": r.choice("pqrst")} if r.random() < 0.7 else {}
    return {**named, **{r.choice(KEYS): value(r, depth + 2) for _ in range(r.randint(0, 3))}}


def maybe(r: Random, chance: float, **parts: Callable[[], Any]) -> dict[str, Any]:
    return {key: make() for key, make in parts.items() if r.random() < chance}


def some(r: Random, names: str, most: int) -> list[str]:
    """Some of the words in `names`, in random order."""
    words = names.split()
    return r.sample(words, r.randint(0, min(most, len(words))))


def env(r: Random) -> list[Any]:
    items: list[Any] = [{"name": name, **_source(r)} for name in some(r, "A B C D E F G H", 6)]
    if items and r.random() < 0.05:
        items.append(copy.deepcopy(items[0]))
    return items


def _source(r: Random) -> dict[str, Any]:
    return r.choices(
        [
            {"value": text(r)},
            {"value": f"$({r.choice('ABC')})"},
            {"valueFrom": {"configMapKeyRef": {"name": "x", "key": text(r)}}},
            {"valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {},
        ],
        [4, 2, 2, 1, 1],
    )[0]


def ports(r: Random, key: str) -> list[Any]:
    """With protocols, without, or (which a merge cannot tell apart) with some."""
    protocols = r.choices([1.0, 0.0, 0.5], [6, 3, 1])[0]
    items = []
    for number in some(r, "80 443 53 8080", 3):
        for protocol in ["TCP", "UDP"] if number == "53" and protocols == 1.0 else ["TCP"]:
            item = {key: int(number), **maybe(r, 0.5, name=lambda number=number: f"n{number}")}
            if r.random() < protocols:
                item["protocol"] = protocol
            if key == "port":
                item["targetPort"] = r.choice([80, "http"])
            items.append(item)
    return items


def container(r: Random, name: str) -> Any:
    return {
        "name": name,
        "image": r.choice(["a:1", "a:2", "b@sha256:" + "0" * 64]),
        **maybe(
            r,
            0.5,
            env=lambda: env(r),
            ports=lambda: ports(r, "containerPort"),
            args=lambda: [text(r) for _ in range(r.randint(0, 4))],
            command=lambda: ["sh", "-c", text(r)],
            resources=lambda: {
                "limits": {"cpu": r.choice(["1", "500m", 2])},
                "requests": r.choice([{}, {"cpu": "1"}]),
            },
            volumeMounts=lambda: [mount(r, path) for path in some(r, "/a /b /c/d /e", 4)],
            securityContext=lambda: r.choice([{}, None, {"runAsUser": 1000, "capabilities": {"drop": ["ALL"]}}]),
            livenessProbe=lambda: {"httpGet": {"path": "/", "port": r.choice([80, "http"])}},
            envFrom=lambda: [{"configMapRef": {"name": name}} for name in some(r, "x y z", 3)],
        ),
    }


def mount(r: Random, path: str) -> Any:
    return {"name": "v", "mountPath": path, **maybe(r, 0.4, subPath=lambda: text(r), readOnly=lambda: True)}


def volume(r: Random, name: str) -> Any:
    sources: list[dict[str, Any]] = [
        {"emptyDir": {}},
        {"emptyDir": {"medium": "Memory"}},
        {"configMap": {"name": "c", "defaultMode": r.choice([420, 493]), "items": [{"key": "a", "path": "b"}]}},
        {"persistentVolumeClaim": {"claimName": "p"}},
        {"secret": {"secretName": "s"}},
    ]
    return {"name": name, **r.choice(sources)}


def spread(r: Random) -> list[Any]:
    return [
        {"maxSkew": r.randint(1, 2), "topologyKey": key, "whenUnsatisfiable": when}
        for key in some(r, "zone host", 2)
        for when in some(r, "DoNotSchedule ScheduleAnyway", 2)
    ]


def pod(r: Random) -> Any:
    anti = {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "h"}]}
    return {
        "containers": [container(r, name) for name in some(r, "web db side log", 3) or ["web"]],
        **maybe(
            r,
            0.6,
            initContainers=lambda: [container(r, name) for name in some(r, "i1 i2 i3", 3)],
            volumes=lambda: [volume(r, name) for name in some(r, "v w x y", 4)],
        ),
        **maybe(
            r,
            0.3,
            imagePullSecrets=lambda: [{"name": name} for name in some(r, "r1 r2", 2)],
            hostAliases=lambda: [{"ip": ip, "hostnames": ["h"]} for ip in some(r, "1.1.1.1 ::1", 2)],
            tolerations=lambda: [{"key": key, "operator": "Exists"} for key in some(r, "a b", 2)],
            topologySpreadConstraints=lambda: spread(r),
            affinity=lambda: r.choice([None, {}, {"podAntiAffinity": anti}]),
            nodeSelector=lambda: r.choice([None, {}, {"a": "true"}]),
        ),
    }


def template(r: Random) -> Any:
    annotations = {key: text(r) for key in some(r, "a b.io/c d", 3)}
    return {"metadata": {"labels": {"app": "x"}, "annotations": annotations}, "spec": pod(r)}


def workload(r: Random) -> Any:
    return {
        "replicas": r.choice([1, 2, None]),
        "selector": {"matchLabels": {"app": "x"}},
        "template": template(r),
    }


def claims(r: Random) -> list[Any]:
    size = {"requests": {"storage": r.choice(["1Gi", "2Gi"])}}
    return [{"metadata": {"name": name}, "spec": {"resources": size}} for name in some(r, "p q", 2)]


def ingress(r: Random) -> Any:
    def path(path: str) -> Any:
        backend = {"service": {"name": "x", "port": {"number": r.choice([80, 81])}}}
        return {"path": path, "pathType": "Prefix", "backend": backend}

    hosts = "a.x b.x c.x"
    return {
        "rules": [
            {"host": host, "http": {"paths": [path(p) for p in some(r, "/ /a /b", 3)]}} for host in some(r, hosts, 3)
        ],
        "tls": [{"hosts": some(r, hosts, 3), "secretName": "t"} for _ in range(r.randint(0, 2))],
    }


def crd(r: Random) -> Any:
    def version(name: str) -> Any:
        spec = {"type": "object", "default": value(r), "properties": {"a": {"description": text(r)}}}
        return {"name": name, "schema": {"openAPIV3Schema": {"properties": {"spec": spec}}}}

    return {"group": "x.io", "versions": [version(name) for name in some(r, "v1 v2", 2)]}


def rule(r: Random) -> Any:
    return {"apiGroups": [r.choice(["", "apps"])], "verbs": some(r, "get list watch", 3)}


RBAC = "rbac.authorization.k8s.io/v1"
WEBHOOKS = "admissionregistration.k8s.io/v1"
KINDS: dict[str, tuple[str, bool, Callable[[Random], dict[str, Any]]]] = {
    # kind: (apiVersion, whether it is namespaced, its body)
    "Deployment": ("apps/v1", True, lambda r: {"spec": workload(r)}),
    "DaemonSet": ("apps/v1", True, lambda r: {"spec": workload(r)}),
    "StatefulSet": ("apps/v1", True, lambda r: {"spec": {**workload(r), "volumeClaimTemplates": claims(r)}}),
    "Job": ("batch/v1", True, lambda r: {"spec": {"template": template(r)}}),
    "CronJob": ("batch/v1", True, lambda r: {"spec": {"jobTemplate": {"spec": {"template": template(r)}}}}),
    "Service": ("v1", True, lambda r: {"spec": {"ports": ports(r, "port"), "type": r.choice(["A", "B"])}}),
    "Ingress": ("networking.k8s.io/v1", True, lambda r: {"spec": ingress(r)}),
    "ConfigMap": ("v1", True, lambda r: {"data": {key: text(r) for key in some(r, "a.conf b c.sh d e", 5)}}),
    "ServiceAccount": (
        "v1",
        True,
        lambda r: {key: [{"name": name} for name in some(r, "a b", 2)] for key in ("secrets", "imagePullSecrets")},
    ),
    "CustomResourceDefinition": ("apiextensions.k8s.io/v1", False, lambda r: {"spec": crd(r)}),
    "ClusterRole": (RBAC, False, lambda r: {"rules": [rule(r) for _ in range(r.randint(0, 3))]}),
    "ValidatingWebhookConfiguration": (
        WEBHOOKS,
        False,
        lambda r: {
            "webhooks": [
                {"name": name, "failurePolicy": r.choice(["Fail", "Ignore"])} for name in some(r, "a.b c.d e.f", 3)
            ]
        },
    ),
    "Widget": (
        "widgets.example.com/v1",
        True,
        lambda r: {
            "spec": {
                "containers": [container(r, name) for name in some(r, "web db side", 3)],
                "free": value(r),
                "more": {key: value(r) for key in "abc"},
            }
        },
    ),
    "ClusterIssuer": ("cert.example.com/v1", False, lambda r: {"spec": value(r)}),
}
FREE = ("Widget", "ClusterIssuer")


def an_object(r: Random, kind: str, name: str) -> Any:
    version, namespaced, body = KINDS[kind]
    metadata = {
        "name": name,
        **({"namespace": "kasm"} if namespaced else {}),
        **maybe(
            r,
            0.6,
            labels=lambda: {key: text(r) for key in some(r, "app app.kubernetes.io/name x y", 3)},
            annotations=lambda: {key: text(r).lstrip("\t") for key in some(r, "a b.io/c d~e yes", 3) or ["a"]},
        ),
        **maybe(r, 0.08, finalizers=lambda: some(r, "f/a f/b f/c", 3)),
    }
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **body(r)}


def blend(r: Random, a: Any, b: Any) -> Any:
    """Something like `a` with pieces of `b`, as the render with other values would be."""
    if isinstance(a, dict) and isinstance(b, dict):
        out = {}
        for key in {**a, **b}:
            if key in a and key in b:
                out[key] = blend(r, a[key], b[key])
            elif r.random() < (0.7 if key in a else 0.3):
                out[key] = a.get(key, b.get(key))
        return out
    if isinstance(a, list) and isinstance(b, list):
        return _blend_lists(r, a, b)
    return b if r.random() < 0.3 else a


def _blend_lists(r: Random, a: list[Any], b: list[Any]) -> list[Any]:
    chance = r.random()
    if chance < 0.3:
        return b
    if chance < 0.5:
        return r.sample(a, len(a))
    return [blend(r, item, b[at]) if at < len(b) and r.random() < 0.5 else item for at, item in enumerate(a)]


def mutate(r: Random, v: Any, depth: int = 0) -> Any:
    """`v` with one to three changes anywhere, of type too."""
    if isinstance(v, dict) and v:
        key = r.choice(sorted(v))
        chance = r.random()
        if chance < 0.2:
            return {k: x for k, x in v.items() if k != key}
        if chance < 0.4:
            return {**v, r.choice(KEYS): value(r, depth + 1)}
        return {**v, key: mutate(r, v[key], depth + 1)}
    if isinstance(v, list) and v:
        at = r.randrange(len(v))
        return r.choice(
            [
                v[:at] + v[at + 1 :],
                r.sample(v, len(v)),
                [*v[:at], value(r, depth + 1), *v[at:]],
                [*v[:at], mutate(r, v[at], depth + 1), *v[at + 1 :]],
            ]
        )
    return value(r, depth + 1)


def pair(r: Random, name: str) -> tuple[Any, Any]:
    """An object of a base and what an environment makes of it (now and then in another namespace)."""
    kind = r.choice(list(KINDS))
    base = an_object(r, kind, name)
    want = blend(r, base, an_object(r, kind, name))
    if kind in FREE and r.random() < 0.7:
        want = {**copy.deepcopy(base), "spec": mutate(r, base["spec"])}
    want["metadata"]["name"] = name
    if "namespace" in base["metadata"]:
        want["metadata"]["namespace"] = "kasm" if r.random() < 0.95 else "prod"
    if not want["metadata"].get("annotations", True):
        del want["metadata"]["annotations"]  # kustomize drops empty ones: `limits` says so
    return copy.deepcopy(base), copy.deepcopy(want)
