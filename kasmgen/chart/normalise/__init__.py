"""From what Helm printed to what Flux may apply: the normalisations of the contract, and nothing beyond them.

Each one is a function from object to object (None: the object goes), that adds
what it did to `notes`. None of them changes its argument.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kasmgen.chart.normalise.for_flux import jobs, keep_data, substitution
from kasmgen.chart.normalise.for_kubernetes import list_duplicates, namespaces
from kasmgen.chart.normalise.helm_traces import empty_annotations, helm_labels, hooks, selected_labels
from kasmgen.chart.normalise.normalisation import Normalisation, NormalisationContext
from kasmgen.errors import InputError
from kasmgen.kubernetes import equality, kinds
from kasmgen.kubernetes.fields import get
from kasmgen.kubernetes.resources import Note, Object, Render, Rendered, ResourceId
from kasmgen.yaml import documents
from kasmgen.yaml.documents import Yaml

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
    return f"{first.get('kind')} {get(first, 'metadata.name')}"


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
    kept = [obj for _, obj in parsed if hooks(obj, NormalisationContext(namespace)) is not None]
    context = NormalisationContext(namespace, kinds.custom_scopes(kept), *selected_labels(kept), notes)
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


def _apply(obj: Object, context: NormalisationContext) -> Object | None:
    current: Object | None = obj
    for step in NORMALISATIONS:
        if current is None:
            return None
        current = step(current, context)
    return current
