"""Commits of exactly the own paths, and what is left of one that was killed.

Git makes the commit, with the user's hooks, signing and identity, from an index
of kasmgen's own: so what people have staged is neither committed nor lost, and
their index is locked for moments only.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kasmgen.errors import RepositoryError
from kasmgen.programs import process
from kasmgen.repository import files, git, readiness
from kasmgen.repository.objects import Reader

OWN = "kasmgen"
"""Folder in the git dir that is kasmgen's."""

_SCRATCH = "commit-"

_MOST_ARGUMENTS = 200
"""More paths than this go to git by its standard input: a command line is finite."""


class IndexBehindError(RepositoryError):
    """The commit was made, and the index of people could not follow."""

    def __init__(self, commit: str, reason: RepositoryError) -> None:
        super().__init__(
            f"committed as {commit}, but the index could not follow: {reason.message}",
            hint="the next kasmgen command brings it up to date",
        )
        self.commit = commit


@dataclass(frozen=True)
class Made:
    """A commit. id, tree and parent: object ids; parent: "" for a first commit, all of them for a merge.

    changes: path -> "mode object" in the parent and in the commit, "" where there was or is no such file.
    """

    id: str
    tree: str
    parent: str
    changes: Mapping[str, tuple[str, str]] = field(repr=False)


def commit_only(
    repo: git.Repository,
    paths: Sequence[str],
    message: str,
    standing: readiness.Standing | None = None,
    *,
    still: Callable[[], object] = lambda: None,
) -> Made | None:
    """Commit these paths as they are in the work tree (added, changed, deleted), and nothing else.

    The commit is made from an index of its own, so that what people have staged
    elsewhere is neither committed nor lost; afterwards their index has the committed
    paths and is otherwise as it was. Returns the commit, or None if HEAD already
    holds exactly this. Hooks and signing apply. standing: as it has just been read; a commit
    of somebody else since then is noticed, and so is what they staged. still: called right before git commits; raises
    if that is not wanted any more.
    Raises RepositoryError with what git said if a hook, the signature or git itself
    refuses; work tree (as to `paths`) and index are then as before.
    """
    standing = standing or readiness.standing(repo)
    before, staged = standing.state.head, standing.index
    with _scratch(repo) as scratch:
        index = scratch / "index"
        if not _fill_index(repo, index, before, paths):
            return None
        contents = {path: _content(repo.root / path) for path in paths}
        still()
        try:
            made = _commit(repo, index, before, message)
        except BaseException:
            _put_back(repo, contents)
            raise
    try:
        follow = made.changes if made.parent == (before or "") else changes(repo, before, made.id)
        adopt(repo, made.id, follow, {path: staged.get(path, "") for path in paths})
    except RepositoryError as error:
        raise IndexBehindError(made.id, error) from None
    return made


@contextmanager
def _scratch(repo: git.Repository) -> Iterator[Path]:
    own = repo.git_dir / OWN
    own.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=own))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _commit(repo: git.Repository, index: Path, before: str | None, message: str) -> Made:
    # The shell leaves the number of the process that git becomes: if kasmgen is killed
    # while a hook runs, the next run must know that git is still at work.
    become = ("sh", "-c", 'echo $$ >"$0" && exec "$@"', str(index.parent / "pid"))
    command = ("git", *readiness.ONLY_KNOWN, "-C", str(repo.root), "commit", "-q", "-F", "-")
    environment = git.environment({"GIT_INDEX_FILE": str(index)})
    done = process.run(*become, *command, stdin=message.encode(), env=environment, ok=git.ANY, timeout=git.HOOK_SECONDS)
    made = _head(repo)
    if made is None or made.id == before or (done.code and not _is_ours(repo, index, before, made)):
        readiness.check_identity(repo)
        said = git.complaint(done)
        raise RepositoryError(
            f"git refused the commit: {said}",
            hint=git.room(said, "correct what it says (hooks, signing, identity) and run the command again"),
        )
    _check_parent(repo, index, before, made)
    return made


def _head(repo: git.Repository) -> Made | None:
    """The commit that HEAD is at, None on an unborn branch."""
    options = ("--always", "--root", "-r", "-z", "--no-renames", "--format=%H %T %P")
    done = git.run(repo.root, "diff-tree", *options, "HEAD", ok=(0, 128))
    if done.code:
        return None
    facts, _, changes = done.stdout.partition(b"\0")
    commit, tree, parent = facts.decode().split(" ", 2)
    return Made(commit, tree, parent, _parsed(changes.removeprefix(b"\n")))


def _is_ours(repo: git.Repository, index: Path, before: str | None, made: Made) -> bool:
    """Whether a commit is what a git that was ended too early has made of `index` (as its hooks left it)."""
    tree = git.run(repo.root, "write-tree", ok=git.ANY, extra={"GIT_INDEX_FILE": str(index)})
    return tree.code == 0 and (made.tree, made.parent) == (git.line_of(tree), before or "")


def _check_parent(repo: git.Repository, index: Path, before: str | None, made: Made) -> None:
    """Take a commit back whose parent came in while it was made: it would undo that one's changes."""
    if made.parent and made.parent != before and _is_ours(repo, index, made.parent, made):
        git.run(repo.root, "update-ref", "-m", "kasmgen: take back", "HEAD", made.parent, made.id)
        raise RepositoryError("somebody else committed at the same moment", hint="run the command again")


def _fill_index(repo: git.Repository, index: Path, commit: str | None, paths: Sequence[str]) -> bool:
    """Make an index that holds `commit` and, of the work tree, `paths`; whether that is another tree than the commit's.

    A copy of the user's index is it where they have staged nothing else, and spares git to read all files again.
    """
    if commit is not None and _copy_index(repo, index) and _stage(repo, index, paths, ok=git.ANY):
        differing = _differing(repo, index, commit)
        if differing.issubset(paths):
            return bool(differing)
    extra = {"GIT_INDEX_FILE": str(index)}
    if commit is None:
        git.run(repo.root, "read-tree", "--empty", extra=extra)
        _stage(repo, index, paths)
        return bool(git.run(repo.root, "ls-files", "-z", extra=extra).stdout)
    _copy_index(repo, index)
    git.run(repo.root, "read-tree", "--reset", commit, extra=extra)
    _stage(repo, index, paths)
    return bool(_differing(repo, index, commit))


def _copy_index(repo: git.Repository, index: Path) -> bool:
    """Copy the user's index, if there is one, over `index`."""
    present = repo.git_dir / "index"
    if not present.exists():
        return False
    # With its time: a file that is as old as the index may have changed since, and git looks into it.
    shutil.copy2(present, index)
    return True


def _stage(repo: git.Repository, index: Path, paths: Sequence[str], ok: Sequence[int] = (0,)) -> bool:
    """Bring `paths` in the index to what the work tree has; whether git did so."""
    here = {path: _is_there(repo.root / path) for path in paths}
    # Removed first: on a disk that ignores case an old spelling may be the new file.
    for there, option in ((False, "--force-remove"), (True, "--add")):
        stdin = git.nul(path for path in paths if here[path] is there)
        extra = {"GIT_INDEX_FILE": str(index)}
        if stdin and git.run(repo.root, "update-index", option, "-z", "--stdin", stdin=stdin, extra=extra, ok=ok).code:
            return False
    return True


def _differing(repo: git.Repository, index: Path, commit: str) -> set[str]:
    """Paths of which the index has something else than `commit`."""
    options = ("--cached", "--name-only", "-z", "--no-renames", "--ignore-submodules=none")
    return set(
        git.parts(git.run(repo.root, "diff-index", *options, commit, extra={"GIT_INDEX_FILE": str(index)}).stdout)
    )


def _is_there(path: Path) -> bool:
    # A directory where a file was is no file any more.
    return path.is_symlink() or path.is_file()


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _put_back(repo: git.Repository, contents: Mapping[str, bytes | None]) -> None:
    """Undo what a hook did to the files that were to be committed."""
    for path, content in contents.items():
        place = repo.root / path
        if _content(place) == content:
            continue
        if content is None:
            place.unlink()
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        files.write(place, content, files.mode_of(place))


def adopt(repo: git.Repository, after: str, changes: Mapping[str, tuple[str, str]], known: Mapping[str, str]) -> None:
    """Bring the user's index to the commit `after`, where nobody has staged anything else.

    changes: path -> "mode object" that the index should have of it so far, and that it gets, "" for none.
    known: the same for the paths that were to be committed, as the index had them; there it may have been
    anything. Other paths that changed, such as those that a hook added, follow if the index has of them what it
    should.
    Raises RepositoryError if another program holds the index for too long.
    """
    with _index_lock(repo) as fresh:
        present = {path: str(entry) for path, entry in Reader(repo).index().entries.items()}
        stale = {
            path: new
            for path, (old, new) in changes.items()
            if present.get(path, "") == known.get(path, old) and present.get(path, "") != new
        }
        extra = {"GIT_INDEX_FILE": str(fresh)}
        arguments = [word for path, entry in stale.items() for word in ("--cacheinfo", _comma(entry, path))]
        if len(stale) > _MOST_ARGUMENTS or "" in stale.values():
            nothing = "0 " + "0" * len(after)
            # Deletions first: a file may have become a directory.
            lines = [f"{entry or nothing}\t{path}" for path, entry in sorted(stale.items(), key=lambda i: i[1] != "")]
            git.run(repo.root, "update-index", "--replace", "-z", "--index-info", stdin=git.nul(lines), extra=extra)
            arguments = []
        # Without the refresh, diff-files and its kind would call every committed file changed.
        command = ("update-index", "--add", "--replace", *arguments, "-q", "--refresh")
        git.run(repo.root, *command, extra=extra, ok=(0, 1))


def _comma(entry: str, path: str) -> str:
    return ",".join((*entry.split(" "), path))


def changes(repo: git.Repository, before: str | None, after: str) -> dict[str, tuple[str, str]]:
    """Path -> "mode object" before and after, "" where there was or is no such file."""
    if before is None:
        done = git.run(repo.root, "ls-tree", "-r", "-z", after)
        rows = (entry.partition("\t") for entry in git.parts(done.stdout))
        return {path: ("", " ".join(facts.split(" ")[::2])) for facts, _, path in rows}
    return _parsed(git.run(repo.root, "diff-tree", "-r", "-z", "--no-renames", before, after).stdout)


def _parsed(output: bytes) -> dict[str, tuple[str, str]]:
    """The same from what `diff-tree -r -z` printed."""
    fields = git.parts(output)
    out: dict[str, tuple[str, str]] = {}
    for facts, path in zip(fields[::2], fields[1::2], strict=True):
        old_mode, new_mode, old, new, status = facts.removeprefix(":").split(" ")
        out[path] = ("" if status == "A" else f"{old_mode} {old}", "" if status == "D" else f"{new_mode} {new}")
    return out


@contextmanager
def _index_lock(repo: git.Repository) -> Iterator[Path]:
    """Hold the lock that every git respects; gives a copy of the index that replaces it in the end.

    The lock is a hard link to a file of ours, so that after a kill one can tell whose it is.
    """
    index, lock = repo.git_dir / "index", repo.git_dir / "index.lock"
    with _scratch(repo) as scratch:
        (scratch / "lock").touch()
        _take(scratch / "lock", lock)
        try:
            fresh = scratch / "index"
            if index.exists():
                shutil.copy2(index, fresh)
            yield fresh
            if fresh.exists():
                fresh.replace(index)
        finally:
            lock.unlink(missing_ok=True)


def _take(ours: Path, lock: Path) -> None:
    for _ in readiness.patiently():
        try:
            _link(ours, lock)
            return
        except FileExistsError:
            continue
    raise readiness.index_held(lock)


def _link(ours: Path, lock: Path) -> None:
    try:
        os.link(ours, lock)
    except PermissionError:
        # A file system without hard links; the lock is as good, only nameless.
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL, 0o600))


# --- after a kill --------------------------------------------------------


def working(repo: git.Repository) -> list[int]:
    """Processes of a `git commit` that a kasmgen started and that still run.

    Starts no program, so that a signal handler may ask.
    """
    found = []
    for note in (repo.git_dir / OWN).glob(f"{_SCRATCH}*/pid"):
        text = _content(note) or b""
        if text.strip().isdigit() and _is_git(int(text)):
            found.append(int(text))
    return found


def _is_git(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # The number may be somebody else's by now. A system without /proc does not say.
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return True
    return b"commit" in arguments


def remove_leftovers(repo: git.Repository) -> list[str]:
    """Remove what a killed commit left in the git dir: own scratch and the locks it held. Says which locks.

    To be called when `working` is empty and kasmgen's lock is held. A lock of a
    branch is held for milliseconds, so one that outlasts a second is nobody's.
    """
    own, lock = repo.git_dir / OWN, repo.git_dir / "index.lock"
    removed: list[str] = []
    scratches = list(own.glob(f"{_SCRATCH}*"))
    for scratch in scratches:
        held = scratch / "lock"
        if held.exists() and lock.exists() and lock.samefile(held):
            lock.unlink()
            removed.append(str(lock))
    if any((scratch / "pid").exists() for scratch in scratches):
        removed += _remove_stale_locks(repo)
    for scratch in scratches:
        shutil.rmtree(scratch, ignore_errors=True)
    return removed


def _remove_stale_locks(repo: git.Repository) -> list[str]:
    on = git.branch(repo)
    names = ["HEAD.lock", *([f"refs/heads/{on}.lock"] if on else [])]
    locks = [_git_path(repo, name) for name in names]
    seen = {lock: lock.stat().st_ino for lock in locks if lock.exists()}
    if not seen:
        return []
    time.sleep(1)
    stale = [lock for lock, inode in seen.items() if lock.exists() and lock.stat().st_ino == inode]
    for lock in stale:
        lock.unlink()
    return [str(lock) for lock in stale]


def _git_path(repo: git.Repository, name: str) -> Path:
    # A linked work tree has its own HEAD, and its branches are in the common directory.
    return repo.root / git.line_of(git.run(repo.root, "rev-parse", "--git-path", name))
