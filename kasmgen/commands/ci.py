"""`kasmgen ci`: a pipeline that checks and shows every pull request."""

from __future__ import annotations

from pathlib import Path

from kasmgen import __version__
from kasmgen.commands import change, ci_pipelines
from kasmgen.commands.change import Options, Outcome
from kasmgen.errors import RepositoryError
from kasmgen.kubernetes.resources import Tree
from kasmgen.layout import marks
from kasmgen.project import workspace
from kasmgen.repository import git, publish
from kasmgen.review.formats import words


def run(start: Path, platform: str, options: Options) -> Outcome:
    """Write the pipeline of `platform` ("github" or "gitlab") and commit it. Raises KasmgenError."""
    root = workspace.find_root(start)
    repo = git.find(root)
    if repo is None:
        raise RepositoryError(f"{root} is in no Git repository", hint="`git init` there, or `kasmgen init`")
    change.recovered(repo, options)
    change.check(repo, options)
    project = git.toplevel_relative(repo, root)
    tree, steps = _pipeline(repo, project, platform)
    changes = publish.plan(repo.root, tree, force=options.force)
    if not changes:
        return Outcome(f"nothing to do: the pipeline for {platform} is there", next_steps=steps)
    lines = tuple(changes.describe())
    change.check_paths(repo, repo.root, changes.paths, options)
    if options.dry_run:
        return Outcome(f"would change {words.count(len(lines), 'file')}", None, lines, next_steps=steps, dry_run=True)
    text = options.message or f"Check and compare changes with kasmgen on {platform}"
    done = publish.publish(
        repo,
        repo.root,
        changes,
        message=f"{text.rstrip()}\n\nKasmgen: {__version__}\n",
        commit=options.commit,
        branch=options.branch,
        push=options.push,
    )
    return Outcome(f"the pipeline for {platform} is written", done.commit, lines, next_steps=steps, files=done.files)


def _pipeline(repo: git.Repository, project: str, platform: str) -> tuple[Tree, tuple[str, ...]]:
    """The files, and what people have to do themselves."""
    if platform == "github":
        return ci_pipelines.github(project, git.branch(repo) or "main"), ()
    entry = repo.root / ci_pipelines.GITLAB_ENTRY
    # A pipeline that people have is theirs; ours is one line in it.
    theirs = entry.exists() and marks.read(workspace.read_bytes(entry, ci_pipelines.GITLAB_ENTRY)).state == "foreign"
    steps = [f"add to {ci_pipelines.GITLAB_ENTRY}: include: [{{local: /{ci_pipelines.GITLAB_FILE}}}]"] if theirs else []
    steps.append("for the comment: a project access token (scope api) in the masked variable KASMGEN_TOKEN")
    return ci_pipelines.gitlab(project, entry=not theirs), tuple(steps)
