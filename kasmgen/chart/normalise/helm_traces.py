"""What only Helm needs goes: hooks, its labels, annotations that it leaves empty."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from kasmgen.chart.normalise.normalisation import NormalisationContext, without_entries
from kasmgen.kubernetes import kinds
from kasmgen.kubernetes.fields import mapping
from kasmgen.kubernetes.resources import Object
from kasmgen.yaml.documents import Yaml

HOOK = "helm.sh/hook"


# Hooks that have nothing to do in a repository that Flux reconciles.
_DROPPED_HOOKS = frozenset(
    ["test", "test-success", "test-failure", "pre-delete", "post-delete", "pre-rollback", "post-rollback"]
)


_HELM_LABELS = ("helm.sh/chart", "app.kubernetes.io/managed-by")


def hooks(obj: Object, context: NormalisationContext) -> Object | None:
    """Hook annotations go; objects that are hooks only for tests, deletion or rollback go whole."""
    annotations = mapping(obj, "metadata.annotations")
    if HOOK in annotations:
        events = {event.strip() for event in str(annotations[HOOK]).split(",") if event.strip()}
        if events and events <= _DROPPED_HOOKS:
            context.note("hook dropped", obj, ", ".join(sorted(events)))
            return None
    gone = [key for key in annotations if key == HOOK or key.startswith(f"{HOOK}-")]
    if not gone:
        return obj
    context.note("hook annotations removed", obj, str(annotations.get(HOOK, "")))
    return {**obj, "metadata": without_entries(mapping(obj, "metadata"), "annotations", gone)}


def empty_annotations(obj: Object, context: NormalisationContext) -> Object:
    """Annotations with nothing in them go: kustomize drops them, and Kubernetes does not keep them either."""
    metadata = mapping(obj, "metadata")
    if "annotations" not in metadata or metadata["annotations"] not in (None, {}):
        return obj
    context.note("empty annotations removed", obj)
    return {**obj, "metadata": {key: value for key, value in metadata.items() if key != "annotations"}}


def helm_labels(obj: Object, context: NormalisationContext) -> Object:
    """Labels that say "managed by Helm" and the chart's version go, in templates too.

    A label that some selector asks for stays where pods carry it, or nothing would be selected any more;
    on other objects it stays where a custom resource asks for it (a ServiceMonitor selects Services).
    """
    removed: set[str] = set()

    def strip(holder: Yaml, *, template: bool) -> Yaml:
        if not isinstance(holder, dict) or not isinstance(holder.get("metadata"), dict):
            return holder
        labels = mapping(holder, "metadata.labels")
        gone = [
            key
            for key in _HELM_LABELS
            if key in labels
            and (key != "app.kubernetes.io/managed-by" or labels[key] == "Helm")
            and key not in (context.selected if template else context.selected_anywhere)
        ]
        removed.update(gone)
        return {**holder, "metadata": without_entries(holder["metadata"], "labels", gone)} if gone else holder

    spec = obj.get("spec")
    if isinstance(spec, dict) and (kinds.pod_template(obj) is not None or obj.get("kind") == "StatefulSet"):
        obj = {**obj, "spec": _strip_templates(spec, strip)}
    stripped: Object = strip(obj, template=obj.get("kind") == "Pod")
    if removed:
        context.note("Helm's labels removed", obj, ", ".join(sorted(removed)))
    return stripped


def _strip_templates(spec: dict[str, Yaml], strip: Callable[..., Yaml]) -> dict[str, Yaml]:
    out = dict(spec)
    if "template" in out:
        out["template"] = strip(out["template"], template=True)
    if isinstance(out.get("jobTemplate"), dict):
        job = strip(out["jobTemplate"], template=False)
        out["jobTemplate"] = {**job, "spec": _strip_templates(mapping(job, "spec"), strip)} if "spec" in job else job
    if isinstance(out.get("volumeClaimTemplates"), list):
        out["volumeClaimTemplates"] = [strip(claim, template=False) for claim in out["volumeClaimTemplates"]]
    return out


# Selectors in objects of these groups ask for pods; those of any other group may ask for anything.
_SELECT_PODS = frozenset(["", "apps", "batch", "extensions", "policy", "networking.k8s.io"])


def selected_labels(objects: Iterable[Object]) -> tuple[frozenset[str], frozenset[str]]:
    """Helm's labels that some selector of `objects` asks for: of pods, and of objects of any kind."""
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for obj in objects:
        group = str(obj.get("apiVersion")).rpartition("/")[0]
        spec = obj.get("spec")
        direct = spec.get("selector") if isinstance(spec, dict) else None
        asked = {*_asked_for(obj), *(direct if isinstance(direct, dict) else ())}
        found[group in _SELECT_PODS].update(asked.intersection(_HELM_LABELS))
    return frozenset(found[True] | found[False]), frozenset(found[False])


def _asked_for(value: Yaml) -> Iterator[str]:
    """Labels in every `matchLabels` and `matchExpressions` below `value`."""
    if isinstance(value, list):
        for item in value:
            yield from _asked_for(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "matchLabels" and isinstance(item, dict):
                yield from item
            elif key == "matchExpressions" and isinstance(item, list):
                yield from (str(part.get("key")) for part in item if isinstance(part, dict))
            else:
                yield from _asked_for(item)
