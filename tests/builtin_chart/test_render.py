"""What the chart renders: the objects of Kasm Workspaces 1.16 with their names, ports, environment and sizes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builtin_chart.conftest import PLAIN, Object, Render, containers, find, merged, names, pod_specs, services
from tests.some import some

pytestmark = pytest.mark.tool

# Component: workload, Service and its ports, container port name, image.
COMPONENTS: dict[str, tuple[str, str, list[int], str, str]] = {
    "kasmProxy": ("kasm-proxy-deployment", "kasm-proxy", [8080, 8443], "kasm-proxy-port", "kasmweb/proxy:1.16.0"),
    "kasmApi": ("kasm-api-deployment", "kasm-api", [8080], "kasm-api-pt", "kasmweb/api:1.16.0"),
    "kasmManager": ("kasm-manager-deployment", "kasm-manager", [8181], "kasm-manager-pt", "kasmweb/manager:1.16.0"),
    "kasmGuac": (
        "kasm-guac-deployment",
        "kasm-guac",
        [3000, 3001, 3002, 3003, 3004],
        "kasm-guac-pt",
        "kasmweb/kasm-guac:1.16.0",
    ),
    "rdpGateway": (
        "rdp-gateway-deployment",
        "rdp-gateway",
        [5555, 3389],
        "rdp-gateway-pt",
        "kasmweb/rdp-gateway:1.16.0",
    ),
    "rdpHttpsGateway": (
        "rdp-https-gw-deployment",
        "rdp-https-gateway",
        [9443],
        "rdp-https-gw-pt",
        "kasmweb/rdp-https-gateway:1.16.0",
    ),
    "kasmShare": ("kasm-share-deployment", "kasm-share", [8182], "kasm-share-pt", "kasmweb/share:1.16.0"),
    "kasmRedis": ("kasm-redis-deployment", "kasm-redis", [6379], "kasm-redis-pt", "redis:5-alpine"),
    "db": ("kasm-db-statefulset", "db", [5432], "kasm-db-pt", "kasmweb/postgres:1.16.0"),
}
OBJECTS = {
    "ConfigMap": {
        "kasm-proxy-base-configmap",
        "kasm-proxy-settings-configmap",
        "kasm-proxy-services-configmap",
        "kasm-db-configmap",
        "kasm-db-init-startup",
    },
    "Deployment": {c[0] for name, c in COMPONENTS.items() if name != "db"},
    "Ingress": {"kasm-ingress"},
    "Secret": {
        "kasm-secrets",
        "kasm-ingress-cert",
        "kasm-nginx-proxy-cert",
        "kasm-rdpproxy-cert",
        "kasm-db-cert",
    },
    "Service": {c[1] for c in COMPONENTS.values()} | {"db-headless"},
    "ServiceAccount": {"kasm"},
    "StatefulSet": {"kasm-db-statefulset"},
    "PodDisruptionBudget": {"kasm-proxy-budget", "kasm-api-budget", "kasm-manager-budget"},
    "NetworkPolicy": {
        f"{name}-ingress"
        for name in (
            "kasm-proxy",
            "kasm-api",
            "kasm-manager",
            "kasm-guac",
            "rdp-gateway",
            "rdp-https-gw",
            "kasm-share",
            "kasm-redis",
            "kasm-db",
        )
    },
}
REPLICAS = {
    "kasmProxy": (2, 2, 4),
    "kasmApi": (3, 3, 6),
    "kasmManager": (2, 2, 4),
    "kasmGuac": (1, 2, 3),
    "rdpGateway": (1, 1, 3),
    "rdpHttpsGateway": (1, 1, 3),
    "kasmShare": (1, 2, 3),
    "kasmRedis": (1, 1, 1),
    "db": (1, 1, 1),
}
SIZES = ("small", "medium", "large")
# CPU request and limit, memory request and limit, by size.
RDP = (
    ("100m", "200m", "64Mi", "128Mi"),
    ("150m", "300m", "64Mi", "256Mi"),
    ("150m", "500m", "64Mi", "512Mi"),
)
RESOURCES: dict[str, Any] = {
    "kasmProxy": (
        ("100m", "250m", "64Mi", "128Mi"),
        ("150m", "500m", "64Mi", "192Mi"),
        ("150m", "750m", "64Mi", "512Mi"),
    ),
    "db": (
        ("500m", "750m", "128Mi", "384Mi"),
        ("512m", "1.5", "512Mi", "2048Mi"),
        ("512m", "4.0", "2048Mi", "8192Mi"),
    ),
    "kasmApi": (
        ("150m", "250m", "64Mi", "192Mi"),
        ("150m", "500m", "64Mi", "384Mi"),
        ("300m", "1.0", "64Mi", "512Mi"),
    ),
    "kasmManager": (
        ("150m", "350m", "64Mi", "192Mi"),
        ("150m", "500m", "64Mi", "256Mi"),
        ("300m", "1.0", "64Mi", "512Mi"),
    ),
    "kasmGuac": (
        ("250m", None, "64Mi", "256Mi"),
        ("500m", None, "64Mi", "512Mi"),
        ("750m", None, "64Mi", "768Mi"),
    ),
    "rdpGateway": RDP,
    "rdpHttpsGateway": RDP,
    "kasmShare": (
        ("100m", "200m", "64Mi", "128Mi"),
        ("100m", "300m", "64Mi", "256Mi"),
        ("200m", "400m", "64Mi", "384Mi"),
    ),
    "kasmRedis": (
        ("100m", "200m", "64Mi", "128Mi"),
        ("100m", "300m", "64Mi", "256Mi"),
        ("100m", "500m", "64Mi", "512Mi"),
    ),
}
PASSWORD = {"db": "db-password", "service": "service-token", "redis": "redis-password"}


def workload(objects: list[Object], component: str) -> Object:
    return find(objects, "StatefulSet" if component == "db" else "Deployment", COMPONENTS[component][0])


def main_container(objects: list[Object], component: str) -> Object:
    found = workload(objects, component)["spec"]["template"]["spec"]["containers"]
    assert len(found) == 1
    return dict(found[0])


def environment(container: Object) -> dict[str, Any]:
    """Variables; one from the password Secret as ("its key",)."""
    return {
        item["name"]: item["value"] if "value" in item else (item["valueFrom"]["secretKeyRef"]["key"],)
        for item in container.get("env", [])
    }


def test_the_defaults_render_exactly_the_known_objects(render: Render) -> None:
    objects = render({})
    job = find(objects, "Job")["metadata"]["name"]
    assert job.startswith("kasm-db-init-job-")
    expected = {f"{kind}/{name}" for kind, all_names in OBJECTS.items() for name in all_names}
    assert set(names(objects)) == expected | {f"Job/{job}"}
    assert len(names(objects)) == len(expected) + 1


@pytest.mark.parametrize("component", COMPONENTS)
def test_services_have_their_fixed_names_and_ports(render: Render, component: str) -> None:
    _, service, ports, _, _ = COMPONENTS[component]
    found = find(render(PLAIN), "Service", service)
    name = workload(render(PLAIN), component)["metadata"]["labels"]["app.kubernetes.io/name"]
    assert found["spec"] == {
        "selector": {"app.kubernetes.io/name": name},
        "ports": [{"name": f"{service}-{port}", "port": port, "protocol": "TCP"} for port in ports],
    }
    assert found["metadata"]["labels"]["app.kubernetes.io/name"] == f"{name}-svc"


@pytest.mark.parametrize("component", COMPONENTS)
def test_workloads_select_by_name_and_run_the_known_image(render: Render, component: str) -> None:
    _, _, ports, port_name, image = COMPONENTS[component]
    objects = render(PLAIN)
    found = workload(objects, component)
    container = main_container(objects, component)
    name = found["metadata"]["labels"]["app.kubernetes.io/name"]
    assert found["spec"]["selector"]["matchLabels"] == {"app.kubernetes.io/name": name}
    assert container["name"] == f"{name}-container"
    assert container["image"] == image
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert container["ports"][0] == {"name": port_name, "containerPort": ports[0], "protocol": "TCP"}
    # D-63: every port of the Service is declared, so that a policy or a person finds it.
    assert [p["containerPort"] for p in container["ports"]] == ports
    assert all(len(p["name"]) <= 15 for p in some(container["ports"]))


@pytest.mark.parametrize("size", SIZES)
def test_replicas_and_resources_follow_the_size(render: Render, size: str) -> None:
    objects = render(merged(PLAIN, {"kasmApp": {"deploymentSize": size}}))
    at = SIZES.index(size)
    storage = {"kasmProxy": ("1Gi", "2Gi", "5Gi")[at]}
    for component in COMPONENTS:
        assert workload(objects, component)["spec"]["replicas"] == REPLICAS[component][at], component
        cpu, cpu_limit, memory, memory_limit = RESOURCES[component][at]
        limits = {"memory": memory_limit, "ephemeral-storage": storage.get(component, "2Gi")}
        assert main_container(objects, component)["resources"] == {
            "requests": {"cpu": cpu, "memory": memory, "ephemeral-storage": "50Mi"},
            "limits": limits | ({"cpu": cpu_limit} if cpu_limit else {}),
        }, component


@pytest.mark.parametrize(("given", "expected"), [(None, 3), ("", 3), (0, 0), ("0", 0), (1, 1), ("12", 12)])
def test_replicas_mean_what_they_say_and_zero_is_zero(render: Render, given: Any, expected: int) -> None:
    objects = render(merged(PLAIN, services(kasmApi={"replicas": given})))
    assert workload(objects, "kasmApi")["spec"]["replicas"] == expected


def test_own_resources_replace_the_preset_as_a_whole(render: Render) -> None:
    own = {"limits": {"memory": "1Gi"}}
    objects = render(merged(PLAIN, services(**{name: {"resources": own} for name in COMPONENTS})))
    for component in COMPONENTS:
        assert main_container(objects, component)["resources"] == own, component


def test_own_resources_of_the_job_and_of_waiting_containers_replace_the_preset(render: Render) -> None:
    job, waiting = {"requests": {"cpu": "1"}}, {"limits": {"memory": "64Mi"}}
    values = {"job": {"resources": job}, "kasmApp": {"defaults": {"initResources": waiting}}}
    templates = pod_specs(render(merged(PLAIN, values)))
    (seeding,) = [template for owner, template in templates.items() if owner.startswith("Job/")]
    assert [container["resources"] for container in seeding["spec"]["containers"]] == [job]
    # It runs PostgreSQL, for a recovery too, so it gets what the server gets.
    found = {
        container["name"]: container["resources"]
        for template in templates.values()
        for container in template["spec"].get("initContainers", [])
        if container["name"] != "db-prepare"
    }
    assert found == dict.fromkeys(("db-is-ready", "kasm-api-is-ready", "names", "redis-is-ready"), waiting)


def test_every_container_has_requests_and_limits(render: Render) -> None:
    """D-46: the Job and the containers that only wait have them too."""
    for owner, template in pod_specs(render(PLAIN)).items():
        for container in containers(template):
            for kind in ("requests", "limits"):
                assert {"memory", "ephemeral-storage"} <= container["resources"][kind].keys(), (owner, container)


@pytest.mark.parametrize(
    ("component", "expected"),
    [
        ("db", {"POSTGRES_DB": "kasm", "POSTGRES_USER": "kasmapp", "POSTGRES_PASSWORD": (PASSWORD["db"],)}),
        ("kasmApi", {"DB_AUTO_INITIALIZE": "false", "POSTGRES_PASSWORD": (PASSWORD["db"],)}),
        ("kasmManager", {"POSTGRES_PASSWORD": (PASSWORD["db"],)}),
        ("kasmGuac", {"CLUSTER_SIZE": "4", "REGISTRATION_TOKEN": (PASSWORD["service"],), "ZONE": "default"}),
        ("rdpGateway", {"SERVER_ZONE_NAME": "default", "REGISTRATION_TOKEN": (PASSWORD["service"],)}),
        ("rdpHttpsGateway", {"SERVER_ZONE_NAME": "default", "REGISTRATION_TOKEN": (PASSWORD["service"],)}),
        (
            "kasmShare",
            {
                "REDIS_PASSWORD": (PASSWORD["redis"],),
                "REDIS_HOST": "kasm-redis",
                "SHARE_ID": "auto",
                "SERVER_HOSTNAME": "kasm-share",
                "POSTGRES_PASSWORD": (PASSWORD["db"],),
            },
        ),
        ("kasmRedis", {"REDIS_PASSWORD": (PASSWORD["redis"],)}),
        ("kasmProxy", {}),
    ],
)
def test_components_get_their_environment(render: Render, component: str, expected: dict[str, Any]) -> None:
    assert environment(main_container(render(PLAIN), component)) == expected


def test_the_zone_name_reaches_everyone_who_registers(render: Render) -> None:
    """D-28, D-29: guac too, and the seeding, which gives the zone its name."""
    objects = render(merged(PLAIN, {"kasmApp": {"zoneName": "Zürich 1"}}))
    assert environment(main_container(objects, "kasmGuac"))["ZONE"] == "Zürich 1"
    assert environment(main_container(objects, "rdpGateway"))["SERVER_ZONE_NAME"] == "Zürich 1"
    assert environment(main_container(objects, "rdpHttpsGateway"))["SERVER_ZONE_NAME"] == "Zürich 1"
    job = find(objects, "Job")["spec"]["template"]["spec"]["containers"][0]
    assert "Zürich 1" in environment(job).values()


@pytest.mark.parametrize(
    ("component", "paths"),
    [
        ("kasmManager", {"/tmp"}),
        ("kasmGuac", {"/tmp", "/opt/kasm/current/log", "/opt/kasm/current/tmp/guac"}),
        (
            "rdpGateway",
            {
                "/tmp",
                "/opt/kasm/current/log",
                "/usr/local/etc/rdpproxy/var",
                "/usr/local/etc/rdpproxy/rdpproxy.crt",
                "/usr/local/etc/rdpproxy/rdpproxy.key",
            },
        ),
        ("rdpHttpsGateway", {"/tmp", "/opt/kasm/current/log", "/opt/rdpgw/server.pem", "/opt/rdpgw/key.pem"}),
        (
            "kasmProxy",
            {
                "/etc/ssl/certs/kasm_nginx.crt",
                "/etc/ssl/private/kasm_nginx.key",
                "/etc/nginx/conf.d",
                "/etc/nginx/conf.d/services.d",
                "/etc/nginx/nginx.conf",
                "/var/cache/nginx",
                "/var/log/external/nginx",
                "/run",
                "/tmp",
            },
        ),
    ],
)
def test_components_find_their_files_where_the_images_expect_them(
    render: Render, component: str, paths: set[str]
) -> None:
    mounts = main_container(render(PLAIN), component)["volumeMounts"]
    assert {m["mountPath"] for m in mounts} == paths
    for mount in mounts:
        if mount["mountPath"].endswith((".crt", ".key", ".pem")):
            wanted = "tls.key" if mount["mountPath"].endswith(("key", "key.pem")) else "tls.crt"
            assert (mount["subPath"], mount["readOnly"]) == (wanted, True)


PROBES: dict[str, dict[str, Any]] = {
    "kasmApi": {"liveness": "kasm-api-pt", "readiness": ("HTTP", "kasm-api-pt", "/api/__healthcheck")},
    "kasmManager": {"liveness": "kasm-manager-pt", "readiness": ("HTTP", "kasm-manager-pt", "/__healthcheck")},
    "kasmGuac": {"liveness": "kasm-guac-pt", "readiness": ("HTTP", "kasm-guac-pt", "/__healthcheck")},
    "rdpGateway": {"liveness": "rdp-gateway-pt", "readiness": ("HTTP", "rdp-gateway-pt", "/__healthcheck")},
    "rdpHttpsGateway": {
        "liveness": "rdp-https-gw-pt",
        "readiness": ("HTTPS", "rdp-https-gw-pt", "/rdp-https-gateway/__healthcheck"),
    },
    "kasmShare": {"liveness": "kasm-share-pt", "readiness": ("HTTP", "kasm-share-pt", "/__healthcheck")},
    "kasmProxy": {"liveness": "kasm-proxy-port", "readiness": ("HTTP", "kasm-proxy-port", "/__healthcheck")},
}


@pytest.mark.parametrize("component", PROBES)
def test_probes_ask_the_known_ports_and_paths(render: Render, component: str) -> None:
    container = main_container(render(PLAIN), component)
    liveness = container["livenessProbe"]
    assert liveness.pop("tcpSocket") == {"port": PROBES[component]["liveness"]}
    assert liveness == {
        "initialDelaySeconds": 30,
        "periodSeconds": 30,
        "timeoutSeconds": 10,
        "failureThreshold": 3,
        "successThreshold": 1,
    }
    scheme, port, path = PROBES[component]["readiness"]
    assert container["readinessProbe"] == {
        "httpGet": {"path": path, "port": port, "scheme": scheme},
        "initialDelaySeconds": 10,
        "periodSeconds": 30,
        "timeoutSeconds": 10,
        "failureThreshold": 3,
        "successThreshold": 1,
    }


@pytest.mark.parametrize(
    ("component", "port"),
    [("kasmGuac", 3004), ("rdpGateway", 3389), ("kasmProxy", 8443), ("kasmApi", 8080), ("kasmShare", 8182)],
)
def test_a_start_counts_once_the_port_answers_that_no_steady_probe_asks(
    render: Render, component: str, port: int
) -> None:
    """D-61, D-63: five minutes to start, and the ports that were never probed are probed then."""
    container = main_container(render(PLAIN), component)
    probe = container["startupProbe"]
    asked = (probe.get("httpGet") or probe["tcpSocket"])["port"]
    assert {p["name"]: p["containerPort"] for p in container["ports"]}[asked] == port
    assert probe["periodSeconds"] * probe["failureThreshold"] == 300


def test_health_checks_can_be_switched_off_one_by_one(render: Render) -> None:
    for component in COMPONENTS:
        objects = render(merged(PLAIN, services(**{component: {"addHealthChecks": False}})))
        without = {c for c in COMPONENTS if not [k for k in main_container(objects, c) if k.endswith("Probe")]}
        assert without == {component}


@pytest.mark.parametrize(
    ("component", "expected"),
    [
        ("kasmApi", ["db-is-ready"]),
        ("kasmManager", ["kasm-api-is-ready"]),
        ("kasmGuac", ["kasm-api-is-ready"]),
        ("rdpGateway", ["kasm-api-is-ready"]),
        ("rdpHttpsGateway", ["kasm-api-is-ready"]),
        ("kasmShare", ["redis-is-ready", "kasm-api-is-ready"]),
        ("kasmRedis", []),
        # D-65: nothing optional keeps the proxy down.
        ("kasmProxy", ["kasm-api-is-ready", "names"]),
    ],
)
def test_components_wait_for_what_they_need(render: Render, component: str, expected: list[str]) -> None:
    spec = workload(render(PLAIN), component)["spec"]["template"]["spec"]
    assert [c["name"] for c in spec.get("initContainers", [])] == expected


def test_helper_images_pull_policy_and_digests_are_values(render: Render) -> None:
    """D-50: no image is written into a template."""
    digest = "sha256:" + "a" * 64
    every = {name: {"image": f"mirror.example.com/{name.lower()}", "tag": digest} for name in COMPONENTS}
    values = merged(
        PLAIN,
        services(**every),
        {
            "global": {"image": {"pullPolicy": "Always"}},
            "helperImages": {
                "curl": {"image": "mirror.example.com/curl", "tag": "1"},
                "redis": {"image": f"mirror.example.com/cli@{digest}", "tag": "ignored"},
            },
        },
    )
    found = [c for template in pod_specs(render(values)).values() for c in containers(template)]
    images = {c["image"] for c in found}
    assert images == {f"mirror.example.com/{name.lower()}@{digest}" for name in COMPONENTS} | {
        "mirror.example.com/curl:1",
        f"mirror.example.com/cli@{digest}",
    }
    assert {c["imagePullPolicy"] for c in found} == {"Always"}


def test_pull_secret_stands_on_every_pod(render: Render) -> None:
    for values in ({"pullSecrets": "login"}, {"existingSecret": "login", "pullSecrets": "other"}):
        objects = render(merged(PLAIN, {"global": {"image": values}}))
        for owner, template in pod_specs(objects).items():
            assert template["spec"]["imagePullSecrets"] == [{"name": "login"}], owner


def test_no_version_is_in_pod_templates_and_selectors(render: Render) -> None:
    """D-37: what changes with the chart's version would restart every pod, the database too."""
    for owner, template in pod_specs(render({})).items():
        assert template["metadata"]["labels"].keys() <= {
            "app.kubernetes.io/name",
            "app.kubernetes.io/instance",
            "release",
            "kasm_role",
        }, owner
    roles = {
        t["metadata"]["labels"]["app.kubernetes.io/name"]: t["metadata"]["labels"].get("kasm_role")
        for t in pod_specs(render({})).values()
    }
    assert {name: role for name, role in roles.items() if role} == {
        "kasm-redis": "redis",
        "kasm-share": "share",
        "rdp-gateway": "rdpGateway",
        "rdp-https-gw": "rdpHttpsGateway",
    }


def test_every_object_carries_the_common_labels(render: Render) -> None:
    for o in render({}, release="desk"):
        labels = o["metadata"]["labels"]
        common = {
            "release": "desk",
            "app.kubernetes.io/instance": "desk",
            "app.kubernetes.io/managed-by": "Helm",
            "app.kubernetes.io/version": "1.16.0",
            "kasm-version": "1.16.0",
            "helm.sh/chart": "kasm-single-zone-1.16.0",
        }
        assert common.items() <= labels.items()
        assert ("kasm_app" if o["kind"] == "ConfigMap" else "app.kubernetes.io/name") in labels


def test_global_labels_and_annotations_reach_every_object_and_no_pod(render: Render) -> None:
    values = {"global": {"labels": {"team": "desk", "release": "mine"}, "annotations": {"a/b": "1"}}}
    objects = render(merged(PLAIN, values))
    for o in objects:
        assert o["metadata"]["labels"]["team"] == "desk"
        assert o["metadata"]["labels"]["release"] == "kasm", "the chart's own label wins"
        assert o["metadata"]["annotations"]["a/b"] == "1"
    for template in pod_specs(objects).values():
        assert "team" not in template["metadata"]["labels"]


def test_scheduling_and_extras_of_a_component_win_over_the_defaults(render: Render) -> None:
    """D-33: what the upstream schema refused."""
    defaults = {
        "nodeSelector": {"pool": "desk"},
        "tolerations": [{"key": "desk", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "low",
        "podLabels": {"a": "1", "b": "1"},
        "podAnnotations": {"a": "1", "checksum/config": "faked"},
        "extraEnv": [{"name": "TZ", "value": "UTC"}, {"name": "ALL", "value": "1"}],
        "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
        "extraVolumeMounts": [{"name": "ca", "mountPath": "/ca"}],
    }
    own = {
        "nodeSelector": {"pool": "api"},
        "tolerations": [{"key": "api", "operator": "Exists"}],
        "affinity": {"podAffinity": {}},
        "priorityClassName": "high",
        "podLabels": {"b": "2", "app.kubernetes.io/name": "stolen"},
        "extraEnv": [{"name": "TZ", "value": "CET"}, {"name": "DB_AUTO_INITIALIZE", "value": "maybe"}],
    }
    values = merged(PLAIN, {"kasmApp": {"defaults": defaults}}, services(kasmApi=own))
    objects = render(values)
    for owner, template in pod_specs(objects).items():
        spec, metadata = template["spec"], template["metadata"]
        is_api = owner == "Deployment/kasm-api-deployment"
        assert spec["nodeSelector"] == {"pool": "api" if is_api else "desk"}, owner
        assert spec["tolerations"] == [{"key": "api" if is_api else "desk", "operator": "Exists"}], owner
        assert spec["affinity"] == {"podAffinity" if is_api else "nodeAffinity": {}}, owner
        assert spec["priorityClassName"] == ("high" if is_api else "low"), owner
        assert {k: metadata["labels"][k] for k in "ab"} == {"a": "1", "b": "2" if is_api else "1"}, owner
        assert metadata["labels"]["app.kubernetes.io/name"] != "stolen"
        assert metadata["annotations"]["a"] == "1"
        assert metadata["annotations"].get("checksum/config") != "faked"
        assert [v for v in spec["volumes"] if v["name"] == "ca"] == [{"name": "ca", "configMap": {"name": "ca"}}]
        container = spec["containers"][0]
        assert {"name": "ca", "mountPath": "/ca"} in container["volumeMounts"], owner
        env = [item for item in container["env"] if item["name"] in ("TZ", "ALL", "DB_AUTO_INITIALIZE")]
        if is_api:
            assert env == [
                {"name": "DB_AUTO_INITIALIZE", "value": "maybe"},
                {"name": "TZ", "value": "CET"},
                {"name": "ALL", "value": "1"},
            ]
        else:
            assert {"name": "TZ", "value": "UTC"} in env


def test_the_seeding_job_is_scheduled_by_its_own_values(render: Render) -> None:
    objects = render(merged(PLAIN, {"job": {"nodeSelector": {"pool": "jobs"}, "backoffLimit": 2}}))
    job = find(objects, "Job")
    assert job["spec"]["template"]["spec"]["nodeSelector"] == {"pool": "jobs"}
    assert job["spec"]["backoffLimit"] == 2


def test_rollouts_never_go_below_the_wanted_number(render: Render) -> None:
    """D-47, D-65: the proxy too. Only Redis, of which there may not be two, goes before it comes."""
    objects = render(PLAIN)
    for component in COMPONENTS:
        if component == "db":
            continue
        strategy = workload(objects, component)["spec"]["strategy"]
        if component == "kasmRedis":
            assert strategy == {"type": "Recreate"}
        else:
            assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def test_pods_stop_after_traffic_has_moved_on(render: Render) -> None:
    """D-81: a pause before the signal, and a grace period that is longer."""
    objects = render(merged(PLAIN, services(kasmProxy={"terminationGracePeriodSeconds": 300})))
    for component in PROBES:
        spec = workload(objects, component)["spec"]["template"]["spec"]
        command = spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        assert command[:2] == ["/bin/sh", "-c"]
        assert command[2].startswith("sleep 5")
        assert spec["terminationGracePeriodSeconds"] >= 30
    proxy = workload(objects, "kasmProxy")["spec"]["template"]["spec"]
    assert proxy["terminationGracePeriodSeconds"] == 300
    command = proxy["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][2]
    assert command == "sleep 5; nginx -s quit; sleep 290"


def test_pods_spread_over_zones_and_nodes_where_wished(render: Render) -> None:
    objects = render(PLAIN)
    spec = workload(objects, "kasmApi")["spec"]["template"]["spec"]
    keys = [c["topologyKey"] for c in spec["topologySpreadConstraints"]]
    assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    # One node must be enough to run everything.
    assert {c["whenUnsatisfiable"] for c in spec["topologySpreadConstraints"]} == {"ScheduleAnyway"}
    without = render(merged(PLAIN, {"topologySpread": {"enabled": False}}))
    assert "topologySpreadConstraints" not in workload(without, "kasmApi")["spec"]["template"]["spec"]


def test_budgets_are_for_components_with_several_pods_only(render: Render) -> None:
    """D-81. A budget for one pod would keep its node from ever being drained."""

    def budgets(values: dict[str, Any]) -> set[str]:
        found = [o for o in render(merged(PLAIN, values)) if o["kind"] == "PodDisruptionBudget"]
        assert [o["spec"]["maxUnavailable"] for o in found] == [1] * len(found)
        return {o["metadata"]["name"].removesuffix("-budget") for o in found}

    large = {"kasmApp": {"deploymentSize": "large"}}
    everyone = {"kasm-api", "kasm-guac", "kasm-manager", "kasm-proxy", "kasm-share", "rdp-gateway", "rdp-https-gw"}
    assert budgets({}) == {"kasm-api", "kasm-manager", "kasm-proxy"}
    assert budgets(large) == everyone
    assert budgets(merged(large, services(kasmRedis={"deploy": False}))) == everyone - {"kasm-share"}
    assert budgets(services(kasmApi={"replicas": 1})) == {"kasm-manager", "kasm-proxy"}
    assert budgets({"podDisruptionBudget": {"enabled": False}}) == set()


def test_the_database_is_kept_as_the_values_say(render: Render) -> None:
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "8Gi"}}}
    found = workload(render(PLAIN), "db")["spec"]
    (template,) = found["volumeClaimTemplates"]
    assert template["metadata"]["name"] == "kasm-db-data"
    assert {k: v for k, v in template["spec"].items() if v is not None} == claim
    assert "persistentVolumeClaimRetentionPolicy" not in found
    policy = {"enabled": True, "whenDeleted": "Delete", "whenScaled": "Retain"}
    own = {"storageClassName": "fast", "storageSize": "1Ti", "persistentVolumeClaimRetentionPolicy": policy}
    found = workload(render(merged(PLAIN, services(db=own))), "db")["spec"]
    (template,) = found["volumeClaimTemplates"]
    assert template["spec"]["storageClassName"] == "fast"
    assert template["spec"]["resources"]["requests"]["storage"] == "1Ti"
    del policy["enabled"]
    assert found["persistentVolumeClaimRetentionPolicy"] == policy


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("redis", [True, False])
def test_share_and_redis_are_one_decision(render: Render, share: bool, redis: bool) -> None:
    """D-23: nothing of either is left when one of them is off."""
    values = services(kasmShare={"deploy": share}, kasmRedis={"deploy": redis})
    objects = render(merged(PLAIN, values, {"ingress": {"apiBypass": True}}))
    there = [n for n in names(objects) if "share" in n or "redis" in n]
    assert bool(there) == (share and redis)
    ingress = find(objects, "Ingress")["spec"]["rules"][0]["http"]["paths"]
    assert ("/api/share/" in [p["path"] for p in ingress]) == (share and redis)


def test_a_switched_off_component_leaves_nothing_behind(render: Render) -> None:
    """D-22: no Service without pods, no location, no policy."""
    every = names(render(PLAIN))
    for component, name in (("kasmGuac", "guac"), ("rdpGateway", "rdp-gateway"), ("rdpHttpsGateway", "rdp-https")):
        objects = render(merged(PLAIN, services(**{component: {"deploy": False}})))
        assert {n for n in every if name in n} == set(every) - set(names(objects))
        policies = [o for o in objects if o["kind"] == "NetworkPolicy"]
        assert name not in str(policies)
