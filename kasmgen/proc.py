"""The one door to other programs."""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kasmgen import names
from kasmgen.errors import ToolError

log = logging.getLogger("kasmgen")

# Variables that change to whom sops encrypts, or that hand it a key: no child needs them
# unless it decrypts.
SECRET_VARIABLES = ("SOPS_",)


@dataclass(frozen=True)
class Result:
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
) -> Result:
    """Run a program and wait for it.

    env: the whole environment of the child (default: `clean_environment()`).
    ok: exit codes that are no error. secret: keep the program's output out of
    errors and logs. timeout: seconds.
    Raises ToolError if the program is missing, takes too long or ends otherwise.
    """
    name = Path(argv[0]).name
    log.debug("$ %s", names.escaped(shlex.join([name, *argv[1:]])))
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            cwd=cwd,
            env=dict(env) if env is not None else clean_environment(),
            timeout=timeout,
            check=False,
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
    except subprocess.TimeoutExpired:
        raise ToolError(f"{name} did not finish within {timeout:.0f} seconds") from None
    if done.returncode not in ok:
        raise ToolError(
            f"{name} {argv[1] if len(argv) > 1 else ''} failed with exit code {done.returncode}"
            + ("" if secret else _said(done.stderr))
        )
    return Result(done.returncode, done.stdout, done.stderr)


def _said(stderr: bytes) -> str:
    text = stderr.decode("utf-8", errors="replace").strip()
    if not text:
        return ""
    return ": " + (text if len(text) <= 2000 else text[:1000] + " ... " + text[-1000:])
