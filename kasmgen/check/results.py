"""What a run of `check` comes to: findings in order, and those that the project has switched off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kasmgen.check.rule import ERROR, Finding
from kasmgen.errors import InputError
from kasmgen.layout.paths import PROJECT_FILE
from kasmgen.project.config import CheckOff
from kasmgen.quantities import count


@dataclass(frozen=True)
class CheckReport:
    """findings: sorted, each once. silenced: those of rules that are switched off, with the reason.

    environments: what was looked at. skipped: what could not be looked at, in words.
    """

    findings: tuple[Finding, ...]
    silenced: tuple[tuple[Finding, str], ...] = ()
    environments: tuple[str, ...] = ()
    skipped: tuple[str, ...] = field(default=())

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(finding.severity == ERROR for finding in self.findings)

    @property
    def warnings(self) -> int:
        """How many are not."""
        return len(self.findings) - self.errors

    @property
    def summary(self) -> str:
        """One line for people."""
        found = ", ".join(count(number, what) for number, what in self._counts if number)
        off = f"; {count(len(self.silenced), 'finding')} switched off" if self.silenced else ""
        where = f" in {count(len(self.environments), 'environment')}" if self.environments else ""
        return f"{found or 'nothing found'}{where}{off}"

    @property
    def _counts(self) -> Sequence[tuple[int, str]]:
        return ((self.errors, "error"), (self.warnings, "warning"))


def report(
    findings: Iterable[Finding],
    off: Sequence[CheckOff],
    known: Mapping[str, object],
    environments: Sequence[str] = (),
    skipped: Sequence[str] = (),
) -> CheckReport:
    """The report. known: identifiers of all rules. Raises InputError if `off` names a rule that does not exist."""
    refuse_unknown(off, known)
    kept: list[Finding] = []
    silenced: list[tuple[Finding, str]] = []
    for finding in sorted(set(findings)):
        reason = _reason(finding, off)
        if reason is None:
            kept.append(finding)
        else:
            silenced.append((finding, reason))
    return CheckReport(tuple(kept), tuple(silenced), tuple(environments), tuple(skipped))


def refuse_unknown(off: Iterable[CheckOff], known: Mapping[str, object]) -> None:
    """Raise InputError if a rule is switched off that does not exist."""
    for switch in off:
        if switch.rule not in known:
            raise InputError(
                f"{PROJECT_FILE}: checks.off: there is no rule {switch.rule}", hint="docs/checks.md has all of them"
            )


def _reason(finding: Finding, off: Iterable[CheckOff]) -> str | None:
    """Why the finding is not wanted; None if it is."""
    for switch in off:
        everywhere = not switch.environments or finding.environment in switch.environments
        if switch.rule == finding.rule and everywhere:
            return switch.reason
    return None
