"""What every changing command has in common: from a plan to an outcome, with a commit that says what it was made of."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kasmgen import __version__, safe_text
from kasmgen.build import Built
from kasmgen.kubernetes.resources import Chart
from kasmgen.layout import paths
from kasmgen.programs.session import Programs
from kasmgen.project import workspace as workspaces
from kasmgen.project.workspace import Workspace
from kasmgen.quantities import count
from kasmgen.repository import branches, git, publish, readiness
from kasmgen.repository.objects import Reader
from kasmgen.repository.publish import FileChanges, NewCommit, Publication
from kasmgen.secrets import key_pool
from kasmgen.secrets.plan import Sources

log = logging.getLogger("kasmgen")

if TYPE_CHECKING:
    from kasmgen.secrets.tls import PrivateKey


@dataclass(frozen=True)
class Options:
    """The global options of changing commands."""

    dry_run: bool = False
    commit: bool = True
    branch: str | None = None
    message: str | None = None
    push: bool = False
    force: bool = False


@dataclass(frozen=True)
class Rendering:
    """What a change was rendered with: it becomes the trailers of the commit."""

    chart: Chart
    programs: Programs


@dataclass(frozen=True)
class PlannedChange:
    """A change that is worked out and not made yet, and what to say of it.

    repo: None where there is no repository yet, which only a dry run meets. root: `changes` and `also_commit`,
    files of people that go into the commit as they stand, are below it. title and body: the commit's message,
    where people give none. rendering: None for what no chart has a part in. done, would and nothing: the summary
    of a run, of a dry run, and of one that finds nothing to change. reports: what people should look at. notes:
    what was normalised. by_hand: steps that stay with people, known before the change is made; next_steps: what to
    do once it is made. data: more of the result, for programs.
    """

    repo: git.Repository | None
    root: Path
    changes: FileChanges
    title: str
    done: str
    would: str = ""
    nothing: str = "nothing to do"
    body: str = ""
    rendering: Rendering | None = None
    also_commit: Sequence[str] = ()
    reports: Sequence[str] = ()
    notes: Sequence[str] = ()
    by_hand: Sequence[str] = ()
    next_steps: Sequence[str] = ()
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What a changing command did.

    commit: id of the commit, None if none was made. lines: one per file. reports:
    what people should look at. next_steps: what to do now. files: how many are in the commit.
    """

    summary: str
    commit: str | None = None
    lines: tuple[str, ...] = ()
    reports: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()
    dry_run: bool = False
    answer_is_no: bool = False
    data: Mapping[str, object] = field(default_factory=dict)
    files: int = 0


def sources(new_key: Callable[[str], PrivateKey] = key_pool.new_key) -> Sources:
    """The system's randomness and clock."""
    return Sources(os.urandom, new_key, datetime.now(UTC))


def committed_paths(workspace: Workspace) -> Callable[[str], bool]:
    """Whether the last commit holds a path of the project; git is asked once, when the first path is."""

    @functools.cache
    def known() -> frozenset[str]:
        if workspace.head is None:
            return frozenset()
        return frozenset(Reader(workspace.repo).tree(workspace.head, workspace.prefix))

    return lambda path: workspace.in_repo(path) in known()


def recovered(repo: git.Repository | None, options: Options) -> bool:
    """Repair what a killed run left, and say so, before anything is read: what it half wrote must not be an input.

    Whether there was anything, so that what is known of the repository is out of date.
    """
    if repo is None or repo.bare or options.dry_run:
        return False
    lines = publish.recover(repo)
    for line in lines:
        log.warning(safe_text.escaped(line))
    return bool(lines)


def open_workspace(start: Path, options: Options) -> Workspace:
    """The project at or above `start`, ready to be changed. Raises RepositoryError where it must not be."""
    root = workspaces.find_root(start)
    found = git.look(root)
    if found and recovered(found[0], options):
        found = git.look(root)
    workspace = workspaces.load(start, found)
    check(workspace.repo, options, found[1] if found else None)
    return workspace


def check(repo: git.Repository, options: Options, now: git.State | None = None) -> None:
    """Raise RepositoryError or InputError if the repository must not be changed now, or not as the options say.

    now: what the repository is in the middle of, if that is known.
    A dry run is refused as the real one would be, but leaves to that one what a killed run has left.
    """
    if options.dry_run and publish.pending(repo):
        return
    readiness.check_ready(repo, commit=options.commit, branch=options.branch, now=now)
    if options.branch is not None:
        branches.check_new_branch(repo, options.branch)
    if options.push:
        branches.destination(repo, options.branch or git.branch(repo) or "")


def finish(plan: PlannedChange, options: Options, landed: Callable[[], object] = lambda: None) -> Outcome:
    """Make the change, or with `--dry-run` say what it would be; what happened, for people and programs.

    landed: called once the change is there, as `Publication` says; never where there is nothing to change.
    Raises RepositoryError where the commit would be refused, and as `publish.publish` does.
    """
    outcome = Outcome(
        plan.nothing,
        lines=tuple(plan.changes.describe()),
        reports=tuple(plan.reports),
        notes=tuple(plan.notes),
        next_steps=tuple(plan.by_hand),
    )
    if not plan.changes:
        return outcome
    if plan.repo is None or options.dry_run:
        # What is made is refused by publish itself.
        if plan.repo is not None and options.commit:
            publish.check(plan.repo, plan.root, [*plan.changes.paths, *plan.also_commit])
        would = plan.would or f"would change {count(len(outcome.lines), 'file')}"
        return replace(outcome, summary=would, dry_run=True)
    commit = _commit(plan, options) if options.commit else None
    made = publish.publish(Publication(plan.repo, plan.root, plan.changes, commit, landed))
    return replace(
        outcome,
        summary=plan.done,
        commit=made.commit,
        files=made.files,
        next_steps=(*plan.by_hand, *plan.next_steps),
        data=plan.data,
    )


def _commit(plan: PlannedChange, options: Options) -> NewCommit:
    """The commit, with a message that says what, and in its trailers with which chart and programs it was made."""
    text = options.message or (f"{plan.title}\n\n{plan.body}" if plan.body else plan.title)
    trailers = "".join(f"{key}: {value}\n" for key, value in _trailers(plan))
    return NewCommit(f"{text.rstrip()}\n\n{trailers}", options.branch, options.push, plan.also_commit)


def _trailers(plan: PlannedChange) -> Iterator[tuple[str, str]]:
    if plan.rendering is None:
        yield "Kasmgen", __version__
        return
    chart, programs = plan.rendering.chart, plan.rendering.programs
    yield "Chart", str(chart)
    yield "Chart-Digest", chart.digest
    yield "Kasmgen", __version__
    yield "Helm", str(programs.helm)
    yield "Kustomize", programs.kustomize.version.take()
    if any(paths.is_sealed(path) for path in plan.changes.writes):
        yield "Sops", programs.sops.version


def prune_globs(names: Sequence[str]) -> list[str]:
    """Where generated files that no longer belong are looked for."""
    out = ["base"]
    for name in names:
        out += [f"overlays/{name}/patches", f"overlays/{name}/resources", f"clusters/{name}"]
    return out


def notes_of(result: Built) -> tuple[str, ...]:
    """Everything that was normalised, for -v."""
    lines = [f"base: {note}" for note in result.notes]
    for name, environment in result.environments.items():
        shared = set(result.notes)
        lines += [f"{name}: {note}" for note in environment.notes if note not in shared]
    return tuple(lines)
