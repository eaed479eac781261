"""The bare work: renders with libhelm and builds with kustomize, one after the other, and nothing else.

Run as a program: `bare.py JOB.json`. The job has `chart` (a directory, or nothing to render), `renders` (values,
name, namespace) and `builds` (the argv of each).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def main(path: str) -> None:
    """Do the job in the file `path`."""
    job = json.loads(Path(path).read_text())
    if job["renders"]:
        import helm_python

        chart = helm_python.Chart.load(job["chart"])
        for render in job["renders"]:
            chart.render(render["values"], name=render["name"], namespace=render["namespace"])
    for argv in job["builds"]:
        subprocess.run(argv, check=True, capture_output=True)


if __name__ == "__main__":
    main(sys.argv[1])
