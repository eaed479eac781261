"""`kasmgen check`: everything that can be known before Flux tries."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kasmgen.check import reporters, results
from kasmgen.check.results import CheckReport
from kasmgen.check.table import RULES
from kasmgen.errors import InputError

if TYPE_CHECKING:
    from kasmgen.check import run as check_run
    from kasmgen.programs.libhelm import HelmLibrary

Progress = Callable[[str], None]


@dataclass(frozen=True)
class CheckRequest:
    """What the command line asked for.

    environments: empty for all.
    days: how long a certificate must still last without a warning. kubernetes_version:
    "1.34", "" for the newest that is known. base: revision to compare with, "" for the
    one that `repository.baseline` finds. schemas, history, keys: whether to validate
    objects, compare with `base`, and open sealed files with a key at hand.
    """

    environments: Sequence[str] = ()
    days: int = 30
    kubernetes_version: str = ""
    base: str = ""
    schemas: bool = True
    history: bool = True
    keys: bool = True


def run(start: Path, request: CheckRequest, helm: HelmLibrary, progress: Progress = lambda _: None) -> CheckReport:
    """What the rules find. Raises KasmgenError where there is nothing to check, or a program is missing."""
    # Imported here: a hook before every commit has no time for what rendering needs.
    from kasmgen.check import run as check_run

    checked = check_run.check(
        start, lambda known: _select(known, request.environments), _settings(request), helm, progress
    )
    return results.report(checked.findings, checked.off, RULES, checked.environments, checked.skipped)


def run_staged(start: Path) -> CheckReport:
    """What the secret rules find in what is staged. Raises KasmgenError where there is nothing to check."""
    from kasmgen.check import index

    project, findings = index.check(start)
    environments = sorted({finding.environment for finding in findings} - {""})
    return results.report(findings, project.checks.off, RULES, environments)


def _select(known: Iterable[str], names: Sequence[str]) -> list[str]:
    """The environments that were named, all of them if none was. Raises InputError for one that does not exist."""
    there = sorted(known)
    for name in names:
        if name not in there:
            near = difflib.get_close_matches(name, there, 1, 0.5)
            hint = f"perhaps you meant '{near[0]}'" if near else f"there are: {', '.join(there) or 'none yet'}"
            raise InputError(f"there is no environment '{name}'", hint=hint)
    return list(dict.fromkeys(names)) or there


def _settings(request: CheckRequest) -> check_run.CheckSettings:
    from kasmgen.check import run as check_run

    return check_run.CheckSettings(
        datetime.now(UTC),
        request.days,
        request.kubernetes_version,
        request.base,
        request.schemas,
        request.history,
        request.keys,
    )


def write(found: CheckReport, format_: str) -> str:
    """The report in one of `formats.FORMATS`."""
    return reporters.FORMATS[format_](found, RULES)
