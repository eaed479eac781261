"""git: the repository that kasmgen writes to.

Everything goes through the `git` program, so that its configuration, hooks,
signing and identity apply. Paths are relative to the work tree's root, with
forward slashes, unless a function says otherwise.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kasmgen import proc
from kasmgen.errors import InputError, RepositoryError, ToolError

LEAST = (2, 23)
"""The oldest git that knows every option used here."""

# What git sets for the hooks that it runs. kasmgen may be started by one and must
# then find the repository from the directory it works in, as anywhere else.
_OF_HOOKS = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
)
_ANY = tuple(range(-64, 256))
# A hook may run a whole test suite, a signature may wait for a person's finger.
_COMMIT_SECONDS = 3600.0
_LOCK_SECONDS = 3.0


@dataclass(frozen=True)
class Repository:
    """root: real path of the work tree (of the repository itself if it is bare). git_dir: its own git dir."""

    root: Path
    git_dir: Path
    bare: bool = False


@dataclass(frozen=True)
class State:
    """branch: short name, None if detached. head: commit, None on an unborn branch.

    operation: what people have begun and not ended (merge, rebase, cherry-pick, revert, am, bisect), or "".
    """

    branch: str | None
    head: str | None
    operation: str
    bare: bool

    @property
    def detached(self) -> bool:
        """Whether HEAD is on no branch."""
        return self.branch is None

    @property
    def unborn(self) -> bool:
        """Whether the branch has no commit yet."""
        return self.head is None


# --- the program ---------------------------------------------------------


def _environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {k: v for k, v in proc.clean_environment().items() if k not in _OF_HOOKS}
    return {**kept, **(extra or {})}


def _git(
    where: Path,
    *args: str,
    stdin: bytes | None = None,
    ok: Sequence[int] = (0,),
    extra: Mapping[str, str] | None = None,
) -> proc.Result:
    """Run git for something that runs no hook: in English, without locks for mere reading."""
    settled = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", **(extra or {})}
    done = proc.run("git", "-C", str(where), *args, stdin=stdin, ok=_ANY, env=_environment(settled))
    if done.code not in ok:
        raise RepositoryError(f"git {args[0]} failed in {where}: {_said(done)}")
    return done


def _said(done: proc.Result) -> str:
    text = b"\n".join(part.strip() for part in (done.stdout, done.stderr) if part.strip())
    said = text.decode("utf-8", "replace")
    if not said:
        return f"exit code {done.code}"
    return said if len(said) <= 2000 else said[:1000] + " ... " + said[-1000:]


def _line(done: proc.Result) -> str:
    return os.fsdecode(done.stdout.removesuffix(b"\n"))


def _split(output: bytes) -> list[str]:
    return [os.fsdecode(part) for part in output.split(b"\0") if part]


def _joined(paths: Iterable[str]) -> bytes:
    return b"".join(os.fsencode(path) + b"\0" for path in paths)


def version() -> str:
    """The version of the git program, such as "2.39.5". Raises ToolError if there is none or it is too old."""
    done = proc.run("git", "--version")
    text = done.stdout.decode("utf-8", "replace").split()[2]
    parts = [int(part) for part in text.split(".")[:2] if part.isdigit()]
    if tuple(parts) < LEAST:
        raise ToolError(f"git {text} is too old", hint=f"install git {LEAST[0]}.{LEAST[1]} or newer")
    return text


# --- finding and reading -------------------------------------------------


def find(start: Path) -> Repository | None:
    """The repository that `start` (which may not exist yet) is in, or None.

    Raises RepositoryError if git refuses the repository: another owner's, a
    broken one, the inside of a git dir. ToolError if git is missing.
    """
    place = _existing(start)
    asked = ("rev-parse", "--is-bare-repository", "--is-inside-work-tree", "--absolute-git-dir")
    done = _git(place, *asked, ok=_ANY)
    if done.code:
        _check_absent(place, done)
        return None
    bare, inside, directory = _line(done).split("\n", 2)
    git_dir = Path(directory).resolve()
    if bare == "true":
        return Repository(git_dir, git_dir, bare=True)
    if inside != "true":
        raise RepositoryError(
            f"{place} is inside a git directory and not in a work tree", hint="go to the work tree, or pass -C DIR"
        )
    return Repository(Path(_line(_git(place, "rev-parse", "--show-toplevel"))).resolve(), git_dir)


def _existing(start: Path) -> Path:
    place = start.absolute()
    while not place.is_dir():
        if place == place.parent:
            break
        place = place.parent
    return place


def _check_absent(place: Path, done: proc.Result) -> None:
    said = _said(done)
    if "dubious ownership" in said or "unsafe repository" in said:
        raise RepositoryError(
            f"git refuses the repository around {place}: it belongs to another user",
            hint=f"if you trust it: git config --global --add safe.directory {_owner_refused(place)}",
        )
    if "not a git repository (or any" not in said:
        raise RepositoryError(f"git cannot read the repository around {place}: {said}")


def _owner_refused(place: Path) -> Path:
    real = place.resolve()
    return next((p for p in (real, *real.parents) if (p / ".git").exists()), real)


def init(directory: Path) -> Repository:
    """Make a repository in `directory`, and the directory if need be.

    The first branch is the user's `init.defaultBranch`, else main. A repository that
    is already there stays as it is. Raises RepositoryError if that cannot be done.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RepositoryError(f"{directory} cannot be made: {error.strerror}") from None
    chosen = _git(directory, "config", "--get", "init.defaultBranch", ok=(0, 1)).code == 0
    _git(directory, *(() if chosen else ("-c", "init.defaultBranch=main")), "init", "-q")
    made = find(directory)
    if made is None:
        raise RepositoryError(f"git init made no repository in {directory}")
    return made


def toplevel_relative(repo: Repository, path: Path) -> str:
    """`path` relative to the work tree's root, "." for the root itself.

    Symbolic links above the work tree are followed. Raises InputError if it is outside.
    """
    real = path.absolute().parent.resolve() / path.name if path.name else path.resolve()
    if real == repo.root or path.resolve() == repo.root:
        return "."
    try:
        return real.relative_to(repo.root).as_posix()
    except ValueError:
        raise InputError(f"{path} is outside the repository {repo.root}") from None


def head(repo: Repository) -> str | None:
    """The commit that HEAD is at, or None on an unborn branch."""
    done = _git(repo.root, "rev-parse", "-q", "--verify", "HEAD^{commit}", ok=(0, 1, 128))
    return _line(done) if done.code == 0 else None


def branch(repo: Repository) -> str | None:
    """Short name of the branch that HEAD is on, born or not; None if HEAD is detached."""
    done = _git(repo.root, "symbolic-ref", "-q", "HEAD", ok=(0, 1))
    return _line(done).removeprefix("refs/heads/") if done.code == 0 else None


_OPERATIONS = (
    ("rebase-apply/applying", "am"),
    ("rebase-apply", "rebase"),
    ("rebase-merge", "rebase"),
    ("MERGE_HEAD", "merge"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
    ("sequencer", "cherry-pick"),
    ("BISECT_LOG", "bisect"),
)


def state(repo: Repository) -> State:
    """What the repository is in the middle of."""
    begun = (what for name, what in _OPERATIONS if (repo.git_dir / name).exists())
    return State(branch(repo), head(repo), next(begun, ""), repo.bare)


def dirty(repo: Repository, paths: Iterable[str]) -> set[str]:
    """Those files at or under `paths` that differ from HEAD, staged or not, untracked ones too."""
    out: set[str] = set()
    asked = sorted(paths)
    # In parts: the command line is finite, and 2.23 reads no pathspecs from a file here.
    for first in range(0, len(asked), 500):
        part = [f":(top,literal){path}" for path in asked[first : first + 500]]
        options = ("--porcelain", "-z", "--no-renames", "--untracked-files=all")
        done = _git(repo.root, "status", *options, "--", *part)
        out.update(entry[3:] for entry in _split(done.stdout))
    return out


def blobs(repo: Repository, commit: str | None, paths: Sequence[str]) -> dict[str, str]:
    """Path -> object id in `commit`, of those `paths` that are files there. None is the empty history."""
    if commit is None or not paths:
        return {}
    asked = b"".join(os.fsencode(f"{commit}:{path}\n") for path in paths)
    done = _git(repo.root, "cat-file", "--batch-check=%(objecttype) %(objectname)", stdin=asked)
    answers = done.stdout.decode("utf-8", "surrogateescape").splitlines()
    pairs = zip(paths, (answer.split(" ") for answer in answers), strict=True)
    return {path: answer[1] for path, answer in pairs if answer[0] == "blob"}


def configure(repo: Repository, key: str, value: str) -> None:
    """Set one configuration value of this repository alone."""
    _git(repo.root, "config", "--local", key, value)


def subjects(repo: Repository) -> list[str]:
    """First lines of all commit messages, newest first."""
    return _git(repo.root, "log", "--format=%s").stdout.decode("utf-8", "replace").splitlines()


def resolve(repo: Repository, revision: str) -> str | None:
    """The commit that a revision names, or None."""
    if revision.startswith("-"):
        return None
    done = _git(repo.root, "rev-parse", "-q", "--verify", f"{revision}^{{commit}}", ok=(0, 1, 128))
    return _line(done) if done.code == 0 else None


def merge_base(repo: Repository, one: str, other: str) -> str | None:
    """The best common ancestor of two revisions, or None."""
    done = _git(repo.root, "merge-base", one, other, ok=(0, 1, 128))
    return _line(done) if done.code == 0 else None


def files(repo: Repository) -> list[str]:
    """Every file of the work tree that git tracks or, not being ignored, would add."""
    return sorted(set(_split(_git(repo.root, "ls-files", "-c", "-o", "--exclude-standard", "-z").stdout)))


def index_entries(repo: Repository, under: str = ".") -> dict[str, str]:
    """Path -> "mode object" of what is in the index at or under `under` (unmerged paths excepted)."""
    done = _git(repo.root, "ls-files", "-s", "-z", "--", f":(top,literal){'' if under == '.' else under}")
    out: dict[str, str] = {}
    for entry in _split(done.stdout):
        facts, _, path = entry.partition("\t")
        mode, blob, stage = facts.split(" ")
        if stage == "0":
            out[path] = f"{mode} {blob}"
    return out


# --- is it ready? --------------------------------------------------------


def check_ready(repo: Repository, *, commit: bool, branch: str | None = None) -> None:
    """Return if kasmgen may write here, and commit if `commit`; on a new branch `branch` if that is given.

    Raises RepositoryError that says what is in the way and the next step.
    """
    if repo.bare:
        raise RepositoryError(f"{repo.root} is a bare repository, it has no files", hint="work in a clone of it")
    for directory in (repo.root, repo.git_dir):
        if not os.access(directory, os.W_OK | os.X_OK):
            raise RepositoryError(f"{directory} may not be written to", hint="correct its permissions or its mount")
    if not commit:
        return
    now = state(repo)
    if now.operation:
        raise RepositoryError(
            f"a {now.operation} is in progress in {repo.root}", hint=_way_out(now.operation) + ", or use --no-commit"
        )
    if now.detached and branch is None:
        raise RepositoryError(
            "HEAD is detached: a commit would be on no branch",
            hint="--branch NAME makes a branch for it, --no-commit writes the files only",
        )
    _check_unmerged(repo)
    _check_identity(repo)
    _wait_for_index(repo)


def _way_out(operation: str) -> str:
    if operation == "bisect":
        return "end it with `git bisect reset`"
    return f"end it with `git {operation} --continue` or `git {operation} --abort`"


def _check_unmerged(repo: Repository) -> None:
    entries = _split(_git(repo.root, "ls-files", "-u", "-z").stdout)
    unmerged = sorted({entry.partition("\t")[2] for entry in entries})
    if unmerged:
        raise RepositoryError(
            f"there are unmerged paths: {_few(unmerged)}", hint="resolve them and `git add` them, or use --no-commit"
        )


def _check_identity(repo: Repository) -> None:
    # Without useConfigOnly git makes an address up from the login and host name.
    for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
        done = _git(repo.root, "-c", "user.useConfigOnly=true", "var", who, ok=(0, 128))
        if done.code:
            raise RepositoryError(
                "git does not know who you are, and a commit needs a name and an address",
                hint="git config --global user.name 'YOUR NAME' && git config --global user.email YOU@EXAMPLE.ORG",
            )


def check_not_ignored(repo: Repository, paths: Sequence[str]) -> None:
    """Raise RepositoryError if git ignores any of `paths`, with the file and line that say so."""
    if not paths:
        return
    done = _git(repo.root, "check-ignore", "-v", "-z", "--stdin", stdin=_joined(paths), ok=(0, 1))
    fields = os.fsdecode(done.stdout).split("\0")[:-1]
    found = [tuple(fields[i : i + 4]) for i in range(0, len(fields), 4)]
    # A pattern with "!" in front is listed too, and says that the path is not ignored.
    ignored = [f"{path} ({file}:{line}: {rule})" for file, line, rule, path in found if not rule.startswith("!")]
    if ignored:
        raise RepositoryError(
            f"git ignores what has to be committed: {_few(ignored)}",
            hint="remove the pattern, or add one with ! in front, or use --no-commit",
        )


def _few(items: Sequence[str]) -> str:
    return ", ".join(items[:5]) + (f" and {len(items) - 5} more" if len(items) > 5 else "")


# --- committing ----------------------------------------------------------

OWN = "kasmgen"
"""Folder in the git dir that is kasmgen's."""

TEMPORARY = ".kasmgen-tmp-"
"""What the name of every temporary file in the work tree begins with."""

_SCRATCH = "commit-"


def commit_only(repo: Repository, paths: Sequence[str], message: str) -> str | None:
    """Commit these paths as they are in the work tree (added, changed, deleted), and nothing else.

    The commit is made from an index of its own, so that what people have staged
    elsewhere is neither committed nor lost; afterwards their index has the committed
    paths and is otherwise as it was. Returns the commit, or None if HEAD already
    holds exactly this. Hooks and signing apply.
    Raises RepositoryError with what git said if a hook, the signature or git itself
    refuses; work tree (as to `paths`) and index are then as before.
    """
    check_not_ignored(repo, [path for path in paths if _is_there(repo.root / path)])
    before, known = head(repo), index_entries(repo)
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
        adopt(repo, before, after, known)
    except RepositoryError as error:
        raise RepositoryError(
            f"committed as {after}, but the index could not follow: {error.message}",
            hint="the next kasmgen command brings it up to date",
        ) from None
    return after


@contextmanager
def _scratch(repo: Repository) -> Iterator[Path]:
    own = repo.git_dir / OWN
    own.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=own))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _commit(repo: Repository, index: Path, before: str | None, message: str) -> str:
    # The shell leaves the number of the process that git becomes: if kasmgen is killed
    # while a hook runs, the next run must know that git is still at work.
    become = ("sh", "-c", 'echo $$ >"$0" && exec "$@"', str(index.parent / "pid"))
    command = ("git", "-C", str(repo.root), "commit", "-q", "-F", "-")
    done = proc.run(
        *become,
        *command,
        stdin=message.encode(),
        env=_environment({"GIT_INDEX_FILE": str(index)}),
        ok=_ANY,
        timeout=_COMMIT_SECONDS,
    )
    after = head(repo)
    if after is None or after == before or (done.code and not _is_ours(repo, index, before, after)):
        raise RepositoryError(
            f"git refused the commit: {_said(done)}",
            hint="correct what it says (hooks, signing, identity) and run the command again",
        )
    _check_parent(repo, index, before, after)
    return after


def _facts(repo: Repository, commit: str) -> tuple[str, str]:
    """Tree and parents of `commit`."""
    tree, _, parents = _line(_git(repo.root, "log", "-1", "--format=%T %P", "--no-show-signature", commit)).partition(
        " "
    )
    return tree, parents


def _is_ours(repo: Repository, index: Path, before: str | None, after: str) -> bool:
    """Whether `after` is what a git that was ended too early has made of `index` (as its hooks left it)."""
    made = _git(repo.root, "write-tree", ok=_ANY, extra={"GIT_INDEX_FILE": str(index)})
    return made.code == 0 and _facts(repo, after) == (_line(made), before or "")


def _check_parent(repo: Repository, index: Path, before: str | None, after: str) -> None:
    """Take a commit back whose parent came in while it was made: it would undo that one's changes."""
    _, parent = _facts(repo, after)
    if parent and parent != before and _is_ours(repo, index, parent, after):
        _git(repo.root, "update-ref", "-m", "kasmgen: take back", "HEAD", parent, after)
        raise RepositoryError("somebody else committed at the same moment", hint="run the command again")


def _fill_index(repo: Repository, index: Path, commit: str | None, paths: Sequence[str]) -> None:
    """An index that holds `commit` and, of the work tree, `paths`."""
    extra = {"GIT_INDEX_FILE": str(index)}
    if commit is None:
        _git(repo.root, "read-tree", "--empty", extra=extra)
    else:
        # What the copy knows about the files on disk spares git to read them all again.
        present = repo.git_dir / "index"
        if present.exists():
            shutil.copyfile(present, index)
        _git(repo.root, "read-tree", "--reset", commit, extra=extra)
    here = {path: _is_there(repo.root / path) for path in paths}
    # Removed first: on a disk that ignores case an old spelling may be the new file.
    for there, option in ((False, "--force-remove"), (True, "--add")):
        stdin = _joined(path for path in paths if here[path] is there)
        if stdin:
            _git(repo.root, "update-index", option, "-z", "--stdin", stdin=stdin, extra=extra)


def _differs(repo: Repository, index: Path, commit: str | None) -> bool:
    extra = {"GIT_INDEX_FILE": str(index)}
    if commit is None:
        return bool(_git(repo.root, "ls-files", "-z", extra=extra).stdout)
    return _git(repo.root, "diff-index", "--cached", "--quiet", commit, extra=extra, ok=(0, 1)).code == 1


def _is_there(path: Path) -> bool:
    # A directory where a file was is no file any more.
    return path.is_symlink() or path.is_file()


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _put_back(repo: Repository, contents: Mapping[str, bytes | None]) -> None:
    """Undo what a hook did to the files that were to be committed."""
    for path, content in contents.items():
        place = repo.root / path
        if _content(place) == content:
            continue
        if content is None:
            place.unlink()
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=TEMPORARY, dir=place.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(place.stat().st_mode & 0o7777 if place.exists() else 0o644)
        Path(name).replace(place)


def adopt(
    repo: Repository,
    before: str | None,
    after: str,
    known: Mapping[str, str],
    paths: Collection[str] | None = None,
) -> None:
    """Bring the user's index from `before` to `after` where it stands as `known` says it stood.

    known: path -> "mode object", as `index_entries` gave it before the commit. A path that
    somebody has staged differently since is left alone. paths: look at no others.
    Raises RepositoryError if another program holds the index for too long.
    """
    changed = _changes(repo, before, after)
    nothing = "0 " + "0" * len(after)
    with _index_lock(repo) as fresh:
        present = index_entries(repo)
        stale = {
            path: entry
            for path, entry in changed.items()
            if (paths is None or path in paths)
            and present.get(path) == known.get(path)
            and present.get(path, "") != entry
        }
        # Deletions first: a file may have become a directory.
        lines = [f"{entry or nothing}\t{path}" for path, entry in sorted(stale.items(), key=lambda i: i[1] != "")]
        extra = {"GIT_INDEX_FILE": str(fresh)}
        _git(repo.root, "update-index", "--replace", "-z", "--index-info", stdin=_joined(lines), extra=extra)
        # Without this, diff-files and its kind would call every committed file changed.
        _git(repo.root, "update-index", "-q", "--refresh", extra=extra, ok=(0, 1))


def _changes(repo: Repository, before: str | None, after: str) -> dict[str, str]:
    """Path -> "mode object" of what `after` changed, "" for what it deleted."""
    if before is None:
        rows = (entry.partition("\t") for entry in _split(_git(repo.root, "ls-tree", "-r", "-z", after).stdout))
        return {path: " ".join(facts.split(" ")[::2]) for facts, _, path in rows}
    fields = _split(_git(repo.root, "diff-tree", "-r", "-z", "--no-renames", before, after).stdout)
    out: dict[str, str] = {}
    for facts, path in zip(fields[::2], fields[1::2], strict=True):
        _, mode, _, blob, status = facts.split(" ")
        out[path] = "" if status == "D" else f"{mode} {blob}"
    return out


@contextmanager
def _index_lock(repo: Repository) -> Iterator[Path]:
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
                shutil.copy(index, fresh)
            yield fresh
            if fresh.exists():
                fresh.replace(index)
        finally:
            lock.unlink(missing_ok=True)


def _take(ours: Path, lock: Path) -> None:
    for _ in _patiently():
        try:
            _link(ours, lock)
            return
        except FileExistsError:
            continue
    raise _index_held(lock)


def _link(ours: Path, lock: Path) -> None:
    try:
        os.link(ours, lock)
    except PermissionError:
        # A file system without hard links; the lock is as good, only nameless.
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL, 0o600))


def _wait_for_index(repo: Repository) -> None:
    lock = repo.git_dir / "index.lock"
    if not any(not lock.exists() for _ in _patiently()):
        raise _index_held(lock)


def _index_held(lock: Path) -> RepositoryError:
    return RepositoryError(
        f"another git holds {lock}",
        hint="wait until it has ended; if none runs, delete that file; then run the command again",
    )


def _patiently() -> Iterator[None]:
    until = time.monotonic() + _LOCK_SECONDS
    while time.monotonic() < until:
        yield
        time.sleep(0.05)


# --- after a kill --------------------------------------------------------


def working(repo: Repository) -> list[int]:
    """Processes of a `git commit` that a kasmgen started and that still run.

    Starts no program, so that a signal handler may ask.
    """
    found = []
    for note in (repo.git_dir / OWN).glob(f"{_SCRATCH}*/pid"):
        text = _content(note) or b""
        if text.strip().isdigit() and _is_git(int(text)):
            found.append(int(text))
    return found


def family(repo: Repository) -> list[int]:
    """The processes of `working`, and after each its hooks: a git that is ended leaves them running.

    Where /proc does not tell children, the hooks are missing.
    """
    return [pid for git in working(repo) for pid in (git, *_descendants(git))]


def _descendants(pid: int) -> Iterator[int]:
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in (_content(children) or b"").split():
            yield int(child)
            yield from _descendants(int(child))


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


def clear(repo: Repository) -> list[str]:
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


def _clear_refs(repo: Repository) -> list[str]:
    on = branch(repo)
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


def _git_path(repo: Repository, name: str) -> Path:
    # A linked work tree has its own HEAD, and its branches are in the common directory.
    return repo.root / _line(_git(repo.root, "rev-parse", "--git-path", name))


# --- branches and remotes ------------------------------------------------


def check_new_branch(repo: Repository, name: str) -> None:
    """Raise InputError if `name` is no name of a branch, RepositoryError if the branch is there already."""
    if name.startswith("-") or _git(repo.root, "check-ref-format", f"refs/heads/{name}", ok=(0, 1)).code:
        raise InputError(f"--branch: '{name}' is no name for a branch", hint="see git help check-ref-format")
    there = _git(repo.root, "show-ref", "-q", "--verify", f"refs/heads/{name}", ok=(0, 1)).code == 0
    if there or branch(repo) == name:
        raise RepositoryError(
            f"the branch {name} exists already", hint=f"choose another name, or `git switch {name}` first"
        )


def switch_new_branch(repo: Repository, name: str) -> None:
    """Create the branch at HEAD and put HEAD on it. No file changes, so index and work tree stay as they are.

    Raises InputError and RepositoryError as `check_new_branch` does.
    """
    check_new_branch(repo, name)
    if head(repo) is not None:
        _git(repo.root, "branch", "--no-track", name)
    old = branch(repo) or head(repo)
    _git(repo.root, "symbolic-ref", "-m", f"kasmgen: moving from {old} to {name}", "HEAD", f"refs/heads/{name}")


def leave_new_branch(repo: Repository, name: str, *, back_to: str | None, at: str | None) -> None:
    """Undo `switch_new_branch`: HEAD on the branch `back_to` again (None: detached at `at`), the new one deleted.

    Does nothing to a branch that is not at the commit `at` any more.
    """
    if branch(repo) == name and head(repo) == at:
        if back_to is not None:
            _git(repo.root, "symbolic-ref", "-m", f"kasmgen: back to {back_to}", "HEAD", f"refs/heads/{back_to}")
        elif at is not None:
            _git(repo.root, "update-ref", "--no-deref", "-m", "kasmgen: back", "HEAD", at)
    if at is not None and branch(repo) != name:
        _git(repo.root, "update-ref", "-d", f"refs/heads/{name}", at, ok=_ANY)


@dataclass(frozen=True)
class Destination:
    """Where a branch is pushed to. new: the remote does not know it as upstream yet."""

    remote: str
    ref: str
    new: bool


def destination(repo: Repository, name: str) -> Destination:
    """The upstream of the branch `name`, or that name at the remote origin.

    Raises RepositoryError if there is neither.
    """
    remote = _config(repo, f"branch.{name}.remote")
    merge = _config(repo, f"branch.{name}.merge")
    if remote and merge:
        return Destination(remote, merge, new=False)
    if _config(repo, "remote.origin.url") is None:
        raise RepositoryError(
            f"--push: the branch {name} has no upstream, and there is no remote called origin",
            hint="git remote add origin URL, or leave --push out",
        )
    return Destination("origin", f"refs/heads/{name}", new=True)


def _config(repo: Repository, key: str) -> str | None:
    done = _git(repo.root, "config", "--get", key, ok=(0, 1, 2))
    return _line(done) if done.code == 0 else None


def push(repo: Repository) -> None:
    """Push the branch that HEAD is on to its `destination`, which becomes its upstream.

    Raises RepositoryError with what git said; the commit then stays where it is.
    """
    name = branch(repo)
    if name is None:
        raise RepositoryError("--push: HEAD is detached", hint="--branch NAME makes a branch")
    to = destination(repo, name)
    options = ("-q", *(("-u",) if to.new else ()), to.remote, f"refs/heads/{name}:{to.ref}")
    done = proc.run("git", "-C", str(repo.root), "push", *options, ok=_ANY, env=_environment(), timeout=_COMMIT_SECONDS)
    if done.code:
        raise RepositoryError(
            f"committed, but git could not push to {to.remote}: {_said(done)}",
            hint="the commit is there; correct what git says, then `git push`",
        )
