"""The seeding Job's container on this machine: its rendered script, stand-ins for the image's programs, and a database
of its own in a real PostgreSQL."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML

from tests import waiting
from tests.builtin_chart.conftest import Object, find
from tests.builtin_chart.postgres_harness import PASSWORD, Cluster, postgres_program, workspace
from tests.needs import program


def real_yq() -> str | None:
    """mikefarah's yq, if it is installed. Debian's package of that name is another program."""
    places = [os.environ.get("PATH", ""), str(Path.home() / "go" / "bin")]
    for place in os.pathsep.join(places).split(os.pathsep):
        if found := shutil.which("yq", path=place):
            told = subprocess.run([found, "--version"], text=True, capture_output=True, check=False).stdout
            if "mikefarah" in told:
                return found
    return None


def install(directory: Path, *, yq: str | None) -> Path:
    """Put both programs, and psql, into `directory`; `yq` is the real one to use, if any. Returns the file to which
    all of them write their arguments, one a line after the program's name."""
    calls = directory / "calls"
    standins = Path(__file__).with_name("kasm_standins.py")
    commands = {
        "kasm_server.so": f"{sys.executable} {standins} kasm_server",
        f"yq_{platform.machine()}": yq or f"{sys.executable} -I -S {standins} yq",
        "psql": postgres_program("psql"),
    }
    for name, command in commands.items():
        path = directory / name
        path.write_text(f"#!/bin/sh\nprintf '%s\\n' '{name}' \"$@\" >>'{calls}'\nexec {command} \"$@\"\n")
        path.chmod(0o755)
    return calls


SECRETS = {
    "DEFAULT_ADMIN_PASSWORD": "the admin's",
    "DEFAULT_USER_PASSWORD": "the user's",
    "DEFAULT_MANAGER_TOKEN": "the manager's",
    "DEFAULT_REGISTRATION_TOKEN": "the services'",
}

# The shape of the image's file: the entries that the script looks for stand among others.
SEED: Object = {
    "alembic_version": "0123456789ab",
    "settings": [
        {"name": "token", "category": "other", "value": "keep"},
        {"name": "token", "category": "manager", "value": "change-me"},
        {"name": "registration_token", "category": "auth", "value": "change-me"},
        {"name": "unrelated", "category": "auth", "value": "keep"},
    ],
    "users": [
        {"username": "user@kasm.local", "salt": "published", "pw_hash": "published"},
        {"username": "admin@kasm.local", "salt": "published", "pw_hash": "published"},
        {"username": "guest@kasm.local", "salt": "keep", "pw_hash": "keep"},
    ],
    "zones": [{"zone_name": "default", "upstream_auth_address": "$request_host$"}],
}


@dataclass
class Done:
    status: int
    output: str


@dataclass
class Seeding:
    """The Job's container on this machine, with a database of its own."""

    root: Path
    cluster: Cluster
    objects: list[Object]
    calls: Path
    yq: str | None
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.database = "kasm"
        data = find(self.objects, "ConfigMap", "kasm-db-init-startup")["data"]
        for name, text in data.items():
            (self.root / name).write_text(text)
        kasm = self.root / "kasm"
        (kasm / "conf/app").mkdir(parents=True)
        (kasm / "conf/app/api.app.config.yaml").write_text("database: {}\n")
        (kasm / "conf/database/seed_data").mkdir(parents=True)
        self.image_seed = kasm / "conf/database/seed_data/default_properties.yaml"
        if self.yq:
            YAML(typ="safe").dump(SEED, self.image_seed)
        else:
            self.image_seed.write_text(json.dumps(SEED))
        (self.root / "tmp").mkdir()
        (job,) = [o for o in self.objects if o["kind"] == "Job"]
        (container,) = job["spec"]["template"]["spec"]["containers"]
        literals = {e["name"]: e["value"] for e in container["env"] if "value" in e}
        self.environment = {
            **self.cluster.environment,
            "PATH": os.pathsep.join([str(self.calls.parent), self.cluster.environment["PATH"]]),
            **literals,
            **SECRETS,
            "POSTGRES_PASSWORD": PASSWORD,
            # Where things are here, as opposed to in the cluster and in the image.
            "POSTGRES_HOST": "127.0.0.1",
            "POSTGRES_PORT": str(self.cluster.relay.port),
            "POSTGRES_DB": self.database,
            "KASM_DIRECTORY": str(kasm),
            "STATE_SQL": str(self.root / "state.sql"),
            "TMPDIR": str(self.root / "tmp"),
            "WAIT_SECONDS": "0",
            # The way of the stand-in for the image's program into the database.
            "PGHOST": str(self.cluster.sockets),
            "PGPORT": str(self.cluster.port),
            "PGUSER": "kasmapp",
            "PGDATABASE": self.database,
        }

    def start(self, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [program("bash"), str(self.root / "startup.sh")],
            env={**self.environment, **environment},
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, **environment: str) -> Done:
        process = self.start(**environment)
        output, _ = process.communicate(timeout=waiting.GUARD)
        return Done(process.returncode, output)

    def sql(self, statement: str) -> str:
        return self.cluster.local(self.database, statement)

    def empty(self) -> None:
        """Leave the database as it is after the first start of its image."""
        if not self.cluster.local("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{self.database}'"):
            self.cluster.local("postgres", f"CREATE DATABASE {self.database}")
        # Much faster than a new database.
        self.sql(
            """DO $$ DECLARE name text; BEGIN
                 FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)' LOOP
                   EXECUTE format('DROP SCHEMA %I CASCADE', name);
                 END LOOP;
               END $$;
               CREATE SCHEMA public;"""
            + (self.cluster.config / "data.sql").read_text()
        )

    def state(self) -> str:
        return self.cluster.local(self.database, (self.root / "state.sql").read_text())

    def dump(self) -> str:
        """Everything in the database, as text."""
        options = ["-h", str(self.cluster.sockets), "-p", str(self.cluster.port), "-U", "kasmapp"]
        text = self.cluster.run("pg_dump", "--inserts", *options, self.database)
        # Newer versions guard the text with a random word.
        return "\n".join(line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))

    def seedings(self) -> int:
        """How often the image's program was called."""
        return self.called().count("kasm_server.so")

    def called(self) -> list[str]:
        """Every program that ran, by name, followed by its arguments."""
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def logs_in(self, username: str, password: str) -> bool:
        """Does the application let this user in? It hashes password and salt and compares."""
        salt, stored = self.sql(f"SELECT salt, pw_hash FROM users WHERE username = '{username}'").split("|")
        return hashlib.sha256((password + salt).encode()).hexdigest() == stored


@contextlib.contextmanager
def prepared(cluster: Cluster, objects: list[Object], *, yq: str | None) -> Iterator[Seeding]:
    """The Job of a render, on an empty database."""
    with workspace() as root:
        programs = root / "bin"
        programs.mkdir()
        seeding = Seeding(root, cluster, objects, install(programs, yq=yq), yq)
        seeding.empty()
        yield seeding
