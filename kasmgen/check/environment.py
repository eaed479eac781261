"""One environment for `check`: rendered, built and compared as `render` does it, with nothing made and nothing written.

What fails is kept as a value, so that one broken environment does not hide the others.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, assert_never

from kasmgen import build
from kasmgen.build import EnvironmentPlan, Foundation
from kasmgen.check.rules import overlays
from kasmgen.check.work_tree import ProjectFiles
from kasmgen.errors import InputError, KasmgenError, SecretError, ToolError
from kasmgen.kubernetes.resources import Object, ResourceId
from kasmgen.layout.paths import KUSTOMIZATION
from kasmgen.project.workspace import EnvironmentFiles
from kasmgen.secrets.certificates import CertificateSpec
from kasmgen.secrets.plan import Add, Create, Filling, Replace
from kasmgen.yaml import documents

if TYPE_CHECKING:
    from kasmgen.overlay.assemble import AssembledOverlay


@dataclass(frozen=True)
class CheckedEnvironment:
    """What an environment came to.

    built: how building went, with the objects as they stand on disk. planned: path ->
    content that the inputs ask for, None if that is not known. missing: path of a sealed
    file -> what it lacks. certificates: path -> what is asked of it. external: Secrets that
    others put into the cluster.
    """

    built: overlays.BuiltOverlay
    planned: Mapping[str, bytes] | None = field(default=None, repr=False)
    missing: Mapping[str, str] = field(default_factory=dict)
    certificates: Mapping[str, CertificateSpec] = field(default_factory=dict)
    external: frozenset[str] = frozenset()


def environment(
    foundation: Foundation, files: EnvironmentFiles, tree: ProjectFiles, now: datetime
) -> CheckedEnvironment:
    """The environment, as `render` would make it and as it stands."""
    failures: dict[str, KasmgenError] = {}
    plan = _planned(foundation, files, now, failures)
    overlay = _assembled(foundation, plan, failures) if plan and not plan.missing else None
    ours = overlay.ours if overlay else {}
    objects: Mapping[ResourceId, Object] = overlay.objects if overlay else {}
    if overlay is None or not _on_disk(tree, {**foundation.base.files, **overlay.files}):
        objects = _build_disk(foundation, files, failures)
        ours = ours or objects
    path = f"{files.environment.directory}/{KUSTOMIZATION}"
    listed = _mapping(files.kustomization, path)
    own = _patch_files(tree, files, listed)
    secrets = plan.secrets if plan else ()
    return CheckedEnvironment(
        overlays.BuiltOverlay(files.environment.name, path, failures, listed, ours, objects, own, files.kept),
        overlay.files if overlay else None,
        {item.path: _lacks(item) for item in plan.missing} if plan else {},
        {item.path: item.required.certificate for item in secrets if item.required.certificate},
        _external(foundation, files),
    )


def _planned(
    foundation: Foundation, files: EnvironmentFiles, now: datetime, failures: dict[str, KasmgenError]
) -> EnvironmentPlan | None:
    try:
        return build.plan_environment(foundation, files, now)
    except KasmgenError as error:
        failures["render"] = error
        return None


def _assembled(
    foundation: Foundation, plan: EnvironmentPlan, failures: dict[str, KasmgenError]
) -> AssembledOverlay | None:
    try:
        return build.assemble_environment(foundation, plan, plan.unchanged)
    except (InputError, ToolError, SecretError) as error:
        failures["build"] = error
    except KasmgenError as error:
        failures["exact"] = error
    return None


def _external(foundation: Foundation, files: EnvironmentFiles) -> frozenset[str]:
    """Names of Secrets that environment.yaml says are put into the cluster by others."""
    environment = files.environment
    roles = {role for role, how in environment.certificates.items() if how.source == "existing"}
    names = {environment.registry} - {""}
    if roles:
        # A profile leaves out what others bring; asked without that, it names all of them.
        usual = environment.replace(certificates={})
        release = foundation.run.release(foundation.workspace.project, usual)
        names |= roles | {item.id.name for item in release.known_secrets() if item.role in roles}
    return frozenset(names)


def _on_disk(tree: ProjectFiles, planned: Mapping[str, bytes]) -> bool:
    """Whether all of this stands on disk, so that what was built is what Flux builds."""
    return all(tree.read(path) == content for path, content in planned.items())


def _build_disk(
    foundation: Foundation, files: EnvironmentFiles, failures: dict[str, KasmgenError]
) -> Mapping[ResourceId, Object]:
    """What the overlay builds to as it stands on disk; {} if it does not."""
    if files.kustomization is None:
        return {}
    try:
        return foundation.builder.as_it_stands(files.environment.directory)
    except (ToolError, InputError) as error:
        failures.setdefault("build", error)
        return {}


def _lacks(plan: Filling) -> str:
    name = plan.required.id.name
    match plan:
        case Create():
            return f"Secret {name} is not sealed yet"
        case Add():
            return f"Secret {name} lacks {', '.join(sorted(plan.keys))}"
        case Replace():
            return f"Secret {name} holds what the chart made before"
        case _:
            assert_never(plan)


def _mapping(text: str | None, path: str) -> dict[str, documents.Yaml]:
    try:
        value = documents.load(text or "", path)
    except InputError:
        return {}
    return value if isinstance(value, dict) else {}


def _patch_files(tree: ProjectFiles, files: EnvironmentFiles, listed: Mapping[str, documents.Yaml]) -> dict[str, bytes]:
    """Path as the kustomization has it -> content, of every patch file."""
    paths = [entry.get("path") for entry in _entries(listed.get("patches"))]
    directory = files.environment.directory
    return {str(path): tree.read(posixpath.normpath(f"{directory}/{path}")) or b"" for path in paths if path}


def _entries(value: documents.Yaml) -> Iterable[dict[str, documents.Yaml]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
