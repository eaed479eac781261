"""What TLS certificates are to say: those that the Kasm documentation makes by hand, with names that hold.

Nothing here makes or reads one, or reads the clock; `tls` does the former.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from kasmgen.errors import InputError
from kasmgen.layout.annotations import DNS_NAMES, NOT_AFTER, NOT_BEFORE

KEY_TYPES = ("rsa-2048", "rsa-4096", "ecdsa-p256", "ecdsa-p384", "ed25519")
MAX_DAYS = 36_500

Which: TypeAlias = Literal["ingress", "proxy", "rdp", "db"]

# RFC 5280, ub-common-name.
_LONGEST_COMMON_NAME = 64
_SERVICES: dict[str, tuple[str, ...]] = {
    "proxy": ("kasm-proxy",),
    "rdp": ("rdp-gateway", "rdp-https-gateway"),
    "db": ("db",),
}


@dataclass(frozen=True)
class CertificateSpec:
    """What a certificate is to say.

    subject: short names (C, ST, L, O, OU, CN, emailAddress) with values, in order.
    dns_names, addresses: the subject alternative names; addresses are IPv4 or IPv6.
    key_type: one of KEY_TYPES. days: validity from the day of issue.
    """

    common_name: str
    subject: tuple[tuple[str, str], ...]
    dns_names: tuple[str, ...]
    addresses: tuple[str, ...]
    key_type: str
    days: int

    @property
    def names(self) -> tuple[str, ...]:
        """All names that a client may connect to: DNS names, then addresses."""
        return self.dns_names + self.addresses


def documented(
    which: Which,
    *,
    hostname: str = "",
    alt_hostnames: Sequence[str] = (),
    ingress_ip: str = "",
    services: Sequence[str] = (),
    namespace: str = "kasm",
    cluster_domain: str = "cluster.local",
    key_type: str = "",
    days: int = 0,
) -> CertificateSpec:
    """The certificate that the Kasm documentation makes with openssl, with names that hold.

    ingress: `hostname`, `alt_hostnames` (DNS names, punycode, or addresses) and
    `ingress_ip`; RSA 4096, 365 days. proxy, rdp, db: each of `services` (default:
    the chart's Service names) alone, with `.<namespace>.svc` and with
    `.<namespace>.svc.<cluster_domain>`; RSA 2048, 1825 days. The documentation
    gives these three no alternative names; without them no client accepts them.
    key_type and days replace the documented ones if given.
    Raises InputError for a key type or number of days that is none.
    """
    if which == "ingress":
        dns, addresses = sorted_out([hostname, *alt_hostnames, ingress_ip])
        subject: tuple[tuple[str, str], ...] = (("C", "US"), ("O", "KASM"), ("CN", shortened(hostname)))
        return checked(CertificateSpec(hostname, subject, dns, addresses, key_type or "rsa-4096", days or 365))
    names = tuple(services) or _SERVICES[which]
    domain = cluster_domain.strip(".")
    dns = tuple(f"{name}{tail}" for name in names for tail in ("", f".{namespace}.svc", f".{namespace}.svc.{domain}"))
    subject = (
        ("C", "US"),
        ("ST", "VA"),
        ("L", "None"),
        ("O", "None"),
        ("OU", "DoFu"),
        ("CN", shortened(names[0])),
        ("emailAddress", "none@none.none"),
    )
    return checked(CertificateSpec(names[0], subject, dns, (), key_type or "rsa-2048", days or 1825))


def shortened(common_name: str) -> str:
    """`common_name` as it fits into a subject: X.509 allows 64 characters.

    A longer one is cut and ends in "...", which is no host name, so the certificate
    never claims another host; clients go by the alternative names anyway (RFC 6125).
    """
    if len(common_name) <= _LONGEST_COMMON_NAME:
        return common_name
    return common_name[: _LONGEST_COMMON_NAME - 3] + "..."


def sorted_out(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """DNS names and addresses of `names`, each once, in their order."""
    dns: dict[str, None] = {}
    addresses: dict[str, None] = {}
    for name in filter(None, names):
        try:
            addresses[str(ipaddress.ip_address(name.strip("[]")))] = None
        except ValueError:
            dns[name] = None
    return tuple(dns), tuple(addresses)


def checked(spec: CertificateSpec) -> CertificateSpec:
    """`spec` itself. Raises InputError for a key type or number of days that is none."""
    if spec.key_type not in KEY_TYPES:
        raise InputError(f'"{spec.key_type}" is no key type', hint=f"one of {', '.join(KEY_TYPES)}")
    if not 1 <= spec.days <= MAX_DAYS:
        raise InputError(f"a certificate cannot be valid for {spec.days} days", hint=f"1 to {MAX_DAYS:,}")
    return spec


def unfit(annotations: Mapping[str, str], spec: CertificateSpec, *, now: datetime) -> list[str]:
    """Why a sealed certificate no longer does what `spec` asks, one sentence each; [] if it does.

    annotations: those of its Secret, as `facts` made them. A wildcard covers one
    label. That it expires soon is no reason; `expiry` tells how long it lasts.
    """
    if missing := [key for key in (NOT_AFTER, DNS_NAMES) if key not in annotations]:
        return [f"nothing says what the certificate holds: annotation {key} is missing" for key in missing]
    covered = annotations[DNS_NAMES].split(",")
    reasons = [f"it does not cover {name}" for name in spec.names if not _covers(covered, name)]
    not_before, not_after = _parsed(annotations.get(NOT_BEFORE)), _parsed(annotations[NOT_AFTER])
    if not_after is None:
        reasons.append(f"its annotation {NOT_AFTER} is no date")
    elif not_after <= now:
        reasons.append(f"it expired on {annotations[NOT_AFTER]}")
    if not_before is not None and not_before > now:
        reasons.append(f"it is not valid before {annotations[NOT_BEFORE]}")
    return reasons


def expiry(annotations: Mapping[str, str]) -> datetime | None:
    """When a sealed certificate ends, by its annotations (UTC); None if they do not say."""
    return _parsed(annotations.get(NOT_AFTER))


def _covers(covered: Sequence[str], name: str) -> bool:
    name = name.lower()
    wildcard = "*." + name.partition(".")[2]
    return any(own.lower() == name or (own.lower() == wildcard and "." in name) for own in covered)


def _parsed(text: str | None) -> datetime | None:
    try:
        return datetime.strptime(text or "", "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
