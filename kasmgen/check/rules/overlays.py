"""2xx: every overlay builds, to what Helm would install, and everything in it has an effect."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kasmgen.check.rule import ERROR, WARNING, Hit, Rule
from kasmgen.errors import InputError, KasmgenError
from kasmgen.kubernetes import go_regexp, kinds
from kasmgen.kubernetes.resources import Object, ResourceId
from kasmgen.overlay import kustomization as overlay_kustomization
from kasmgen.yaml import documents
from kasmgen.yaml.documents import Yaml


@dataclass(frozen=True)
class BuiltOverlay:
    """How building an environment went.

    path: its kustomization.yaml, kustomization: what it says. failures: what failed
    ("render", "build", "exact") -> why. ours: what kasmgen's entries alone build to;
    objects: what the overlay builds to. patches: path below the overlay -> content of
    people's own patch files.
    """

    environment: str
    path: str
    failures: Mapping[str, KasmgenError] = field(default_factory=dict)
    kustomization: Mapping[str, Yaml] = field(default_factory=dict, repr=False)
    ours: Mapping[ResourceId, Object] = field(default_factory=dict, repr=False)
    objects: Mapping[ResourceId, Object] = field(default_factory=dict, repr=False)
    patches: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    kept: frozenset[str] = frozenset()


def _failed(what: str, built: BuiltOverlay) -> Iterator[Hit]:
    error = built.failures.get(what)
    if error:
        path = built.path if what == "build" else ""
        yield Hit(error.message, path, environment=built.environment, next_step=error.hint)


def renders(built: BuiltOverlay) -> Iterator[Hit]:
    return _failed("render", built)


def builds(built: BuiltOverlay) -> Iterator[Hit]:
    return _failed("build", built)


def exact(built: BuiltOverlay) -> Iterator[Hit]:
    return _failed("exact", built)


# --- patches that change nothing ---------------------------------------------


@dataclass(frozen=True)
class _Patch:
    """An own patch: what to call it, and whether it is about an object."""

    name: str
    target: Mapping[str, Yaml]
    is_merge: bool


def _own_patches(built: BuiltOverlay) -> Iterator[_Patch]:
    listed = built.kustomization.get("patches")
    for number, entry in enumerate(listed if isinstance(listed, list) else (), 1):
        if not isinstance(entry, dict) or overlay_kustomization.is_ours(entry.get("path"), built.kept):
            continue
        path = entry.get("path")
        name = str(path) if path else f"inline patch {number}"
        text = built.patches.get(str(path)) if path else str(entry.get("patch") or "").encode()
        content = _content(text, name)
        target = entry.get("target")
        if isinstance(target, dict):
            yield _Patch(name, target, isinstance(content, dict))
        elif isinstance(content, dict):
            metadata = content.get("metadata")
            named = metadata if isinstance(metadata, dict) else {}
            exact_target = {
                "kind": _anchored(content.get("kind")),
                "name": _anchored(named.get("name")),
                "namespace": _anchored(named.get("namespace")),
            }
            yield _Patch(name, {key: value for key, value in exact_target.items() if value}, True)


def _anchored(value: Yaml) -> str:
    return re.escape(str(value)) if value else ""


def _content(text: bytes | None, name: str) -> Yaml:
    try:
        return documents.load((text or b"").decode("utf-8"), name)
    except (InputError, UnicodeDecodeError):
        return None


def matches(target: Mapping[str, Yaml], key: ResourceId, obj: Object) -> bool:
    """Whether kustomize's selector takes the object: anchored regular expressions, label and annotation selectors."""
    version = str(obj.get("apiVersion") or "").rpartition("/")[2]
    facts = {"group": key.group, "version": version, "kind": key.kind, "name": key.name, "namespace": key.namespace}
    for field_, value in facts.items():
        pattern = target.get(field_)
        if pattern and not _fits(str(pattern), value):
            return False
    metadata = obj.get("metadata") or {}
    return all(
        _selected(str(target.get(selector) or ""), metadata.get(where) or {})
        for selector, where in (("labelSelector", "labels"), ("annotationSelector", "annotations"))
    )


def _fits(pattern: str, value: str) -> bool:
    try:
        return go_regexp.matches(f"^(?:{pattern})$", value)
    except ValueError:
        return True


def _selected(selector: str, labels: Mapping[str, Yaml]) -> bool:
    """Equality terms of a selector; other terms count as fitting, so that nothing is claimed falsely."""
    for term in filter(None, (part.strip() for part in selector.split(","))):
        found = re.fullmatch(r"([\w./-]+)\s*(==|=|!=)\s*([\w.-]*)", term)
        if found and (str(labels.get(found[1], "")) == found[3]) == (found[2] == "!="):
            return False
    return True


def without_target(built: BuiltOverlay) -> Iterator[Hit]:
    if built.failures:
        return
    for patch in _own_patches(built):
        if not any(matches(patch.target, key, obj) for key, obj in built.ours.items()) and not any(
            matches(patch.target, key, obj) for key, obj in built.objects.items()
        ):
            yield Hit(f"{patch.name} has a target that nothing matches", built.path, environment=built.environment)


def without_effect(built: BuiltOverlay) -> Iterator[Hit]:
    if built.failures:
        return
    for patch in _own_patches(built):
        hit = [key for key, obj in built.ours.items() if matches(patch.target, key, obj)]
        if hit and all(built.objects.get(key) == built.ours[key] for key in hit):
            what = f"{patch.name} changes nothing in {', '.join(map(str, hit[:3]))}"
            yield Hit(what, built.path, environment=built.environment)


def unused_images(built: BuiltOverlay) -> Iterator[Hit]:
    listed = built.kustomization.get("images")
    if built.failures or not isinstance(listed, list):
        return
    used = set(_images(built.ours)) | set(_images(built.objects))
    for entry in listed:
        name = str(entry.get("name") or "") if isinstance(entry, dict) else ""
        new = str(entry.get("newName") or name) if isinstance(entry, dict) else ""
        if name and not {name, new} & used:
            yield Hit(f"images: no container uses {name}", built.path, environment=built.environment)


def _images(objects: Mapping[ResourceId, Object]) -> Iterator[str]:
    for obj in objects.values():
        template = kinds.pod_template(obj)
        for container in kinds.containers(template.get("spec")) if template else ():
            image = str(container.get("image") or "").partition("@")[0]
            head, _, tail = image.rpartition("/")
            yield f"{head}/{tail.partition(':')[0]}" if head else tail.partition(":")[0]


RULES: tuple[Rule[BuiltOverlay], ...] = (
    Rule(
        "KG201",
        ERROR,
        "the chart does not render",
        "Helm refuses the chart with the values of this environment, or the chart renders something else each time.",
        "correct the values in environment.yaml or kasmgen.yaml",
        renders,
    ),
    Rule(
        "KG202",
        ERROR,
        "the overlay does not build",
        "kustomize refuses the overlay. Flux builds it the same way and would keep the last state, silently behind.",
        "correct the entries of the overlay's kustomization.yaml",
        builds,
    ),
    Rule(
        "KG203",
        ERROR,
        "the overlay is not what Helm would install",
        "What kasmgen's entries build to differs from Helm's own result for this environment, after the documented "
        "normalisations.",
        "please report this with the chart and its values",
        exact,
    ),
    Rule(
        "KG204",
        ERROR,
        "a patch matches nothing",
        "kustomize says nothing about a patch whose `target` selects no object; the change that it was made for is "
        "not there. Names in a target are anchored regular expressions.",
        "correct the target, or remove the patch",
        without_target,
    ),
    Rule(
        "KG205",
        WARNING,
        "a patch changes nothing",
        "The objects that the patch is about are the same with and without people's entries.",
        "remove the patch, or correct what it was meant to change",
        without_effect,
    ),
    Rule(
        "KG206",
        WARNING,
        "an image of the overlay is used nowhere",
        "`images:` names an image that no container has. kustomize says nothing, and the tag that people believe to "
        "run does not. The name must be written as the containers write it, registry included.",
        "correct the name, or remove the entry",
        unused_images,
    ),
)
