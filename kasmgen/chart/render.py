"""Charts made ready, and rendered: twice, because what differs between two renders must be named."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from kasmgen.chart import normalise, profiles, secret_values, values_schema
from kasmgen.chart.release import LoadedChart, Release, refuse_in_clear
from kasmgen.chart.sources import directory as sources_directory
from kasmgen.concurrency import Ahead
from kasmgen.errors import InputError, KasmgenError
from kasmgen.kubernetes import checksums, equality
from kasmgen.kubernetes.resources import Chart, Render
from kasmgen.programs import helm
from kasmgen.programs.libhelm import HelmLibrary
from kasmgen.programs.private_directory import private_directory, sweep
from kasmgen.programs.session import Programs
from kasmgen.project.config import ChartRef, Environment, Project
from kasmgen.yaml.cache import ParseCache
from kasmgen.yaml.documents import Yaml


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
        self._lock = threading.Lock()

    def release(self, project: Project, environment: Environment | None = None, *, locked: bool = True) -> Release:
        """What Helm would install for an environment, or for the base. locked: as in `chart`."""
        ref = (environment.chart if environment else None) or project.chart
        return Release(self.chart(ref, locked=locked), project, environment)

    def start(self, project: Project, environment: Environment) -> None:
        """Have an environment rendered while other work goes on; what is wrong with it is said when it is rendered."""
        with suppress(KasmgenError):
            release = self.release(project, environment)
            values = release.values()
            self._renders[self._key(release, values)] = self._order(release, values)

    def texts(self, release: Release) -> list[helm.Texts]:
        """A release rendered twice. Raises as `Release.values` and `helm.render` do."""
        values = release.values()
        begun = self._renders.pop(self._key(release, values), None)
        return (begun or self._order(release, values))()

    def _order(self, release: Release, values: Mapping[str, Yaml]) -> Callable[[], list[helm.Texts]]:
        chart, name = release.loaded.chart, release.project.release
        return helm.order(self.programs.helm, chart, values, name, release.namespace, times=2)

    @staticmethod
    def _key(release: Release, values: Mapping[str, Yaml]) -> str:
        where = [release.loaded.chart.path, release.project.release, release.namespace]
        return json.dumps([*where, values], sort_keys=True, default=str)

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
    sweep()
    with private_directory() as directory, Ahead() as ahead:
        yield RenderSession(directory, root, Programs(library), ahead)


def render(run: RenderSession, release: Release) -> tuple[Render, Render]:
    """Two renders of a release. Raises InputError if they differ anywhere but in Secrets."""
    texts = run.texts(release)
    first = normalise.normalise(texts[0], release.namespace, run.cache.load)
    if texts[0] == texts[1]:
        return first, first
    first, second = checksums.without_random(first, normalise.normalise(texts[1], release.namespace))
    _require_deterministic(release.loaded.chart, first, second)
    return first, second


def _require_deterministic(chart: Chart, first: Render, second: Render) -> None:
    plain = [{key: item.object for key, item in render.objects.items()} for render in (first, second)]
    found = equality.differences(plain[0], plain[1])
    ids = sorted(first.secrets.keys() ^ second.secrets.keys())
    if found or ids:
        where = "; ".join([str(item) for item in found[:8]] + [f"{key} is in one of them only" for key in ids[:3]])
        raise InputError(
            f"chart {chart.name} renders something else each time, outside of Secrets: {where}",
            hint="set the values that make these parts fixed",
        )


def attempt(run: RenderSession, release: Release) -> Callable[[Mapping[str, Yaml]], Render]:
    """Renders a release with other values than its own, to see what they do."""

    def render(own: Mapping[str, Yaml]) -> Render:
        tried = release.with_own_values(own)
        texts = helm.render(
            run.programs.helm, tried.loaded.chart, tried.values(), tried.project.release, tried.namespace
        )
        return normalise.normalise(texts, tried.namespace, run.cache.load)

    return render


def refuse_written_secrets(run: RenderSession, release: Release, rendered: Render) -> None:
    """Raise SecretError if people's values hold secrets in clear.

    What they are called tells, and where a chart without a profile has `rendered` Secrets, what it makes of them.
    """
    file, own = release.inputs[-1]
    defaults, plain = release.loaded.defaults, release.plain
    refuse_in_clear(file, release.loud)
    if own and rendered.secrets and not release.loaded.profile.chart_names:
        found = secret_values.written_secrets(own, defaults, attempt(run, release), plain)
        refuse_in_clear(file, [".".join(path) for path in found])
