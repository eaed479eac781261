"""git: the repository that kasmgen writes to.

Everything goes through the `git` program, so that its configuration, hooks,
signing and identity apply. Paths are relative to the work tree's root, with
forward slashes, unless a function says otherwise.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kasmgen.errors import InputError, RepositoryError, ToolError
from kasmgen.programs import process

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
ANY = tuple(range(-64, 256))
"""Every way in which a program can end."""

HOOK_SECONDS = 3600.0
"""A hook may run a whole test suite, a signature may wait for a person's finger."""

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


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What git is started with: no variables of sops, none that a hook was given, and `extra`."""
    kept = {k: v for k, v in process.clean_environment().items() if k not in _OF_HOOKS}
    return {**kept, **(extra or {})}


def run(
    where: Path,
    *args: str,
    stdin: bytes | None = None,
    ok: Sequence[int] = (0,),
    extra: Mapping[str, str] | None = None,
) -> process.Completed:
    """Run git for something that runs no hook: in English, without locks for mere reading.

    extra: environment variables. Raises RepositoryError for an exit code that is not `ok`.
    """
    settled = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", **(extra or {})}
    done = process.run("git", "-C", str(where), *args, stdin=stdin, ok=ANY, env=environment(settled))
    if done.code not in ok:
        said = complaint(done)
        raise RepositoryError(f"git {args[0]} failed in {where}: {said}", hint=room(said))
    return done


def room(said: str, otherwise: str = "") -> str:
    """The next step after a complaint of git or a hook: to make room if that is what it lacks, else `otherwise`."""
    full = [os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT)]
    return "make room on the disk, then run the command again" if any(text in said for text in full) else otherwise


def complaint(done: process.Completed) -> str:
    """What git and its hooks said, shortened; the exit code if they said nothing."""
    text = b"\n".join(part.strip() for part in (done.stdout, done.stderr) if part.strip())
    said = text.decode("utf-8", "replace")
    if not said:
        return f"exit code {done.code}"
    return said if len(said) <= 2000 else said[:1000] + " ... " + said[-1000:]


def line_of(done: process.Completed) -> str:
    """The output without its newline."""
    return os.fsdecode(done.stdout.removesuffix(b"\n"))


def parts(output: bytes) -> list[str]:
    """The texts of an output that NUL separates."""
    return [os.fsdecode(part) for part in output.split(b"\0") if part]


def nul(paths: Iterable[str]) -> bytes:
    """Paths as git reads them with -z."""
    return b"".join(os.fsencode(path) + b"\0" for path in paths)


def version() -> str:
    """The version of the git program, such as "2.39.5". Raises ToolError if there is none or it is too old."""
    done = process.run("git", "--version")
    text = done.stdout.decode("utf-8", "replace").split()[2]
    numbers = [int(part) for part in text.split(".")[:2] if part.isdigit()]
    if tuple(numbers) < LEAST:
        raise ToolError(f"git {text} is too old", hint=f"install git {LEAST[0]}.{LEAST[1]} or newer")
    return text


# --- finding and reading -------------------------------------------------


def find(start: Path) -> Repository | None:
    """The repository that `start` (which may not exist yet) is in, or None. Raises as `look` does."""
    found = look(start)
    return found[0] if found else None


_WHERE = ("--is-bare-repository", "--is-inside-work-tree", "--absolute-git-dir", "--show-toplevel")
# Last: where there is no commit yet, git reads nothing that stands behind.
_AT = ("--revs-only", "HEAD^{commit}", "--symbolic-full-name", "HEAD")
_ID = re.compile("[0-9a-f]{40,64}")


def look(start: Path) -> tuple[Repository, State] | None:
    """The repository that `start` (which may not exist yet) is in and what it is in the middle of, or None.

    Raises RepositoryError if git refuses the repository: another owner's, a
    broken one, the inside of a git dir. ToolError if git is missing.
    """
    place = _existing(start)
    done = run(place, "rev-parse", *_WHERE, *_AT, ok=ANY)
    lines = line_of(done).split("\n")
    if len(lines) < 3:
        _check_absent(place, done)
        return None
    bare, inside = lines[:2]
    born = len(lines) == 6 and _ID.fullmatch(lines[4])
    # More lines are those of a path with a line break in its name.
    git_dir = Path(lines[2]).resolve() if born or len(lines) in (3, 4) else _path(place, "--absolute-git-dir")
    if bare == "true":
        repo = Repository(git_dir, git_dir, bare=True)
        return repo, state(repo)
    if inside != "true":
        raise RepositoryError(
            f"{place} is inside a git directory and not in a work tree", hint="go to the work tree, or pass -C DIR"
        )
    repo = Repository(Path(lines[3]).resolve() if born or len(lines) == 4 else _path(place, "--show-toplevel"), git_dir)
    return repo, _state(repo, lines[4:]) if born else state(repo)


def _path(place: Path, option: str) -> Path:
    return Path(line_of(run(place, "rev-parse", option))).resolve()


def _existing(start: Path) -> Path:
    place = start.absolute()
    while not place.is_dir():
        if place == place.parent:
            break
        place = place.parent
    return place


def _check_absent(place: Path, done: process.Completed) -> None:
    said = complaint(done)
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
    chosen = run(directory, "config", "--get", "init.defaultBranch", ok=(0, 1)).code == 0
    run(directory, *(() if chosen else ("-c", "init.defaultBranch=main")), "init", "-q")
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
    done = run(repo.root, "rev-parse", "-q", "--verify", "HEAD^{commit}", ok=(0, 1, 128))
    return line_of(done) if done.code == 0 else None


def branch(repo: Repository) -> str | None:
    """Short name of the branch that HEAD is on, born or not; None if HEAD is detached."""
    done = run(repo.root, "symbolic-ref", "-q", "HEAD", ok=(0, 1))
    return line_of(done).removeprefix("refs/heads/") if done.code == 0 else None


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
    return _state(repo, line_of(run(repo.root, "rev-parse", *_AT, ok=ANY)).split("\n"))


def _state(repo: Repository, at: Sequence[str]) -> State:
    """The same from what git said to `_AT`."""
    begun = (what for name, what in _OPERATIONS if (repo.git_dir / name).exists())
    if len(at) == 2:
        on = None if at[1] == "HEAD" else at[1].removeprefix("refs/heads/")
        return State(on, at[0], next(begun, ""), repo.bare)
    # There is no commit yet, or a branch is called HEAD.
    return State(branch(repo), head(repo), next(begun, ""), repo.bare)


def dirty(repo: Repository, paths: Iterable[str]) -> set[str]:
    """Those files at or under `paths` that differ from HEAD, staged or not, untracked ones too."""
    out: set[str] = set()
    asked = sorted(paths)
    # In parts: the command line is finite, and 2.23 reads no pathspecs from a file here.
    for first in range(0, len(asked), 500):
        part = [f":(top,literal){path}" for path in asked[first : first + 500]]
        options = ("--porcelain", "-z", "--no-renames", "--untracked-files=all")
        done = run(repo.root, "status", *options, "--", *part)
        out.update(entry[3:] for entry in parts(done.stdout))
    return out


def configure(repo: Repository, key: str, value: str) -> None:
    """Set one configuration value of this repository alone."""
    run(repo.root, "config", "--local", key, value)


def index_entries(repo: Repository) -> dict[str, str]:
    """Path -> "mode object" of what is in the index (unmerged paths excepted)."""
    return {path: entry for path, entry, stage in _index(repo) if stage == "0"}


def _index(repo: Repository) -> Iterator[tuple[str, str, str]]:
    """(path, "mode object", stage) of each entry."""
    for line in parts(run(repo.root, "ls-files", "-s", "-z").stdout):
        facts, _, path = line.partition("\t")
        entry, _, stage = facts.rpartition(" ")
        yield path, entry, stage


# --- is it ready? --------------------------------------------------------


def check_ready(repo: Repository, *, commit: bool, branch: str | None = None, now: State | None = None) -> None:
    """Return if kasmgen may write here, and commit if `commit`; on a new branch `branch` if that is given.

    now: what `look` has just found, if it was asked. Raises RepositoryError that says what is in the way and the
    next step.
    """
    check_writable(repo)
    if not commit:
        return
    _check_state(repo, now or state(repo), branch)
    _check_merged(entry.partition("\t")[2] for entry in parts(run(repo.root, "ls-files", "-u", "-z").stdout))
    check_identity(repo)
    wait_for_index(repo)


def check_writable(repo: Repository) -> None:
    """Raise RepositoryError if there is no work tree, or if it or the git dir may not be written to."""
    if repo.bare:
        raise RepositoryError(f"{repo.root} is a bare repository, it has no files", hint="work in a clone of it")
    for directory in (repo.root, repo.git_dir):
        if not os.access(directory, os.W_OK | os.X_OK):
            raise RepositoryError(f"{directory} may not be written to", hint="correct its permissions or its mount")


@dataclass(frozen=True)
class Standing:
    """What a commit is about to change. index: path -> "mode object"."""

    state: State
    index: Mapping[str, str]


def standing(repo: Repository, branch: str | None = None) -> Standing:
    """State and index, read anew for a commit, on a new branch `branch` if that is given.

    Raises RepositoryError as `check_ready` does; but for who commits, which git looks at itself (see `commit`).
    """
    check_writable(repo)
    now = state(repo)
    _check_state(repo, now, branch)
    wait_for_index(repo)
    entries = list(_index(repo))
    _check_merged(path for path, _, stage in entries if stage != "0")
    return Standing(now, {path: entry for path, entry, _ in entries})


def _check_state(repo: Repository, now: State, branch: str | None) -> None:
    if now.operation:
        raise RepositoryError(
            f"a {now.operation} is in progress in {repo.root}", hint=_way_out(now.operation) + ", or use --no-commit"
        )
    if now.detached and branch is None:
        raise RepositoryError(
            "HEAD is detached: a commit would be on no branch",
            hint="--branch NAME makes a branch for it, --no-commit writes the files only",
        )


def _way_out(operation: str) -> str:
    if operation == "bisect":
        return "end it with `git bisect reset`"
    return f"end it with `git {operation} --continue` or `git {operation} --abort`"


def _check_merged(paths: Iterable[str]) -> None:
    unmerged = sorted(set(paths))
    if unmerged:
        raise RepositoryError(
            f"there are unmerged paths: {_few(unmerged)}", hint="resolve them and `git add` them, or use --no-commit"
        )


ONLY_KNOWN = ("-c", "user.useConfigOnly=true")
"""Options of git without which it makes an address up from the login and host name."""


def check_identity(repo: Repository) -> None:
    """Raise RepositoryError if git does not know who commits."""
    if _is_configured(repo):
        return
    for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
        done = run(repo.root, *ONLY_KNOWN, "var", who, ok=(0, 128))
        if done.code:
            raise RepositoryError(
                "git does not know who you are, and a commit needs a name and an address",
                hint="git config --global user.name 'YOUR NAME' && git config --global user.email YOU@EXAMPLE.ORG",
            )


def _is_configured(repo: Repository) -> bool:
    """Whether name and address are where people have them: one process, where asking git for both roles takes two."""
    if any(name.startswith(("GIT_AUTHOR_", "GIT_COMMITTER_")) for name in os.environ):
        return False
    asked = run(repo.root, "config", "-z", "--get-regexp", "^user\\.(name|email)$", ok=(0, 1))
    # Of several values the last one counts. Signs alone are no name to git.
    values = dict(pair.partition("\n")[::2] for pair in parts(asked.stdout))
    return all(any(map(str.isalnum, values.get(key, ""))) for key in ("user.name", "user.email"))


def check_not_ignored(repo: Repository, paths: Sequence[str]) -> None:
    """Raise RepositoryError if git ignores any of `paths`, with the file and line that say so."""
    if not paths:
        return
    done = run(repo.root, "check-ignore", "-v", "-z", "--stdin", stdin=nul(paths), ok=(0, 1))
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


def wait_for_index(repo: Repository) -> None:
    """Return once no git holds the index. Raises RepositoryError if one does for seconds."""
    lock = repo.git_dir / "index.lock"
    if not any(not lock.exists() for _ in patiently()):
        raise index_held(lock)


def index_held(lock: Path) -> RepositoryError:
    """The error that says so."""
    return RepositoryError(
        f"another git holds {lock}",
        hint="wait until it has ended; if none runs, delete that file; then run the command again",
    )


def patiently() -> Iterator[None]:
    """Turns of a loop that tries something again for as long as a git usually holds a lock."""
    until = time.monotonic() + _LOCK_SECONDS
    while time.monotonic() < until:
        yield
        time.sleep(0.05)


# --- branches and remotes ------------------------------------------------


def check_new_branch(repo: Repository, name: str) -> None:
    """Raise InputError if `name` is no name of a branch, RepositoryError if the branch is there already."""
    if name.startswith("-") or run(repo.root, "check-ref-format", f"refs/heads/{name}", ok=(0, 1)).code:
        raise InputError(f"--branch: '{name}' is no name for a branch", hint="see git help check-ref-format")
    there = run(repo.root, "show-ref", "-q", "--verify", f"refs/heads/{name}", ok=(0, 1)).code == 0
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
        run(repo.root, "branch", "--no-track", name)
    old = branch(repo) or head(repo)
    run(repo.root, "symbolic-ref", "-m", f"kasmgen: moving from {old} to {name}", "HEAD", f"refs/heads/{name}")


def leave_new_branch(repo: Repository, name: str, *, back_to: str | None, at: str | None) -> None:
    """Undo `switch_new_branch`: HEAD on the branch `back_to` again (None: detached at `at`), the new one deleted.

    Does nothing to a branch that is not at the commit `at` any more.
    """
    if branch(repo) == name and head(repo) == at:
        if back_to is not None:
            run(repo.root, "symbolic-ref", "-m", f"kasmgen: back to {back_to}", "HEAD", f"refs/heads/{back_to}")
        elif at is not None:
            run(repo.root, "update-ref", "--no-deref", "-m", "kasmgen: back", "HEAD", at)
    if at is not None and branch(repo) != name:
        run(repo.root, "update-ref", "-d", f"refs/heads/{name}", at, ok=ANY)


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
    done = run(repo.root, "config", "--get", key, ok=(0, 1, 2))
    return line_of(done) if done.code == 0 else None


def push(repo: Repository) -> None:
    """Push the branch that HEAD is on to its `destination`, which becomes its upstream.

    Raises RepositoryError with what git said; the commit then stays where it is.
    """
    name = branch(repo)
    if name is None:
        raise RepositoryError("--push: HEAD is detached", hint="--branch NAME makes a branch")
    to = destination(repo, name)
    options = ("-q", *(("-u",) if to.new else ()), to.remote, f"refs/heads/{name}:{to.ref}")
    done = process.run("git", "-C", str(repo.root), "push", *options, ok=ANY, env=environment(), timeout=HOOK_SECONDS)
    if done.code:
        raise RepositoryError(
            f"committed, but git could not push to {to.remote}: {complaint(done)}",
            hint="the commit is there; correct what git says, then `git push`",
        )
