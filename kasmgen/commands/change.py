"""What every changing command has in common: publish a tree, with a message that says what and from what."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from kasmgen import __version__
from kasmgen.build import Built
from kasmgen.kubernetes.resources import Chart
from kasmgen.programs.session import Programs
from kasmgen.project import workspace as workspaces
from kasmgen.project.workspace import Workspace
from kasmgen.repository import git, objects, publish
from kasmgen.secrets import certificates
from kasmgen.secrets.plan import Sources


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


def sources(new_key: Callable[[str], certificates.PrivateKey] = certificates.new_key) -> Sources:
    """The system's randomness and clock."""
    return Sources(os.urandom, new_key, certificates.new_serial, datetime.now(UTC))


def committed_paths(workspace: Workspace) -> Callable[[str], bool]:
    """Whether the last commit holds a path of the project; git is asked once, when the first path is."""

    @functools.cache
    def known() -> frozenset[str]:
        head = git.head(workspace.repo)
        return frozenset(objects.tree_entries(workspace.repo, head, workspace.prefix)) if head else frozenset()

    return lambda path: workspace.in_repo(path) in known()


def message(options: Options, title: str, body: str, chart: Chart, programs: Programs, *, sealed: bool) -> str:
    """The commit's message: what, and trailers with chart, its digest and the versions of what made it."""
    trailers = [
        ("Chart", str(chart)),
        ("Chart-Digest", chart.digest),
        ("Kasmgen", __version__),
        ("Helm", str(programs.helm)),
        ("Kustomize", programs.kustomize.version.take()),
    ]
    if sealed:
        trailers.append(("Sops", programs.sops.version))
    text = options.message or (f"{title}\n\n{body}" if body else title)
    return f"{text.rstrip()}\n\n" + "".join(f"{key}: {value}\n" for key, value in trailers)


def recovered(repo: git.Repository | None, options: Options) -> None:
    """Repair what a killed run left, before anything is read: what it half wrote must not be taken for inputs."""
    if repo is not None and not repo.bare and not options.dry_run:
        publish.recover(repo)


def open_workspace(start: Path, options: Options) -> Workspace:
    """The project at or above `start`, ready to be changed. Raises RepositoryError where it must not be."""
    recovered(git.find(workspaces.find_root(start)), options)
    workspace = workspaces.load(start)
    check(workspace.repo, options)
    return workspace


def check(repo: git.Repository, options: Options) -> None:
    """Raise RepositoryError or InputError if the repository must not be changed now, or not as the options say.

    A dry run is refused as the real one would be, but leaves to that one what a killed run has left.
    """
    if options.dry_run and publish.pending(repo):
        return
    git.check_ready(repo, commit=options.commit, branch=options.branch)
    if options.branch is not None:
        git.check_new_branch(repo, options.branch)
    if options.push:
        git.destination(repo, options.branch or git.branch(repo) or "")


def check_paths(repo: git.Repository, root: Path, paths: Iterable[str], options: Options) -> None:
    """Raise RepositoryError if a commit of these paths of the project would be refused."""
    if options.commit:
        publish.check(repo, root, paths)


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
