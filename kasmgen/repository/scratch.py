"""Private directories of a run: files that are laid out for other programs to read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from kasmgen.repository import git
from kasmgen.repository.objects import Reader


def write_tree(root: Path, files: Mapping[str, bytes]) -> None:
    """Write files below the private directory `root`."""
    for path, content in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_bytes(content)


def copy_work_tree(repo: git.Repository, into: Path) -> None:
    """A copy of the work tree's files (those git knows or would take), where planned files can be laid over.

    People's overlays may point anywhere in their repository, so all of it has to be there.
    """
    for path in Reader(repo).files():
        source, target = repo.root / path, into / path
        if source.is_symlink() or not source.is_file():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
