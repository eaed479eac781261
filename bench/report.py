"""What was measured, as a table on the terminal and as docs/performance.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    value: in `unit`, which is "" for a ratio, "MB" (10^6 bytes) or "s". goal: at most this,
    None for a figure without one. ours, reference: median seconds of a ratio's two sides.
    """

    what: str
    against: str
    value: float
    goal: float | None = None
    unit: str = ""
    ours: float | None = None
    reference: float | None = None
    runs: int = 1

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        return None if self.goal is None else self.value <= self.goal


HEAD = ("What", "Against", "Ours", "Theirs", "Runs", "Figure", "Goal", "Met")


def row(figure: Figure) -> tuple[str, ...]:
    """The figure as texts, one for each column of HEAD."""
    met = {None: "", True: "yes", False: "**no**"}[figure.met]
    goal = "" if figure.goal is None else f"≤ {_amount(figure.goal, figure.unit)}"
    sides = (_seconds(figure.ours), _seconds(figure.reference))
    return (figure.what, figure.against, *sides, str(figure.runs), _amount(figure.value, figure.unit), goal, met)


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def _amount(value: float, unit: str) -> str:
    return f"{value:.0f} MB" if unit == "MB" else f"{value:.2f} {unit}".strip()


def table(figures: Sequence[Figure]) -> str:
    """The figures for a terminal."""
    rows = [HEAD, *(tuple(cell.replace("`", "").replace("**", "") for cell in row(figure)) for figure in figures)]
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(HEAD))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) for cells in rows)
    return "".join(f"{line.rstrip()}\n" for line in lines)


_PAGE = """\
# Performance

Written by `make bench` from one run; do not edit. Other machines give other seconds; the ratios are what the goals are
about. Both sides of a ratio ran in turns on the same machine, and each figure is a median.

## The machine

{machine}

## Figures

{figures}

{verdict}

## What is compared

- **`--help`**: the console script against a Python that imports click and does nothing.
- **`env add`**: against a shell script (`bench/by_hand.sh`) that does the same by hand, one step after the other:
  `openssl req` for the four key pairs (the ingress RSA 4096, the others RSA 2048), a render with libhelm,
  `kubectl kustomize`, `sops encrypt` for five Secrets, `git add` and `git commit`. An RSA key takes a different time
  each time, hence the many runs.
- **`render`**: against the bare work that it cannot do without, one after the other in one process: two renders with
  libhelm for each environment and two for the base, and one `kubectl kustomize` for each environment. "All changed":
  the size of every environment was changed, so that every overlay is written and committed. "Nothing changed": the run
  that finds so.
- **Memory**: the highest resident size of the process, or of a program that it started.
- **The built-in chart**: rendering it with its own defaults against rendering the chart that `helm create` makes ten
  times over, in one process, both charts loaded before; and with both loaded each time, as `helm template` does.
- **`diff`**: two commits between which the size of every environment changed, against building both with
  `kubectl kustomize`, one after the other.
- **`check`**: against the builds alone, and against the renders and builds that proving every environment exact takes.
  `check --staged`: every file of the environments is staged.

`python -m bench --quick` runs the small sizes only and writes no file.
"""


def page(figures: Sequence[Figure], machine: Mapping[str, str]) -> str:
    """docs/performance.md. machine: what the run ran on, name -> value."""
    missed = [figure for figure in figures if figure.met is False]
    goals = sum(figure.goal is not None for figure in figures)
    verdict = (
        f"All {goals} goals are met."
        if not missed
        else f"{len(missed)} of {goals} goals are missed: " + "; ".join(figure.what for figure in missed) + "."
    )
    return _PAGE.format(
        machine=_markdown(("", ""), list(machine.items())),
        figures=_markdown(HEAD, [row(figure) for figure in figures]),
        verdict=verdict,
    )


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
