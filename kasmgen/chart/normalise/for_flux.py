"""What Flux has to be told at the object: what it may replace, must keep and must not substitute in."""

from __future__ import annotations

from kasmgen.chart.normalise.normalisation import NormalisationContext, annotate
from kasmgen.delivery.flux import FLUX
from kasmgen.kubernetes.fields import mapping
from kasmgen.kubernetes.resources import Object
from kasmgen.yaml.documents import Yaml


def substitution(obj: Object, context: NormalisationContext) -> Object:
    """Text with `${` or `$$` must not go through Flux's postBuild substitution."""
    if not _has_substitution(obj):
        return obj
    context.note("excluded from Flux's substitution", obj)
    return annotate(obj, {f"{FLUX}/substitute": "disabled"})


def _has_substitution(value: Yaml) -> bool:
    if isinstance(value, str):
        return "${" in value or "$$" in value
    if isinstance(value, dict):
        return any(_has_substitution(k) or _has_substitution(v) for k, v in value.items())
    return isinstance(value, list) and any(_has_substitution(item) for item in value)


def jobs(obj: Object, context: NormalisationContext) -> Object:
    """A Job's template is immutable and a finished Job must not vanish: Flux may replace it, and no TTL removes it."""
    if obj.get("kind") != "Job" or not str(obj.get("apiVersion")).startswith("batch/"):
        return obj
    spec = obj.get("spec")
    if isinstance(spec, dict) and "ttlSecondsAfterFinished" in spec:
        context.note("ttlSecondsAfterFinished removed", obj, "Flux would run the Job again once it is gone")
        obj = {**obj, "spec": {k: v for k, v in spec.items() if k != "ttlSecondsAfterFinished"}}
    context.note("Job made replaceable", obj)
    return annotate(obj, {f"{FLUX}/force": "enabled"})


def keep_data(obj: Object, context: NormalisationContext) -> Object:
    """What holds data or carries other objects is never pruned, and claims outlive their StatefulSet."""
    kind, spec = obj.get("kind"), mapping(obj, "spec")
    claims = kind == "StatefulSet" and bool(spec.get("volumeClaimTemplates"))
    if not claims and kind not in ("PersistentVolumeClaim", "Namespace", "CustomResourceDefinition"):
        return obj
    context.note("protected from pruning", obj, "claims are kept on deletion" if claims else "")
    if claims:
        policy = {**mapping(spec, "persistentVolumeClaimRetentionPolicy"), "whenDeleted": "Retain"}
        obj = {**obj, "spec": {**spec, "persistentVolumeClaimRetentionPolicy": policy}}
    return annotate(obj, {f"{FLUX}/prune": "disabled"})
