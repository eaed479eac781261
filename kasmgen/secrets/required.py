"""Which Secrets an environment must have, and where each of their values comes from."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from kasmgen.errors import InputError
from kasmgen.kubernetes.resources import Object, Rendered, ResourceId, Secret
from kasmgen.secrets.certificates import CertificateSpec
from kasmgen.yaml.documents import Yaml

TLS = "kubernetes.io/tls"
REGISTRY = "kubernetes.io/dockerconfigjson"
TLS_KEYS = ("tls.crt", "tls.key")


@dataclass(frozen=True)
class Generate:
    """A password or token that is made once."""


@dataclass(frozen=True)
class Fixed:
    """A value that somebody gave, or that the chart made at random: sealed once and kept."""

    value: Secret


@dataclass(frozen=True)
class Derived:
    """A value that the chart makes the same way each time: sealed again when the chart makes another."""

    value: Secret


SecretEntry: TypeAlias = Generate | Fixed | Derived


@dataclass(frozen=True)
class RequiredSecret:
    """A Secret that the environment must have.

    entries: data key -> where the value comes from. certificate: what to issue for
    tls.crt and tls.key (and ca.crt, if `authority`) where no entry gives them.
    role: what a profile calls it ("passwords", "ingress", "db", ...), "" without one.
    """

    id: ResourceId
    type: str
    entries: Mapping[str, SecretEntry] = field(default_factory=dict)
    certificate: CertificateSpec | None = None
    authority: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    role: str = ""

    @property
    def issued(self) -> frozenset[str]:
        """The data keys that come with the certificate."""
        return frozenset([*TLS_KEYS, *(["ca.crt"] if self.authority else [])] if self.certificate else [])

    @property
    def keys(self) -> frozenset[str]:
        """Every data key that the Secret must have."""
        return frozenset(self.entries) | self.issued

    @property
    def inputs(self) -> str:
        """SHA-256 over the entries that follow the chart, "" if there are none.

        These values can be computed from what is committed in clear, so their hash tells nothing new.
        """
        follows = {key: entry.value for key, entry in self.entries.items() if isinstance(entry, Derived)}
        if not follows:
            return ""
        digest = hashlib.sha256()
        for key in sorted(follows):
            digest.update(key.encode() + b"\0" + hashlib.sha256(follows[key].reveal()).digest())
        return digest.hexdigest()


def data_of(secret: Object) -> dict[str, Secret]:
    """Decoded `data` and `stringData` of a Secret that a chart rendered."""
    out: dict[str, Secret] = {}
    data, texts = secret.get("data") or {}, secret.get("stringData") or {}
    name = (secret.get("metadata") or {}).get("name")
    for key, value in data.items() if isinstance(data, dict) else ():
        try:
            out[key] = Secret(base64.b64decode("" if value is None else str(value), validate=False))
        except (binascii.Error, ValueError):
            raise InputError(f"Secret {name}: data.{key} is no base64") from None
    for key, value in texts.items() if isinstance(texts, dict) else ():
        out[key] = Secret(_text(value))
    return out


def _text(value: Yaml) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def from_render(first: Rendered, second: Rendered | None, *, tls: CertificateSpec | None = None) -> RequiredSecret:
    """What a chart's own Secret asks for, seen from two renders of it.

    A value that is the same in both follows the chart; one that differs was made
    at random and is frozen as the first render has it. tls: for a key pair that
    differs, the certificate to issue instead.
    """
    obj = first.object
    data = data_of(obj)
    again = data_of(second.object) if second else {}
    entries: dict[str, SecretEntry] = {
        key: Derived(value) if again.get(key) == value else Fixed(value) for key, value in data.items()
    }
    if tls:
        for key in (*TLS_KEYS, "ca.crt"):
            entries.pop(key, None)
    labels = (obj.get("metadata") or {}).get("labels") or {}
    return RequiredSecret(
        id=first.id,
        type=str(obj.get("type") or "Opaque"),
        entries=entries,
        certificate=tls,
        authority=bool(tls) and "ca.crt" in data,
        labels={str(k): str(v) for k, v in labels.items()},
    )


def random_pair(first: Rendered, second: Rendered | None) -> bytes | None:
    """The certificate (PEM) of a Secret whose key pair the chart makes anew each time; None for any other Secret."""
    data = data_of(first.object)
    if not all(key in data for key in TLS_KEYS) or b"-----BEGIN CERTIFICATE" not in data["tls.crt"].reveal():
        return None
    again = data_of(second.object) if second else {}
    return None if again.get("tls.key") == data["tls.key"] else data["tls.crt"].reveal()
