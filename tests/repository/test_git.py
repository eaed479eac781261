"""The repository that people work in: found, judged, and committed to without touching what is theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kasmgen.errors import InputError, RepositoryError, ToolError
from kasmgen.repository import branches, git, readiness
from kasmgen.repository.objects import Reader
from tests.needs import program
from tests.repository.repositories import Clone, make

pytestmark = [pytest.mark.tool, pytest.mark.usefixtures("home")]


# --- finding -------------------------------------------------------------


def test_a_repository_is_found_from_any_directory_and_for_one_that_does_not_exist_yet(clone: Clone) -> None:
    (clone.root / "a/b").mkdir(parents=True)
    for start in ("", "a", "a/b", "a/b/c/d", "README"):
        found = git.find(clone.root / start)
        assert found == git.Repository(clone.root.resolve(), clone.root.resolve() / ".git")


def test_outside_of_any_repository_there_is_none(tmp_path: Path) -> None:
    assert git.find(tmp_path / "nowhere") is None


def test_through_a_symbolic_link_the_real_place_is_found(clone: Clone, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(clone.root)
    found = git.find(tmp_path / "link")
    assert found is not None
    assert found.root == clone.root.resolve()
    assert git.toplevel_relative(found, tmp_path / "link" / "a" / "b") == "a/b"
    assert git.toplevel_relative(found, tmp_path / "link") == "."


def test_a_path_outside_is_no_path_of_the_repository(clone: Clone, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="outside the repository"):
        git.toplevel_relative(clone.repo, tmp_path / "elsewhere")


@pytest.mark.parametrize("name", ["a b", "ä", "two\nlines", "ends\n"])
def test_whatever_a_directory_is_called_repository_and_state_are_those_of_it(tmp_path: Path, name: str) -> None:
    clone = Clone(tmp_path / name)
    unborn = git.init(clone.root)
    place = tmp_path.resolve() / name
    assert git.look(clone.root) == (git.Repository(place, place / ".git"), git.State("main", None, "", bare=False))
    clone.commit({"file": "1\n"})
    assert git.look(clone.root) == (unborn, git.State("main", clone.head, "", bare=False))
    clone.git("update-ref", "refs/heads/HEAD", "HEAD")
    clone.git("symbolic-ref", "HEAD", "refs/heads/HEAD")
    assert git.state(unborn) == git.State("HEAD", clone.head, "", bare=False)
    clone.git("checkout", "-q", "--detach")
    assert git.look(clone.root) == (unborn, git.State(None, clone.head, "", bare=False))


def test_the_inside_of_a_git_directory_is_refused(clone: Clone) -> None:
    with pytest.raises(RepositoryError, match="inside a git directory"):
        git.find(clone.root / ".git" / "refs")


def test_the_variables_that_git_sets_for_hooks_do_not_lead_elsewhere(
    clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other.root / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.root / ".git/index"))
    found = git.find(clone.root)
    assert found is not None
    assert found.root == clone.root.resolve()


def test_a_linked_work_tree_has_its_own_git_dir(clone: Clone, tmp_path: Path) -> None:
    clone.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    found = git.find(tmp_path / "side" / "x")
    assert found is not None
    assert found.root == (tmp_path / "side").resolve()
    assert found.git_dir == clone.root.resolve() / ".git/worktrees/side"


def test_a_broken_repository_is_an_error_and_not_none(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/.git").write_text(f"gitdir: {tmp_path}/gone\n")
    with pytest.raises(RepositoryError, match="cannot read the repository"):
        git.find(tmp_path / "broken")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a repository of somebody else")
def test_a_repository_of_another_user_names_the_way_to_trust_it(clone: Clone) -> None:
    for directory, _, names in os.walk(clone.root):
        for name in ("", *names):
            os.chown(Path(directory, name), 65534, 65534)
    with pytest.raises(RepositoryError, match="another user") as caught:
        git.find(clone.root / "deeper")
    assert caught.value.hint.endswith(f"--add safe.directory {clone.root.resolve()}")
    subprocess.run(caught.value.hint.split(": ")[1].split(), check=True)
    assert git.find(clone.root) is not None


def test_init_makes_directory_and_branch(tmp_path: Path) -> None:
    repo = git.init(tmp_path / "deep/down")
    assert repo.root == (tmp_path / "deep/down").resolve()
    assert git.state(repo) == git.State(branch="main", head=None, operation="", bare=False)


def test_init_takes_the_users_name_for_the_first_branch(tmp_path: Path, home: Path) -> None:
    with (home / ".gitconfig").open("a") as file:
        file.write("[init]\n\tdefaultBranch = trunk\n")
    assert git.branch(git.init(tmp_path / "new")) == "trunk"


def test_init_leaves_a_repository_alone(clone: Clone) -> None:
    before = clone.snapshot()
    assert git.init(clone.root) == clone.repo
    assert clone.snapshot() == before


def test_init_where_a_file_is_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RepositoryError, match="cannot be made"):
        git.init(tmp_path / "file" / "repo")


def test_without_git_the_error_says_so(clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(ToolError, match="git was not found"):
        git.find(clone.root)


def test_the_version_is_known() -> None:
    assert (
        git.version()
        in subprocess.run([program("git"), "--version"], capture_output=True, text=True, check=True).stdout
    )


# --- judging -------------------------------------------------------------


def _conflict(clone: Clone) -> None:
    """Branches main and other that cannot be merged."""
    clone.git("switch", "-q", "-c", "other")
    clone.commit({"README": "theirs\n"})
    clone.git("switch", "-q", "main")
    clone.commit({"README": "ours\n"})


def _am(clone: Clone) -> None:
    patch = clone.git("format-patch", "--stdout", "-1", "other")
    clone.git("am", stdin=patch + "\n", ok=(128,))


OPERATIONS = {
    "merge": lambda clone: clone.git("merge", "other", ok=(1,)),
    "rebase": lambda clone: clone.git("rebase", "other", ok=(1,)),
    "cherry-pick": lambda clone: clone.git("cherry-pick", "other", ok=(1,)),
    "revert": lambda clone: clone.git("revert", "--no-edit", "HEAD~1", ok=(1,)),
    "am": _am,
    "bisect": lambda clone: clone.git("bisect", "start", "HEAD", "HEAD~1"),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_in_progress_is_named_with_its_way_out(clone: Clone, operation: str) -> None:
    _conflict(clone)
    OPERATIONS[operation](clone)
    assert git.state(clone.repo).operation == operation
    with pytest.raises(RepositoryError, match=f"a {operation} is in progress") as caught:
        readiness.check_ready(clone.repo, commit=True)
    assert f"git {operation}" in caught.value.hint
    assert caught.value.code == 5
    readiness.check_ready(clone.repo, commit=False)
    way_out = "reset" if operation == "bisect" else "--abort"
    clone.git(operation, way_out)
    readiness.check_ready(clone.repo, commit=True)


def test_unmerged_paths_without_an_operation_are_named(clone: Clone) -> None:
    clone.write("README", "stashed\n")
    clone.git("stash")
    clone.commit({"README": "other\n"})
    clone.git("stash", "pop", ok=(1,))
    assert git.state(clone.repo).operation == ""
    with pytest.raises(RepositoryError, match="unmerged paths: README"):
        readiness.check_ready(clone.repo, commit=True)


def test_a_detached_head_needs_a_branch_or_no_commit(clone: Clone) -> None:
    clone.git("checkout", "-q", "--detach")
    assert git.state(clone.repo).detached
    with pytest.raises(RepositoryError, match="HEAD is detached") as caught:
        readiness.check_ready(clone.repo, commit=True)
    assert "--branch NAME" in caught.value.hint
    assert "--no-commit" in caught.value.hint
    readiness.check_ready(clone.repo, commit=True, branch="new")
    readiness.check_ready(clone.repo, commit=False)


def test_a_bare_repository_is_refused(clone: Clone, tmp_path: Path) -> None:
    clone.git("clone", "-q", "--bare", ".", str(tmp_path / "bare.git"))
    found = git.find(tmp_path / "bare.git")
    assert found is not None
    assert found.bare
    for commit in (True, False):
        with pytest.raises(RepositoryError, match="bare repository"):
            readiness.check_ready(found, commit=commit)


def test_an_unborn_branch_is_ready(tmp_path: Path) -> None:
    repo = git.init(tmp_path / "new")
    assert git.state(repo).unborn
    readiness.check_ready(repo, commit=True)


@pytest.mark.parametrize("missing", ["name", "email"])
def test_an_identity_is_asked_for_and_never_made_up(clone: Clone, missing: str) -> None:
    clone.git("config", "--global", "--unset", f"user.{missing}")
    with pytest.raises(RepositoryError, match="does not know who you are") as caught:
        readiness.check_ready(clone.repo, commit=True)
    assert "git config --global user.name" in caught.value.hint
    assert "user.email" in caught.value.hint
    readiness.check_ready(clone.repo, commit=False)


def test_an_identity_from_the_environment_is_one(clone: Clone, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".gitconfig").unlink()
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Somebody")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "somebody@example.com")
    readiness.check_ready(clone.repo, commit=True)


@pytest.mark.parametrize(
    ("variables", "settings", "known"),
    [
        ({}, {"user.name": "...", "user.email": "a@b.c"}, False),
        ({}, {"author.name": "A", "author.email": "a@b.c", "committer.name": "C", "committer.email": "c@b.c"}, True),
        ({}, {"author.name": "A", "author.email": "a@b.c"}, False),
        ({"GIT_COMMITTER_NAME": "C", "GIT_COMMITTER_EMAIL": "c@b.c"}, {}, False),
        ({"GIT_AUTHOR_NAME": ""}, {"user.name": "A", "user.email": "a@b.c"}, False),
        ({"EMAIL": "a@b.c"}, {"user.name": "A"}, False),
    ],
)
def test_an_identity_is_what_git_takes_for_one(
    clone: Clone,
    home: Path,
    variables: dict[str, str],
    settings: dict[str, str],
    known: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (home / ".gitconfig").unlink()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for key, value in settings.items():
        clone.git("config", key, value)
    if known:
        readiness.check_ready(clone.repo, commit=True)
    else:
        with pytest.raises(RepositoryError, match="does not know who you are"):
            readiness.check_ready(clone.repo, commit=True)


def test_a_git_that_holds_the_index_is_waited_for_and_then_named(clone: Clone) -> None:
    lock = clone.root / ".git/index.lock"
    lock.touch()
    with pytest.raises(RepositoryError, match=r"another git holds .*index\.lock"):
        readiness.check_ready(clone.repo, commit=True)
    assert lock.exists()


_AS_NOBODY = """
import sys
import tempfile
from pathlib import Path
from kasmgen.errors import RepositoryError
from kasmgen.repository import git, readiness
try:
    readiness.check_ready(git.find(Path(sys.argv[1])), commit=False)
except RepositoryError as error:
    print(error.message)
"""


def test_a_directory_that_may_not_be_written_to_is_refused(clone: Clone, tmp_path: Path) -> None:
    start = [sys.executable, "-c", _AS_NOBODY, str(clone.root)]
    if os.geteuid() == 0:
        # Root may write anywhere, so somebody else must try.
        start = [program("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups", *start]
        for place in (tmp_path, *tmp_path.parents):
            if not place.stat().st_mode & 0o005:
                place.chmod(place.stat().st_mode | 0o055)
    else:
        clone.root.chmod(0o555)
    environment = {**os.environ, "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory"}
    environment |= {"GIT_CONFIG_VALUE_0": "*", "PYTHONPATH": str(Path(git.__file__).parents[2])}
    done = subprocess.run(start, env=environment, cwd="/", capture_output=True, text=True, check=False)
    clone.root.chmod(0o755)
    assert "may not be written to" in done.stdout, done.stderr


def test_dirty_knows_staged_changed_deleted_and_untracked_files(clone: Clone) -> None:
    clone.commit({"p/same": "", "p/changed": "", "p/staged": "", "p/gone": "", "q/changed": ""})
    clone.write("p/changed", "x")
    clone.write("p/staged", "x")
    clone.git("add", "p/staged")
    (clone.root / "p/gone").unlink()
    clone.write("p/new/file with ä", "x")
    clone.write("q/changed", "x")
    assert Reader(clone.repo).dirty(["p"]) == {"p/changed", "p/staged", "p/gone", "p/new/file with ä"}
    assert Reader(clone.repo).dirty(["p/same", "p/gone"]) == {"p/gone"}
    assert Reader(clone.repo).dirty([]) == set()


# --- branches and remotes ------------------------------------------------


def test_a_new_branch_takes_everything_along(clone: Clone) -> None:
    clone.write("README", "edited\n")
    clone.write("staged", "1\n")
    clone.git("add", "staged")
    before = clone.snapshot()
    branches.switch_new_branch(clone.repo, "feature/x")
    assert git.branch(clone.repo) == "feature/x"
    after = clone.snapshot()
    assert (after.files, after.staged, after.head) == (before.files, before.staged, before.head)
    branches.leave_new_branch(clone.repo, "feature/x", back_to="main", at=clone.head)
    assert clone.snapshot() == before


def test_a_new_branch_from_a_detached_head_and_back(clone: Clone) -> None:
    clone.git("checkout", "-q", "--detach")
    before = clone.snapshot()
    branches.switch_new_branch(clone.repo, "new")
    assert git.branch(clone.repo) == "new"
    branches.leave_new_branch(clone.repo, "new", back_to=None, at=clone.head)
    assert clone.snapshot() == before


def test_a_new_branch_in_an_empty_repository_and_back(tmp_path: Path) -> None:
    repo = git.init(tmp_path / "new")
    branches.switch_new_branch(repo, "first")
    assert (git.branch(repo), git.head(repo)) == ("first", None)
    branches.leave_new_branch(repo, "first", back_to="main", at=None)
    assert git.branch(repo) == "main"


@pytest.mark.parametrize("name", ["", "-x", "a b", "a..b", "x.lock", "a~1", "/a", "a:b", "@{-1}", "HEAD\n"])
def test_names_that_no_branch_can_have_are_refused(clone: Clone, name: str) -> None:
    before = clone.snapshot()
    with pytest.raises(InputError, match="--branch"):
        branches.switch_new_branch(clone.repo, name)
    assert clone.snapshot() == before


def test_an_existing_branch_is_refused(clone: Clone) -> None:
    clone.git("branch", "there")
    for name in ("there", "main"):
        with pytest.raises(RepositoryError, match="exists already"):
            branches.switch_new_branch(clone.repo, name)
    with pytest.raises(RepositoryError):
        branches.switch_new_branch(clone.repo, "there/below")
    assert git.branch(clone.repo) == "main"


@pytest.fixture
def remote(clone: Clone, tmp_path: Path) -> Clone:
    clone.git("clone", "-q", "--bare", ".", str(tmp_path / "remote.git"))
    clone.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    return Clone(tmp_path / "remote.git")


def test_a_branch_without_upstream_is_pushed_to_origin_and_follows_it(clone: Clone, remote: Clone) -> None:
    branches.switch_new_branch(clone.repo, "new")
    made = clone.commit({"ours": "1\n"})
    branches.push(clone.repo)
    assert remote.git("rev-parse", "refs/heads/new") == made
    assert clone.git("rev-parse", "--abbrev-ref", "@{upstream}") == "origin/new"


def test_a_branch_is_pushed_to_its_upstream_whatever_that_is_called(clone: Clone, remote: Clone) -> None:
    remote.git("branch", "theirs", "main")
    clone.git("fetch", "-q", "origin")
    clone.git("switch", "-q", "-c", "mine", "--track", "origin/theirs")
    made = clone.commit({"ours": "1\n"})
    branches.push(clone.repo)
    assert remote.git("rev-parse", "refs/heads/theirs") == made
    assert remote.git("for-each-ref", "refs/heads/mine") == ""


@pytest.mark.usefixtures("remote")
def test_a_push_that_is_refused_says_why_and_that_the_commit_is_there(clone: Clone) -> None:
    clone.commit({"ours": "1\n"})
    clone.hook("pre-push", "echo 'not on a Friday' >&2; exit 1")
    with pytest.raises(RepositoryError, match="not on a Friday") as caught:
        branches.push(clone.repo)
    assert caught.value.message.startswith("committed, but")


def test_without_a_remote_there_is_nowhere_to_push_to(clone: Clone) -> None:
    with pytest.raises(RepositoryError, match="no remote called origin"):
        branches.push(clone.repo)
