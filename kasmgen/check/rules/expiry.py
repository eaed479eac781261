"""5xx: certificates hold and cover their names, by the clear annotations of their Secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kasmgen.check.rule import ERROR, WARNING, Hit, Rule
from kasmgen.layout import paths
from kasmgen.layout.annotations import NOT_AFTER, NOT_BEFORE
from kasmgen.secrets import certificates
from kasmgen.secrets.certificates import CertificateSpec
from kasmgen.secrets.sealed_file import Sealed


@dataclass(frozen=True)
class Certificates:
    """now: aware. days: how long a certificate must still last. required: path -> what the environment asks of it."""

    sealed: Mapping[str, Sealed] = field(repr=False)
    now: datetime
    days: int = 30
    required: Mapping[str, CertificateSpec] = field(default_factory=dict)

    def hit(self, path: str, message: str) -> Hit:
        """A hit in the sealed file at `path`."""
        sealed = self.sealed[path]
        where = f" in {sealed.namespace}" if sealed.namespace else ""
        return Hit(message, path, f"Secret {sealed.name}{where}", paths.environment(path))


def _end(sealed: Sealed) -> datetime | None:
    return certificates.expiry(sealed.annotations)


def _begin(sealed: Sealed) -> datetime | None:
    # The same form of date, under another name.
    begin = sealed.annotations.get(NOT_BEFORE, "")
    return certificates.expiry({NOT_AFTER: begin})


def expired(context: Certificates) -> Iterator[Hit]:
    for path, sealed in context.sealed.items():
        end = _end(sealed)
        if end is not None and end <= context.now:
            yield context.hit(path, f"the certificate expired on {end:%Y-%m-%d}")


def expiring(context: Certificates) -> Iterator[Hit]:
    for path, sealed in context.sealed.items():
        end = _end(sealed)
        if end is not None and context.now < end <= context.now + timedelta(days=context.days):
            left = (end - context.now).days
            yield context.hit(path, f"the certificate expires on {end:%Y-%m-%d}, in {left} days")


def not_yet(context: Certificates) -> Iterator[Hit]:
    for path, sealed in context.sealed.items():
        begin = _begin(sealed)
        if begin is not None and begin > context.now:
            yield context.hit(path, f"the certificate is not valid before {begin:%Y-%m-%d}")


def names(context: Certificates) -> Iterator[Hit]:
    for path, spec in context.required.items():
        sealed = context.sealed.get(path)
        end = _end(sealed) if sealed else None
        if sealed is None or end is None:
            continue
        # At the last moment of its validity only its names can be wrong.
        timeless = {key: value for key, value in sealed.annotations.items() if key != NOT_BEFORE}
        reasons = certificates.unfit(timeless, spec, now=end - timedelta(seconds=1))
        if reasons:
            yield context.hit(path, f"the certificate: {'; '.join(reasons)}")


def silent(context: Certificates) -> Iterator[Hit]:
    for path in context.required:
        sealed = context.sealed.get(path)
        if sealed is not None and _end(sealed) is None:
            yield context.hit(path, f"no annotation {NOT_AFTER} says how long the certificate holds")


_REPLACE = "`git rm` the sealed file and commit; `kasmgen render` then makes a new certificate"

RULES: tuple[Rule[Certificates], ...] = (
    Rule(
        "KG501",
        ERROR,
        "a certificate has expired",
        "Clients and the components themselves refuse the connection.",
        _REPLACE,
        expired,
    ),
    Rule(
        "KG502",
        WARNING,
        "a certificate expires soon",
        "Within `--days` (30 if not given) of today.",
        _REPLACE,
        expiring,
    ),
    Rule(
        "KG503",
        ERROR,
        "a certificate does not cover its names",
        "A host name of environment.yaml or a Service name is not among the names of the certificate, so clients "
        "refuse it.",
        _REPLACE,
        names,
    ),
    Rule(
        "KG504",
        ERROR,
        "a certificate is not valid yet",
        "Its validity begins in the future: a wrong clock, or a certificate made ahead.",
        "wait until then, or replace it",
        not_yet,
    ),
    Rule(
        "KG505",
        WARNING,
        "nothing says what a certificate holds",
        "The sealed Secret lacks the clear annotations that say until when and for which names the certificate holds, "
        "so nobody can know without a private key.",
        "`git rm` the sealed file and commit; `kasmgen render` then makes it anew and writes them",
        silent,
    ),
)
