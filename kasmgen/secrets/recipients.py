"""Who can open a sealed file: recipients as comparable text, from a rule or from a sealed file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from kasmgen.errors import InputError
from kasmgen.yaml.documents import Yaml


@dataclass(frozen=True)
class Recipients:
    """Keys that open a file, in the groups that sops knows; equal if the same keys do.

    An age recipient stands as it is, an SSH one without its comment; all others
    are "<kind>:<identifier>" (pgp, kms, gcp_kms, hckms, azure_kv, hc_vault).
    threshold: from how many groups a key is needed.
    """

    groups: tuple[tuple[str, ...], ...]
    threshold: int = 1

    @classmethod
    def of(cls, groups: Iterable[Iterable[str]], threshold: int = 0) -> Recipients:
        """Recipients with order and repetition taken out; threshold 0 means all groups."""
        kept = tuple(sorted(tuple(sorted(set(group))) for group in groups if group))
        return cls(kept, (threshold or len(kept)) if len(kept) > 1 else 1)

    @property
    def everyone(self) -> tuple[str, ...]:
        """Every key once, sorted."""
        return tuple(sorted({key for group in self.groups for key in group}))

    @property
    def age(self) -> tuple[str, ...]:
        """The age recipients (X25519, plugins and SSH keys), sorted."""
        return tuple(key for key in self.everyone if key.startswith(("age1", "ssh-")))

    @property
    def others(self) -> tuple[str, ...]:
        """The recipients that are not age's, sorted."""
        return tuple(key for key in self.everyone if not key.startswith(("age1", "ssh-")))

    def __str__(self) -> str:
        if len(self.groups) < 2:
            return ", ".join(self.everyone) or "nobody"
        groups = " and ".join(f"[{', '.join(group)}]" for group in self.groups)
        return f"{groups} (keys of {self.threshold} groups are needed)"


def check_recipient(text: str, option: str = "--recipient") -> str:
    """`text` as sops takes an age recipient: X25519, a plugin's, or an SSH public key.

    Raises InputError that names `option`; a private key is never echoed.
    """
    # Imported here: a compiled library that most commands do without.
    import pyrage

    text = text.strip()
    if "SECRET-KEY" in text.upper() or "PRIVATE KEY" in text.upper() or text.upper().startswith("AGE-PLUGIN-"):
        raise InputError(
            f"{option} was given a private key; a recipient is the public one",
            hint="age-keygen -y prints the recipient that belongs to a key file",
        )
    try:
        if text.startswith("ssh-"):
            pyrage.ssh.Recipient.from_str(text)
        elif text.startswith("age1") and text.count("1") > 1:
            pyrage.plugin.Recipient.from_str(text)
        elif text.startswith("age1"):
            pyrage.x25519.Recipient.from_str(text)
        else:
            raise ValueError("it begins with neither age1 nor ssh-")
    except (pyrage.RecipientError, ValueError) as error:
        raise InputError(
            f'{option} "{text[:120]}" is no age recipient: {error}',
            hint="age-keygen -y prints the recipient (age1...) of a key file",
        ) from None
    return text


# --- identifiers ---------------------------------------------------------


def _age(text: str) -> str:
    text = text.strip()
    return " ".join(text.split()[:2]) if text.startswith("ssh-") else text


def _pgp(fingerprint: str) -> str:
    return "pgp:" + fingerprint.replace(" ", "").upper()


def _kms(arn: str) -> str:
    # A role to assume may follow the key ("<key>+<role>"); the key decides who can decrypt.
    return "kms:" + arn.replace(" ", "").partition("+")[0]


def _azure(url: str) -> str:
    # The version may be left out of a rule and is then looked up, so it says nothing about who.
    vault, _, key = url.strip().rstrip("/").partition("/keys/")
    return f"azure_kv:{vault.rstrip('/')}/keys/{key.partition('/')[0]}"


def _vault(uri: str) -> str:
    return "hc_vault:" + uri.strip().rstrip("/")


_IDENTIFIERS: dict[str, Callable[[str], str]] = {
    "age": _age,
    "pgp": _pgp,
    "kms": _kms,
    "gcp_kms": lambda text: "gcp_kms:" + text.strip(),
    "hckms": lambda text: "hckms:" + text.strip(),
    "azure_keyvault": _azure,
    "hc_vault": _vault,
    "hc_vault_transit_uri": _vault,
}


def texts(value: Yaml) -> list[str]:
    """The keys in a field of a rule: comma-separated text or a list of such."""
    items = value if isinstance(value, list) else [value]
    return [part.strip() for item in items if isinstance(item, str) for part in item.split(",") if part.strip()]


def of_rule(rule: Mapping[str, Yaml]) -> Recipients:
    """The recipients that sops takes from a creation rule of `.sops.yaml`.

    With `key_groups` the rule's own keys are ignored, as sops does
    (getsops/sops config/config.go).
    """
    groups = rule.get("key_groups")
    if isinstance(groups, list) and groups:
        threshold = rule.get("shamir_threshold")
        return Recipients.of(map(_group, groups), threshold if isinstance(threshold, int) else 0)
    keys = [identify(text) for kind, identify in _IDENTIFIERS.items() for text in texts(rule.get(kind))]
    return Recipients.of([keys + _unknown(rule, "plugins")])


def _group(group: Yaml) -> list[str]:
    if not isinstance(group, dict):
        return []
    keys = [key for merged in group.get("merge") or [] for key in _group(merged)]
    fields = {"kms": "arn", "gcp_kms": "resource_id", "hckms": "key_id"}
    for kind, identify in _IDENTIFIERS.items():
        for item in group.get(kind) or []:
            if kind == "azure_keyvault" and isinstance(item, dict):
                keys.append(identify(f"{item.get('vaultUrl', '')}/keys/{item.get('key', '')}"))
            elif isinstance(item, dict):
                keys.append(identify(str(item.get(fields.get(kind, ""), ""))))
            else:
                keys += [identify(text) for text in texts(item)]
    return keys + _unknown(group, "plugins")


def _unknown(holder: Mapping[str, Yaml], kind: str) -> list[str]:
    return [f"{kind}:{json.dumps(item, sort_keys=True)}" for item in holder.get(kind) or []]


def of_metadata(metadata: Mapping[str, Yaml]) -> Recipients:
    """The recipients that the `sops` block of a sealed file names."""
    if keys := _metadata_group(metadata):
        return Recipients.of([keys])
    groups = metadata.get("key_groups")
    threshold = metadata.get("shamir_threshold")
    return Recipients.of(
        map(_metadata_group, groups if isinstance(groups, list) else []),
        threshold if isinstance(threshold, int) else 0,
    )


def _metadata_group(group: Yaml) -> list[str]:
    keys = []
    for kind, entries in group.items() if isinstance(group, dict) else ():
        if kind != "key_groups" and isinstance(entries, list):
            keys += [_metadata_key(kind, entry) for entry in entries if isinstance(entry, dict)]
    return keys


def _metadata_key(kind: str, entry: Mapping[str, Yaml]) -> str:
    def field(name: str) -> str:
        return str(entry.get(name, ""))

    match kind:
        case "age":
            return _age(field("recipient"))
        case "pgp":
            return _pgp(field("fp"))
        case "kms":
            return _kms(field("arn"))
        case "gcp_kms":
            return "gcp_kms:" + field("resource_id")
        case "hckms":
            return "hckms:" + field("key_id")
        case "azure_kv":
            return _azure(f"{field('vault_url')}/keys/{field('name')}")
        case "hc_vault":
            return _vault(f"{field('vault_address')}/v1/{field('engine_path')}/keys/{field('key_name')}")
    # A kind of key that this version does not know must never look like nobody.
    return f"{kind}:{json.dumps({k: v for k, v in entry.items() if k != 'enc'}, sort_keys=True)}"
