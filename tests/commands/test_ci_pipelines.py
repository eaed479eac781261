"""The pipelines that `kasmgen ci` writes, as their platforms and shells read them."""

from __future__ import annotations

import re
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from kasmgen.commands import ci_pipelines
from kasmgen.yaml import documents
from tests.needs import program
from tests.some import some

# Names that people may give, and that must stay names.
PROJECT, BRANCH = "it's/@BRANCH@ # $(x)", "feat'@VERSION@"


def complaints(command: list[str], text: bytes, place: Path) -> str:
    done = subprocess.run(command, input=text, cwd=place, capture_output=True, check=False, timeout=120)
    return f"{done.stdout.decode()}{done.stderr.decode()}" if done.returncode else ""


@pytest.mark.tool
@pytest.mark.parametrize(("project", "branch"), [(".", "main"), (PROJECT, BRANCH)])
def test_actionlint_has_nothing_to_say(tmp_path: Path, project: str, branch: str) -> None:
    text = ci_pipelines.github(project, branch)[ci_pipelines.GITHUB_FILE]
    # It gives every script to shellcheck, and none to a pyflakes that may be on the machine.
    command = [program("actionlint"), "-no-color", "-shellcheck", program("shellcheck"), "-pyflakes=", "-"]
    assert complaints(command, text, tmp_path) == ""
    broken = text.replace(b"github.base_ref", b"github.base_rev").replace(b'-C "$PROJECT"', b"-C $PROJECT")
    found = complaints(command, broken, tmp_path)
    assert "base_rev" in found
    assert "SC2086" in found


@pytest.mark.tool
def test_shellcheck_has_nothing_to_say_of_the_script_for_gitlab(tmp_path: Path) -> None:
    job = documents.load(ci_pipelines.gitlab(".", entry=False)[ci_pipelines.GITLAB_FILE].decode())["kasmgen"]
    # GitLab runs the steps in one shell, one after the other.
    script = "\n".join(job["script"])
    command = [program("shellcheck"), "--shell", "sh", "--norc", "--format", "gcc", "-"]
    assert complaints(command, script.encode(), tmp_path) == ""
    assert "SC2086" in complaints(command, script.replace('-C "$PROJECT"', "-C $PROJECT").encode(), tmp_path)


def test_names_that_people_gave_stay_names() -> None:
    workflow = documents.load(ci_pipelines.github(PROJECT, BRANCH)[ci_pipelines.GITHUB_FILE].decode())
    # To YAML 1.1 `on` is true, and keys are text.
    assert workflow["true"]["push"]["branches"] == [BRANCH]
    assert workflow["jobs"]["review"]["env"]["PROJECT"] == PROJECT
    pipeline = documents.load(ci_pipelines.gitlab(PROJECT, entry=False)[ci_pipelines.GITLAB_FILE].decode())
    assert pipeline["kasmgen"]["variables"]["PROJECT"] == PROJECT


def test_nothing_is_left_to_fill_in() -> None:
    written = ci_pipelines.github("app", "main") | ci_pipelines.gitlab("app", entry=True)
    folder = resources.files("kasmgen").joinpath("pipelines")
    assert len(written) == len(list(folder.iterdir())) == 3
    assert [path for path, content in written.items() if re.search(rb"@[A-Z]+@", content)] == []


def test_both_pipelines_begin_their_comment_with_the_marker() -> None:
    script = ci_pipelines.github(".", "main")[ci_pipelines.GITHUB_FILE].decode()
    assert f"const marker = '{ci_pipelines.MARKER}';" in script


def test_the_pipeline_of_github_uses_the_platforms_own_actions_only() -> None:
    (path, content), *_ = ci_pipelines.github("deploy/kasm's", "it's main").items()
    workflow = documents.load(content.decode())
    assert path == ".github/workflows/kasmgen.yml"
    assert workflow["true"]["push"] == {"branches": ["it's main"]}
    job = workflow["jobs"]["review"]
    assert job["env"]["PROJECT"] == "deploy/kasm's"
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert all(
        re.fullmatch(r"actions/(checkout|setup-python|upload-artifact|github-script)@v\d+", name) for name in some(used)
    )
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}
    # What strangers choose (branches, titles) must never be text of a script.
    scripts = [step.get("run", "") + step.get("with", {}).get("script", "") for step in job["steps"]]
    assert not [script for script in scripts if "${{" in script]
    commands = re.findall(r"kasmgen -C \S+ (\w+ .*?)(?: >|$)", "\n".join(scripts), re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["check", "diff", "diff"]


def test_the_pipeline_of_gitlab_fits_its_entry() -> None:
    files = ci_pipelines.gitlab(".", entry=True)
    assert documents.load(files[".gitlab-ci.yml"].decode()) == {"include": [{"local": "/.gitlab/kasmgen.yml"}]}
    job = documents.load(files[".gitlab/kasmgen.yml"].decode())["kasmgen"]
    assert job["artifacts"]["reports"]["junit"] == "kasmgen.xml"
    assert {type(line) for line in job["script"]} == {str}
    assert list(ci_pipelines.gitlab(".", entry=False)) == [".gitlab/kasmgen.yml"]
