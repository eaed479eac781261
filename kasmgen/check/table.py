"""All rules, and their documentation."""

from __future__ import annotations

from kasmgen.check.rule import AnyRule
from kasmgen.check.rules import (
    expiry,
    generated,
    inputs,
    leaks,
    overlays,
    reconcilers,
    references,
    sealed_files,
    since_base,
    tracked_files,
    validity,
)

GROUPS: tuple[tuple[str, str, tuple[AnyRule, ...]], ...] = (
    ("1", "Generated files", generated.RULES),
    ("2", "Builds", overlays.RULES),
    ("3", "Objects and references", (*validity.RULES, *references.RULES)),
    ("4", "Secrets", (*sealed_files.RULES, *leaks.RULES, *inputs.RULES)),
    ("5", "Certificates", expiry.RULES),
    ("6", "Flux", reconcilers.RULES),
    ("7", "Immutable fields and data", since_base.RULES),
    ("8", "Repository", tracked_files.RULES),
)
"""First digit of the identifiers, what the group is about, and its rules."""

RULES: dict[str, AnyRule] = {rule.id: rule for _, _, rules in GROUPS for rule in rules}
"""Every rule by its identifier."""

_HEAD = """\
# Rules of `kasmgen check`

`kasmgen check` looks for everything that can be known before Flux tries. It needs no cluster and no private key. An
error makes it end with exit code 1; a warning does so with `--strict` only.

A rule can be switched off for a project, or for some of its environments, with a reason. In `kasmgen.yaml`:

```yaml
checks:
  off:
  - rule: KG502
    reason: certificates of dev are replaced by hand each quarter
    environments: [dev]
```

What is switched off is still counted and shown, and stands in the SARIF output as suppressed.
"""


def documentation() -> str:
    """`docs/checks.md`."""
    parts = [_HEAD, "| Rule | Severity | What is wrong |\n|---|---|---|\n" + "".join(map(_row, RULES.values()))]
    for digit, about, rules in GROUPS:
        parts.append(f"## {digit}xx: {about}\n")
        parts += [_section(rule) for rule in rules]
    return "\n".join(parts)


def _row(rule: AnyRule) -> str:
    return f"| [{rule.id}](#{rule.id.lower()}) | {rule.severity} | {_capital(rule.title)} |\n"


def _section(rule: AnyRule) -> str:
    head = f"### {rule.id}\n\n**{_capital(rule.title)}** ({rule.severity})\n"
    return f"{head}\n{rule.meaning}\n\nNext step: {rule.next_step}.\n"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
