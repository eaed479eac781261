"""The spine: from the inputs to the tree of files that belongs in the repository.

Fetch the chart, render the base, and for each environment render, fill in what
Secrets are missing, seal, patch, build and compare. Nothing in the project is
written here; `publish` does that with what comes out.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from kasmgen import config, sealing, verify, yamlio
from kasmgen.config import ChartRef, Environment, Project
from kasmgen.errors import InputError
from kasmgen.model import Chart, Note, Object, Render, ResourceId, Secret
from kasmgen.steps import (
    assemble,
    brought,
    certificates,
    compare,
    flux,
    kustomization,
    layout,
    mark,
    normalise,
    patch,
    profile,
    schema,
    sealed,
    secretplan,
    templates,
    values,
    wanted,
)
from kasmgen.steps.brought import Brought
from kasmgen.steps.secretplan import Plan, Sources
from kasmgen.steps.wanted import WantedSecret
from kasmgen.tools import charts, helm
from kasmgen.workspace import EnvironmentFiles, Workspace
from kasmgen.yamlio import Yaml

Progress = Callable[[str], None]


@dataclass(frozen=True)
class LoadedChart:
    """A chart that is ready to render: its copy, its own values and its profile.

    relaxed: entries that were taken out of its schemas because its defaults leave them null.
    """

    chart: Chart
    defaults: Mapping[str, Yaml]
    profile: profile.Profile
    relaxed: tuple[str, ...] = ()


@dataclass(frozen=True)
class EnvironmentResult:
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
class Result:
    """Everything that belongs in the repository. chart: the project's, as it was rendered."""

    chart: Chart
    base: Mapping[str, bytes] = field(repr=False)
    environments: Mapping[str, EnvironmentResult] = field(default_factory=dict)
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


class Kitchen:
    """What a run has at hand: a private directory, charts by source, texts that were read once."""

    def __init__(self, directory: Path, root: Path) -> None:
        self.directory = directory
        self.root = root
        self.cache = verify.ParseCache()
        self._charts: dict[str, LoadedChart] = {}
        self._farm: Path | None = None
        self._lock = threading.Lock()

    def farm(self, workspace: Workspace) -> Path:
        """A copy of the whole work tree, made when the first overlay needs it."""
        with self._lock:
            if self._farm is None:
                self._farm = self.directory / "farm"
                verify.farm(workspace.repo, self._farm)
        return self._farm

    def chart(self, ref: ChartRef, *, locked: bool = True) -> LoadedChart:
        """The chart of `ref`. locked: refuse one whose content is not what `ref` recorded."""
        if ref.source not in self._charts:
            path = charts.locate(ref.source, self.root)
            chart = charts.snapshot(path, self.directory / f"chart-{len(self._charts)}" / "chart")
            relaxed = charts.rewrite_schemas(chart, schema.relax)
            self._charts[ref.source] = LoadedChart(chart, charts.defaults(chart), profile.for_chart(chart), relaxed)
        loaded = self._charts[ref.source]
        if locked and ref.digest and ref.digest != loaded.chart.digest:
            raise InputError(
                f"chart {ref.source} is not what the project recorded: it is {loaded.chart} "
                f"{loaded.chart.digest[:19]}, recorded is {ref.version} {ref.digest[:19]}",
                hint="if the change is wanted: kasmgen render --accept-chart",
            )
        return loaded


@contextmanager
def kitchen(root: Path) -> Iterator[Kitchen]:
    """A Kitchen for one run. Its private directory holds charts and ciphertext, never a secret in clear."""
    with tempfile.TemporaryDirectory(prefix="kasmgen-") as name:
        yield Kitchen(Path(name).resolve(), root)


# --- rendering -----------------------------------------------------------------


def given_values(loaded: LoadedChart, project: Project, environment: Environment | None) -> dict[str, Yaml]:
    """The chart's own values under the project's under the environment's."""
    own = environment.values if environment else {}
    return values.merge(loaded.defaults, project.values, own)


def namespace_of(project: Project, environment: Environment | None) -> str:
    """Where the release lives."""
    return (environment.namespace if environment else "") or project.namespace


def render_values(loaded: LoadedChart, project: Project, environment: Environment | None) -> dict[str, Yaml]:
    """What Helm is given: only what people and the profile say, the chart's own values are Helm's to add."""
    layer = loaded.profile.layer(project, environment, given_values(loaded, project, environment))
    return values.merge(project.values, environment.values if environment else {}, layer)


def render(
    run: Kitchen, loaded: LoadedChart, release: str, namespace: str, given: Mapping[str, Yaml]
) -> tuple[Render, Render]:
    """Two renders of the same values. Raises InputError if they differ anywhere but in Secrets."""
    engine = helm.locate()
    texts = [helm.render(engine, loaded.chart, given, release, namespace) for _ in range(2)]
    first = normalise.normalise(texts[0], namespace, run.cache.load)
    if texts[0] == texts[1]:
        return first, first
    second = normalise.normalise(texts[1], namespace)
    _demand_deterministic(loaded.chart, first, second)
    return first, second


def render_once(loaded: LoadedChart, release: str, namespace: str, given: Mapping[str, Yaml]) -> Render:
    """One render, for looking only: nothing that is written may come of it."""
    return normalise.normalise(helm.render(helm.locate(), loaded.chart, given, release, namespace), namespace)


def _demand_deterministic(chart: Chart, first: Render, second: Render) -> None:
    plain = [{key: item.object for key, item in render.objects.items()} for render in (first, second)]
    found = compare.differences(plain[0], plain[1])
    ids = sorted(first.secrets.keys() ^ second.secrets.keys())
    if found or ids:
        where = "; ".join([str(item) for item in found[:8]] + [f"{key} is in one of them only" for key in ids[:3]])
        raise InputError(
            f"chart {chart.name} renders something else each time, outside of Secrets: {where}",
            hint="set the values that make these parts fixed",
        )


def render_base(run: Kitchen, loaded: LoadedChart, project: Project) -> Render:
    """The chart with the shared values."""
    namespace = namespace_of(project, None)
    return render(run, loaded, project.release, namespace, render_values(loaded, project, None))[0]


# --- one environment -------------------------------------------------------------


def wanted_secrets(
    loaded: LoadedChart, project: Project, environment: Environment, first: Render, second: Render
) -> tuple[WantedSecret, ...]:
    """All Secrets that the environment must have: those of the profile, then what else the chart renders."""
    namespace = namespace_of(project, environment)
    given = given_values(loaded, project, environment)
    known = {item.id: item for item in loaded.profile.secrets(environment, namespace, given)}
    for key, rendered in sorted(first.secrets.items()):
        if key not in known:
            again = second.secrets.get(key)
            how = environment.certificates.get(key.name, config.CertificateInput())
            pem = wanted.random_pair(rendered, again)
            if how.source == "existing":
                continue
            spec = certificates.like(pem, key_type=how.key_type or "", days=how.days or 0) if pem else None
            known[key] = wanted.from_render(rendered, again, tls=spec)
    return tuple(known.values())


@dataclass(frozen=True)
class Job:
    """What building one environment needs to know."""

    run: Kitchen
    workspace: Workspace
    base: Render
    base_files: Mapping[str, bytes]
    sources: Sources
    committed: Callable[[str], bool]


def build_environment(job: Job, files: EnvironmentFiles, passed: Brought) -> EnvironmentResult:
    """Everything below `overlays/<env>/` and `clusters/<env>/`, proved to build what Helm would install."""
    project, environment = job.workspace.project, files.environment
    loaded = job.run.chart(environment.chart or project.chart)
    namespace = namespace_of(project, environment)
    first, second = render(job.run, loaded, project.release, namespace, render_values(loaded, project, environment))
    plans, assigned = _plan_secrets(job, files, passed, wanted_secrets(loaded, project, environment, first, second))
    secrets = sealing.seal(environment.name, plans, job.workspace.sops_config, job.sources, assigned)
    others = {item.path: item.content for item in files.existing if item.path not in secrets}
    revisions = _revisions({**others, **secrets})
    want = {key: templates.mark_secrets(item.object, revisions) for key, item in first.objects.items()}
    overlay = _exact_overlay(job, files, want, {**others, **secrets}, str(loaded.chart))
    cluster = flux.files(project, environment, job.workspace.prefix, str(loaded.chart))
    return EnvironmentResult(
        name=environment.name,
        files={**overlay, **cluster},
        created=tuple(sorted(plan.path for plan in plans if plan.action == "create")),
        notes=first.notes,
        reports=(
            *_reports(environment, loaded, plans),
            *(f"{path}: the chart asks for it no longer" for path in others),
        ),
    )


def _left_over(others: Mapping[str, bytes]) -> list[str]:
    """Sealed Secrets stay when the chart stops asking for them: what is in them cannot be had again."""
    return [
        f"{path}: the chart asks for it no longer"
        for path, content in others.items()
        if sealed.parse(content, path).type != wanted.REGISTRY
    ]


def _plan_secrets(
    job: Job, files: EnvironmentFiles, passed: Brought, needed: Sequence[WantedSecret]
) -> tuple[list[Plan], dict[str, dict[str, Secret]]]:
    environment = files.environment
    if passed.registry:
        namespace = namespace_of(job.workspace.project, environment)
        needed = [*needed, brought.registry_secret(environment.registry, namespace, passed.registry)]
    taken = [item.path for item in files.existing]
    plans: list[Plan] = []
    for item in needed:
        existing = secretplan.find(item, files.existing)
        plan = secretplan.decide(environment.name, item, existing, taken, job.sources.now)
        taken.append(plan.path)
        plans.append(plan)
    secretplan.refuse_lost(plans, job.committed)
    return plans, brought.assign(passed, needed)


def _reports(environment: Environment, loaded: LoadedChart, plans: Sequence[Plan]) -> tuple[str, ...]:
    reports = [report for plan in plans for report in plan.reports]
    unused = loaded.profile.unused(environment)
    if unused and not environment.values:
        what = f"chart {loaded.chart.name} has no profile; set its own values for {', '.join(unused)}"
        reports.append(f"{environment.name}: {what}")
    return tuple(reports)


def _revisions(files: Mapping[str, bytes]) -> dict[tuple[str, str], str]:
    found = {path: sealed.parse(content, path) for path, content in files.items()}
    return {(item.namespace, item.name): sealed.revision(files[path]) for path, item in found.items()}


# --- the overlay, proved ---------------------------------------------------------


def _exact_overlay(
    job: Job, files: EnvironmentFiles, want: dict[ResourceId, Object], secrets: Mapping[str, bytes], source: str
) -> dict[str, bytes]:
    """The overlay's files whose build equals `want`; merge patches that are not exact are made again as JSON 6902."""
    environment = files.environment
    base = {key: item.object for key, item in job.base.objects.items()}
    json_only: frozenset[ResourceId] = frozenset()
    for last in (False, True):
        own, entries, apart = _overlay(job, files, base, want, json_only, source)
        alone = kustomization.fresh(environment.name, *_entries(environment, own, secrets, entries, frozenset()))
        got = _build(
            job, environment, {**own, **secrets, f"{environment.directory}/kustomization.yaml": alone.encode()}
        )
        wrong = verify.inexact(want, verify.without_secrets(got, apart))
        if not wrong:
            break
        if last:
            verify.demand_exact(environment.name, want, verify.without_secrets(got, apart))
        json_only |= wrong
    text = _kustomization(job, files, own, secrets, entries)
    return {**own, **secrets, f"{environment.directory}/kustomization.yaml": text.encode()}


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
    assembly = assemble.patched(base, want, json_only)
    out: dict[str, bytes] = {}
    entries: list[Yaml] = []
    taken: dict[str, set[str]] = {
        folder: {Path(path).name for path in files.kept if path.startswith(f"{folder}/")}
        for folder in ("patches", "resources")
    }
    for key, made in sorted(assembly.patches.items()):
        name = f"patches/{assemble.file_name(key, taken['patches'])}"
        out[f"{directory}/{name}"] = mark.stamp(yamlio.dump(made.content).encode(), source)
        entries.append(patch.entry(made, name))
    added = dict(assembly.added)
    namespace = _namespace(namespace_of(job.workspace.project, files.environment))
    key = ResourceId.of(namespace)
    apart: tuple[ResourceId, ...] = ()
    if key not in want:
        added[key] = namespace
        apart = (key,)
    for key, obj in sorted(added.items()):
        name = f"resources/{assemble.file_name(key, taken['resources'])}"
        out[f"{directory}/{name}"] = mark.stamp(yamlio.dump(obj).encode(), source)
    return out, entries, apart


def _namespace(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "annotations": {f"{normalise.FLUX}/prune": "disabled"}},
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
    verify.write_tree(root, files)
    return verify.build(root, environment.directory, job.run.cache)


def _kustomization(
    job: Job, files: EnvironmentFiles, own: Mapping[str, bytes], secrets: Mapping[str, bytes], entries: Sequence[Yaml]
) -> str:
    """The overlay's kustomization.yaml with people's entries kept, proved to build with them."""
    environment = files.environment
    resources, patches = _entries(environment, own, secrets, entries, files.kept)
    if files.kustomization is None:
        return kustomization.fresh(environment.name, resources, patches)
    path = f"{environment.directory}/kustomization.yaml"
    text = kustomization.update(files.kustomization, path, resources, patches, files.kept)
    if kustomization.own_content(text, path, files.kept):
        root = job.run.farm(job.workspace) / job.workspace.prefix
        planned = {**job.base_files, **own, **secrets, path: text.encode()}
        verify.write_tree(root, planned)
        verify.demand_builds(root, environment.directory)
    return text


# --- the whole -------------------------------------------------------------------


def build(
    run: Kitchen,
    workspace: Workspace,
    names: Sequence[str],
    sources: Sources,
    committed: Callable[[str], bool],
    passed: Mapping[str, Brought] | None = None,
    progress: Progress = lambda _: None,
) -> Result:
    """The base, and the environments `names`, as they must be in the repository.

    committed: whether the last commit holds a path of the project. passed: what
    people brought for an environment. progress: called with each environment that
    is done. Raises KasmgenError of any kind; nothing was written then.
    """
    project = workspace.project
    loaded = run.chart(project.chart)
    base = render_base(run, loaded, project)
    base_files = layout.base(base.objects, str(loaded.chart))
    verify.write_tree(run.directory / "build", base_files)
    job = Job(run, workspace, base, base_files, sources, committed)

    def one(name: str) -> EnvironmentResult:
        result = build_environment(job, workspace.environments[name], (passed or {}).get(name, Brought()))
        progress(name)
        return result

    results = {result.name: result for result in in_parallel(one, names)}
    relaxed = tuple(Note("schema: a key whose default is null is not required", item) for item in loaded.relaxed)
    return Result(loaded.chart, base_files, results, (*relaxed, *base.notes))


def in_parallel(task: Callable[[str], EnvironmentResult], names: Sequence[str]) -> Iterator[EnvironmentResult]:
    """`task` for each name, in their order. Helm and kustomize work outside of Python's lock, so threads do."""
    if len(names) < 2:
        yield from map(task, names)
        return
    with ThreadPoolExecutor(max_workers=min(8, (os.cpu_count() or 2) + 1)) as pool:
        futures = [pool.submit(task, name) for name in names]
        try:
            for future in futures:
                yield future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            raise


@contextmanager
def key_maker() -> Iterator[tuple[Callable[[str], None], Callable[[str], certificates.PrivateKey]]]:
    """Private keys made ahead in threads: (order one of a type, take one of a type).

    An RSA key of 4096 bits takes longer than everything else together, and is made
    outside of Python's lock.
    """
    waiting: dict[str, list[Future[certificates.PrivateKey]]] = {}
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:

        def order(key_type: str) -> None:
            waiting.setdefault(key_type, []).append(pool.submit(certificates.new_key, key_type))

        def take(key_type: str) -> certificates.PrivateKey:
            ready = waiting.get(key_type)
            return ready.pop(0).result() if ready else certificates.new_key(key_type)

        yield order, take


def key_types(loaded: LoadedChart, project: Project, environment: Environment) -> list[str]:
    """Types of the private keys that a new environment needs, slowest first, as far as its profile tells."""
    namespace = namespace_of(project, environment)
    secrets = loaded.profile.secrets(environment, namespace, given_values(loaded, project, environment))
    return sorted((item.certificate.key_type for item in secrets if item.certificate), reverse=True)


def with_environment(workspace: Workspace, files: EnvironmentFiles, sops_config: bytes) -> Workspace:
    """The workspace as it will be with one more (or one changed) environment."""
    environments = {**workspace.environments, files.environment.name: files}
    return replace(workspace, environments=environments, sops_config=sops_config)
