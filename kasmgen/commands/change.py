"""What every changing command has in common: publish a tree, with a message that says what and from what."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from kasmgen import __version__, publish
from kasmgen.model import Chart
from kasmgen.pipeline import Result
from kasmgen.steps import certificates
from kasmgen.steps.secretplan import Sources
from kasmgen.tools import git, helm, kustomize, sops
from kasmgen.workspace import Workspace


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
    what people should look at. next_steps: what to do now.
    """

    summary: str
    commit: str | None = None
    lines: tuple[str, ...] = ()
    reports: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()
    dry_run: bool = False
    data: Mapping[str, object] = field(default_factory=dict)


def sources(new_key: Callable[[str], certificates.PrivateKey] = certificates.new_key) -> Sources:
    """The system's randomness and clock."""
    return Sources(os.urandom, new_key, certificates.new_serial, datetime.now(UTC))


def committed_paths(workspace: Workspace) -> Callable[[str], bool]:
    """Whether the last commit holds a path of the project."""
    head = git.head(workspace.repo)

    def committed(path: str) -> bool:
        return bool(git.blobs(workspace.repo, head, [workspace.in_repo(path)]))

    return committed


def message(options: Options, title: str, body: str, chart: Chart, *, sealed: bool) -> str:
    """The commit's message: what, and trailers with chart, its digest and the versions of what made it."""
    trailers = [
        ("Chart", str(chart)),
        ("Chart-Digest", chart.digest),
        ("Kasmgen", __version__),
        ("Helm", str(helm.locate())),
        ("Kustomize", kustomize.version(kustomize.locate())),
    ]
    if sealed:
        trailers.append(("Sops", sops.locate().version))
    text = options.message or (f"{title}\n\n{body}" if body else title)
    return f"{text.rstrip()}\n\n" + "".join(f"{key}: {value}\n" for key, value in trailers)


def check(workspace: Workspace, options: Options) -> None:
    """Repair what a killed run left and refuse a repository that must not be changed. Raises RepositoryError."""
    if not options.dry_run:
        publish.recover(workspace.repo)
        git.check_ready(workspace.repo, commit=options.commit, branch=options.branch)


def prune_globs(names: Sequence[str]) -> list[str]:
    """Where generated files that no longer belong are looked for."""
    out = ["base"]
    for name in names:
        out += [f"overlays/{name}/patches", f"overlays/{name}/resources", f"clusters/{name}"]
    return out


def notes_of(result: Result) -> tuple[str, ...]:
    """Everything that was normalised, for -v."""
    lines = [f"base: {note}" for note in result.notes]
    for name, environment in result.environments.items():
        shared = set(result.notes)
        lines += [f"{name}: {note}" for note in environment.notes if note not in shared]
    return tuple(lines)
