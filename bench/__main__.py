"""`python -m bench`: measure, print a table, and write docs/performance.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bench import cases, machine, report

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"


def main(arguments: list[str]) -> int:
    """Run the benchmarks; 0 however the goals are met, because a busy machine is no failure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes only; write no file")
    parser.add_argument("--output", type=Path, help=f"the page to write [docs/{PAGE.name}, with --quick none]")
    given = parser.parse_args(arguments)
    page = given.output or (None if given.quick else PAGE)
    facts = machine.facts()
    with tempfile.TemporaryDirectory(prefix="kasmgen-bench-") as directory:
        plan = cases.QUICK if given.quick else cases.WHOLE
        figures = cases.measure(Path(directory).resolve(), plan, lambda line: sys.stderr.write(f"{line}\n"))
    sys.stdout.write(report.table(figures))
    if page:
        page.write_text(report.page(figures, facts))
        sys.stderr.write(f"wrote {page}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
