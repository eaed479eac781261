"""age identities: making one, keeping it where sops looks, and for which recipients one is at hand."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from kasmgen.errors import InputError, SecretError
from kasmgen.kubernetes.resources import Secret

SETTING = "SOPS_AGE_KEY_FILE"

_IDENTITY = re.compile(r"^[ \t]*(AGE-SECRET-KEY-1[0-9A-Z]+)[ \t\r]*$", re.MULTILINE)
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


@dataclass(frozen=True)
class KeptIdentity:
    """An identity that was appended to a key file: `text` is exactly what was written there.

    made: the file and the directories that were made for it, inner ones first.
    """

    path: Path
    text: bytes = field(repr=False)
    made: tuple[Path, ...] = ()

    def take_back(self) -> bool:
        """Take exactly this out of the file again; what others wrote before it, behind it or meanwhile stays.

        Whether it was still there. Raises SecretError if the file cannot be written.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _unwritable(self.path, error) from None
        try:
            found = _cut(descriptor, self.text)
        except OSError as error:
            raise _unwritable(self.path, error) from None
        finally:
            os.close(descriptor)
        if found:
            self._remove_made()
        return found

    def _remove_made(self) -> None:
        for place in self.made:
            with suppress(OSError):  # somebody else uses it by now
                if place != self.path:
                    place.rmdir()
                elif place.stat().st_size == 0:
                    place.unlink()


def append_identity(
    path: Path, public: str, secret: Secret, now: datetime, *, outside: Path | None = None
) -> KeptIdentity:
    """Append an identity to the key file, in age-keygen's form, readable by its owner alone.

    Directories that are missing are made with mode 0700, the file with 0600 from the
    start. outside: a directory, the repository, that the file must not be in.
    Raises SecretError if others may read the file, if it is no plain file, if it is
    in `outside`, or if it cannot be written; nothing of it is in the file then.
    """
    if outside is not None and path.resolve().is_relative_to(outside.resolve()):
        raise SecretError(
            f"the key file {path} is inside the repository, where it would be committed",
            hint=f"set {SETTING} to a path outside {outside}",
        )
    made = tuple(place for place in (path, *path.parents) if not place.exists())
    entry = f"# created: {now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}\n# public key: {public}\n".encode()
    try:
        _make_private(path.parent)
        # Read access too: whether the last line ends decides how to begin.
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise _unwritable(path, error, hint=f"set {SETTING} to another path") from None
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        _refuse_shared(os.fstat(descriptor), path)
        gap = b"" if _ends_line(descriptor) else b"\n"
        text = gap + entry + secret.reveal() + b"\n"
        kept = KeptIdentity(path, text, made)
        written = 0
        try:
            written = file.write(text) or 0
            if written != len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        except OSError as error:
            KeptIdentity(path, text[:written], made).take_back()
            raise _unwritable(path, error) from None
    return kept


def _unwritable(path: Path, error: OSError, hint: str = "") -> SecretError:
    return SecretError(f"the key file {path} cannot be written: {error.strerror}", hint=hint)


def _cut(descriptor: int, text: bytes) -> bool:
    """Take the last occurrence of `text` out of a file, moving up what stands behind it; whether it was there.

    What stands behind is cut off only once all of it was moved, so that a kill in between loses nothing.
    """
    content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    target = content.rfind(text) if text else -1
    if target < 0:
        return False
    source = target + len(text)
    while part := os.pread(descriptor, 2**16, source):
        os.pwrite(descriptor, part, target)
        source += len(part)
        target += len(part)
    os.ftruncate(descriptor, target)
    os.fsync(descriptor)
    return True


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
