"""A private key is known in whatever form it comes, and nothing else is taken for one."""

from __future__ import annotations

import base64
import subprocess
import sys

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs12,
)

from kasmgen.secrets import private_keys

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
PEM = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
KEYS = {
    "PKCS #8": PEM,
    "PKCS #1": RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    "SEC 1": EC.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    "Ed25519": ED.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    "encrypted": RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
    "OpenSSH": ED.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
    "DER, PKCS #8": RSA.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    "DER, PKCS #1": RSA.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    "DER, SEC 1": EC.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    "DER, Ed25519": ED.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    "PKCS #12": pkcs12.serialize_key_and_certificates(None, EC, None, None, BestAvailableEncryption(b"x")),
    "age": str(pyrage.x25519.Identity.generate()).encode(),
    "base64": base64.b64encode(PEM),
    "in a kubeconfig": b"users:\n- user:\n    client-key-data: " + base64.b64encode(PEM),
    "behind a certificate": b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n" + PEM,
}
OTHERS = {
    "a password": b"aB3dE5gH7jK9mN1pQ3rS5tU7vW",
    "a public key": RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "a public key, DER": RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "a public key, PKCS #1": RSA.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1),
    "a recipient": str(pyrage.x25519.Identity.generate().to_public()).encode(),
    "nothing": b"",
    "words about one": b"-----BEGIN PRIVATE KEY----- goes here",
}


@pytest.mark.parametrize("form", KEYS)
def test_a_private_key_is_known(form: str) -> None:
    assert private_keys.holds_one(KEYS[form])


@pytest.mark.parametrize("form", OTHERS)
def test_nothing_else_is_one(form: str) -> None:
    assert not private_keys.holds_one(OTHERS[form])


@pytest.mark.parametrize(
    "part", ["AGE-PLUGIN-", "AGE-", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "A ", "LS0tLS1CRUdJTi"]
)
def test_a_file_of_any_content_is_searched_in_time(part: str) -> None:
    code = f"from kasmgen.secrets import private_keys; private_keys.holds_one({part.encode()!r} * 200_000)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
