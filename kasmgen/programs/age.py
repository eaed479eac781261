"""age identities: making one, keeping it where sops looks, and for which recipients one is at hand."""

from __future__ import annotations

import os
import re
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path

from kasmgen.errors import InputError, SecretError
from kasmgen.kubernetes.resources import Secret

SETTING = "SOPS_AGE_KEY_FILE"

_IDENTITY = re.compile(r"^\s*(AGE-SECRET-KEY-1[0-9A-Z]+)\s*$", re.MULTILINE)
_LARGEST = 1024 * 1024


def generate() -> tuple[str, Secret]:
    """A new X25519 identity: the recipient (age1...) and the private key (AGE-SECRET-KEY-1...)."""
    # Imported here: a compiled library that most commands do without.
    import pyrage

    identity = pyrage.x25519.Identity.generate()
    return str(identity.to_public()), Secret(str(identity))


def key_file() -> Path:
    """The file where sops looks for age identities: SOPS_AGE_KEY_FILE, else its default.

    The default is `sops/age/keys.txt` below XDG_CONFIG_HOME, or below `~/.config`
    (macOS: `~/Library/Application Support`), as in getsops/sops age/keysource.go.
    Raises InputError where sops would find no directory either.
    """
    if setting := os.environ.get(SETTING):
        return Path(setting).absolute()
    config = os.environ.get("XDG_CONFIG_HOME", "")
    if config and not Path(config).is_absolute():
        raise InputError(
            f"XDG_CONFIG_HOME is {config}, which is no absolute path; sops refuses it",
            hint=f"correct it, or set {SETTING}",
        )
    if config:
        return Path(config, "sops", "age", "keys.txt")
    home = os.environ.get("HOME")
    if not home:
        raise InputError("there is no home directory to keep an age identity in", hint=f"set HOME or {SETTING}")
    below = ("Library", "Application Support") if sys.platform == "darwin" else (".config",)
    return Path(home, *below, "sops", "age", "keys.txt")


def append_identity(path: Path, public: str, secret: Secret, now: datetime, *, outside: Path | None = None) -> None:
    """Append an identity to the key file, in age-keygen's form, readable by its owner alone.

    Directories that are missing are made with mode 0700, the file with 0600 from the
    start. outside: a directory, the repository, that the file must not be in.
    Raises SecretError if others may read the file, if it is no plain file, if it is
    in `outside`, or if it cannot be written.
    """
    if outside is not None and path.resolve().is_relative_to(outside.resolve()):
        raise SecretError(
            f"the key file {path} is inside the repository, where it would be committed",
            hint=f"set {SETTING} to a path outside {outside}",
        )
    entry = f"# created: {now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}\n# public key: {public}\n".encode()
    try:
        _make_private(path.parent)
        # Read access too: whether the last line ends decides how to begin.
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise SecretError(
            f"the key file {path} cannot be written: {error.strerror}", hint=f"set {SETTING} to another path"
        ) from None
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        _refuse_shared(os.fstat(descriptor), path)
        gap = b"" if _ends_line(descriptor) else b"\n"
        written = gap + entry + secret.reveal() + b"\n"
        before = os.fstat(descriptor).st_size
        try:
            if file.write(written) != len(written):
                raise OSError(28, "no space left on device")
            os.fsync(descriptor)
        except OSError as error:
            os.ftruncate(descriptor, before)
            raise SecretError(f"the key file {path} cannot be written: {error.strerror}") from None


def _make_private(folder: Path) -> None:
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(mode=0o700, exist_ok=True)


def _refuse_shared(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SecretError(f"the key file {path} is no plain file", hint=f"set {SETTING} to another path")
    if status.st_mode & 0o077:
        raise SecretError(
            f"others may read the key file {path} (mode {stat.S_IMODE(status.st_mode):04o})",
            hint=f"chmod 600 {path}, and think about who has read it",
        )


def _ends_line(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"


def recipients() -> frozenset[str]:
    """The age recipients (age1...) whose private key sops would find in its variable or its key file.

    Other ways to a key (SSH, plugins, commands, key services) are not asked.
    """
    texts = [os.environ.get("SOPS_AGE_KEY", ""), _key_text()]
    found = [identity for text in texts for identity in _IDENTITY.findall(text)]
    if not found:
        return frozenset()
    # Imported here: a compiled library, and mostly there is no key.
    import pyrage

    out = set()
    for identity in found:
        try:
            out.add(str(pyrage.x25519.Identity.from_str(identity).to_public()))
        except (pyrage.IdentityError, ValueError):
            continue
    return frozenset(out)


def _key_text() -> str:
    try:
        path = key_file()
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return ""
        return path.read_text("utf-8", errors="replace")
    except (OSError, InputError):
        return ""
