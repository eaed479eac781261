"""PostgreSQL from the system, run with what the chart renders: configuration, scripts, modes and all.

The rendered texts are used byte for byte. Paths, port and socket directory of the container are mapped to those of
a test by command line options and environment, as an administrator would.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from tests import waiting
from tests.needs import program

Object = dict[str, Any]

# PostgreSQL refuses to run as root; the account comes with the package.
ACCOUNT = "postgres"
PASSWORD = "first"


def unprivileged(argv: Sequence[str]) -> list[str]:
    """The command, run by an ordinary user: root gives up its rights, anybody else is one already."""
    if os.geteuid():
        return list(argv)
    account = pwd.getpwnam(ACCOUNT)
    ids = (f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups")
    return [program("setpriv"), *ids, "--", *argv]


def postgres_program(name: str) -> str:
    """One of PostgreSQL's programs. Those on Debian's PATH are Perl scripts that look for the right version first."""
    return str(Path(program("postgres")).resolve().with_name(name))


def give_away(*paths: Path) -> None:
    """Hand files to the user of `unprivileged`."""
    if not os.geteuid():
        account = pwd.getpwnam(ACCOUNT)
        for path in paths:
            os.chown(path, account.pw_uid, account.pw_gid)


@contextlib.contextmanager
def workspace() -> Iterator[Path]:
    """A directory that the unprivileged user can reach, which pytest's own are not, with a short path, because
    the name of a socket may have 107 characters."""
    path = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    try:
        path.chmod(0o755)
        give_away(path)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def free_port() -> int:
    """A port that nothing listens on, below those that outgoing connections take: one of theirs may be gone again by
    the time a server wants it."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port


def locales(directory: Path) -> dict[str, str]:
    """Environment in which en_US.utf8 exists: the configuration names it, and Debian does not make it by itself."""
    known = subprocess.run([program("locale"), "-a"], text=True, capture_output=True, check=True).stdout
    if "en_US.utf8" in known.splitlines():
        return {}
    path = directory / "locales"
    path.mkdir()
    command = [program("localedef"), "-i", "en_US", "-f", "UTF-8", str(path / "en_US.utf8")]
    subprocess.run(command, check=True, capture_output=True)
    return {"LOCPATH": str(path)}


def write_pair(directory: Path, key_type: str = "rsa") -> None:
    """A self-signed certificate and its key for the Service `db`, as tls.crt and tls.key."""
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    key = rsa.generate_private_key(65537, 2048) if key_type == "rsa" else ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "db")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("db")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (directory / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "tls.key").write_bytes(private)
    # As the kubelet leaves it with fsGroup: the pod's group may read it, and nobody else.
    (directory / "tls.key").chmod(0o440)
    give_away(directory / "tls.crt")
    if os.geteuid():
        # A key of PostgreSQL's own user must be that user's alone; only root's may be shared with a group.
        (directory / "tls.key").chmod(0o400)
    else:
        os.chown(directory / "tls.key", 0, pwd.getpwnam(ACCOUNT).pw_gid)


class Relay:
    """Forwards connections to a port of this machine from 127.0.0.2: for the server that is another host, and
    pg_hba.conf treats it as one, while 127.0.0.1 counts as the pod itself."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target), source_address=("127.0.0.2", 0))
            except OSError:
                client.close()
                continue
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.listener.close()


def children(parent: int) -> list[int]:
    """Process ids of a process's direct children."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # The name, in parentheses, may hold anything; state and parent follow it.
            if int((process / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(process.name))
    return found


class Cluster:
    """The database container on this machine: configuration, TLS pair and sockets below `root`, data in `volume`."""

    def __init__(
        self, root: Path, volume: Path, objects: Mapping[str, Object], locale: Mapping[str, str], key_type: str = "rsa"
    ) -> None:
        self.root, self.volume = root, volume
        self.config, self.certs = root / "conf", root / "certs"
        self.logs, self.sockets = root / "log", root / "run"
        for directory in (root, volume, self.config, self.certs, self.logs, self.sockets):
            directory.mkdir(exist_ok=True)
            give_away(directory)
        for name, text in objects["config"]["data"].items():
            (self.config / name).write_text(text)
        write_pair(self.certs, key_type)
        self.template: Object = objects["statefulset"]["spec"]["template"]
        self.data = self.volume / "postgres"
        self.port = free_port()
        self.relay = Relay(self.port)
        self.environment = {
            "PATH": os.pathsep.join([str(Path(postgres_program("postgres")).parent), os.environ["PATH"]]),
            "TZ": "UTC",
            **locale,
        }
        self.server: subprocess.Popen[str] | None = None

    def script(self, container: str) -> list[str]:
        """The command line of an init container, as it stands in the StatefulSet."""
        (found,) = [c for c in self.template["spec"]["initContainers"] if c["name"] == container]
        return [*found["command"], *found["args"]]

    def prepare(self, password: str = PASSWORD, user: str = "kasmapp") -> subprocess.CompletedProcess[str]:
        """Run the init container that comes before the server."""
        return subprocess.run(
            unprivileged(self.script("db-prepare")),
            env={
                **self.environment,
                "VOLUME": str(self.volume),
                "CONFIG": str(self.config),
                "POSTGRES_USER": user,
                "POSTGRES_PASSWORD": password,
            },
            text=True,
            capture_output=True,
            check=False,
        )

    def initialise(self) -> None:
        """What the image's entrypoint does to an empty data directory: initdb, then data.sql in database kasm."""
        password_file = self.root / "password"
        password_file.write_text(PASSWORD + "\n")
        give_away(password_file)
        options = ["--username=kasmapp", f"--pwfile={password_file}", "--encoding=UTF8", "--locale=C.UTF-8"]
        # Small files and no syncing: for speed only.
        self.run("initdb", "--pgdata", str(self.data), *options, "--no-sync", "--wal-segsize=1")
        with self.running():
            self.local("postgres", "CREATE DATABASE kasm")
            self.local("kasm", (self.config / "data.sql").read_text())

    def run(self, name: str, *arguments: str) -> str:
        """Standard output of one of PostgreSQL's programs, run as its user."""
        done = subprocess.run(
            unprivileged([postgres_program(name), *arguments]),
            env=self.environment,
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        return done.stdout

    def options(self) -> list[str]:
        """What the container's paths and the image's own command line come down to here."""
        settings = {
            "config_file": self.config / "postgresql.conf",
            "hba_file": self.config / "pg_hba.conf",
            "ssl_cert_file": self.certs / "tls.crt",
            "ssl_key_file": self.certs / "tls.key",
            "log_directory": self.logs,
            "unix_socket_directories": self.sockets,
            "port": self.port,
            # Durability against a crash of the machine, which no test causes, costs most of the time.
            "fsync": "off",
        }
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def start(self, *extra: str, ready: bool = True) -> None:
        log = (self.root / "stderr").open("a")
        command = [program("postgres"), "-D", str(self.data), *self.options(), *extra]
        self.server = subprocess.Popen(unprivileged(command), env=self.environment, stderr=log, stdout=log, text=True)
        wanted = (0,) if ready else (0, 1)
        server = self.server

        def answers() -> bool:
            assert server.poll() is None, (self.root / "stderr").read_text()
            return self.is_ready() in wanted

        waiting.until(answers, "postgres")

    def is_ready(self) -> int:
        """Status of pg_isready on the socket: 0 takes connections, 1 refuses them, 2 does not answer."""
        command = [postgres_program("pg_isready"), "-q", "-h", str(self.sockets), "-p", str(self.port)]
        return subprocess.run(command, env=self.environment, check=False).returncode

    def postmaster(self) -> int:
        """The server's process id: `self.server` may be the program that gave up root's rights."""
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def stop(self, name: str = "INT") -> None:
        """INT is PostgreSQL's fast shutdown; QUIT ends it on the spot and leaves a recovery to do."""
        if self.server and self.server.poll() is None:
            os.kill(self.postmaster(), getattr(signal, f"SIG{name}"))
            self.server.wait(timeout=waiting.GUARD)
        self.server = None

    def kill(self) -> None:
        """What a node that dies does: no process gets to clean up, and postmaster.pid stays."""
        assert self.server
        postmaster = self.postmaster()
        for pid in (postmaster, *children(postmaster)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.server.wait(timeout=waiting.GUARD)
        self.server = None

    @contextlib.contextmanager
    def running(self, *extra: str) -> Iterator[Cluster]:
        self.start(*extra)
        try:
            yield self
        finally:
            self.stop()

    def close(self) -> None:
        self.stop("QUIT")
        self.relay.close()

    def local(self, database: str, sql: str) -> str:
        """Run SQL over the socket, as the pod's own programs do; output as psql's unaligned tuples."""
        return self.psql(sql, host=str(self.sockets), port=self.port, database=database, password=None).stdout.strip()

    def psql(
        self,
        sql: str,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        database: str = "kasm",
        password: str | None = PASSWORD,
        sslmode: str = "require",
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run SQL as kasmapp, from another host unless told otherwise."""
        done = subprocess.run(
            [postgres_program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-w", "-U", "kasmapp"],
            input=sql,
            env={
                **self.environment,
                "PGHOST": host,
                "PGPORT": str(port or self.relay.port),
                "PGDATABASE": database,
                "PGSSLMODE": sslmode,
                **({} if password is None else {"PGPASSWORD": password}),
            },
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stderr
        return done
