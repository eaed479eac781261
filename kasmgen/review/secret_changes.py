"""What became of a Secret, key by key, without a private key and without a value."""

from __future__ import annotations

from collections.abc import Mapping

from kasmgen.errors import InputError
from kasmgen.kubernetes.fields import mapping
from kasmgen.kubernetes.resources import Object
from kasmgen.layout.annotations import DNS_NAMES, FINGERPRINT, ISSUED_BY, NOT_AFTER, NOT_BEFORE
from kasmgen.review.changes import CertificateFacts, KeyState, SecretChange
from kasmgen.review.mask import clear_values, is_sealed
from kasmgen.secrets.recipients import of_metadata
from kasmgen.secrets.sealed_file import SECTIONS
from kasmgen.yaml.documents import Yaml


def compare_secrets(old: Object | None, new: Object | None) -> SecretChange:
    """What became of a Secret; None where it is not there. Clear values have to be wrapped.

    The rules are those of sops: `set` keeps the data key and the other ciphertexts,
    `rotate` and sealing anew change the data key and with it every ciphertext,
    `updatekeys` changes only who can open the data key.
    """
    resealed = _new_data_key(old, new)
    known_before, known_now = _recipients(old), _recipients(new)
    return SecretChange(
        keys=_keys(old, new, resealed),
        sealed=is_sealed(new if new is not None else old),
        resealed=resealed,
        recipients_added=tuple(sorted(known_now - known_before)),
        recipients_removed=tuple(sorted(known_before - known_now)),
        certificate_old=certificate(old),
        certificate_new=certificate(new),
    )


def _values(obj: Object | None) -> dict[str, Yaml]:
    """Data key -> ciphertext, or the decoded value of one that stands in clear."""
    if obj is None:
        return {}
    raw = {key: value for section in SECTIONS for key, value in mapping(obj, section).items()}
    return {**raw, **clear_values(obj)}


def _keys(old: Object | None, new: Object | None, resealed: bool) -> tuple[tuple[str, KeyState], ...]:
    before, now = _values(old), _values(new)
    if old is None or new is None:
        everywhere: KeyState = "added" if old is None else "removed"
        return tuple((key, everywhere) for key in sorted(before.keys() | now.keys()))
    return tuple((key, _state(key, before, now, resealed)) for key in sorted(before.keys() | now.keys()))


def _state(key: str, before: Mapping[str, Yaml], now: Mapping[str, Yaml], resealed: bool) -> KeyState:
    if key not in before:
        return "added"
    if key not in now:
        return "removed"
    was_sealed, is_now_sealed = isinstance(before[key], str), isinstance(now[key], str)
    if was_sealed != is_now_sealed:
        # sops leaves the empty text as it is, so that neither side need be in clear.
        if not before[key] or not now[key]:
            return "changed" if before[key] or now[key] else "same"
        return "sealed" if is_now_sealed else "unsealed"
    if before[key] == now[key]:
        return "same"
    return "resealed" if resealed and was_sealed else "changed"


def _ciphertexts(obj: Object) -> dict[str, str]:
    return {key: value for key, value in _values(obj).items() if isinstance(value, str) and value}


def _new_data_key(old: Object | None, new: Object | None) -> bool:
    """Whether all ciphertexts and all wrapped keys are other ones."""
    if old is None or new is None or not (is_sealed(old) and is_sealed(new)):
        return False
    before, now = _ciphertexts(old), _ciphertexts(new)
    common = before.keys() & now.keys()
    if not common or any(before[key] == now[key] for key in common):
        return False
    return not (_wrapped_keys(old["sops"]) & _wrapped_keys(new["sops"]))


def _wrapped_keys(sops: Yaml) -> set[str]:
    """Every wrapped copy of the data key (`enc`, and Azure's `wrapped_key`), groups included."""
    found: set[str] = set()
    pending = [sops]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            found |= {v.strip() for k, v in value.items() if k in ("enc", "wrapped_key") and isinstance(v, str)}
        if isinstance(value, (dict, list)):
            pending.extend(value.values() if isinstance(value, dict) else value)
    return found


def _recipients(obj: Object | None) -> set[str]:
    if obj is None or not is_sealed(obj):
        return set()
    try:
        return set(of_metadata(obj["sops"]).everyone)
    except InputError:
        return set()


def certificate(obj: Object | None) -> CertificateFacts | None:
    """The certificate that a Secret's clear annotations describe; None if they describe none."""
    annotations = mapping(obj, "metadata.annotations")
    if NOT_AFTER not in annotations:
        return None

    def text(key: str) -> str:
        return str(annotations.get(key, ""))

    names = tuple(name.strip() for name in text(DNS_NAMES).split(",") if name.strip())
    return CertificateFacts(
        names,
        text(NOT_BEFORE),
        text(NOT_AFTER),
        text(FINGERPRINT),
        text(ISSUED_BY),
    )


def public_part(obj: Object) -> Object:
    """A Secret as it may be shown: everything but its values and what sops wrote."""
    return {key: value for key, value in obj.items() if key not in (*SECTIONS, "sops")}
