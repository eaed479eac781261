"""Run one program and write down its seconds, its peak memory and its exit code.

Run as a program: `launch.py RESULT PROGRAM...`. It is a process of its own because Linux counts the memory of whoever
starts a program as the program's: this one is small.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time


def main(result: str, *argv: str) -> None:
    """Run `argv` and write "seconds bytes code" to the file `result`."""
    start = time.perf_counter()
    child = subprocess.Popen(argv)
    # wait4 and no other wait: the rusage of this one child and of what it waited for.
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    with open(result, "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib would be a third of its memory
        file.write(f"{seconds} {usage.ru_maxrss * unit} {child.returncode}")


if __name__ == "__main__":
    main(*sys.argv[1:])
