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
# IDNA 2003, which Python speaks, makes another name of these than IDNA 2008, which browsers speak.
_AMBIGUOUS = re.compile("[ßẞς\u200c\u200d]")
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
    if not name or len(name) > 253 or not all(_LABEL.fullmatch(part) for part in name.split(".")):
        raise InputError(f"{what}: '{shown(text)}' is no DNS name")
    return name


def hostname(text: str, what: str, *, wildcard: bool = False) -> str:
    """A host name as DNS has it: lower case, international names as punycode (IDNA).

    wildcard: allow `*.` in front. An address is refused: TLS and Ingress want names.
    """
    name = text.strip().removesuffix(".")
    prefix = "*." if wildcard and name.startswith("*.") else ""
    body = name[len(prefix) :]
    if _is_address(body):
        raise InputError(
            f"{what}: '{shown(text)}' is an address, a host name is needed",
            hint="addresses go to --ingress-ip",
        )
    if len(body) > _LONGEST or _AMBIGUOUS.search(body):
        raise InputError(
            f"{what}: '{shown(text)}' is too long or has a letter that old and new rules of DNS read differently",
            hint="write it as DNS has it, with xn--",
        )
    try:
        ascii_name = body.encode("idna").decode("ascii").lower() if body else ""
    except UnicodeError:
        ascii_name = ""
    if not ascii_name:
        raise InputError(f"{what}: '{shown(text)}' is no host name", hint="an example: kasm.example.com")
    try:
        return prefix + dns_name(ascii_name, what)
    except InputError:
        raise InputError(f"{what}: '{shown(text)}' is no host name", hint="an example: kasm.example.com") from None


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
