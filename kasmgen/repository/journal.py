"""What a change is about to do to the work tree, written down before it begins.

The journal is one file: a line of JSON, then the old contents one after the
other. With it the next run can tell what a killed one has done, and undo it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from kasmgen.errors import RepositoryError

_VERSION = 1


@dataclass(frozen=True)
class JournalEntry:
    """One file. path: from the work tree's root. mode: permission bits of the old file.

    old: content before, None if there was no file. new: `digest` of the content
    after, None if the file goes.
    """

    path: str
    old: bytes | None = field(repr=False)
    mode: int
    new: str | None


@dataclass(frozen=True)
class Journal:
    """head and branch: where HEAD was (None: unborn; detached). new_branch: the branch that is made for the commit.

    commits: whether a commit follows. made: directories that are made, outer ones
    first. index: path -> "mode object" as the index had it, of the entries' paths.
    """

    head: str | None
    branch: str | None
    new_branch: str | None
    commits: bool
    entries: tuple[JournalEntry, ...]
    made: tuple[str, ...] = ()
    index: Mapping[str, str] = field(default_factory=dict)


def digest(content: bytes | None) -> str | None:
    """SHA-256 in hex, None for a file that is not there."""
    return None if content is None else hashlib.sha256(content).hexdigest()


def encode(journal: Journal) -> bytes:
    """The journal as the bytes of its file."""
    head = {
        "version": _VERSION,
        "head": journal.head,
        "branch": journal.branch,
        "newBranch": journal.new_branch,
        "commits": journal.commits,
        "made": journal.made,
        "index": dict(journal.index),
        "entries": [
            {"path": e.path, "size": None if e.old is None else len(e.old), "mode": e.mode, "new": e.new}
            for e in journal.entries
        ],
    }
    return json.dumps(head).encode() + b"\n" + b"".join(e.old or b"" for e in journal.entries)


def decode(content: bytes, shown: str) -> Journal:
    """The journal from the bytes of its file, which errors call `shown`. Raises RepositoryError if it is none."""
    line, _, rest = content.partition(b"\n")
    try:
        head = json.loads(line)
        if head["version"] != _VERSION:
            raise ValueError(f"version {head['version']}")
        entries, start = [], 0
        for e in head["entries"]:
            size = e["size"]
            entries.append(
                JournalEntry(e["path"], None if size is None else rest[start : start + size], e["mode"], e["new"])
            )
            start += size or 0
        if start != len(rest):
            raise ValueError("its length is wrong")
        return Journal(
            head["head"],
            head["branch"],
            head["newBranch"],
            head["commits"],
            tuple(entries),
            tuple(head["made"]),
            head["index"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise RepositoryError(
            f"{shown}, the journal of a run that was killed, cannot be read: {error}",
            hint=f"look at `git status`, put right what is half done, then delete {shown}",
        ) from None
