"""The one comment of a merge request on GitLab, as a program that the pipeline runs where kasmgen is installed.

GitLab has no action that comments, and its image of Python has no client of its API but the standard library. The place
and the token come from the variables of the job: `python -m kasmgen.commands.gitlab_comment FILE`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from kasmgen.commands.ci_pipelines import MARKER
from kasmgen.yaml.documents import Yaml

SECONDS = 60
"""How long one answer may take."""


@dataclass(frozen=True)
class Notes:
    """The notes of one merge request. url: of all of them. token: of a project, with the scope api."""

    url: str
    token: str

    def post(self, body: str) -> None:
        """Keep one note that begins with the marker: the one that is there is changed, else one is added."""
        text = f"{MARKER}\n{body}"
        own = next((note["id"] for note in self._all() if note["body"].startswith(MARKER)), None)
        if own is None:
            self._call("POST", self.url, {"body": text})
        else:
            self._call("PUT", f"{self.url}/{own}", {"body": text})

    def _all(self) -> Iterator[dict[str, Yaml]]:
        page = "1"
        while page:
            notes, page = self._call("GET", f"{self.url}?per_page=100&page={page}")
            yield from notes

    def _call(self, method: str, url: str, value: Yaml = None) -> tuple[Yaml, str]:
        """What GitLab answers, and the number of the next page, "" after the last."""
        headers = {"PRIVATE-TOKEN": self.token, "Content-Type": "application/json"}
        body = None if value is None else json.dumps(value).encode()
        with urlopen(Request(url, body, headers, method=method), timeout=SECONDS) as answer:
            return json.load(answer), answer.headers.get("X-Next-Page") or ""


def of_job(variables: Mapping[str, str]) -> Notes:
    """The notes of the merge request that a job of GitLab runs for, by the variables that GitLab gives it."""
    project, number = variables["CI_PROJECT_ID"], variables["CI_MERGE_REQUEST_IID"]
    url = f"{variables['CI_API_V4_URL']}/projects/{project}/merge_requests/{number}/notes"
    return Notes(url, variables["KASMGEN_TOKEN"])


if __name__ == "__main__":
    try:
        of_job(os.environ).post(Path(sys.argv[1]).read_text(encoding="utf-8"))
    except URLError as error:
        raise SystemExit(f"kasmgen: GitLab did not take the comment: {error}") from None
