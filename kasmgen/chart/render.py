"""Charts made ready, and rendered: twice, because what differs between two renders must be named."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from kasmgen.chart import normalise, profiles, secret_values, values_schema
from kasmgen.chart.sources import directory as sources_directory
from kasmgen.concurrency import Ahead
from kasmgen.errors import InputError, SecretError
from kasmgen.kubernetes import checksums, equality
from kasmgen.kubernetes.resources import Chart, Render
from kasmgen.layout import paths
from kasmgen.programs import helm
from kasmgen.programs.libhelm import HelmLibrary
from kasmgen.programs.session import Programs
from kasmgen.project.config import ChartRef, Environment, Project
from kasmgen.project.workspace import Workspace
from kasmgen.repository import scratch
from kasmgen.yaml import mappings
from kasmgen.yaml.cache import ParseCache
from kasmgen.yaml.documents import Yaml


@dataclass(frozen=True)
class LoadedChart:
    """A chart that is ready to render: its copy, its own values and its profile.

    relaxed: entries that were taken out of its schemas because its defaults leave them null.
    """

    chart: Chart
    defaults: Mapping[str, Yaml]
    profile: profiles.Profile
    relaxed: tuple[str, ...] = ()


class RenderSession:
    """What a run has at hand, and what ends with it.

    directory: a private one. root: the project's. programs: what renders, builds and seals. ahead: for
    work that is begun early. cache: texts that were read once.
    """

    def __init__(self, directory: Path, root: Path, programs: Programs, ahead: Ahead) -> None:
        self.directory = directory
        self.root = root
        self.programs = programs
        self.ahead = ahead
        self.cache = ParseCache()
        self._charts: dict[str, LoadedChart] = {}
        self._renders: dict[str, Callable[[], list[helm.Texts]]] = {}
        self._work_tree_copy: Path | None = None
        self._lock = threading.Lock()

    def work_tree_copy(self, workspace: Workspace) -> Path:
        """A copy of the whole work tree, made when the first overlay needs it."""
        with self._lock:
            if self._work_tree_copy is None:
                self._work_tree_copy = self.directory / "work_tree_copy"
                scratch.copy_work_tree(workspace.repo, self._work_tree_copy)
        return self._work_tree_copy

    def start(self, chart: Chart, release: str, namespace: str, given: Mapping[str, Yaml]) -> None:
        """Have a chart rendered while other work goes on."""
        key = self._key(chart, release, namespace, given)
        self._renders[key] = helm.order(self.programs.helm, chart, given, release, namespace, times=2)

    def texts(self, chart: Chart, release: str, namespace: str, given: Mapping[str, Yaml]) -> list[helm.Texts]:
        """A chart rendered twice. Raises as `helm.render` does."""
        begun = self._renders.pop(self._key(chart, release, namespace, given), None)
        return (begun or helm.order(self.programs.helm, chart, given, release, namespace, times=2))()

    @staticmethod
    def _key(chart: Chart, release: str, namespace: str, given: Mapping[str, Yaml]) -> str:
        return json.dumps([chart.path, release, namespace, given], sort_keys=True, default=str)

    def chart(self, ref: ChartRef, *, locked: bool = True) -> LoadedChart:
        """The chart of `ref`. locked: refuse one whose content is not what `ref` recorded."""
        with self._lock:
            if ref.source not in self._charts:
                self._charts[ref.source] = self._load(ref.source, f"chart-{len(self._charts)}")
        loaded = self._charts[ref.source]
        if locked and ref.version and ref.version != loaded.chart.version:
            raise InputError(
                f"chart {ref.source} has version {loaded.chart.version}, the project wants {ref.version}",
                hint="name the chart of that version, or if the change is wanted: kasmgen render --accept-chart",
            )
        if locked and ref.digest and ref.digest != loaded.chart.digest:
            raise InputError(
                f"chart {ref.source} is not what the project recorded: it is {loaded.chart} "
                f"{loaded.chart.digest[:19]}, recorded is {ref.version} {ref.digest[:19]}",
                hint="if the change is wanted: kasmgen render --accept-chart",
            )
        return loaded

    def _load(self, source: str, folder: str) -> LoadedChart:
        chart = sources_directory.snapshot(
            sources_directory.locate(source, self.root), self.directory / folder / "chart"
        )
        relaxed = sources_directory.rewrite_schemas(chart, values_schema.relax)
        return LoadedChart(chart, sources_directory.defaults(chart), profiles.for_chart(chart), relaxed)


@contextmanager
def session(root: Path, library: HelmLibrary) -> Iterator[RenderSession]:
    """A RenderSession for one run. Its private directory holds charts and ciphertext, never a secret in clear."""
    with tempfile.TemporaryDirectory(prefix="kasmgen-") as name, Ahead() as ahead:
        yield RenderSession(Path(name).resolve(), root, Programs(library), ahead)


def given_values(loaded: LoadedChart, project: Project, environment: Environment | None) -> dict[str, Yaml]:
    """The chart's own values under the project's under the environment's."""
    own = environment.values if environment else {}
    return mappings.merge(loaded.defaults, project.values, own)


def namespace_of(project: Project, environment: Environment | None) -> str:
    """Where the release lives."""
    return (environment.namespace if environment else "") or project.namespace


def render_values(loaded: LoadedChart, project: Project, environment: Environment | None) -> dict[str, Yaml]:
    """What Helm is given: only what people and the profile say, the chart's own values are Helm's to add."""
    inputs = _inputs(project, environment)
    for file, own in inputs:
        _refuse_secrets(loaded, file, own)
    layer = loaded.profile.layer(project, environment, given_values(loaded, project, environment))
    for file, own in inputs:
        path = mappings.clash(own, mappings.merge(loaded.defaults, layer))
        if path:
            raise InputError(f"{file}: values.{'.'.join(path)}: a mapping is expected")
    return mappings.merge(*(own for _, own in inputs), layer)


def _refuse_secrets(loaded: LoadedChart, file: str, own: Mapping[str, Yaml]) -> None:
    """An input file is committed in clear, so no secret may stand in it."""
    lifted = loaded.profile.lift(own)
    _refuse(file, [*lifted.passwords, *(f"certificate {role}" for role in lifted.pairs), *lifted.registry])


def refuse_written_secrets(
    run: RenderSession, loaded: LoadedChart, project: Project, environment: Environment | None
) -> None:
    """The same for a chart without a profile, which has to be tried. Raises SecretError."""
    file, own = _inputs(project, environment)[-1]
    if own and not loaded.profile.chart_names:
        found = secret_values.written_secrets(own, loaded.defaults, attempt(run, loaded, project, environment))
        _refuse(file, [".".join(path) for path in found])


def attempt(
    run: RenderSession, loaded: LoadedChart, project: Project, environment: Environment | None
) -> Callable[[Mapping[str, Yaml]], Render]:
    """Renders the chart with other values than the environment's own, or without one than the project's."""

    def render(own: Mapping[str, Yaml]) -> Render:
        shared = project if environment else replace(project, values=own)
        given = render_values(loaded, shared, replace(environment, values=own) if environment else None)
        namespace = namespace_of(project, environment)
        texts = helm.render(run.programs.helm, loaded.chart, given, project.release, namespace)
        return normalise.normalise(texts, namespace, run.cache.load)

    return render


def _inputs(project: Project, environment: Environment | None) -> list[tuple[str, Mapping[str, Yaml]]]:
    """The files with people's values, and the values."""
    inputs = [(paths.PROJECT_FILE, project.values)]
    if environment:
        inputs.append((f"{environment.directory}/{paths.ENVIRONMENT_FILE}", environment.values))
    return inputs


def _refuse(file: str, found: Sequence[str]) -> None:
    if found:
        raise SecretError(
            f"{file}: values: these are secrets and would be committed in clear: {', '.join(found)}",
            hint="take them out: `kasmgen env add` seals what it is given, `sops set` changes what is sealed",
        )


def render(
    run: RenderSession, loaded: LoadedChart, release: str, namespace: str, given: Mapping[str, Yaml]
) -> tuple[Render, Render]:
    """Two renders of the same values. Raises InputError if they differ anywhere but in Secrets."""
    texts = run.texts(loaded.chart, release, namespace, given)
    first = normalise.normalise(texts[0], namespace, run.cache.load)
    if texts[0] == texts[1]:
        return first, first
    first, second = checksums.without_random(first, normalise.normalise(texts[1], namespace))
    _demand_deterministic(loaded.chart, first, second)
    return first, second


def start(run: RenderSession, project: Project, environment: Environment) -> None:
    """Have an environment rendered while other work goes on; its `render` finds the texts."""
    loaded = run.chart(environment.chart or project.chart)
    given = render_values(loaded, project, environment)
    run.start(loaded.chart, project.release, namespace_of(project, environment), given)


def _demand_deterministic(chart: Chart, first: Render, second: Render) -> None:
    plain = [{key: item.object for key, item in render.objects.items()} for render in (first, second)]
    found = equality.differences(plain[0], plain[1])
    ids = sorted(first.secrets.keys() ^ second.secrets.keys())
    if found or ids:
        where = "; ".join([str(item) for item in found[:8]] + [f"{key} is in one of them only" for key in ids[:3]])
        raise InputError(
            f"chart {chart.name} renders something else each time, outside of Secrets: {where}",
            hint="set the values that make these parts fixed",
        )


def render_base(run: RenderSession, loaded: LoadedChart, project: Project) -> Render:
    """The chart with the shared values."""
    namespace = namespace_of(project, None)
    return render(run, loaded, project.release, namespace, render_values(loaded, project, None))[0]
