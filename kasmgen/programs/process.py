"""The one door to other programs."""

from __future__ import annotations

import logging
import os
import resource
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from kasmgen import safe_text
from kasmgen.errors import ToolError

log = logging.getLogger("kasmgen")

# Variables that change to whom sops encrypts, or that hand it a key: no child needs them
# unless it decrypts.
SECRET_VARIABLES = ("SOPS_",)


class TimedOutError(ToolError):
    """A program took longer than it may."""


@dataclass(frozen=True)
class Completed:
    """What a program left behind: exit code and both outputs."""

    code: int
    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without the variables of sops, plus `extra`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(SECRET_VARIABLES)}
    return {**kept, **(extra or {})}


def run(
    *argv: str,
    stdin: bytes | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    ok: Sequence[int] = (0,),
    secret: bool = False,
    timeout: float = 600,
    memory: int = 0,
) -> Completed:
    """Run a program and wait for it.

    env: the whole environment of the child (default: `clean_environment()`).
    ok: exit codes that are no error. secret: keep the program's output out of
    errors and logs. timeout: seconds. memory: bytes that it may use, where the
    system has such a limit.
    Raises ToolError if the program is missing, takes too long (TimedOutError) or ends otherwise.
    """
    name = Path(argv[0]).name
    with _started(argv, stdin is not None, cwd, env) as process:
        if memory:
            _limit(process.pid, memory)
        try:
            out, err = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise TimedOutError(f"{name} did not finish within {timeout:.0f} seconds") from None
        except BaseException:
            process.kill()
            raise
    if process.returncode not in ok:
        raise ToolError(
            f"{name} {argv[1] if len(argv) > 1 else ''} failed with exit code {process.returncode}"
            + ("" if secret else _said(err))
        )
    return Completed(process.returncode, out, err)


@dataclass(frozen=True)
class Conversation:
    """A program that is asked and answers as long as kasmgen runs; it ends when its `stdin` does."""

    stdin: IO[bytes]
    stdout: IO[bytes]
    kill: Callable[[], None]
    wait: Callable[[], int]


def start(*argv: str) -> Conversation:
    """Start a program to talk with; what it says on stderr is dropped. Raises as `run` does."""
    process = _started(argv, True, None, None, subprocess.DEVNULL)
    assert process.stdin and process.stdout
    return Conversation(process.stdin, process.stdout, process.kill, process.wait)


def note(argv: Sequence[str]) -> None:
    """Tell who asked for it (-vv) which program is run."""
    log.debug("$ %s", safe_text.escaped(shlex.join([Path(argv[0]).name, *argv[1:]])))


def _started(
    argv: Sequence[str],
    speaks: bool,
    cwd: Path | None,
    env: Mapping[str, str] | None,
    stderr: int = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    name = Path(argv[0]).name
    note(argv)
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.PIPE if speaks else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=cwd,
            env=dict(env) if env is not None else clean_environment(),
        )
    except FileNotFoundError:
        if cwd is not None and not cwd.is_dir():
            raise ToolError(f"{name} cannot run in {cwd}: there is no such directory") from None
        raise ToolError(f"the program {argv[0]} was not found", hint="`kasmgen doctor` shows what is missing") from None
    except ValueError:
        raise ToolError(f"{name} cannot be given an argument with a NUL character in it") from None
    except PermissionError:
        raise ToolError(f"the program {argv[0]} may not be run", hint=f"chmod +x {argv[0]}") from None
    except OSError as error:
        raise ToolError(f"the program {argv[0]} could not be started: {error.strerror}") from None


def _limit(pid: int, memory: int) -> None:
    if hasattr(resource, "prlimit"):  # some systems do without
        with suppress(ProcessLookupError):  # it has ended already
            resource.prlimit(pid, resource.RLIMIT_DATA, (memory, memory))


def _said(stderr: bytes) -> str:
    text = stderr.decode("utf-8", errors="replace").strip()
    if not text:
        return ""
    return ": " + (text if len(text) <= 2000 else text[:1000] + " ... " + text[-1000:])
