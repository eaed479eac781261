"""`kasmgen secret show`: what a sealed Secret holds, for those who have a key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kasmgen import safe_text
from kasmgen.commands.render import select
from kasmgen.errors import InputError
from kasmgen.kubernetes.resources import Secret
from kasmgen.programs import sops
from kasmgen.project.workspace import EnvironmentFiles, load
from kasmgen.secrets import private_keys, sealed_file
from kasmgen.secrets.plan import Existing

_REVEAL = "add it only where nobody else reads the output; the log of a pipeline is read by many"


def run(start: Path, environment: str, key: str, *, reveal: bool) -> dict[str, Secret]:
    """Label -> value: all of an environment, or the one that `key` names.

    A label is "secret/key", or "namespace/secret/key" where two Secrets have one name;
    `key` may be the end of a label. reveal: give private keys and whole Secrets, too. Raises
    SecretError that says why if no key at hand fits, InputError for a key that is nowhere or
    in several Secrets, and for what is not given without `reveal`.
    """
    if not key and not reveal:
        raise InputError(
            "whole Secrets, private keys among them, are not printed without --reveal",
            hint=f"{_REVEAL}. One value: kasmgen secret show {environment} admin-password",
        )
    workspace = load(start)
    files = workspace.environments[select(workspace, [environment])[0]]
    labels = _labels(files)
    matching = _matching(environment, labels, key)
    program = sops.locate()
    out: dict[str, Secret] = {}
    for item in files.existing:
        keys = {label: data_key for label, (owner, data_key) in labels.items() if owner is item and label in matching}
        if keys:
            data = sealed_file.data_of(sops.decrypt(program, item.content, name=item.path), item.path)
            out.update({label: data[data_key] for label, data_key in keys.items() if data_key in data})
    private = [label for label, value in out.items() if private_keys.holds_one(value.reveal())]
    if private and not reveal:
        raise InputError(f"{private[0]} is a private key, and not printed without --reveal", hint=_REVEAL)
    return out


def _labels(files: EnvironmentFiles) -> dict[str, tuple[Existing, str]]:
    """Label -> sealed file and data key."""
    names = [item.sealed.name for item in files.existing]
    out: dict[str, tuple[Existing, str]] = {}
    for item in files.existing:
        alone = names.count(item.sealed.name) == 1
        name = item.sealed.name if alone else f"{item.sealed.namespace}/{item.sealed.name}"
        out.update({f"{name}/{data_key}": (item, data_key) for data_key in sorted(item.sealed.ciphertext)})
    return out


def _matching(environment: str, labels: Mapping[str, object], key: str) -> list[str]:
    found = [label for label in labels if not key or label == key or label.endswith(f"/{key}")]
    if not found:
        hint = f"there are: {', '.join(labels) or 'none'}"
        raise InputError(f"environment {environment} has no secret '{safe_text.shown(key)}'", hint=hint)
    if key and len(found) > 1:
        raise InputError(f"'{safe_text.shown(key)}' is in several Secrets", hint=f"name one of {', '.join(found)}")
    return found
