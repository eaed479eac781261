"""One environment for `check`: rendered, built and compared as `render` does it, with nothing made and nothing written.

What fails is kept as a value, so that one broken environment does not hide the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias, assert_never

from kasmgen import build
from kasmgen.chart import render as chart_render
from kasmgen.check.rules import overlays
from kasmgen.delivery import flux
from kasmgen.errors import InputError, KasmgenError, SecretError, ToolError
from kasmgen.kubernetes.resources import Object, Render, ResourceId
from kasmgen.overlay import assemble, verify
from kasmgen.project.workspace import EnvironmentFiles
from kasmgen.secrets import plan as secrets_plan
from kasmgen.secrets import rollout, seal, sealed_file, supplied
from kasmgen.secrets.certificates import CertificateSpec
from kasmgen.secrets.plan import Add, Create, Filling, Keep, Plan, Replace
from kasmgen.yaml import documents


@dataclass(frozen=True)
class CheckedEnvironment:
    """What an environment came to.

    built: how building went, with the objects as they stand on disk. planned: path ->
    content that the inputs ask for, None if that is not known. missing: path of a sealed
    file -> what it lacks. certificates: path -> what is asked of it. external: Secrets that
    others put into the cluster.
    """

    built: overlays.Built
    planned: Mapping[str, bytes] | None = field(default=None, repr=False)
    missing: Mapping[str, str] = field(default_factory=dict)
    certificates: Mapping[str, CertificateSpec] = field(default_factory=dict)
    external: frozenset[str] = frozenset()


def environment(job: assemble.Job, files: EnvironmentFiles) -> CheckedEnvironment:
    """The environment, examined. Raises ToolError if a program is missing."""
    failures: dict[str, KasmgenError] = {}
    planned: dict[str, bytes] | None = None
    plans: list[Plan] = []
    overlay: assemble.AssembledOverlay | None = None
    try:
        render, plans, secrets = _rendered(job, files)
    except KasmgenError as error:
        failures["render"] = error
    else:
        planned, overlay = _planned(job, files, render, plans, secrets, failures)
    ours = overlay.ours if overlay else {}
    objects: Mapping[ResourceId, Object] = overlay.objects if overlay else {}
    if planned is None or not _on_disk(job, planned):
        objects = _build_disk(job, files, failures)
        ours = ours or objects
    path = f"{files.environment.directory}/kustomization.yaml"
    listed = _mapping(files.kustomization, path)
    own = _patch_files(job, files, listed)
    return CheckedEnvironment(
        overlays.Built(files.environment.name, path, failures, listed, ours, objects, own, files.kept),
        planned,
        {plan.path: _lacks(plan) for plan in plans if not isinstance(plan, Keep)},
        {plan.path: plan.required.certificate for plan in plans if plan.required.certificate},
        _external(job, files),
    )


def _external(job: assemble.Job, files: EnvironmentFiles) -> frozenset[str]:
    """Names of Secrets that environment.yaml says are put into the cluster by others."""
    project, environment = job.workspace.project, files.environment
    roles = {role for role, how in environment.certificates.items() if how.source == "existing"}
    names = {environment.registry} - {""}
    if roles:
        loaded = job.run.chart(environment.chart or project.chart)
        given = chart_render.given_values(loaded, project, environment)
        # A profile leaves out what others bring; asked without that, it names all of them.
        usual = replace(environment, certificates={})
        required = loaded.profile.secrets(usual, chart_render.namespace_of(project, environment), given)
        names |= roles | {item.id.name for item in required if item.role in roles}
    return frozenset(names)


_Rendered: TypeAlias = tuple[Render, list[Plan], dict[str, bytes]]


def _rendered(job: assemble.Job, files: EnvironmentFiles) -> _Rendered:
    """The render, what would happen to each Secret, and the sealed files that stay."""
    project, environment = job.workspace.project, files.environment
    loaded = job.run.chart(environment.chart or project.chart)
    namespace = chart_render.namespace_of(project, environment)
    given = chart_render.render_values(loaded, project, environment)
    first, second = chart_render.render(job.run, loaded, project.release, namespace, given)
    needed = build.required_secrets(loaded, project, environment, first, second)
    plans: list[Plan] = []
    taken = [item.path for item in files.existing]
    for item in needed:
        found = secrets_plan.find(item, files.existing)
        plans.append(secrets_plan.decide(environment.name, item, found, taken, job.sources.now))
        taken.append(plans[-1].path)
    kept = [plan for plan in plans if isinstance(plan, Keep)]
    nothing = supplied.assign(supplied.Supplied(), [plan.required for plan in kept])
    secrets = seal.seal(environment.name, kept, job.workspace.sops_config, job.sources, nothing)
    others = {item.path: item.content for item in files.existing if item.path not in secrets}
    return first, plans, {**others, **secrets}


def _planned(
    job: assemble.Job,
    files: EnvironmentFiles,
    render: Render,
    plans: Sequence[Plan],
    secrets: Mapping[str, bytes],
    failures: dict[str, KasmgenError],
) -> tuple[dict[str, bytes] | None, assemble.AssembledOverlay | None]:
    if not all(isinstance(plan, Keep) for plan in plans):
        # What sealing would make is known only once it is made, and patches depend on it.
        return None, None
    revisions = _revisions(secrets)
    want = {key: rollout.mark_secrets(item.object, revisions) for key, item in render.objects.items()}
    loaded = job.run.chart(files.environment.chart or job.workspace.project.chart)
    try:
        overlay = assemble.prove(job, files, want, secrets, str(loaded.chart))
    except (InputError, ToolError, SecretError) as error:
        failures["build"] = error
        return None, None
    except KasmgenError as error:
        failures["exact"] = error
        return None, None
    cluster = flux.files(job.workspace.project, files.environment, job.workspace.prefix, str(loaded.chart))
    return {**overlay.files, **cluster}, overlay


def _revisions(secrets: Mapping[str, bytes]) -> dict[tuple[str, str], str]:
    found = {path: sealed_file.parse(content, path) for path, content in secrets.items()}
    return {(item.namespace, item.name): sealed_file.revision(secrets[path]) for path, item in found.items()}


def _on_disk(job: assemble.Job, planned: Mapping[str, bytes]) -> bool:
    """Whether the overlay and the base stand on disk as planned, so that what was built is what Flux builds."""
    root = job.workspace.root
    required = {**job.base_files, **planned}
    return all(_content(root / path) == content for path, content in required.items())


def _content(place: Path) -> bytes | None:
    try:
        return place.read_bytes() if place.is_file() and not place.is_symlink() else None
    except OSError:
        return None


def _build_disk(
    job: assemble.Job, files: EnvironmentFiles, failures: dict[str, KasmgenError]
) -> Mapping[ResourceId, Object]:
    """What the overlay builds to as it stands on disk; {} if it does not."""
    if files.kustomization is None:
        return {}
    try:
        return verify.build(job.run.programs.kustomize, job.workspace.root, files.environment.directory, job.run.cache)
    except (ToolError, InputError) as error:
        failures.setdefault("build", error)
        return {}


def _lacks(plan: Filling) -> str:
    name = plan.required.id.name
    match plan:
        case Create():
            return f"Secret {name} is not sealed yet"
        case Add():
            return f"Secret {name} lacks {', '.join(sorted(plan.keys))}"
        case Replace():
            return f"Secret {name} holds what the chart made before"
        case _:
            assert_never(plan)


def _mapping(text: str | None, path: str) -> dict[str, documents.Yaml]:
    try:
        value = documents.load(text or "", path)
    except InputError:
        return {}
    return value if isinstance(value, dict) else {}


def _patch_files(job: assemble.Job, files: EnvironmentFiles, listed: Mapping[str, documents.Yaml]) -> dict[str, bytes]:
    """Path as the kustomization has it -> content, of every patch file."""
    root = job.workspace.root / files.environment.directory
    paths = [entry.get("path") for entry in _entries(listed.get("patches"))]
    return {str(path): _content(root / str(path)) or b"" for path in paths if path}


def _entries(value: documents.Yaml) -> Iterable[dict[str, documents.Yaml]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
