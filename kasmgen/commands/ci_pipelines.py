"""The CI pipelines that `kasmgen ci` writes: check, one comment with the difference, the HTML report.

No secret is needed. The names of branches and titles reach the shell as variables
only, never as text of a script. Only actions of the platform itself are used.
"""

from __future__ import annotations

from kasmgen import __version__
from kasmgen.layout import marks

MARKER = "<!-- kasmgen -->"
"""What the one comment begins with, so that the next run finds it."""

GITHUB_FILE = ".github/workflows/kasmgen.yml"
GITLAB_FILE = ".gitlab/kasmgen.yml"
GITLAB_ENTRY = ".gitlab-ci.yml"

_PYTHON = "3.12"

_GITHUB = """\
name: kasmgen
on:
  pull_request:
  push:
    branches: [@BRANCH@]
permissions:
  contents: read
  # For the comment. Pull requests of forks get a read-only token all the same.
  pull-requests: write
concurrency:
  group: kasmgen-${{ github.ref }}
  cancel-in-progress: true
jobs:
  review:
    runs-on: ubuntu-latest
    env:
      BASE: ${{ github.base_ref }}
      PROJECT: @PROJECT@
    steps:
      - uses: actions/checkout@v5
        with:
          # Rules about changes need the history.
          fetch-depth: 0
          persist-credentials: false
      - uses: actions/setup-python@v6
        with:
          python-version: "@PYTHON@"
      - name: Install
        run: python -m pip install --quiet "kasmgen[tools,check]==@VERSION@"
      - name: Check
        run: kasmgen -C "$PROJECT" check --format github
      - name: Compare with the target branch
        if: ${{ !cancelled() && github.event_name == 'pull_request' }}
        # A side that does not build is an error, and the reports say which: they are kept all the same.
        run: |
          failed=0
          kasmgen -C "$PROJECT" diff "origin/$BASE" --output markdown > "$RUNNER_TEMP/kasmgen.md" || failed=$?
          kasmgen -C "$PROJECT" diff "origin/$BASE" --output html > "$RUNNER_TEMP/kasmgen.html" || failed=$?
          cat "$RUNNER_TEMP/kasmgen.md" >> "$GITHUB_STEP_SUMMARY"
          exit "$failed"
      - name: Keep the report
        if: ${{ !cancelled() && github.event_name == 'pull_request' }}
        uses: actions/upload-artifact@v5
        with:
          name: kasmgen-report
          path: ${{ runner.temp }}/kasmgen.html
          if-no-files-found: ignore
      - name: Comment
        # The token of a fork's pull request may not comment; the summary of the run says the same.
        if: >-
          ${{ !cancelled() && github.event_name == 'pull_request'
          && github.event.pull_request.head.repo.full_name == github.repository
          && github.actor != 'dependabot[bot]' }}
        uses: actions/github-script@v8
        with:
          script: |
            const fs = require('fs');
            const file = `${process.env.RUNNER_TEMP}/kasmgen.md`;
            if (!fs.existsSync(file) || !fs.statSync(file).size) return;
            const marker = '@MARKER@';
            const body = `${marker}\\n${fs.readFileSync(file, 'utf8')}`;
            const where = { ...context.repo, issue_number: context.issue.number };
            const comments = await github.paginate(github.rest.issues.listComments, { ...where, per_page: 100 });
            const own = comments.find((c) => c.user?.type === 'Bot' && c.body?.startsWith(marker));
            if (own) {
              await github.rest.issues.updateComment({ ...context.repo, comment_id: own.id, body });
            } else {
              await github.rest.issues.createComment({ ...where, body });
            }
"""

_GITLAB = """\
kasmgen:
  image: python:@PYTHON@
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
  variables:
    # Rules about changes need the history.
    GIT_DEPTH: "0"
    PROJECT: @PROJECT@
  script:
    - python -m pip install --quiet "kasmgen[tools,check]==@VERSION@"
    - failed=0
    - kasmgen -C "$PROJECT" check --format junit > kasmgen.xml || failed=$?
    - |
      if [ -n "$CI_MERGE_REQUEST_IID" ]; then
        git fetch --quiet origin "+refs/heads/$CI_MERGE_REQUEST_TARGET_BRANCH_NAME:refs/remotes/origin/target"
        kasmgen -C "$PROJECT" diff origin/target --output markdown > kasmgen.md || failed=$?
        kasmgen -C "$PROJECT" diff origin/target --output html > kasmgen.html || failed=$?
      fi
    - |
      # One comment, which is updated. It takes a project access token (scope api) in the masked variable
      # KASMGEN_TOKEN; without it, as in merge requests of forks, the report is in the artifacts alone.
      if [ -n "$CI_MERGE_REQUEST_IID" ] && [ -n "$KASMGEN_TOKEN" ] && [ -s kasmgen.md ]; then
        python - <<'END'
      import json, os, urllib.request

      project, number = os.environ["CI_PROJECT_ID"], os.environ["CI_MERGE_REQUEST_IID"]
      notes = f"{os.environ['CI_API_V4_URL']}/projects/{project}/merge_requests/{number}/notes"

      def call(method, url, value=None):
          headers = {"PRIVATE-TOKEN": os.environ["KASMGEN_TOKEN"], "Content-Type": "application/json"}
          body = None if value is None else json.dumps(value).encode()
          with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method)) as answer:
              return json.load(answer), answer.headers.get("X-Next-Page")

      marker = "@MARKER@"
      with open("kasmgen.md", encoding="utf-8") as file:
          text = {"body": f"{marker}\\n{file.read()}"}
      own, page = None, "1"
      while page and own is None:
          found, page = call("GET", f"{notes}?per_page=100&page={page}")
          own = next((note["id"] for note in found if note["body"].startswith(marker)), None)
      call("PUT", f"{notes}/{own}", text) if own else call("POST", notes, text)
      END
      fi
    - exit "$failed"
  artifacts:
    when: always
    paths: [kasmgen.html, kasmgen.md]
    reports:
      junit: kasmgen.xml
"""

_GITLAB_ENTRY = """\
include:
  - local: /@FILE@
"""


def github(project: str, branch: str) -> dict[str, bytes]:
    """Path from the Git root -> content. project: the project's directory from there, "." for the root itself."""
    text = _filled(_GITHUB, project).replace("@BRANCH@", _quoted(branch))
    return {GITHUB_FILE: marks.stamp(text.encode(), f"kasmgen {__version__}")}


def gitlab(project: str, *, entry: bool) -> dict[str, bytes]:
    """As `github`. entry: write `.gitlab-ci.yml`, too, which includes the pipeline."""
    source = f"kasmgen {__version__}"
    files = {GITLAB_FILE: marks.stamp(_filled(_GITLAB, project).encode(), source)}
    if entry:
        files[GITLAB_ENTRY] = marks.stamp(_GITLAB_ENTRY.replace("@FILE@", GITLAB_FILE).encode(), source)
    return files


def _filled(text: str, project: str) -> str:
    pairs = {"@PROJECT@": _quoted(project), "@PYTHON@": _PYTHON, "@VERSION@": __version__, "@MARKER@": MARKER}
    for name, value in pairs.items():
        text = text.replace(name, value)
    return text


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
