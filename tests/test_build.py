"""The spine: what is planned, what takes a program, and that the same inputs make the same bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kasmgen import build
from kasmgen.build import BuiltEnvironment, Foundation
from kasmgen.chart import render
from kasmgen.errors import InputError, SecretError
from kasmgen.programs import age, sops
from kasmgen.programs.libhelm import HelmLibrary
from kasmgen.project.config import CertificateInput, Environment, Project
from kasmgen.project.workspace import EnvironmentFiles, Workspace
from kasmgen.repository import git
from kasmgen.secrets import sealed_file, sops_config, tls
from kasmgen.secrets.plan import Create, Existing, Sources

pytestmark = pytest.mark.tool

NOW = datetime(2030, 1, 1, tzinfo=UTC)
PROD = Environment("prod", hostname="kasm.example.com", size="large")
CERTIFICATE = CertificateInput(key_type="ecdsa-p256")


def nothing_committed(_: str) -> bool:
    return False


@pytest.fixture(scope="module")
def library() -> Iterator[HelmLibrary]:
    with HelmLibrary() as opened:
        yield opened


@pytest.fixture
def lay(tmp_path: Path, library: HelmLibrary) -> Iterator[Callable[[EnvironmentFiles], Foundation]]:
    """Lays the foundation of a project with one environment."""
    config = sops_config.add_environment(sops_config.initial([]), "prod", [age.generate()[0]], (), ())
    with render.session(tmp_path, library) as run:

        def lay(files: EnvironmentFiles) -> Foundation:
            repo = git.Repository(tmp_path, tmp_path)
            workspace = Workspace(repo, None, tmp_path, "", Project(), config, {"prod": files})
            return build.lay_foundation(run, workspace, ["prod"])

        yield lay


def sources() -> Sources:
    return Sources(os.urandom, lambda _: tls.new_key("ecdsa-p256"), NOW)


def on_disk(built: BuiltEnvironment, environment: Environment) -> EnvironmentFiles:
    """The environment as it stands once it is published."""
    sealed = {path: content for path, content in built.files.items() if path.endswith(".sops.yaml")}
    existing = tuple(Existing(path, content, sealed_file.parse(content, path)) for path, content in sealed.items())
    return EnvironmentFiles(environment, built.files["overlays/prod/kustomization.yaml"].decode(), existing)


def made(foundation: Foundation) -> BuiltEnvironment:
    files = foundation.workspace.environments["prod"]
    return build.build_environment(foundation, files, sources(), nothing_committed)


def test_a_plan_needs_no_sops_and_knows_what_is_missing(
    lay: Callable[[EnvironmentFiles], Foundation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(sops.SETTING, "/nowhere/sops")
    files = EnvironmentFiles(PROD)
    plan = build.plan_environment(lay(files), files, NOW)
    assert len(plan.missing) == len(plan.secrets) > 3
    assert {type(item) for item in plan.missing} == {Create}
    assert plan.unchanged == {}


def test_what_was_built_once_is_planned_and_built_as_the_same_bytes(
    lay: Callable[[EnvironmentFiles], Foundation], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made(lay(EnvironmentFiles(PROD)))
    assert len(first.created) > 3
    monkeypatch.setenv(sops.SETTING, "/nowhere/sops")
    files = on_disk(first, PROD)
    foundation = lay(files)
    again = made(foundation)
    assert (again.files, again.created) == (first.files, ())
    plan = build.plan_environment(foundation, files, NOW)
    assert plan.missing == ()
    assert build.assemble_environment(foundation, plan, plan.unchanged).files == first.files


def test_a_sealed_file_that_is_gone_is_not_made_again(lay: Callable[[EnvironmentFiles], Foundation]) -> None:
    files = EnvironmentFiles(PROD)
    with pytest.raises(SecretError, match="in the last commit but not in the work tree"):
        build.build_environment(lay(files), files, sources(), lambda _: True)


def test_a_certificate_that_is_none_of_the_charts_stops_the_plan(lay: Callable[[EnvironmentFiles], Foundation]) -> None:
    files = EnvironmentFiles(PROD.replace(certificates={"inrgess": CERTIFICATE}))
    with pytest.raises(InputError, match=r"certificates\.inrgess: there is no such certificate"):
        build.plan_environment(lay(files), files, NOW)
