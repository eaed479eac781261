"""`kasmgen env add`: one more environment, its Secrets made and sealed, in one commit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kasmgen import build, names, safe_text
from kasmgen.chart import render, required_secrets, supplied_values
from kasmgen.chart.release import Release
from kasmgen.commands import change
from kasmgen.commands.change import Options, Outcome, PlannedChange, Rendering
from kasmgen.commands.init import bootstrap_step
from kasmgen.delivery import flux
from kasmgen.errors import InputError, RepositoryError
from kasmgen.kubernetes.resources import Secret
from kasmgen.layout.paths import CLUSTERS, ENVIRONMENT_FILE, OVERLAYS, SEALED_SUFFIX, SOPS_FILE
from kasmgen.programs.libhelm import HelmLibrary
from kasmgen.programs.session import Programs
from kasmgen.project import config, declaration
from kasmgen.project.config import Environment
from kasmgen.project.workspace import EnvironmentFiles, Workspace
from kasmgen.repository import publish
from kasmgen.repository.objects import Reader
from kasmgen.secrets import plan, supplied
from kasmgen.secrets import sops_config as secrets_sops_config
from kasmgen.secrets.key_pool import KeyPool
from kasmgen.secrets.required import RequiredSecret
from kasmgen.secrets.supplied import Supplied
from kasmgen.yaml.documents import Yaml

REGISTRY_NAME = "kasm-registry"
DOCKER_HUB = "https://index.docker.io/v1/"


@dataclass(frozen=True)
class AddRequest:
    """What `env add` was asked for.

    environment: the fields as the options say them, not yet checked; "" and () mean "not said".
    """

    environment: Environment
    value_files: Sequence[str] = ()
    sets: Sequence[str] = ()
    recipients: Sequence[str] = ()
    registry: Mapping[str, Secret] | None = None
    password_file: str = ""


# field of environment.yaml -> what errors call it where an option says it
_OPTIONS = {
    "hostname": "--hostname",
    "altHostnames": "--alt-hostname",
    "ingressIP": "--ingress-ip",
    "namespace": "--namespace",
    "clusterDomain": "--cluster-domain",
    "size": "--size",
    "flux.source": "--flux-source",
    "flux.url": "--git-url",
}


def run(
    start: Path,
    request: AddRequest,
    options: Options,
    helm: HelmLibrary,
    progress: build.Progress = lambda _: None,
) -> Outcome:
    """Add the environment. Raises InputError that names the option for everything that is not right."""
    workspace = change.open_workspace(start, options)
    _check_name(workspace, request.environment.name)
    inputs = supplied_values.named(request.value_files, request.sets)
    with inputs, render.session(workspace.root, helm) as run_:
        environment, passed = _environment(run_, workspace, request)
        release = run_.release(workspace.project, environment)
        sops_config = _sops_config(workspace, request, options, _expected_paths(release, environment))
        planned = build.with_environment(workspace, EnvironmentFiles(environment), sops_config)
        keys = KeyPool(run_.ahead)
        for key_type in required_secrets.key_types(release):
            keys.order(key_type)
        only = [environment.name]
        result = build.build(
            build.lay_foundation(run_, planned, only),
            only,
            change.sources(keys.take),
            change.committed_paths(workspace),
            {environment.name: passed},
            progress,
        )
    _require_current_base(workspace, result)
    tree = {
        **result.tree,
        SOPS_FILE: sops_config,
        f"{environment.directory}/{ENVIRONMENT_FILE}": config.environment_text(environment).encode(),
    }
    plan = _plan(workspace, environment, tree, result, passed, options, programs=run_.programs)
    return change.finish(plan, options)


def _check_name(workspace: Workspace, name: str) -> None:
    names.dns_label(name, "NAME")
    directory = workspace.root / OVERLAYS / name
    if name in workspace.environments:
        raise InputError(f"the environment {name} exists already", hint=f"kasmgen env show {name}")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError(f"{OVERLAYS}/{name} exists and is no environment of kasmgen", hint="choose another NAME")


def _environment(run: render.RenderSession, workspace: Workspace, request: AddRequest) -> tuple[Environment, Supplied]:
    """The environment as its file will say it, and the secret values that were passed."""
    given = supplied_values.read(request.value_files, request.sets)
    loaded = run.chart(workspace.project.chart)
    lifted = loaded.profile.lift(given)
    environment = _fields(request, lifted.fields)
    registry = dict(request.registry or lifted.registry)
    if registry:
        registry.setdefault("registry", Secret(DOCKER_HUB))
        environment = environment.replace(registry=environment.registry or REGISTRY_NAME)
        supplied.registry_secret(environment.registry, "any", registry)
    environment = environment.replace(values=lifted.values)
    passwords = {**lifted.passwords, **_password_file(request.password_file)}
    frozen: tuple[RequiredSecret, ...] = ()
    if lifted.values or environment.plain:
        attempt = render.attempt(run, run.release(workspace.project, environment))
        rest, frozen = supplied_values.lift(lifted.values, loaded.defaults, attempt, environment.plain)
        environment = environment.replace(values=rest)
    return environment, Supplied(passwords, lifted.pairs, registry, frozen)


def _fields(request: AddRequest, found: Mapping[str, Yaml]) -> Environment:
    """Fields from the options, and where an option was not given from the values."""
    said = declaration.plain(request.environment)
    name = said.pop("name")
    for key, value in found.items():
        given = said[key]
        if isinstance(given, str) and not isinstance(value, str):
            raise InputError(f"--values: {key}: text is expected")
        if isinstance(given, str) and given not in ("", value):
            raise InputError(
                f"{_OPTIONS[key]} says '{safe_text.shown(given)}' and the values say '{safe_text.shown(value)}'"
            )
    from_values = {key: value for key, value in found.items() if not said[key]}
    environment = declaration.read(
        {**said, **from_values},
        Environment,
        lambda path: f"--values: {path}" if path in from_values else _OPTIONS.get(path, path),
        fixed={"name": name},
    )
    return environment.replace(alt_hostnames=tuple(dict.fromkeys(environment.alt_hostnames)))


def _password_file(name: str) -> dict[str, Secret]:
    if not name:
        return {}
    value = supplied_values.read_yaml(name, "--password-file", strict=True)
    if not isinstance(value, dict):
        raise InputError(f"--password-file {name}: a mapping of key: value is expected")
    for key, item in value.items():
        if not isinstance(item, str):
            raise InputError(
                f"--password-file {name}: {safe_text.shown(key)}: text is expected", hint="put quotes around it"
            )
    return {key: Secret(item) for key, item in value.items() if item}


def _expected_paths(release: Release, environment: Environment) -> list[str]:
    """Sealed files that are sure to come: the environment's rule has to stand before people's rules for any of them."""
    return [plan.file_path(environment.name, item.id, ()) for item in release.known_secrets()]


def _sops_config(workspace: Workspace, request: AddRequest, options: Options, paths: Sequence[str]) -> bytes:
    """`.sops.yaml` with a rule for the environment; the rules of all the others made sure of."""
    if options.commit and not options.dry_run:
        _require_committed_rules(workspace)
    new = secrets_sops_config.add_environment(
        workspace.sops_config, request.environment.name, request.recipients, paths, workspace.environments
    )
    for name, files in workspace.environments.items():
        if files.existing:
            secrets_sops_config.require_own_rule(new, name, [item.path for item in files.existing])
    return new


def _require_committed_rules(workspace: Workspace) -> None:
    """The commit would hold the whole file: also what somebody has changed in it for another purpose."""
    if Reader(workspace.repo).dirty([workspace.in_repo(SOPS_FILE)]):
        raise RepositoryError(
            f"{SOPS_FILE} has changes that are not committed, and they would go into the environment's commit",
            hint=f"look at `git diff HEAD {SOPS_FILE}`, commit it or `git restore` it first, or use --no-commit",
        )


def _require_current_base(workspace: Workspace, result: build.Built) -> None:
    stale = publish.plan(workspace.root, result.base, prune=["base"])
    if stale:
        raise RepositoryError(
            f"the base is not what the inputs say ({len(stale.paths)} files), and other environments stand on it",
            hint="run `kasmgen render` first",
        )


def _plan(
    workspace: Workspace,
    environment: Environment,
    tree: Mapping[str, bytes],
    result: build.Built,
    passed: Supplied,
    options: Options,
    *,
    programs: Programs,
) -> PlannedChange:
    name = environment.name
    namespace = environment.namespace or workspace.project.namespace
    made = result.environments[name]
    sealed = ", ".join(path.rpartition("/")[2].removesuffix(SEALED_SUFFIX) for path in made.created)
    # Nothing stood there when the command began, so nothing that stands there now may be replaced.
    new = {path: None for path in tree if path.startswith(f"{environment.directory}/")}
    return PlannedChange(
        workspace.repo,
        workspace.root,
        publish.plan(workspace.root, tree, force=options.force, read={**workspace.digests, **new}),
        title=f"Add environment {name}",
        body=f"{environment.hostname}, namespace {namespace}. Sealed: {sealed}",
        rendering=Rendering(result.chart, programs),
        would=f"would add the environment {name}",
        done=f"environment {name} is ready: {len(made.created)} Secrets sealed",
        reports=(*made.reports, *_reports(passed, tree[SOPS_FILE], name)),
        notes=change.notes_of(result),
        next_steps=_next_steps(workspace, environment, tree[SOPS_FILE]),
        data={"environment": name, "sealed": list(made.created)},
    )


def _reports(passed: Supplied, sops_config: bytes, name: str) -> Iterator[str]:
    """What people should look at in what they passed."""
    yield from supplied.warnings(passed)
    other = secrets_sops_config.passed_over(sops_config, name)
    if other is not None:
        would = f"which would seal its files to {other.recipients}"
        yield f"{SOPS_FILE}: the rule of {name} stands before {other}, {would}"
    values = [f"{secret.id.name}/{key}" for secret in passed.frozen for key in secret.entries]
    if values:
        yield f"sealed and left out of environment.yaml: what the values give to {', '.join(values)}"


def _next_steps(workspace: Workspace, environment: Environment, sops_config: bytes) -> tuple[str, ...]:
    path = workspace.in_repo(f"{CLUSTERS}/{environment.name}")
    recipients = secrets_sops_config.require_own_rule(sops_config, environment.name).recipients.everyone
    steps = [bootstrap_step(recipients)]
    if environment.flux.url.startswith("ssh://"):
        name = flux.source_name(workspace.project, environment)
        steps.append(f"let Flux clone: flux create secret git {name} --url={environment.flux.url}")
    return (
        *steps,
        f"git push, and let Flux read {path} (flux bootstrap --path, or kubectl apply -f {path}/)",
        f"kasmgen env show {environment.name}",
    )
