"""values.schema.json: takes what is right, refuses what is not, with the path."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import helm_python
import jsonschema
import pytest

from tests.builtin_chart.conftest import CHART, DEFAULTS, PLAIN, Object, Render, merged, services

pytestmark = pytest.mark.tool

SCHEMA: Object = json.loads((CHART / "values.schema.json").read_text())
COMPONENTS = list(DEFAULTS["kasmApp"]["servicesToDeploy"])

# Maps whose keys are the user's: labels, settings of PostgreSQL, objects as Kubernetes writes them.
OPEN = {
    "affinity",
    "annotations",
    "labels",
    "limits",
    "nodeSelector",
    "podAnnotations",
    "podLabels",
    "postgres",
    "requests",
    "resources",
    "initResources",
}
# Keys of pods that values.yaml names in a comment, because they are the same for every component.
POD_KEYS = {
    "affinity",
    "extraEnv",
    "extraVolumeMounts",
    "extraVolumes",
    "nodeSelector",
    "podAnnotations",
    "podLabels",
    "priorityClassName",
    "terminationGracePeriodSeconds",
    "tolerations",
}


def component(name: str, image: str, tag: str = "1.16.0", **more: Any) -> Object:
    return {"name": name, "addHealthChecks": True, "image": image, "tag": tag, "resources": {}} | more


def upstream_certificate(name: str) -> Object:
    cert, key = (f"# Put your\n# SSL {what} here\n" for what in ("Cert", "Key"))
    return {"name": name, "create": True, "cert": cert, "key": key}


# The whole surface of the upstream 1.16.0 chart with its defaults.
UPSTREAM: Object = {
    "global": {
        "namespace": "",
        "clusterDomain": "cluster.local",
        "image": {
            "pullSecrets": "",
            "pullPolicy": "IfNotPresent",
            "restartPolicy": "Always",
            "pullCredentials": {},
        },
        "hostname": "",
        "altHostnames": [],
        "kasmPasswords": dict.fromkeys(
            ["redisPassword", "dbPassword", "managerToken", "serviceToken", "adminPassword", "userPassword"], ""
        ),
    },
    "kasmApp": {
        "name": "kasm",
        "zoneName": "default",
        "applyHardening": True,
        "deploymentSize": "small",
        "servicesToDeploy": {
            "kasmProxy": component("kasm-proxy", "kasmweb/proxy", replicas=None, serviceKeepalive=16),
            "db": component(
                "kasm-db",
                "kasmweb/postgres",
                storageClassName="",
                persistentVolumeClaimRetentionPolicy={
                    "enabled": False,
                    "whenDeleted": "Retain",
                    "whenScaled": "Retain",
                },
            ),
            "kasmApi": component("kasm-api", "kasmweb/api", replicas=None),
            "kasmManager": component("kasm-manager", "kasmweb/manager", replicas=None),
            "kasmGuac": component("kasm-guac", "kasmweb/kasm-guac", deploy=True, replicas=None),
            "rdpGateway": component("rdp-gateway", "kasmweb/rdp-gateway", deploy=True, replicas=None),
            "rdpHttpsGateway": component("rdp-https-gw", "kasmweb/rdp-https-gateway", deploy=True, replicas=None),
            "kasmShare": component("kasm-share", "kasmweb/share", deploy=True, replicas=None),
            "kasmRedis": component("kasm-redis", "redis", "5-alpine", deploy=True),
        },
    },
    "kasmCerts": {
        "ingress": upstream_certificate("kasm-ingress-cert"),
        "kasmProxy": upstream_certificate("kasm-nginx-proxy-cert"),
        "rdpGateway": upstream_certificate("kasm-rdpproxy-cert"),
        "db": upstream_certificate("kasm-db-cert"),
    },
}


def refused(chart: helm_python.Chart, values: Object) -> str:
    with pytest.raises(helm_python.HelmError) as error:
        chart.render(values, name="kasm")
    return str(error.value)


def nested(path: str, value: Any) -> Object:
    for key in reversed(path.split(".")):
        value = {key: value}
    return dict(value)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft6Validator.check_schema(SCHEMA)


def test_the_defaults_pass_with_and_without_their_nulls() -> None:
    """D-25: Helm 3 validates the defaults with their nulls, today's Helm after taking them out."""

    def without_nulls(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: without_nulls(v) for k, v in value.items() if v is not None}
        return value

    assert "null" in json.dumps(DEFAULTS)
    for values in (DEFAULTS, without_nulls(DEFAULTS)):
        jsonschema.validate(values, SCHEMA, cls=jsonschema.Draft6Validator)


def test_a_null_of_the_user_is_the_default_again(render: Render) -> None:
    """D-25."""
    values = services(**{name: {"replicas": None, "resources": None} for name in COMPONENTS if name != "db"})
    del values["kasmApp"]["servicesToDeploy"]["kasmRedis"]["replicas"]
    assert render(merged(PLAIN, values)) == render(PLAIN)


def test_values_of_the_upstream_chart_mean_the_same(render: Render) -> None:
    def public(values: Object) -> list[Object]:
        return [o for o in render(values) if o["kind"] != "Secret"]

    assert public(UPSTREAM) == public({})
    # Texts where upstream takes them.
    texts = services(kasmProxy={"serviceKeepalive": "16", "replicas": "2"}, kasmApi={"replicas": "3"})
    assert public(merged(UPSTREAM, texts)) == public({})


def test_the_upstream_defaults_are_ours() -> None:
    def differences(upstream: Any, ours: Any, path: str) -> Iterator[str]:
        if isinstance(upstream, dict):
            for key, value in upstream.items():
                assert key in ours, f"{path}.{key}"
                yield from differences(value, ours[key], f"{path}.{key}")
        elif upstream != ours and not path.endswith((".cert", ".key")):
            yield f"{path}: {upstream!r} != {ours!r}"

    assert list(differences(UPSTREAM, DEFAULTS, "")) == []


def objects_in(value: Object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for key, inner in value.items():
        if isinstance(inner, dict) and key not in OPEN:
            yield from objects_in(inner, (*path, key))


@pytest.mark.parametrize("path", list(objects_in(DEFAULTS)), ids="/".join)
def test_an_unknown_key_is_refused_with_its_path(chart: helm_python.Chart, path: tuple[str, ...]) -> None:
    values = nested(".".join([*path, "nonsense"]), "x")
    message = refused(chart, values)
    assert "nonsense" in message
    # Below global a schema cannot tell a typing error from a parent chart's value; the template can.
    if path == ("global",):
        assert "global.nonsense" in message
    else:
        assert f"at '{''.join(f'/{key}' for key in path)}'" in message


def test_foreign_global_values_of_a_parent_chart_are_taken(chart: helm_python.Chart, tmp_path: Any) -> None:
    """D-33."""
    parent = tmp_path / "parent"
    (parent / "charts").mkdir(parents=True)
    chart.save_dir(parent / "charts")
    (parent / "Chart.yaml").write_text("apiVersion: v2\nname: parent\nversion: 1.0.0\n")
    (parent / "values.yaml").write_text("global:\n  theirs: true\n  hostname: kasm.example.com\n")
    with helm_python.Chart.load(parent) as loaded:
        texts = loaded.render({}, name="kasm")
    (ingress,) = [text for path, text in texts.items() if path.endswith("ingress/ingress.yaml")]
    assert "kasm.example.com" in ingress


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("kasmApp.deploymentSize", "huge"),
        ("global.image.pullPolicy", "Sometimes"),
        ("global.image.restartPolicy", "OnFailure"),
        ("kasmApp.servicesToDeploy.db.persistentVolumeClaimRetentionPolicy.whenDeleted", "Keep"),
        ("kasmApp.servicesToDeploy.db.podManagementPolicy", "Serial"),
        ("kasmApp.servicesToDeploy.rdpGateway.expose.type", "ClusterIP"),
        ("kasmApp.servicesToDeploy.rdpGateway.expose.externalTrafficPolicy", "Remote"),
        ("kasmApp.servicesToDeploy.rdpGateway.expose.nodePort", 70000),
        ("kasmCerts.db.keyType", "dsa"),
        ("kasmCerts.db.days", 0),
        ("kasmCerts.db.ipAddresses", ["db"]),
        ("ingress.controller", "haproxy"),
        ("ingress.bodySize", "1 gigabyte"),
        ("global.hostname", "Kasm.example.com"),
        ("global.hostname", "https://kasm.example.com"),
        ("global.hostname", "192.0.2.1"),
        ("global.altHostnames", ["kasm_1.example.com"]),
        ("global.altHostnames", [""]),
        ("global.namespace", "a.b"),
        ("global.clusterDomain", ""),
        ("kasmApp.name", "a" * 41),
        ("kasmApp.name", "Kasm"),
        ("kasmApp.servicesToDeploy.kasmProxy.name", "kasm-proxy1"),
        ("kasmApp.servicesToDeploy.kasmApi.name", "kasm-api-longer"),
        ("kasmApp.servicesToDeploy.kasmApi.name", "api--1"),
        ("kasmApp.servicesToDeploy.kasmApi.deploy", False),
        ("kasmApp.servicesToDeploy.kasmRedis.replicas", 2),
        ("kasmApp.servicesToDeploy.kasmApi.replicas", "abc"),
        ("kasmApp.servicesToDeploy.kasmApi.replicas", -1),
        ("kasmApp.servicesToDeploy.kasmApi.replicas", 1.5),
        ("kasmApp.servicesToDeploy.kasmApi.tag", "1.16.0 "),
        ("kasmApp.servicesToDeploy.kasmApi.image", ""),
        ("kasmApp.servicesToDeploy.kasmApi.resources", {"limits": {"memory": "1 GB"}}),
        ("kasmApp.servicesToDeploy.kasmApi.resources", {"limits": {"memory": ""}}),
        ("kasmApp.servicesToDeploy.kasmApi.resources", {"limits": {"ram": "1Gi"}}),
        ("kasmApp.servicesToDeploy.kasmApi.resources", {"limit": {"memory": "1Gi"}}),
        ("kasmApp.servicesToDeploy.kasmProxy.serviceKeepalive", "many"),
        ("kasmApp.servicesToDeploy.kasmProxy.trustedProxies", ["10.0.0.0/8; }"]),
        ("kasmApp.servicesToDeploy.kasmProxy.corsOrigins", ["example.com"]),
        ("kasmApp.servicesToDeploy.kasmProxy.resolver", "10.0.0.1; }"),
        ("kasmApp.servicesToDeploy.kasmGuac.deploy", "yes"),
        ("kasmApp.defaults.extraEnv", [{"value": "no name"}]),
        ("global.image.pullCredentials", {"username": "no password"}),
        ("global.labels", {"number": 1}),
        ("kasmCerts.db.name", "Db_Cert"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(chart: helm_python.Chart, path: str, value: Any) -> None:
    """D-21, D-26, D-33, D-35."""
    assert f"/{path.replace('.', '/')}" in refused(chart, nested(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("global.hostname", "*.kasm.example.com"),
        ("global.namespace", "desk-1"),
        ("kasmApp.name", ""),
        ("kasmApp.servicesToDeploy.kasmApi.replicas", "0"),
        ("kasmApp.servicesToDeploy.kasmApi.deploy", True),
        ("kasmApp.servicesToDeploy.kasmRedis.replicas", 1),
        ("job.resources", {"limits": {"memory": "1Gi"}}),
        ("kasmApp.servicesToDeploy.kasmApi.resources", {"requests": {"cpu": 1, "memory": "1.5Gi"}}),
        ("kasmApp.servicesToDeploy.kasmApi.resources", {"limits": {"ephemeral-storage": "1Gi", "amd.com/gpu": 1}}),
        ("kasmApp.servicesToDeploy.kasmProxy.workerProcesses", "auto"),
        ("kasmApp.servicesToDeploy.kasmProxy.resolver", "10.96.0.10:5353 [fd00::a] ipv6=off"),
        ("kasmApp.servicesToDeploy.kasmProxy.trustedProxies", ["2001:db8::/32", "192.0.2.1"]),
        ("kasmApp.servicesToDeploy.kasmProxy.corsOrigins", ["https://portal.example.com:8443"]),
    ],
)
def test_a_right_value_is_taken(chart: helm_python.Chart, path: str, value: Any) -> None:
    chart.render(merged(PLAIN, nested(path, value)), name="kasm")


def test_two_components_cannot_have_one_name(chart: helm_python.Chart) -> None:
    """D-20: their pods would be behind one another's Services."""
    message = refused(chart, services(kasmGuac={"name": "kasm-api"}))
    assert "kasmApp.servicesToDeploy.kasmGuac.name" in message
    assert "kasmApp.servicesToDeploy.kasmApi.name" in message
    message = refused(chart, {"kasmApp": {"name": "a"}} | services(kasmGuac={"name": "kasm-db-init"}))
    assert "the seeding Job" in message


def resolved(schema: Object) -> Object:
    """The schema with what it refers to; its own words win. A property that is `true` is explained elsewhere."""
    for part in [schema, *schema.get("allOf", [])]:
        if "$ref" in part:
            other = resolved(SCHEMA["definitions"][part["$ref"].rpartition("/")[2]])
            listed = schema.get("properties", {})
            known = other.get("properties", {}) | {key: inner for key, inner in listed.items() if inner is not True}
            if schema.get("additionalProperties") is False:
                known = {key: inner for key, inner in known.items() if key in listed}
            schema = other | schema | {"properties": known}
    return schema


def test_a_property_that_is_only_listed_is_explained_elsewhere() -> None:
    """In Helm's validator a schema for each key of each component takes a third of the time of a render."""

    def bare(schema: Any) -> Iterator[str]:
        if isinstance(schema, dict):
            known = resolved(schema).get("properties", {})
            yield from (key for key in schema.get("properties", {}) if known.get(key, True) is True)
            for inner in schema.values():
                yield from bare(inner)

    assert "true" in json.dumps(SCHEMA)
    assert list(bare({key: inner for key, inner in SCHEMA.items() if key != "definitions"})) == []


def properties(schema: Object, value: Any, path: str = "") -> Iterator[tuple[str, Object, Any]]:
    """Every property of the schema with its default, references followed."""
    for key, inner in resolved(schema).get("properties", {}).items():
        missing = not isinstance(value, dict) or key not in value
        yield f"{path}.{key}", resolved(inner), ... if missing else value[key]
        if not missing:
            yield from properties(inner, value[key], f"{path}.{key}")


def test_every_property_is_described_and_has_a_default() -> None:
    """D-34: schema and values.yaml know the same keys, and no default stands in two places."""
    found = list(properties(SCHEMA, DEFAULTS))
    assert len(found) > 200
    assert [path for path, schema, _ in found if len(schema.get("description", "")) < 10] == []
    assert [path for path, schema, _ in found if "default" in schema] == []
    absent = {path for path, _, default in found if default is ...}
    # What these components have one answer to.
    single = "kasmApi.deploy", "kasmManager.deploy", "kasmRedis.replicas"
    absent -= {f".kasmApp.servicesToDeploy.{key}" for key in single}
    assert {path.rpartition(".")[2] for path in absent} <= POD_KEYS | {"limits", "requests"} | {
        # Of the empty pullCredentials.
        "registry",
        "username",
        "password",
        "email",
    }


def test_errors_do_not_repeat_secrets() -> None:
    """A pattern that does not match is reported with the value; so secrets have no pattern."""
    secret = [
        schema
        for path, schema, _ in properties(SCHEMA, merged(DEFAULTS, {"global": {"image": {"pullCredentials": {}}}}))
        if path.startswith(".global.kasmPasswords.") or path.endswith((".key", ".pullCredentials.password"))
        if not path.endswith("existingSecret")
    ]
    assert len(secret) == 11
    for schema in secret:
        assert schema.keys() <= {"type", "description", "minLength"}
