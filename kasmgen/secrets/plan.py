"""What has to happen to each sealed Secret of an environment: nothing, mostly.

A value that was sealed once is never made again as a side effect. Without a
private key nothing can be added to a sealed file, so what is required is compared
with what anybody can read of it: names of keys, and clear annotations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from kasmgen.errors import SecretError
from kasmgen.kubernetes.resources import ResourceId, Secret
from kasmgen.layout import paths
from kasmgen.layout.annotations import INPUTS, PINNED
from kasmgen.secrets import certificates, passwords
from kasmgen.secrets.required import TLS_KEYS, Derived, Fixed, Generate, RequiredSecret
from kasmgen.secrets.sealed_file import Sealed

Action = Literal["keep", "create", "add", "replace"]


@dataclass(frozen=True)
class Existing:
    """A sealed file of the repository: `path` from the project's root, its bytes, and what can be read of it."""

    path: str
    content: bytes = field(repr=False)
    sealed: Sealed


@dataclass(frozen=True)
class Plan:
    """What to do with one Secret.

    keys: the data keys to fill (all for create and replace, the missing ones for
    add). reports: what people should know, such as a certificate that lacks a name.
    """

    required: RequiredSecret
    path: str
    action: Action
    existing: Existing | None = None
    keys: frozenset[str] = frozenset()
    reports: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sources:
    """Where new values come from: random bytes, new private keys, serial numbers, and the time."""

    random: Callable[[int], bytes]
    new_key: Callable[[str], certificates.PrivateKey]
    serial: Callable[[], int]
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
        path = file_path(environment, required.id, taken)
        return Plan(required, path, "create", None, required.keys)
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
        return Plan(required, existing.path, "replace", existing, required.keys, reports)
    if missing or (changed and follows):
        return Plan(required, existing.path, "add", existing, missing | (follows if changed else frozenset()), reports)
    return Plan(required, existing.path, "keep", existing, frozenset(), reports)


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
        if plan.action == "create" and committed(plan.path):
            raise SecretError(
                f"{plan.path} is in the last commit but not in the work tree; "
                "new values in its place would lock the application out of its data",
                hint=f"git restore {plan.path}",
            )


def fill(plan: Plan, sources: Sources, supplied: Mapping[str, Secret]) -> tuple[dict[str, Secret], dict[str, str]]:
    """The values for the plan's keys, and the clear annotations that go with them.

    supplied: data key -> value that somebody passed for this Secret; "" counts as not passed.
    Raises SecretError for a pair of certificate and key that does not belong together.
    """
    data: dict[str, Secret] = {}
    given = {key for key, value in supplied.items() if value.reveal()}
    pinned = sorted(key for key in given & plan.keys if isinstance(plan.required.entries.get(key), Derived))
    required = _pin(plan.required, pinned)
    annotations = {INPUTS: required.inputs} if required.inputs else {}
    annotations |= {PINNED: ",".join(pinned)} if pinned else {}
    spec = plan.required.certificate
    if spec and plan.keys & set(TLS_KEYS):
        pair, facts = _pair(plan, sources, supplied)
        data.update({key: value for key, value in pair.items() if key in plan.keys})
        annotations.update(facts)
    for key in plan.keys - set(data):
        entry = plan.required.entries.get(key)
        if key in given:
            data[key] = supplied[key]
        elif isinstance(entry, (Fixed, Derived)):
            data[key] = entry.value
        else:
            assert entry is None or isinstance(entry, Generate)
            data[key] = passwords.generate(sources.random)
    return data, annotations


def _pair(plan: Plan, sources: Sources, supplied: Mapping[str, Secret]) -> tuple[dict[str, Secret], dict[str, str]]:
    spec = plan.required.certificate
    assert spec is not None
    passed = {key: supplied[key] for key in TLS_KEYS if key in supplied and supplied[key].reveal()}
    if len(passed) == 1:
        raise SecretError(f"{plan.path}: {', '.join(passed)} was passed without the other half of the pair")
    if passed:
        pem = passed["tls.crt"].reveal()
        certificates.check_pair(pem, passed["tls.key"])
        facts = certificates.facts(pem, supplied=True)
    else:
        issued = certificates.issue(spec, now=sources.now, key=sources.new_key(spec.key_type), serial=sources.serial())
        passed = {"tls.crt": Secret(issued.certificate), "tls.key": issued.key}
        facts = certificates.facts(issued.certificate)
    authority = supplied.get("ca.crt", Secret(""))
    return {**passed, "ca.crt": authority if authority.reveal() else passed["tls.crt"]}, facts
