"""4xx, what must not stand anywhere in clear: Secrets, private keys, masks and known values."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from kasmgen.check.rule import ERROR, WARNING, Hit, Rule
from kasmgen.errors import InputError
from kasmgen.kubernetes import kinds
from kasmgen.kubernetes.resources import Secret
from kasmgen.layout import paths as layout_paths
from kasmgen.secrets import private_keys
from kasmgen.secrets.sealed_file import SECTIONS, is_sealed_value
from kasmgen.yaml import documents as yaml_documents

LARGEST = 16 * 1024 * 1024
"""Bytes; a file that is larger is not looked into."""


@dataclass(frozen=True)
class Text:
    """Something to look into: a file of the tree, or one value in what an overlay builds to.

    content: None if it is too large. object: what the value belongs to, "" for a file.
    part: where in the object, such as "data.nginx.conf". in_chart: a template of a chart.
    known: values that must not occur.
    """

    path: str
    content: bytes | None = field(repr=False)
    environment: str = ""
    object: str = ""
    part: str = ""
    in_chart: bool = False
    known: Known | None = field(default=None, repr=False)

    def hit(self, what: str, position: int = 0) -> Hit:
        """A hit at `position` in the content."""
        if self.object:
            return Hit(f"{self.part} {what}", self.path, self.object, self.environment)
        line = (self.content or b"").count(b"\n", 0, position) + 1
        return Hit(f"the file {what}", self.path, "", self.environment, line)


# --- plaintext Secrets -----------------------------------------------------

_SECRET_WORD = re.compile(rb"\bSecret(?:List)?\b")
_LOOKS_LIKE_SECRET = re.compile(rb"^[ \t]*[\"']?kind[\"']?[ \t]*:[ \t]*[\"']?Secret[\"']?[ \t,]*\r?$", re.MULTILINE)


def may_hold_secret(content: bytes) -> bool:
    """Whether the word is in it; only then it is worth reading as YAML."""
    return _SECRET_WORD.search(content) is not None


def plain_secret(text: Text) -> Iterator[Hit]:
    if text.object or text.content is None or text.in_chart or not layout_paths.is_yaml(text.path):
        return
    if layout_paths.environment_of_sealed(text.path) or not may_hold_secret(text.content):
        return
    try:
        documents = yaml_documents.load_all(text.content.decode("utf-8"), text.path)
    except (InputError, UnicodeDecodeError):
        if found := _LOOKS_LIKE_SECRET.search(text.content):
            yield text.hit("looks like a Secret in clear, and cannot be read", found.start())
        return
    for document in documents:
        for name, key in _in_clear(document.value):
            what = f"holds the Secret {name} in clear: {key} is not encrypted"
            yield Hit(f"the file {what}", text.path, f"Secret {name}", text.environment, document.line)


def _in_clear(value: object) -> Iterator[tuple[str, str]]:
    """(name, first key in clear) of the Secrets in a document; a List may hold several."""
    if not isinstance(value, dict):
        return
    if value.get("kind") != "Secret":
        items = value.get("items")
        for item in items if isinstance(items, list) and str(value.get("kind")).endswith("List") else ():
            kind = {"kind": "Secret"} if value.get("kind") == "SecretList" and isinstance(item, dict) else {}
            yield from _in_clear({**item, **kind} if isinstance(item, dict) else item)
        return
    metadata = value.get("metadata")
    name = str(metadata.get("name")) if isinstance(metadata, dict) else "?"
    for section in SECTIONS:
        values = value.get(section)
        for key, item in values.items() if isinstance(values, dict) else ():
            if item is not None and not is_sealed_value(item):
                yield name, f"{section}.{key}"
                return


# --- private keys ----------------------------------------------------------


def private_key(text: Text) -> Iterator[Hit]:
    for found in private_keys.find(text.content or b""):
        yield text.hit(f"holds a private key {found.form}", found.position)


# --- masks -----------------------------------------------------------------

_MASK = re.compile(
    rb"\*\*SOPS\*\*|" + base64.b64encode(b"**SOPS**").rstrip(b"=") + rb"|Secret\(\*\*\*\)"
    rb"|(?m:^[^\n#]*[:=][ \t]*[\"']?\*{3,}[\"']?[ \t]*\r?$)"
)
_MASKED_VALUE = re.compile(rb"[\"']?(\*{3,}|\*\*SOPS\*\*|Secret\(\*\*\*\))[\"']?")


def mask(text: Text) -> Iterator[Hit]:
    content = text.content or b""
    if text.object:
        if _MASKED_VALUE.fullmatch(content.strip()):
            yield text.hit("is a mask and not a value")
    elif layout_paths.is_yaml(text.path) or text.path.endswith((".env", ".properties")):
        found = _MASK.search(content) if not text.in_chart else None
        if found:
            yield text.hit("holds a mask where a value should be", found.start())


# --- known values ----------------------------------------------------------

SHORTEST = 8
"""Characters of letters and digits in a row that a value needs to be looked for."""

_RUN = re.compile(rb"[A-Za-z0-9]{8,}")


@dataclass(frozen=True)
class Known:
    """Values that were decrypted here, and must not be found elsewhere.

    probes: the longest run of letters and digits in a value -> (whole value, what it is called).
    """

    probes: Mapping[bytes, tuple[tuple[Secret, str], ...]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, values: Mapping[str, Secret]) -> Known:
        """Name -> value. Certificates are public, and what is too short occurs by chance."""
        probes: dict[bytes, list[tuple[Secret, str]]] = {}
        for name, value in values.items():
            plain = value.reveal().strip()
            if b"-----BEGIN CERTIFICATE" in plain:
                continue
            for form in (plain, base64.b64encode(value.reveal())):
                runs = _RUN.findall(form)
                if runs:
                    probes.setdefault(max(runs, key=len), []).append((Secret(form), name))
        return cls({probe: tuple(found) for probe, found in probes.items()})


def known_value(text: Text) -> Iterator[Hit]:
    content, known = text.content, text.known
    if (
        not content
        or known is None
        or not known.probes
        or (layout_paths.environment_of_sealed(text.path) and not text.object)
    ):
        return
    told: set[str] = set()
    for run in set(_RUN.findall(content)) & known.probes.keys():
        for value, name in known.probes[run]:
            position = content.find(value.reveal())
            if position >= 0 and name not in told:
                told.add(name)
                yield text.hit(f"holds the value of {name} in clear", position)


def too_large(text: Text) -> Iterator[Hit]:
    if text.content is None:
        yield Hit(f"the file is larger than {LARGEST // 2**20} MiB", text.path, "", text.environment)


# --- what a build holds in clear -------------------------------------------


def values_of(objects: Iterable[Mapping[str, object]]) -> Iterator[tuple[str, str, bytes]]:
    """(object, field, value) of everything in ConfigMaps and in environment variables of containers."""
    for obj in objects:
        shown = _shown(obj)
        if obj.get("kind") == "ConfigMap":
            for section in ("data", "binaryData"):
                values = obj.get(section)
                for key, value in values.items() if isinstance(values, dict) else ():
                    yield shown, f"{section}.{key}", _decoded(section, str(value))
        template = kinds.pod_template(dict(obj))
        for container in kinds.containers(template.get("spec")) if template else ():
            for variable in container.get("env") or ():
                if isinstance(variable, dict) and isinstance(variable.get("value"), str):
                    where = f"env {variable.get('name')} of container {container.get('name')}"
                    yield shown, where, variable["value"].encode("utf-8", "replace")


def _shown(obj: Mapping[str, object]) -> str:
    metadata = obj.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    namespace = metadata.get("namespace")
    return f"{obj.get('kind')} {metadata.get('name')}" + (f" in {namespace}" if namespace else "")


def _decoded(section: str, value: str) -> bytes:
    if section == "binaryData":
        try:
            return base64.b64decode(value)
        except ValueError:
            return b""
    return value.encode("utf-8", "replace")


def chart_directories(paths: Collection[str]) -> tuple[str, ...]:
    """Folders `templates/` of the charts among `paths`; what stands there are templates, not manifests."""
    charts = [path.removesuffix("Chart.yaml") for path in paths if path == "Chart.yaml" or path.endswith("/Chart.yaml")]
    return tuple(f"{chart}templates/" for chart in charts)


RULES: tuple[Rule[Text], ...] = (
    Rule(
        "KG411",
        ERROR,
        "a Secret stands in clear",
        "Whoever has the repository can read it, now and in its history. Only `*.sops.yaml` files hold Secrets.",
        "remove it, replace the values that it held, and seal the new ones with sops",
        plain_secret,
    ),
    Rule(
        "KG412",
        ERROR,
        "a private key stands in clear",
        "A PEM or age private key is in a file, in a ConfigMap or in an environment variable of a container. A key "
        "that was in Git once is known to everybody who ever cloned it.",
        "remove it and make a new key; deleting the file leaves the key in the history",
        private_key,
    ),
    Rule(
        "KG413",
        ERROR,
        "a mask stands where a value should be",
        "Tools print `**SOPS**` or `***` in place of values that must not be seen. Committed, the mask itself becomes "
        "the password or setting.",
        "put the real value there, sealed if it is secret; never commit the output of `flux build` or `flux diff`",
        mask,
    ),
    Rule(
        "KG414",
        ERROR,
        "the value of a sealed Secret stands elsewhere in clear",
        "Only where a private key is at hand: a decrypted value was found, as it is or in base64, in another file, in "
        "a ConfigMap or in an environment variable. The value itself is never shown.",
        "remove it, replace the value, and refer to the Secret instead (secretKeyRef)",
        known_value,
    ),
    Rule(
        "KG415",
        WARNING,
        "a file is too large to be looked into",
        "Files above 16 MiB are not searched for Secrets and keys.",
        "keep large files out of the repository that Flux reads",
        too_large,
    ),
)
