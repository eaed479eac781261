"""Passwords, certificates and the registry login: given, generated, found again, or left to the user."""

from __future__ import annotations

import base64
import copy
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import helm_python
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from tests.builtin_chart.cluster import Cluster, running
from tests.builtin_chart.conftest import (
    NAMESPACE,
    PLAIN,
    RELEASE,
    Object,
    Render,
    find,
    merged,
    names,
    objects_of,
    pod_specs,
    services,
)
from tests.some import some

pytestmark = pytest.mark.tool

KEYS = {
    "redisPassword": "redis-password",
    "dbPassword": "db-password",
    "managerToken": "manager-token",
    "serviceToken": "service-token",
    "adminPassword": "admin-password",
    "userPassword": "user-password",
}
CERTS = {
    "ingress": "kasm-ingress-cert",
    "kasmProxy": "kasm-nginx-proxy-cert",
    "rdpGateway": "kasm-rdpproxy-cert",
    "db": "kasm-db-cert",
}
# Whatever a shell, printf, YAML, JSON or a template could stumble over.
UGLY = "p'a\"s%s \\n$HOME {{ .Values }} #: ü€ \t!"
Texts = Callable[..., dict[str, str]]


def data(secret: Object) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def certificate(secret: Object) -> tuple[x509.Certificate, Any]:
    """Certificate and key of a TLS Secret; they belong together."""
    found = data(secret)
    cert = x509.load_pem_x509_certificate(found["tls.crt"].encode())
    key = serialization.load_pem_private_key(found["tls.key"].encode(), None)
    assert key.public_key() == cert.public_key()
    return cert, key


def dns_names(cert: x509.Certificate) -> list[str]:
    return alternatives(cert).get_values_for_type(x509.DNSName)


def alternatives(cert: x509.Certificate) -> x509.SubjectAlternativeName:
    return cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


@pytest.fixture(scope="module")
def given() -> tuple[str, str]:
    """A certificate and key as a user would give them, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "given")])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return cert.public_bytes(serialization.Encoding.PEM).decode(), pem.decode()


# --- passwords -----------------------------------------------------------


def test_blank_passwords_are_generated_each_one_anew(render_text: Texts) -> None:
    secrets = [find(objects_of(render_text({})), "Secret", "kasm-secrets") for _ in range(2)]
    assert secrets[0]["type"] == "Opaque"
    values = [v for s in secrets for v in data(s).values()]
    assert data(secrets[0]).keys() == set(KEYS.values())
    assert all(re.fullmatch("[A-Za-z0-9]{26}", v) for v in some(values))
    assert len(set(values)) == 12


def test_given_passwords_are_kept_to_the_letter(render: Render) -> None:
    values = {"global": {"kasmPasswords": {name: UGLY + name for name in KEYS}}}
    found = data(find(render(values), "Secret", "kasm-secrets"))
    assert found == {key: UGLY + name for name, key in KEYS.items()}


@pytest.mark.parametrize("share", [True, False])
def test_the_redis_password_is_there_before_share_is(render: Render, share: bool) -> None:
    """D-14: switching share on later finds it."""
    objects = render(services(kasmShare={"deploy": share}))
    assert "redis-password" in find(objects, "Secret", "kasm-secrets")["data"]


def test_an_existing_password_secret_is_used_everywhere_and_none_is_made(render: Render) -> None:
    """D-15, D-18."""
    objects = render(merged(PLAIN, {"global": {"kasmPasswords": {"existingSecret": "mine"}}}))
    assert not [o for o in objects if o["kind"] == "Secret"]
    named = set(re.findall(r"'secretKeyRef': \{'name': '([^']*)'", str(objects)))
    assert named == {"mine"}


def test_generated_passwords_outlive_the_release_like_the_database_does(render: Render) -> None:
    """D-13: reinstalled, the chart finds the password that the kept volume knows."""

    def policy(values: Object) -> str | None:
        metadata = find(render(values), "Secret", "kasm-secrets")["metadata"]
        return metadata.get("annotations", {}).get("helm.sh/resource-policy")

    assert policy({}) == "keep"
    assert policy({"global": {"kasmPasswords": {"dbPassword": "x"}}}) == "keep"
    assert policy({"global": {"kasmPasswords": dict.fromkeys(KEYS, "x")}}) is None


# --- lookup --------------------------------------------------------------


def upgrade(chart: helm_python.Chart, cluster: Cluster, values: Object, namespace: str = NAMESPACE) -> list[Object]:
    """Render against the cluster and apply the result to it."""
    with running(cluster) as config:
        texts = config.render(chart, values, name=RELEASE, namespace=namespace)
    prefix = f"{chart.name}/templates/"
    objects = objects_of({path.removeprefix(prefix): text for path, text in texts.items()})
    cluster.apply(objects)
    return objects


def secrets_of(objects: list[Object]) -> dict[str, Object]:
    return {o["metadata"]["name"]: o["data"] for o in objects if o["kind"] == "Secret"}


@pytest.mark.parametrize("values", [{}, {"global": {"namespace": "elsewhere"}, "kasmApp": {"name": "work"}}])
def test_an_upgrade_finds_passwords_and_certificates_again(chart: helm_python.Chart, values: Object) -> None:
    """D-02..D-05: the real namespace and name are looked up, and what is stored wins over something new."""
    cluster = Cluster()
    first = upgrade(chart, cluster, values)
    assert len(secrets_of(first)) == 5
    # Byte for byte the same, annotations and all.
    assert upgrade(chart, cluster, values) == first
    namespace = values.get("global", {}).get("namespace", NAMESPACE)
    assert {path.split("/")[4] for path in cluster.asked if "/namespaces/" in path} == {namespace}


def test_an_upgrade_keeps_keys_one_by_one_and_adds_what_is_missing(chart: helm_python.Chart) -> None:
    cluster = Cluster()
    before = secrets_of(upgrade(chart, cluster, {}))["kasm-secrets"]
    stored = cluster.secrets[NAMESPACE, "kasm-secrets"]["data"]
    del stored["redis-password"]
    stored["user-password"] = ""
    after = secrets_of(upgrade(chart, cluster, {"global": {"kasmPasswords": {"adminPassword": "new"}}}))
    changed = {key for key in before if before[key] != after["kasm-secrets"][key]}
    assert changed == {"redis-password", "user-password", "admin-password"}
    assert base64.b64decode(after["kasm-secrets"]["admin-password"]) == b"new"
    assert len(base64.b64decode(after["kasm-secrets"]["user-password"])) == 26


def test_a_certificate_is_made_anew_when_its_names_change_or_it_is_due(chart: helm_python.Chart) -> None:
    cluster = Cluster()
    first = secrets_of(upgrade(chart, cluster, {"global": {"hostname": "a.example.com"}}))
    # Another host name concerns the Ingress and the gateways that clients reach by it, nobody else.
    second = secrets_of(upgrade(chart, cluster, {"global": {"hostname": "b.example.com"}}))
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {"kasm-ingress-cert", "kasm-rdpproxy-cert"}

    annotations = cluster.secrets[NAMESPACE, "kasm-db-cert"]["metadata"]["annotations"]
    renew = datetime.fromtimestamp(int(annotations["kasm-single-zone/renew-after"]), UTC)
    cert = x509.load_pem_x509_certificate(base64.b64decode(second["kasm-db-cert"]["tls.crt"]))
    assert timedelta(days=29) < cert.not_valid_after_utc - renew < timedelta(days=31)
    annotations["kasm-single-zone/renew-after"] = "1"
    third = secrets_of(upgrade(chart, cluster, {"global": {"hostname": "b.example.com"}}))
    assert {name for name in second if second[name] != third[name]} == {"kasm-db-cert"}


def test_a_secret_that_the_chart_did_not_make_is_kept_with_its_type(chart: helm_python.Chart) -> None:
    """The type of a Secret cannot be changed, and the upstream chart wrote Opaque (D-01)."""
    cluster = Cluster()
    stored = {"tls.crt": base64.b64encode(b"theirs").decode(), "tls.key": base64.b64encode(b"key").decode()}
    cluster.secrets[NAMESPACE, "kasm-db-cert"] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "kasm-db-cert", "namespace": NAMESPACE},
        "type": "Opaque",
        "data": stored,
    }
    secret = find(upgrade(chart, cluster, {}), "Secret", "kasm-db-cert")
    assert secret["data"] == stored
    assert secret["type"] == "Opaque"


def test_nothing_is_looked_up_that_is_given_or_exists(chart: helm_python.Chart) -> None:
    """Where people may not read Secrets, the chart must not ask for any."""
    cluster = Cluster()
    upgrade(chart, cluster, PLAIN)
    assert cluster.asked == []


# --- certificates --------------------------------------------------------


@pytest.mark.parametrize("cert", CERTS)
def test_tls_secrets_have_one_type_and_two_keys(render: Render, cert: str) -> None:
    """D-01."""
    secret = find(render({}), "Secret", CERTS[cert])
    assert secret["type"] == "kubernetes.io/tls"
    assert secret["data"].keys() == {"tls.crt", "tls.key"}


@pytest.mark.parametrize(("key_type", "kind"), [("ecdsa", ec.EllipticCurvePrivateKey), ("rsa", rsa.RSAPrivateKey)])
def test_generated_certificates_name_what_clients_connect_to(render: Render, key_type: str, kind: type[object]) -> None:
    """D-06: names with and without the cluster's domain, both RDP gateways, addresses, no quotes in the subject."""
    values = {
        "global": {
            "namespace": "desk",
            "clusterDomain": "corp.internal",
            "hostname": "kasm.example.com",
            "altHostnames": ["kasm.example.org"],
        },
        "kasmCerts": {name: {"keyType": key_type} for name in CERTS},
    }
    values["kasmCerts"]["ingress"] |= {"ipAddresses": ["192.0.2.7", "2001:db8::7"], "dnsNames": ["k.example.net"]}
    objects = render(values)
    hosts = ["kasm.example.com", "kasm.example.org"]

    def inside(service: str) -> list[str]:
        return [service, f"{service}.desk", f"{service}.desk.svc", f"{service}.desk.svc.corp.internal"]

    expected = {
        "ingress": [*hosts, "k.example.net"],
        "kasmProxy": inside("kasm-proxy"),
        "rdpGateway": [*inside("rdp-gateway"), *inside("rdp-https-gateway"), *hosts],
        "db": inside("db"),
    }
    for name, wanted in expected.items():
        cert, key = certificate(find(objects, "Secret", CERTS[name]))
        assert isinstance(key, kind)
        assert dns_names(cert) == wanted
        (common,) = cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert common.value == wanted[0]
        days = 365 if name == "ingress" else 1825
        assert cert.not_valid_after_utc - cert.not_valid_before_utc == timedelta(days=days)
        # Self-signed: whoever wants to trust it has all there is.
        cert.verify_directly_issued_by(cert)
    ingress, _ = certificate(find(objects, "Secret", CERTS["ingress"]))
    addresses = alternatives(ingress).get_values_for_type(x509.IPAddress)
    assert addresses == [ip_address("192.0.2.7"), ip_address("2001:db8::7")]


def test_certificates_are_made_without_a_host_name_and_with_a_very_long_one(render: Render) -> None:
    cert, _ = certificate(find(render({}), "Secret", CERTS["ingress"]))
    assert dns_names(cert) == ["kasm"]
    long = ".".join(["a" * 60] * 3)
    cert, _ = certificate(find(render({"global": {"hostname": long}}), "Secret", CERTS["ingress"]))
    assert dns_names(cert) == [long]
    # RFC 5280 allows 64 characters in a common name.
    assert [a.value for a in cert.subject] == ["kasm"]


@pytest.mark.parametrize("cert", CERTS)
def test_a_given_certificate_is_stored_as_it_is(render: Render, cert: str, given: tuple[str, str]) -> None:
    objects = render({"kasmCerts": {cert: {"cert": given[0], "key": given[1]}}})
    assert data(find(objects, "Secret", CERTS[cert])) == {"tls.crt": given[0], "tls.key": given[1]}


@pytest.mark.parametrize("text", ["", "  \n", "# SSL Cert here\n# or nothing\n"])
def test_an_empty_certificate_and_the_upstream_placeholder_mean_generate(render: Render, text: str) -> None:
    """D-07."""
    values = {"kasmCerts": {"db": {"cert": text, "key": "# SSL Key here\n"}}}
    certificate(find(render(values), "Secret", CERTS["db"]))


def test_half_a_certificate_is_refused(render: Render, given: tuple[str, str]) -> None:
    """D-07."""
    for key in ("", "# SSL Key here", given[0]):
        with pytest.raises(helm_python.HelmError, match=r"kasmCerts\.db\.key is not a PEM private key"):
            render({"kasmCerts": {"db": {"cert": given[0], "key": key}}})
    with pytest.raises(helm_python.HelmError, match=r"kasmCerts\.db\.cert is not a PEM certificate"):
        render({"kasmCerts": {"db": {"cert": "certificate", "key": given[1]}}})


def test_certificates_are_made_for_what_is_there(render: Render) -> None:
    """D-08: the RDP gateways share one, so either of them is enough."""

    def made(values: Object) -> set[str]:
        return {n.removeprefix("Secret/") for n in names(render(values)) if n.startswith("Secret/")} & set(
            CERTS.values()
        )

    def rdp(**on: bool) -> Object:
        return services(**{name: {"deploy": value} for name, value in on.items()})

    every = set(CERTS.values())
    assert made(rdp(rdpGateway=False, rdpHttpsGateway=True)) == every
    assert made(rdp(rdpGateway=True, rdpHttpsGateway=False)) == every
    assert made(rdp(rdpGateway=False, rdpHttpsGateway=False)) == every - {CERTS["rdpGateway"]}
    assert made({"ingress": {"enabled": False}}) == every - {CERTS["ingress"]}
    for name, secret in CERTS.items():
        assert made({"kasmCerts": {name: {"create": False}}}) == every - {secret}


# --- registry login ------------------------------------------------------


def test_the_registry_login_is_json_whatever_the_password(render: Render) -> None:
    """D-16."""
    credentials = {"registry": "https://index.docker.io/v2/", "username": "me", "password": UGLY}
    for extra in ({}, {"email": "me@example.com"}):
        image = {"pullSecrets": "login", "pullCredentials": credentials | extra}
        secret = find(render({"global": {"image": image}}), "Secret", "login")
        assert secret["type"] == "kubernetes.io/dockerconfigjson"
        (login,) = json.loads(data(secret)[".dockerconfigjson"])["auths"].items()
        auth = base64.b64encode(f"me:{UGLY}".encode()).decode()
        assert login == (credentials["registry"], {"username": "me", "password": UGLY, "auth": auth} | extra)


def test_an_existing_registry_login_wins(render: Render) -> None:
    credentials = {"registry": "r", "username": "u", "password": "p"}
    image = {"existingSecret": "mine", "pullSecrets": "login", "pullCredentials": credentials}
    objects = render(merged(PLAIN, {"global": {"image": image}}))
    assert not [o for o in objects if o["kind"] == "Secret"]
    for template in pod_specs(objects).values():
        assert template["spec"]["imagePullSecrets"] == [{"name": "mine"}]


def test_credentials_without_a_name_for_the_secret_are_refused(render: Render) -> None:
    image = {"pullCredentials": {"registry": "r", "username": "u", "password": "p"}}
    with pytest.raises(helm_python.HelmError, match=r"global\.image\.pullSecrets does not name"):
        render({"global": {"image": image}})


# --- what holds for all of them ------------------------------------------


def test_nothing_is_a_hook(render: Render) -> None:
    """D-11, D-12, D-13: everything belongs to the release: diffed, rolled back, uninstalled."""
    image = {"pullSecrets": "l", "pullCredentials": {"registry": "r", "username": "u", "password": "p"}}
    for o in render({"global": {"image": image}}):
        assert "helm.sh/hook" not in str(o["metadata"].get("annotations")), o["metadata"]["name"]


def test_annotations_for_every_object_leave_the_charts_own_marks_alone(render: Render) -> None:
    """By its marks an upgrade knows whether a certificate still fits, and Helm that the passwords are to stay."""

    def marks(values: Object) -> dict[str, Object]:
        return {o["metadata"]["name"]: o["metadata"]["annotations"] for o in render(values) if o["kind"] == "Secret"}

    plain = marks({})
    assert set(plain["kasm-secrets"]) == {"helm.sh/resource-policy"}
    marked = {name for name, mark in plain.items() if "kasm-single-zone/certificate-for" in mark}
    assert marked == set(plain) - {"kasm-secrets"} != set()
    theirs = {"note": 'yes: "no"', "kasm-single-zone/certificate-for": "nobody", "helm.sh/resource-policy": "mine"}
    both = marks({"global": {"annotations": theirs}})
    for name, mark in plain.items():
        same = {key: value for key, value in mark.items() if key != "kasm-single-zone/renew-after"}
        assert both[name].items() >= (theirs | same).items(), name


def test_with_secrets_that_exist_the_render_is_free_of_them_and_the_same_each_time(render_text: Texts) -> None:
    texts = [render_text(PLAIN) for _ in range(5)]
    assert texts == texts[:1] * 5
    assert "kind: Secret" not in "".join(texts[0].values())


def test_what_is_random_stays_inside_secrets(render_text: Texts) -> None:
    """D-05: no checksum, name or annotation outside may differ between two renders."""
    first, second = (objects_of(render_text({})) for _ in range(2))
    assert [o for o in first if o["kind"] != "Secret"] == [o for o in second if o["kind"] != "Secret"]
    assert secrets_of(first).keys() == secrets_of(second).keys()
    assert all(secrets_of(first)[name] != secrets_of(second)[name] for name in some(secrets_of(first)))


def annotations(objects: list[Object]) -> dict[str, dict[str, str]]:
    return {owner: t["metadata"].get("annotations", {}) for owner, t in pod_specs(objects).items()}


def restarted(before: list[Object], after: list[Object]) -> set[str]:
    """Workloads whose pods a change of values replaces."""
    old, new = pod_specs(before), pod_specs(after)
    return {owner.partition("/")[2] for owner in new if old.get(owner) != new[owner]}


def test_a_changed_password_restarts_the_pods_that_use_it(render: Render) -> None:
    """D-38."""
    users = {
        "dbPassword": {
            "kasm-db-statefulset",
            "kasm-api-deployment",
            "kasm-manager-deployment",
            "kasm-share-deployment",
        },
        "serviceToken": {"kasm-guac-deployment", "rdp-gateway-deployment", "rdp-https-gw-deployment"},
        "redisPassword": {"kasm-redis-deployment", "kasm-share-deployment"},
        # Only the seeding knows these, and it is done once.
        "managerToken": set(),
        "adminPassword": set(),
        "userPassword": set(),
    }
    for name, expected in users.items():
        one, two = (
            render({"global": {"kasmPasswords": {name: value}}, "kasmCerts": PLAIN["kasmCerts"]}) for value in "12"
        )
        assert restarted(one, two) == expected, name
    # In a Secret that exists the chart sees no change, and says nothing about it.
    one, two = (render(merged(PLAIN, {"global": {"kasmPasswords": dict.fromkeys(users, value)}})) for value in "12")
    assert one == two


def test_a_changed_certificate_restarts_the_pods_that_use_it(render: Render, given: tuple[str, str]) -> None:
    """D-38. The Ingress controller sees the Secret's change itself."""
    users = {
        "ingress": set(),
        "kasmProxy": {"kasm-proxy-deployment"},
        "rdpGateway": {"rdp-gateway-deployment", "rdp-https-gw-deployment"},
        "db": {"kasm-db-statefulset"},
    }
    for name, expected in users.items():
        one, two = (render({"kasmCerts": {name: {"cert": given[0] + more, "key": given[1]}}}) for more in ("", "\n"))
        assert restarted(one, two) == expected, name


def test_a_changed_configuration_restarts_its_pods_and_another_chart_version_none(
    chart: helm_python.Chart, render: Render, tmp_path: Any
) -> None:
    """D-36, D-37, D-38."""
    plain = render(PLAIN)
    proxy = render(merged(PLAIN, services(kasmProxy={"serviceKeepalive": 99})))
    assert restarted(plain, proxy) == {"kasm-proxy-deployment"}
    database = render(merged(PLAIN, services(db={"postgres": {"work_mem": "9MB"}})))
    assert restarted(plain, database) == {"kasm-db-statefulset"}

    copied = chart.save_dir(tmp_path)
    path = tmp_path / chart.name / "Chart.yaml"
    text = path.read_text()
    assert copied and "version: 1.16.0\n" in text
    path.write_text(text.replace("version: 1.16.0\n", "version: 1.16.7\n"))
    with helm_python.Chart.load(tmp_path / chart.name) as newer:
        texts = newer.render(PLAIN, name=RELEASE, namespace=NAMESPACE)
    objects = objects_of({p.removeprefix(f"{chart.name}/templates/"): t for p, t in texts.items()})
    assert objects != plain
    assert names(objects) == names(plain), "the Job keeps its name"
    assert restarted(plain, objects) == set()


def test_checksums_of_secrets_do_not_tell_the_secret(render: Render) -> None:
    """32 bits: enough to see a change, too little to confirm a guess."""
    objects = render({"global": {"kasmPasswords": dict.fromkeys(KEYS, "correct horse")}})
    found = [a["checksum/secrets"] for a in annotations(objects).values() if "checksum/secrets" in a]
    assert len(found) == 8
    assert all(re.fullmatch("[0-9a-f]{8}", value) for value in some(found))
    without = copy.deepcopy(objects)
    assert "correct horse" not in str([o for o in without if o["kind"] != "Secret"])
