"""The CI pipelines that `kasmgen ci` writes: check, one comment with the difference, the HTML report.

They are files of `kasmgen/pipelines/`. No secret is needed. The names of branches and titles reach the shell as
variables only, never as text of a script. Only actions of the platform itself are used.
"""

from __future__ import annotations

import re
from importlib import resources

from kasmgen import __version__
from kasmgen.layout import marks

MARKER = "<!-- kasmgen -->"
"""What the one comment begins with, so that the next run finds it."""

GITHUB_FILE = ".github/workflows/kasmgen.yml"
GITLAB_FILE = ".gitlab/kasmgen.yml"
GITLAB_ENTRY = ".gitlab-ci.yml"

_SOURCE = f"kasmgen {__version__}"


def github(project: str, branch: str) -> dict[str, bytes]:
    """Path from the Git root -> content. project: the project's directory from there, "." for the root itself."""
    return {GITHUB_FILE: _pipeline("github.yml", PROJECT=project, BRANCH=branch)}


def gitlab(project: str, *, entry: bool) -> dict[str, bytes]:
    """As `github`. entry: write `.gitlab-ci.yml`, too, which includes the pipeline."""
    files = {GITLAB_FILE: _pipeline("gitlab.yml", PROJECT=project)}
    return files | ({GITLAB_ENTRY: _pipeline("gitlab-entry.yml")} if entry else {})


def _pipeline(name: str, **values: str) -> bytes:
    """The file `name` with its placeholders filled in, below a mark.

    What people chose stands in single quotes of YAML, where only a quote means something; the version is our own.
    """
    text = resources.files("kasmgen").joinpath("pipelines", name).read_text("utf-8")
    known = {"VERSION": __version__, **values}
    # In one pass: a name may look like a placeholder itself.
    filled = re.sub("@([A-Z]+)@", lambda match: known[match[1]].replace("'", "''"), text)
    return marks.stamp(filled.encode(), _SOURCE)
