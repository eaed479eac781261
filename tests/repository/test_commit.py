"""Commits of exactly the own paths, in every kind of repository, under the user's hooks and signature."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from kasmgen.errors import RepositoryError
from kasmgen.repository import commit, git, readiness
from tests.needs import program
from tests.repository.repositories import Clone, make

pytestmark = [pytest.mark.tool, pytest.mark.usefixtures("home")]


# --- committing ----------------------------------------------------------


def commit_only(clone: Clone, paths: list[str], message: str) -> str | None:
    """The id of the commit, if one was made."""
    made = commit.commit_only(clone.repo, paths, message)
    return made.id if made else None


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
    made = commit_only(clone, paths, "Do it\n\nChart: x 1\n")

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
    made = commit_only(clone, ["ours"], "First")
    assert made == clone.head
    assert clone.committed() == {"ours": "A"}
    assert clone.status == ["A  theirs"]


def test_nothing_to_commit_is_no_commit(clone: Clone) -> None:
    before = clone.snapshot()
    assert commit_only(clone, ["README", "never-there"], "Nothing") is None
    assert clone.snapshot() == before


def test_what_people_staged_of_a_path_gives_way_to_what_is_committed(clone: Clone) -> None:
    clone.commit({"ours": "1\n"})
    clone.write("ours", "2\n")
    clone.git("add", "ours")
    clone.write("ours", "3\n")
    commit_only(clone, ["ours"], "Take it")
    assert clone.git("show", "HEAD:ours") == "3"
    assert clone.status == []


def test_a_message_is_kept_as_it_is_and_is_in_no_argv(clone: Clone, tmp_path: Path) -> None:
    clone.hook("pre-commit", f"ps -o args= -p $PPID > {tmp_path}/argv; cat /proc/$PPID/cmdline >> {tmp_path}/argv")
    clone.write("ours", "1\n")
    message = 'Größer: 50 % "quoted" $HOME\n\n# not a comment\n- item\n\nKey: value'
    commit_only(clone, ["ours"], message)
    assert clone.git("log", "-1", "--format=%B") == message
    assert "quoted" not in (tmp_path / "argv").read_text(errors="replace")


def test_the_executable_bit_is_committed(clone: Clone) -> None:
    clone.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    commit_only(clone, ["run.sh"], "Run")
    assert clone.git("ls-tree", "HEAD", "run.sh").startswith("100755")


def test_ignored_paths_are_named_with_the_line_that_ignores_them(clone: Clone) -> None:
    clone.commit({".gitignore": "# build\n*.yaml\n!good.yaml\n", "p/.gitignore": "/secret\n"})
    for path in ("a.yaml", "good.yaml", "p/secret", "plain"):
        clone.write(path, "1\n")
    with pytest.raises(RepositoryError) as caught:
        readiness.check_not_ignored(clone.repo, ["a.yaml", "good.yaml", "p/secret", "plain"])
    assert "a.yaml (.gitignore:2: *.yaml)" in caught.value.message
    assert "p/secret (p/.gitignore:1: /secret)" in caught.value.message
    assert "good.yaml (" not in caught.value.message
    readiness.check_not_ignored(clone.repo, ["good.yaml", "plain"])
    assert commit_only(clone, ["good.yaml", "plain"], "Good") == clone.head


def test_a_tracked_file_is_committed_though_a_pattern_matches_it(clone: Clone) -> None:
    clone.commit({"a.yaml": "1\n"})
    clone.commit({".gitignore": "*.yaml\n"})
    clone.write("a.yaml", "2\n")
    assert commit_only(clone, ["a.yaml"], "Change") == clone.head


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
        commit_only(clone, ["ours"], "Change")
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
    commit_only(clone, ["ours"], "Change")
    assert (tmp_path / "seen").read_text() == "ours\nrefs/heads/main\n"


def test_a_hook_may_rewrite_what_is_committed(clone: Clone) -> None:
    clone.write("ours", "1\n")
    clone.write("theirs", "1\n")
    clone.git("add", "theirs")
    clone.hook("pre-commit", "echo formatted > ours; echo ours > list; git add ours list")
    clone.hook("commit-msg", 'echo "Change-Id: I123" >> "$1"')
    commit_only(clone, ["ours"], "Change\n\nKey: value\n")
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
        commit_only(clone, ["ours"], "Change")
    assert clone.git("log", "-1", "--format=%s") == "other"
    assert clone.status == ["?? ours"]


def test_what_people_staged_of_a_file_that_a_hook_adds_stays_staged(clone: Clone) -> None:
    clone.commit({"list": "1\n", "other": "1\n"})
    clone.write("list", "people's\n")
    clone.git("add", "list")
    clone.write("list", "1\n")
    clone.write("ours", "1\n")
    clone.hook("pre-commit", "echo hook > list; echo hook > other; git add list other")
    commit_only(clone, ["ours"], "Change")
    assert clone.git("show", "HEAD:list") == "hook"
    assert clone.git("show", ":list") == "people's"
    assert clone.git("show", ":other") == "hook"


def test_what_people_stage_of_our_file_while_a_hook_runs_stays_staged(clone: Clone) -> None:
    clone.write("ours", "1\n")
    blob = "$(echo staged | git hash-object -w --stdin)"
    stage = f"env -u GIT_INDEX_FILE git update-index --add --cacheinfo 100644,{blob},ours"
    clone.hook("pre-commit", stage)
    commit_only(clone, ["ours"], "Change")
    assert clone.git("show", "HEAD:ours") == "1"
    assert clone.git("show", ":ours") == "staged"


class _Meanwhile:
    """Does something right before git is started for a commit, once."""

    def __init__(self) -> None:
        self.act: list[Any] = []
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and "commit" in arguments[1] and self.act:
            self.act.pop()()


_MEANWHILE = _Meanwhile()


def test_a_commit_that_comes_in_right_before_ours_is_not_undone(clone: Clone) -> None:
    clone.write("ours", "1\n")

    def meanwhile() -> None:
        tree = clone.git("write-tree")
        other = clone.git("commit-tree", "-p", "HEAD", "-m", "other", tree)
        clone.git("update-ref", "refs/heads/main", other)

    _MEANWHILE.act = [meanwhile]
    with pytest.raises(RepositoryError, match="somebody else committed at the same moment"):
        commit_only(clone, ["ours"], "Change")
    assert clone.git("log", "-1", "--format=%s") == "other"
    assert clone.status == ["?? ours"]
    assert commit_only(clone, ["ours"], "Change") == clone.head


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
    commit_only(clone, ["ours"], "Signed")
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
        commit_only(clone, ["ours"], "Signed")
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
        commit_only(clone, ["ours"], "Signed")
    assert clone.snapshot() == before


# --- unusual repositories ------------------------------------------------


def test_a_linked_work_tree_is_committed_to_on_its_own_branch(clone: Clone, tmp_path: Path) -> None:
    clone.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    side = Clone(tmp_path / "side")
    before = clone.head
    side.write("ours", "1\n")
    made = commit_only(side, ["ours"], "Aside")
    assert (side.head, clone.head) == (made, before)
    assert side.status == clone.status == []


def test_a_submodule_is_committed_to_and_not_what_holds_it(clone: Clone, tmp_path: Path) -> None:
    inner = make(tmp_path / "inner")
    clone.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner.root), "sub")
    clone.git("commit", "-q", "-m", "Add sub")
    sub = Clone(clone.root / "sub")
    before = clone.head
    sub.write("ours", "1\n")
    made = commit_only(sub, ["ours"], "Inside")
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
        assert commit_only(clone, ["ours", "gone"], "Ours") == clone.head
        assert clone.committed() == {"ours": "A", "gone": "D"}
        assert clone.status == ["A  theirs"]
        clone.git("fsck", "--strict")


def test_a_sparse_checkout_stays_sparse(clone: Clone) -> None:
    clone.commit({"in/a": "1\n", "out/b": "1\n"})
    clone.git("sparse-checkout", "set", "in")
    assert not (clone.root / "out").exists()
    clone.write("in/ours", "1\n")
    commit_only(clone, ["in/ours"], "Ours")
    assert clone.committed() == {"in/ours": "A"}
    assert clone.status == []
    assert not (clone.root / "out").exists()


def test_line_ends_are_what_git_makes_of_them(clone: Clone) -> None:
    clone.git("config", "core.autocrlf", "true")
    clone.write("ours", "1\r\n2\r\n")
    commit_only(clone, ["ours"], "CRLF")
    assert clone.git("cat-file", "-s", "HEAD:ours") == "4"
    assert clone.status == []
    clone.write("ours", "1\n2\n")
    assert commit_only(clone, ["ours"], "LF") is None


@pytest.mark.parametrize("ignore_case", ["false", "true"])
def test_a_file_that_changes_only_the_case_of_its_name(clone: Clone, ignore_case: str) -> None:
    clone.git("config", "core.ignorecase", ignore_case)
    clone.commit({"p/Base.yaml": "1\n"})
    (clone.root / "p/Base.yaml").rename(clone.root / "p/base.yaml")
    commit_only(clone, ["p/base.yaml", "p/Base.yaml"], "Rename")
    assert clone.git("ls-tree", "-r", "--name-only", "HEAD").splitlines() == ["README", "p/base.yaml"]
    assert clone.git("ls-files").splitlines() == ["README", "p/base.yaml"]
    assert clone.status == []


def test_a_file_becomes_a_directory_and_back(clone: Clone) -> None:
    clone.commit({"x": "1\n"})
    (clone.root / "x").unlink()
    clone.write("x/y", "1\n")
    commit_only(clone, ["x", "x/y"], "Directory")
    assert clone.committed() == {"x": "D", "x/y": "A"}
    shutil.rmtree(clone.root / "x")
    clone.write("x", "2\n")
    commit_only(clone, ["x", "x/y"], "File")
    assert clone.committed() == {"x": "A", "x/y": "D"}
    assert clone.status == []


def test_names_that_are_pathspecs_or_options_are_plain_names(clone: Clone) -> None:
    names = [":(top)a", "*.yaml", "-f", "a b", "ä", "tab\there"]
    for name in names:
        clone.write(f"p/{name}", "1\n")
    clone.write("p/other.yaml", "1\n")
    commit_only(clone, [f"p/{name}" for name in names], "Odd")
    assert clone.git("ls-tree", "-r", "-z", "--name-only", "HEAD", "p/").count("\0") == len(names)
    assert clone.status == ["?? p/other.yaml"]


@pytest.mark.parametrize("changed", ["ours", "theirs"])
def test_a_change_within_the_same_moment_as_the_index_is_seen(clone: Clone, changed: str) -> None:
    """Git compares the content of a file that is as old as the index, as its times tell nothing."""
    clone.commit({"ours": "1\n", "theirs": "1\n"})
    # A change of times alone would be seen by the time of the inode, which cannot be set.
    clone.git("config", "core.trustctime", "false")
    moment = (1_700_000_000, 1_700_000_000)
    os.utime(clone.root / changed, moment)
    clone.git("update-index", "--refresh")
    os.utime(clone.root / ".git/index", moment)
    with (clone.root / changed).open("r+") as file:
        file.write("2\n")
    os.utime(clone.root / changed, moment)
    assert clone.git("diff", "--name-only") == changed
    if changed == "theirs":
        clone.write("ours", "another\n")
    assert commit_only(clone, ["ours"], "Change") == clone.head
    assert clone.git("diff", "--name-only", "HEAD") == ("theirs" if changed == "theirs" else "")
    assert clone.git("show", "HEAD:ours") == ("2" if changed == "ours" else "another")
