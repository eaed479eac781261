"""The spine: from the inputs to the tree of files that belongs in the repository.

Fetch the chart, render the base, and for each environment render, compare with what
is sealed, fill in what Secrets are missing, seal, assemble. Nothing in the project is
written here; `publish` does that with what comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from kasmgen.chart import render, required_secrets
from kasmgen.chart.release import LoadedChart, Release
from kasmgen.concurrency import each
from kasmgen.delivery import flux
from kasmgen.kubernetes.resources import Chart, Note, Object, Render, ResourceId
from kasmgen.layout.annotations import PINNED
from kasmgen.overlay import assemble, verify
from kasmgen.overlay import base as overlay_base
from kasmgen.overlay.assemble import AssembledOverlay, OverlayInputs
from kasmgen.project.config import Project
from kasmgen.project.workspace import EnvironmentFiles, Workspace
from kasmgen.secrets import plan as secrets_plan
from kasmgen.secrets import required, rollout, seal, sealed_file, sops_config, supplied
from kasmgen.secrets.plan import Create, Filling, Keep, Plan, Sources
from kasmgen.secrets.required import RequiredSecret
from kasmgen.secrets.supplied import Supplied

Progress = Callable[[str], None]
NOTHING = Supplied()


# --- what comes out ----------------------------------------------------------------


@dataclass(frozen=True)
class BuiltEnvironment:
    """What one environment became.

    files: path from the project's root -> content. created: paths of Secrets that were
    sealed now. reports: what people should look at.
    """

    name: str
    files: Mapping[str, bytes] = field(repr=False)
    created: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    reports: tuple[str, ...] = ()


@dataclass(frozen=True)
class Built:
    """Everything that belongs in the repository. chart: the project's, as it was rendered."""

    chart: Chart
    base: Mapping[str, bytes] = field(repr=False)
    environments: Mapping[str, BuiltEnvironment] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()

    @property
    def tree(self) -> dict[str, bytes]:
        """Path from the project's root -> content."""
        out = dict(self.base)
        for result in self.environments.values():
            out.update(result.files)
        return out

    @property
    def reports(self) -> tuple[str, ...]:
        """What people should look at, over all environments."""
        return tuple(report for result in self.environments.values() for report in result.reports)


# --- the base --------------------------------------------------------------------------


@dataclass(frozen=True)
class Base:
    """The chart rendered with the shared values, and the files that this becomes."""

    release: Release
    render: Render
    files: Mapping[str, bytes] = field(repr=False)

    @property
    def loaded(self) -> LoadedChart:
        """The project's chart."""
        return self.release.loaded

    @property
    def objects(self) -> dict[ResourceId, Object]:
        """What the files build to."""
        return {key: item.object for key, item in self.render.objects.items()}


def render_base(run: render.RenderSession, project: Project) -> Base:
    """The base of the project."""
    release = run.release(project)
    rendered, _ = render.render(run, release)
    return Base(release, rendered, overlay_base.base(rendered.objects, str(release.loaded.chart)))


def prove_base(run: render.RenderSession, base: Base) -> None:
    """Raise KasmgenError if kustomize does not make of the base what the chart renders.

    With an environment that needs no extra build: what it is built of is the base.
    """
    verify.prove_base(run.programs.kustomize, run.directory / "base", base.files, base.objects, run.cache)


@dataclass(frozen=True)
class Foundation:
    """What every environment of a workspace stands on. builder: builds overlays on the base."""

    run: render.RenderSession
    workspace: Workspace
    base: Base
    builder: verify.Builder


def lay_foundation(run: render.RenderSession, workspace: Workspace, names: Sequence[str]) -> Foundation:
    """The base rendered, and the first of the environments `names` begun meanwhile."""
    for name in names[:1]:
        run.start(workspace.project, workspace.environments[name].environment)
    base = render_base(run, workspace.project)
    builder = verify.Builder(run.programs, run.cache, run.directory, base.files, workspace.repo, workspace.prefix)
    return Foundation(run, workspace, base, builder)


# --- one environment ---------------------------------------------------------------------


@dataclass(frozen=True)
class EnvironmentPlan:
    """An environment rendered and compared with what is sealed: no key was needed, and nothing was made.

    files: what stands on disk. render: what Helm would install. needed: the Secrets that it must have,
    secrets: what has to happen to each of them.
    """

    files: EnvironmentFiles
    release: Release
    render: Render
    needed: tuple[RequiredSecret, ...]
    secrets: tuple[Plan, ...]

    @property
    def missing(self) -> tuple[Filling, ...]:
        """The Secrets that something has to be sealed for. While there is one, nobody knows what is patched."""
        return tuple(plan for plan in self.secrets if not isinstance(plan, Keep))

    @property
    def unchanged(self) -> dict[str, bytes]:
        """Path -> content of the sealed files that stay."""
        return seal.unchanged(self.secrets)


def plan_environment(
    foundation: Foundation, files: EnvironmentFiles, now: datetime, passed: Supplied = NOTHING
) -> EnvironmentPlan:
    """Render the environment, and decide what its Secrets need.

    Raises KasmgenError if the chart does not render or asks for what there is not.
    """
    environment = files.environment
    release = foundation.run.release(foundation.workspace.project, environment)
    first, second = render.render(foundation.run, release)
    needed = required_secrets.of(release, environment, first, second)
    if passed.registry:
        login = supplied.registry_secret(environment.registry, release.namespace, passed.registry)
        needed = (*needed, login)
    needed = supplied.with_frozen(needed, passed.frozen)
    taken = [item.path for item in files.existing]
    plans: list[Plan] = []
    for item in needed:
        existing = secrets_plan.find(item, files.existing)
        plans.append(secrets_plan.decide(environment.name, item, existing, taken, now))
        taken.append(plans[-1].path)
    return EnvironmentPlan(files, release, first, needed, tuple(plans))


def seal_secrets(
    foundation: Foundation,
    plan: EnvironmentPlan,
    sources: Sources,
    committed: Callable[[str], bool],
    passed: Supplied = NOTHING,
) -> dict[str, bytes]:
    """Fill in what Secrets are missing, and seal: path -> content of every sealed file of the plan.

    Raises SecretError where that would put a secret into clear text, to other recipients or in the place
    of one that was lost, and where it takes a private key that is not at hand.
    """
    name, config = plan.files.environment.name, foundation.workspace.sops_config
    render.refuse_written_secrets(foundation.run, plan.release, plan.render)
    if plan.files.existing:
        sops_config.require_own_rule(config, name, [item.path for item in plan.files.existing])
    secrets_plan.refuse_lost(plan.secrets, committed)
    values = supplied.assign(passed, plan.needed)
    supplied.require_sealed(values, {item.required.id: item.keys for item in plan.missing})
    return seal.seal(foundation.run.programs, name, plan.secrets, config, sources, values)


def assemble_environment(
    foundation: Foundation, plan: EnvironmentPlan, sealed: Mapping[str, bytes]
) -> AssembledOverlay:
    """Everything below `overlays/<env>/` and `clusters/<env>/`, proved to build what Helm would install.

    sealed: path -> content of the sealed files of the plan; other sealed files stay as they are.
    """
    secrets = {**_others(plan, sealed), **sealed}
    revisions = _revisions(secrets)
    want = {key: rollout.mark_secrets(item.object, revisions) for key, item in plan.render.objects.items()}
    source, base = str(plan.release.loaded.chart), foundation.base.objects
    inputs = OverlayInputs(plan.files, plan.release.namespace, base, want, secrets, source)
    overlay = assemble.prove(inputs, foundation.builder)
    workspace = foundation.workspace
    cluster = flux.files(workspace.project, plan.files.environment, workspace.prefix, source)
    return replace(overlay, files={**overlay.files, **cluster})


def build_environment(
    foundation: Foundation,
    files: EnvironmentFiles,
    sources: Sources,
    committed: Callable[[str], bool],
    passed: Supplied = NOTHING,
) -> BuiltEnvironment:
    """The environment planned, sealed and assembled."""
    plan = plan_environment(foundation, files, sources.now, passed)
    sealed = seal_secrets(foundation, plan, sources, committed, passed)
    overlay = assemble_environment(foundation, plan, sealed)
    return BuiltEnvironment(
        name=files.environment.name,
        files=overlay.files,
        created=tuple(sorted(item.path for item in plan.secrets if isinstance(item, Create))),
        notes=plan.render.notes,
        reports=(*_reports(plan), *_left_over(_others(plan, sealed))),
    )


def _others(plan: EnvironmentPlan, sealed: Mapping[str, bytes]) -> dict[str, bytes]:
    """Sealed files that the chart does not ask for."""
    return {item.path: item.content for item in plan.files.existing if item.path not in sealed}


def _left_over(others: Mapping[str, bytes]) -> list[str]:
    """Sealed Secrets stay when the chart stops asking for them: what is in them cannot be had again.

    What people gave is not among them: the chart asks for it with their values only, and those were left out.
    """
    found = [sealed_file.parse(content, path) for path, content in others.items()]
    return [
        f"{sealed.source}: the chart asks for it no longer"
        for sealed in found
        if sealed.type != required.REGISTRY and PINNED not in sealed.annotations
    ]


def _reports(plan: EnvironmentPlan) -> list[str]:
    reports = [report for item in plan.secrets for report in item.reports]
    environment, loaded = plan.files.environment, plan.release.loaded
    unused = loaded.profile.unused(environment)
    if unused and not environment.values:
        what = f"chart {loaded.chart.name} has no profile; set its own values for {', '.join(unused)}"
        reports.append(f"{environment.name}: {what}")
    return reports


def _revisions(secrets: Mapping[str, bytes]) -> dict[tuple[str, str], str]:
    """(namespace, name) of each sealed Secret -> what changes when, and only when, its content does."""
    found = {path: sealed_file.parse(content, path) for path, content in secrets.items()}
    return {(item.namespace, item.name): sealed_file.revision(secrets[path]) for path, item in found.items()}


# --- the whole -------------------------------------------------------------------------


def build(
    foundation: Foundation,
    names: Sequence[str],
    sources: Sources,
    committed: Callable[[str], bool],
    passed: Mapping[str, Supplied] | None = None,
    progress: Progress = lambda _: None,
) -> Built:
    """The base, and the environments `names`, as they must be in the repository.

    committed: whether the last commit holds a path of the project. passed: what
    people supplied for an environment. progress: called with each environment that
    is done. Raises KasmgenError of any kind; nothing was written then.
    """
    run, base = foundation.run, foundation.base
    render.refuse_written_secrets(run, base.release, base.render)
    if not names:
        prove_base(run, base)

    def one(name: str) -> BuiltEnvironment:
        files, own = foundation.workspace.environments[name], (passed or {}).get(name, NOTHING)
        result = build_environment(foundation, files, sources, committed, own)
        progress(name)
        return result

    # The commit's message tells it; asked now, it is there when the builds are done.
    run.programs.kustomize.version.start()
    results = {result.name: result for result in each(one, names)}
    relaxed = [Note("schema: a key whose default is null is not required", item) for item in base.loaded.relaxed]
    return Built(base.loaded.chart, base.files, results, (*relaxed, *base.render.notes))


def with_environment(workspace: Workspace, files: EnvironmentFiles, config: bytes) -> Workspace:
    """The workspace as it will be with one more (or one changed) environment, and `.sops.yaml` with this content."""
    environments = {**workspace.environments, files.environment.name: files}
    return replace(workspace, environments=environments, sops_config=config)
