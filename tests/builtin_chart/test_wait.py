"""The init containers that wait for a component, run with a real shell and curl against answers of every kind."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.builtin_chart.conftest import PLAIN, Object, Render, pod_specs
from tests.needs import program
from tests.waiting import GUARD

pytestmark = pytest.mark.tool

HANG = 0


@contextmanager
def answering(*statuses: int) -> Iterator[tuple[int, list[str]]]:
    """A server that gives these statuses, one a request, and 200 from then on: its port, and what was asked."""
    asked: list[str] = []
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = statuses[len(asked)] if len(asked) < len(statuses) else 200
            asked.append(self.path)
            if status == HANG:
                over.wait()
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class' name)
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def waiting(render: Render, service: str) -> Object:
    """The container that waits for a service; all that do are alike."""
    found = [
        container
        for template in pod_specs(render(PLAIN)).values()
        for container in template["spec"].get("initContainers", [])
        if container["name"] == f"{service}-is-ready"
    ]
    assert found == found[:1] * len(found) != []
    return found[0]


def run(container: Object, port: int, tmp_path: Path, longest: int = 600) -> subprocess.CompletedProcess[str]:
    """The container's command. Service names lead to the port, its pauses are short; longest: seconds for an answer."""
    program("curl")
    (tmp_path / "sleep").write_text("#!/bin/sh\nexec /bin/sleep 0.05\n")
    (tmp_path / "sleep").chmod(0o755)
    return subprocess.run(
        [*container["command"], container["args"][0].replace("--max-time 10", f"--max-time {longest}")],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "http_proxy": f"http://127.0.0.1:{port}"},
        capture_output=True,
        text=True,
        timeout=GUARD,
        check=False,
    )


def test_a_component_is_waited_for_until_it_answers_well(render: Render, tmp_path: Path) -> None:
    """D-64: an answer is not enough, it must be a good one."""
    statuses = [503, 404, 500, 401]
    with answering(*statuses) as (port, asked):
        done = run(waiting(render, "kasm-api"), port, tmp_path)
    assert done.returncode == 0
    assert asked == ["http://kasm-api:8080/api/__healthcheck"] * 5
    assert done.stdout.count("waiting for kasm-api") == 4


def test_a_connection_that_hangs_is_given_up_and_tried_again(render: Render, tmp_path: Path) -> None:
    container = waiting(render, "kasm-api")
    assert "--max-time 10 " in container["args"][0]
    # The first connection stays open to the end: what waited for its answer would never ask again.
    with answering(HANG) as (port, asked):
        done = run(container, port, tmp_path, longest=1)
    assert done.returncode == 0
    # On a busy machine a good answer may take too long as well, and is asked for again.
    assert len(asked) >= 2


def test_no_answer_at_all_is_waited_out(render: Render) -> None:
    with answering() as (port, _):
        pass
    container = waiting(render, "kasm-api")
    with subprocess.Popen(
        [*container["command"], container["args"][0].replace("sleep 5", "sleep 0.1")],
        env={"PATH": os.environ["PATH"], "http_proxy": f"http://127.0.0.1:{port}"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        said = [process.stdout.readline() for _ in range(3)]
        assert process.poll() is None
        process.kill()
    assert ["waiting for kasm-api" in line for line in said] == [True, True, True]
