"""The API server takes every object: strict schemas of the oldest and newest supported versions."""

from __future__ import annotations

import re
from typing import Any

import helm_python
import pytest

from tests.builtin_chart.conftest import PLAIN, Render, merged, services
from tests.builtin_chart.kubernetes import errors, minor, versions

pytestmark = pytest.mark.tool

# What the chart can render beyond its defaults, every value at least once.
EVERYTHING: dict[str, Any] = merged(
    {
        "global": {
            "hostname": "kasm.example.com",
            "altHostnames": ["*.kasm.example.org"],
            "labels": {"team": "desk", "cost": "12"},
            "annotations": {"example.com/owner": "true"},
            "image": {
                "pullSecrets": "login",
                "pullCredentials": {"registry": "r", "username": "u", "password": 'p"', "email": "e@x"},
            },
        },
        "kasmApp": {
            "deploymentSize": "large",
            "upstreamAuth": "auto",
            "defaults": {
                "nodeSelector": {"kubernetes.io/os": "linux"},
                "tolerations": [{"key": "desk", "operator": "Exists"}],
                "affinity": {
                    "podAntiAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": [
                            {
                                "topologyKey": "kubernetes.io/hostname",
                                "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "kasm-api"}},
                            }
                        ]
                    }
                },
                "priorityClassName": "desk",
                "podLabels": {"sidecar": "false"},
                "podAnnotations": {"example.com/scrape": "true"},
                "extraEnv": [{"name": "TZ", "value": "Europe/Zurich"}],
                "extraVolumes": [{"name": "more", "emptyDir": {}}],
                "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
                "initResources": {"limits": {"cpu": 1, "memory": "64Mi"}},
            },
        },
        "ingress": {"className": "nginx", "controller": "nginx", "apiBypass": True, "annotations": {"a/b": "c"}},
        "networkPolicy": {
            "ingressFrom": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}],
            "rdpFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
            "extraEgress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}],
        },
        "serviceAccount": {"annotations": {"a/b": "c"}},
    },
    services(
        kasmApi={"replicas": "7", "resources": {"requests": {"cpu": 0.5, "nvidia.com/gpu": 1}}},
        kasmGuac={"terminationGracePeriodSeconds": 600},
        kasmProxy={"tag": "sha256:" + "0" * 64, "corsOrigins": ["https://x.example.com"]},
        db={
            "storageClassName": "fast",
            "storageSize": "20Gi",
            "postgres": {"work_mem": "8MB", "max_connections": 300, "jit": False},
            "persistentVolumeClaimRetentionPolicy": {"enabled": True, "whenDeleted": "Delete"},
        },
        rdpGateway={
            "expose": {
                "type": "LoadBalancer",
                "nodePort": 30389,
                "annotations": {"lb/internal": "true"},
                "loadBalancerSourceRanges": ["10.0.0.0/8"],
            }
        },
    ),
)
BARE: dict[str, Any] = merged(
    PLAIN,
    {
        "global": {"hostname": ""},
        "kasmApp": {"applyHardening": False, "deploymentSize": "medium"},
        "ingress": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "topologySpread": {"enabled": False},
        "serviceAccount": {"create": False},
    },
    services(
        **{name: {"deploy": False} for name in ("kasmGuac", "rdpGateway", "rdpHttpsGateway", "kasmShare")},
        **{name: {"addHealthChecks": False} for name in ("kasmProxy", "db", "kasmApi", "kasmManager")},
    ),
)
NODE_PORT = services(rdpGateway={"expose": {"type": "NodePort", "externalTrafficPolicy": "Cluster"}})
VALUES = {"defaults": {}, "everything": EVERYTHING, "bare": BARE, "node port": NODE_PORT}


def supported(chart: helm_python.Chart) -> list[str]:
    """The oldest and the newest three minor versions that the chart supports and schemas exist for."""
    found = re.fullmatch(r">=1\.(\d+)\.0-0", chart.metadata["kubeVersion"])
    assert found, chart.metadata["kubeVersion"]
    all_versions = versions(int(found[1]))
    assert minor(all_versions[0]) == int(found[1]), "there are no schemas for the oldest supported version"
    return [*all_versions[:3], *all_versions[-3:]]


@pytest.mark.parametrize("which", range(6))
def test_every_object_is_valid_in_strict_mode(chart: helm_python.Chart, render: Render, which: int) -> None:
    version = supported(chart)[which]
    found = [f"{name}: {e}" for name, values in VALUES.items() for o in render(values) for e in errors(o, version)]
    assert found == []


def test_strict_mode_finds_an_unknown_field(chart: helm_python.Chart, render: Render) -> None:
    """The check above can fail."""
    deployment = next(o for o in render({}) if o["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["redinessProbe"] = {}
    version = supported(chart)[-1]
    assert ["redinessProbe" in e for e in errors(deployment, version)] == [True]
