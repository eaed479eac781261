"""`kasmgen ci`: a pipeline that checks and shows every pull request."""

from __future__ import annotations

from pathlib import Path

from kasmgen.commands import change, ci_pipelines
from kasmgen.commands.change import Options, Outcome, PlannedChange
from kasmgen.errors import RepositoryError
from kasmgen.kubernetes.resources import Tree
from kasmgen.layout import marks
from kasmgen.project import workspace
from kasmgen.repository import git, publish


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
    plan = PlannedChange(
        repo,
        repo.root,
        publish.plan(repo.root, tree, force=options.force),
        title=f"Check and compare changes with kasmgen on {platform}",
        done=f"the pipeline for {platform} is written",
        nothing=f"nothing to do: the pipeline for {platform} is there",
        by_hand=steps,
    )
    return change.finish(plan, options)


def _pipeline(repo: git.Repository, project: str, platform: str) -> tuple[Tree, tuple[str, ...]]:
    """The files, and what people have to do themselves."""
    if platform == "github":
        return ci_pipelines.github(project, git.branch(repo) or "main"), ()
    entry = repo.root / ci_pipelines.GITLAB_ENTRY
    # A pipeline that people have is theirs; ours is one line in it.
    theirs = entry.exists() and isinstance(
        marks.read(workspace.read_bytes(entry, ci_pipelines.GITLAB_ENTRY)), marks.Foreign
    )
    steps = [f"add to {ci_pipelines.GITLAB_ENTRY}: include: [{{local: /{ci_pipelines.GITLAB_FILE}}}]"] if theirs else []
    steps.append("for the comment: a project access token (scope api) in the masked variable KASMGEN_TOKEN")
    return ci_pipelines.gitlab(project, entry=not theirs), tuple(steps)
