"""The profile of kasm-single-zone, with the values that people of the upstream 1.16 chart have."""

from __future__ import annotations

import copy
import secrets
from datetime import UTC, datetime
from typing import Any

import pytest

from kasmgen.chart import profiles
from kasmgen.chart.profiles import kasm_single_zone
from kasmgen.chart.profiles.kasm_single_zone import KasmSingleZone
from kasmgen.errors import InputError
from kasmgen.kubernetes.resources import Chart
from kasmgen.project.config import CertificateInput, Environment, Project
from kasmgen.secrets import certificates, tls
from kasmgen.secrets.required import Generate
from kasmgen.yaml import documents, mappings

PROFILE = KasmSingleZone()
PROJECT = Project(namespace="kasm")
PROD = Environment(
    "prod", "kasm.example.com", ("alt.example.com",), "192.0.2.1", "blue", "corp.local", "large", "login"
)
PLACEHOLDER = "-----BEGIN CERTIFICATE-----\nPut your SSL Cert here\n"
ROLES = {"ingress": "ingress", "kasmProxy": "proxy", "rdpGateway": "rdp", "db": "db"}


def component(
    name: str, image: str, *, deploy: bool | None = None, replicas: bool = True, **more: Any
) -> dict[str, Any]:
    """A block of `servicesToDeploy` with upstream's defaults."""
    block: dict[str, Any] = {"name": name, "addHealthChecks": True, "image": image, "tag": "1.16.0", "resources": {}}
    return block | ({"replicas": None} if replicas else {}) | ({} if deploy is None else {"deploy": deploy}) | more


def upstream() -> dict[str, Any]:
    """Every key of the upstream 1.16 chart's values.yaml with its default."""
    empty = ("redisPassword", "dbPassword", "managerToken", "serviceToken", "adminPassword", "userPassword")
    names = {"ingress": "kasm-ingress-cert", "kasmProxy": "kasm-nginx-proxy-cert", "rdpGateway": "kasm-rdpproxy-cert"}
    retention = {"enabled": False, "whenDeleted": "Retain", "whenScaled": "Retain"}
    return {
        "global": {
            "namespace": "", "clusterDomain": "cluster.local", "hostname": "", "altHostnames": [],
            "image": {
                "pullSecrets": "", "pullPolicy": "IfNotPresent", "restartPolicy": "Always", "pullCredentials": {},
            },
            "kasmPasswords": dict.fromkeys(empty, ""),
        },
        "kasmApp": {
            "name": "kasm", "zoneName": "default", "applyHardening": True, "deploymentSize": "small",
            "servicesToDeploy": {
                "kasmProxy": component("kasm-proxy", "kasmweb/proxy", serviceKeepalive=16),
                "db": component("kasm-db", "kasmweb/postgres", replicas=False, storageClassName="",
                                persistentVolumeClaimRetentionPolicy=retention),
                "kasmApi": component("kasm-api", "kasmweb/api"),
                "kasmManager": component("kasm-manager", "kasmweb/manager"),
                "kasmGuac": component("kasm-guac", "kasmweb/kasm-guac", deploy=True),
                "rdpGateway": component("rdp-gateway", "kasmweb/rdp-gateway", deploy=True),
                "rdpHttpsGateway": component("rdp-https-gw", "kasmweb/rdp-https-gateway", deploy=True),
                "kasmShare": component("kasm-share", "kasmweb/share", deploy=True),
                "kasmRedis": component("kasm-redis", "redis", deploy=True, replicas=False, tag="5-alpine"),
            },
        },
        "kasmCerts": {
            key: {"name": names.get(key, "kasm-db-cert"), "create": True, "cert": PLACEHOLDER, "key": "SSL Key here\n"}
            for key in ROLES
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def filled() -> tuple[dict[str, Any], list[str]]:
    """Upstream's values as people fill them in, and every secret text that is in them."""
    values = upstream()
    marks = [secrets.token_urlsafe(18) for _ in range(7)]
    values["global"] |= {"namespace": "apps", "hostname": "kasm.corp.example", "altHostnames": ["k.corp.example"]}
    values["global"]["image"] |= {
        "pullSecrets": "pull-me",
        "pullCredentials": {
            "registry": "r.corp.example",
            "username": "bot",
            "password": marks[6],
            "email": "b@corp.example",
        },
    }
    passwords = values["global"]["kasmPasswords"]
    passwords.update(zip(passwords, marks, strict=False))
    values["kasmApp"]["deploymentSize"] = "medium"
    for role in ROLES:
        spec = certificates.documented("db", hostname="x.example", namespace="apps", key_type="ecdsa-p256")
        pair = tls.issue(spec, now=datetime.now(UTC), key=tls.new_key("ecdsa-p256"), serial=1)
        values["kasmCerts"][role] |= {"cert": pair.certificate.decode(), "key": pair.key.reveal().decode()}
        marks.append(pair.key.reveal().decode().splitlines()[1])
    return values, marks


# --- lifting ----------------------------------------------------------------------------


def test_nothing_secret_is_left_in_lifted_values(filled: tuple[dict[str, Any], list[str]]) -> None:
    values, marks = filled
    before = copy.deepcopy(values)
    lifted = PROFILE.lift(values)
    rest = documents.dump(dict(lifted.values))
    assert [mark for mark in marks if mark in rest or mark in repr(lifted)] == []
    assert "PRIVATE KEY" not in rest
    assert values == before


def test_every_secret_of_lifted_values_is_handed_on(filled: tuple[dict[str, Any], list[str]]) -> None:
    values, _ = filled
    lifted = PROFILE.lift(values)
    by_name = {kasm_single_zone.PASSWORDS[key]: secret.reveal().decode() for key, secret in lifted.passwords.items()}
    assert by_name == values["global"]["kasmPasswords"]
    assert {key: secret.reveal().decode() for key, secret in lifted.registry.items()} == (
        values["global"]["image"]["pullCredentials"]
    )
    for key, role in ROLES.items():
        certificate, private = lifted.pairs[role]
        tls.check_pair(certificate, private)
        assert certificate.decode() == values["kasmCerts"][key]["cert"]


def test_what_is_a_field_of_an_environment_becomes_one(filled: tuple[dict[str, Any], list[str]]) -> None:
    lifted = PROFILE.lift(filled[0])
    assert lifted.fields == {
        "hostname": "kasm.corp.example",
        "altHostnames": ["k.corp.example"],
        "namespace": "apps",
        "clusterDomain": "cluster.local",
        "size": "medium",
        "registry": "pull-me",
    }
    for path in (("global", "hostname"), ("global", "namespace"), ("kasmApp", "deploymentSize")):
        assert mappings.get(lifted.values, path) is None


def test_everything_else_stays_as_people_wrote_it(filled: tuple[dict[str, Any], list[str]]) -> None:
    values, _ = filled
    rest = PROFILE.lift(values).values
    assert rest["kasmApp"]["servicesToDeploy"] == values["kasmApp"]["servicesToDeploy"]
    assert rest["global"]["image"] == {"pullPolicy": "IfNotPresent", "restartPolicy": "Always"}
    assert rest["kasmCerts"]["db"] == {"name": "kasm-db-cert", "create": True}


def test_the_untouched_values_of_the_chart_hold_no_secret_and_no_certificate() -> None:
    lifted = PROFILE.lift(upstream())
    assert (lifted.passwords, lifted.pairs, lifted.registry) == ({}, {}, {})
    assert lifted.fields == {"clusterDomain": "cluster.local", "size": "small"}
    assert PROFILE.lift({}).values == {}


@pytest.mark.parametrize("key", ["", None, "Put your SSL Key here", "-----BEGIN CERTIFICATE-----"])
def test_a_certificate_without_its_private_key_is_refused(filled: tuple[dict[str, Any], list[str]], key: Any) -> None:
    cert = filled[0]["kasmCerts"]["db"]["cert"]
    said = (
        r"values\.kasmCerts\.db\.(cert is there, but not values\.kasmCerts\.db\.key|key is no private key in PEM form)"
    )
    with pytest.raises(InputError, match=said):
        PROFILE.lift({"kasmCerts": {"db": {"cert": cert, "key": key}}})


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"global": {"kasmPasswords": {"dbPassword": 12345678}}}, "global.kasmPasswords.dbPassword"),
        ({"global": {"image": {"pullCredentials": {"password": 12345678}}}}, "global.image.pullCredentials.password"),
        ({"global": {"image": {"pullCredentials": "hunter2"}}}, "global.image.pullCredentials"),
    ],
)
def test_a_secret_that_is_no_text_is_refused_by_its_path_and_never_quoted(values: dict[str, Any], path: str) -> None:
    with pytest.raises(InputError) as caught:
        PROFILE.lift(values)
    assert caught.value.message.startswith(f"values.{path}: ")
    assert "12345678" not in caught.value.message and "hunter2" not in caught.value.message


# --- the layer that the profile lays over ------------------------------------------------------


def layered(environment: Environment | None, given: dict[str, Any]) -> dict[str, Any]:
    return mappings.merge(given, PROFILE.layer(PROJECT, environment, given))


def test_fields_of_the_environment_reach_the_chart() -> None:
    made = layered(PROD, upstream())
    assert made["global"] | {"image": None, "kasmPasswords": None} == {
        "namespace": "blue", "clusterDomain": "corp.local", "hostname": "kasm.example.com",
        "altHostnames": ["alt.example.com"], "image": None, "kasmPasswords": None,
    }  # fmt: skip
    assert made["global"]["image"]["pullSecrets"] == "login"
    assert made["kasmApp"]["deploymentSize"] == "large"


@pytest.mark.parametrize("size", ["small", "medium", "large"])
def test_replicas_that_are_null_follow_the_size_and_others_stay(size: str) -> None:
    given = upstream()
    given["kasmApp"]["servicesToDeploy"]["kasmApi"]["replicas"] = 9
    given["kasmApp"]["servicesToDeploy"]["kasmGuac"]["replicas"] = 0
    made = layered(Environment("e", "h.example", size=size), given)["kasmApp"]["servicesToDeploy"]
    assert {name: block["replicas"] for name, block in made.items() if "replicas" in block} == {
        **{name: presets[size] for name, presets in kasm_single_zone.REPLICAS.items()},
        "kasmApi": 9,
        "kasmGuac": 0,
    }
    assert "replicas" not in made["db"]


def test_a_chart_without_a_component_gets_no_replicas_for_it() -> None:
    given = upstream()
    del given["kasmApp"]["servicesToDeploy"]["kasmShare"]
    assert "kasmShare" not in layered(PROD, given)["kasmApp"]["servicesToDeploy"]


def test_a_size_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InputError, match=r"values\.kasmApp\.deploymentSize: 'huge' is none of small, medium, large"):
        PROFILE.layer(PROJECT, None, {"kasmApp": {"deploymentSize": "huge"}})


def test_the_chart_makes_no_secret_of_its_own() -> None:
    made = layered(None, upstream())
    assert {key: block["create"] for key, block in made["kasmCerts"].items()} == dict.fromkeys(ROLES, False)
    assert "existingSecret" not in made["global"]["kasmPasswords"], "upstream's schema does not know it"
    given = mappings.merge(upstream(), {"global": {"kasmPasswords": {"existingSecret": ""}}, "kasmApp": {"name": "k"}})
    assert layered(None, given)["global"]["kasmPasswords"]["existingSecret"] == "k-secrets"
    given["global"]["kasmPasswords"]["existingSecret"] = "mine"
    assert layered(None, given)["global"]["kasmPasswords"]["existingSecret"] == "mine"


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"global": {"hostname": "other.example"}}, "hostname"),
        ({"global": {"altHostnames": ["other.example"]}}, "altHostnames"),
        ({"global": {"clusterDomain": "other.local"}}, "clusterDomain"),
        ({"kasmApp": {"deploymentSize": "small"}}, "size"),
        ({"global": {"image": {"pullSecrets": "other"}}}, "registry"),
    ],
)
def test_a_field_and_a_value_that_say_different_things_are_a_conflict_that_names_both(
    values: dict[str, Any], name: str
) -> None:
    environment = PROD.replace(values=values)
    with pytest.raises(InputError, match=f"{name} is set twice") as caught:
        PROFILE.layer(PROJECT, environment, mappings.merge(upstream(), values))
    assert caught.value.hint.startswith("remove ")


def test_a_field_and_a_value_that_say_the_same_are_no_conflict() -> None:
    same = {"global": {"hostname": "kasm.example.com", "altHostnames": ["alt.example.com"]}}
    environment = PROD.replace(values=same)
    assert layered(environment, mappings.merge(upstream(), same))["global"]["hostname"] == "kasm.example.com"


# --- Secrets ---------------------------------------------------------------------------------------


def test_all_keys_that_the_chart_may_ever_ask_for_are_wanted_at_once() -> None:
    given = upstream()
    given["kasmApp"]["servicesToDeploy"]["kasmShare"]["deploy"] = False
    found = {item.role: item for item in PROFILE.secrets(PROD, "blue", given)}
    assert set(found) == {"passwords", *ROLES.values()}
    assert found["passwords"].entries == {
        key: Generate()
        for key in (
            "admin-password",
            "db-password",
            "manager-token",
            "redis-password",
            "service-token",
            "user-password",
        )
    }
    assert {str(item.id) for item in found.values()} == {
        "Secret kasm-secrets in blue", "Secret kasm-ingress-cert in blue", "Secret kasm-nginx-proxy-cert in blue",
        "Secret kasm-rdpproxy-cert in blue", "Secret kasm-db-cert in blue",
    }  # fmt: skip


def test_certificates_are_those_that_kasm_documents() -> None:
    found = {item.role: item.certificate for item in PROFILE.secrets(PROD, "blue", upstream()) if item.certificate}
    ingress, proxy = found["ingress"], found["proxy"]
    assert (ingress.key_type, ingress.days) == ("rsa-4096", 365)
    assert (proxy.key_type, proxy.days) == ("rsa-2048", 1825)
    assert set(ingress.dns_names) == {"kasm.example.com", "alt.example.com"}
    assert "kasm-proxy.blue.svc.corp.local" in proxy.dns_names


def test_names_in_the_values_name_the_secrets() -> None:
    given = mappings.merge(upstream(), {"kasmApp": {"name": "k2"}, "kasmCerts": {"db": {"name": "mine"}}})
    names = {item.id.name for item in PROFILE.secrets(PROD, "blue", given)}
    assert {"k2-secrets", "mine"} <= names


def test_what_exists_elsewhere_is_not_wanted() -> None:
    environment = Environment("e", "h.example", certificates={"ingress": CertificateInput("existing")})
    given = mappings.merge(upstream(), {"kasmCerts": {"db": {"create": False}}})
    given = mappings.merge(given, {"global": {"kasmPasswords": {"existingSecret": "mine"}}})
    assert {item.role for item in PROFILE.secrets(environment, "kasm", given)} == {"proxy", "rdp"}


def test_key_type_and_days_can_be_chosen_per_certificate() -> None:
    environment = Environment("e", "h.example", certificates={"db": CertificateInput("kasmgen", "ed25519", 30)})
    (db,) = (item.certificate for item in PROFILE.secrets(environment, "kasm", upstream()) if item.role == "db")
    assert db and (db.key_type, db.days) == ("ed25519", 30)


# --- what people still do, and charts without a profile -------------------------------------------------


def test_manual_steps_name_the_hosts_and_the_upstream_auth_address() -> None:
    address = "kasm-proxy.blue.svc.corp.local"
    assert PROFILE.upstream_auth(PROD, "blue", upstream()) == address
    steps = "\n".join(PROFILE.manual_steps(PROD, "blue", upstream()))
    for word in ("kasm.example.com, alt.example.com", address, "3389"):
        assert word in steps
    without = mappings.merge(upstream(), {"kasmApp": {"servicesToDeploy": {"rdpGateway": {"deploy": False}}}})
    assert "3389" not in "\n".join(PROFILE.manual_steps(PROD, "blue", without))


def test_the_profile_is_chosen_by_the_charts_name() -> None:
    def chart(name: str) -> Chart:
        return Chart(name, "1.0.0", "", "sha256:0", "/nowhere")

    assert isinstance(profiles.for_chart(chart("kasm-single-zone")), KasmSingleZone)
    plain = profiles.for_chart(chart("nginx"))
    assert type(plain) is profiles.Profile
    assert plain.lift({"a": 1}).values == {"a": 1}
    assert plain.layer(PROJECT, PROD, {"a": 1}) == {}
    assert plain.secrets(PROD, "x", {}) == ()
    assert plain.unused(PROD) == ("hostname", "altHostnames", "ingressIP", "size")
    assert PROFILE.unused(PROD) == ()
