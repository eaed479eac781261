"""The inputs that people write, parsed once into frozen types.

`kasmgen.yaml` holds what all environments share, `overlays/<env>/environment.yaml`
what one environment has of its own (design: section 3). Past this module nothing
has to doubt an input.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kasmgen import names, safe_text
from kasmgen.errors import InputError
from kasmgen.layout.paths import ENVIRONMENT_FILE, OVERLAYS, PROJECT_FILE
from kasmgen.secrets.certificates import KEY_TYPES
from kasmgen.yaml import documents
from kasmgen.yaml.documents import Yaml

API_VERSION = "kasmgen.dev/v1"
SIZES = ("small", "medium", "large")
CERTIFICATE_SOURCES = ("kasmgen", "existing")


T = TypeVar("T")


@dataclass(frozen=True)
class ChartRef:
    """Which chart: `source` is "builtin" or a path from the project's root; `digest` "sha256:<hex>"."""

    source: str = "builtin"
    version: str = ""
    digest: str = ""


@dataclass(frozen=True)
class CheckOff:
    """A rule of `kasmgen check` that the project does without, and why; in `environments` only, if any are named."""

    rule: str
    reason: str
    environments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Project:
    """`kasmgen.yaml`."""

    chart: ChartRef = field(default_factory=ChartRef)
    release: str = "kasm"
    namespace: str = "kasm"
    values: Mapping[str, Yaml] = field(default_factory=dict)
    checks_off: tuple[CheckOff, ...] = ()


@dataclass(frozen=True)
class CertificateInput:
    """How one certificate is made: source "kasmgen" or "existing"; None means as documented by Kasm."""

    source: str = "kasmgen"
    key_type: str | None = None
    days: int | None = None


@dataclass(frozen=True)
class FluxInput:
    """What the Flux objects of an environment say; durations as Flux takes them."""

    source: str = "flux-system"
    url: str = ""
    branch: str = "main"
    interval: str = "1h"
    timeout: str = "15m"
    decryption_secret: str = "sops-age"


@dataclass(frozen=True)
class Environment:
    """`overlays/<name>/environment.yaml`. Empty fields mean "as the project or the chart has it"."""

    name: str
    hostname: str
    alt_hostnames: tuple[str, ...] = ()
    ingress_ip: str = ""
    namespace: str = ""
    cluster_domain: str = "cluster.local"
    size: str = ""
    registry: str = ""
    certificates: Mapping[str, CertificateInput] = field(default_factory=dict)
    flux: FluxInput = field(default_factory=FluxInput)
    chart: ChartRef | None = None
    values: Mapping[str, Yaml] = field(default_factory=dict)

    @property
    def directory(self) -> str:
        """The overlay's directory, from the project's root."""
        return f"{OVERLAYS}/{self.name}"


class _Reader:
    """Reads one mapping strictly: every key is asked for, the rest is an error."""

    def __init__(self, value: Yaml, source: str, path: str = "") -> None:
        self.source, self.path = source, path
        if not isinstance(value, dict):
            raise self.error("", "a mapping is expected")
        self.value = value
        self.known: list[str] = []

    def at(self, key: str) -> str:
        return f"{self.path}.{key}".strip(".") if self.path else key

    def error(self, key: str, what: str, hint: str = "") -> InputError:
        where = self.at(key) if key else self.path
        return InputError(f"{self.source}: {where + ': ' if where else ''}{what}", hint=hint)

    def get(self, key: str, kind: type[T], default: T) -> T:
        self.known.append(key)
        value = self.value.get(key)
        if value is None:
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            wanted = {str: "text", int: "a whole number", dict: "a mapping", list: "a list"}[kind]
            raise self.error(key, f"{wanted} is expected", "put quotes around it" if kind is str else "")
        return value

    def text(self, key: str, check: Callable[[str, str], str] | None = None, default: str = "") -> str:
        value = self.get(key, str, "") or default
        return check(value, f"{self.source}: {self.at(key)}") if check and value else value

    def texts(self, key: str, check: Callable[[str, str], str]) -> tuple[str, ...]:
        items = self.get(key, list, [])
        for item in items:
            if not isinstance(item, str):
                raise self.error(key, "a list of texts is expected")
        return tuple(check(item, f"{self.source}: {self.at(key)}") for item in items)

    def part(self, key: str) -> _Reader:
        return _Reader(self.get(key, dict, {}), self.source, self.at(key))

    def done(self) -> None:
        for key in self.value:
            if key not in self.known:
                near = difflib.get_close_matches(key, self.known, 1, 0.5)
                hint = f"perhaps you meant '{near[0]}'" if near else f"known keys: {', '.join(sorted(self.known))}"
                raise self.error(safe_text.shown(key), "unknown key", hint)


def _document(text: str, kind: str, source: str) -> _Reader:
    value = documents.load_all(text, source)
    if not value:
        raise InputError(f"{source}: the file is empty")
    if len(value) > 1:
        raise InputError(f"{source}: one YAML document is expected")
    if value[0].duplicates:
        raise InputError(f"{source}: {value[0].duplicates[0]}: the key stands there twice")
    reader = _Reader(value[0].value, source)
    if reader.text("apiVersion") != API_VERSION:
        raise reader.error("apiVersion", f"must be {API_VERSION}")
    if reader.text("kind") != kind:
        raise reader.error("kind", f"must be {kind}")
    return reader


def _chart(reader: _Reader) -> ChartRef:
    ref = ChartRef(reader.text("source", default="builtin"), reader.text("version"), reader.text("digest"))
    if ref.digest and not re.fullmatch("sha256:[0-9a-f]{64}", ref.digest):
        raise reader.error("digest", "must be sha256: and 64 hexadecimal digits")
    reader.done()
    return ref


def parse_project(text: str, source: str = PROJECT_FILE) -> Project:
    """`kasmgen.yaml` as a Project. Raises InputError that names file and path."""
    reader = _document(text, "Project", source)
    project = Project(
        chart=_chart(reader.part("chart")),
        release=reader.text("release", names.release_name, "kasm"),
        namespace=reader.text("namespace", names.dns_label, "kasm"),
        values=reader.get("values", dict, {}),
        checks_off=_checks(reader.part("checks")),
    )
    reader.done()
    return project


def _checks(reader: _Reader) -> tuple[CheckOff, ...]:
    # To YAML 1.1, which the inputs are read as, a plain `off` is the word for false.
    reader.value = {"off" if key == "false" else key: value for key, value in reader.value.items()}
    items = reader.get("off", list, [])
    reader.done()
    return tuple(
        _check_off(_Reader(item, reader.source, f"{reader.at('off')}[{number}]")) for number, item in enumerate(items)
    )


def _check_off(reader: _Reader) -> CheckOff:
    off = CheckOff(reader.text("rule"), reader.text("reason").strip(), reader.texts("environments", names.dns_label))
    reader.done()
    if not re.fullmatch(r"KG\d{3}", off.rule):
        raise reader.error("rule", "must be the identifier of a rule, such as KG502")
    if not off.reason:
        raise reader.error("reason", "is missing", "say why the rule does not fit this project")
    return off


def _certificate(reader: _Reader) -> CertificateInput:
    source = reader.text("source", lambda t, w: names.one_of(t, CERTIFICATE_SOURCES, w), "kasmgen")
    key_type = reader.text("keyType", lambda t, w: names.one_of(t, KEY_TYPES, w))
    days = reader.get("days", int, 0)
    if reader.value.get("days") is not None and not 1 <= days <= 36500:
        raise reader.error("days", "must be 1 to 36500")
    reader.done()
    return CertificateInput(source, key_type or None, days or None)


def _certificates(reader: _Reader) -> dict[str, CertificateInput]:
    return {name: _certificate(reader.part(name)) for name in reader.value}


def _flux(reader: _Reader) -> FluxInput:
    default = FluxInput()
    flux = FluxInput(
        source=reader.text("source", names.dns_name, default.source),
        url=reader.text("url", git_url),
        branch=reader.text("branch", default=default.branch),
        interval=reader.text("interval", names.duration, default.interval),
        timeout=reader.text("timeout", names.duration, default.timeout),
        decryption_secret=reader.text("decryptionSecret", names.dns_name, default.decryption_secret),
    )
    reader.done()
    return flux


def git_url(text: str, what: str) -> str:
    """A Git address that Flux can fetch: https, http or `ssh://git@host/path`, without credentials in it."""
    if not re.fullmatch(r"(https?|ssh)://[^\s]+/[^\s]+", text):
        hint = "Flux wants https://host/path or ssh://git@host/path"
        shown = safe_text.shown(re.sub(r"(?<![^/@\s])[^/@\s]*@", "***@", text))
        raise InputError(f"{what}: '{shown}' is no Git address that Flux takes", hint=hint)
    if re.match(r"(https?://[^/]*@)|(ssh://[^/@]*:[^/@]*@)", text):
        raise InputError(f"{what}: the address holds credentials", hint="give them to Flux in a Secret, not in Git")
    return text


def parse_environment(text: str, name: str, source: str = "") -> Environment:
    """`environment.yaml` of the environment `name`. Raises InputError that names file and path."""
    reader = _document(text, "Environment", source or f"{OVERLAYS}/{name}/{ENVIRONMENT_FILE}")
    environment = Environment(
        name=name,
        hostname=reader.text("hostname", names.hostname),
        alt_hostnames=reader.texts("altHostnames", lambda t, w: names.hostname(t, w, wildcard=True)),
        ingress_ip=reader.text("ingressIP", names.address),
        namespace=reader.text("namespace", names.dns_label),
        cluster_domain=reader.text("clusterDomain", names.dns_name, "cluster.local"),
        size=reader.text("size", lambda t, w: names.one_of(t, SIZES, w)),
        registry=reader.text("registry", names.dns_name),
        certificates=_certificates(reader.part("certificates")),
        flux=_flux(reader.part("flux")),
        chart=_chart(reader.part("chart")) if reader.value.get("chart") is not None else None,
        values=reader.get("values", dict, {}),
    )
    reader.known.append("chart")
    reader.done()
    if not environment.hostname:
        raise reader.error("hostname", "is missing", "every environment has a host name")
    return environment


# --- writing the two files for the first time ------------------------------

_HEAD = """\
# yaml-language-server: $schema=https://kasmgen.dev/schemas/v1/{schema}.json
# {comment}
# `kasmgen render` brings base/, overlays/ and clusters/ in line with it.
"""


def _write(schema: str, comment: str, pairs: Sequence[tuple[str, Any]]) -> str:
    body = "".join(documents.dump({key: value}) for key, value in pairs if value not in ("", None, [], {}, ()))
    return _HEAD.format(schema=schema, comment=comment) + body


def _chart_value(ref: ChartRef) -> dict[str, str]:
    return {k: v for k, v in (("source", ref.source), ("version", ref.version), ("digest", ref.digest)) if v}


def project_text(project: Project) -> str:
    """A new `kasmgen.yaml`."""
    return _write(
        "project",
        "What all environments share; written by people.",
        (
            ("apiVersion", API_VERSION),
            ("kind", "Project"),
            ("chart", _chart_value(project.chart)),
            ("release", project.release),
            ("namespace", project.namespace),
            ("values", dict(project.values)),
            ("checks", {"off": list(map(_off_value, project.checks_off))} if project.checks_off else {}),
        ),
    )


def _off_value(off: CheckOff) -> dict[str, Any]:
    pairs = (("rule", off.rule), ("reason", off.reason), ("environments", list(off.environments)))
    return {key: value for key, value in pairs if value}


def environment_text(environment: Environment) -> str:
    """A new `environment.yaml`; fields that are as their default are left out."""
    default = Environment(environment.name, "")
    flux, flux_default = environment.flux, default.flux
    flux_pairs = {
        "source": (flux.source, flux_default.source),
        "url": (flux.url, ""),
        "branch": (flux.branch, flux_default.branch),
        "interval": (flux.interval, flux_default.interval),
        "timeout": (flux.timeout, flux_default.timeout),
        "decryptionSecret": (flux.decryption_secret, flux_default.decryption_secret),
    }
    certificates = {
        name: {
            k: v
            for k, v in (("source", c.source), ("keyType", c.key_type), ("days", c.days))
            if v not in (None, "kasmgen")
        }
        for name, c in environment.certificates.items()
    }
    return _write(
        "environment",
        f"What the environment {environment.name} has of its own; written by people.",
        (
            ("apiVersion", API_VERSION),
            ("kind", "Environment"),
            ("hostname", environment.hostname),
            ("altHostnames", list(environment.alt_hostnames)),
            ("ingressIP", environment.ingress_ip),
            ("namespace", environment.namespace),
            (
                "clusterDomain",
                "" if environment.cluster_domain == default.cluster_domain else environment.cluster_domain,
            ),
            ("size", environment.size),
            ("registry", environment.registry),
            ("certificates", {k: v for k, v in certificates.items() if v}),
            ("flux", {k: v for k, (v, standard) in flux_pairs.items() if v != standard}),
            ("chart", _chart_value(environment.chart) if environment.chart else None),
            ("values", dict(environment.values)),
        ),
    )
