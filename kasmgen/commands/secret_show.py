"""`kasmgen secret show`: what a sealed Secret holds, for those who have a key."""

from __future__ import annotations

from pathlib import Path

from kasmgen.commands.render import select
from kasmgen.errors import InputError
from kasmgen.model import Secret
from kasmgen.steps import sealed
from kasmgen.tools import sops
from kasmgen.workspace import EnvironmentFiles, load


def run(start: Path, environment: str, key: str) -> dict[str, Secret]:
    """ "secret/key" -> value: all of an environment, or those that `key` ("key" or "secret/key") names.

    Raises SecretError that says why if no key at hand fits, InputError for a key that is nowhere.
    """
    workspace = load(start)
    files = workspace.environments[select(workspace, [environment])[0]]
    wanted = _matching(files, key)
    program = sops.locate()
    out: dict[str, Secret] = {}
    for item in files.existing:
        keys = [data_key for name, data_key in wanted if name == item.sealed.name]
        if keys:
            data = sealed.data_of(sops.decrypt(program, item.content, name=item.path), item.path)
            out.update({f"{item.sealed.name}/{data_key}": data[data_key] for data_key in keys if data_key in data})
    return out


def _matching(files: EnvironmentFiles, key: str) -> list[tuple[str, str]]:
    every = [(item.sealed.name, data_key) for item in files.existing for data_key in sorted(item.sealed.ciphertext)]
    if not key:
        return every
    name, slash, data_key = key.rpartition("/")
    found = [pair for pair in every if pair[1] == data_key and (not slash or pair[0] == name)]
    if not found:
        raise InputError(
            f"environment {files.environment.name} has no secret '{key}'",
            hint="there are: " + ", ".join("/".join(pair) for pair in every),
        )
    if len(found) > 1:
        raise InputError(
            f"'{key}' is in several Secrets", hint="name one of " + ", ".join("/".join(pair) for pair in found)
        )
    return found
