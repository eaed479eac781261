"""What a change does to a cluster, in words: one module for each kind of risk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from kasmgen.review.changes import SEVERITIES, ObjectChange, Risk
from kasmgen.review.risks.context import RiskContext, Rule, RuleOfBuilds
from kasmgen.review.risks.data import data
from kasmgen.review.risks.immutable import immutable
from kasmgen.review.risks.network import exposed
from kasmgen.review.risks.pods import images, restarts, scale, stale
from kasmgen.review.risks.policies import policies
from kasmgen.review.risks.privilege import privilege
from kasmgen.review.risks.rbac import rbac
from kasmgen.review.risks.reconciliation import jobs, pruned
from kasmgen.review.risks.sealed_secrets import secrets

__all__ = ["TITLES", "Risk", "RiskContext", "assess", "risks"]

TITLES: dict[str, str] = {
    "data-at-risk": "database or claim at risk",
    "immutable-field": "immutable field",
    "secret-in-clear": "secret in clear",
    "pruned": "pruned by Flux",
    "recreated": "deleted and made again",
    "recreates-pods": "recreates pods at once",
    "restarts-pods": "restarts pods",
    "job-reruns": "Job will re-run",
    "scales-down": "scales down",
    "exposed": "exposed to the network",
    "more-privilege": "more privilege",
    "other-recipients": "other recipients",
    "certificate": "certificate covers less",
    "image-changes": "image changes",
    "job-runs": "Job will run",
    "stays-behind": "stays behind",
    "stale-pods": "pods keep the old content",
}
"""Identifier -> what a reader calls it, in the order of weight."""

_RULES: tuple[Rule, ...] = (
    data,
    immutable,
    secrets,
    pruned,
    restarts,
    jobs,
    scale,
    exposed,
    privilege,
    rbac,
    images,
)
_RULES_OF_BUILDS: tuple[RuleOfBuilds, ...] = (stale, policies)
_WEIGHT = {key: index for index, key in enumerate(TITLES)}


def risks(change: ObjectChange, context: RiskContext | None = None) -> tuple[Risk, ...]:
    """What `change` does to a cluster, worst first; the same risk is told once.

    An error is what Flux cannot apply, what would delete or lose data, or what gives
    a secret away; a warning is what a reviewer should have seen.
    """
    builds = context or RiskContext()
    found = {risk for rule in _RULES for risk in rule(change)}
    found |= {risk for rule in _RULES_OF_BUILDS for risk in rule(change, builds)}
    return tuple(sorted(found, key=lambda risk: (SEVERITIES.index(risk.severity), _WEIGHT[risk.id], risk.reason)))


def assess(changes: Iterable[ObjectChange], context: RiskContext | None = None) -> tuple[ObjectChange, ...]:
    """The changes with their risks."""
    return tuple(replace(change, risks=risks(change, context)) for change in changes)
