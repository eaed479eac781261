"""Names, hosts, addresses and durations that people give: checked here, once.

Every function takes the text and `what`, the option or key that it came from,
and raises InputError naming it.
"""

from __future__ import annotations

import ipaddress
import re

from kasmgen.errors import InputError
from kasmgen.safe_text import shown

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LONGEST = 1000  # characters, before they become punycode
_DURATION = re.compile(r"([0-9]+(\.[0-9]+)?(ms|s|m|h))+")  # Flux's own pattern


def dns_label(text: str, what: str) -> str:
    """A DNS label (RFC 1123): lower case letters, digits and dashes, at most 63 characters."""
    if not _LABEL.fullmatch(text):
        raise InputError(
            f"{what}: '{shown(text)}' is no DNS label",
            hint="use lower case letters, digits and dashes, at most 63 characters, no dash at either end",
        )
    return text


def release_name(text: str, what: str) -> str:
    """A Helm release name: a DNS label of at most 53 characters."""
    if len(dns_label(text, what)) > 53:
        raise InputError(f"{what}: '{shown(text)}' is longer than the 53 characters that Helm allows")
    return text


def dns_name(text: str, what: str) -> str:
    """A DNS subdomain such as `cluster.local`, without a dot at the end."""
    name = text.removesuffix(".")
    if not _is_dns_name(name):
        raise InputError(f"{what}: '{shown(text)}' is no DNS name")
    return name


def _is_dns_name(name: str) -> bool:
    return len(name) <= 253 and all(_LABEL.fullmatch(part) for part in name.split("."))


def hostname(text: str, what: str, *, wildcard: bool = False) -> str:
    """A host name as DNS has it: lower case, international names as punycode.

    wildcard: allow `*.` in front. An address is refused: TLS and Ingress want names.
    """
    given = text.strip()
    prefix = "*." if wildcard and given.startswith("*.") else ""
    name = _ascii(given[len(prefix) :]).removesuffix(".")
    if _is_address(name):
        raise InputError(
            f"{what}: '{shown(text)}' is an address, a host name is needed",
            hint="addresses go to --ingress-ip",
        )
    if not _is_dns_name(name):
        xn = "" if text.isascii() else ", or as DNS has it, with xn--"
        raise InputError(f"{what}: '{shown(text)}' is no host name", hint=f"an example: kasm.example.com{xn}")
    return prefix + name


def _ascii(name: str) -> str:
    """The ASCII form of a host name by IDNA 2008 with the mapping of UTS 46, as in browsers; "" if it has none."""
    if name.isascii():
        return name.lower()
    if len(name) > _LONGEST:
        return ""
    # Its tables take a twentieth of a second to load, and most names are ASCII.
    import idna

    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError:
        return ""


def _is_address(text: str) -> bool:
    """Whether `text` is an address, or reads like one: no top-level domain is a number."""
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return text.rpartition(".")[2].isdecimal()
    return True


def address(text: str, what: str) -> str:
    """An IPv4 or IPv6 address in its canonical spelling."""
    try:
        found = ipaddress.ip_address(text.strip())
        if "%" in str(found):
            raise ValueError  # the zone of a link is known to one machine only
        return str(found)
    except ValueError:
        raise InputError(f"{what}: '{shown(text)}' is no IP address") from None


def duration(text: str, what: str) -> str:
    """A duration as Flux takes it, such as `1h` or `2m30s`."""
    if not _DURATION.fullmatch(text):
        raise InputError(
            f"{what}: '{shown(text)}' is no duration",
            hint="examples: 30s, 10m, 1h30m (there is no unit for days)",
        )
    return text


def one_of(text: str, allowed: tuple[str, ...], what: str) -> str:
    """`text` if it is one of `allowed`."""
    if text not in allowed:
        raise InputError(f"{what}: '{shown(text)}' is none of {', '.join(allowed)}")
    return text
