"""libhelm in a process of its own, so that a chart that renders without end takes nothing else with it.

Run as a program, with the bytes of memory that it may use. It greets with one line of JSON and answers each line
that it reads with another, in the order in which the renders end. It ends when its input does.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import BinaryIO, TypedDict


class Request(TypedDict):
    """A line that is read: render `chart`, a directory, as the release `name`."""

    id: int
    chart: str
    values: dict[str, object]
    name: str
    namespace: str


def main(memory: int) -> None:
    """Answer until there is nobody left to ask."""
    with suppress(ValueError, OSError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    # Who asks decides when a render is given up, and says so by closing the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # whatever a library prints must not look like an answer
        greeting = _greeting()
        _tell(answers, greeting)
        if "missing" in greeting:
            return
        with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
            for line in sys.stdin.buffer:
                pool.submit(_serve, answers, json.loads(line))
            # A render that goes on is of use to nobody any more.
            os._exit(0)


def _greeting() -> dict[str, object]:
    try:
        import helm_python

        return {"id": 0, "path": str(helm_python.library_path), "version": helm_python.helm_sdk_version()}
    except Exception as error:  # noqa: BLE001 - a broken native library raises whatever its loader raises
        return {"id": 0, "missing": type(error).__name__}


def _serve(answers: BinaryIO, request: Request) -> None:
    try:
        _tell(answers, {"id": request["id"], **_render(request)})
    except BaseException:  # noqa: BLE001 - out of memory, or nobody reads: an answer that never comes is waited for
        os._exit(1)


def _render(request: Request) -> dict[str, object]:
    import helm_python
    from helm_python.errors import HelmError

    try:
        # Loaded anew for each render: a render takes the subcharts that its values turn off out of the loaded chart.
        with helm_python.Chart.load(request["chart"]) as loaded:
            texts = loaded.render(request["values"], name=request["name"], namespace=request["namespace"])
            return {"texts": texts, "crds": {crd["filename"]: crd["data"] for crd in loaded.crds}}
    except HelmError as error:
        return {"refused": str(error)}
    except UnicodeDecodeError:
        return {"unreadable": True}


def _tell(answers: BinaryIO, answer: dict[str, object]) -> None:
    # One write for one line: several threads write.
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
