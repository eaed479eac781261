"""The step of GitLab's pipeline that comments, run as its shell would, against a server that keeps notes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kasmgen.commands import ci_pipelines
from kasmgen.yaml import documents
from tests.commands.diffing import commit, config_map, environment, small, write
from tests.needs import program

pytestmark = pytest.mark.e2e

PAGE = 2


class Notes(ThreadingHTTPServer):
    """The notes of one merge request, as GitLab lists, adds and changes them."""

    notes: list[dict[str, Any]]


class Handler(BaseHTTPRequestHandler):
    server: Notes

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, value: object, following: str = "") -> None:
        assert self.headers["PRIVATE-TOKEN"] == "token"
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("X-Next-Page", following)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> str:
        return str(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"])

    def do_GET(self) -> None:
        page = int(self.path.rpartition("page=")[2])
        shown = self.server.notes[(page - 1) * PAGE : page * PAGE]
        self._answer(shown, str(page + 1) if page * PAGE < len(self.server.notes) else "")

    def do_POST(self) -> None:
        if self.path != "/projects/7/merge_requests/3/notes":
            self.send_error(404)
            return
        self.server.notes.append({"id": len(self.server.notes), "body": self._body()})
        self._answer({})

    def do_PUT(self) -> None:
        self.server.notes[int(self.path.rpartition("/")[2])]["body"] = self._body()
        self._answer({})


@pytest.fixture
def server() -> Iterator[Notes]:
    with Notes(("127.0.0.1", 0), Handler) as server:
        server.notes = [{"id": number, "body": f"note {number}"} for number in range(3)]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def comment(place: Path, server: Notes, text: str, **extra: str) -> subprocess.CompletedProcess[str]:
    job = documents.load(ci_pipelines.gitlab(".", entry=False)[ci_pipelines.GITLAB_FILE].decode())["kasmgen"]
    script = next(step for step in job["script"] if "KASMGEN_TOKEN" in step)
    (place / "kasmgen.md").write_text(text)
    (place / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (place / "python").chmod(0o755)
    said = {
        "PATH": f"{place}{os.pathsep}{os.environ['PATH']}",
        "CI_MERGE_REQUEST_IID": "3",
        "CI_PROJECT_ID": "7",
        "CI_API_V4_URL": f"http://127.0.0.1:{server.server_port}",
        "KASMGEN_TOKEN": "token",
        **extra,
    }
    command = ["sh", "-eu", "-c", script]
    return subprocess.run(command, cwd=place, env=said, check=False, capture_output=True, text=True, timeout=60)


def test_one_comment_is_made_and_then_updated(tmp_path: Path, server: Notes) -> None:
    comment(tmp_path, server, "first ü").check_returncode()
    comment(tmp_path, server, "second").check_returncode()
    assert [note["body"] for note in server.notes] == [
        "note 0",
        "note 1",
        "note 2",
        f"{ci_pipelines.MARKER}\nsecond",
    ]


def test_without_a_token_or_a_merge_request_nothing_is_said(tmp_path: Path, server: Notes) -> None:
    comment(tmp_path, server, "text", KASMGEN_TOKEN="").check_returncode()
    comment(tmp_path, server, "text", CI_MERGE_REQUEST_IID="").check_returncode()
    assert len(server.notes) == 3


def test_a_comment_that_gitlab_does_not_take_fails_the_job_in_one_line(tmp_path: Path, server: Notes) -> None:
    done = comment(tmp_path, server, "text", CI_PROJECT_ID="8")
    assert done.returncode == 1
    assert done.stderr == "kasmgen: GitLab did not take the comment: HTTP Error 404: Not Found\n"
    assert len(server.notes) == 3


RUN = """
const fs = require('fs');
const {script, comments} = JSON.parse(fs.readFileSync(0, 'utf8'));
const issues = {
  listComments: 'list',
  updateComment: async ({comment_id, body}) => { comments.find((c) => c.id === comment_id).body = body; },
  createComment: async ({issue_number, body}) => {
    comments.push({id: comments.length, body, user: {type: 'Bot'}, issue_number});
  },
};
const github = {rest: {issues}, paginate: async (call) => call === 'list' ? comments : []};
const context = {repo: {owner: 'o', repo: 'r'}, issue: {number: 5}};
const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
new AsyncFunction('github', 'context', 'require', script)(github, context, require)
  .then(() => console.log(JSON.stringify(comments)));
"""


def github_comment(place: Path, comments: list[dict[str, Any]]) -> list[dict[str, Any]]:
    workflow = documents.load(ci_pipelines.github(".", "main")[ci_pipelines.GITHUB_FILE].decode())
    script = workflow["jobs"]["review"]["steps"][-1]["with"]["script"]
    said = {**os.environ, "RUNNER_TEMP": str(place)}
    given = json.dumps({"script": script, "comments": comments})
    command = [program("node"), "-e", RUN]
    done = subprocess.run(command, input=given, env=said, capture_output=True, text=True, check=True, timeout=60)
    return list(json.loads(done.stdout))


def test_on_github_too_one_comment_is_made_and_then_updated(tmp_path: Path) -> None:
    people = [{"id": 0, "body": f"{ci_pipelines.MARKER} quoted by somebody", "user": {"type": "User"}}]
    assert github_comment(tmp_path, people) == people
    (tmp_path / "kasmgen.md").write_text("first")
    comments = github_comment(tmp_path, people)
    (tmp_path / "kasmgen.md").write_text("second")
    comments = github_comment(tmp_path, comments)
    assert [comment["body"] for comment in comments] == [people[0]["body"], f"{ci_pipelines.MARKER}\nsecond"]
    assert comments[1]["issue_number"] == 5


@pytest.mark.parametrize(("resource", "code"), [("app.yaml", 0), ("missing.yaml", 3)])
def test_on_github_the_reports_are_kept_also_of_what_does_not_build(tmp_path: Path, resource: str, code: int) -> None:
    machine = small(tmp_path / "work")
    machine.git("update-ref", "refs/remotes/origin/main", "HEAD")
    write(machine, environment("prod", resource))
    (machine.root / "overlays/prod/app.yaml").write_text(config_map("app", "{a: c}"))
    commit(machine)
    workflow = documents.load(ci_pipelines.github(".", "main")[ci_pipelines.GITHUB_FILE].decode())
    script = next(step["run"] for step in workflow["jobs"]["review"]["steps"] if "GITHUB_STEP_SUMMARY" in str(step))
    on_path = tmp_path / "bin"
    on_path.mkdir()
    (on_path / "kasmgen").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kasmgen "$@"\n')
    (on_path / "kasmgen").chmod(0o755)
    said = machine.env(
        PATH=f"{on_path}{os.pathsep}{os.environ['PATH']}",
        RUNNER_TEMP=str(tmp_path),
        GITHUB_STEP_SUMMARY=str(tmp_path / "summary"),
        BASE="main",
        PROJECT=".",
    )
    # As GitHub's runners start it.
    done = subprocess.run(["bash", "-e", "-c", script], cwd=machine.root, env=said, check=False, timeout=120)
    assert done.returncode == code
    told = "could not be built" if code else "1 of 1 environment changes"
    assert told in (tmp_path / "summary").read_text()
    assert told in (tmp_path / "kasmgen.html").read_text()
