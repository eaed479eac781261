"""Certificates: what the documentation makes, checked with the openssl program and real handshakes."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from kasmgen.errors import InputError, SecretError
from kasmgen.kubernetes.resources import Secret
from kasmgen.layout import annotations
from kasmgen.secrets import certificates, tls
from kasmgen.secrets.certificates import CertificateSpec
from kasmgen.secrets.tls import TlsPair
from tests.needs import program
from tests.some import some

NOW = datetime(2031, 5, 17, 12, 0, 0, tzinfo=UTC)


def spec(**changes: Any) -> CertificateSpec:
    given_ = {
        "common_name": "kasm.example.com",
        "subject": (("C", "US"), ("O", "KASM"), ("CN", "kasm.example.com")),
        "dns_names": ("kasm.example.com", "*.kasm.example.com"),
        "addresses": ("192.0.2.7", "2001:db8::7"),
        "key_type": "ed25519",
        "days": 365,
    }
    return CertificateSpec(**{**given_, **changes})


def issued(required: CertificateSpec, *, now: datetime = NOW, serial: int = 4711) -> TlsPair:
    return tls.issue(required, now=now, key=tls.new_key(required.key_type), serial=serial)


def openssl(*argv: str, stdin: bytes = b"") -> str:
    done = subprocess.run([program("openssl"), *argv], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    # OpenSSL before 3.2 puts spaces around the equals sign of a subject.
    return done.stdout.decode().replace(" = ", "=")


@pytest.fixture(scope="session")
def ingress() -> TlsPair:
    """The documented ingress certificate: RSA 4096, made once because it takes seconds."""
    return issued(
        certificates.documented(
            "ingress",
            hostname="kasm.example.com",
            alt_hostnames=["desk.example.org", "xn--bcher-kva.example"],
            ingress_ip="192.0.2.7",
        )
    )


def test_the_ingress_certificate_is_the_documented_one_in_the_eyes_of_openssl(ingress: TlsPair) -> None:
    text = openssl("x509", "-noout", "-text", stdin=ingress.certificate)
    assert "Subject: C=US, O=KASM, CN=kasm.example.com" in text
    assert "Issuer: C=US, O=KASM, CN=kasm.example.com" in text
    assert "Public-Key: (4096 bit)" in text
    assert text.count("sha256WithRSAEncryption") == 2
    assert "Not Before: May 17 11:55:00 2031 GMT" in text
    assert "Not After : May 16 12:00:00 2032 GMT" in text
    assert re.search(r"Basic Constraints: critical\n\s+CA:FALSE", text)
    assert re.search(r"Key Usage: critical\n\s+Digital Signature, Key Encipherment\n", text)
    assert "TLS Web Server Authentication, TLS Web Client Authentication" in text
    names = re.search(r"Subject Alternative Name: ?\n\s+(.*)\n", text)
    assert names is not None
    assert names[1].split(", ") == [
        "DNS:kasm.example.com",
        "DNS:desk.example.org",
        "DNS:xn--bcher-kva.example",
        "IP Address:192.0.2.7",
    ]
    assert "Subject Key Identifier" in text
    assert "Authority Key Identifier" in text


def test_the_key_is_the_certificates_own_and_plain_pkcs8(ingress: TlsPair) -> None:
    assert ingress.key.reveal().startswith(b"-----BEGIN PRIVATE KEY-----\n")
    of_certificate = openssl("x509", "-noout", "-modulus", stdin=ingress.certificate)
    assert openssl("rsa", "-noout", "-modulus", stdin=ingress.key.reveal()) == of_certificate
    assert "RSA key ok" in openssl("rsa", "-noout", "-check", stdin=ingress.key.reveal())


@pytest.mark.parametrize(
    ("which", "common_name", "services"),
    [
        ("proxy", "kasm-proxy", ["kasm-proxy"]),
        ("rdp", "rdp-gateway", ["rdp-gateway", "rdp-https-gateway"]),
        ("db", "db", ["db"]),
    ],
)
def test_the_inner_certificates_have_the_documented_subject_and_every_service_name(
    which: Any, common_name: str, services: list[str]
) -> None:
    required = certificates.documented(which, namespace="desk", cluster_domain="corp.local.")
    assert (required.key_type, required.days) == ("rsa-2048", 1825)
    text = openssl("x509", "-noout", "-text", stdin=issued(required).certificate)
    assert f"Subject: C=US, ST=VA, L=None, O=None, OU=DoFu, CN={common_name}, emailAddress=none@none.none" in text
    assert "Public-Key: (2048 bit)" in text
    for service in services:
        for name in (service, f"{service}.desk.svc", f"{service}.desk.svc.corp.local"):
            assert re.search(rf"DNS:{re.escape(name)}(,|\n)", text)
    assert text.count("DNS:") == 3 * len(services)


def test_names_key_type_and_days_can_be_chosen() -> None:
    required = certificates.documented("db", services=["kasm-db"], key_type="ecdsa-p384", days=90)
    assert required.dns_names[0] == required.common_name == "kasm-db"
    assert (required.key_type, required.days) == ("ecdsa-p384", 90)


@pytest.mark.parametrize("key_type", ["rsa-2048", "ecdsa-p256", "ecdsa-p384", "ed25519"])
def test_a_client_that_trusts_the_certificate_connects_by_each_of_its_names_only(tmp_path: Path, key_type: str) -> None:
    pair = issued(spec(key_type=key_type), now=datetime.now(UTC))
    (tmp_path / "tls.crt").write_bytes(pair.certificate)
    (tmp_path / "tls.key").write_bytes(pair.key.reveal())
    openssl("verify", "-CAfile", str(tmp_path / "tls.crt"), str(tmp_path / "tls.crt"))
    for name in ("kasm.example.com", "a.kasm.example.com", "192.0.2.7", "2001:db8::7"):
        handshake(tmp_path, name)
    for name in ("example.com", "a.b.kasm.example.com", "192.0.2.8"):
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(tmp_path, name)


def handshake(folder: Path, name: str) -> None:
    """A TLS handshake in memory, both sides showing the certificate, as servers and gateways do."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.create_default_context(cafile=str(folder / "tls.crt"))
    for context in (server, client):
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    server.load_verify_locations(folder / "tls.crt")
    server.verify_mode = ssl.CERT_REQUIRED
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(back, there, server_hostname=name),
        server.wrap_bio(there, back, server_side=True),
    ]
    for _ in range(6):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert all(side.version() for side in some(sides))


@pytest.mark.parametrize("key_type", ["ecdsa-p256", "ed25519"])
def test_only_rsa_keys_encipher(key_type: str) -> None:
    text = openssl("x509", "-noout", "-text", stdin=issued(spec(key_type=key_type)).certificate)
    assert re.search(r"Key Usage: critical\n\s+Digital Signature\n", text)


@pytest.mark.parametrize("days", [1, 825, 10_000, 36_500])
def test_validity_may_reach_far_beyond_2050(days: int) -> None:
    facts = tls.facts(issued(spec(days=days)).certificate)
    end = (NOW + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert facts[annotations.NOT_AFTER] == end
    assert facts[annotations.NOT_BEFORE] == "2031-05-17T11:55:00Z"


@pytest.mark.parametrize("days", [-1, 36_501])
def test_other_numbers_of_days_are_refused(days: int) -> None:
    with pytest.raises(InputError, match="days"):
        certificates.documented("db", days=days)


def test_an_unknown_key_type_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError) as caught:
        certificates.documented("db", key_type="rsa-1024")
    assert "rsa-4096" in caught.value.hint
    with pytest.raises(InputError):
        tls.new_key("dsa")


def test_a_host_name_longer_than_64_characters_stands_whole_in_the_alternative_names() -> None:
    host = f"{'a' * 60}.{'b' * 60}.example.com"
    required = certificates.documented("ingress", hostname=host, key_type="ed25519")
    certificate = x509.load_pem_x509_certificate(issued(required).certificate)
    [common_name] = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    assert common_name.value == host[:61] + "..."
    assert tls.facts(issued(required).certificate)[annotations.DNS_NAMES] == host


def test_a_host_that_is_an_address_becomes_an_address_and_no_dns_name() -> None:
    required = certificates.documented("ingress", hostname="192.0.2.9", alt_hostnames=["[2001:DB8::9]"])
    assert required.dns_names == ()
    assert required.addresses == ("192.0.2.9", "2001:db8::9")
    assert issued(spec(dns_names=(), addresses=required.addresses)).certificate


def test_a_name_given_twice_stands_once() -> None:
    required = certificates.documented("ingress", hostname="a.example", alt_hostnames=["b.example", "a.example"])
    assert required.names == ("a.example", "b.example")


def test_a_name_that_x509_cannot_hold_is_an_input_error() -> None:
    with pytest.raises(InputError, match="kasm"):
        issued(spec(dns_names=("bücher.example",)))
    with pytest.raises(InputError):
        issued(spec(subject=(("C", "Germany"),)))


def test_issuing_is_a_function_of_its_arguments() -> None:
    key = tls.new_key("ed25519")
    one, two = (tls.issue(spec(), now=NOW, key=key, serial=7) for _ in range(2))
    assert one.certificate == two.certificate
    assert one.key == two.key
    assert x509.load_pem_x509_certificate(one.certificate).serial_number == 7
    assert tls.new_serial(os.urandom) != tls.new_serial(os.urandom)


def test_a_moment_in_another_zone_is_the_same_moment() -> None:
    there = NOW.astimezone(ZoneInfo("Asia/Kathmandu"))
    facts = tls.facts(issued(spec(), now=there).certificate)
    assert facts[annotations.NOT_BEFORE] == "2031-05-17T11:55:00Z"


def test_facts_agree_with_openssl(ingress: TlsPair) -> None:
    facts = tls.facts(ingress.certificate)
    fingerprint = openssl("x509", "-noout", "-fingerprint", "-sha256", stdin=ingress.certificate)
    assert facts[annotations.FINGERPRINT] == fingerprint.strip().split("=")[1].replace(":", "").lower()
    assert facts[annotations.ISSUED_BY] == "self-signed by kasmgen"
    assert set(facts) == set(annotations.CERTIFICATE)


def by_a_ca(subject: str = "desk.example.org", *, sans: list[str] | None = None) -> tuple[bytes, Secret]:
    """A certificate of a small CA, with the CA's own behind it, as people bring it."""
    ca_key, key = tls.new_key("ecdsa-p256"), rsa.generate_private_key(65537, 2048)
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Example, Inc. CA\x07")])
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
    chain = b""
    for who, whose in ((name, key), (issuer, ca_key)):
        builder = x509.CertificateBuilder(issuer, who, whose.public_key(), 99, NOW, NOW + timedelta(days=90))
        if sans and who is name:
            san = x509.SubjectAlternativeName([x509.DNSName(dns) for dns in sans])
            builder = builder.add_extension(san, critical=False)
        chain += builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return chain, Secret(private)


def test_facts_of_a_brought_chain_are_those_of_its_first_certificate() -> None:
    chain, _ = by_a_ca(sans=["desk.example.org"])
    facts = tls.facts(chain, supplied=True)
    assert facts[annotations.DNS_NAMES] == "desk.example.org"
    assert facts[annotations.ISSUED_BY] == r"CN=Example\, Inc. CA\x07"
    assert tls.facts(issued(spec()).certificate, supplied=True)[annotations.ISSUED_BY] == "self-signed"


def test_a_comma_in_a_name_does_not_make_two_names() -> None:
    facts = tls.facts(issued(spec(dns_names=("a.example,b.example",), addresses=())).certificate)
    assert facts[annotations.DNS_NAMES] == "a.example?b.example"


# What a chart's generator leaves behind (literal quotes around the name, K D-06).
def test_a_charts_own_certificate_is_issued_anew_with_its_names() -> None:
    chain, _ = by_a_ca('"kasm.example.com"', sans=["kasm.example.com", "alt.example.com"])
    required = tls.like(chain)
    assert required.common_name == "kasm.example.com"
    assert required.dns_names == ("kasm.example.com", "alt.example.com")
    assert (required.key_type, required.days) == ("rsa-2048", 90)
    assert certificates.unfit(tls.facts(issued(required).certificate), required, now=NOW) == []


def test_without_alternative_names_the_common_name_becomes_one() -> None:
    assert tls.like(by_a_ca("db")[0]).dns_names == ("db",)
    assert tls.like(by_a_ca("10.0.0.1")[0]).addresses == ("10.0.0.1",)
    assert tls.like(by_a_ca("A server of ours")[0]).names == ()


labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
dns_names = st.lists(labels, min_size=1, max_size=4).map(".".join)


@settings(deadline=None, max_examples=40)
@given(
    names=st.lists(dns_names, min_size=1, max_size=4, unique=True),
    addresses=st.lists(st.ip_addresses().map(str), max_size=3, unique=True),
    organisation=st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=30),
    days=st.integers(1, 36_499),
)
def test_whatever_is_asked_is_what_the_certificate_says(
    names: list[str], addresses: list[str], organisation: str, days: int
) -> None:
    common_name = certificates.shortened(names[0])
    required = spec(
        common_name=common_name,
        subject=(("O", organisation), ("CN", common_name)),
        dns_names=tuple(names),
        addresses=tuple(addresses),
        days=days,
    )
    pair = issued(required)
    assert tls.like(pair.certificate) == required
    assert certificates.unfit(tls.facts(pair.certificate), required, now=NOW) == []
    tls.check_pair(pair.certificate, pair.key)


# --- unfit -----------------------------------------------------------------


def facts_of(required: CertificateSpec) -> dict[str, str]:
    return tls.facts(issued(required).certificate)


def test_a_new_host_name_makes_a_certificate_unfit_and_a_dropped_one_does_not() -> None:
    facts = facts_of(spec())
    more = spec(dns_names=("kasm.example.com", "new.example.org"), addresses=("192.0.2.8",))
    assert certificates.unfit(facts, more, now=NOW) == [
        "it does not cover new.example.org",
        "it does not cover 192.0.2.8",
    ]
    assert certificates.unfit(facts, spec(dns_names=("KASM.example.com",), addresses=()), now=NOW) == []


def test_a_wildcard_covers_one_label() -> None:
    facts = facts_of(spec(dns_names=("*.example.com",), addresses=()))
    covered, deeper, bare = (
        spec(dns_names=("a.example.com",)),
        spec(dns_names=("a.b.example.com",)),
        spec(dns_names=("example.com",)),
    )
    ask = {"addresses": ()}
    assert certificates.unfit(facts, CertificateSpec(**{**covered.__dict__, **ask}), now=NOW) == []
    for required in (deeper, bare):
        assert certificates.unfit(facts, CertificateSpec(**{**required.__dict__, **ask}), now=NOW)


def test_an_expired_certificate_is_unfit_and_one_that_expires_soon_is_not() -> None:
    facts = facts_of(spec(days=10))
    end = NOW + timedelta(days=10)
    assert certificates.expiry(facts) == end
    assert certificates.unfit(facts, spec(), now=end - timedelta(seconds=1)) == []
    assert certificates.unfit(facts, spec(), now=end) == ["it expired on 2031-05-27T12:00:00Z"]
    assert "not valid before" in certificates.unfit(facts, spec(), now=NOW - timedelta(minutes=6))[0]


def test_a_secret_that_says_nothing_about_its_certificate_is_unfit() -> None:
    assert len(certificates.unfit({}, spec(), now=NOW)) == 2
    broken = {**facts_of(spec()), annotations.NOT_AFTER: "soon"}
    assert certificates.unfit(broken, spec(), now=NOW) == [f"its annotation {annotations.NOT_AFTER} is no date"]
    assert certificates.expiry({}) is None


# --- check_pair ------------------------------------------------------------


def test_brought_pairs_in_the_usual_forms_are_accepted() -> None:
    chain, key = by_a_ca()
    tls.check_pair(chain, key)
    pkcs8 = openssl("pkcs8", "-topk8", "-nocrypt", stdin=key.reveal())
    tls.check_pair(chain, Secret(pkcs8))


def refusal(certificate: bytes, key: Secret) -> str:
    with pytest.raises(SecretError) as caught:
        tls.check_pair(certificate, key)
    shown = "".join(traceback.format_exception(caught.value)) + caught.value.hint
    body = key.reveal().decode(errors="replace").splitlines()[1:2]
    assert not body or body[0] not in shown
    return str(caught.value)


def test_pairs_that_do_not_belong_together_are_refused() -> None:
    chain, key = by_a_ca()
    other = issued(spec(key_type="rsa-2048"))
    assert "does not belong" in refusal(chain, other.key)
    assert "does not belong" in refusal(other.certificate, key)
    leaf, ca = re.findall(rb"-----BEGIN.*?-----END [A-Z]+-----\n", chain, re.DOTALL)
    assert "does not belong" in refusal(ca + leaf, key)


def test_what_is_no_certificate_or_no_key_is_refused() -> None:
    chain, key = by_a_ca()
    assert "no PEM certificate" in refusal(b"nothing", key)
    assert "no PEM certificate" in refusal(key.reveal(), key)
    assert "no PEM private key" in refusal(chain, Secret("nothing\nat all"))
    assert "no PEM private key" in refusal(chain, Secret(chain))
    cut = key.reveal()[:400] + b"\n-----END RSA PRIVATE KEY-----\n"
    assert "no PEM private key" in refusal(chain, Secret(cut))


def test_a_key_with_a_passphrase_is_refused_with_the_way_to_remove_it() -> None:
    chain, key = by_a_ca()
    locked = openssl("pkcs8", "-topk8", "-passout", "pass:x", stdin=key.reveal())
    assert "passphrase" in refusal(chain, Secret(locked))


def test_the_key_of_a_pair_is_not_shown(ingress: TlsPair) -> None:
    assert "PRIVATE" not in repr(ingress)
