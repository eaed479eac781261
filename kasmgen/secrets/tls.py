"""TLS certificates and their private keys themselves: made, read, and held against each other.

Only what makes or reads one imports this module: cryptography takes a tenth of a
second to load, and most commands do neither. Nothing here reads the clock.
Randomness is in `new_key`, or given.
"""

from __future__ import annotations

import contextlib
import ipaddress
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from kasmgen.errors import InputError, SecretError
from kasmgen.kubernetes.resources import Secret
from kasmgen.layout.annotations import DNS_NAMES, FINGERPRINT, ISSUED_BY, NOT_AFTER, NOT_BEFORE
from kasmgen.safe_text import escaped
from kasmgen.secrets.certificates import KEY_TYPES, MAX_DAYS, CertificateSpec, checked, shortened, sorted_out

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

# Clocks of the machines that check the certificate may be a little behind.
_CLOCK_SKEW = timedelta(minutes=5)
_SHORT_NAMES = {
    "2.5.4.6": "C",
    "2.5.4.8": "ST",
    "2.5.4.7": "L",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.3": "CN",
    "1.2.840.113549.1.9.1": "emailAddress",
}
_OIDS = {short: dotted for dotted, short in _SHORT_NAMES.items()}


@dataclass(frozen=True)
class TlsPair:
    """A certificate (PEM, leaf first if it is a chain) and its private key (PEM)."""

    certificate: bytes
    key: Secret


def new_key(key_type: str) -> PrivateKey:
    """A new private key of a type in KEY_TYPES. RSA 4096 takes a second or more.

    Raises InputError for another type.
    """
    match key_type:
        case "rsa-2048" | "rsa-4096":
            return rsa.generate_private_key(public_exponent=65537, key_size=int(key_type[-4:]))
        case "ecdsa-p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "ecdsa-p384":
            return ec.generate_private_key(ec.SECP384R1())
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
    raise InputError(f'"{key_type}" is no key type', hint=f"one of {', '.join(KEY_TYPES)}")


def new_serial(random: Callable[[int], bytes]) -> int:
    """A new serial number: 159 random bits (RFC 5280, 4.1.2.2)."""
    return int.from_bytes(random(20)) >> 1


def issue(spec: CertificateSpec, *, now: datetime, key: PrivateKey, serial: int) -> TlsPair:
    """A self-signed certificate for `key`, and the key.

    Valid from five minutes before `now` (aware) until `spec.days` after it. Not a
    CA, for servers and clients. The key is PKCS#8 without a passphrase: every key
    type has that form, it is what `openssl req` writes, and OpenSSL (nginx,
    PostgreSQL, Redis) and Go (Ingress controllers, kubectl) read it.
    Raises InputError for names that X.509 cannot hold.
    """
    now = now.astimezone(UTC).replace(microsecond=0)
    try:
        builder = _described(spec, key)
    except ValueError as error:
        raise InputError(f"no certificate can be made for {spec.common_name}: {error}") from None
    builder = builder.serial_number(serial)
    builder = builder.not_valid_before(now - _CLOCK_SKEW).not_valid_after(now + timedelta(days=spec.days))
    certificate = builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    return TlsPair(
        certificate.public_bytes(serialization.Encoding.PEM),
        Secret(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        ),
    )


def _described(spec: CertificateSpec, key: PrivateKey) -> x509.CertificateBuilder:
    name = x509.Name([x509.NameAttribute(x509.ObjectIdentifier(_OIDS[short]), value) for short, value in spec.subject])
    public = key.public_key()
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(public)
    alternatives: list[x509.GeneralName] = [x509.DNSName(dns) for dns in spec.dns_names]
    alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in spec.addresses]
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(spec.key_type), critical=True)
        .add_extension(usage, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
    )


def _key_usage(key_type: str) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        # Only RSA keys encipher keys (RFC 8813 and RFC 8410 forbid the bit for the others).
        key_encipherment=key_type.startswith("rsa"),
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _leaf(certificate_pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(certificate_pem)[0]
    except ValueError:
        raise SecretError(
            "the certificate cannot be read: it is no PEM certificate",
            hint="it begins with -----BEGIN CERTIFICATE-----, the server's own certificate first",
        ) from None


def _alternatives(certificate: x509.Certificate) -> tuple[list[str], list[str]]:
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return [], []
    addresses = [str(address) for address in san.get_values_for_type(x509.IPAddress)]
    return san.get_values_for_type(x509.DNSName), addresses


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def facts(certificate_pem: bytes, *, supplied: bool = False) -> dict[str, str]:
    """What may be said in clear about a certificate: the annotations of its Secret.

    Dates are RFC 3339 in UTC, the fingerprint is the SHA-256 of the DER form in hex,
    the names are DNS names and addresses, comma-separated. supplied: people gave this
    certificate, kasmgen did not make it. Of a chain, the first certificate counts.
    Raises SecretError if it is no certificate.
    """
    leaf = _leaf(certificate_pem)
    dns, addresses = _alternatives(leaf)
    if leaf.issuer == leaf.subject:
        issuer = "self-signed" if supplied else "self-signed by kasmgen"
    else:
        issuer = _fact(leaf.issuer.rfc4514_string()) or "an issuer without a name"
    return {
        NOT_BEFORE: _time(leaf.not_valid_before_utc),
        NOT_AFTER: _time(leaf.not_valid_after_utc),
        # A comma inside a name would make two of it.
        DNS_NAMES: ",".join(_fact(name).replace(",", "?") for name in [*dns, *addresses]),
        FINGERPRINT: leaf.fingerprint(hashes.SHA256()).hex(),
        ISSUED_BY: issuer,
    }


def _fact(text: str) -> str:
    """`text` of a certificate as an annotation holds it; who made the certificate may have written anything there."""
    return escaped(text)[:1000]


def is_authority(certificate_pem: bytes) -> bool:
    """Whether the certificate may sign others (basicConstraints CA:TRUE)."""
    try:
        return _leaf(certificate_pem).extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def like(certificate_pem: bytes, *, key_type: str = "", days: int = 0) -> CertificateSpec:
    """What a chart's own certificate says, to be issued anew: subject, names, key type, days.

    Quote characters around a common name are dropped: charts put them there by
    mistake. Without alternative names the common name becomes one. key_type and
    days replace the certificate's own. Raises SecretError if it is no certificate.
    """
    leaf = _leaf(certificate_pem)
    subject = tuple(_subject(leaf))
    common_name = next((value for short, value in subject if short == "CN"), "")
    dns, addresses = _alternatives(leaf)
    if not dns and not addresses and re.fullmatch(r"[A-Za-z0-9*._:-]+", common_name):
        dns, addresses = map(list, sorted_out([common_name]))
    valid = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    own_days = min(max(math.floor(valid / timedelta(days=1)), 1), MAX_DAYS)
    return checked(
        CertificateSpec(
            common_name or (dns + addresses + ["unnamed"])[0],
            subject,
            tuple(dict.fromkeys(dns)),
            tuple(dict.fromkeys(addresses)),
            key_type or _key_type(leaf),
            days or own_days,
        )
    )


def _subject(certificate: x509.Certificate) -> list[tuple[str, str]]:
    """The attributes of the subject that kasmgen can issue again."""
    kept = []
    for attribute in certificate.subject:
        short = _SHORT_NAMES.get(attribute.oid.dotted_string)
        value = str(attribute.value)
        if short == "CN":
            value = shortened(value.strip("\"'"))
        if short and value:
            with contextlib.suppress(ValueError):
                x509.NameAttribute(attribute.oid, value)
                kept.append((short, value))
    return kept


def _key_type(certificate: x509.Certificate) -> str:
    """The type in KEY_TYPES that is nearest to the certificate's key."""
    public = certificate.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        return "rsa-2048" if public.key_size <= 2048 else "rsa-4096"
    if isinstance(public, ec.EllipticCurvePublicKey):
        return "ecdsa-p256" if public.key_size <= 256 else "ecdsa-p384"
    return "ed25519" if isinstance(public, ed25519.Ed25519PublicKey) else "rsa-2048"


def check_pair(certificate_pem: bytes, key_pem: Secret) -> None:
    """Make sure that a supplied certificate and private key belong together.

    Raises SecretError, never with any of their content, if one of them cannot be
    read, the key has a passphrase, or the key is another one's.
    """
    leaf = _leaf(certificate_pem)
    try:
        key = serialization.load_pem_private_key(key_pem.reveal(), password=None)
    except TypeError:
        raise SecretError(
            "the private key has a passphrase, which no server in the cluster could give",
            hint="write it without one: openssl pkey -in key.pem -out plain.pem",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise SecretError(
            "the private key cannot be read: it is no PEM private key",
            hint="it begins with -----BEGIN PRIVATE KEY----- or -----BEGIN RSA PRIVATE KEY-----",
        ) from None
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if leaf.public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
        raise SecretError(
            "the private key does not belong to the certificate",
            hint="of a chain, the server's own certificate comes first",
        )
