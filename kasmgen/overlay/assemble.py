"""An environment's overlay: the patches that make it of the base, proved by the real kustomize."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kasmgen.chart import render
from kasmgen.delivery import flux
from kasmgen.errors import ToolError
from kasmgen.kubernetes.resources import Object, Render, ResourceId
from kasmgen.layout import marks, paths
from kasmgen.overlay import kustomization, kustomize_limits, patch, verify
from kasmgen.overlay import patches as overlay_patches
from kasmgen.project.config import Environment
from kasmgen.project.workspace import EnvironmentFiles, Workspace
from kasmgen.repository import scratch
from kasmgen.secrets.plan import Sources
from kasmgen.yaml import documents
from kasmgen.yaml.documents import Yaml


@dataclass(frozen=True)
class Job:
    """What building one environment needs to know."""

    run: render.RenderSession
    workspace: Workspace
    base: Render
    base_files: Mapping[str, bytes]
    sources: Sources
    committed: Callable[[str], bool]


@dataclass(frozen=True)
class AssembledOverlay:
    """An environment's overlay, proved.

    files: path -> content. ours: what kasmgen's entries alone build to. objects: what
    Flux applies, with people's own entries; sealed Secrets are in both.
    """

    files: Mapping[str, bytes] = field(repr=False)
    ours: Mapping[ResourceId, Object] = field(repr=False)
    objects: Mapping[ResourceId, Object] = field(repr=False)


def exact(
    job: Job, files: EnvironmentFiles, want: dict[ResourceId, Object], secrets: Mapping[str, bytes], source: str
) -> dict[str, bytes]:
    """The files of the overlay that `prove` makes."""
    return dict(prove(job, files, want, secrets, source).files)


def prove(
    job: Job, files: EnvironmentFiles, want: dict[ResourceId, Object], secrets: Mapping[str, bytes], source: str
) -> AssembledOverlay:
    """The overlay whose build equals `want`; merge patches that are not exact are made again as JSON 6902."""
    environment = files.environment
    where = f"environment {environment.name}"
    verify.demand_carried(where, [place for obj in want.values() for place in kustomize_limits.find(obj)])
    base = {key: item.object for key, item in job.base.objects.items()}
    json_only: frozenset[ResourceId] = frozenset()
    for last in (False, True):
        own, entries, apart = _overlay(job, files, base, want, json_only, source)
        alone = kustomization.fresh(environment.name, *_entries(environment, own, secrets, entries, frozenset()))
        planned = {**own, **secrets, f"{environment.directory}/{paths.KUSTOMIZATION}": alone.encode()}
        try:
            built = _build(job, environment, planned)
            got = verify.without_secrets(built, apart)
        except ToolError:
            if last:
                raise
            # A merge patch that kustomize refuses; which one is not always in its message.
            json_only = frozenset(base)
            continue
        wrong = verify.inexact(want, got)
        if not wrong:
            break
        if last:
            verify.demand_exact(where, want, got)
        json_only |= wrong
    text, objects = _kustomization(job, files, own, secrets, entries)
    whole = {**own, **secrets, f"{environment.directory}/{paths.KUSTOMIZATION}": text.encode()}
    return AssembledOverlay(whole, built, built if objects is None else objects)


def _overlay(
    job: Job,
    files: EnvironmentFiles,
    base: Mapping[ResourceId, Object],
    want: Mapping[ResourceId, Object],
    json_only: frozenset[ResourceId],
    source: str,
) -> tuple[dict[str, bytes], list[Yaml], tuple[ResourceId, ...]]:
    """Files of patches and resources, the entries of the patches, and what is no part of the chart (the Namespace)."""
    directory = files.environment.directory
    assembly = overlay_patches.patched(base, want, json_only)
    verify.demand_carried(f"environment {files.environment.name}", assembly.beyond)
    out: dict[str, bytes] = {}
    entries: list[Yaml] = []
    taken: dict[str, set[str]] = {
        folder: {Path(path).name for path in files.kept if path.startswith(f"{folder}/")}
        for folder in ("patches", "resources")
    }
    for key, made in sorted(assembly.patches.items()):
        name = f"patches/{overlay_patches.file_name(key, taken['patches'])}"
        out[f"{directory}/{name}"] = marks.stamp(documents.dump(made.content).encode(), source)
        entries.append(patch.entry(made, name))
    added = dict(assembly.added)
    namespace = _namespace(render.namespace_of(job.workspace.project, files.environment))
    key = ResourceId.of(namespace)
    apart: tuple[ResourceId, ...] = ()
    if key not in want:
        added[key] = namespace
        apart = (key,)
    for key, obj in sorted(added.items()):
        name = f"resources/{overlay_patches.file_name(key, taken['resources'])}"
        out[f"{directory}/{name}"] = marks.stamp(documents.dump(obj).encode(), source)
    return out, entries, apart


def _namespace(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "annotations": {f"{flux.FLUX}/prune": "disabled"}},
    }


def _entries(
    environment: Environment,
    own: Mapping[str, bytes],
    secrets: Mapping[str, bytes],
    patches: Sequence[Yaml],
    kept: frozenset[str],
) -> tuple[list[str], list[Yaml]]:
    """kasmgen's entries: resources in the order of their names, and patches."""
    prefix = f"{environment.directory}/"
    inside = sorted(path.removeprefix(prefix) for path in (*own, *secrets))
    files = [path for path in inside if path.startswith(("resources/", "secrets/")) and path not in kept]
    return [kustomization.BASE, *files], list(patches)


def _build(job: Job, environment: Environment, files: Mapping[str, bytes]) -> dict[ResourceId, Object]:
    root = job.run.directory / "build"
    scratch.write_tree(root, files)
    return verify.build(job.run.programs.kustomize, root, environment.directory, job.run.cache)


def _kustomization(
    job: Job, files: EnvironmentFiles, own: Mapping[str, bytes], secrets: Mapping[str, bytes], entries: Sequence[Yaml]
) -> tuple[str, dict[ResourceId, Object] | None]:
    """The overlay's kustomization.yaml with people's entries kept, and what it builds to if there are any."""
    environment = files.environment
    resources, patches = _entries(environment, own, secrets, entries, files.kept)
    if files.kustomization is None:
        return kustomization.fresh(environment.name, resources, patches), None
    path = f"{environment.directory}/{paths.KUSTOMIZATION}"
    text = kustomization.update(files.kustomization, path, resources, patches, files.kept)
    if not kustomization.own_content(text, path, files.kept):
        return text, None
    root = job.run.work_tree_copy(job.workspace) / job.workspace.prefix
    planned = {**job.base_files, **own, **secrets, path: text.encode()}
    scratch.write_tree(root, planned)
    return text, verify.demand_builds(job.run.programs.kustomize, root, environment.directory, job.run.cache)
