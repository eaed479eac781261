"""git: the program, and the repository that it finds.

What changes a repository, and what it holds (`repository.objects`), goes through it, so that its configuration, hooks,
signing and identity apply. Paths are relative to the work tree's root, with forward slashes, unless a function says
otherwise.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Mapping, Sequence
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


def configure(repo: Repository, key: str, value: str) -> None:
    """Set one configuration value of this repository alone."""
    run(repo.root, "config", "--local", key, value)
