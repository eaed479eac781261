"""An environment's overlay: the patches that make it of the base, proved by the real kustomize."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kasmgen.delivery import flux
from kasmgen.errors import ToolError
from kasmgen.kubernetes.resources import Object, ResourceId
from kasmgen.layout import marks, paths
from kasmgen.overlay import kustomization, kustomize_limits, patch, verify
from kasmgen.overlay import patches as overlay_patches
from kasmgen.project.workspace import EnvironmentFiles
from kasmgen.yaml import documents
from kasmgen.yaml.documents import Yaml


@dataclass(frozen=True)
class OverlayInputs:
    """What an overlay is made of.

    files: the environment as it stands. namespace: where its release goes. base: the objects that it
    stands on. want: the objects that it must build to. secrets: path -> sealed file. source: the chart,
    for the marks.
    """

    files: EnvironmentFiles
    namespace: str
    base: Mapping[ResourceId, Object] = field(repr=False)
    want: dict[ResourceId, Object] = field(repr=False)
    secrets: Mapping[str, bytes] = field(repr=False)
    source: str

    @property
    def name(self) -> str:
        """Of the environment."""
        return self.files.environment.name

    @property
    def directory(self) -> str:
        """Of the overlay, from the project's root."""
        return self.files.environment.directory

    @property
    def kustomization(self) -> str:
        """Path of its kustomization.yaml, from the project's root."""
        return f"{self.directory}/{paths.KUSTOMIZATION}"


@dataclass(frozen=True)
class AssembledOverlay:
    """An environment's overlay, proved.

    files: path -> content. ours: what kasmgen's entries alone build to. objects: what
    Flux applies, with people's own entries; sealed Secrets are in both.
    """

    files: Mapping[str, bytes] = field(repr=False)
    ours: Mapping[ResourceId, Object] = field(repr=False)
    objects: Mapping[ResourceId, Object] = field(repr=False)


def prove(inputs: OverlayInputs, builder: verify.Builder) -> AssembledOverlay:
    """The overlay whose build equals what is wanted; merge patches that are not exact are made again as JSON 6902.

    Raises InputError for what kustomize cannot carry and for people's entries that do not build,
    KasmgenError for a build that differs.
    """
    where = f"environment {inputs.name}"
    verify.require_expressible(where, [place for obj in inputs.want.values() for place in kustomize_limits.find(obj)])
    json_only: frozenset[ResourceId] = frozenset()
    for last in (False, True):
        own, entries, apart = _overlay(inputs, json_only)
        alone = kustomization.fresh(inputs.name, *_entries(inputs, own, entries, frozenset()))
        planned = {**own, **inputs.secrets, inputs.kustomization: alone.encode()}
        try:
            built = builder.alone(planned, inputs.directory)
            got = verify.without_secrets(built, apart)
        except ToolError:
            if last:
                raise
            # A merge patch that kustomize refuses; which one is not always in its message.
            json_only = frozenset(inputs.base)
            continue
        wrong = verify.inexact(inputs.want, got)
        if not wrong:
            break
        if last:
            verify.require_exact(where, inputs.want, got)
        json_only |= wrong
    text = _kustomization(inputs, own, entries)
    whole = {**own, **inputs.secrets, inputs.kustomization: text.encode()}
    people = inputs.files.kustomization is not None
    if people and kustomization.own_content(text, inputs.kustomization, inputs.files.kept):
        return AssembledOverlay(whole, built, builder.among_own(whole, inputs.directory))
    return AssembledOverlay(whole, built, built)


def _overlay(
    inputs: OverlayInputs, json_only: frozenset[ResourceId]
) -> tuple[dict[str, bytes], list[Yaml], tuple[ResourceId, ...]]:
    """Files of patches and resources, the entries of the patches, and what is no part of the chart (the Namespace)."""
    assembly = overlay_patches.patched(inputs.base, inputs.want, json_only)
    verify.require_expressible(f"environment {inputs.name}", assembly.inexpressible)
    out: dict[str, bytes] = {}
    entries: list[Yaml] = []
    taken: dict[str, set[str]] = {
        folder: {Path(path).name for path in inputs.files.kept if path.startswith(f"{folder}/")}
        for folder in ("patches", "resources")
    }
    for key, made in sorted(assembly.patches.items()):
        name = f"patches/{overlay_patches.file_name(key, taken['patches'])}"
        out[f"{inputs.directory}/{name}"] = marks.stamp(documents.dump(made.content).encode(), inputs.source)
        entries.append(patch.entry(made, name))
    added = dict(assembly.added)
    namespace = _namespace(inputs.namespace)
    key = ResourceId.of(namespace)
    apart: tuple[ResourceId, ...] = ()
    if key not in inputs.want:
        added[key] = namespace
        apart = (key,)
    for key, obj in sorted(added.items()):
        name = f"resources/{overlay_patches.file_name(key, taken['resources'])}"
        out[f"{inputs.directory}/{name}"] = marks.stamp(documents.dump(obj).encode(), inputs.source)
    return out, entries, apart


def _namespace(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "annotations": {f"{flux.FLUX}/prune": "disabled"}},
    }


def _entries(
    inputs: OverlayInputs, own: Mapping[str, bytes], patches: Sequence[Yaml], kept: frozenset[str]
) -> tuple[list[str], list[Yaml]]:
    """kasmgen's entries: resources in the order of their names, and patches."""
    inside = sorted(path.removeprefix(f"{inputs.directory}/") for path in (*own, *inputs.secrets))
    files = [path for path in inside if path.startswith(("resources/", "secrets/")) and path not in kept]
    return [kustomization.BASE, *files], list(patches)


def _kustomization(inputs: OverlayInputs, own: Mapping[str, bytes], entries: Sequence[Yaml]) -> str:
    """The overlay's kustomization.yaml, with people's entries kept."""
    resources, patches = _entries(inputs, own, entries, inputs.files.kept)
    before = inputs.files.kustomization
    if before is None:
        return kustomization.fresh(inputs.name, resources, patches)
    return kustomization.update(before, inputs.kustomization, resources, patches, inputs.files.kept)
