"""What Flux itself does: pruning, and Jobs that run."""

from __future__ import annotations

from collections.abc import Iterator

from kasmgen.delivery.flux import kept_by_flux
from kasmgen.kubernetes.fields import get
from kasmgen.kubernetes.resources import Object
from kasmgen.review.changes import AddedObject, ObjectChange, RemovedObject, RenamedObject, Risk


def pruned(change: ObjectChange) -> Iterator[Risk]:
    """An object that leaves the build is deleted from the cluster, unless it says otherwise."""
    if not isinstance(change, RemovedObject | RenamedObject):
        return
    name = f" {change.was.name}" if isinstance(change, RenamedObject) else ""
    if kept_by_flux(change.old):
        yield Risk(
            "stays-behind",
            "info",
            f"Flux leaves{name or ' it'} in the cluster (prune: disabled) until somebody deletes it",
        )
    elif isinstance(change, RenamedObject):
        words = f"Flux deletes{name} and makes the new one{_applied(change.old)}"
        yield Risk("pruned", "info" if change.id.kind == "Job" else "warning", words)
    else:
        yield Risk("pruned", "warning", f"Flux deletes it from the cluster{_applied(change.old)}")


def _applied(old: Object) -> str:
    """What goes with a Flux Kustomization, in words.

    Source: the kustomize-controller's finalizer, which prunes the inventory.
    """
    if old.get("kind") != "Kustomization" or not str(old.get("apiVersion")).startswith("kustomize.toolkit.fluxcd.io/"):
        return ""
    policy = get(old, "spec.deletionPolicy") or "MirrorPrune"
    if policy == "Orphan" or (policy == "MirrorPrune" and get(old, "spec.prune") is not True):
        return "; what it applied stays"
    return f", and with it all that it applied from {get(old, 'spec.path') or './'}, but what says prune: disabled"


def jobs(change: ObjectChange) -> Iterator[Risk]:
    """Jobs that run because of the change."""
    if change.id.kind != "Job":
        return
    if isinstance(change, RenamedObject):
        yield Risk("job-reruns", "warning", "under its new name the Job runs again")
    elif isinstance(change, AddedObject):
        yield Risk("job-runs", "info", "the Job runs once it is applied")
    limit = "spec.ttlSecondsAfterFinished"
    if get(change.new, limit) is not None and get(change.old, limit) is None:
        words = "it is deleted when it has finished (ttlSecondsAfterFinished), and Flux then runs it again"
        yield Risk("job-reruns", "warning", words)
