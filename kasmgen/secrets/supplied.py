"""Secret values that people bring, and the Secrets they belong to."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from kasmgen.errors import InputError, SecretError
from kasmgen.kubernetes.resources import ResourceId, Secret
from kasmgen.secrets import passwords as secrets_passwords
from kasmgen.secrets.required import REGISTRY, TLS_KEYS, Fixed, RequiredSecret

PASSWORDS = "passwords"


@dataclass(frozen=True)
class Supplied:
    """Values that people pass with `env add`; none of them is ever written in clear.

    passwords: key, or "secret/key" -> value. pairs: certificate role -> certificate and key (PEM).
    registry: login of a registry. frozen: Secrets with the keys (each Fixed) that came of the chart's values.
    """

    passwords: Mapping[str, Secret] = field(default_factory=dict)
    pairs: Mapping[str, tuple[bytes, Secret]] = field(default_factory=dict)
    registry: Mapping[str, Secret] = field(default_factory=dict)
    frozen: tuple[RequiredSecret, ...] = ()


def registry_secret(name: str, namespace: str, login: Mapping[str, Secret]) -> RequiredSecret:
    """The pull Secret of a registry login (keys registry, username, password, email).

    Raises InputError if a part is missing. Shape: `kubectl create secret docker-registry`.
    """
    for part in ("registry", "username", "password"):
        if part not in login or not login[part].reveal():
            raise InputError(f"registry login: the {part} is missing", hint=f"pass --registry-{_option(part)}")
    text = {key: value.reveal().decode() for key, value in login.items()}
    pair = base64.b64encode(f"{text['username']}:{text['password']}".encode()).decode()
    entry = {"username": text["username"], "password": text["password"], "auth": pair}
    if text.get("email"):
        entry["email"] = text["email"]
    config = json.dumps({"auths": {text["registry"]: entry}}, sort_keys=True)
    return RequiredSecret(
        ResourceId("Secret", namespace, name), REGISTRY, {".dockerconfigjson": Fixed(Secret(config))}, role="registry"
    )


def _option(part: str) -> str:
    return {"registry": "server", "password": "password-file"}.get(part, part)


def with_frozen(required: Iterable[RequiredSecret], frozen: Iterable[RequiredSecret]) -> tuple[RequiredSecret, ...]:
    """What the chart asks for without the values, and what it made of them that it does not ask for without."""
    out = {item.id: item for item in required}
    for item in frozen:
        out[item.id] = _completed(out[item.id], item) if item.id in out else item
    return tuple(out.values())


def _completed(required: RequiredSecret, frozen: RequiredSecret) -> RequiredSecret:
    extra = {key: entry for key, entry in frozen.entries.items() if key not in required.keys}
    entries = {**required.entries, **extra}
    if required.role:  # a profile knows what the Secret must be
        return replace(required, entries=entries)
    return replace(required, entries=entries, type=frozen.type, labels=frozen.labels)


def require_sealed(
    values: Mapping[ResourceId, Mapping[str, Secret]], sealed: Mapping[ResourceId, frozenset[str]]
) -> None:
    """Raise SecretError for a value that would be sealed nowhere. sealed: Secret -> data keys that are sealed now."""
    lost = [f"{id_.name}/{key}" for id_, data in values.items() for key in data if key not in sealed.get(id_, ())]
    if lost:
        raise SecretError(f"what was passed for {', '.join(sorted(lost))} would be sealed nowhere")


def assign(supplied: Supplied, required: Iterable[RequiredSecret]) -> dict[ResourceId, dict[str, Secret]]:
    """Secret -> data key -> supplied value.

    Raises InputError for a key that no Secret has or that several have, SecretError for a
    value that is the mask of some tool.
    """
    secrets = list(required)
    out: dict[ResourceId, dict[str, Secret]] = {secret.id: {} for secret in secrets}
    for item in supplied.frozen:
        values = {key: entry.value for key, entry in item.entries.items() if isinstance(entry, Fixed)}
        out.setdefault(item.id, {}).update(values)
    for label, value in supplied.passwords.items():
        if secrets_passwords.is_placeholder(value) and value.reveal():
            raise SecretError(f"{label}: the value is a placeholder or the mask of some tool, not a secret")
        secret, data_key = _owner(label, secrets)
        out[secret.id][data_key] = value
    for role, (certificate, private) in supplied.pairs.items():
        target = next((secret for secret in secrets if secret.role == role), None)
        if target:
            out[target.id].update(dict(zip(TLS_KEYS, (Secret(certificate), private), strict=True)))
    return out


def _owner(key: str, secrets: list[RequiredSecret]) -> tuple[RequiredSecret, str]:
    name, slash, data_key = key.rpartition("/")
    found = [
        (secret, candidate)
        for secret in secrets
        for candidate in secret.entries
        if candidate in (data_key, _kebab(data_key)) and (not slash or secret.id.name == name)
    ]
    own = [item for item in found if item[0].role == PASSWORDS]
    found = own or found
    if len(found) == 1:
        return found[0]
    if found:
        choices = ", ".join(f"{secret.id.name}/{candidate}" for secret, candidate in found)
        raise InputError(f"--password-file: '{key}' is in several Secrets", hint=f"write one of {choices}")
    known = sorted(candidate for secret in secrets for candidate in secret.entries)
    # The key is not repeated: where key and value were swapped, it is the password.
    raise InputError("--password-file: a key of it is in no Secret", hint=f"known keys: {', '.join(known) or 'none'}")


def _kebab(key: str) -> str:
    """dbPassword -> db-password, as upstream's values name them."""
    return "".join(f"-{char.lower()}" if char.isupper() else char for char in key)


def warnings(supplied: Supplied) -> tuple[str, ...]:
    """What may not work with the passwords that people bring, in words that never quote one."""
    return tuple(
        f"{key}: {problem}"
        for key, value in supplied.passwords.items()
        if value.reveal()
        for problem in secrets_passwords.check(value)
    )
