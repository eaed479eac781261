"""Redis: the rendered script, probes and wait run with the real server."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import waiting
from tests.builtin_chart.conftest import PLAIN, Object, Render, containers, pod_specs
from tests.builtin_chart.postgres_harness import free_port, give_away, unprivileged, workspace
from tests.builtin_chart.test_postgres import UGLY
from tests.needs import program
from tests.some import some

pytestmark = pytest.mark.tool

EVERYTHING = "".join(UGLY)


@dataclass
class Redis:
    """The container on this machine; data and everything else writable is below `root`."""

    root: Path
    container: Object
    password: str
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.root / "data"

    def environment(self, **more: str) -> dict[str, str]:
        path = os.pathsep.join([str(self.root / "bin"), os.environ["PATH"]])
        return {"PATH": path, "REDIS_PASSWORD": self.password, **more}

    def here(self, script: str) -> str:
        """A rendered script with the container's port and directory mapped to this machine's."""
        return script.replace("6379", str(self.port)).replace("/data", str(self.data))

    def start(self) -> None:
        (self.root / "bin").mkdir()
        self.data.mkdir()
        give_away(self.data)
        # Every program that the script could start notes its arguments first.
        for name in ("redis-server", "redis-cli", "od", "tr", "sed", "printf", "cat", "env"):
            wrapper = self.root / "bin" / name
            real = shutil.which(name) or program(name)
            wrapper.write_text(f'#!/bin/sh\necho {name} "$@" >>\'{self.root}/calls\'\nexec {real} "$@"\n')
            wrapper.chmod(0o755)
        (self.root / "calls").touch()
        give_away(self.root / "calls")
        (script,) = self.container["args"]
        self.process = subprocess.Popen(
            unprivileged([*self.container["command"], self.here(script)]),
            env=self.environment(),
            # Where it could write nothing even if it wanted to.
            cwd="/",
            stdout=(self.root / "log").open("wb"),
            stderr=subprocess.STDOUT,
        )
        waiting.until(self.is_ready, "redis")

    def is_ready(self) -> bool:
        assert self.process.poll() is None, (self.root / "log").read_text()
        return self.probe("readinessProbe") == 0

    def probe(self, kind: str, **environment: str) -> int:
        command = [self.here(part) for part in self.container[kind]["exec"]["command"]]
        done = subprocess.run(command, env=self.environment(**environment), capture_output=True, check=False)
        return done.returncode

    def ask(self, *command: str, password: str | None = None) -> str:
        """What redis-cli prints, errors of the server too."""
        auth = self.password if password is None else password
        done = subprocess.run(
            [program("redis-cli"), "-p", str(self.port), *command],
            env={"PATH": os.environ["PATH"], **({"REDISCLI_AUTH": auth} if auth else {})},
            text=True,
            capture_output=True,
            check=False,
        )
        return done.stdout.strip()


def parts(render: Render) -> tuple[Object, Object]:
    """Redis' own container, and the one of share that waits for it."""
    templates = pod_specs(render(PLAIN))
    (server,) = containers(templates["Deployment/kasm-redis-deployment"])
    (wait,) = [c for c in containers(templates["Deployment/kasm-share-deployment"]) if c["name"] == "redis-is-ready"]
    return server, wait


@contextlib.contextmanager
def started(render: Render, password: str) -> Iterator[Redis]:
    with workspace() as root:
        redis = Redis(root, parts(render)[0], password, free_port())
        try:
            redis.start()
            yield redis
        finally:
            if redis.process:
                redis.process.terminate()
                redis.process.wait(timeout=waiting.GUARD)


@pytest.fixture(scope="module")
def redis(render: Render) -> Iterator[Redis]:
    with started(render, EVERYTHING) as found:
        yield found


def test_any_password_is_the_one_that_works(redis: Redis) -> None:
    assert redis.ask("ping") == "PONG"
    assert "NOAUTH" in redis.ask("ping", password="")
    assert "NOAUTH" in redis.ask("ping", password=EVERYTHING[:-1])


@pytest.mark.parametrize("password", [" blanks around ", "-n", "x" * 26])
def test_awkward_beginnings_and_ends_are_kept(render: Render, password: str) -> None:
    with started(render, password) as redis:
        assert redis.ask("ping") == "PONG"
        assert "NOAUTH" in redis.ask("ping", password=password.strip() + "!")


def test_the_password_is_no_argument_of_any_process(redis: Redis) -> None:
    calls = (redis.root / "calls").read_text()
    assert "redis-server" in calls
    for shown in (calls, (redis.root / "log").read_text(), redis.container["args"][0]):
        assert not any(ugly in shown for ugly in some(UGLY))
    assert redis.process
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            assert UGLY[1].encode() not in process.read_bytes()


def test_writes_are_taken_even_after_a_failed_save(redis: Redis) -> None:
    assert redis.ask("config", "get", "save") == "save"
    # What a directory that cannot be written did to the sessions: one failed save, and no write was taken any more.
    redis.data.chmod(0o555)
    assert "started" in redis.ask("bgsave")
    waiting.until(lambda: "rdb_bgsave_in_progress:0" in redis.ask("info", "persistence"))
    assert "rdb_last_bgsave_status:err" in redis.ask("info", "persistence")
    assert redis.ask("set", "session", "there") == "OK"
    assert redis.ask("get", "session") == "there"


def test_probes_need_the_password_and_the_server(redis: Redis) -> None:
    for kind in ("startupProbe", "readinessProbe"):
        assert redis.probe(kind) == 0
        assert redis.probe(kind, REDIS_PASSWORD="another") != 0
    gone = Redis(redis.root, redis.container, redis.password, free_port())
    assert gone.probe("readinessProbe") != 0


def test_share_waits_until_redis_answers_with_its_password(render: Render, redis: Redis) -> None:
    _, wait = parts(render)
    (script,) = wait["args"]
    command = [*wait["command"], redis.here(script).replace("sleep 5", "sleep 0.1")]

    def environment(password: str) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "REDIS_HOST": "127.0.0.1", "REDISCLI_AUTH": password}

    done = subprocess.run(command, env=environment(EVERYTHING), capture_output=True, timeout=waiting.GUARD, check=False)
    assert done.returncode == 0
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(command, env=environment("another"), capture_output=True, timeout=1, check=False)
