"""From a tree of files to the project on disk and to a commit: the only writer.

`plan` says what would change, `publish` makes it so or leaves everything as it
was, `recover` puts right what a killed run has left.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from kasmgen import safe_text, signals
from kasmgen.errors import RepositoryError
from kasmgen.kubernetes.resources import Tree
from kasmgen.layout import marks
from kasmgen.repository import branches, git, readiness, undo
from kasmgen.repository import commit as repository_commit
from kasmgen.repository import files as repository_files
from kasmgen.repository import journal as journals
from kasmgen.repository.commit import IndexBehindError, Made
from kasmgen.repository.journal import Journal, JournalEntry, digest
from kasmgen.repository.objects import Reader
from kasmgen.signals import Interrupt

log = logging.getLogger("kasmgen")

_WAIT_SECONDS = 3.0
_LOCK = "lock"


@dataclass(frozen=True)
class FileChanges:
    """What has to change on disk. Paths are relative to the project's root, with forward slashes.

    before: path -> SHA-256 of what the plan found there (None: nothing), so that
    `publish` notices if somebody has changed it since.
    """

    writes: Mapping[str, bytes] = field(repr=False)
    deletes: frozenset[str] = frozenset()
    before: Mapping[str, str | None] = field(default_factory=dict, repr=False, compare=False)

    @property
    def paths(self) -> list[str]:
        """Every path that changes, sorted."""
        return sorted({*self.writes, *self.deletes})

    def __bool__(self) -> bool:
        return bool(self.writes or self.deletes)

    def describe(self) -> list[str]:
        """One line per path: "create base/x.yaml", "change ...", "delete ..."."""
        return [f"{self._verb(path)} {path}" for path in self.paths]

    def _verb(self, path: str) -> str:
        if path in self.deletes:
            return "delete"
        return "change" if self.before.get(path) else "create"


@dataclass(frozen=True)
class NewCommit:
    """The commit that changes are to go into.

    branch: make this branch first, and commit there. push: push the branch afterwards. also: files of the
    project that belong into the commit as they stand, such as inputs that people edited.
    """

    message: str
    branch: str | None = None
    push: bool = False
    also: Sequence[str] = ()


@dataclass(frozen=True)
class Publication:
    """Changes below `root`, and the commit that they go into; without one the files are written and no more.

    landed: called once at the point of no return, with signals deferred. Before it everything is undone that fails or
    is interrupted, after it nothing is.
    """

    repo: git.Repository
    root: Path
    changes: FileChanges
    commit: NewCommit | None
    landed: Callable[[], object] = field(default=lambda: None, compare=False)

    @property
    def paths(self) -> list[str]:
        """Every path that changes or goes along, once."""
        return list(dict.fromkeys([*self.changes.paths, *(self.commit.also if self.commit else ())]))


@dataclass(frozen=True)
class Published:
    """commit: the commit that was made, None if none was. changes: what was written. files: how many are in the commit.

    The commit may hold more than was written: inputs that people edited, and what a hook adds.
    """

    commit: str | None
    changes: FileChanges
    files: int = 0


# --- planning ------------------------------------------------------------


def plan(
    root: Path,
    tree: Tree,
    *,
    prune: Collection[str] = (),
    delete: Collection[str] = (),
    force: bool = False,
    read: Mapping[str, str | None] | None = None,
) -> FileChanges:
    """What has to change below `root` for `tree` to be there.

    prune: directories or globs; marked files there that are not in `tree` go, files
    without a mark (sealed Secrets too) stay. delete: files that go whatever they
    are. force: overwrite and delete what people have edited or put there. read: path -> digest
    of what `tree` was made from; such a file is replaced, or committed, only if that still stands there.
    Raises RepositoryError if one does not, if, without force, a generated file was edited or a file of
    people stands where a generated one must go, or if something is in the way;
    InputError for a path that leaves the project.
    """
    root = root.resolve()
    writes: dict[str, bytes] = {}
    before: dict[str, str | None] = dict(read or {})
    for path, content in tree.items():
        present = repository_files.read(root, path)
        if path in before and digest(present) != before[path]:
            raise _changed_meanwhile(path)
        if _same(present, content):
            continue
        if not force:
            _check_may_replace(path, present, content)
        writes[path], before[path] = content, digest(present)
    deletes: set[str] = set()
    for path in {*_prunable(root, prune, tree, force), *delete} - set(tree):
        present = repository_files.read(root, path)
        if present is not None:
            before[path] = digest(present)
            deletes.add(path)
    return FileChanges(writes, frozenset(deletes), before)


def _changed_meanwhile(path: str) -> RepositoryError:
    return RepositoryError(
        f"{path} was changed while kasmgen was at work; nothing was written", hint="run the command again"
    )


def _same(present: bytes | None, wanted: bytes) -> bool:
    if present is None or present == wanted:
        return present is not None
    # With core.autocrlf=true git puts CRLF into the work tree and takes it out again.
    return b"\r" not in wanted and present.replace(b"\r\n", b"\n") == wanted


def _check_may_replace(path: str, present: bytes | None, wanted: bytes) -> None:
    if present is None or not _is_ours(wanted):
        # What has no mark is a file of people, and `wanted` their text with our edit in it.
        return
    _check_unedited(path, present)
    if not _is_ours(present):
        raise RepositoryError(
            f"{path} has to be generated, but a file that kasmgen did not make stands there",
            hint="move it to another name, or overwrite it with --force",
        )


def _check_unedited(path: str, present: bytes) -> None:
    if isinstance(marks.read(present), marks.Edited):
        raise RepositoryError(
            f"{path} is generated, and somebody has edited it",
            hint="move the edit into environment.yaml or a patch of your own, "
            "or throw it away with --force or `git restore`",
        )


def _is_ours(content: bytes) -> bool:
    return isinstance(marks.read(content), marks.Unedited) or marks.is_sealed_by_us(content)


def _prunable(root: Path, specs: Collection[str], tree: Tree, force: bool) -> Iterator[str]:
    for path in sorted({path for spec in specs for path in _under(root, spec)} - set(tree)):
        content = repository_files.read(root, path)
        if content is None or isinstance(marks.read(content), marks.Foreign):
            continue
        if not force:
            _check_unedited(path, content)
        yield path


def _under(root: Path, spec: str) -> Iterator[str]:
    """Regular files at or under `spec`. Links are neither followed nor listed."""
    repository_files.resolve(root, f"{spec.rstrip('/')}/any")
    places = root.glob(spec) if any(sign in spec for sign in "*?[") else [root / spec]
    for place in places:
        if place.is_symlink():
            continue
        if place.is_file():
            yield place.relative_to(root).as_posix()
        for directory, _, names in os.walk(place):
            for name in names:
                found = Path(directory, name)
                if found.is_file() and not found.is_symlink():
                    yield found.relative_to(root).as_posix()


# --- publishing ----------------------------------------------------------


def publish(wanted: Publication) -> Published:
    """Write what is wanted and commit it, whole or not at all.

    If anything fails, and if SIGINT, SIGTERM or SIGHUP comes, files, index, HEAD and
    branch are as before; the signal is delivered after that. A failed push leaves the commit.
    Raises RepositoryError (state, hook, signature, disk, another kasmgen), InputError
    (name of the branch, a path that leaves the project), ToolError (no git).
    """
    wanted = replace(wanted, root=wanted.root.resolve())
    repo, commit = wanted.repo, wanted.commit
    if not wanted.paths:
        return Published(None, wanted.changes)
    readiness.check_writable(repo)
    with signals.deferred(lambda: repository_commit.working(repo)) as interrupt, _alone(repo):
        for line in _recover(repo):
            log.warning(safe_text.escaped(line))
        made = _publish(wanted, interrupt)
    if commit and commit.push and made:
        branches.push(repo)
    return Published(made.id if made else None, wanted.changes, len(made.changes) if made else 0)


def check(repo: git.Repository, root: Path, paths: Iterable[str]) -> None:
    """Raise RepositoryError if git ignores any of these paths of the project, so that they cannot be committed."""
    prefix = git.toplevel_relative(repo, root.resolve())
    readiness.check_not_ignored(repo, [_in_repo(prefix, path) for path in paths])


def _publish(wanted: Publication, interrupt: Interrupt) -> Made | None:
    repo, root, changes, commit = wanted.repo, wanted.root, wanted.changes, wanted.commit
    prefix = git.toplevel_relative(repo, root)
    in_repo = [_in_repo(prefix, path) for path in wanted.paths]
    # Not before the recovery: the lock of a killed run would look like a git at work.
    standing = readiness.standing(repo, commit.branch) if commit else readiness.Standing(git.state(repo), {})
    entries = tuple(_entry(root, prefix, path, changes) for path in wanted.paths)
    if commit:
        _check_commit(repo, commit, in_repo, standing.state)
    journal = Journal(
        head=standing.state.head,
        branch=standing.state.branch,
        new_branch=commit.branch if commit else None,
        commits=commit is not None,
        entries=entries,
        made=_missing_directories(repo.root, root, changes.writes),
        index={path: standing.index[path] for path in in_repo if path in standing.index},
    )
    _begin(repo, journal)
    try:
        interrupt.check()
        if commit and commit.branch is not None:
            branches.switch_new_branch(repo, commit.branch)
        _apply(repo.root, root, changes, journal, interrupt)
        made = None
        if commit:
            made = repository_commit.commit_only(repo, in_repo, commit.message, standing, still=interrupt.check)
        if made is None:
            interrupt.check()
    except BaseException as error:
        there = _undo(repo, journal)
        if isinstance(error, IndexBehindError):
            there = error.commit
        if there:
            _land(wanted, there)
        raise _fitting(error) from error
    if made is None:
        # Up to here a killed run is undone by the next.
        _end(repo)
        _land(wanted, "")
        return None
    _land(wanted, made.id)
    _end(repo)
    return made


def _land(wanted: Publication, commit: str) -> None:
    """Pass the point of no return: from here on nothing is undone. commit: "" if there is none."""
    unpushed = ", and may not be pushed" if wanted.commit and wanted.commit.push else ""
    signals.note_landed(f"commit {commit[:12]} was made{unpushed}" if commit else "the files were written")
    wanted.landed()


def _check_commit(repo: git.Repository, commit: NewCommit, paths: Sequence[str], now: git.State) -> None:
    """Raise RepositoryError or InputError, before anything is written, if git would refuse the commit or the push."""
    readiness.check_not_ignored(repo, paths)
    if commit.branch is not None:
        branches.check_new_branch(repo, commit.branch)
    if commit.push:
        branches.destination(repo, commit.branch or now.branch or "")


def _in_repo(prefix: str, path: str) -> str:
    return path if prefix == "." else f"{prefix}/{path}"


def _missing_directories(top: Path, root: Path, paths: Iterable[str]) -> tuple[str, ...]:
    missing = repository_files.missing_directories(top, [root / path for path in paths])
    return tuple(directory.relative_to(top).as_posix() for directory in missing)


def _entry(root: Path, prefix: str, path: str, changes: FileChanges) -> JournalEntry:
    old = repository_files.read(root, path)
    if path in changes.before and digest(old) != changes.before[path]:
        raise _changed_meanwhile(path)
    new = None if path in changes.deletes else digest(changes.writes.get(path, old))
    return JournalEntry(_in_repo(prefix, path), old, repository_files.mode_of(root / path), new)


def _begin(repo: git.Repository, journal: Journal) -> None:
    try:
        repository_files.write(_journal(repo), journals.encode(journal), 0o600)
    except OSError as error:
        raise _fitting(error) from error


def _apply(top: Path, root: Path, changes: FileChanges, journal: Journal, interrupt: Interrupt) -> None:
    for directory in journal.made:
        (top / directory).mkdir()
    modes = {entry.path: entry.mode for entry in journal.entries}
    staged: list[tuple[Path, Path]] = []
    # All contents first: a full disk shows before any file has changed.
    for number, (path, content) in enumerate(changes.writes.items(), 1):
        interrupt.check()
        place = root / path
        mode = modes[place.relative_to(top).as_posix()]
        staged.append((repository_files.stage(place, content, mode, number), place))
    for temporary, _ in staged:
        repository_files.sync(temporary)
    # Deletions first: on a disk that ignores case the old spelling may be the new file.
    for path in changes.deletes:
        interrupt.check()
        repository_files.remove(root / path, root)
    for temporary, place in staged:
        interrupt.check()
        temporary.replace(place)
    for parent in {place.parent for _, place in staged}:
        repository_files.sync(parent)


def _undo(repo: git.Repository, journal: Journal) -> str:
    """Settle the journal after a failure. If not even that works, it stays for the next run.

    The commit that HEAD is at if it has landed all the same, "" if not.
    """
    try:
        settled = _settle(repo, journal)
    except (OSError, RepositoryError) as failed:
        log.warning("what was begun could not be undone (%s); the next kasmgen command does it", failed)
        signals.note_landed("what was begun could not be undone; the next kasmgen command does it")
        return ""
    for path in settled.left:
        log.warning("%s was changed meanwhile and is left as it is", path)
    _end(repo)
    return settled.commit if settled.landed else ""


def _fitting(error: BaseException) -> BaseException:
    if not isinstance(error, OSError):
        return error
    hint = {
        errno.ENOSPC: "make room on the disk, then run the command again",
        errno.EDQUOT: "make room in your quota, then run the command again",
        errno.EACCES: "correct the permissions, then run the command again",
    }.get(error.errno or 0, "")
    where = f"{error.filename}: " if error.filename else ""
    return RepositoryError(f"{where}{error.strerror or error}; nothing was changed", hint=hint)


# --- after a kill --------------------------------------------------------


def pending(repo: git.Repository) -> bool:
    """Whether a killed run has left something for `recover`."""
    return bool({place.name for place in (repo.git_dir / repository_commit.OWN).glob("*")} - {_LOCK})


def recover(repo: git.Repository) -> list[str]:
    """Put right what a killed run has left, and say what that was. Nothing is written if there is nothing to do.

    If HEAD holds its commit, only the index is brought up to date. Else those files
    are put back that still are what it wrote; others were changed since and stay.
    Raises RepositoryError if another kasmgen, or a git that one has started, is at work.
    """
    if not pending(repo):
        return []
    with signals.deferred(lambda: ()), _alone(repo):
        return _recover(repo)


def _recover(repo: git.Repository) -> list[str]:
    _wait_for_git(repo)
    report = [f"removed {lock}, which a killed git had left" for lock in repository_commit.remove_leftovers(repo)]
    made = [f"a kasmgen that was killed had made {what}" for what in undo.left(repo)]
    place = _journal(repo)
    repository_files.sweep([place.parent])
    if not place.exists():
        return [*report, *made]
    journal = journals.decode(place.read_bytes(), str(place))
    settled = _settle(repo, journal)
    _end(repo)
    # What was made for a change that is there is no trace of a killed run, but part of it.
    made = [] if settled.commit and settled.landed else made
    return [*report, "a kasmgen was killed at work in this repository", *settled.lines(), *made]


@dataclass(frozen=True)
class _Settled:
    """What became of a journal: paths that a commit holds, that were put back, that others changed since.

    commit: the one that HEAD is at, if the journal is of a commit.
    """

    landed: list[str]
    back: list[str]
    left: list[str]
    commit: str = ""

    def lines(self) -> Iterator[str]:
        if self.landed:
            yield f"its commit was complete ({len(self.landed)} files)"
        yield from (f"{path} is again as it was before" for path in self.back)
        yield from (f"{path} was changed since and is left as it is" for path in self.left)


def _settle(repo: git.Repository, journal: Journal) -> _Settled:
    """End or undo what `journal` began."""
    repository_files.sweep((repo.root / entry.path).parent for entry in journal.entries)
    now = git.head(repo)
    landed = _landed(repo, journal, now)
    if now is not None and landed and journal.commits:
        known = {entry.path: journal.index.get(entry.path, "") for entry in journal.entries}
        repository_commit.adopt(repo, now, repository_commit.changes(repo, journal.head, now), known)
    back, left = _roll_back(repo.root, [entry for entry in journal.entries if entry.path not in landed])
    for directory in reversed(journal.made):
        repository_files.remove_empty(repo.root / directory)
    if journal.new_branch is not None and not landed:
        branches.leave_new_branch(repo, journal.new_branch, back_to=journal.branch, at=journal.head)
    return _Settled(sorted(landed), back, left, (now or "") if journal.commits else "")


def _landed(repo: git.Repository, journal: Journal, now: str | None) -> set[str]:
    """Paths of the journal that HEAD has changed since: what became of them is decided.

    Not compared with what was written, because a hook may have rewritten it.
    """
    if now is None or now == journal.head:
        return set()
    paths = [entry.path for entry in journal.entries]
    reader = Reader(repo)
    old, new = reader.blobs(journal.head, paths), reader.blobs(now, paths)
    return {path for path in paths if new.get(path) != old.get(path)}


def _roll_back(top: Path, entries: Iterable[JournalEntry]) -> tuple[list[str], list[str]]:
    """Put back what still is as it was written. Gives those paths, and those that were changed since."""
    back: list[str] = []
    left: list[str] = []
    # Files that were made go first: they make room for those that come back.
    for entry in sorted(entries, key=lambda entry: entry.old is not None):
        place = top / entry.path
        present, old = digest(_present(place)), digest(entry.old)
        if old in (present, entry.new):
            continue
        if present != entry.new:
            left.append(entry.path)
            continue
        if entry.old is None:
            place.unlink()
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            repository_files.write(place, entry.old, entry.mode)
        back.append(entry.path)
    return back, left


def _present(place: Path) -> bytes | None:
    try:
        return place.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _wait_for_git(repo: git.Repository) -> None:
    until = time.monotonic() + _WAIT_SECONDS
    while pids := repository_commit.working(repo):
        if time.monotonic() > until:
            raise RepositoryError(
                f"a kasmgen was killed, and the `git commit` it had started is still at work (process {pids[0]})",
                hint=f"wait until it has ended, or end it with `kill {pids[0]}`; then run the command again",
            )
        time.sleep(0.05)


def _journal(repo: git.Repository) -> Path:
    return repo.git_dir / repository_commit.OWN / "journal"


def _end(repo: git.Repository) -> None:
    _journal(repo).unlink()
    repository_files.sync(_journal(repo).parent)


@contextmanager
def _alone(repo: git.Repository) -> Iterator[None]:
    """Hold kasmgen's lock. Raises RepositoryError if another one does, or if the git dir cannot be written."""
    with ExitStack() as stack:
        try:
            stack.enter_context(repository_files.lock(repo.git_dir / repository_commit.OWN / _LOCK))
        except OSError as error:
            raise _fitting(error) from error
        yield
