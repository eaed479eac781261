"""What is measured: each function makes its scratch, lets both sides take turns, and returns figures."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import clock
from bench.clock import Ran, Task
from bench.report import Figure
from bench.scratch import Scratch, program, resize
from bench.scratch import scratch as make_scratch
from kasmgen.chart import render as chart_render
from kasmgen.chart.sources import directory as sources_directory
from kasmgen.layout import paths
from kasmgen.programs import kustomize, sops
from kasmgen.programs.libhelm import HelmLibrary
from kasmgen.project import workspace

HERE = Path(__file__).parent
MB = 1e6


@dataclass(frozen=True)
class Plan:
    """How much to measure. fleets: number of environments -> runs. staged: environments of `check --staged`."""

    short: int
    add: int
    chart: int
    fleets: Mapping[int, int] = field(default_factory=dict)
    staged: int = 50


WHOLE = Plan(short=21, add=15, chart=31, fleets={1: 7, 10: 5, 100: 3}, staged=50)
QUICK = Plan(short=5, add=3, chart=5, fleets={1: 3, 5: 1}, staged=5)


def ratio(what: str, against: str, runs: Sequence[Ran], goal: float | None, times: int) -> Figure:
    """The first of `runs` by the second."""
    ours, reference = runs[0].seconds, runs[1].seconds
    return Figure(what, against, ours / reference, goal, ours=ours, reference=reference, runs=times)


def python(scratch: Scratch, *arguments: str) -> Task:
    """A task that runs this Python."""
    return Task(lambda: clock.run(sys.executable, *arguments, cwd=scratch.directory, env=scratch.env))


def kasmgen(
    scratch: Scratch, root: Path, *arguments: str, ok: Sequence[int] = (0,), prepare: Callable[[], None] = lambda: None
) -> Task:
    """A task that runs kasmgen in `root`."""
    return Task(lambda: clock.run(*program(), *arguments, cwd=root, env=scratch.env, ok=ok), prepare)


def has_command(scratch: Scratch, *words: str) -> bool:
    """Whether this kasmgen has a command."""
    try:
        clock.run(*program(), *words, "--help", cwd=scratch.directory, env=scratch.env)
    except RuntimeError:
        return False
    return True


# --- one command each -----------------------------------------------------------


def start(scratch: Scratch, plan: Plan) -> Iterator[Figure]:
    """`kasmgen --help`."""
    tasks = [kasmgen(scratch, scratch.directory, "--help"), python(scratch, "-c", "import click")]
    runs = clock.alternate(tasks, plan.short)
    yield ratio("`kasmgen --help`", '`python -c "import click"`', runs, 1.5, plan.short)


def add(scratch: Scratch, plan: Plan) -> Iterator[Figure]:
    """`env add`."""
    project, by_hand = scratch.project("project"), scratch.by_hand("by-hand")
    ours, theirs = scratch.directory / "add-ours", scratch.directory / "add-theirs"
    chart = str(sources_directory.locate(sources_directory.BUILTIN, project))
    env = {
        **scratch.env,
        "PYTHON": sys.executable,
        "SOPS": sops.locate().path,
        "KUBECTL": str(kustomize.locate().path),
    }
    script = (str(HERE / "by_hand.sh"), "prod", "kasm.example.com", chart)
    arguments = ("env", "add", "prod", "--hostname", "kasm.example.com", "--size", "medium")
    tasks = [
        kasmgen(scratch, ours, *arguments, prepare=lambda: _copy(project, ours)),
        Task(lambda: clock.run("bash", *script, cwd=theirs, env=env), lambda: _copy(by_hand, theirs)),
    ]
    runs = clock.alternate(tasks, plan.add)
    yield ratio("`kasmgen env add`", "the same by hand", runs, 0.6, plan.add)


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def chart(scratch: Scratch, plan: Plan) -> Iterator[Figure]:
    """Rendering the built-in chart."""
    path = str(sources_directory.locate(sources_directory.BUILTIN, scratch.directory))
    out = scratch.directory / "charts.json"
    made = scratch.place("simple")
    made.mkdir()
    argv = (sys.executable, str(HERE / "charts.py"), path, str(made), str(plan.chart))
    clock.run(*argv, cwd=scratch.directory, env=scratch.env, output=out)
    found = [Ran(seconds, 0) for seconds in json.loads(out.read_text())]
    what, against = "the built-in chart, rendered", "`helm create`'s chart, ten times"
    yield ratio(what, against, found[:2], 1.5, plan.chart)
    yield ratio(f"{what} and loaded", against, found[2:], None, plan.chart)


# --- many environments -------------------------------------------------------------


def fleets(scratch: Scratch, plan: Plan) -> Iterator[Figure]:
    """`render`, `diff` and `check` of as many environments as the plan says."""
    each: dict[int, float] = {}
    for count, times in plan.fleets.items():
        root = scratch.fleet(f"fleet-{count}", count)
        goals = count == max(plan.fleets)
        for part in (render, diff, check):
            for figure in part(scratch, root, count, times, goals):
                if figure.what.endswith(_CHANGED) and figure.ours:
                    each[count] = figure.ours / count
                yield figure
        shutil.rmtree(root)
    few, many = sorted(each)[-2:]
    value, times = each[many] / each[few], plan.fleets[many]
    what = f"`render`, one environment of {many}"
    yield Figure(what, f"one of {few}", value, 1.2, ours=each[many], reference=each[few], runs=times)


_CHANGED = "all changed"


def _environments(count: int) -> str:
    return f"{count} environment{'s' if count > 1 else ''}"


def render(scratch: Scratch, root: Path, count: int, times: int, goals: bool) -> Iterator[Figure]:
    """`render` where all environments changed and where nothing did. goals: whether memory has one."""
    changed, unchanged, bare = clock.alternate(
        [
            kasmgen(scratch, root, "render", prepare=lambda: resize(root)),
            kasmgen(scratch, root, "render"),
            _bare(scratch, root),
        ],
        times,
    )
    word, against = _environments(count), f"{2 * count + 2} renders, {count} builds"
    yield ratio(f"`render`, {word}, {_CHANGED}", against, [changed, bare], 1.5, times)
    yield ratio(f"`render`, {word}, nothing changed", against, [unchanged, bare], 1.5, times)
    peak = max(changed.peak, unchanged.peak) / MB
    yield Figure(f"`render`, {word}, memory", "", peak, 300 if goals else None, "MB", runs=2 * times)


def _bare(scratch: Scratch, root: Path, *, renders: bool = True) -> Task:
    """The renders and builds of the project as it is when the task is prepared."""
    job = scratch.directory / "job.json"
    task = python(scratch, str(HERE / "bare.py"), str(job))
    return Task(task.run, lambda: write_job(job, root, renders=renders))


def write_job(job: Path, root: Path, *, renders: bool) -> None:
    """What `bare.py` has to do for the project at `root`: the same values, in the same number, as kasmgen's."""
    found = workspace.load(root)
    project = found.project
    todo: list[dict[str, object]] = []
    builds = [_build_command(root / item.environment.directory) for item in found.environments.values()]
    if renders:
        with HelmLibrary() as library, chart_render.session(root, library) as run:
            for environment in (None, *(item.environment for item in found.environments.values())):
                release = run.release(project, environment)
                todo += [
                    {"values": release.values(), "name": project.release, "namespace": release.namespace},
                ] * 2
    source = sources_directory.locate(project.chart.source, root)
    job.write_text(json.dumps({"chart": str(source), "renders": todo, "builds": builds}))


def _build_command(directory: Path) -> list[str]:
    found = kustomize.locate()
    return [*found.command, *(() if found.is_kubectl else ("build",)), str(directory)]


def diff(scratch: Scratch, root: Path, count: int, times: int, goals: bool) -> Iterator[Figure]:
    """`diff` of two commits between which every environment changed."""
    if not has_command(scratch, "diff"):
        return
    sides: list[Path] = []
    for revision in ("HEAD~1", "HEAD"):
        side = scratch.place(f"side-{len(sides)}")
        scratch.git(root, "worktree", "add", "--detach", str(side), revision)
        sides.append(side)
    job = scratch.directory / "sides.json"
    overlays = [path for side in sides for path in sorted(side.glob(f"{paths.OVERLAYS}/*"))]
    job.write_text(json.dumps({"chart": "", "renders": [], "builds": [_build_command(path) for path in overlays]}))
    tasks = [kasmgen(scratch, root, "diff", "HEAD~1", "HEAD"), python(scratch, str(HERE / "bare.py"), str(job))]
    runs = clock.alternate(tasks, times)
    for side in sides:
        scratch.git(root, "worktree", "remove", "--force", str(side))
    word = _environments(count)
    yield ratio(f"`diff`, {word}", f"{2 * count} builds", runs, 0.8, times)
    yield Figure(f"`diff`, {word}, memory", "", runs[0].peak / MB, 400 if goals else None, "MB", runs=times)


def check(scratch: Scratch, root: Path, count: int, times: int, goals: bool) -> Iterator[Figure]:
    """`check` of the whole project."""
    del goals
    if not has_command(scratch, "check"):
        return
    # The certificates of the copies are the first one's; that is a finding, and no failure of the run.
    tasks = [
        kasmgen(scratch, root, "check", ok=(0, 1)),
        _bare(scratch, root, renders=False),
        _bare(scratch, root),
    ]
    ours, builds, both = clock.alternate(tasks, times)
    word = _environments(count)
    yield ratio(f"`check`, {word}", f"{count} builds", [ours, builds], None, times)
    yield ratio(f"`check`, {word}", f"{2 * count + 2} renders, {count} builds", [ours, both], 1.5, times)


def staged(scratch: Scratch, plan: Plan) -> Iterator[Figure]:
    """`check --staged`, every file of the environments staged."""
    if not has_command(scratch, "check"):
        return
    root = scratch.fleet("staged", plan.staged)
    scratch.git(root, "reset", "--quiet", "--soft", "HEAD~1")
    found = clock.alternate([kasmgen(scratch, root, "check", "--staged", ok=(0, 1))], plan.short)[0]
    what = f"`check --staged`, {plan.staged} environments"
    yield Figure(what, "", found.seconds, 1.0, "s", runs=plan.short)


ALL: Sequence[Callable[[Scratch, Plan], Iterator[Figure]]] = (start, add, chart, fleets, staged)


def measure(directory: Path, plan: Plan, say: Callable[[str], object] = lambda _: None) -> list[Figure]:
    """Every figure of the plan, measured in `directory`. say: called with each case's name before it runs."""
    place = make_scratch(directory)
    figures: list[Figure] = []
    for case in ALL:
        say(case.__name__)
        for figure in case(place, plan):
            figures.append(figure)
            say(f"  {figure.what}: {figure.value:.2f} {figure.unit}")
    return figures
