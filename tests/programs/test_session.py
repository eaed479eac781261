"""The programs of a run: each is looked for once, and only if it is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from kasmgen.concurrency import each
from kasmgen.errors import ToolError
from kasmgen.programs import kustomize, sops
from kasmgen.programs.libhelm import HelmLibrary
from kasmgen.programs.session import Programs

pytestmark = pytest.mark.tool


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a line for every time that a sops or a kustomize was asked for its version."""
    said = {"kustomize": ("v5.7.0", kustomize.SETTING), "sops": ("sops 3.11.0", sops.SETTING)}
    for name, (version, setting) in said.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\necho {name} >> {tmp_path}/record\necho '{version}'\n")
        path.chmod(0o755)
        monkeypatch.setenv(setting, str(path))
    (tmp_path / "record").touch()
    return tmp_path / "record"


def test_each_program_is_asked_once_however_many_ask(record: Path) -> None:
    with HelmLibrary() as library:
        programs = Programs(library)
        assert record.read_text() == ""
        assert set(each(lambda _: programs.sops.version, range(20))) == {"3.11.0"}
        programs.kustomize.version.start()
        assert set(each(lambda _: programs.kustomize.version.take(), range(20))) == {"v5.7.0"}
    assert sorted(record.read_text().split()) == ["kustomize", "sops"]


def test_a_program_that_is_missing_is_told_to_whoever_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sops.SETTING, "/nowhere/sops")
    with HelmLibrary() as library:
        programs = Programs(library)
        for _ in range(2):
            with pytest.raises(ToolError, match="/nowhere/sops"):
                _ = programs.sops
