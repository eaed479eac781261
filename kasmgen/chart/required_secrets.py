"""The Secrets that an environment's chart asks for: those that its profile knows, then what else it renders."""

from __future__ import annotations

from collections.abc import Iterable

from kasmgen.chart.release import Release
from kasmgen.errors import InputError
from kasmgen.kubernetes.resources import Render
from kasmgen.layout import paths
from kasmgen.project.config import CertificateInput, Environment
from kasmgen.secrets import required
from kasmgen.secrets.certificates import CertificateSpec
from kasmgen.secrets.required import RequiredSecret


def of(release: Release, environment: Environment, first: Render, second: Render) -> tuple[RequiredSecret, ...]:
    """All Secrets that the environment must have, seen from two renders of its release.

    Raises InputError for an entry under `certificates` that is about none of them.
    """
    known = {item.id: item for item in release.known_secrets()}
    for key, rendered in sorted(first.secrets.items()):
        if key not in known:
            again = second.secrets.get(key)
            how = environment.certificates.get(key.name, CertificateInput())
            pem = required.random_pair(rendered, again)
            if how.source == "existing":
                continue
            known[key] = required.from_render(rendered, again, tls=_certificate(pem, how))
    _refuse_unknown_certificates(release, environment, known.values())
    return tuple(known.values())


def _certificate(pem: bytes | None, how: CertificateInput) -> CertificateSpec | None:
    """What to issue in place of the chart's own certificate. An authority's stays as the chart made it."""
    if pem is None:
        return None
    # Imported here: cryptography takes a tenth of a second to load, and few charts make certificates.
    from kasmgen.secrets import tls

    if tls.is_authority(pem):
        return None
    return tls.like(pem, key_type=how.key_type or "", days=how.days or 0)


def _refuse_unknown_certificates(release: Release, environment: Environment, secrets: Iterable[RequiredSecret]) -> None:
    """An entry under `certificates` that is about none would be ignored in silence."""
    pairs = [item.id.name for item in secrets if item.certificate]
    existing = [name for name, how in environment.certificates.items() if how.source == "existing"]
    roles = release.loaded.profile.certificates or (*pairs, *existing)
    for name in environment.certificates:
        if name not in roles:
            raise InputError(
                f"{environment.directory}/{paths.ENVIRONMENT_FILE}: certificates.{name}: there is no such certificate",
                hint=f"there are: {', '.join(roles) or 'none'}",
            )


def key_types(release: Release) -> list[str]:
    """Types of the private keys that a new environment is sure to need, slowest first."""
    return sorted((item.certificate.key_type for item in release.known_secrets() if item.certificate), reverse=True)
