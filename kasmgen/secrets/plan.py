"""What has to happen to each sealed Secret of an environment: nothing, mostly.

A value that was sealed once is never made again as a side effect. Without a
private key nothing can be added to a sealed file, so what is required is compared
with what anybody can read of it: names of keys, and clear annotations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias, assert_never

from kasmgen.errors import SecretError
from kasmgen.kubernetes.resources import ResourceId, Secret
from kasmgen.layout import paths
from kasmgen.layout.annotations import INPUTS, PINNED
from kasmgen.secrets import certificates, passwords
from kasmgen.secrets.certificates import CertificateSpec
from kasmgen.secrets.required import TLS_KEYS, Derived, Fixed, Generate, RequiredSecret, SecretEntry
from kasmgen.secrets.sealed_file import Sealed

if TYPE_CHECKING:
    from kasmgen.secrets.tls import PrivateKey


@dataclass(frozen=True)
class Existing:
    """A sealed file of the repository: `path` from the project's root, its bytes, and what can be read of it."""

    path: str
    content: bytes = field(repr=False)
    sealed: Sealed


@dataclass(frozen=True)
class Create:
    """There is no sealed file of the Secret: make all its values, and the file at `path`."""

    required: RequiredSecret
    path: str
    reports: tuple[str, ...] = ()

    @property
    def keys(self) -> frozenset[str]:
        """The data keys to fill."""
        return self.required.keys


@dataclass(frozen=True)
class _OfSealedFile:
    """What the plans for an existing sealed file share.

    reports: what people should know, such as a certificate that lacks a name.
    """

    required: RequiredSecret
    existing: Existing
    reports: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The sealed file, from the project's root."""
        return self.existing.path


@dataclass(frozen=True)
class Keep(_OfSealedFile):
    """The sealed file has what it must: leave it."""


@dataclass(frozen=True)
class Add(_OfSealedFile):
    """The sealed file lacks `keys`: fill them and keep the others, which takes a private key."""

    keys: frozenset[str] = field(kw_only=True)


@dataclass(frozen=True)
class Replace(_OfSealedFile):
    """All values follow the chart, which makes others now: make the file anew, which public keys suffice for."""

    @property
    def keys(self) -> frozenset[str]:
        """The data keys to fill."""
        return self.required.keys


Filling: TypeAlias = Create | Add | Replace
"""Plans that put values into a sealed file."""
Plan: TypeAlias = Keep | Filling
"""What to do with one Secret. Every case has `required`, `path` and `reports`."""


@dataclass(frozen=True)
class Sources:
    """Where new values come from: random bytes, new private keys, and the time."""

    random: Callable[[int], bytes]
    new_key: Callable[[str], PrivateKey]
    now: datetime


def file_path(environment: str, key: ResourceId, taken: Iterable[str]) -> str:
    """Where a new sealed Secret goes, from the project's root."""
    folder = f"{paths.OVERLAYS}/{environment}/secrets"
    path = f"{folder}/{key.name}{paths.SEALED_SUFFIX}"
    return path if path not in set(taken) else f"{folder}/{key.namespace}.{key.name}{paths.SEALED_SUFFIX}"


def find(required: RequiredSecret, existing: Iterable[Existing]) -> Existing | None:
    """The sealed file of a Secret: same name and namespace, or the same name where that is no question.

    The namespace is not sealed, so an environment can move without its Secrets being made again.
    """
    named = [item for item in existing if item.sealed.name == required.id.name]
    exact = [item for item in named if item.sealed.namespace == required.id.namespace]
    if exact:
        return exact[0]
    return named[0] if len(named) == 1 else None


def decide(
    environment: str, required: RequiredSecret, existing: Existing | None, taken: Iterable[str], now: datetime
) -> Plan:
    """What to do with `required`, seen what the repository has of it."""
    if existing is None:
        return Create(required, file_path(environment, required.id, taken))
    required = _pin(required, existing.sealed.annotations.get(PINNED, "").split(","))
    reports = _reports(required, existing, now)
    missing = required.keys - frozenset(existing.sealed.ciphertext) - frozenset(existing.sealed.unsealed)
    if missing & required.issued:
        # A certificate goes with its own key only: what is missing of the pair cannot be made alone.
        missing |= required.issued
        reports += (f"{existing.path}: a part of the certificate is missing, so all of it is made anew",)
    changed = required.inputs != existing.sealed.annotations.get(INPUTS, "")
    follows = frozenset(key for key, entry in required.entries.items() if isinstance(entry, Derived))
    if changed and follows == required.keys == frozenset(existing.sealed.ciphertext) | missing:
        return Replace(required, existing, reports)
    if missing or (changed and follows):
        return Add(required, existing, reports, keys=missing | (follows if changed else frozenset()))
    return Keep(required, existing, reports)


def _pin(required: RequiredSecret, keys: Iterable[str]) -> RequiredSecret:
    """`required` with these keys kept as they were sealed, whatever the chart makes of them."""
    pinned = set(keys)
    entries = {
        key: Fixed(entry.value) if key in pinned and isinstance(entry, Derived) else entry
        for key, entry in required.entries.items()
    }
    return replace(required, entries=entries)


def _reports(required: RequiredSecret, existing: Existing, now: datetime) -> tuple[str, ...]:
    if not required.certificate:
        return ()
    why = certificates.unfit(existing.sealed.annotations, required.certificate, now=now)
    return tuple(f"{existing.path}: {reason}" for reason in why)


def refuse_lost(plans: Iterable[Plan], committed: Callable[[str], bool]) -> None:
    """Refuse to make a Secret anew whose sealed file is in the last commit and gone from the work tree.

    committed: whether the last commit has a file. Raises SecretError.
    """
    for plan in plans:
        if isinstance(plan, Create) and committed(plan.path):
            raise SecretError(
                f"{plan.path} is in the last commit but not in the work tree; "
                "new values in its place would lock the application out of its data",
                hint=f"git restore {plan.path}",
            )


def fill(plan: Filling, sources: Sources, supplied: Mapping[str, Secret]) -> tuple[dict[str, Secret], dict[str, str]]:
    """The values for the plan's keys, and the clear annotations that go with them.

    supplied: data key -> value that somebody passed for this Secret; "" counts as not passed.
    Raises SecretError for a pair of certificate and key that does not belong together.
    """
    data: dict[str, Secret] = {}
    given = {key for key, value in supplied.items() if value.reveal()}
    pinned = sorted(key for key in given & plan.keys if isinstance(plan.required.entries.get(key), Derived | Fixed))
    required = _pin(plan.required, pinned)
    annotations = {INPUTS: required.inputs} if required.inputs else {}
    annotations |= {PINNED: ",".join(pinned)} if pinned else {}
    spec = plan.required.certificate
    if spec and plan.keys & set(TLS_KEYS):
        pair, facts = _pair(spec, plan.path, sources, supplied)
        data.update({key: value for key, value in pair.items() if key in plan.keys})
        annotations.update(facts)
    for key in plan.keys - set(data):
        data[key] = supplied[key] if key in given else _value(plan.required.entries[key], sources)
    return data, annotations


def _value(entry: SecretEntry, sources: Sources) -> Secret:
    match entry:
        case Fixed(value) | Derived(value):
            return value
        case Generate():
            return passwords.generate(sources.random)
        case _:
            assert_never(entry)


def _pair(
    spec: CertificateSpec, path: str, sources: Sources, supplied: Mapping[str, Secret]
) -> tuple[dict[str, Secret], dict[str, str]]:
    """The certificate with its key and authority, supplied or issued as `spec` says, and the annotations about it."""
    # Imported here: cryptography takes a tenth of a second to load, and most plans have no new certificate.
    from kasmgen.secrets import tls

    passed = {key: supplied[key] for key in TLS_KEYS if key in supplied and supplied[key].reveal()}
    if len(passed) == 1:
        raise SecretError(f"{path}: {', '.join(passed)} was passed without the other half of the pair")
    if passed:
        pem = passed["tls.crt"].reveal()
        tls.check_pair(pem, passed["tls.key"])
        facts = tls.facts(pem, supplied=True)
    else:
        key, serial = sources.new_key(spec.key_type), tls.new_serial(sources.random)
        issued = tls.issue(spec, now=sources.now, key=key, serial=serial)
        passed = {"tls.crt": Secret(issued.certificate), "tls.key": issued.key}
        facts = tls.facts(issued.certificate)
    authority = supplied.get("ca.crt", Secret(""))
    return {**passed, "ca.crt": authority if authority.reveal() else passed["tls.crt"]}, facts
