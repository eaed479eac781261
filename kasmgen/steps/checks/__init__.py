"""The rules of `kasmgen check`: pure functions in one table, and what is written about their findings."""

from __future__ import annotations


def documentation() -> str:
    """`docs/checks.md`, from the table of rules."""
    # Imported here: whoever needs one rule does not need the table.
    from kasmgen.steps.checks import table

    return table.documentation()
