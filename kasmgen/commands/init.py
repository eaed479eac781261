"""`kasmgen init`: a Git repository with kasmgen.yaml, .sops.yaml and base/."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kasmgen import build, names
from kasmgen.chart import render, secret_values, supplied_values
from kasmgen.chart.release import LoadedChart, Release
from kasmgen.chart.sources import directory as sources_directory
from kasmgen.commands import change
from kasmgen.commands.change import Options, Outcome, PlannedChange, Rendering
from kasmgen.delivery import flux
from kasmgen.errors import InputError, RepositoryError, SecretError
from kasmgen.kubernetes.resources import Secret
from kasmgen.layout import paths
from kasmgen.programs import age as programs_age
from kasmgen.programs.libhelm import HelmLibrary
from kasmgen.programs.private_directory import private_directory
from kasmgen.project import config
from kasmgen.project.config import ChartRef, Project
from kasmgen.project.workspace import read_bytes, read_text
from kasmgen.repository import git, new_repository, publish
from kasmgen.repository import undo as undos
from kasmgen.repository.undo import Trace, Undo
from kasmgen.secrets import sops_config
from kasmgen.yaml.documents import Yaml


@dataclass(frozen=True)
class InitRequest:
    """What `init` was asked for."""

    directory: Path
    chart: str = sources_directory.BUILTIN
    release: str = "kasm"
    namespace: str = "kasm"
    value_files: Sequence[str] = ()
    sets: Sequence[str] = ()
    recipients: Sequence[str] = ()
    generate_key: bool = False
    plain: Sequence[str] = ()


def run(request: InitRequest, options: Options, helm: HelmLibrary) -> Outcome:
    """Make the project. Where there is one already, say so and change nothing."""
    root = request.directory.absolute()
    if root.is_dir():
        change.recovered(git.find(root), options)
    if (root / paths.PROJECT_FILE).exists():
        config.parse_project(read_text(root / paths.PROJECT_FILE, paths.PROJECT_FILE))
        return Outcome(f"{root} is a kasmgen project already; nothing was changed")
    _refuse_nested(root.resolve())
    project = _project(request)
    recipients = [sops_config.check_recipient(text) for text in request.recipients]
    key = programs_age.generate() if request.generate_key else None
    if key:
        recipients.append(key[0])
    with Undo() as undo:
        repo = _repository(root, options, undo)
        return _make(repo, root, request, project, recipients, key, options=options, helm=helm, undo=undo)


def _refuse_nested(root: Path) -> None:
    """Raise InputError in a directory of another project, unless it is a Git repository of its own."""
    for place, above in zip((root, *root.parents), root.parents, strict=False):
        if (place / ".git").exists():
            return
        if (above / paths.PROJECT_FILE).exists():
            raise InputError(
                f"DIR: {root} lies in the kasmgen project {above}, and projects do not nest",
                hint="add an environment to that project (`kasmgen env add`), or name a directory outside of it",
            )


def _project(request: InitRequest) -> Project:
    given = supplied_values.read(request.value_files, request.sets)
    return Project(
        chart=ChartRef(source=request.chart),
        release=names.release_name(request.release, "--release"),
        namespace=names.dns_label(request.namespace, "--namespace"),
        values=given,
        plain=tuple(request.plain),
    )


def _repository(root: Path, options: Options, undo: Undo) -> git.Repository | None:
    """Where the project will be; None if there is no repository yet and none shall be made."""
    present = next(path for path in (root, *root.parents) if path.exists())
    if not present.is_dir():
        raise RepositoryError(f"{present} is no directory", hint="name another one")
    repo = git.find(root)
    if options.dry_run:
        if repo is None:
            _check_new(present, options)
        return repo
    if repo is None:
        return new_repository.make(undo, root)
    try:
        undos.make_directories(undo, root)
    except OSError as error:
        raise RepositoryError(f"{root}: the directory cannot be made: {error.strerror}") from None
    return repo


def _check_new(present: Path, options: Options) -> None:
    """Raise as the real run would in the repository that it makes below the directory `present`."""
    if not os.access(present, os.W_OK | os.X_OK):
        raise RepositoryError(f"{present} may not be written to", hint="correct its permissions or its mount")
    with private_directory() as place:
        change.check(git.init(place), options)


def _make(
    repo: git.Repository | None,
    root: Path,
    request: InitRequest,
    project: Project,
    recipients: Sequence[str],
    key: tuple[str, Secret] | None,
    *,
    options: Options,
    helm: HelmLibrary,
    undo: Undo,
) -> Outcome:
    root = root.resolve()
    project = project.replace(chart=ChartRef(_source(request.chart, root)))
    if repo is not None:
        change.check(repo, options)
    with supplied_values.named(request.value_files, request.sets), render.session(root, helm) as run:
        _refuse_secrets(run, run.release(project), request)
        base = build.render_base(run, project)
        build.prove_base(run, base)
    chart = base.loaded.chart
    ref = ChartRef(project.chart.source, chart.version, chart.digest)
    tree = {
        paths.PROJECT_FILE: config.project_text(project.replace(chart=ref)).encode(),
        paths.SOPS_FILE: _sops_config(root, recipients),
        **base.files,
    }
    plan = PlannedChange(
        repo,
        root,
        publish.plan(root, tree, prune=["base"], force=options.force),
        title=f"Set up {project.release} from {chart}",
        rendering=Rendering(chart, run.programs),
        would="would set up the project",
        done=f"{root} is a kasmgen project now: {chart}, release {project.release}",
        reports=_outside(project.chart.source, root, repo),
        notes=[f"base: {note}" for note in base.render.notes],
        next_steps=_next_steps(key, recipients),
        data={"root": str(root), "chart": str(chart), "recipients": list(recipients)},
    )
    if key and repo and not options.dry_run:
        _keep_key(repo, key, undo)
    return change.finish(plan, options, undo.keep)


def _keep_key(repo: git.Repository, key: tuple[str, Secret], undo: Undo) -> None:
    """Keep the key before anything is sealed for it, and not at all if the project cannot be made."""
    path = programs_age.key_file()
    what = f"the age key {key[0]} in {path}, for which nothing is sealed: take it out if you need it nowhere"
    with undo.making() as deeds:
        undo.note(repo.git_dir, Trace(what, str(path), key[0]))
        kept = programs_age.append_identity(path, *key, datetime.now(UTC), outside=repo.root)
        deeds.callback(kept.take_back)


def _source(chart: str, root: Path) -> str:
    """How kasmgen.yaml names the chart: a path from the project, so that the repository can stand elsewhere."""
    if chart == sources_directory.BUILTIN:
        return chart
    path = Path(chart).expanduser().absolute()
    return os.path.relpath(path.resolve(), root) if path.exists() else chart


def _outside(source: str, root: Path, repo: git.Repository | None) -> tuple[str, ...]:
    """What to say of a chart that no clone of the repository will have."""
    top = repo.root if repo else root
    if source == sources_directory.BUILTIN or (root / source).resolve().is_relative_to(top.resolve()):
        return ()
    return (f"chart {source} lies outside the repository: every clone needs it in the same place beside it",)


def _refuse_secrets(run: render.RenderSession, release: Release, request: InitRequest) -> None:
    """Shared values are committed in clear, so none of them may be a secret."""
    loaded, values = release.loaded, release.project.values
    lifted = loaded.profile.lift(values)
    found = [*lifted.passwords, *(f"certificate {role}" for role in lifted.pairs), *lifted.registry]
    if not found:
        supplied_values.require_values(values, request.plain)
        secret = secret_values.find(values, loaded.defaults, render.attempt(run, release), request.plain)
        found = [".".join(path) for path in (*secret.sealed, *secret.loud)]
    if found:
        raise InputError(
            f"{_whence(loaded, request)}: these are secrets and would be committed in clear: {', '.join(found)}",
            hint="pass them with `kasmgen env add --values` or --password-file, which seal them; "
            "if one is no secret: --plain PATH",
        )


def _whence(loaded: LoadedChart, request: InitRequest) -> str:
    """The options that brought a secret, for a message; all that brought values where none is one by itself."""

    def brings(given: Mapping[str, Yaml]) -> bool:
        try:
            lifted = loaded.profile.lift(given)
        except (InputError, SecretError):
            return True
        return bool(lifted.passwords or lifted.pairs or lifted.registry)

    found = supplied_values.options(request.value_files, request.sets, brings)
    every = [*(f"--values {name}" for name in request.value_files), *(["--set"] if request.sets else [])]
    return ", ".join(found or every)


def _sops_config(root: Path, recipients: Sequence[str]) -> bytes:
    path = root / paths.SOPS_FILE
    if not path.exists():
        return sops_config.initial(recipients)
    content = read_bytes(path, paths.SOPS_FILE)
    return sops_config.add_default(content, recipients) if recipients else content


def _next_steps(key: tuple[str, Secret] | None, recipients: Sequence[str]) -> tuple[str, ...]:
    steps: list[str] = []
    if key:
        path = programs_age.key_file()
        steps += [
            f"your public key: {key[0]} (the private one is in {path}; back it up)",
            bootstrap_command(path, key[0]),
        ]
    recipient = "" if recipients else " --recipient age1..."
    steps.append(f"kasmgen env add prod --hostname kasm.example.com{recipient}")
    return tuple(steps)


def bootstrap_command(path: Path, recipient: str) -> str:
    """The command that gives a cluster the private key of one recipient, and no other key of the file.

    The data key must end in .agekey, or Flux does not see it. age-keygen writes the
    public key into the line above the private one.
    """
    return (
        f"grep -A1 'public key: {recipient}' {shlex.quote(str(path))} | "
        f"kubectl -n {flux.NAMESPACE} create secret generic sops-age --from-file=identity.agekey=/dev/stdin"
    )


def bootstrap_step(recipients: Sequence[str]) -> str:
    """The step for an environment: which key the cluster needs, and the command that hands it over."""
    age = [item for item in recipients if item.startswith("age1")]
    if not age:
        return f"give the cluster a key that opens the Secrets (recipients: {', '.join(recipients)})"
    return f"give the cluster its key, once: {bootstrap_command(programs_age.key_file(), age[0])}"
