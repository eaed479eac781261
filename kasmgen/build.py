"""The spine: from the inputs to the tree of files that belongs in the repository.

Fetch the chart, render the base, and for each environment render, fill in what
Secrets are missing, seal, patch, build and compare. Nothing in the project is
written here; `publish` does that with what comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kasmgen.chart import render
from kasmgen.concurrency import each
from kasmgen.delivery import flux
from kasmgen.errors import InputError
from kasmgen.kubernetes.resources import Chart, Note, Render, ResourceId, Secret
from kasmgen.layout import paths
from kasmgen.overlay import assemble, verify
from kasmgen.overlay import base as overlay_base
from kasmgen.project import config
from kasmgen.project.config import Environment, Project
from kasmgen.project.workspace import EnvironmentFiles, Workspace
from kasmgen.repository import scratch
from kasmgen.secrets import certificates, required, rollout, seal, sealed_file, supplied
from kasmgen.secrets import plan as secrets_plan
from kasmgen.secrets import sops_config as secrets_sops_config
from kasmgen.secrets.plan import Create, Plan, Sources
from kasmgen.secrets.required import RequiredSecret
from kasmgen.secrets.supplied import Supplied

Progress = Callable[[str], None]


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


# --- one environment -------------------------------------------------------------


def required_secrets(
    loaded: render.LoadedChart, project: Project, environment: Environment, first: Render, second: Render
) -> tuple[RequiredSecret, ...]:
    """All Secrets that the environment must have: those of the profile, then what else the chart renders."""
    namespace = render.namespace_of(project, environment)
    given = render.given_values(loaded, project, environment)
    known = {item.id: item for item in loaded.profile.secrets(environment, namespace, given)}
    for key, rendered in sorted(first.secrets.items()):
        if key not in known:
            again = second.secrets.get(key)
            how = environment.certificates.get(key.name, config.CertificateInput())
            pem = required.random_pair(rendered, again)
            if how.source == "existing":
                continue
            spec = _certificate(pem, how)
            known[key] = required.from_render(rendered, again, tls=spec)
    _refuse_unknown_certificates(loaded, environment, known.values())
    return tuple(known.values())


def _refuse_unknown_certificates(
    loaded: render.LoadedChart, environment: Environment, secrets: Iterable[RequiredSecret]
) -> None:
    """An entry under `certificates` that is about none would be ignored in silence."""
    pairs = [item.id.name for item in secrets if item.certificate]
    existing = [name for name, how in environment.certificates.items() if how.source == "existing"]
    roles = loaded.profile.certificates or (*pairs, *existing)
    for name in environment.certificates:
        if name not in roles:
            raise InputError(
                f"{environment.directory}/{paths.ENVIRONMENT_FILE}: certificates.{name}: there is no such certificate",
                hint=f"there are: {', '.join(roles) or 'none'}",
            )


def _certificate(pem: bytes | None, how: config.CertificateInput) -> certificates.CertificateSpec | None:
    """What to issue in place of the chart's own certificate. An authority's stays as the chart made it."""
    if pem is None or certificates.is_authority(pem):
        return None
    return certificates.like(pem, key_type=how.key_type or "", days=how.days or 0)


def build_environment(job: assemble.Job, files: EnvironmentFiles, passed: Supplied) -> BuiltEnvironment:
    """Everything below `overlays/<env>/` and `clusters/<env>/`, proved to build what Helm would install."""
    project, environment = job.workspace.project, files.environment
    loaded = job.run.chart(environment.chart or project.chart)
    namespace = render.namespace_of(project, environment)
    given = render.render_values(loaded, project, environment)
    first, second = render.render(job.run, loaded, project.release, namespace, given)
    if first.secrets:
        render.refuse_written_secrets(job.run, loaded, project, environment)
    plans, assigned = _plan_secrets(job, files, passed, required_secrets(loaded, project, environment, first, second))
    secrets = seal.seal(environment.name, plans, job.workspace.sops_config, job.sources, assigned)
    others = {item.path: item.content for item in files.existing if item.path not in secrets}
    revisions = _revisions({**others, **secrets})
    want = {key: rollout.mark_secrets(item.object, revisions) for key, item in first.objects.items()}
    overlay = assemble.exact(job, files, want, {**others, **secrets}, str(loaded.chart))
    cluster = flux.files(project, environment, job.workspace.prefix, str(loaded.chart))
    return BuiltEnvironment(
        name=environment.name,
        files={**overlay, **cluster},
        created=tuple(sorted(plan.path for plan in plans if isinstance(plan, Create))),
        notes=first.notes,
        reports=(*_reports(environment, loaded, plans), *_left_over(others)),
    )


def _left_over(others: Mapping[str, bytes]) -> list[str]:
    """Sealed Secrets stay when the chart stops asking for them: what is in them cannot be had again."""
    return [
        f"{path}: the chart asks for it no longer"
        for path, content in others.items()
        if sealed_file.parse(content, path).type != required.REGISTRY
    ]


def _plan_secrets(
    job: assemble.Job, files: EnvironmentFiles, passed: Supplied, needed: Sequence[RequiredSecret]
) -> tuple[list[Plan], dict[ResourceId, dict[str, Secret]]]:
    environment = files.environment
    if passed.registry:
        namespace = render.namespace_of(job.workspace.project, environment)
        needed = [*needed, supplied.registry_secret(environment.registry, namespace, passed.registry)]
    taken = [item.path for item in files.existing]
    if taken:
        secrets_sops_config.require_own_rule(job.workspace.sops_config, environment.name, taken)
    plans: list[Plan] = []
    for item in needed:
        existing = secrets_plan.find(item, files.existing)
        plan = secrets_plan.decide(environment.name, item, existing, taken, job.sources.now)
        taken.append(plan.path)
        plans.append(plan)
    secrets_plan.refuse_lost(plans, job.committed)
    return plans, supplied.assign(passed, needed)


def _reports(environment: Environment, loaded: render.LoadedChart, plans: Sequence[Plan]) -> tuple[str, ...]:
    reports = [report for plan in plans for report in plan.reports]
    unused = loaded.profile.unused(environment)
    if unused and not environment.values:
        what = f"chart {loaded.chart.name} has no profile; set its own values for {', '.join(unused)}"
        reports.append(f"{environment.name}: {what}")
    return tuple(reports)


def _revisions(files: Mapping[str, bytes]) -> dict[tuple[str, str], str]:
    found = {path: sealed_file.parse(content, path) for path, content in files.items()}
    return {(item.namespace, item.name): sealed_file.revision(files[path]) for path, item in found.items()}


# --- the whole -------------------------------------------------------------------


def build(
    run: render.RenderSession,
    workspace: Workspace,
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
    project = workspace.project
    loaded = run.chart(project.chart)
    if names:
        render.start(run, project, workspace.environments[names[0]].environment)
    base = render.render_base(run, loaded, project)
    if base.secrets:
        render.refuse_written_secrets(run, loaded, project, None)
    base_files = overlay_base.base(base.objects, str(loaded.chart))
    if names:
        scratch.write_tree(run.directory / "build", base_files)
    else:
        prove_base(run, base, base_files)
    job = assemble.Job(run, workspace, base, base_files, sources, committed)

    def one(name: str) -> BuiltEnvironment:
        result = build_environment(job, workspace.environments[name], (passed or {}).get(name, Supplied()))
        progress(name)
        return result

    # The commit's message tells it; asked now, it is there when the builds are done.
    run.programs.kustomize.version.start()
    results = {result.name: result for result in each(one, names)}
    relaxed = tuple(Note("schema: a key whose default is null is not required", item) for item in loaded.relaxed)
    return Built(loaded.chart, base_files, results, (*relaxed, *base.notes))


def prove_base(run: render.RenderSession, base: Render, files: Mapping[str, bytes]) -> None:
    """Raise KasmgenError if kustomize does not make of the base what the chart renders.

    With an environment that needs no extra build: what it is built of is the base.
    """
    want = {key: item.object for key, item in base.objects.items()}
    verify.prove_base(run.programs.kustomize, run.directory / "build", files, want, run.cache)


def key_types(loaded: render.LoadedChart, project: Project, environment: Environment) -> list[str]:
    """Types of the private keys that a new environment needs, slowest first, as far as its profile tells."""
    namespace = render.namespace_of(project, environment)
    secrets = loaded.profile.secrets(environment, namespace, render.given_values(loaded, project, environment))
    return sorted((item.certificate.key_type for item in secrets if item.certificate), reverse=True)


def with_environment(workspace: Workspace, files: EnvironmentFiles, sops_config: bytes) -> Workspace:
    """The workspace as it will be with one more (or one changed) environment."""
    environments = {**workspace.environments, files.environment.name: files}
    return replace(workspace, environments=environments, sops_config=sops_config)
