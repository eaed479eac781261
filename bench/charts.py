"""The built-in chart against the chart that `helm create` makes, in one process.

Run as a program: `charts.py CHART DIRECTORY TIMES` prints four medians in seconds as JSON: one render of CHART and ten
of a chart that is made in DIRECTORY; then the same with the chart loaded for each render, as `helm template` does.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main(chart: str, directory: str, times: int) -> None:
    """Measure and print."""
    import helm_python

    # Any: libhelm's class has no types, and `create` is called for its effect on the disk, too.
    charts: Any = helm_python.Chart
    ours, simple = charts.load(chart), charts.create("simple", directory)
    made = str(Path(directory, "simple"))
    tasks: list[Callable[[], object]] = [
        lambda: _render(ours),
        lambda: [_render(simple) for _ in range(10)],
        lambda: _render(charts.load(chart)),
        lambda: [_render(charts.load(made)) for _ in range(10)],
    ]
    for task in tasks:
        task()
    found = [[_seconds(task) for task in tasks] for _ in range(times)]
    sys.stdout.write(json.dumps([statistics.median(side) for side in zip(*found, strict=True)]))


def _render(chart: Any) -> object:
    return chart.render({}, name="kasm", namespace="kasm")


def _seconds(task: Callable[[], object]) -> float:
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
