"""Publishes in a process of its own, so that it can be killed: `python -m tests.repository.publisher SPEC`.

The specification is JSON: root, tree (path -> text), delete, and the options of `NewCommit`.
With `die` the process kills itself with SIGKILL at that point (see `tests.points`). It prints the points it passed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kasmgen.errors import KasmgenError
from kasmgen.repository import git, publish
from kasmgen.repository.publish import FileChanges, NewCommit, Publication, Published
from tests.points import Points

_PROJECT = Path(__file__).parents[2]


def start(spec: Mapping[str, Any], *prefix: str, **options: Any) -> subprocess.Popen[str]:
    """The process, in a process group of its own."""
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", "tests.repository.publisher", json.dumps(spec)],
        cwd=_PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def commit(
    repo: git.Repository, root: Path, changes: FileChanges, message: str = "Change", **options: Any
) -> Published:
    """Publish into a commit."""
    return publish.publish(Publication(repo, root, changes, NewCommit(message, **options)))


def main(spec: dict[str, Any]) -> int:
    root = Path(spec.pop("root"))
    tree = {path: text.encode() for path, text in spec.pop("tree").items()}
    changes = publish.plan(root, tree, delete=spec.pop("delete", ()))
    repo = git.find(root)
    assert repo is not None
    points = Points()
    try:
        with points.watching(root, spec.pop("die", ""), lambda: os.kill(os.getpid(), signal.SIGKILL)):
            commit(repo, root, changes, **spec)
    except KasmgenError as error:
        sys.stdout.write(f"{error.code} {error.message}\n")
        return 1
    json.dump(points.seen, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
