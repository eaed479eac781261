"""7xx: changes since an earlier revision that Flux cannot apply, or that lose data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kasmgen.check.rule import ERROR, WARNING, Hit, Rule, Severity
from kasmgen.layout import paths
from kasmgen.review.changes import ObjectChange


@dataclass(frozen=True)
class ChangesSince:
    """An environment's objects that changed since `base`, with their risks."""

    environment: str
    base: str
    changes: tuple[ObjectChange, ...]


def _with(risk_id: str, severity: Severity = ERROR) -> Callable[[ChangesSince], Iterator[Hit]]:
    """Hits for the risks of this kind that are as bad as that."""

    def check(context: ChangesSince) -> Iterator[Hit]:
        path = f"{paths.overlay(context.environment)}/kustomization.yaml"
        for change in context.changes:
            for risk in change.risks:
                if (risk.id, risk.severity) == (risk_id, severity):
                    message = f"{risk.reason} (since {context.base})"
                    yield Hit(message, path, str(change.id), context.environment)

    return check


RULES: tuple[Rule[ChangesSince], ...] = (
    Rule(
        "KG701",
        ERROR,
        "a database or claim would be lost",
        "The change deletes a StatefulSet, a claim or a namespace with data, makes one anew, or mounts another.",
        "keep the object, or move the data first and switch this rule off for that one change",
        _with("data-at-risk"),
    ),
    Rule(
        "KG702",
        ERROR,
        "an immutable field changes",
        "The API server refuses to change it, so Flux fails with this and everything after it: selectors of "
        "workloads, most fields of a StatefulSet or claim, the template of a Job without Flux's force annotation.",
        "leave the field as it is, or give the object another name",
        _with("immutable-field"),
    ),
    Rule(
        "KG703",
        WARNING,
        "a database or claim is left alone",
        "The change takes a database, a claim or what protects one out of the repository, or lets pods mount another "
        "claim. Nothing is deleted by that alone.",
        "make sure that the data is not needed any more, or moved",
        _with("data-at-risk", WARNING),
    ),
)
