"""`kasmgen env list` and `kasmgen env show`: what can be said of environments without a key."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kasmgen.chart import render
from kasmgen.commands.init import bootstrap_step
from kasmgen.commands.render import select
from kasmgen.delivery import flux as delivery_flux
from kasmgen.layout.annotations import DNS_NAMES
from kasmgen.programs.libhelm import HelmLibrary
from kasmgen.project.workspace import EnvironmentFiles, Workspace, load
from kasmgen.secrets import certificates as secrets_certificates
from kasmgen.secrets import sops_config


@dataclass(frozen=True)
class ShownCertificate:
    """One sealed certificate, read from clear annotations. days_left: whole days, negative once expired."""

    secret: str
    names: tuple[str, ...]
    not_after: str
    days_left: int | None


@dataclass(frozen=True)
class Shown:
    """One environment, as `env show` tells it."""

    name: str
    hostname: str
    alt_hostnames: tuple[str, ...]
    namespace: str
    chart: str
    size: str
    certificates: tuple[ShownCertificate, ...]
    secrets: tuple[str, ...]
    recipients: tuple[str, ...]
    flux: str
    upstream_auth: str
    manual_steps: tuple[str, ...]


def run(start: Path, names: Sequence[str], now: datetime | None = None) -> list[Shown]:
    """The environments `names`, or all of them."""
    workspace = load(start)
    selected = select(workspace, names)
    with HelmLibrary() as helm, render.session(workspace.root, helm) as run_:
        return [_show(run_, workspace, workspace.environments[name], now or datetime.now(UTC)) for name in selected]


def _show(run_: render.RenderSession, workspace: Workspace, files: EnvironmentFiles, now: datetime) -> Shown:
    project, environment = workspace.project, files.environment
    release = run_.release(project, environment, locked=False)
    rule = sops_config.require_own_rule(workspace.sops_config, environment.name, [item.path for item in files.existing])
    profile, namespace, given = release.loaded.profile, release.namespace, release.given
    return Shown(
        name=environment.name,
        hostname=environment.hostname,
        alt_hostnames=environment.alt_hostnames,
        namespace=namespace,
        chart=str(release.loaded.chart),
        size=environment.size,
        certificates=tuple(
            _certificate(item.sealed.name, item.sealed.annotations, now)
            for item in files.existing
            if secrets_certificates.expiry(item.sealed.annotations)
        ),
        secrets=tuple(item.path for item in files.existing),
        recipients=tuple(rule.recipients.everyone),
        flux=f"Kustomization {delivery_flux.NAMESPACE}/{delivery_flux.name(project, environment)}, "
        f"source GitRepository/{delivery_flux.source_name(project, environment)}",
        upstream_auth=profile.upstream_auth(environment, namespace, given),
        manual_steps=(
            bootstrap_step(rule.recipients.everyone),
            *profile.manual_steps(environment, namespace, given),
        ),
    )


def _certificate(name: str, annotations: Mapping[str, str], now: datetime) -> ShownCertificate:
    end = secrets_certificates.expiry(annotations)
    listed = annotations.get(DNS_NAMES, "")
    return ShownCertificate(
        secret=name,
        names=tuple(part for part in listed.split(",") if part),
        not_after=end.strftime("%Y-%m-%d") if end else "",
        days_left=math.floor((end - now).total_seconds() / 86400) if end else None,
    )
