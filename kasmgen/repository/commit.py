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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from kasmgen.errors import RepositoryError
from kasmgen.programs import process
from kasmgen.repository import files, git

OWN = "kasmgen"
"""Folder in the git dir that is kasmgen's."""

_SCRATCH = "commit-"


def commit_only(repo: git.Repository, paths: Sequence[str], message: str) -> str | None:
    """Commit these paths as they are in the work tree (added, changed, deleted), and nothing else.

    The commit is made from an index of its own, so that what people have staged
    elsewhere is neither committed nor lost; afterwards their index has the committed
    paths and is otherwise as it was. Returns the commit, or None if HEAD already
    holds exactly this. Hooks and signing apply.
    Raises RepositoryError with what git said if a hook, the signature or git itself
    refuses; work tree (as to `paths`) and index are then as before.
    """
    git.check_not_ignored(repo, [path for path in paths if _is_there(repo.root / path)])
    before, staged = git.head(repo), git.index_entries(repo)
    with _scratch(repo) as scratch:
        index = scratch / "index"
        _fill_index(repo, index, before, paths)
        if not _differs(repo, index, before):
            return None
        contents = {path: _content(repo.root / path) for path in paths}
        try:
            after = _commit(repo, index, before, message)
        except BaseException:
            _put_back(repo, contents)
            raise
    try:
        adopt(repo, before, after, {path: staged.get(path, "") for path in paths})
    except RepositoryError as error:
        raise RepositoryError(
            f"committed as {after}, but the index could not follow: {error.message}",
            hint="the next kasmgen command brings it up to date",
        ) from None
    return after


@contextmanager
def _scratch(repo: git.Repository) -> Iterator[Path]:
    own = repo.git_dir / OWN
    own.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=own))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _commit(repo: git.Repository, index: Path, before: str | None, message: str) -> str:
    # The shell leaves the number of the process that git becomes: if kasmgen is killed
    # while a hook runs, the next run must know that git is still at work.
    become = ("sh", "-c", 'echo $$ >"$0" && exec "$@"', str(index.parent / "pid"))
    command = ("git", "-C", str(repo.root), "commit", "-q", "-F", "-")
    environment = git.environment({"GIT_INDEX_FILE": str(index)})
    done = process.run(*become, *command, stdin=message.encode(), env=environment, ok=git.ANY, timeout=git.HOOK_SECONDS)
    after = git.head(repo)
    if after is None or after == before or (done.code and not _is_ours(repo, index, before, after)):
        said = git.complaint(done)
        raise RepositoryError(
            f"git refused the commit: {said}",
            hint=git.room(said, "correct what it says (hooks, signing, identity) and run the command again"),
        )
    _check_parent(repo, index, before, after)
    return after


def _facts(repo: git.Repository, commit: str) -> tuple[str, str]:
    """Tree and parents of `commit`."""
    done = git.run(repo.root, "log", "-1", "--format=%T %P", "--no-show-signature", commit)
    tree, _, parents = git.line_of(done).partition(" ")
    return tree, parents


def _is_ours(repo: git.Repository, index: Path, before: str | None, after: str) -> bool:
    """Whether `after` is what a git that was ended too early has made of `index` (as its hooks left it)."""
    made = git.run(repo.root, "write-tree", ok=git.ANY, extra={"GIT_INDEX_FILE": str(index)})
    return made.code == 0 and _facts(repo, after) == (git.line_of(made), before or "")


def _check_parent(repo: git.Repository, index: Path, before: str | None, after: str) -> None:
    """Take a commit back whose parent came in while it was made: it would undo that one's changes."""
    _, parent = _facts(repo, after)
    if parent and parent != before and _is_ours(repo, index, parent, after):
        git.run(repo.root, "update-ref", "-m", "kasmgen: take back", "HEAD", parent, after)
        raise RepositoryError("somebody else committed at the same moment", hint="run the command again")


def _fill_index(repo: git.Repository, index: Path, commit: str | None, paths: Sequence[str]) -> None:
    """An index that holds `commit` and, of the work tree, `paths`."""
    extra = {"GIT_INDEX_FILE": str(index)}
    if commit is None:
        git.run(repo.root, "read-tree", "--empty", extra=extra)
    else:
        # What the copy knows about the files on disk spares git to read them all again.
        present = repo.git_dir / "index"
        if present.exists():
            # With its time: a file that is as old as the index may have changed since, and git looks into it.
            shutil.copy2(present, index)
        git.run(repo.root, "read-tree", "--reset", commit, extra=extra)
    here = {path: _is_there(repo.root / path) for path in paths}
    # Removed first: on a disk that ignores case an old spelling may be the new file.
    for there, option in ((False, "--force-remove"), (True, "--add")):
        stdin = git.nul(path for path in paths if here[path] is there)
        if stdin:
            git.run(repo.root, "update-index", option, "-z", "--stdin", stdin=stdin, extra=extra)


def _differs(repo: git.Repository, index: Path, commit: str | None) -> bool:
    extra = {"GIT_INDEX_FILE": str(index)}
    if commit is None:
        return bool(git.run(repo.root, "ls-files", "-z", extra=extra).stdout)
    return git.run(repo.root, "diff-index", "--cached", "--quiet", commit, extra=extra, ok=(0, 1)).code == 1


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


def adopt(repo: git.Repository, before: str | None, after: str, known: Mapping[str, str]) -> None:
    """Bring the user's index from the commit `before` to `after`, where nobody has staged anything else.

    known: path -> "mode object" that the index had of the paths that were to be committed,
    "" for none; there it may have been anything. Other paths that changed, such as those
    that a hook added, follow if the index has of them what `before` had.
    Raises RepositoryError if another program holds the index for too long.
    """
    changed = _changes(repo, before, after)
    nothing = "0 " + "0" * len(after)
    with _index_lock(repo) as fresh:
        present = git.index_entries(repo)
        stale = {
            path: new
            for path, (old, new) in changed.items()
            if present.get(path, "") == known.get(path, old) and present.get(path, "") != new
        }
        # Deletions first: a file may have become a directory.
        lines = [f"{entry or nothing}\t{path}" for path, entry in sorted(stale.items(), key=lambda i: i[1] != "")]
        extra = {"GIT_INDEX_FILE": str(fresh)}
        git.run(repo.root, "update-index", "--replace", "-z", "--index-info", stdin=git.nul(lines), extra=extra)
        # Without this, diff-files and its kind would call every committed file changed.
        git.run(repo.root, "update-index", "-q", "--refresh", extra=extra, ok=(0, 1))


def _changes(repo: git.Repository, before: str | None, after: str) -> dict[str, tuple[str, str]]:
    """Path -> "mode object" before and after, "" where there was or is no such file."""
    if before is None:
        done = git.run(repo.root, "ls-tree", "-r", "-z", after)
        rows = (entry.partition("\t") for entry in git.parts(done.stdout))
        return {path: ("", " ".join(facts.split(" ")[::2])) for facts, _, path in rows}
    fields = git.parts(git.run(repo.root, "diff-tree", "-r", "-z", "--no-renames", before, after).stdout)
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
    for _ in git.patiently():
        try:
            _link(ours, lock)
            return
        except FileExistsError:
            continue
    raise git.index_held(lock)


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


def clear(repo: git.Repository) -> list[str]:
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
        removed += _clear_refs(repo)
    for scratch in scratches:
        shutil.rmtree(scratch, ignore_errors=True)
    return removed


def _clear_refs(repo: git.Repository) -> list[str]:
    on = git.branch(repo)
    names = ["HEAD.lock", *([f"refs/heads/{on}.lock"] if on else [])]
    places = [_git_path(repo, name) for name in names]
    seen = {place: place.stat().st_ino for place in places if place.exists()}
    if not seen:
        return []
    time.sleep(1)
    stale = [place for place, inode in seen.items() if place.exists() and place.stat().st_ino == inode]
    for place in stale:
        place.unlink()
    return [str(place) for place in stale]


def _git_path(repo: git.Repository, name: str) -> Path:
    # A linked work tree has its own HEAD, and its branches are in the common directory.
    return repo.root / git.line_of(git.run(repo.root, "rev-parse", "--git-path", name))
