"""Sealed files: everything that can be known of one without a key, and the manifest that goes into it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from kasmgen.errors import InputError, SecretError
from kasmgen.kubernetes.resources import Secret
from kasmgen.secrets.recipients import Recipients, of_metadata
from kasmgen.secrets.sops_config import ENCRYPTED_REGEX
from kasmgen.yaml import documents, edit
from kasmgen.yaml.documents import Yaml

SECTIONS = ("data", "stringData")
_BASE64 = "[A-Za-z0-9+/]+={0,2}"
_CIPHERTEXT = re.compile(rf"ENC\[AES256_GCM,data:{_BASE64},iv:{_BASE64},tag:{_BASE64},type:(?P<type>\w+)\]")
_BLOCK = re.compile(rb"""^["']?sops["']?[ \t]*:""", re.MULTILINE)


def is_sealed_value(value: object) -> bool:
    """Whether `value` is what sops leaves of one: ciphertext, or the empty text that it keeps."""
    return isinstance(value, str) and (value == "" or _CIPHERTEXT.fullmatch(value) is not None)


def without_ciphertext(text: str, instead: str) -> str:
    """`text` with `instead` in the place of every ciphertext in it."""
    return _CIPHERTEXT.sub(instead, text)


def has_sops_block(content: bytes) -> bool:
    """Whether a document in `content` has `sops:` at its top level, seen without parsing it."""
    return _BLOCK.search(content) is not None


@dataclass(frozen=True)
class Sealed:
    """A sealed Secret as anybody can read it.

    ciphertext: data key -> "ENC[...]", or "" for an empty value, in the file's
    order. unsealed: data keys whose value stands in clear or is no text; their
    values are not kept.
    """

    source: str
    name: str
    namespace: str
    type: str
    annotations: Mapping[str, str]
    labels: Mapping[str, str]
    ciphertext: Mapping[str, str]
    unsealed: tuple[str, ...]
    recipients: Recipients
    has_mac: bool
    encrypted_regex: str
    mac_only_encrypted: bool

    @property
    def keys(self) -> tuple[str, ...]:
        """The data keys, sorted."""
        return tuple(sorted({*self.ciphertext, *self.unsealed}))


def _document(content: bytes, source: str) -> dict[str, Yaml]:
    try:
        document = documents.load(content.decode("utf-8"), source)
    except UnicodeDecodeError:
        raise SecretError(f"{source}: not UTF-8 text") from None
    except InputError as error:
        raise SecretError(error.message, hint=error.hint) from None
    if not isinstance(document, dict) or document.get("kind") != "Secret" or document.get("apiVersion") != "v1":
        raise SecretError(f"{source} is no Secret (apiVersion v1)")
    if not isinstance(document.get("sops"), dict):
        raise SecretError(
            f"{source} is not sealed: it has no `sops` block",
            hint="if it holds real values, replace them: Git keeps what was committed",
        )
    return document


def _texts(value: Yaml) -> dict[str, str]:
    return {key: str(item) for key, item in value.items()} if isinstance(value, dict) else {}


def _is_sealed_text(value: Yaml) -> bool:
    """Whether `value` is sealed and was text. A number comes back from sops as a number, which no Secret takes."""
    found = _CIPHERTEXT.fullmatch(value) if isinstance(value, str) else None
    return value == "" or (found is not None and found["type"] == "str")


def parse(content: bytes, source: str) -> Sealed:
    """What a sealed file says in clear. `source` names it in errors.

    Raises SecretError if it is no sealed v1 Secret; whether it is sealed well is
    for `problems` to say.
    """
    document = _document(content, source)
    metadata, sops = document.get("metadata"), document["sops"]
    metadata = metadata if isinstance(metadata, dict) else {}
    ciphertext: dict[str, str] = {}
    unsealed: list[str] = []
    for section in SECTIONS:
        for key, value in (document.get(section) or {}).items():
            if _is_sealed_text(value):
                ciphertext[key] = value
            else:
                unsealed.append(key)
    return Sealed(
        source,
        str(metadata.get("name") or ""),
        str(metadata.get("namespace") or ""),
        str(document.get("type") or "Opaque"),
        _texts(metadata.get("annotations")),
        _texts(metadata.get("labels")),
        ciphertext,
        tuple(unsealed),
        of_metadata(sops),
        bool(_CIPHERTEXT.fullmatch(str(sops.get("mac") or ""))),
        str(sops.get("encrypted_regex") or ""),
        sops.get("mac_only_encrypted") is True,
    )


def problems(sealed: Sealed) -> list[str]:
    """What is wrong with how a file is sealed, one sentence each; [] if it is sealed well."""
    found = [f"the value of {key} is not encrypted" for key in sealed.unsealed]
    if not sealed.name or sealed.name.startswith("ENC["):
        found.append("metadata.name is missing or encrypted")
    if sealed.type.startswith("ENC["):
        found.append("type is encrypted")
    if not sealed.has_mac:
        found.append("it has no MAC, so nobody could tell whether it was changed")
    if not sealed.recipients.groups:
        found.append("nobody can decrypt it: it names no recipient")
    if sealed.encrypted_regex != ENCRYPTED_REGEX:
        found.append(f"encrypted_regex is not {ENCRYPTED_REGEX}")
    if not sealed.mac_only_encrypted:
        found.append("mac_only_encrypted is not true, so its MAC breaks in the build")
    if list(sealed.ciphertext) != sorted(sealed.ciphertext):
        found.append("its data keys are not sorted, so its MAC breaks in the build")
    return found


def verify(
    content: bytes,
    *,
    plain_keys: Collection[str],
    recipients: Recipients,
    name: str | None = None,
    namespace: str | None = None,
    annotations: Mapping[str, str] | None = None,
    source: str = "what sops returned",
) -> Sealed:
    """Make sure, before it is used, that `content` is what was meant to come out of sops.

    plain_keys: the data keys that went in. recipients: those of the rule. name,
    namespace, annotations: what has to stand in clear, where given.
    Raises SecretError that lists everything that is wrong, never with a value.
    """
    sealed = parse(content, source)
    found = problems(sealed)
    if missing := sorted(set(plain_keys) - set(sealed.keys)):
        found.append(f"it lacks {', '.join(missing)}")
    if strange := sorted(set(sealed.keys) - set(plain_keys)):
        found.append(f"it has {', '.join(strange)}, which did not go in")
    if sealed.recipients != recipients:
        found.append(f"it is sealed to {sealed.recipients}, and not to {recipients}")
    clear = (("name", name, sealed.name), ("namespace", namespace, sealed.namespace))
    found += [f"its {what} is {is_} and not {required}" for what, required, is_ in clear if required not in (None, is_)]
    if annotations is not None and dict(annotations) != dict(sealed.annotations):
        found.append("its annotations are not the ones that went in")
    if found:
        raise SecretError(
            f"{source} is not sealed as it must be: {'; '.join(found)}",
            hint="look at the rule in .sops.yaml that matches its path",
        )
    return sealed


def revision(content: bytes) -> str:
    """16 hex characters that change when, and only when, a sealed value does.

    They are a hash of the ciphertext alone, so no key is needed and nothing about
    the plaintext is told: `sops updatekeys` keeps them, `sops set` and a sealing
    anew change them.
    """
    document = _document(content, "sealed file")
    values = {section: document[section] for section in SECTIONS if document.get(section)}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def with_annotations(content: bytes, annotations: Mapping[str, str]) -> bytes:
    """`content` with these annotations set in clear, and not one other byte changed.

    The MAC holds, because with `mac_only_encrypted` it covers what is encrypted.
    Raises SecretError if the file is not sealed that way, InputError if its text
    cannot be edited in place.
    """
    sealed = parse(content, "sealed file")
    if not sealed.mac_only_encrypted:
        raise SecretError("a sealed file without mac_only_encrypted cannot be annotated without its key")
    _refuse_section_names(annotations)
    text = content.decode("utf-8")
    return edit.set_entries(text, ("metadata", "annotations"), annotations, "sealed file").encode()


def _refuse_section_names(*mappings: Mapping[str, str]) -> None:
    for key in {key for mapping in mappings for key in mapping} & set(SECTIONS):
        raise InputError(f'a label or annotation named "{key}" would be encrypted; Flux could not read it')


def manifest(
    name: str,
    namespace: str,
    type: str,  # noqa: A002 - the field's own name
    data: Mapping[str, Secret],
    annotations: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Secret:
    """A v1 Secret as JSON, to go into sops: base64 `data`, all keys sorted.

    Sorted keys are what keeps the MAC whole through kustomize. Raises InputError for
    a label or annotation that sops would take for data.
    """
    metadata: dict[str, Yaml] = {"name": name, "namespace": namespace}
    _refuse_section_names(annotations or {}, labels or {})
    if annotations:
        metadata["annotations"] = dict(annotations)
    if labels:
        metadata["labels"] = dict(labels)
    document = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": type, "data": _base64(data)}
    return Secret(json.dumps(document, sort_keys=True, ensure_ascii=False))


def _base64(data: Mapping[str, Secret]) -> dict[str, str]:
    return {key: base64.b64encode(value.reveal()).decode() for key, value in data.items()}


def data_json(data: Mapping[str, Secret]) -> Secret:
    """The `data` of a Secret as JSON, keys sorted: what `sops set` takes for ["data"]."""
    return Secret(json.dumps(_base64(data), sort_keys=True))


def data_of(plain: Secret, source: str = "the decrypted file") -> dict[str, Secret]:
    """The values of a decrypted Secret, `stringData` over `data`, as Kubernetes reads it.

    Raises SecretError, without any content, if it is no Secret.
    """
    try:
        document = documents.load(plain.reveal().decode("utf-8"), source)
        data = {
            key: Secret(base64.b64decode(value, validate=True)) for key, value in (document.get("data") or {}).items()
        }
        return {**data, **{key: Secret(value) for key, value in (document.get("stringData") or {}).items()}}
    except (InputError, UnicodeDecodeError, binascii.Error, AttributeError, TypeError, ValueError):
        raise SecretError(f"{source} holds no Secret with base64 data") from None
