"""The one root of all errors, and the exit code each one ends with."""

from __future__ import annotations

from typing import ClassVar


class KasmgenError(Exception):
    """What a user may meet: what was wrong, where, and the next step.

    `message` says what and where in one sentence, `hint` the next step (without
    one, what usually helps with errors of its class). Neither ever holds a secret value.
    """

    code: ClassVar[int] = 70
    meaning: ClassVar[str] = "a bug in kasmgen"
    usual_step: ClassVar[str] = "please report it, with the command"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.usual_step


class AnswerIsNo(KasmgenError):  # noqa: N818 - the answer is no error of anybody
    """A question was asked and the answer is no: stale, different, failed."""

    code = 1
    meaning = "the answer is no (difference found, check failed)"
    usual_step = ""


class InputError(KasmgenError):
    """An option, a file that people write, or a chart is not what it must be."""

    code = 2
    meaning = "usage or input"
    usual_step = "correct it and run the command again; --help shows examples"


class ToolError(KasmgenError):
    """A program is missing, too old, or failed."""

    code = 3
    meaning = "a program is missing, too old or failed"
    usual_step = "`kasmgen doctor` shows which programs were found"


class SecretError(KasmgenError):
    """A secret or a key is missing, does not fit, or would have leaked."""

    code = 4
    meaning = "secret or key"
    usual_step = "`kasmgen doctor` shows where keys are looked for"


class RepositoryError(KasmgenError):
    """The Git repository or its files are in a state that kasmgen must not touch."""

    code = 5
    meaning = "repository state"
    usual_step = "`git status` shows the state"


EXIT_CODES: dict[int, str] = {
    0: "done",
    **{e.code: e.meaning for e in (AnswerIsNo, InputError, ToolError, SecretError, RepositoryError, KasmgenError)},
    130: "interrupted",
}
"""Exit code of the command line -> what it means."""
