"""`kasmgen render`: base, overlays and cluster objects brought in line with the inputs."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from kasmgen import build
from kasmgen.chart import render
from kasmgen.commands import change
from kasmgen.commands.change import Options, Outcome, PlannedChange, Rendering
from kasmgen.errors import InputError, RepositoryError
from kasmgen.kubernetes.resources import Chart
from kasmgen.layout import paths
from kasmgen.overlay import files_read
from kasmgen.programs.libhelm import HelmLibrary
from kasmgen.programs.session import Programs
from kasmgen.project.config import ChartRef
from kasmgen.project.workspace import Workspace, load, read_text
from kasmgen.quantities import count
from kasmgen.repository import publish
from kasmgen.repository.objects import Reader
from kasmgen.repository.publish import FileChanges


def run(
    start: Path,
    names: Sequence[str],
    options: Options,
    helm: HelmLibrary,
    *,
    check: bool = False,
    accept_chart: bool = False,
    progress: build.Progress = lambda _: None,
) -> Outcome:
    """Render the project, or some of its environments.

    check: write nothing; the outcome lists what is stale, and its answer is no if anything is.
    accept_chart: take a chart that is not the recorded one, and record it.
    """
    workspace = load(start) if check else change.open_workspace(start, options)
    selected = select(workspace, names)
    with render.session(workspace.root, helm) as run_:
        if accept_chart:
            workspace = _unlocked(workspace)
        foundation = build.lay_foundation(run_, workspace, selected)
        if publish.plan(workspace.root, foundation.base.files, prune=["base"], force=options.force):
            # The other overlays stand on the same base: left alone they would build something else.
            selected = list(workspace.environments)
        committed = change.committed_paths(workspace)
        result = build.build(foundation, selected, change.sources(), committed, progress=progress)
    tree = result.tree
    if accept_chart:
        tree |= _recorded(workspace, result.chart)
    changes = publish.plan(
        workspace.root, tree, prune=change.prune_globs(selected), force=options.force, read=workspace.digests
    )
    plan = _plan(workspace, selected, changes, result, run_.programs)
    if check:
        return _compared(plan, len(selected))
    if changes and options.commit:
        _require_committed(workspace, selected, {*changes.paths, *plan.also_commit})
    return change.finish(plan, options)


def _plan(
    workspace: Workspace, names: Sequence[str], changes: FileChanges, result: build.Built, programs: Programs
) -> PlannedChange:
    which = ", ".join(names) if len(names) <= 5 else f"{len(names)} environments"
    return PlannedChange(
        workspace.repo,
        workspace.root,
        changes,
        title=f"Render {which}" if names else "Render the base",
        rendering=Rendering(result.chart, programs),
        also_commit=_inputs(workspace, names),
        done=f"{count(len(changes.paths), 'file')} brought in line",
        nothing=f"nothing to do: {count(len(names), 'environment')} as the inputs say",
        reports=(*result.reports, *_orphans(workspace)),
        notes=change.notes_of(result),
    )


def _compared(plan: PlannedChange, environments: int) -> Outcome:
    """What `--check` says: the files that are stale, and whether there are any."""
    stale = plan.changes.describe()
    if stale:
        summary = f"{count(len(stale), 'file')} not what the inputs say"
    else:
        summary = f"everything is as the inputs say ({count(environments, 'environment')})"
    return Outcome(
        summary,
        lines=tuple(stale),
        reports=tuple(plan.reports),
        notes=tuple(plan.notes),
        dry_run=bool(stale),
        answer_is_no=bool(stale),
    )


def select(workspace: Workspace, names: Sequence[str]) -> list[str]:
    """The environments that were named, all of them if none was. Raises InputError for one that does not exist."""
    for name in names:
        if name not in workspace.environments:
            near = difflib.get_close_matches(name, workspace.environments, 1, 0.5)
            known = ", ".join(workspace.environments) or "none yet"
            hint = f"perhaps you meant '{near[0]}'" if near else f"there are: {known}"
            raise InputError(f"there is no environment '{name}'", hint=hint)
    return list(dict.fromkeys(names)) or list(workspace.environments)


def _unlocked(workspace: Workspace) -> Workspace:
    project = workspace.project
    chart = ChartRef(project.chart.source)
    environments = {
        name: replace(
            files,
            environment=files.environment.replace(
                chart=ChartRef(files.environment.chart.source) if files.environment.chart else None,
            ),
        )
        for name, files in workspace.environments.items()
    }
    return replace(workspace, project=project.replace(chart=chart), environments=environments)


def _recorded(workspace: Workspace, chart: Chart) -> dict[str, bytes]:
    """`kasmgen.yaml` with version and digest of the chart as it is now."""
    # Imported here: ruamel.yaml takes long to load, and the chart's record seldom changes.
    from kasmgen.yaml import roundtrip

    text = read_text(workspace.root / paths.PROJECT_FILE, paths.PROJECT_FILE)
    document = roundtrip.load(text, paths.PROJECT_FILE)
    section = document.setdefault("chart", roundtrip.to_node({"source": workspace.project.chart.source}))
    section["version"] = roundtrip.to_node(chart.version)
    section["digest"] = roundtrip.to_node(chart.digest)
    return {paths.PROJECT_FILE: roundtrip.dump(document, text).encode()}


def _orphans(workspace: Workspace) -> list[str]:
    """Cluster objects without an environment. They stay: without them Flux would delete what it applied."""
    clusters = workspace.root / paths.CLUSTERS
    found = sorted(path.parent.name for path in clusters.glob("*/kasm.yaml")) if clusters.is_dir() else []
    return [
        f"{paths.CLUSTERS}/{name}/kasm.yaml belongs to no environment; removing it makes Flux delete the deployment"
        for name in found
        if name not in workspace.environments
    ]


def _require_committed(workspace: Workspace, names: Sequence[str], ours: Collection[str]) -> None:
    """Refuse a commit that would not build because people's files that an overlay names are not in it."""
    reader = Reader(workspace.repo)
    held = set(reader.tree(workspace.head)) if workspace.head else set()
    held |= {workspace.in_repo(path) for path in ours}
    files = frozenset(reader.files())
    for name in names:
        directory = workspace.in_repo(f"{paths.OVERLAYS}/{name}")
        text = workspace.environments[name].kustomization or ""
        missing = [path for path in files_read.named(directory, text, files) if path not in held]
        if missing:
            raise RepositoryError(
                f"{directory}/kustomization.yaml names files that are in no commit, so Flux could not build it: "
                + ", ".join(missing),
                hint=f"git add {' '.join(missing)} && git commit, then run the command again",
            )


def _inputs(workspace: Workspace, names: Sequence[str]) -> list[str]:
    """Files of people that go into the same commit, as they stand."""
    inputs = [paths.PROJECT_FILE, paths.SOPS_FILE]
    for name in names:
        inputs += [
            f"{paths.OVERLAYS}/{name}/{paths.ENVIRONMENT_FILE}",
            f"{paths.OVERLAYS}/{name}/kustomization.yaml",
        ]
    return [path for path in inputs if (workspace.root / path).is_file()]
