"""The inputs that people write: one declaration for reading, errors, writing and the schemas for editors.

`kasmgen.yaml` holds what all environments share, `overlays/<env>/environment.yaml` what one environment has of its own
(design: section 3). Past this module nothing has to doubt an input.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import field

from kasmgen import names, safe_text
from kasmgen.errors import InputError
from kasmgen.layout.paths import ENVIRONMENT_FILE, OVERLAYS, PROJECT_FILE
from kasmgen.project import declaration
from kasmgen.project.declaration import Input, in_file, says
from kasmgen.secrets.certificates import KEY_TYPES
from kasmgen.yaml import documents
from kasmgen.yaml.documents import Yaml

API_VERSION = "kasmgen.dev/v1"
SIZES = ("small", "medium", "large")
CERTIFICATE_SOURCES = ("kasmgen", "existing")

_LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAME = rf"{_LABEL}(\.{_LABEL})*\.?"
_DURATION = r"([0-9]+(\.[0-9]+)?(ms|s|m|h))+"


# --- what a field may say ----------------------------------------------------


def _size(text: str, what: str) -> str:
    return names.one_of(text, SIZES, what)


def _certificate_source(text: str, what: str) -> str:
    return names.one_of(text, CERTIFICATE_SOURCES, what)


def _key_type(text: str, what: str) -> str:
    return names.one_of(text, KEY_TYPES, what)


def _alternate(text: str, what: str) -> str:
    return names.hostname(text, what, wildcard=True)


def _digest(text: str, what: str) -> str:
    if not re.fullmatch("sha256:[0-9a-f]{64}", text):
        raise InputError(f"{what}: must be sha256: and 64 hexadecimal digits")
    return text


def _rule(text: str, what: str) -> str:
    if not re.fullmatch(r"KG\d{3}", text):
        raise InputError(f"{what}: must be the identifier of a rule, such as KG502")
    return text


def _reason(text: str, what: str) -> str:
    if not text.strip():
        raise InputError(f"{what}: is missing", hint="say why the rule does not fit this project")
    return text.strip()


def git_url(text: str, what: str) -> str:
    """A Git address that Flux can fetch: https, http or `ssh://git@host/path`, without credentials in it."""
    if not re.fullmatch(r"(https?|ssh)://[^\s]+/[^\s]+", text):
        hint = "Flux wants https://host/path or ssh://git@host/path"
        shown = safe_text.shown(re.sub(r"(?<![^/@\s])[^/@\s]*@", "***@", text))
        raise InputError(f"{what}: '{shown}' is no Git address that Flux takes", hint=hint)
    if re.match(r"(https?://[^/]*@)|(ssh://[^/@]*:[^/@]*@)", text):
        raise InputError(f"{what}: the address holds credentials", hint="give them to Flux in a Secret, not in Git")
    return text


# --- the declaration ---------------------------------------------------------


class ChartRef(Input, frozen=True, omit_defaults=False):
    """Which chart: `source` is "builtin" or a path from the project's root; `digest` "sha256:<hex>"."""

    source: Annotated[str, says("`builtin`, or the path of a directory or `.tgz`, from the project's root.")] = (
        "builtin"
    )
    version: Annotated[str, says("Its version, as recorded by kasmgen.")] = ""
    digest: Annotated[
        str,
        says(
            "SHA-256 of its content, as recorded by kasmgen. A chart with another content is refused; "
            "`render --accept-chart` records it.",
            check=_digest,
            pattern="sha256:[0-9a-f]{64}",
        ),
    ] = ""


class CheckOff(Input, frozen=True):
    """A rule of `kasmgen check` that the project does without, and why; in `environments` only, if any are named."""

    rule: Annotated[str, says("Identifier of the rule, such as `KG502`.", check=_rule, pattern="KG[0-9]{3}")]
    reason: Annotated[
        str,
        says(
            "Why it does not fit this project.",
            check=_reason,
            pattern=r"[\s\S]*\S[\s\S]*",
            missing="say why the rule does not fit this project",
        ),
    ]
    environments: Annotated[
        tuple[Annotated[str, says("", check=names.dns_label, minLength=1, pattern=_LABEL)], ...],
        says("Only in these environments; in all, if none is named."),
    ] = ()


class Checks(Input, frozen=True):
    """Settings of `kasmgen check`."""

    off: Annotated[tuple[CheckOff, ...], says("Rules that this project does without.")] = ()


class Project(Input, frozen=True):
    """`kasmgen.yaml`."""

    chart: Annotated[ChartRef, says("The Helm chart.")] = ChartRef()
    release: Annotated[
        str,
        says(
            "Name of the Helm release. Also the first part of the Flux objects' names: do not change it later.",
            check=names.release_name,
            pattern=_LABEL,
            maxLength=53,
        ),
    ] = "kasm"
    namespace: Annotated[
        str,
        says("Namespace of environments without one of their own.", check=names.dns_label, pattern=_LABEL),
    ] = "kasm"
    values: Annotated[Mapping[str, Yaml], says("Values of the chart that all environments share. Never a secret.")] = (
        field(default_factory=dict)
    )
    plain: Annotated[
        tuple[str, ...],
        says(
            "Paths of `values`, such as `auth.tokenHint`, that look like secrets and are none; `--plain` records them."
        ),
    ] = ()
    checks: Annotated[Checks, says("Settings of `kasmgen check`.")] = Checks()


class CertificateInput(Input, frozen=True):
    """How one certificate is made; "" and None mean as documented by Kasm."""

    source: Annotated[
        str,
        says(
            "`kasmgen` makes and seals it; `existing`: something else puts the Secret into the cluster.",
            check=_certificate_source,
            enum=list(CERTIFICATE_SOURCES),
        ),
    ] = "kasmgen"
    key_type: Annotated[
        str,
        says(
            "Type of the private key; without it `rsa-4096` for ingress, `rsa-2048` for the others.",
            check=_key_type,
            enum=list(KEY_TYPES),
        ),
    ] = ""
    days: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=36500)] | None,
        says("Days of validity; without it 365 for ingress, 1825 for the others."),
    ] = None


class FluxInput(Input, frozen=True):
    """What the Flux objects of an environment say; durations as Flux takes them."""

    source: Annotated[
        str,
        says(
            "Name of the GitRepository that Flux reads, in `flux-system`.",
            check=names.dns_name,
            pattern=_NAME,
            maxLength=254,
        ),
    ] = "flux-system"
    url: Annotated[
        str,
        says(
            "Also write a GitRepository for this address. It is called `source`, or where that is not given "
            "`<release>-<environment>`.",
            check=git_url,
            pattern=r"(https?|ssh)://\S+/\S+",
            **{"not": {"pattern": "^(https?://[^/]*@|ssh://[^/@]*:[^/@]*@)"}},
        ),
    ] = ""
    branch: Annotated[str, says("Branch of that GitRepository.")] = "main"
    interval: Annotated[str, says("How often Flux corrects drift.", check=names.duration, pattern=_DURATION)] = "1h"
    timeout: Annotated[
        str, says("How long Flux waits for everything to be ready.", check=names.duration, pattern=_DURATION)
    ] = "15m"
    decryption_secret: Annotated[
        str,
        says("Secret in `flux-system` with the private age key.", check=names.dns_name, pattern=_NAME, maxLength=254),
    ] = "sops-age"


class Environment(Input, frozen=True):
    """`overlays/<name>/environment.yaml`. Empty fields mean "as the project or the chart has it".

    name: of the environment's directory; it does not stand in the file.
    """

    name: str
    hostname: Annotated[
        str,
        says(
            "Host name that people open in the browser. Unicode becomes punycode.",
            check=names.hostname,
            missing="every environment has a host name",
            pattern=r"[^\s/:@_*]+\.?",
            maxLength=1000,
        ),
    ]
    alt_hostnames: Annotated[
        tuple[
            Annotated[str, says("", check=_alternate, minLength=1, maxLength=1000, pattern=r"(\*\.)?[^\s/:@_*]+")],
            ...,
        ],
        says("More host names: Ingress rules and names in the certificate. The first label may be `*`."),
    ] = ()
    ingress_ip: Annotated[
        str,
        says("IP address to put into the ingress certificate.", check=names.address, pattern="[0-9A-Fa-f:. ]*"),
    ] = field(default="", name="ingressIP")
    namespace: Annotated[str, says("Namespace; without it the project's.", check=names.dns_label, pattern=_LABEL)] = ""
    cluster_domain: Annotated[
        str, says("DNS suffix of the cluster.", check=names.dns_name, pattern=_NAME, maxLength=254)
    ] = "cluster.local"
    size: Annotated[
        str,
        says("Replicas, resources and settings; without it as the chart has it.", check=_size, enum=list(SIZES)),
    ] = ""
    registry: Annotated[
        str,
        says("Name of the Secret with the registry's login.", check=names.dns_name, pattern=_NAME, maxLength=254),
    ] = ""
    certificates: Annotated[
        Mapping[str, CertificateInput],
        says(
            "How certificates are made, by role (`ingress`, `proxy`, `rdp`, `db`) or, for a chart without a profile, "
            "by the Secret's name. Counts when a certificate is made."
        ),
    ] = field(default_factory=dict)
    flux: Annotated[FluxInput, says("What the Flux objects say.")] = FluxInput()
    chart: Annotated[ChartRef | None, says("Another chart than the project's.")] = None
    values: Annotated[
        Mapping[str, Yaml],
        says(
            "Anything else that the chart accepts; wins over `values` of `kasmgen.yaml`. A value that a field above "
            "sets may not say something else here."
        ),
    ] = field(default_factory=dict)
    plain: Annotated[
        tuple[str, ...],
        says(
            "Paths of `values`, such as `auth.tokenHint`, that look like secrets and are none; `--plain` records them."
        ),
    ] = ()

    @property
    def directory(self) -> str:
        """The overlay's directory, from the project's root."""
        return f"{OVERLAYS}/{self.name}"


# --- reading -----------------------------------------------------------------


def parse_project(text: str, source: str = PROJECT_FILE) -> Project:
    """`kasmgen.yaml` as a Project. Raises InputError that names file and path."""
    fields = _fields(text, "Project", source)
    checks = fields.get("checks")
    if isinstance(checks, dict):
        # To YAML 1.1, which the inputs are read as, a plain `off` is the word for false.
        fields["checks"] = {"off" if key == "false" else key: value for key, value in checks.items()}
    return declaration.read(fields, Project, in_file(source), beside=_HEAD)


def parse_environment(text: str, name: str, source: str = "") -> Environment:
    """`environment.yaml` of the environment `name`. Raises InputError that names file and path."""
    source = source or f"{OVERLAYS}/{name}/{ENVIRONMENT_FILE}"
    fields = _fields(text, "Environment", source)
    return declaration.read(fields, Environment, in_file(source), beside=_HEAD, fixed={"name": name})


_HEAD = ("apiVersion", "kind")


def _fields(text: str, kind: str, source: str) -> dict[str, Yaml]:
    """The one document of a file, without the two keys that say what it is."""
    found = documents.load_all(text, source)
    if not found:
        raise InputError(f"{source}: the file is empty")
    if len(found) > 1:
        raise InputError(f"{source}: one YAML document is expected")
    if found[0].duplicates:
        raise InputError(f"{source}: {found[0].duplicates[0]}: the key stands there twice")
    value = found[0].value
    if not isinstance(value, dict):
        raise InputError(f"{source}: a mapping is expected")
    for key, must in zip(_HEAD, (API_VERSION, kind), strict=True):
        if value.get(key) != must:
            raise InputError(f"{source}: {key}: must be {must}")
    return {key: item for key, item in value.items() if key not in _HEAD}


# --- writing the two files for the first time --------------------------------

_COMMENT = """\
# yaml-language-server: $schema=https://kasmgen.dev/schemas/v1/{schema}.json
# {comment}
# `kasmgen render` brings base/, overlays/ and clusters/ in line with it.
"""


def project_text(project: Project) -> str:
    """A new `kasmgen.yaml`. The release and its namespace are said even where they are as usual."""
    said = {"release": project.release, "namespace": project.namespace}
    fields = {"chart": None, **said, **declaration.written(project)}
    return _text("Project", "What all environments share; written by people.", fields)


def environment_text(environment: Environment) -> str:
    """A new `environment.yaml`; fields that are as their default are left out."""
    fields = declaration.written(environment)
    del fields["name"]
    certificates = {role: how for role, how in fields.pop("certificates", {}).items() if how}
    comment = f"What the environment {environment.name} has of its own; written by people."
    return _text("Environment", comment, {**fields, "certificates": certificates})


def _text(kind: str, comment: str, fields: Mapping[str, Yaml]) -> str:
    head = {"apiVersion": API_VERSION, "kind": kind}
    body = "".join(documents.dump({key: value}) for key, value in {**head, **fields}.items() if value)
    return _COMMENT.format(schema=kind.lower(), comment=comment) + body


# --- the schemas for editors -------------------------------------------------


def schemas() -> dict[str, dict[str, Yaml]]:
    """ "project" and "environment" -> the JSON Schema of the file."""
    return {
        "project": _schema(Project, "Project", "kasmgen.yaml", "What all environments share."),
        "environment": _schema(Environment, "Environment", "environment.yaml", "What one environment has of its own."),
    }


def _schema(cls: type[Input], kind: str, title: str, description: str) -> dict[str, Yaml]:
    body = declaration.schema(
        cls,
        beside={
            "apiVersion": {"const": API_VERSION, "description": "Version of this file's format."},
            "kind": {"const": kind, "description": "Kind of this file."},
        },
        fixed=("name",),
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://kasmgen.dev/schemas/v1/{kind.lower()}.json",
        "title": title,
        "description": description,
        **body,
    }
