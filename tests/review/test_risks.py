"""What a change does to a cluster, rule by rule: each with a case that has it and one that has not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from kasmgen.kubernetes.resources import Object
from kasmgen.review.builds import compare_builds
from kasmgen.review.risks import TITLES, RiskContext, assess
from tests.review.builds import Build, build, deployment, edited, pairs_of_builds, plain, sealed, statefulset

POD = "spec.template.spec"
MAIN = f"{POD}.containers.0"
PRUNE = "kustomize.toolkit.fluxcd.io/prune"
FORCE = "kustomize.toolkit.fluxcd.io/force"


def found(old: Object | list[Object] | None, new: Object | list[Object] | None) -> dict[str, tuple[str, str]]:
    """Risk -> severity of the worst one and all reasons, over all changes."""
    sides = [side if isinstance(side, list) else [side] if side else [] for side in (old, new)]
    before, now = build(*sides[0]), build(*sides[1])
    out: dict[str, tuple[str, str]] = {}
    for change in assess(compare_builds(before, now), RiskContext(before, now)):
        for risk in change.risks:
            severe, reason = out.get(risk.id, (risk.severity, ""))
            out[risk.id] = (severe, f"{reason}; {risk.reason}" if reason else risk.reason)
    return out


def after(obj: Object, *edits: tuple[str, Any]) -> dict[str, tuple[str, str]]:
    return found(obj, edited(obj, *edits))


def severity(risks: dict[str, tuple[str, str]], risk: str) -> str | None:
    return risks[risk][0] if risk in risks else None


@settings(max_examples=100, deadline=None)
@given(pairs_of_builds())
def test_objects_of_any_shape_are_judged(builds: tuple[Build, Build]) -> None:
    old, new = builds
    for change in assess(compare_builds(old, new), RiskContext(old, new)):
        assert {risk.id for risk in change.risks} <= TITLES.keys()


# --- what Flux does ------------------------------------------------------


def test_a_database_that_flux_keeps_is_left_alone() -> None:
    kept = edited(statefulset(), ("metadata.annotations", {PRUNE: "disabled"}))
    risks = found(kept, None)
    assert risks["data-at-risk"][0] == "warning"
    assert "claims (data)" in risks["data-at-risk"][1]
    assert severity(found(statefulset(), None), "data-at-risk") == "error"
    claim = plain("PersistentVolumeClaim", "files", metadata={"annotations": {PRUNE: "disabled"}})
    assert severity(found(claim, None), "data-at-risk") == "warning"


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"prune": True}, "all that it applied from ./overlays/prod"),
        ({"prune": False}, "what it applied stays"),
        ({"prune": True, "deletionPolicy": "Orphan"}, "what it applied stays"),
        ({"prune": False, "deletionPolicy": "Delete"}, "all that it applied from ./overlays/prod"),
    ],
)
def test_a_kustomization_that_goes_takes_along_what_it_applied(spec: dict[str, Any], told: str) -> None:
    body = {"path": "./overlays/prod", **spec}
    kustomization = plain("Kustomization", "prod", "kustomize.toolkit.fluxcd.io/v1", spec=body)
    assert told in found(kustomization, None)["pruned"][1]
    renamed = found(kustomization, {**kustomization, "metadata": {"name": "other", "namespace": "kasm"}})
    assert told in renamed["pruned"][1]


# --- pods ----------------------------------------------------------------


def test_a_changed_template_restarts_pods() -> None:
    risks = after(deployment(), (f"{MAIN}.resources.limits.memory", "1Gi"))
    assert risks["restarts-pods"][0] == "info"
    assert "memory" in risks["restarts-pods"][1]
    assert "restarts-pods" not in after(deployment(), ("spec.replicas", 3))
    assert "restarts-pods" not in after(deployment(), ("metadata.labels.x", "y"))


def test_noise_in_the_template_restarts_pods_too() -> None:
    assert "restarts-pods" in after(deployment(), ("spec.template.metadata.labels", {"helm.sh/chart": "a-2"}))
    reasons = {
        key: after(deployment(), ("spec.template.metadata.annotations", {key: "new"}))["restarts-pods"][1]
        for key in ("kasmgen.dev/secrets", "checksum/config", "kasmgen.dev/other")
    }
    assert "content of a Secret" in reasons["kasmgen.dev/secrets"]
    assert "content that they read changed" in reasons["checksum/config"]
    assert "own annotation in their template" in reasons["kasmgen.dev/other"]


def test_recreate_stops_all_pods_at_once() -> None:
    risks = after(deployment(strategy={"type": "Recreate"}), (f"{MAIN}.image", "registry.example/proxy:2"))
    assert severity(risks, "recreates-pods") == "warning"
    assert "restarts-pods" not in risks


def test_the_only_pod_of_a_statefulset_is_away() -> None:
    assert severity(after(statefulset(), (f"{MAIN}.args.1", "9")), "restarts-pods") == "warning"
    three = edited(statefulset(), ("spec.replicas", 3))
    assert severity(after(three, (f"{MAIN}.args.1", "9")), "restarts-pods") == "info"


@pytest.mark.parametrize(("now", "severe"), [(1, "warning"), (0, "warning"), (..., "warning"), (5, None)])
def test_fewer_replicas(now: object, severe: str | None) -> None:
    assert severity(after(deployment(), ("spec.replicas", now)), "scales-down") == severe


def test_images() -> None:
    risks = after(deployment(), (f"{MAIN}.image", "registry.example/proxy:1.17.0"))
    assert risks["image-changes"] == (
        "info",
        "container main: registry.example/proxy:1.16.0 becomes registry.example/proxy:1.17.0",
    )
    assert severity(after(deployment(), (f"{MAIN}.image", "evil.example/proxy:1.16.0")), "image-changes") == "warning"
    assert severity(after(deployment(), (f"{MAIN}.image", "registry.example/proxy")), "image-changes") == "warning"
    assert "init container wait-db" in after(deployment(), (f"{POD}.initContainers.0.image", "b:2"))["image-changes"][1]


def test_pods_that_keep_old_content() -> None:
    config = plain("ConfigMap", "conf", data={"a": "1"})
    new = edited(config, ("data.a", "2"))
    assert "Deployment proxy reads it" in found([deployment(), config], [deployment(), new])["stale-pods"][1]
    restarted = edited(deployment(), ("spec.template.metadata.annotations", {"checksum": "x"}))
    assert "stale-pods" not in found([deployment(), config], [restarted, new])
    assert "stale-pods" not in after(plain("ConfigMap", "unused", data={"a": "1"}), ("data.a", "2"))


# --- immutable fields ----------------------------------------------------


@pytest.mark.parametrize(
    ("obj", "edit"),
    [
        (statefulset(), ("spec.serviceName", "other")),
        (statefulset(), ("spec.podManagementPolicy", "Parallel")),
        (statefulset(), ("spec.volumeClaimTemplates.0.spec.resources.requests.storage", "40Gi")),
        (deployment(), ("spec.selector.matchLabels.tier", "x")),
        (plain("Job", "j", "batch/v1", spec={"template": {"spec": {"containers": []}}}), (f"{POD}.x", 1)),
        (plain("Service", "s", spec={"clusterIP": "10.0.0.1"}), ("spec.clusterIP", "None")),
        (plain("PersistentVolumeClaim", "c", spec={"storageClassName": "a"}), ("spec.storageClassName", "b")),
        (plain("StorageClass", "c", "storage.k8s.io/v1", "", provisioner="a"), ("provisioner", "b")),
        (
            plain("RoleBinding", "r", "rbac.authorization.k8s.io/v1", roleRef={"kind": "Role", "name": "a"}),
            ("roleRef.name", "b"),
        ),
        (plain("ConfigMap", "c", immutable=True, data={"a": "1"}), ("data.a", "2")),
        (plain("ConfigMap", "c", immutable=True, data={"a": "1"}), ("immutable", ...)),
        (plain("Secret", "s", type="Opaque", data={}), ("type", "kubernetes.io/tls")),
    ],
)
def test_immutable_fields_are_errors(obj: Object, edit: tuple[str, Any]) -> None:
    risks = after(obj, edit)
    assert severity(risks, "immutable-field") == "error"


@pytest.mark.parametrize(
    ("obj", "edit"),
    [
        (statefulset(), ("spec.replicas", 2)),
        (statefulset(), ("spec.updateStrategy", {"type": "OnDelete"})),
        (statefulset(), ("spec.minReadySeconds", 3)),
        (statefulset(), (f"{MAIN}.image", "x:9")),
        (deployment(), ("spec.strategy", {"type": "Recreate"})),
        (plain("Job", "j", "batch/v1", spec={"suspend": True}), ("spec.suspend", False)),
        (plain("Service", "s", spec={"clusterIP": "10.0.0.1"}), ("spec.clusterIP", ...)),
        (plain("Service", "s", spec={"clusterIP": "10.0.0.1"}), ("spec.type", "NodePort")),
        (plain("ConfigMap", "c", data={"a": "1"}), ("immutable", True)),
        (plain("Secret", "s", data={}), ("type", "Opaque")),
        (plain("PersistentVolumeClaim", "c", spec={}), ("spec.resources", {"requests": {"storage": "1Gi"}})),
    ],
)
def test_mutable_fields_are_not(obj: Object, edit: tuple[str, Any]) -> None:
    assert "immutable-field" not in after(obj, edit)


def test_with_force_a_job_runs_again_and_a_statefulset_is_at_risk() -> None:
    force = {"annotations": {FORCE: "Enabled"}}
    job = plain("Job", "j", "batch/v1", metadata=force, spec={"template": {"spec": {"x": 1}}})
    risks = after(job, (f"{POD}.x", 2))
    assert severity(risks, "job-reruns") == "warning"
    assert "immutable-field" not in risks
    db = edited(statefulset(), (f"metadata.annotations.{'x'}", "y"))
    db["metadata"]["annotations"] = force["annotations"]
    assert severity(after(db, ("spec.serviceName", "o")), "data-at-risk") == "error"


# --- data ----------------------------------------------------------------


def protected(obj: Object) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "annotations": {PRUNE: "Disabled"}}}


@pytest.mark.parametrize(
    "obj",
    [
        statefulset(),
        plain("PersistentVolumeClaim", "c", spec={}),
        plain("Namespace", "kasm", namespace=""),
        plain("CustomResourceDefinition", "x.y", "apiextensions.k8s.io/v1", ""),
        plain("Cluster", "pg", "postgresql.cnpg.io/v1"),
    ],
)
def test_removing_what_holds_data_is_an_error_unless_flux_leaves_it(obj: Object) -> None:
    assert severity(found(obj, None), "data-at-risk") == "error"
    kept = found(protected(obj), None)
    assert severity(kept, "data-at-risk") in ("warning", None)
    assert severity(kept, "stays-behind") == "info"
    assert "pruned" not in kept


def test_renaming_what_holds_data_is_an_error() -> None:
    assert severity(found(statefulset("db"), statefulset("database")), "data-at-risk") == "error"


def test_claims_deleted_with_their_set() -> None:
    policy = "spec.persistentVolumeClaimRetentionPolicy"
    assert severity(after(statefulset(), (f"{policy}.whenDeleted", "Delete")), "data-at-risk") == "error"
    scaled = edited(statefulset(), ("spec.replicas", 3), (f"{policy}.whenScaled", "Delete"))
    assert severity(after(scaled, ("spec.replicas", 1)), "data-at-risk") == "error"
    assert "data-at-risk" not in after(scaled, ("spec.replicas", 4))


@pytest.mark.parametrize(("size", "at_risk"), [("10Gi", True), ("10G", True), ("40Gi", False), ("21474836480", False)])
def test_storage_can_only_grow(size: str, at_risk: bool) -> None:
    claim = plain("PersistentVolumeClaim", "c", spec={"resources": {"requests": {"storage": "20Gi"}}})
    risks = after(claim, ("spec.resources.requests.storage", size))
    assert (severity(risks, "data-at-risk") == "error") is at_risk


def test_losing_the_protection_is_told() -> None:
    claim = plain("PersistentVolumeClaim", "c", spec={})
    assert severity(found(protected(claim), claim), "data-at-risk") == "warning"


def test_another_claim_under_the_same_volume() -> None:
    old = edited(deployment(), (f"{POD}.volumes.0", {"name": "d", "persistentVolumeClaim": {"claimName": "a"}}))
    new = (f"{POD}.volumes.0.persistentVolumeClaim.claimName", "b")
    assert severity(after(old, new), "data-at-risk") == "warning"


# --- flux ----------------------------------------------------------------


def test_what_leaves_the_build_is_pruned() -> None:
    assert severity(found(deployment(), None), "pruned") == "warning"
    assert found(None, deployment()).get("pruned") is None


def test_a_job_under_a_new_name_runs_again() -> None:
    def job(name: str) -> Object:
        return plain("Job", name, "batch/v1", spec={"template": {"spec": {"containers": [{"name": "a"}]}}})

    risks = found(job("seed-1a2b3c4d"), job("seed-4d3c2b1a"))
    assert severity(risks, "job-reruns") == "warning"
    assert severity(found(None, job("seed")), "job-runs") == "info"
    assert severity(after(job("seed"), ("spec.ttlSecondsAfterFinished", 60)), "job-reruns") == "warning"


# --- network -------------------------------------------------------------


def service(**spec: Any) -> Object:
    return plain("Service", "s", spec={"ports": [{"port": 80}], **spec})


@pytest.mark.parametrize(
    ("old", "new", "exposed"),
    [
        (service(), service(type="LoadBalancer"), True),
        (service(), service(type="NodePort"), True),
        (None, service(type="LoadBalancer"), True),
        (None, service(), False),
        (service(type="LoadBalancer"), service(), False),
        (service(type="NodePort"), service(type="NodePort", ports=[{"port": 80}, {"port": 22}]), True),
        (service(), service(externalIPs=["1.2.3.4"]), True),
        (
            service(type="LoadBalancer", loadBalancerSourceRanges=["10.0.0.0/8"]),
            service(type="LoadBalancer"),
            True,
        ),
        (deployment(), edited(deployment(), (f"{POD}.hostNetwork", True)), True),
        (deployment(), edited(deployment(), (f"{MAIN}.ports.0.hostPort", 80)), True),
    ],
)
def test_new_ways_in_from_outside(old: Object | None, new: Object, exposed: bool) -> None:
    assert ("exposed" in found(old, new)) is exposed


def ingress(*hosts: str, tls: bool = True, path: str = "/") -> Object:
    rules = [{"host": host, "http": {"paths": [{"path": path}]}} for host in hosts]
    return plain(
        "Ingress", "i", "networking.k8s.io/v1", spec={"rules": rules, "tls": [{"hosts": [*hosts]}] if tls else []}
    )


def test_ingress_hosts_paths_and_tls() -> None:
    assert "b.example/" in found(ingress("a.example"), ingress("a.example", "b.example"))["exposed"][1]
    assert "a.example/admin" in found(ingress("a.example"), ingress("a.example", path="/admin"))["exposed"][1]
    assert found(ingress("a.example"), ingress("a.example", tls=False))["exposed"] == (
        "warning",
        "a.example is served without TLS",
    )
    assert severity(found(None, ingress("a.example")), "exposed") == "warning"


def policy(ingress_rules: list[Any], **spec: Any) -> Object:
    body = {"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"], "ingress": ingress_rules}
    return plain("NetworkPolicy", "n", "networking.k8s.io/v1", spec={**body, **spec})


API = {"podSelector": {"matchLabels": {"app": "api"}}}
WEB = {"podSelector": {"matchLabels": {"app": "web"}}}


@pytest.mark.parametrize(
    ("new", "wider"),
    [
        (policy([{"from": [API, WEB], "ports": [{"port": 5432}]}]), True),
        (policy([{"from": [API], "ports": [{"port": 5432}, {"port": 22}]}]), True),
        (policy([{"from": [API]}]), True),
        (policy([{"ports": [{"port": 5432}]}]), True),
        (policy([{}]), True),
        (policy([{"from": [API], "ports": [{"port": 5432}]}], policyTypes=["Egress"]), True),
        (policy([{"from": [API], "ports": [{"port": 5432}]}], podSelector={"matchLabels": {"app": "other"}}), True),
        (policy([]), False),
        (policy([{"from": [API], "ports": [{"port": 5432}]}], policyTypes=["Ingress", "Egress"]), False),
    ],
)
def test_network_policies_that_widen(new: Object, wider: bool) -> None:
    old = policy([{"from": [API], "ports": [{"port": 5432}]}])
    assert ("exposed" in found(old, new)) is wider


def test_a_network_policy_that_is_removed() -> None:
    assert severity(found(policy([]), None), "exposed") == "warning"


# --- privilege -----------------------------------------------------------


SECURITY = f"{MAIN}.securityContext"
HARD = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.mark.parametrize(
    "edit",
    [
        (f"{SECURITY}.privileged", True),
        (f"{SECURITY}.capabilities.add", ["NET_ADMIN"]),
        (f"{SECURITY}.capabilities.drop", ["CHOWN"]),
        (f"{SECURITY}.runAsUser", 0),
        (f"{SECURITY}.allowPrivilegeEscalation", True),
        (f"{SECURITY}.allowPrivilegeEscalation", ...),
        (f"{SECURITY}.runAsNonRoot", ...),
        (f"{SECURITY}.readOnlyRootFilesystem", False),
        (f"{SECURITY}.seccompProfile", ...),
        (f"{SECURITY}.seccompProfile.type", "Unconfined"),
        (f"{POD}.hostPID", True),
        (f"{POD}.volumes.0", {"name": "conf", "hostPath": {"path": "/"}}),
        (f"{POD}.automountServiceAccountToken", True),
        (f"{POD}.automountServiceAccountToken", ...),
    ],
)
def test_rights_that_pods_gain(edit: tuple[str, Any]) -> None:
    old = edited(deployment(), (SECURITY, HARD), (f"{POD}.automountServiceAccountToken", False))
    assert severity(after(old, edit), "more-privilege") == "warning"
    assert "more-privilege" not in after(old, (f"{MAIN}.image", "x:2"))
    assert "more-privilege" not in found(edited(old, edit), old)


def test_a_privileged_pod_that_is_new() -> None:
    assert "more-privilege" in found(None, edited(deployment(), (f"{SECURITY}.privileged", True)))
    assert "more-privilege" not in found(None, deployment())


def role(*rules: dict[str, Any]) -> Object:
    return plain("Role", "r", "rbac.authorization.k8s.io/v1", rules=[*rules])


READ = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (role({**READ, "verbs": ["get", "list", "delete"]}), "it allows delete on pods"),
        (role({**READ, "resources": ["*"]}), "it allows get on everything, list on everything"),
        (role(READ, {**READ, "resources": ["secrets"], "verbs": ["get"]}), "it allows get on secrets"),
        (role({**READ, "verbs": ["get"]}), None),
        (role({**READ, "resourceNames": ["x"]}), None),
        (role({**READ, "verbs": ["list"]}, {**READ, "verbs": ["get"]}), None),
    ],
)
def test_roles_that_widen(new: Object, reason: str | None) -> None:
    assert found(role(READ), new).get("more-privilege", (None, None))[1] == reason


def test_bindings_that_reach_more_subjects() -> None:
    def binding(*names: str) -> Object:
        subjects = [{"kind": "ServiceAccount", "name": name, "namespace": "kasm"} for name in names]
        ref = {"kind": "ClusterRole", "name": "admin"}
        return plain("RoleBinding", "b", "rbac.authorization.k8s.io/v1", subjects=subjects, roleRef=ref)

    assert "ServiceAccount b in kasm" in found(binding("a"), binding("a", "b"))["more-privilege"][1]
    assert "more-privilege" not in found(binding("a", "b"), binding("a"))


def test_pod_security_of_a_namespace() -> None:
    def namespace(level: str) -> Object:
        labels = {"pod-security.kubernetes.io/enforce": level}
        return plain("Namespace", "n", namespace="", metadata={"labels": labels})

    assert "more-privilege" in found(namespace("restricted"), namespace("baseline"))
    assert "more-privilege" not in found(namespace("baseline"), namespace("restricted"))


# --- secrets -------------------------------------------------------------


def test_a_secret_in_clear_is_an_error() -> None:
    clear = plain("Secret", "s", stringData={"k": "v"})
    assert severity(found(None, clear), "secret-in-clear") == "error"
    assert severity(found(sealed("s", {"k": "A"}), clear), "secret-in-clear") == "error"
    assert "secret-in-clear" not in found(None, sealed("s", {"k": "A"}))
    assert "secret-in-clear" not in found(clear, sealed("s", {"k": "A"}))


def test_recipients_and_certificates() -> None:
    def tls(names: str, **more: Any) -> Object:
        facts = {"kasmgen.dev/not-after": "2027-01-01T00:00:00Z", "kasmgen.dev/dns-names": names}
        return sealed("s", {"k": "A"}, annotations=facts, **more)

    assert severity(found(tls("a"), tls("a", recipients=("age1alice", "age1eve"))), "other-recipients") == "warning"
    assert "does not cover b" in found(tls("a,b"), tls("a"))["certificate"][1]
    assert "certificate" not in found(tls("a"), tls("a,b"))
