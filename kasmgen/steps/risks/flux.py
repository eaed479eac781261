"""What Flux itself does: pruning, and Jobs that run."""

from __future__ import annotations

from collections.abc import Iterator

from kasmgen.steps.review.changes import ObjectChange, Risk
from kasmgen.steps.risks.reading import get, kept_by_flux


def pruned(change: ObjectChange) -> Iterator[Risk]:
    """An object that leaves the build is deleted from the cluster, unless it says otherwise."""
    if change.op not in ("remove", "rename"):
        return
    name = f" {change.was.name}" if change.was is not None else ""
    if kept_by_flux(change.old):
        yield Risk(
            "stays-behind", "info", f"Flux leaves{name or ' it'} in the cluster (prune: disabled); delete it by hand"
        )
    elif change.op == "rename":
        yield Risk(
            "pruned", "info" if change.id.kind == "Job" else "warning", f"Flux deletes{name} and makes the new one"
        )
    else:
        yield Risk("pruned", "warning", "Flux deletes it from the cluster")


def jobs(change: ObjectChange) -> Iterator[Risk]:
    """Jobs that run because of the change."""
    if change.id.kind != "Job":
        return
    if change.op == "rename":
        yield Risk("job-reruns", "warning", "under its new name the Job runs again")
    elif change.op == "add":
        yield Risk("job-runs", "info", "the Job runs once it is applied")
    limit = "spec.ttlSecondsAfterFinished"
    if get(change.new, limit) is not None and get(change.old, limit) is None:
        words = "it is deleted when it has finished (ttlSecondsAfterFinished), and Flux then runs it again"
        yield Risk("job-reruns", "warning", words)
