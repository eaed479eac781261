"""What is on disk, read once, from real repositories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kasmgen.errors import InputError, RepositoryError
from kasmgen.layout import marks
from kasmgen.project import config, workspace
from kasmgen.project.config import Environment, Project
from tests.needs import program

pytestmark = pytest.mark.tool

SEALED = """\
apiVersion: v1
kind: Secret
metadata:
  name: NAME
  namespace: kasm
  annotations:
    kasmgen.dev/revision: abc
data:
  k: ENC[AES256_GCM,data:YQ==,iv:YQ==,tag:YQ==,type:str]
sops:
  mac: ENC[AES256_GCM,data:YQ==,iv:YQ==,tag:YQ==,type:str]
"""


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return root


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run([program("git"), "init", "-q", str(tmp_path / "repo")], check=True)
    return tmp_path / "repo"


@pytest.fixture
def project(repository: Path) -> Path:
    environment = config.environment_text(Environment("prod", "kasm.example.com"))
    return write(
        repository / "deploy" / "kasm",
        {
            "kasmgen.yaml": config.project_text(Project(namespace="apps")),
            ".sops.yaml": "creation_rules: []\n",
            "overlays/prod/environment.yaml": environment,
        },
    )


def test_a_project_in_a_subdirectory_is_found_from_anywhere_below_it(project: Path, repository: Path) -> None:
    for start in (project, project / "overlays" / "prod"):
        found = workspace.load(start)
        assert found.root == project.resolve()
        assert found.prefix == "deploy/kasm"
        assert found.in_repo("base/x.yaml") == "deploy/kasm/base/x.yaml"
        assert found.project.namespace == "apps"
        assert list(found.environments) == ["prod"]
    with pytest.raises(InputError, match=r"there is no kasmgen\.yaml in .* or above it"):
        workspace.load(repository)


def test_a_project_at_the_git_root_has_no_prefix(repository: Path) -> None:
    write(repository, {"kasmgen.yaml": config.project_text(Project()), ".sops.yaml": "{}"})
    found = workspace.load(repository)
    assert (found.prefix, found.in_repo("base"), found.environments) == ("", "base", {})


def test_the_search_ends_at_the_git_root(repository: Path) -> None:
    write(repository.parent, {"kasmgen.yaml": config.project_text(Project())})
    with pytest.raises(InputError, match="or above it"):
        workspace.load(repository)


@pytest.mark.parametrize("start", ["nowhere", "x" * 5000, "a\0b", "kasmgen.yaml"])
def test_a_start_that_is_no_directory_is_refused(project: Path, start: str) -> None:
    with pytest.raises(InputError):
        workspace.load(project / start)


def test_a_project_outside_of_git_is_refused_with_the_next_step(tmp_path: Path) -> None:
    write(tmp_path, {"kasmgen.yaml": config.project_text(Project()), ".sops.yaml": ""})
    with pytest.raises(RepositoryError, match="is in no Git repository") as caught:
        workspace.load(tmp_path)
    assert "git init" in caught.value.hint


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"kasmgen.yaml": b"\xff\xfe"}, "kasmgen.yaml: not UTF-8 text"),
        ({"kasmgen.yaml": ""}, "kasmgen.yaml: the file is empty"),
        ({"overlays/prod/environment.yaml": "a: [\n"}, "overlays/prod/environment.yaml, line"),
        ({"overlays/Prod/environment.yaml": "x"}, "overlays/ (the name of an environment): 'Prod' is no DNS label"),
        ({"overlays/prod/kustomization.yaml": b"\xff"}, "overlays/prod/kustomization.yaml: not UTF-8 text"),
    ],
)
def test_an_input_that_cannot_be_read_is_named_by_its_path(
    project: Path, files: dict[str, str | bytes], said: str
) -> None:
    write(project, files)
    with pytest.raises(InputError) as caught:
        workspace.load(project)
    assert said in caught.value.message


def test_a_byte_order_mark_is_no_part_of_an_input(project: Path) -> None:
    text = (project / "kasmgen.yaml").read_text()
    (project / "kasmgen.yaml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert workspace.load(project).project.namespace == "apps"


@pytest.mark.parametrize("file", ["kasmgen.yaml", ".sops.yaml", "overlays/prod/environment.yaml"])
def test_inputs_behind_links_pipes_and_without_end_are_refused(project: Path, file: str) -> None:
    content = (project / file).read_bytes()
    (project / file).unlink()
    (project / "elsewhere").write_bytes(content)
    (project / file).symlink_to(project / "elsewhere")
    with pytest.raises(InputError, match="not a regular file"):
        workspace.read_bytes(project / file, file)
    (project / file).unlink()
    os.mkfifo(project / file)
    with pytest.raises(InputError, match="not a regular file"):
        workspace.read_bytes(project / file, file)
    (project / file).unlink()
    (project / file).touch()
    os.truncate(project / file, workspace.MAX_INPUT + 1)
    with pytest.raises(InputError, match="larger than 16 MiB"):
        workspace.read_bytes(project / file, file)


def test_overlays_behind_links_are_refused(project: Path) -> None:
    (project / "overlays" / "linked").symlink_to(project / "overlays" / "prod")
    with pytest.raises(RepositoryError, match="overlays/linked is a symbolic link"):
        workspace.load(project)
    (project / "overlays" / "linked").unlink()
    (project / "overlays").rename(project / "elsewhere")
    (project / "overlays").symlink_to("elsewhere")
    with pytest.raises(RepositoryError, match="overlays is a symbolic link"):
        workspace.load(project)


def test_our_files_and_those_of_people_are_told_apart(project: Path) -> None:
    ours = marks.stamp(b"kind: X\n", "chart 1.0.0")
    overlay = write(
        project / "overlays" / "prod",
        {
            "secrets/a.sops.yaml": SEALED.replace("NAME", "a"),
            "secrets/own.sops.yaml": SEALED.replace("NAME", "own").replace(
                "    kasmgen.dev/revision: abc\n", "    own: x\n"
            ),
            "secrets/notes.txt": b"\xff",
            "secrets/more/own.sops.yaml": SEALED.replace("NAME", "deep"),
            "patches/ours.yaml": ours,
            "patches/edited.yaml": ours + b"# mine\n",
            "patches/own.yaml": "kind: X\n",
            "resources/own/x.yaml": ours,
            "own/x.yaml": "kind: X\n",
        },
    )
    (overlay / "secrets" / ".#a.sops.yaml").symlink_to("me@host.1234")
    files = workspace.load(project).environments["prod"]
    assert [item.sealed.name for item in files.existing] == ["a"]
    assert files.existing[0].path == "overlays/prod/secrets/a.sops.yaml"
    assert files.kept == {
        "secrets/own.sops.yaml", "secrets/notes.txt", "secrets/more", "secrets/more/own.sops.yaml",
        "secrets/.#a.sops.yaml", "patches/own.yaml", "resources/own", "resources/own/x.yaml",
    }  # fmt: skip
    assert files.kustomization is None


def test_nothing_sealed_shows_in_the_repr(project: Path) -> None:
    write(project, {"overlays/prod/secrets/a.sops.yaml": SEALED.replace("NAME", "a")})
    found = workspace.load(project)
    assert "ENC[" not in repr(found.environments["prod"].environment)
    assert "creation_rules" not in repr(found)


@pytest.mark.parametrize("folder", ["patches", "resources"])
def test_an_overlay_of_ours_without_its_inputs_is_named(project: Path, folder: str) -> None:
    made = marks.stamp(b"kind: ConfigMap\n", "kasm-single-zone 1.16.0")
    write(project, {f"overlays/lab/{folder}/x.yaml": made, "overlays/lab/kustomization.yaml": "resources: []\n"})
    with pytest.raises(InputError, match=r"^overlays/lab/environment\.yaml: the file is missing") as caught:
        workspace.load(project)
    assert caught.value.hint == "bring it back: git restore overlays/lab/environment.yaml"


def test_an_overlay_that_people_made_needs_no_inputs(project: Path) -> None:
    write(project, {"overlays/own/patches/x.yaml": "kind: ConfigMap\n", "overlays/own/kustomization.yaml": "{}\n"})
    assert list(workspace.load(project).environments) == ["prod"]
