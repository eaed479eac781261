"""Pods meet the Pod Security Standard "restricted" when hardened, and the images decide when not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.builtin_chart.conftest import PLAIN, Object, Render, containers, merged, pod_specs, services

pytestmark = pytest.mark.tool

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def restricted(template: Object) -> Iterator[str]:
    """What Pod Security admission would refuse at level "restricted" (Kubernetes documentation, all fields)."""
    spec = template["spec"]
    pod = spec.get("securityContext", {})
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield field
    for volume in spec.get("volumes", []):
        if not set(volume) - {"name"} <= VOLUMES:
            yield f"volume {volume}"
    for container in containers(template):
        own = container.get("securityContext", {})
        name = container["name"]
        if own.get("privileged"):
            yield f"{name} is privileged"
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"{name} may escalate"
        if own.get("capabilities", {}).get("drop") != ["ALL"] or own["capabilities"].get("add"):
            yield f"{name} has capabilities"
        if not own.get("runAsNonRoot", pod.get("runAsNonRoot")):
            yield f"{name} may run as root"
        if own.get("runAsUser", pod.get("runAsUser")) == 0:
            yield f"{name} runs as root"
        if own.get("seccompProfile", pod.get("seccompProfile")) not in (
            {"type": "RuntimeDefault"},
            {"type": "Localhost"},
        ):
            yield f"{name} has no seccomp profile"
        if any("hostPort" in p for p in container.get("ports", [])):
            yield f"{name} has a host port"


@pytest.mark.parametrize("size", ["small", "large"])
def test_hardened_pods_are_restricted(render: Render, size: str) -> None:
    """D-45, D-46, D-48: every container of every pod, the Job's and the waiting ones too."""
    pods = pod_specs(render(merged(PLAIN, {"kasmApp": {"deploymentSize": size}})))
    assert len(pods) == 10
    assert {owner: found for owner, t in pods.items() if (found := list(restricted(t)))} == {}


def test_hardened_containers_cannot_write_their_image(render: Render) -> None:
    for owner, template in pod_specs(render(PLAIN)).items():
        for container in containers(template):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True, owner
            uid = 70 if "kasm-db-statefulset" in owner else 1000
            assert (context["runAsUser"], context["runAsGroup"]) == (uid, uid), owner


def test_every_hardened_main_container_can_write_somewhere(render: Render) -> None:
    """D-51, D-52: /tmp at least, and Redis its directory."""
    for owner, template in pod_specs(render(PLAIN)).items():
        (main,) = template["spec"]["containers"]
        empty = {v["name"] for v in template["spec"]["volumes"] if "emptyDir" in v}
        writable = {m["mountPath"] for m in main["volumeMounts"] if m["name"] in empty}
        assert "/tmp" in writable, owner
        assert ("redis" in owner) == ("/data" in writable), owner


def test_without_hardening_only_the_database_has_a_user(render: Render) -> None:
    pods = pod_specs(render(merged(PLAIN, {"kasmApp": {"applyHardening": False}})))
    for owner, template in pods.items():
        if owner == "StatefulSet/kasm-db-statefulset":
            context = template["spec"]["securityContext"]
            assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (70, 70, 70)
        else:
            assert "securityContext" not in template["spec"], owner
        assert not [c for c in containers(template) if "securityContext" in c], owner


@pytest.mark.parametrize("hardening", [True, False])
def test_no_container_is_root_to_mend_permissions(render: Render, hardening: bool) -> None:
    """D-48, D-49: the kubelet gives sub-directories the mode and group that the pod needs."""
    for owner, template in pod_specs(render(merged(PLAIN, {"kasmApp": {"applyHardening": hardening}}))).items():
        for container in containers(template):
            assert container.get("securityContext", {}).get("runAsUser") != 0, owner
            text = " ".join([*container.get("command", []), *container.get("args", [])])
            assert "chown" not in text, owner
            assert "777" not in text, owner


@pytest.mark.parametrize("hardening", [True, False])
def test_paths_of_one_volume_do_not_see_each_other(render: Render, hardening: bool) -> None:
    """D-54, D-57: a volume that stands at several paths has a sub-directory for each."""
    for owner, template in pod_specs(render(merged(PLAIN, {"kasmApp": {"applyHardening": hardening}}))).items():
        for container in containers(template):
            by_volume: dict[str, list[Any]] = {}
            for mount in container.get("volumeMounts", []):
                if not mount.get("readOnly"):
                    by_volume.setdefault(mount["name"], []).append(mount.get("subPath"))
            for name, parts in by_volume.items():
                assert len(parts) == 1 or (None not in parts and len(set(parts)) == len(parts)), (owner, name)


def test_temporary_volumes_are_limited_by_a_value(render: Render) -> None:
    sizes = {
        "kasmProxy": "1Gi",
        "kasmApi": "1Gi",
        "kasmManager": "1Gi",
        "kasmGuac": "1Gi",
        "rdpGateway": "150Mi",
        "rdpHttpsGateway": "150Mi",
        "kasmShare": "1Gi",
        "kasmRedis": "64Mi",
    }

    def limits(values: Object) -> set[str]:
        return {
            volume["emptyDir"]["sizeLimit"]
            for owner, template in pod_specs(render(values)).items()
            if owner.startswith("Deployment/")
            for volume in template["spec"].get("volumes", [])
            if "emptyDir" in volume
        }

    assert limits(PLAIN) == set(sizes.values())
    assert limits(merged(PLAIN, services(**{name: {"tmpSizeLimit": "3Gi"} for name in sizes}))) == {"3Gi"}


def test_private_keys_are_readable_by_the_pod_and_nobody_else(render: Render) -> None:
    """D-56: modes are decimal numbers, which every YAML reader takes alike."""

    def modes(hardening: bool) -> dict[str, int]:
        return {
            owner: volume["secret"]["defaultMode"]
            for owner, template in pod_specs(render(merged(PLAIN, {"kasmApp": {"applyHardening": hardening}}))).items()
            for volume in template["spec"].get("volumes", [])
            if "secret" in volume
        }

    # PostgreSQL refuses a key of root that others than its group can read.
    database = {"StatefulSet/kasm-db-statefulset": 0o440}
    gateways = (
        "Deployment/kasm-proxy-deployment",
        "Deployment/rdp-gateway-deployment",
        "Deployment/rdp-https-gw-deployment",
    )
    assert modes(True) == database | dict.fromkeys(gateways, 0o440)
    # Whoever the image runs as must be able to read them.
    assert modes(False) == database | dict.fromkeys(gateways, 0o444)


def test_no_pod_gets_a_token_of_the_cluster(render: Render) -> None:
    """D-81."""
    objects = render(PLAIN)
    for owner, template in pod_specs(objects).items():
        assert template["spec"]["automountServiceAccountToken"] is False, owner
        assert template["spec"]["enableServiceLinks"] is False, owner
    (account,) = [o for o in objects if o["kind"] == "ServiceAccount"]
    assert account["automountServiceAccountToken"] is False
