"""Reading Git: commits, the index and the objects in them, without touching the work tree.

This is the one door for it. The questions and how their answers are taken apart stand here once; who asks may
be the git program (here) or GitPython (`repository.history`).

Of the variables that git gives to a hook none counts, with one exception: in a hook of `git commit -a` or
`git commit PATH` the next commit is in an index of its own, which GIT_INDEX_FILE names. What is asked about the
next commit (`next_commit`, `staged`) is read from that one, if it lies in the git dir of this repository.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kasmgen.errors import RepositoryError
from kasmgen.repository import git
from kasmgen.repository.git import Repository

LINK = "120000"
SUBMODULE = "160000"

FAILURES = (1, 128)
"""How git ends where it finds nothing."""


@dataclass(frozen=True)
class TreeEntry:
    """A path in the index or in a commit. mode: as git writes it, "100644"; blob: the object's id."""

    mode: str
    blob: str

    def __str__(self) -> str:
        return f"{self.mode} {self.blob}"


@dataclass(frozen=True)
class IndexEntries:
    """What an index holds. unmerged: paths on which people have to decide yet."""

    entries: Mapping[str, TreeEntry]
    unmerged: frozenset[str] = frozenset()


class Ask(Protocol):
    """Puts one question to git and gives what it printed.

    extra: environment variables. Raises RepositoryError for an exit code that is not `ok`.
    """

    def __call__(
        self, *args: str, stdin: bytes = b"", ok: Sequence[int] = (0,), extra: Mapping[str, str] | None = None
    ) -> bytes: ...


def program(repo: Repository) -> Ask:
    """Asks the git program."""

    def ask(*args: str, stdin: bytes = b"", ok: Sequence[int] = (0,), extra: Mapping[str, str] | None = None) -> bytes:
        return git.run(repo.root, *args, stdin=stdin, ok=ok, extra=extra).stdout

    return ask


class Reader:
    """What a repository holds. Each method is one process of git, however many objects it is asked for."""

    def __init__(self, repo: Repository, ask: Ask | None = None) -> None:
        self.repo = repo
        self._ask = ask or program(repo)

    # --- revisions ---

    def commit_of(self, revision: str) -> str | None:
        """The commit that a revision (branch, tag, commit, `HEAD~1`, `@{upstream}`) names, None if it names none."""
        # A revision never begins with a dash, an option always does.
        if revision.startswith("-") or "\0" in revision:
            return None
        return _line(self._ask("rev-parse", "-q", "--verify", f"{revision}^{{commit}}", ok=(0, *FAILURES)))

    def merge_base(self, one: str, other: str) -> str | None:
        """Where two commits last were the same, None if they have no common history here."""
        return _line(self._ask("merge-base", one, other, ok=(0, *FAILURES)))

    def is_shallow(self) -> bool:
        """Whether history is cut off somewhere."""
        return self._ask("rev-parse", "--is-shallow-repository").strip() == b"true"

    def tree(self, commit: str, prefix: str = "") -> dict[str, TreeEntry]:
        """Path from the work tree's root -> what `commit` has of it, at or under `prefix`."""
        out: dict[str, TreeEntry] = {}
        command = ("ls-tree", "-r", "-z", "--full-tree", commit, *(("--", prefix) if prefix else ()))
        for line in git.parts(self._ask(*command)):
            facts, _, path = line.partition("\t")
            mode, _, blob = facts.split(" ")
            out[path] = TreeEntry(mode, blob)
        return out

    def blobs(self, commit: str | None, paths: Sequence[str]) -> dict[str, str]:
        """Path -> object id in `commit`, of those `paths` that are files there. None is the empty history."""
        if commit is None or not paths:
            return {}
        asked = b"".join(os.fsencode(f"{commit}:{path}\n") for path in paths)
        output = self._ask("cat-file", "--batch-check=%(objecttype) %(objectname)", stdin=asked)
        answers = (answer.split(" ") for answer in output.decode("utf-8", "surrogateescape").splitlines())
        return {path: answer[1] for path, answer in zip(paths, answers, strict=True) if answer[0] == "blob"}

    # --- objects ---

    def sizes(self, blobs: Iterable[str]) -> dict[str, int]:
        """Object id -> bytes."""
        object_ids = sorted(set(blobs))
        if not object_ids:
            return {}
        answers = self._ask("cat-file", "--batch-check=%(objectsize)", stdin=_lines(object_ids)).split()
        return dict(zip(object_ids, map(int, answers), strict=True))

    def contents(self, blobs: Iterable[str]) -> dict[str, bytes]:
        """Object id -> content, of all of them in one go. Raises RepositoryError if one is missing."""
        object_ids = sorted(set(blobs))
        if not object_ids:
            return {}
        return dict(_split(self._ask("cat-file", "--batch", stdin=_lines(object_ids)), object_ids))

    # --- work tree and index ---

    def files(self) -> list[str]:
        """Every file of the work tree that git tracks or, not being ignored, would add."""
        return sorted(set(git.parts(self._ask("ls-files", "-c", "-o", "--exclude-standard", "-z"))))

    def differing(self, commit: str) -> set[str]:
        """Paths of the work tree that are not as in `commit`: changed, gone, or new and not ignored."""
        tracked = self._ask("diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", commit, "--")
        return {*git.parts(tracked), *git.parts(self._ask("ls-files", "-o", "--exclude-standard", "-z"))}

    def ignored(self, paths: Sequence[str]) -> frozenset[str]:
        """Those of `paths`, from the work tree's root, that git ignores and does not track."""
        if not paths:
            return frozenset()
        output = self._ask("check-ignore", "-z", "--stdin", stdin=git.nul(paths), ok=(0, 1))
        return frozenset(git.parts(output))

    def index(self) -> IndexEntries:
        """What is in the user's index."""
        return _index(self._ask("ls-files", "-s", "-z"))

    def unmerged(self) -> frozenset[str]:
        """Paths of the user's index on which people have to decide yet; quicker than the whole index."""
        return _index(self._ask("ls-files", "-u", "-z")).unmerged

    def dirty(self, paths: Iterable[str]) -> set[str]:
        """Those files at or under `paths` that differ from HEAD, staged or not, untracked ones too."""
        out: set[str] = set()
        asked = sorted(paths)
        options = ("--porcelain", "-z", "--no-renames", "--untracked-files=all")
        # In parts: the command line is finite, and 2.23 reads no pathspecs from a file here.
        for first in range(0, len(asked), 500):
            part = [f":(top,literal){path}" for path in asked[first : first + 500]]
            out.update(entry[3:] for entry in git.parts(self._ask("status", *options, "--", *part)))
        return out

    def next_commit(self, prefix: str = "") -> dict[str, TreeEntry]:
        """Path from the work tree's root -> what is staged of it, at or under `prefix`; unmerged paths excepted."""
        output = self._ask("ls-files", "-s", "-z", *_under(prefix), extra=self._index_of_hook())
        return dict(_index(output).entries)

    def staged(self, prefix: str = "") -> set[str]:
        """Paths at or under `prefix` that the next commit would add, change or delete."""
        options = ("--cached", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--ignore-submodules=none")
        return set(git.parts(self._ask("diff", *options, *_under(prefix), extra=self._index_of_hook())))

    def _index_of_hook(self) -> dict[str, str]:
        index = os.environ.get("GIT_INDEX_FILE")
        if index and Path(index).absolute().resolve().is_relative_to(self.repo.git_dir):
            return {"GIT_INDEX_FILE": str(Path(index).absolute())}
        return {}


def _index(output: bytes) -> IndexEntries:
    """What `ls-files -s -z` printed."""
    entries: dict[str, TreeEntry] = {}
    unmerged: set[str] = set()
    for line in git.parts(output):
        facts, _, path = line.partition("\t")
        mode, blob, stage = facts.split(" ")
        if stage == "0":
            entries[path] = TreeEntry(mode, blob)
        else:
            unmerged.add(path)
    return IndexEntries(entries, frozenset(unmerged))


def _under(prefix: str) -> tuple[str, ...]:
    return ("--", f":(top,literal){prefix}") if prefix else ()


def _lines(blobs: Iterable[str]) -> bytes:
    return "".join(f"{blob}\n" for blob in blobs).encode()


def _line(output: bytes) -> str | None:
    # Of several best common ancestors the first will do.
    text = output.decode("utf-8", "replace").partition("\n")[0]
    return text if text and " " not in text else None


def _split(output: bytes, object_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    position = 0
    for blob in object_ids:
        end = output.index(b"\n", position)
        header = output[position:end].split(b" ")
        if len(header) != 3:
            raise RepositoryError(f"git has no object {blob}", hint="`git fsck` says what the repository lacks")
        size = int(header[2])
        yield blob, output[end + 1 : end + 1 + size]
        position = end + 1 + size + 1
