"""What a rule is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, Never, TypeAlias, TypeVar

Severity = Literal["error", "warning"]
ERROR: Severity = "error"
WARNING: Severity = "warning"

C = TypeVar("C")
C_contra = TypeVar("C_contra", contravariant=True)


@dataclass(frozen=True)
class Hit:
    """One place where a rule does not hold.

    message: what is wrong, one sentence without the place. path: from the project's
    root. object: as in "Deployment kasm-api in kasm". line: from 1, 0 if none can be
    named. next_step: where it is another than the rule's own.
    """

    message: str
    path: str = ""
    object: str = ""
    environment: str = ""
    line: int = 0
    next_step: str = ""


@dataclass(frozen=True, order=True)
class Finding:
    """A hit with the rule that it breaks: what people and programs are shown."""

    environment: str
    path: str
    line: int
    rule: str
    object: str
    message: str
    severity: Severity
    next_step: str


@dataclass(frozen=True)
class Rule(Generic[C_contra]):
    """A rule: its stable identifier, what it demands and why, and the function that looks.

    title: what is wrong when it fires, in a few words. meaning: why that matters, for the
    documentation. next_step: what to do about it. check: every hit in a context.
    """

    id: str
    severity: Severity
    title: str
    meaning: str
    next_step: str
    check: Callable[[C_contra], Iterable[Hit]]

    def findings(self, context: C_contra) -> Iterator[Finding]:
        """What the rule finds in `context`."""
        return map(self.finding, self.check(context))

    def finding(self, hit: Hit) -> Finding:
        """`hit` as a finding of this rule."""
        step = hit.next_step or self.next_step
        return Finding(hit.environment, hit.path, hit.line, self.id, hit.object, hit.message, self.severity, step)


AnyRule: TypeAlias = Rule[Never]
"""A rule, whatever it looks at: it can be shown, and not run."""


def run(rules: Iterable[Rule[C]], context: C) -> Iterator[Finding]:
    """What all of `rules` find in `context`."""
    for rule in rules:
        yield from rule.findings(context)
