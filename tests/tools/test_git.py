"""The repository that people work in: found, judged, and committed to without touching what is theirs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from kasmgen.errors import InputError, RepositoryError, ToolError
from kasmgen.tools import git
from tests.needs import program
from tests.tools.repositories import Clone, make, settle_home


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settle_home(tmp_path / "home", monkeypatch)
    return tmp_path / "home"


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return make(tmp_path / "repo")


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
    assert git.version() in subprocess.run([program("git"), "--version"], capture_output=True, text=True).stdout


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
        git.check_ready(clone.repo, commit=True)
    assert f"git {operation}" in caught.value.hint
    assert caught.value.code == 5
    git.check_ready(clone.repo, commit=False)
    way_out = "reset" if operation == "bisect" else "--abort"
    clone.git(operation, way_out)
    git.check_ready(clone.repo, commit=True)


def test_unmerged_paths_without_an_operation_are_named(clone: Clone) -> None:
    clone.write("README", "stashed\n")
    clone.git("stash")
    clone.commit({"README": "other\n"})
    clone.git("stash", "pop", ok=(1,))
    assert git.state(clone.repo).operation == ""
    with pytest.raises(RepositoryError, match="unmerged paths: README"):
        git.check_ready(clone.repo, commit=True)


def test_a_detached_head_needs_a_branch_or_no_commit(clone: Clone) -> None:
    clone.git("checkout", "-q", "--detach")
    assert git.state(clone.repo).detached
    with pytest.raises(RepositoryError, match="HEAD is detached") as caught:
        git.check_ready(clone.repo, commit=True)
    assert "--branch NAME" in caught.value.hint
    assert "--no-commit" in caught.value.hint
    git.check_ready(clone.repo, commit=True, branch="new")
    git.check_ready(clone.repo, commit=False)


def test_a_bare_repository_is_refused(clone: Clone, tmp_path: Path) -> None:
    clone.git("clone", "-q", "--bare", ".", str(tmp_path / "bare.git"))
    found = git.find(tmp_path / "bare.git")
    assert found is not None
    assert found.bare
    for commit in (True, False):
        with pytest.raises(RepositoryError, match="bare repository"):
            git.check_ready(found, commit=commit)


def test_an_unborn_branch_is_ready(tmp_path: Path) -> None:
    repo = git.init(tmp_path / "new")
    assert git.state(repo).unborn
    git.check_ready(repo, commit=True)


@pytest.mark.parametrize("missing", ["name", "email"])
def test_an_identity_is_asked_for_and_never_made_up(clone: Clone, missing: str) -> None:
    clone.git("config", "--global", "--unset", f"user.{missing}")
    with pytest.raises(RepositoryError, match="does not know who you are") as caught:
        git.check_ready(clone.repo, commit=True)
    assert "git config --global user.name" in caught.value.hint
    assert "user.email" in caught.value.hint
    git.check_ready(clone.repo, commit=False)


def test_an_identity_from_the_environment_is_one(clone: Clone, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".gitconfig").unlink()
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Somebody")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "somebody@example.com")
    git.check_ready(clone.repo, commit=True)


def test_a_git_that_holds_the_index_is_waited_for_and_then_named(clone: Clone) -> None:
    lock = clone.root / ".git/index.lock"
    lock.touch()
    with pytest.raises(RepositoryError, match=r"another git holds .*index\.lock"):
        git.check_ready(clone.repo, commit=True)
    assert lock.exists()


_AS_NOBODY = """
import sys
import tempfile
from pathlib import Path
from kasmgen.errors import RepositoryError
from kasmgen.tools import git
try:
    git.check_ready(git.find(Path(sys.argv[1])), commit=False)
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
    assert git.dirty(clone.repo, ["p"]) == {"p/changed", "p/staged", "p/gone", "p/new/file with ä"}
    assert git.dirty(clone.repo, ["p/same", "p/gone"]) == {"p/gone"}
    assert git.dirty(clone.repo, []) == set()


# --- committing ----------------------------------------------------------


def test_exactly_the_paths_are_committed_and_the_work_of_people_stays(clone: Clone) -> None:
    clone.commit(dict.fromkeys(("staged", "edited", "both", "removed", "ours/changed", "ours/gone"), "1\n"))
    clone.write("staged", "2\n")
    clone.write("both", "2\n")
    clone.write("added", "new\n")
    clone.git("add", "staged", "both", "added")
    clone.git("rm", "-q", "--cached", "removed")
    clone.write("intended", "later\n")
    clone.git("add", "-N", "intended")
    clone.write("both", "3\n")
    clone.write("edited", "2\n")
    clone.write("untracked", "?\n")
    before = clone.snapshot()
    theirs = [line for line in clone.status if "ours/" not in line]

    clone.write("ours/changed", "2\n")
    clone.write("ours/new file", "1\n")
    (clone.root / "ours/gone").unlink()
    paths = ["ours/changed", "ours/new file", "ours/gone"]
    made = git.commit_only(clone.repo, paths, "Do it\n\nChart: x 1\n")

    assert made == clone.head
    assert clone.committed() == {"ours/changed": "M", "ours/new file": "A", "ours/gone": "D"}
    assert clone.git("log", "-1", "--format=%B") == "Do it\n\nChart: x 1"
    assert clone.git("log", "-1", "--format=%an <%ae>") == "Test <test@example.com>"
    assert clone.status == theirs
    after = clone.snapshot()
    assert after.staged_diff == before.staged_diff
    assert not [line for line in clone.git("diff-files", "--name-only").splitlines() if line.startswith("ours/")]
    assert list((clone.root / ".git/kasmgen").iterdir()) == []


def test_the_first_commit_of_a_repository(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "new")
    git.init(clone.root)
    clone.write("ours", "1\n")
    clone.write("theirs", "1\n")
    clone.git("add", "theirs")
    made = git.commit_only(clone.repo, ["ours"], "First")
    assert made == clone.head
    assert clone.committed() == {"ours": "A"}
    assert clone.status == ["A  theirs"]


def test_nothing_to_commit_is_no_commit(clone: Clone) -> None:
    before = clone.snapshot()
    assert git.commit_only(clone.repo, ["README", "never-there"], "Nothing") is None
    assert clone.snapshot() == before


def test_what_people_staged_of_a_path_gives_way_to_what_is_committed(clone: Clone) -> None:
    clone.commit({"ours": "1\n"})
    clone.write("ours", "2\n")
    clone.git("add", "ours")
    clone.write("ours", "3\n")
    git.commit_only(clone.repo, ["ours"], "Take it")
    assert clone.git("show", "HEAD:ours") == "3"
    assert clone.status == []


def test_a_message_is_kept_as_it_is_and_is_in_no_argv(clone: Clone, tmp_path: Path) -> None:
    clone.hook("pre-commit", f"ps -o args= -p $PPID > {tmp_path}/argv; cat /proc/$PPID/cmdline >> {tmp_path}/argv")
    clone.write("ours", "1\n")
    message = 'Größer: 50 % "quoted" $HOME\n\n# not a comment\n- item\n\nKey: value'
    git.commit_only(clone.repo, ["ours"], message)
    assert clone.git("log", "-1", "--format=%B") == message
    assert "quoted" not in (tmp_path / "argv").read_text(errors="replace")


def test_the_executable_bit_is_committed(clone: Clone) -> None:
    clone.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    git.commit_only(clone.repo, ["run.sh"], "Run")
    assert clone.git("ls-tree", "HEAD", "run.sh").startswith("100755")


def test_ignored_paths_are_named_with_the_line_that_ignores_them(clone: Clone) -> None:
    clone.commit({".gitignore": "# build\n*.yaml\n!good.yaml\n", "p/.gitignore": "/secret\n"})
    for path in ("a.yaml", "good.yaml", "p/secret", "plain"):
        clone.write(path, "1\n")
    before = clone.snapshot()
    with pytest.raises(RepositoryError) as caught:
        git.commit_only(clone.repo, ["a.yaml", "good.yaml", "p/secret", "plain"], "All")
    assert "a.yaml (.gitignore:2: *.yaml)" in caught.value.message
    assert "p/secret (p/.gitignore:1: /secret)" in caught.value.message
    assert "good.yaml (" not in caught.value.message
    assert clone.snapshot() == before
    assert git.commit_only(clone.repo, ["good.yaml", "plain"], "Good") == clone.head


def test_a_tracked_file_is_committed_though_a_pattern_matches_it(clone: Clone) -> None:
    clone.commit({"a.yaml": "1\n"})
    clone.commit({".gitignore": "*.yaml\n"})
    clone.write("a.yaml", "2\n")
    assert git.commit_only(clone.repo, ["a.yaml"], "Change") == clone.head


@pytest.mark.parametrize("name", ["pre-commit", "prepare-commit-msg", "commit-msg"])
def test_a_hook_that_refuses_leaves_everything_as_it_was(clone: Clone, name: str) -> None:
    clone.commit({"ours": "1\n", "theirs": "1\n"})
    clone.write("theirs", "2\n")
    clone.git("add", "theirs")
    clone.write("ours", "2\n")
    # As formatters do: change the file, stage it, and refuse.
    clone.hook(name, "echo reformatted >> ours; git add ours; echo 'ours is badly formatted' >&2; exit 1")
    before = clone.snapshot()
    with pytest.raises(RepositoryError, match="ours is badly formatted") as caught:
        git.commit_only(clone.repo, ["ours"], "Change")
    assert caught.value.hint
    assert clone.snapshot() == before
    assert list((clone.root / ".git/kasmgen").iterdir()) == []


def test_hooks_see_the_commit_that_is_made_and_not_what_people_staged(clone: Clone, tmp_path: Path) -> None:
    clone.write("theirs", "1\n")
    clone.git("add", "theirs")
    clone.write("ours", "1\n")
    clone.hook(
        "pre-commit", f"git diff --cached --name-only > {tmp_path}/seen; git symbolic-ref HEAD >> {tmp_path}/seen"
    )
    git.commit_only(clone.repo, ["ours"], "Change")
    assert (tmp_path / "seen").read_text() == "ours\nrefs/heads/main\n"


def test_a_hook_may_rewrite_what_is_committed(clone: Clone) -> None:
    clone.write("ours", "1\n")
    clone.write("theirs", "1\n")
    clone.git("add", "theirs")
    clone.hook("pre-commit", "echo formatted > ours; echo ours > list; git add ours list")
    clone.hook("commit-msg", 'echo "Change-Id: I123" >> "$1"')
    git.commit_only(clone.repo, ["ours"], "Change\n\nKey: value\n")
    assert clone.committed() == {"ours": "A", "list": "A"}
    assert clone.git("show", "HEAD:ours") == "formatted"
    assert clone.git("log", "-1", "--format=%B") == "Change\n\nKey: value\nChange-Id: I123"
    assert clone.status == ["A  theirs"]


def test_a_commit_that_comes_in_while_a_hook_runs_is_not_undone(clone: Clone, tmp_path: Path) -> None:
    clone.git("worktree", "add", "-q", "--detach", str(tmp_path / "side"))
    clone.write("ours", "1\n")
    meanwhile = (
        "unset GIT_INDEX_FILE GIT_DIR; git -C ../side -c core.hooksPath=/dev/null commit -q --allow-empty -m other"
    )
    clone.hook("pre-commit", f"{meanwhile}; git update-ref refs/heads/main $(git -C ../side rev-parse HEAD)")
    with pytest.raises(RepositoryError):
        git.commit_only(clone.repo, ["ours"], "Change")
    assert clone.git("log", "-1", "--format=%s") == "other"
    assert clone.status == ["?? ours"]


def _ssh_signing(clone: Clone, tmp_path: Path) -> None:
    key = tmp_path / "signing"
    subprocess.run(
        [program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "test@example.com", "-f", str(key)], check=True
    )
    public = key.with_suffix(".pub").read_text()
    (tmp_path / "allowed").write_text(f"test@example.com {public}")
    clone.git("config", "gpg.format", "ssh")
    clone.git("config", "user.signingkey", str(key))
    clone.git("config", "gpg.ssh.allowedSignersFile", str(tmp_path / "allowed"))
    clone.git("config", "commit.gpgsign", "true")


def test_commits_are_signed_where_the_user_signs_with_ssh(clone: Clone, tmp_path: Path) -> None:
    _ssh_signing(clone, tmp_path)
    clone.write("ours", "1\n")
    git.commit_only(clone.repo, ["ours"], "Signed")
    assert clone.git("log", "-1", "--format=%G?") == "G"
    clone.git("verify-commit", "HEAD")


def test_commits_are_signed_where_the_user_signs_with_gpg(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    gpg = program("gpg")
    # Sockets of gpg-agent must fit into 108 characters.
    short = Path(tempfile.mkdtemp(prefix="gpg", dir="/tmp"))
    monkeypatch.setenv("GNUPGHOME", str(short))
    try:
        who = "Test <test@example.com>"
        make_key = [gpg, "--batch", "--passphrase", "", "--quick-gen-key", who, "ed25519", "sign"]
        subprocess.run(make_key, check=True, capture_output=True)
        clone.git("config", "commit.gpgsign", "true")
        clone.write("ours", "1\n")
        git.commit_only(clone.repo, ["ours"], "Signed")
        assert clone.git("log", "-1", "--format=%G?") in ("G", "U")
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], check=False)
        shutil.rmtree(short, ignore_errors=True)


def test_a_signature_that_cannot_be_made_leaves_everything_as_it_was(clone: Clone, tmp_path: Path) -> None:
    _ssh_signing(clone, tmp_path)
    (tmp_path / "signing").unlink()
    clone.write("ours", "1\n")
    before = clone.snapshot()
    with pytest.raises(RepositoryError, match="git refused the commit"):
        git.commit_only(clone.repo, ["ours"], "Signed")
    assert clone.snapshot() == before


# --- unusual repositories ------------------------------------------------


def test_a_linked_work_tree_is_committed_to_on_its_own_branch(clone: Clone, tmp_path: Path) -> None:
    clone.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    side = Clone(tmp_path / "side")
    before = clone.head
    side.write("ours", "1\n")
    made = git.commit_only(side.repo, ["ours"], "Aside")
    assert (side.head, clone.head) == (made, before)
    assert side.status == clone.status == []


def test_a_submodule_is_committed_to_and_not_what_holds_it(clone: Clone, tmp_path: Path) -> None:
    inner = make(tmp_path / "inner")
    clone.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner.root), "sub")
    clone.git("commit", "-q", "-m", "Add sub")
    sub = Clone(clone.root / "sub")
    before = clone.head
    sub.write("ours", "1\n")
    made = git.commit_only(sub.repo, ["ours"], "Inside")
    assert (sub.head, clone.head) == (made, before)
    assert clone.status == ["M sub"]


def test_repositories_of_all_object_formats_and_indexes(tmp_path: Path) -> None:
    settings = {
        "sha256": ["--object-format=sha256"],
        "split": [],
        "separate": [f"--separate-git-dir={tmp_path}/apart.git"],
    }
    for name, options in settings.items():
        clone = Clone(tmp_path / name)
        clone.root.mkdir()
        clone.git("init", "-q", *options)
        if name == "split":
            clone.git("config", "core.splitIndex", "true")
        clone.commit({"a": "1\n", "gone": "1\n"})
        clone.write("theirs", "1\n")
        clone.git("add", "theirs")
        clone.write("ours", "1\n")
        (clone.root / "gone").unlink()
        assert git.commit_only(clone.repo, ["ours", "gone"], "Ours") == clone.head
        assert clone.committed() == {"ours": "A", "gone": "D"}
        assert clone.status == ["A  theirs"]
        clone.git("fsck", "--strict")


def test_a_sparse_checkout_stays_sparse(clone: Clone) -> None:
    clone.commit({"in/a": "1\n", "out/b": "1\n"})
    clone.git("sparse-checkout", "set", "in")
    assert not (clone.root / "out").exists()
    clone.write("in/ours", "1\n")
    git.commit_only(clone.repo, ["in/ours"], "Ours")
    assert clone.committed() == {"in/ours": "A"}
    assert clone.status == []
    assert not (clone.root / "out").exists()


def test_line_ends_are_what_git_makes_of_them(clone: Clone) -> None:
    clone.git("config", "core.autocrlf", "true")
    clone.write("ours", "1\r\n2\r\n")
    git.commit_only(clone.repo, ["ours"], "CRLF")
    assert clone.git("cat-file", "-s", "HEAD:ours") == "4"
    assert clone.status == []
    clone.write("ours", "1\n2\n")
    assert git.commit_only(clone.repo, ["ours"], "LF") is None


@pytest.mark.parametrize("ignore_case", ["false", "true"])
def test_a_file_that_changes_only_the_case_of_its_name(clone: Clone, ignore_case: str) -> None:
    clone.git("config", "core.ignorecase", ignore_case)
    clone.commit({"p/Base.yaml": "1\n"})
    (clone.root / "p/Base.yaml").rename(clone.root / "p/base.yaml")
    git.commit_only(clone.repo, ["p/base.yaml", "p/Base.yaml"], "Rename")
    assert clone.git("ls-tree", "-r", "--name-only", "HEAD").splitlines() == ["README", "p/base.yaml"]
    assert clone.git("ls-files").splitlines() == ["README", "p/base.yaml"]
    assert clone.status == []


def test_a_file_becomes_a_directory_and_back(clone: Clone) -> None:
    clone.commit({"x": "1\n"})
    (clone.root / "x").unlink()
    clone.write("x/y", "1\n")
    git.commit_only(clone.repo, ["x", "x/y"], "Directory")
    assert clone.committed() == {"x": "D", "x/y": "A"}
    shutil.rmtree(clone.root / "x")
    clone.write("x", "2\n")
    git.commit_only(clone.repo, ["x", "x/y"], "File")
    assert clone.committed() == {"x": "A", "x/y": "D"}
    assert clone.status == []


def test_names_that_are_pathspecs_or_options_are_plain_names(clone: Clone) -> None:
    names = [":(top)a", "*.yaml", "-f", "a b", "ä", "tab\there"]
    for name in names:
        clone.write(f"p/{name}", "1\n")
    clone.write("p/other.yaml", "1\n")
    git.commit_only(clone.repo, [f"p/{name}" for name in names], "Odd")
    assert clone.git("ls-tree", "-r", "-z", "--name-only", "HEAD", "p/").count("\0") == len(names)
    assert clone.status == ["?? p/other.yaml"]


# --- branches and remotes ------------------------------------------------


def test_a_new_branch_takes_everything_along(clone: Clone) -> None:
    clone.write("README", "edited\n")
    clone.write("staged", "1\n")
    clone.git("add", "staged")
    before = clone.snapshot()
    git.switch_new_branch(clone.repo, "feature/x")
    assert git.branch(clone.repo) == "feature/x"
    after = clone.snapshot()
    assert (after.files, after.staged, after.head) == (before.files, before.staged, before.head)
    git.leave_new_branch(clone.repo, "feature/x", back_to="main", at=clone.head)
    assert clone.snapshot() == before


def test_a_new_branch_from_a_detached_head_and_back(clone: Clone) -> None:
    clone.git("checkout", "-q", "--detach")
    before = clone.snapshot()
    git.switch_new_branch(clone.repo, "new")
    assert git.branch(clone.repo) == "new"
    git.leave_new_branch(clone.repo, "new", back_to=None, at=clone.head)
    assert clone.snapshot() == before


def test_a_new_branch_in_an_empty_repository_and_back(tmp_path: Path) -> None:
    repo = git.init(tmp_path / "new")
    git.switch_new_branch(repo, "first")
    assert (git.branch(repo), git.head(repo)) == ("first", None)
    git.leave_new_branch(repo, "first", back_to="main", at=None)
    assert git.branch(repo) == "main"


@pytest.mark.parametrize("name", ["", "-x", "a b", "a..b", "x.lock", "a~1", "/a", "a:b", "@{-1}", "HEAD\n"])
def test_names_that_no_branch_can_have_are_refused(clone: Clone, name: str) -> None:
    before = clone.snapshot()
    with pytest.raises(InputError, match="--branch"):
        git.switch_new_branch(clone.repo, name)
    assert clone.snapshot() == before


def test_an_existing_branch_is_refused(clone: Clone) -> None:
    clone.git("branch", "there")
    for name in ("there", "main"):
        with pytest.raises(RepositoryError, match="exists already"):
            git.switch_new_branch(clone.repo, name)
    with pytest.raises(RepositoryError):
        git.switch_new_branch(clone.repo, "there/below")
    assert git.branch(clone.repo) == "main"


@pytest.fixture
def remote(clone: Clone, tmp_path: Path) -> Clone:
    clone.git("clone", "-q", "--bare", ".", str(tmp_path / "remote.git"))
    clone.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    return Clone(tmp_path / "remote.git")


def test_a_branch_without_upstream_is_pushed_to_origin_and_follows_it(clone: Clone, remote: Clone) -> None:
    git.switch_new_branch(clone.repo, "new")
    made = clone.commit({"ours": "1\n"})
    git.push(clone.repo)
    assert remote.git("rev-parse", "refs/heads/new") == made
    assert clone.git("rev-parse", "--abbrev-ref", "@{upstream}") == "origin/new"


def test_a_branch_is_pushed_to_its_upstream_whatever_that_is_called(clone: Clone, remote: Clone) -> None:
    remote.git("branch", "theirs", "main")
    clone.git("fetch", "-q", "origin")
    clone.git("switch", "-q", "-c", "mine", "--track", "origin/theirs")
    made = clone.commit({"ours": "1\n"})
    git.push(clone.repo)
    assert remote.git("rev-parse", "refs/heads/theirs") == made
    assert remote.git("for-each-ref", "refs/heads/mine") == ""


@pytest.mark.usefixtures("remote")
def test_a_push_that_is_refused_says_why_and_that_the_commit_is_there(clone: Clone) -> None:
    clone.commit({"ours": "1\n"})
    clone.hook("pre-push", "echo 'not on a Friday' >&2; exit 1")
    with pytest.raises(RepositoryError, match="not on a Friday") as caught:
        git.push(clone.repo)
    assert caught.value.message.startswith("committed, but")


def test_without_a_remote_there_is_nowhere_to_push_to(clone: Clone) -> None:
    with pytest.raises(RepositoryError, match="no remote called origin"):
        git.push(clone.repo)
