"""Debian's nginx with the rendered configuration, on loopback addresses of its own.

What the cluster would give the pod is stood in for by real, small programs: a DNS server, HTTP and HTTPS back
ends that tell what reached them, and clients that choose their source address. Of the configuration only
paths and listen addresses are changed.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import http.server
import itertools
import json
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests import waiting
from tests.builtin_chart.conftest import Object, find
from tests.needs import program

# Unprivileged, and not the owner of anything but the directories that the pod has as volumes.
NOBODY = 65534
DNS_PORT = 5353
PLAIN_PORT, TLS_PORT = 8080, 8443


class Loopback:
    """Addresses 127.x.y.*: nobody else on this machine uses them as long as this object is open."""

    def __init__(self) -> None:
        for number in itertools.islice(itertools.cycle(range(256, 65280)), os.getpid() % 65024, None):
            self._prefix = f"127.{number // 256}.{number % 256}"
            self._lock = socket.socket()
            try:
                self._lock.bind((self.host(254), 20000))
            except OSError:
                self._lock.close()
            else:
                return

    def host(self, last: int) -> str:
        return f"{self._prefix}.{last}"

    def close(self) -> None:
        self._lock.close()


class Dns:
    """A DNS server over UDP. Names without an address do not exist; all addresses are IPv4."""

    def __init__(self, address: str) -> None:
        self.records: dict[str, str] = {}
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, DNS_PORT))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            question, client = self._socket.recvfrom(512)
            if not question:
                return
            self._socket.sendto(self._answer(question), client)

    def _answer(self, question: bytes) -> bytes:
        labels, position = [], 12
        while length := question[position]:
            labels.append(question[position + 1 : position + 1 + length].decode())
            position += 1 + length
        name = ".".join(labels)
        (kind,) = struct.unpack("!H", question[position + 1 : position + 3])
        self.asked.append(name)
        address = self.records.get(name)
        record = b""
        if address and kind == 1:
            # A pointer to the question's name, type A, class IN, to be kept for one second.
            record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 1, 4) + socket.inet_aton(address)
        status = 0x8180 if address else 0x8183
        counts = struct.pack("!HHHHH", status, 1, int(bool(record)), 0, 0)
        return question[:2] + counts + question[12 : position + 5] + record

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self._socket.getsockname())
        self._thread.join(5)
        self._socket.close()


@dataclass(frozen=True)
class Request:
    """What reached a back end."""

    backend: str
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    connection: int

    def header(self, name: str) -> str | None:
        """The value of a header that may be sent once at most; None when it is absent."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) <= 1, f"{name} was sent {len(values)} times: {values}"
        return values[0] if values else None


@dataclass(frozen=True)
class Answer:
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)
    body: bytes = b"{}"


class BackEnd:
    """An HTTP/1.1 server that keeps connections, records requests and echoes WebSocket frames.

    `answer` says what it answers; each answer carries the header X-Back-End with the back end's name.
    """

    def __init__(self, name: str, address: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.name = name
        self.requests: list[Request] = []
        self.connections = 0
        self._open: list[socket.socket] = []
        self.answer: Callable[[Request], Answer] = lambda _: Answer()
        backend = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                backend._open.append(self.connection)
                backend.connections += 1
                self.number = backend.connections

            def handle_one_request(self) -> None:
                # The base class would want a method do_X for each verb, and RDP brings verbs of its own.
                self.raw_requestline = self.rfile.readline(65537)
                self.close_connection = True
                if self.raw_requestline and self.parse_request():
                    backend._handle(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def finish_request(self, request: Any, client_address: Any) -> None:
                # In the connection's own thread, so that a slow handshake holds up nobody else.
                with tls.wrap_socket(request, server_side=True) if tls else request as connection:
                    Handler(connection, client_address, self)

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that goes away is no failure of the test

        self._server = Server((address, port), Handler)
        serve = {"poll_interval": 0.02}
        threading.Thread(target=self._server.serve_forever, kwargs=serve, daemon=True).start()

    def _handle(self, handler: Any) -> None:
        request = Request(
            backend=self.name,
            method=handler.command,
            target=handler.path,
            headers=tuple(handler.headers.items()),
            body=handler.rfile.read(int(handler.headers.get("Content-Length") or 0)),
            connection=handler.number,
        )
        self.requests.append(request)
        if (request.header("Upgrade"), request.header("Connection")) == ("websocket", "upgrade"):
            self._echo(handler, request)
            return
        # Whatever the request says: it is nginx that must not use a connection again.
        handler.close_connection = False
        answer = self.answer(request)
        handler.send_response_only(answer.status)
        for name, value in answer.headers:
            handler.send_header(name, value)
        handler.send_header("X-Back-End", self.name)
        handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(answer.body)

    def _echo(self, handler: Any, request: Request) -> None:
        handler.send_response_only(101)
        handler.send_header("Upgrade", "websocket")
        handler.send_header("Connection", "Upgrade")
        key = request.header("Sec-WebSocket-Key") or ""
        handler.send_header("Sec-WebSocket-Accept", websocket_accept(key))
        handler.send_header("X-Back-End", self.name)
        handler.end_headers()
        while (frame := read_frame(handler.rfile)) is not None:
            handler.wfile.write(write_frame(frame, masked=False))

    def last(self) -> Request:
        assert self.requests, f"nothing reached {self.name}"
        return self.requests[-1]

    def close(self) -> None:
        """Stop listening, and cut the connections that are kept open."""
        self._server.shutdown()
        self._server.server_close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def websocket_accept(key: str) -> str:
    """The answer to Sec-WebSocket-Key, RFC 6455 section 4.2.2."""
    magic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1((key + magic).encode()).digest()).decode()


def write_frame(text: bytes, *, masked: bool) -> bytes:
    """One text frame of at most 125 bytes; clients mask (RFC 6455 section 5.2)."""
    assert len(text) < 126
    if not masked:
        return bytes([0x81, len(text)]) + text
    mask = os.urandom(4)
    return bytes([0x81, 0x80 | len(text)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(text))


def read_frame(stream: Any) -> bytes | None:
    """The payload of the next short frame, None at the end of the stream."""
    head = stream.read(2)
    if len(head) < 2:
        return None
    mask = stream.read(4) if head[1] & 0x80 else b"\0\0\0\0"
    payload = stream.read(head[1] & 0x7F)
    return bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


@dataclass(frozen=True)
class Response:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) <= 1, f"{name} was answered {len(values)} times: {values}"
        return values[0] if values else None

    @property
    def backend(self) -> str | None:
        return self.header("X-Back-End")


@dataclass
class Nginx:
    """A running nginx; `get` and `websocket` are its clients."""

    loopback: Loopback
    address: str
    directory: Path
    process: subprocess.Popen[bytes]
    # The source address of clients that do not say another one; nginx has no reason to trust it.
    client: str = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.loopback.host(201)

    def connection(self, *, tls: bool = False, source: str | None = None) -> http.client.HTTPConnection:
        origin = (source or self.client, 0)
        if not tls:
            return http.client.HTTPConnection(self.address, PLAIN_PORT, timeout=waiting.GUARD, source_address=origin)
        trust = ssl.create_default_context(cafile=str(self.directory / "tls.crt"))
        trust.check_hostname = False
        return http.client.HTTPSConnection(
            self.address, TLS_PORT, timeout=waiting.GUARD, source_address=origin, context=trust
        )

    def request(
        self,
        method: str,
        target: str,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        *,
        tls: bool = False,
        source: str | None = None,
    ) -> Response:
        connection = self.connection(tls=tls, source=source)
        with contextlib.closing(connection):
            connection.request(method, target, body, {"Host": "kasm.example.com", **(headers or {})})
            answer = connection.getresponse()
            return Response(answer.status, tuple(answer.getheaders()), answer.read())

    def get(self, target: str, headers: dict[str, str] | None = None, **options: Any) -> Response:
        return self.request("GET", target, headers, **options)

    def websocket(self, target: str, text: bytes, headers: dict[str, str] | None = None) -> tuple[Response, bytes]:
        """Open a WebSocket, send `text`, and return the handshake's answer and what came back."""
        key = base64.b64encode(os.urandom(16)).decode()
        handshake = {
            "Host": "kasm.example.com",
            "Upgrade": "websocket",
            "Connection": "keep-alive, Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key,
            **(headers or {}),
        }
        with socket.create_connection((self.address, PLAIN_PORT), 10, (self.client, 0)) as wire:
            fields = "".join(f"{name}: {value}\r\n" for name, value in handshake.items())
            wire.sendall(f"GET {target} HTTP/1.1\r\n{fields}\r\n".encode())
            stream = wire.makefile("rb")
            status = int(stream.readline().split()[1])
            answered = tuple(http.client.parse_headers(stream).items())
            response = Response(status, answered, b"")
            if status != 101:
                return response, b""
            assert response.header("Sec-WebSocket-Accept") == websocket_accept(key)
            wire.sendall(write_frame(text, masked=True))
            return response, read_frame(stream) or b""

    def access_log(self, *uris: str) -> list[Object]:
        """What nginx logged so far, a line of JSON for each request. Waits for lines with these `uris`."""

        def lines() -> list[Object]:
            whole = [line for line in (self.directory / "stdout").read_text().splitlines(True) if line.endswith("\n")]
            return [json.loads(line) for line in whole]

        # nginx writes a line after it has sent the answer.
        waiting.until(lambda: set(uris) <= {line["uri"] for line in lines()}, f"lines about {uris}")
        return lines()

    def is_closed(self) -> bool:
        """Whether it listens no more."""
        try:
            socket.create_connection((self.address, PLAIN_PORT)).close()
        except ConnectionRefusedError:
            return True
        return False

    def errors(self) -> str:
        return (self.directory / "stderr").read_text()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(waiting.GUARD)


class Site:
    """Everything around nginx: addresses, DNS, back ends, web root. Close it when done."""

    def __init__(self) -> None:
        self.loopback = Loopback()
        self.dns = Dns(self.loopback.host(53))
        self.directory = Path(tempfile.mkdtemp(prefix="kasm-nginx-"))
        # nginx runs as somebody else and must be able to come in.
        self.directory.chmod(0o755)
        self.backends: dict[str, BackEnd] = {}
        self._hosts: dict[str, int] = {}
        self._running: list[Nginx] = []
        self._started = 0
        make_certificate(self.directory)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.directory / "tls.crt", self.directory / "tls.key")
        self.web = self.directory / "www"
        self.web.mkdir()

    def address(self, host: str) -> str:
        """The address of a host; the same name has the same one each time."""
        return self.loopback.host(self._hosts.setdefault(host, 10 + len(self._hosts)))

    def serve(self, host: str, *ports: int, tls: bool = False) -> None:
        """Start a back end `host:port` on each port."""
        for port in ports:
            name = f"{host}:{port}"
            self.backends[name] = BackEnd(name, self.address(host), port, self.tls if tls else None)

    def name(self, fqdn: str, host: str) -> None:
        """Let DNS know a name for a host."""
        self.dns.records[fqdn] = self.address(host)

    def unserve(self, name: str) -> None:
        self.backends.pop(name).close()

    def forget(self) -> None:
        """Let the back ends forget their requests and answer as at first."""
        for backend in self.backends.values():
            backend.requests.clear()
            backend.answer = lambda _: Answer()

    def start(self, objects: list[Object], *, names: Iterable[str] | None = ()) -> Nginx:
        """Write the configuration as the kubelet would, run the pod's init container, start nginx.

        Returns when nginx serves. `names` are the hosts whose Services have an address when the pod starts; None
        leaves the init container out.
        """
        pod = Path(tempfile.mkdtemp(dir=self.directory))
        pod.chmod(0o755)
        own = self.loopback.host(100 + self._started % 100)
        self._started += 1
        for directory in ("run", "cache", "tmp", "log"):
            (pod / directory).mkdir()
            give_away(pod / directory)
        shutil.copy(self.directory / "tls.crt", pod)
        shutil.copy(self.directory / "tls.key", pod)
        give_away(pod / "tls.key")
        self._write_config(objects, pod, own)
        if names is not None:
            self._run_names(objects, pod, names)
        with (pod / "stdout").open("wb") as stdout, (pod / "stderr").open("wb") as stderr:
            give_away(pod / "stdout")
            give_away(pod / "stderr")
            process = subprocess.Popen(
                [program("nginx"), "-p", pod, "-e", "stderr", "-c", pod / "nginx.conf", "-g", "daemon off;"],
                stdout=stdout,
                stderr=stderr,
                **as_nobody(),
            )
        nginx = Nginx(self.loopback, own, pod, process)
        self._running.append(nginx)

        def answers() -> bool:
            assert process.poll() is None, f"nginx did not start:\n{nginx.errors()}"
            with contextlib.suppress(OSError):
                return nginx.get("/__healthcheck").status == 200
            return False

        waiting.until(answers, "nginx")
        return nginx

    def _write_config(self, objects: list[Object], pod: Path, own: str) -> None:
        proxy = find(objects, "Deployment", "kasm-proxy-deployment")["spec"]["template"]["spec"]
        (container,) = proxy["containers"]
        volumes = {volume["name"]: volume for volume in proxy["volumes"]}
        for mount in sorted(container["volumeMounts"], key=lambda mount: mount["mountPath"]):
            source = volumes[mount["name"]].get("configMap")
            if not source:
                continue
            data = find(objects, "ConfigMap", source["name"])["data"]
            target = pod / Path(mount["mountPath"]).relative_to("/etc/nginx")
            if subpath := mount.get("subPath"):
                target.write_text(self._adapt(data[subpath], pod, own))
                continue
            target.mkdir(parents=True)
            for name, text in data.items():
                (target / name).write_text(self._adapt(text, pod, own))

    def _adapt(self, text: str, pod: Path, own: str) -> str:
        """Paths, and the addresses that nginx listens on and reaches itself at."""
        for path, replacement in (
            ("/etc/nginx/conf.d/", f"{pod}/conf.d/"),
            ("/etc/ssl/certs/kasm_nginx.crt", f"{pod}/tls.crt"),
            ("/etc/ssl/private/kasm_nginx.key", f"{pod}/tls.key"),
            ("/run/", f"{pod}/run/"),
            ("/var/cache/nginx/", f"{pod}/cache/"),
            ("/srv/www", str(self.web)),
        ):
            text = text.replace(path, replacement)
        text = re.sub(r"\blisten (\d+)(?=[ ;])", rf"listen {own}:\1", text)
        return re.sub(r"\b(listen |server |proxy_pass https?://)127\.0\.0\.1:", rf"\g<1>{own}:", text)

    def _run_names(self, objects: list[Object], pod: Path, names: Iterable[str]) -> None:
        proxy = find(objects, "Deployment", "kasm-proxy-deployment")["spec"]["template"]["spec"]
        (container,) = (c for c in proxy["initContainers"] if c["name"] == "names")
        (pod / "resolv.conf").write_text(f"search svc.cluster.local\nnameserver {self.loopback.host(53)}\n")
        # getent would ask this machine's DNS server; this one knows the cluster's Services.
        (pod / "bin").mkdir()
        getent = pod / "bin" / "getent"
        table = "".join(f"{self.address(name)}\t{name}\n" for name in names)
        getent.write_text(f"#!/bin/sh\ngrep \"\t$2$\" <<'END'\n{table}END\n")
        getent.chmod(0o755)
        places = {"/run/names": str(pod / "run" / "names"), "/etc/resolv.conf": str(pod / "resolv.conf")}
        done = subprocess.run(
            [*container["command"], *(places.get(argument, argument) for argument in container["args"])],
            env={"PATH": f"{pod / 'bin'}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=waiting.GUARD,
            check=False,
            **as_nobody(),
        )
        assert done.returncode == 0, done.stderr
        resolver = pod / "run" / "names" / "resolver.conf"
        if resolver.exists():
            # The DNS server listens on another port than 53, which would take root.
            server = self.loopback.host(53)
            resolver.write_text(resolver.read_text().replace(server, f"{server}:{DNS_PORT}"))

    def stop(self, nginx: Nginx) -> None:
        self._running.remove(nginx)
        nginx.stop()

    def close(self) -> None:
        for nginx in self._running:
            nginx.stop()
        for backend in self.backends.values():
            backend.close()
        self.dns.close()
        self.loopback.close()
        shutil.rmtree(self.directory)


@contextlib.contextmanager
def site() -> Iterator[Site]:
    created = Site()
    try:
        yield created
    finally:
        created.close()


def as_nobody() -> dict[str, Any]:
    """Arguments of subprocess: an unprivileged user where the tests run as root."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def give_away(path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)


def make_certificate(directory: Path) -> None:
    """tls.crt and tls.key for this run only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kasm-proxy")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("kasm-proxy")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (directory / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (directory / "tls.key").chmod(0o600)
