"""Age identities: where sops looks, and readable by nobody else."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kasmgen.errors import InputError, SecretError
from kasmgen.kubernetes.resources import Secret
from kasmgen.programs import age, sops
from kasmgen.secrets import sops_config
from tests.needs import program

pytestmark = pytest.mark.tool

NOW = datetime(2031, 5, 17, 12, 0, 0, tzinfo=UTC)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("SOPS_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_key_file_is_where_sops_looks(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    assert age.key_file() == home / ".config/sops/age/keys.txt"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert age.key_file() == home / "Library/Application Support/sops/age/keys.txt"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "xdg"))
    assert age.key_file() == home / "xdg/sops/age/keys.txt"
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(home / "mine"))
    assert age.key_file() == home / "mine"


def test_where_sops_would_find_no_directory_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    with pytest.raises(InputError, match="XDG_CONFIG_HOME"):
        age.key_file()
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.delenv("HOME")
    with pytest.raises(InputError, match="home"):
        age.key_file()


@pytest.mark.parametrize("setting", ["", "XDG_CONFIG_HOME", "SOPS_AGE_KEY_FILE"])
def test_sops_finds_the_identity_that_was_appended(home: Path, monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    if setting:
        monkeypatch.setenv(setting, str(home / "there"))
    public, secret = age.generate()
    age.append_identity(age.key_file(), public, secret, NOW)
    path = "overlays/prod/secrets/a.sops.yaml"
    config = sops_config.add_environment(b"", "prod", [public])
    content = sops.encrypt(sops.locate(), Secret('{"data": {"a": "YQ=="}}'), path=path, config=config)
    assert b'"YQ=="' in sops.decrypt(sops.locate(), content, name=path).reveal()


def test_file_and_directories_are_the_owners_alone_whatever_the_umask(home: Path) -> None:
    path = home / ".config/sops/age/keys.txt"
    old = os.umask(0)
    try:
        age.append_identity(path, *age.generate(), NOW)
    finally:
        os.umask(old)
    assert mode(path) == 0o600
    assert [mode(folder) for folder in (path.parent, path.parent.parent, home / ".config")] == [0o700] * 3


def test_the_entry_has_the_form_of_age_keygen(home: Path) -> None:
    public, secret = age.generate()
    age.append_identity(home / "keys.txt", public, secret, NOW)
    lines = (home / "keys.txt").read_text().splitlines()
    assert lines == ["# created: 2031-05-17T12:00:00Z", f"# public key: {public}", secret.reveal().decode()]
    out = subprocess.run([program("age-keygen"), "-y", home / "keys.txt"], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == public


def test_identities_that_are_there_stay(home: Path) -> None:
    path = home / "keys.txt"
    path.write_text("# an old one\nAGE-SECRET-KEY-OLD")
    path.chmod(0o600)
    for _ in range(2):
        age.append_identity(path, *age.generate(), NOW)
    lines = path.read_text().splitlines()
    assert lines[:2] == ["# an old one", "AGE-SECRET-KEY-OLD"]
    assert len(lines) == 8
    assert path.read_text().endswith("\n")


@pytest.mark.parametrize("wrong", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_gets_no_key(home: Path, wrong: int) -> None:
    path = home / "keys.txt"
    path.write_text("old\n")
    path.chmod(wrong)
    with pytest.raises(SecretError, match=f"mode {wrong:04o}") as caught:
        age.append_identity(path, *age.generate(), NOW)
    assert "chmod 600" in caught.value.hint
    assert path.read_text() == "old\n"


def test_what_is_no_plain_file_gets_no_key(home: Path) -> None:
    os.mkfifo(home / "fifo", 0o600)
    with pytest.raises(SecretError, match="no plain file"):
        age.append_identity(home / "fifo", *age.generate(), NOW)
    with pytest.raises(SecretError, match="cannot be written"):
        age.append_identity(home, *age.generate(), NOW)
    with pytest.raises(SecretError, match="cannot be written"):
        age.append_identity(home / "fifo" / "keys.txt", *age.generate(), NOW)


def test_a_key_file_in_the_repository_is_refused(home: Path) -> None:
    repository = home / "repo"
    repository.mkdir()
    (home / "link").symlink_to(repository)
    for path in (repository / "keys.txt", home / "link" / "deep" / "keys.txt", repository / ".." / "repo" / "k"):
        with pytest.raises(SecretError, match="inside the repository"):
            age.append_identity(path, *age.generate(), NOW, outside=repository)
    assert list(repository.iterdir()) == []
    age.append_identity(home / "keys.txt", *age.generate(), NOW, outside=repository)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_a_full_disk_leaves_the_file_as_it_was(home: Path) -> None:
    path = home / "keys.txt"
    path.write_text("old\n")
    path.chmod(0o600)
    code = (
        "import resource, signal, sys; from pathlib import Path; from datetime import datetime, UTC\n"
        "from kasmgen.programs import age\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "pair = age.generate()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))\n"
        "age.append_identity(Path(sys.argv[1]), *pair, datetime.now(UTC))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "cannot be written" in done.stderr
    assert path.read_text() == "old\n"
    assert "AGE-SECRET" not in done.stderr


def test_identities_differ_and_are_not_shown() -> None:
    (public, secret), (other, _) = age.generate(), age.generate()
    assert public != other
    assert public.startswith("age1")
    assert secret.reveal().startswith(b"AGE-SECRET-KEY-1")
    assert "AGE" not in repr(secret)


# --- taking one back ---------------------------------------------------------


@pytest.mark.usefixtures("home")
def test_taking_back_leaves_what_others_wrote_before_behind_and_without_a_newline() -> None:
    path = age.key_file()
    mine, theirs, later = age.generate(), age.generate(), age.generate()
    age.append_identity(path, *theirs, NOW)
    before = path.read_bytes()
    kept = age.append_identity(path, *mine, NOW)
    age.append_identity(path, *later, NOW)
    with path.open("ab") as file:
        file.write(b"# no newline at the end")
    assert kept.take_back()
    left = path.read_bytes()
    assert left.startswith(before)
    assert left.endswith(later[1].reveal() + b"\n# no newline at the end")
    assert (mine[1].reveal() in left, mine[0].encode() in left) == (False, False)
    assert not kept.take_back()
    assert path.read_bytes() == left


def test_taking_the_only_one_back_leaves_no_file_and_no_directory(home: Path) -> None:
    path = age.key_file()
    kept = age.append_identity(path, *age.generate(), NOW)
    assert kept.take_back()
    assert list(home.iterdir()) == []


@pytest.mark.usefixtures("home")
def test_a_directory_that_others_use_by_now_stays() -> None:
    kept = age.append_identity(age.key_file(), *age.generate(), NOW)
    other = age.key_file().parent / "others.txt"
    other.write_text("theirs")
    assert kept.take_back()
    assert (other.exists(), age.key_file().exists()) == (True, False)
