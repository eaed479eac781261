"""From what Helm printed to what Flux may apply: the normalisations of the contract, and nothing beyond them.

Each one is a function from object to object (None: the object goes), that adds
what it did to `notes`. None of them changes its argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from kasmgen.errors import InputError
from kasmgen.kubernetes import equality, kinds
from kasmgen.kubernetes.kinds import with_template
from kasmgen.kubernetes.resources import Note, Object, Render, Rendered, ResourceId
from kasmgen.yaml import documents
from kasmgen.yaml.documents import Yaml

FLUX = "kustomize.toolkit.fluxcd.io"
HOOK = "helm.sh/hook"

# Hooks that have nothing to do in a repository that Flux reconciles.
_DROPPED_HOOKS = frozenset(
    ["test", "test-success", "test-failure", "pre-delete", "post-delete", "pre-rollback", "post-rollback"]
)
_HELM_LABELS = ("helm.sh/chart", "app.kubernetes.io/managed-by")


@dataclass
class Context:
    """What a normalisation may know beside the object, and where it writes what it did.

    selected: Helm's labels that some selector asks pods for. selected_anywhere: those that
    it may ask any object for.
    """

    namespace: str
    scopes: dict[tuple[str, str], bool] = field(default_factory=dict)
    selected: frozenset[str] = frozenset()
    selected_anywhere: frozenset[str] = frozenset()
    notes: list[Note] = field(default_factory=list)

    def note(self, rule: str, obj: Object, detail: str = "") -> None:
        metadata = obj.get("metadata") or {}
        self.notes.append(Note(rule, f"{obj.get('kind')} {metadata.get('name')}", detail))


Normalisation: TypeAlias = Callable[[Object, Context], Object | None]


def _metadata(obj: Object) -> dict[str, Yaml]:
    metadata = obj.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _mapping(parent: dict[str, Yaml], key: str) -> dict[str, Yaml]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _without(mapping: dict[str, Yaml], key: str, gone: Iterable[str]) -> dict[str, Yaml]:
    """`mapping` with the entries `gone` taken out of the mapping at `key`, which goes too if that empties it."""
    gone = set(gone)
    kept = {k: v for k, v in mapping[key].items() if k not in gone}
    rest = {k: v for k, v in mapping.items() if k != key}
    return {**rest, key: kept} if kept else rest


def annotate(obj: Object, annotations: Mapping[str, str]) -> Object:
    """`obj` with these annotations added."""
    metadata = _metadata(obj)
    return {
        **obj,
        "metadata": {**metadata, "annotations": {**_mapping(metadata, "annotations"), **annotations}},
    }


# --- one function per normalisation ------------------------------------------


def hooks(obj: Object, context: Context) -> Object | None:
    """Hook annotations go; objects that are hooks only for tests, deletion or rollback go whole."""
    annotations = _mapping(_metadata(obj), "annotations")
    if HOOK in annotations:
        events = {event.strip() for event in str(annotations[HOOK]).split(",") if event.strip()}
        if events and events <= _DROPPED_HOOKS:
            context.note("hook dropped", obj, ", ".join(sorted(events)))
            return None
    gone = [key for key in annotations if key == HOOK or key.startswith(f"{HOOK}-")]
    if not gone:
        return obj
    context.note("hook annotations removed", obj, str(annotations.get(HOOK, "")))
    return {**obj, "metadata": _without(_metadata(obj), "annotations", gone)}


def empty_annotations(obj: Object, context: Context) -> Object:
    """Annotations with nothing in them go: kustomize drops them, and Kubernetes does not keep them either."""
    metadata = _metadata(obj)
    if "annotations" not in metadata or metadata["annotations"] not in (None, {}):
        return obj
    context.note("empty annotations removed", obj)
    return {**obj, "metadata": {key: value for key, value in metadata.items() if key != "annotations"}}


def helm_labels(obj: Object, context: Context) -> Object:
    """Labels that say "managed by Helm" and the chart's version go, in templates too.

    A label that some selector asks for stays where pods carry it, or nothing would be selected any more;
    on other objects it stays where a custom resource asks for it (a ServiceMonitor selects Services).
    """
    removed: set[str] = set()

    def strip(holder: Yaml, *, template: bool) -> Yaml:
        if not isinstance(holder, dict) or not isinstance(holder.get("metadata"), dict):
            return holder
        labels = _mapping(holder["metadata"], "labels")
        gone = [
            key
            for key in _HELM_LABELS
            if key in labels
            and (key != "app.kubernetes.io/managed-by" or labels[key] == "Helm")
            and key not in (context.selected if template else context.selected_anywhere)
        ]
        removed.update(gone)
        return {**holder, "metadata": _without(holder["metadata"], "labels", gone)} if gone else holder

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
        out["jobTemplate"] = {**job, "spec": _strip_templates(_mapping(job, "spec"), strip)} if "spec" in job else job
    if isinstance(out.get("volumeClaimTemplates"), list):
        out["volumeClaimTemplates"] = [strip(claim, template=False) for claim in out["volumeClaimTemplates"]]
    return out


def namespaces(obj: Object, context: Context) -> Object:
    """Namespaced objects without a namespace get the release's; one that points elsewhere is reported."""
    metadata = _metadata(obj)
    if not kinds.has_namespace(obj, context.scopes):
        if not metadata.get("namespace"):
            return obj
        context.note("namespace removed from a cluster-scoped object", obj, str(metadata["namespace"]))
        return {**obj, "metadata": {k: v for k, v in metadata.items() if k != "namespace"}}
    if metadata.get("namespace"):
        if metadata["namespace"] != context.namespace:
            context.note("namespace is not the release's", obj, f"{metadata['namespace']}, kept as the chart has it")
        return obj
    context.note("namespace filled in", obj, context.namespace)
    return {**obj, "metadata": {**metadata, "namespace": context.namespace}}


# List -> the keys by which server-side apply tells its items apart, where charts repeat them and
# a client-side apply lets them.
_LIST_KEYS: dict[str, tuple[str, ...]] = {
    "env": ("name",),
    "ports": ("containerPort", "protocol"),
}


def list_duplicates(obj: Object, context: Context) -> Object:
    """Of `env` and `ports` entries with the same key, the last one stays."""
    spec = obj.get("spec")
    if obj.get("kind") == "Service" and isinstance(spec, dict) and isinstance(spec.get("ports"), list):
        ports = _unique(spec["ports"], ("port", "protocol"), obj, "ports", context)
        return obj if ports is spec["ports"] else {**obj, "spec": {**spec, "ports": ports}}
    template = kinds.pod_template(obj)
    if template is None or not isinstance(template.get("spec"), dict):
        return obj
    pod = _unique_in_pod(template["spec"], obj, context)
    return obj if pod is template["spec"] else _with_pod_spec(obj, pod)


def _unique_in_pod(pod: dict[str, Yaml], obj: Object, context: Context) -> dict[str, Yaml]:
    out = dict(pod)
    for name in kinds.CONTAINER_LISTS:
        if isinstance(pod.get(name), list):
            items = [_unique_in_container(c, obj, context) if isinstance(c, dict) else c for c in pod[name]]
            if any(new is not old for new, old in zip(items, pod[name], strict=True)):
                out[name] = items
    return out if any(out[key] is not pod[key] for key in pod) else pod


def _unique_in_container(container: dict[str, Yaml], obj: Object, context: Context) -> dict[str, Yaml]:
    out = container
    for name, keys in _LIST_KEYS.items():
        items = container.get(name)
        if isinstance(items, list):
            kept = _unique(items, keys, obj, f"{container.get('name')}.{name}", context)
            if kept is not items:
                out = {**out, name: kept}
    return out


def _unique(items: list[Yaml], keys: tuple[str, ...], obj: Object, where: str, context: Context) -> list[Yaml]:
    def key_of(item: Yaml) -> tuple[Yaml, ...] | None:
        if not isinstance(item, dict) or item.get(keys[0]) is None:
            return None
        return tuple(str(item.get(k) or ("TCP" if k == "protocol" else "")) for k in keys)

    last = {key: position for position, item in enumerate(items) if (key := key_of(item)) is not None}
    kept = [item for position, item in enumerate(items) if (key := key_of(item)) is None or last[key] == position]
    if len(kept) == len(items):
        return items
    names = sorted(
        {"/".join(map(str, key)) for i, item in enumerate(items) if (key := key_of(item)) and last[key] != i}
    )
    context.note("duplicate list entries, the last one kept", obj, f"{where}: {', '.join(names)}")
    return kept


def _with_pod_spec(obj: Object, pod: dict[str, Yaml]) -> Object:
    """`obj` with another pod spec in its template."""
    return with_template(obj, lambda template: {**template, "spec": pod})


def substitution(obj: Object, context: Context) -> Object:
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


def jobs(obj: Object, context: Context) -> Object:
    """A Job's template is immutable and a finished Job must not vanish: Flux may replace it, and no TTL removes it."""
    if obj.get("kind") != "Job" or not str(obj.get("apiVersion")).startswith("batch/"):
        return obj
    spec = obj.get("spec")
    if isinstance(spec, dict) and "ttlSecondsAfterFinished" in spec:
        context.note("ttlSecondsAfterFinished removed", obj, "Flux would run the Job again once it is gone")
        obj = {**obj, "spec": {k: v for k, v in spec.items() if k != "ttlSecondsAfterFinished"}}
    context.note("Job made replaceable", obj)
    return annotate(obj, {f"{FLUX}/force": "enabled"})


def keep_data(obj: Object, context: Context) -> Object:
    """What holds data or carries other objects is never pruned, and claims outlive their StatefulSet."""
    kind, spec = obj.get("kind"), obj.get("spec")
    claims = kind == "StatefulSet" and isinstance(spec, dict) and bool(spec.get("volumeClaimTemplates"))
    if not claims and kind not in ("PersistentVolumeClaim", "Namespace", "CustomResourceDefinition"):
        return obj
    context.note("protected from pruning", obj, "claims are kept on deletion" if claims else "")
    if claims:
        assert isinstance(spec, dict)
        policy = {**_mapping(spec, "persistentVolumeClaimRetentionPolicy"), "whenDeleted": "Retain"}
        obj = {**obj, "spec": {**spec, "persistentVolumeClaimRetentionPolicy": policy}}
    return annotate(obj, {f"{FLUX}/prune": "disabled"})


# The order matters only for `substitution`, which looks at what the others left.
NORMALISATIONS: tuple[Normalisation, ...] = (
    hooks,
    empty_annotations,
    helm_labels,
    namespaces,
    list_duplicates,
    jobs,
    keep_data,
    substitution,
)


# --- the whole ---------------------------------------------------------------


def _unwrapped(value: Yaml, source: str) -> list[Object]:
    """The objects of one document; a `kind: List` stands for its items, and so does what Helm takes for one."""
    if not isinstance(value, dict):
        raise InputError(f"{source}: a document is no Kubernetes object but {equality.kind(value)}")
    items = value.get("items")
    if isinstance(items, list) or (value.get("kind") == "List" and items is None):
        return [obj for item in items or () for obj in _unwrapped(item, source)]
    try:
        ResourceId.of(value)
    except InputError as error:
        raise InputError(f"{source}: {error.message}", hint=error.hint) from None
    return [value]


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


def parse(
    texts: Mapping[str, str], load: Callable[[str, str], list[documents.Document]]
) -> tuple[list[tuple[str, Object]], list[Note]]:
    """(template, object) for all objects of a render in the order of the templates, and notes on how it was read."""
    objects: list[tuple[str, Object]] = []
    notes: list[Note] = []
    for template, text in sorted(texts.items()):
        for document in load(text, template):
            found = _unwrapped(document.value, template)
            objects += [(template, obj) for obj in found]
            notes += [Note("duplicate key, the last one kept", _name(found), path) for path in document.duplicates]
            if found[:1] != [document.value]:
                notes.append(Note("list unpacked", template, f"{len(found)} objects"))
    return objects, notes


def _name(objects: list[Object]) -> str:
    first = objects[0] if objects else {}
    return f"{first.get('kind')} {_metadata(first).get('name')}"


def normalise(
    texts: Mapping[str, str],
    namespace: str,
    load: Callable[[str, str], list[documents.Document]] = documents.load_all,
) -> Render:
    """What a render is in the repository: normalised objects by identity, Secrets apart, and what was done.

    texts: template path -> text as Helm printed it. namespace: the release's.
    load: reads YAML (a caching `documents.load_all`).
    Raises InputError for documents that are no objects and for two objects with one identity.
    """
    parsed, notes = parse(texts, load)
    # What a dropped hook selects or defines is of no matter to what stays.
    kept = [obj for _, obj in parsed if hooks(obj, Context(namespace)) is not None]
    context = Context(namespace, kinds.custom_scopes(kept), *selected_labels(kept), notes)
    objects: dict[ResourceId, Rendered] = {}
    secrets: dict[ResourceId, Rendered] = {}
    for template, obj in parsed:
        normal = _apply(obj, context)
        if normal is None:
            continue
        key = ResourceId.of(normal)
        if key in objects or key in secrets:
            raise InputError(
                f"the chart renders {key} twice (again in {template})", hint="kustomize and Flux refuse that"
            )
        is_secret = key.kind == "Secret" and not key.group
        if is_secret:
            context.note("Secret kept out of the base", normal)
        (secrets if is_secret else objects)[key] = Rendered(key, normal, template)
    return Render(objects, secrets, tuple(dict.fromkeys(context.notes)))


def _apply(obj: Object, context: Context) -> Object | None:
    current: Object | None = obj
    for step in NORMALISATIONS:
        if current is None:
            return None
        current = step(current, context)
    return current
