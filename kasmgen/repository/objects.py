"""git: the index, trees of commits and the objects in them, read without touching the work tree.

In a hook that git runs for `git commit -a` or `git commit PATH`, what will be
committed is in an index of its own, named by GIT_INDEX_FILE; that one counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kasmgen.errors import RepositoryError
from kasmgen.programs import process
from kasmgen.repository.git import Repository

LINK = "120000"
SUBMODULE = "160000"


@dataclass(frozen=True)
class TreeEntry:
    """A path in the index. mode: as git writes it, "100644"; blob: the object's id."""

    mode: str
    blob: str


def _environment(repo: Repository) -> dict[str, str]:
    kept = {key: value for key, value in process.clean_environment().items() if not key.startswith("GIT_")}
    index = os.environ.get("GIT_INDEX_FILE")
    if index and Path(index).absolute().resolve().is_relative_to(repo.git_dir):
        kept["GIT_INDEX_FILE"] = str(Path(index).absolute())
    return {**kept, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}


def _git(repo: Repository, *args: str, stdin: bytes | None = None, ok: Sequence[int] = (0,)) -> bytes:
    done = process.run("git", "-C", str(repo.root), *args, stdin=stdin, ok=range(256), env=_environment(repo))
    if done.code not in ok:
        said = done.stderr.decode("utf-8", "replace").strip()[:1000]
        raise RepositoryError(f"git {args[0]} failed in {repo.root}: {said or f'exit code {done.code}'}")
    return done.stdout


def _under(prefix: str) -> tuple[str, ...]:
    return ("--", f":(top,literal){prefix}") if prefix else ()


def entries(repo: Repository, prefix: str = "") -> dict[str, TreeEntry]:
    """Path from the work tree's root -> what the index has of it, at or under `prefix`; unmerged paths excepted."""
    out: dict[str, TreeEntry] = {}
    for line in _git(repo, "ls-files", "-s", "-z", *_under(prefix)).split(b"\0"):
        facts, _, path = os.fsdecode(line).partition("\t")
        if path:
            mode, blob, stage = facts.split(" ")
            if stage == "0":
                out[path] = TreeEntry(mode, blob)
    return out


def changed(repo: Repository, prefix: str = "") -> set[str]:
    """Paths at or under `prefix` that the next commit would add, change or delete."""
    options = ("--cached", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--ignore-submodules=none")
    output = _git(repo, "diff", *options, *_under(prefix))
    return {os.fsdecode(path) for path in output.split(b"\0") if path}


def sizes(repo: Repository, blobs: Iterable[str]) -> dict[str, int]:
    """Object id -> bytes."""
    wanted = sorted(set(blobs))
    if not wanted:
        return {}
    asked = "".join(f"{blob}\n" for blob in wanted).encode()
    answers = _git(repo, "cat-file", "--batch-check=%(objectsize)", stdin=asked).split()
    return dict(zip(wanted, map(int, answers), strict=True))


def contents(repo: Repository, blobs: Iterable[str]) -> dict[str, bytes]:
    """Object id -> content, of all of them in one go. Raises RepositoryError if one is missing."""
    wanted = sorted(set(blobs))
    if not wanted:
        return {}
    output = _git(repo, "cat-file", "--batch", stdin="".join(f"{blob}\n" for blob in wanted).encode())
    return dict(_split(output, wanted))


def _split(output: bytes, wanted: Sequence[str]) -> Iterable[tuple[str, bytes]]:
    position = 0
    for blob in wanted:
        end = output.index(b"\n", position)
        header = output[position:end].split(b" ")
        if len(header) != 3:
            raise RepositoryError(f"git has no object {blob}", hint="`git fsck` says what the repository lacks")
        size = int(header[2])
        yield blob, output[end + 1 : end + 1 + size]
        position = end + 1 + size + 1


def tree_entries(repo: Repository, commit: str, prefix: str = "") -> Mapping[str, TreeEntry]:
    """Path from the work tree's root -> what `commit` has of it, at or under `prefix`."""
    out: dict[str, TreeEntry] = {}
    command = ("ls-tree", "-r", "-z", "--full-tree", commit, *(("--", prefix) if prefix else ()))
    for line in _git(repo, *command).split(b"\0"):
        facts, _, path = os.fsdecode(line).partition("\t")
        if path:
            mode, _, blob = facts.split(" ")
            out[path] = TreeEntry(mode, blob)
    return out


def ignored(repo: Repository, paths: Sequence[str]) -> frozenset[str]:
    """Those of `paths`, from the work tree's root, that git ignores and does not track."""
    if not paths:
        return frozenset()
    asked = b"".join(os.fsencode(path) + b"\0" for path in paths)
    output = _git(repo, "check-ignore", "-z", "--stdin", stdin=asked, ok=(0, 1))
    return frozenset(os.fsdecode(part) for part in output.split(b"\0") if part)


# --- earlier revisions ---------------------------------------------------


def _line(repo: Repository, *args: str) -> str | None:
    output = _git(repo, *args, ok=range(256)).decode("utf-8", "replace").strip()
    return output if output and " " not in output and "\n" not in output else None


def commit_of(repo: Repository, revision: str) -> str | None:
    """The commit that `revision` names, None if it names none."""
    # A revision never begins with a dash, an option always does.
    return None if revision.startswith("-") else _line(repo, "rev-parse", "-q", "--verify", f"{revision}^{{commit}}")


def merge_base(repo: Repository, revision: str) -> str | None:
    """Where HEAD and `revision` last were the same; None if there is no such revision or no common history."""
    commit = commit_of(repo, revision)
    return _line(repo, "merge-base", "HEAD", commit) if commit else None


def differing(repo: Repository, commit: str) -> set[str]:
    """Paths of the work tree that are not as in `commit`: changed, gone, or new and not ignored."""
    tracked = _git(repo, "diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", commit, "--")
    new = _git(repo, "ls-files", "-o", "--exclude-standard", "-z")
    return {os.fsdecode(path) for path in [*tracked.split(b"\0"), *new.split(b"\0")] if path}
