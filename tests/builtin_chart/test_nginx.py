"""The rendered nginx configuration, run by Debian's nginx against back ends on loopback."""

from __future__ import annotations

import itertools
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests import waiting
from tests.builtin_chart.conftest import CHART, PLAIN, Object, Render, find, merged, services
from tests.builtin_chart.nginx_harness import DNS_PORT, PLAIN_PORT, TLS_PORT, Answer, Nginx, Request, Site, site
from tests.some import some

pytestmark = pytest.mark.tool

ZONE = "workspaces.svc.cluster.local"
SESSION = "0a1b2c3d-4e5f-6789-abcd-ef0123456789"
GUAC_WORKERS = tuple(f"kasm-guac:{port}" for port in (3001, 3002, 3003, 3004))
SERVICES = {
    "kasm-api": (8080,),
    "kasm-manager": (8181,),
    "kasm-guac": (3000, 3001, 3002, 3003, 3004),
    "kasm-share": (8182,),
    "rdp-gateway": (5555,),
}
TLS_SERVICES = {"rdp-https-gateway": (9443,)}
OPTIONAL = ("kasmGuac", "rdpGateway", "rdpHttpsGateway", "kasmShare", "kasmRedis")

# What is asked for, the back ends that may get it, and what they get asked for.
ROUTES = [
    ("/api/admin/users?a=1&b=%20", ("kasm-api:8080",), "/api/admin/users?a=1&b=%20"),
    ("/api/login?next=%2F", ("kasm-api:8080",), "/api/login?next=%2F"),
    ("/api/subscriptions/plan?y=2", ("kasm-api:8080",), "/api/subscriptions/plan?y=2"),
    ("/manager_api/api/v1/heartbeat?x=1", ("kasm-manager:8181",), "/api/v1/heartbeat?x=1"),
    ("/api/share/join%20me?z=1", ("kasm-share:8182",), "/api/share/join%20me?z=1"),
    ("/guac_connect/vnc/tunnel?q=1", ("kasm-guac:3000",), "/tunnel?q=1"),
    ("/guac_connect/vnc/vnc.htmlguaclite?token=t", GUAC_WORKERS, "/vnc.htmlguaclite?token=t"),
    ("/guac_login?user=a", ("kasm-guac:3000",), "/guac_login?user=a"),
    ("/guac/__healthcheck", ("kasm-guac:3000",), "/__healthcheck"),
    ("/guac/vm_disconnect?id=1", ("kasm-guac:3000",), "/vm_disconnect?id=1"),
    (f"/kasmguac/{SESSION}/vnc/vnc.htmlguaclite?x=1", GUAC_WORKERS, "/vnc.htmlguaclite?x=1"),
    (f"/kasmguac/{SESSION}/vnc/a%20page?x=%2F&y", ("kasm-guac:3000",), "/a%20page?x=%2F&y"),
    ("/rdp-gateway/status?x=1", ("rdp-gateway:5555",), "/status?x=1"),
    ("/rdp-https-gateway/status?x=1", ("rdp-https-gateway:9443",), "/rdp-https-gateway/status?x=1"),
    ("/remoteDesktopGateway/?x=1", ("rdp-https-gateway:9443",), "/remoteDesktopGateway/?x=1"),
    ("/rpc/rpcproxy.dll?host:3388", ("rdp-https-gateway:9443",), "/rpc/rpcproxy.dll?host:3388"),
]
TARGETS = [target for target, _, _ in ROUTES]


@pytest.fixture(scope="module")
def world() -> Iterator[Site]:
    """All Services of the chart, two session hosts, a web root, and what DNS says about them."""
    with site() as created:
        for host, ports in SERVICES.items():
            created.serve(host, *ports)
        for host, ports in TLS_SERVICES.items():
            created.serve(host, *ports, tls=True)
        for host in (*SERVICES, *TLS_SERVICES):
            created.name(f"{host}.{ZONE}", host)
        created.serve("agent", 6901, tls=True)
        created.serve("agent", 6902)
        created.name("agent-1.example.net", "agent")
        (created.web / "index.html").write_text("<html>kasm</html>\n")
        (created.web / "app.js").write_text("const text = 'kasm';\n" * 100)
        yield created


def values(world: Site, *layers: Object) -> Object:
    """Values whose only trusted proxy is the Ingress controller of `world`."""
    return merged(PLAIN, services(kasmProxy={"trustedProxies": [f"{ingress_address(world)}/32"]}), *layers)


def ingress_address(world: Site) -> str:
    return world.loopback.host(210)


@pytest.fixture(scope="module")
def pooled(world: Site, render: Render) -> Nginx:
    """nginx in a pod that started when all Services had their addresses: the usual case."""
    return world.start(render(values(world)), names=(*SERVICES, *TLS_SERVICES))


@pytest.fixture(scope="module")
def by_name(world: Site, render: Render) -> Nginx:
    """nginx in a pod that started before any Service had an address."""
    return world.start(render(values(world)), names=())


@pytest.fixture(params=["pooled", "by_name"])
def nginx(request: pytest.FixtureRequest) -> Any:
    """Both ways to the back ends; what passes must be the same."""
    return request.getfixturevalue(request.param)


@pytest.fixture(autouse=True)
def fresh(world: Site) -> None:
    world.forget()


def session(path: str = "session/page?token=1", *, host: str | None = None, **headers: str) -> Any:
    """An answer of the API that lets a client into the session at `host`."""
    connect = {"Schema": "https", "Hostname": host or "", "Port": "6901", "Path": path, "Auth": "Basic c2VjcmV0"}
    connect |= {"Kasm-Id": SESSION} | headers
    fields = tuple((f"Connect-{name}", value) for name, value in connect.items())
    return lambda _: Answer(200, fields, b"")


def machine(host: str) -> Callable[[Request], Answer]:
    """An answer of guac that lets a client reach the machine at `host`."""
    return session(host=host, Auth="machine-token")


def assert_standard_headers(request: Request, client: str, *, scheme: str = "http") -> None:
    assert request.header("Host") == "kasm.example.com"
    assert request.header("X-Real-IP") == client
    assert request.header("X-Forwarded-Proto") == scheme
    forwarded = (request.header("X-Forwarded-For") or "").split(", ")
    # The hop through nginx itself adds nginx; the client stands first in any case.
    assert forwarded[0] == client
    assert set(forwarded[1:]) <= {"127.0.0.1"}
    assert request.header("Upgrade") is None
    assert request.header("Connection") in (None, "close")


# --- locations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "backends", "sent"), ROUTES, ids=TARGETS)
def test_a_location_reaches_its_back_end(
    world: Site, nginx: Nginx, target: str, backends: tuple[str, ...], sent: str
) -> None:
    response = nginx.get(target, {"X-Own": "kept"})
    assert (response.status, response.body) == (200, b"{}")
    assert response.backend in backends
    request = world.backends[response.backend].last()
    assert (request.method, request.target, request.header("X-Own")) == ("GET", sent, "kept")
    assert_standard_headers(request, nginx.client)


@pytest.mark.parametrize(("target", "backends", "sent"), ROUTES, ids=TARGETS)
def test_a_location_passes_bodies_and_statuses(
    world: Site, nginx: Nginx, target: str, backends: tuple[str, ...], sent: str
) -> None:
    # More than nginx allows where nothing is said (1 MB).
    body = b"0123456789" * 150_000
    for backend in backends:
        world.backends[backend].answer = lambda _: Answer(409, (("X-Why", "conflict"),), b"{'no': 1}")
    response = nginx.request("POST", target, {"Content-Type": "application/octet-stream"}, body)
    assert (response.status, response.header("X-Why"), response.body) == (409, "conflict", b"{'no': 1}")
    request = world.backends[str(response.backend)].last()
    assert (request.method, request.target, request.body) == ("POST", sent, body)


@pytest.mark.parametrize(("target", "backends", "sent"), ROUTES, ids=TARGETS)
def test_a_location_upgrades_to_a_websocket(
    world: Site, nginx: Nginx, target: str, backends: tuple[str, ...], sent: str
) -> None:
    response, echo = nginx.websocket(target, b"hello", {"Sec-WebSocket-Protocol": "binary"})
    assert (response.status, echo) == (101, b"hello")
    assert response.backend in backends
    request = world.backends[response.backend].last()
    assert (request.target, request.header("Sec-WebSocket-Protocol")) == (sent, "binary")
    assert (request.header("Upgrade"), request.header("Connection")) == ("websocket", "upgrade")


def test_a_path_of_no_location_is_a_file_of_the_web_root(pooled: Nginx) -> None:
    assert pooled.get("/").body == b"<html>kasm</html>\n"
    assert pooled.get("/no/such/file").status == 404


@pytest.mark.parametrize("target", ["/kasm_connect", "/vm_connect", "/_options_response"])
def test_internal_locations_cannot_be_asked_for(pooled: Nginx, world: Site, target: str) -> None:
    for method in ("GET", "OPTIONS"):
        assert pooled.request(method, target, {"Origin": "https://evil.example"}).status == 404
    assert not any(backend.requests for backend in some(world.backends.values()))


def test_only_a_websocket_is_an_upgrade(pooled: Nginx, world: Site) -> None:
    headers = {"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": "AAMAAABk"}
    assert pooled.get("/api/login", headers).status == 200
    request = world.backends["kasm-api:8080"].last()
    assert (request.header("Upgrade"), request.header("Connection")) == (None, None)


# --- sessions: /desktop/ ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("hostname", ["address", "name"])
@pytest.mark.parametrize(("scheme", "port"), [("https", 6901), ("http", 6902)])
def test_desktop_goes_where_the_api_says(world: Site, nginx: Nginx, hostname: str, scheme: str, port: int) -> None:
    host = world.address("agent") if hostname == "address" else "agent-1.example.net"
    api = world.backends["kasm-api:8080"]
    api.answer = session(host=host, Schema=scheme, Port=str(port))
    cookies = "other=1; username=u@x; session_token=st; kasm_client_key=ck; tracking=2"
    response = nginx.request("POST", f"/desktop/{SESSION}/vnc.html?a=1", {"Cookie": cookies}, b"secret body")
    assert (response.status, response.backend) == (200, f"agent:{port}")

    kept = "username=u@x; session_token=st; kasm_client_key=ck"
    (question,) = api.requests
    assert (question.method, question.target, question.body) == ("GET", "/api/kasm_connect/", b"")
    assert question.header("X-Original-URI") == f"/desktop/{SESSION}/vnc.html?a=1"
    assert question.header("Cookie") == kept
    assert question.header("X-Real-IP") == nginx.client
    assert question.header("Content-Length") in (None, "0")

    request = world.backends[f"agent:{port}"].last()
    assert (request.target, request.body) == ("/session/page?token=1", b"secret body")
    assert request.header("Authorization") == "Basic c2VjcmV0"
    assert request.header("X-Kasm-ID") == SESSION
    assert request.header("Cookie") == kept
    assert_standard_headers(request, nginx.client)


def test_desktop_upgrades_to_a_websocket(world: Site, nginx: Nginx) -> None:
    world.backends["kasm-api:8080"].answer = session("websockify", host="agent-1.example.net")
    response, echo = nginx.websocket(f"/desktop/{SESSION}/websockify", b"frame")
    assert (response.status, response.backend, echo) == (101, "agent:6901", b"frame")
    # The question to the API is no WebSocket, though the client's request is.
    question = world.backends["kasm-api:8080"].last()
    assert question.header("Upgrade") is None


@pytest.mark.parametrize("status", [401, 403])
def test_desktop_is_closed_to_whom_the_api_refuses(world: Site, pooled: Nginx, status: int) -> None:
    world.backends["kasm-api:8080"].answer = lambda _: Answer(status)
    assert pooled.get(f"/desktop/{SESSION}/vnc.html").status == status
    assert not world.backends["agent:6901"].requests


def test_an_error_of_the_authorisation_is_a_small_page(world: Site, pooled: Nginx) -> None:
    world.backends["kasm-api:8080"].answer = lambda _: Answer(502, (), b"secret trace")
    response = pooled.get(f"/desktop/{SESSION}/vnc.html")
    assert (response.status, response.header("Content-Type")) == (500, "text/html")
    assert b"An error occurred" in response.body
    assert b"secret trace" not in response.body


def test_an_error_of_a_back_end_reaches_the_client_as_it_is(world: Site, nginx: Nginx) -> None:
    world.backends["kasm-api:8080"].answer = lambda _: Answer(
        500, (("Content-Type", "application/json"),), b'{"error_message": "no such user"}'
    )
    response = nginx.get("/api/login")
    assert (response.status, response.header("Content-Type")) == (500, "application/json")
    assert response.body == b'{"error_message": "no such user"}'


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """What the other side sends, up to and with `end`."""
    received = b""
    while not received.endswith(end):
        chunk = connection.recv(65536)
        assert chunk, f"the connection ended after {received!r}"
        received += chunk
    return received


def one_shot_server(address: str, port: int, talk: Callable[[socket.socket], None]) -> threading.Thread:
    """A plain TCP server for one connection."""
    listener = socket.create_server((address, port))

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.settimeout(waiting.GUARD)
            talk(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def assert_streams(nginx: Nginx, target: str, address: str, port: int) -> None:
    """Neither the request's body nor the answer's is held back on its way through nginx."""
    first_half = threading.Event()
    got_answer = threading.Event()

    def talk(connection: socket.socket) -> None:
        read_until(connection, b"first")
        first_half.set()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        assert got_answer.wait(10)
        connection.sendall(b"-done")

    server = one_shot_server(address, port, talk)
    with socket.create_connection((nginx.address, PLAIN_PORT), 10) as client:
        head = f"POST {target} HTTP/1.1\r\nHost: kasm.example.com\r\nContent-Length: 10\r\n\r\n"
        client.sendall(head.encode() + b"first")
        # The back end has the first half before the client sends the second ...
        assert first_half.wait(10)
        read_until(client, b"half")
        # ... and the client has the first half of the answer before the back end sends the second.
        got_answer.set()
        client.sendall(b"_last")
        read_until(client, b"-done")
    server.join(10)


def test_uploads_and_downloads_of_a_session_are_not_collected_first(world: Site, pooled: Nginx) -> None:
    host = world.address("agent")
    world.backends["kasm-api:8080"].answer = session(host=host, Schema="http", Port="6903")
    assert_streams(pooled, f"/desktop/{SESSION}/upload", host, 6903)


@pytest.mark.parametrize("names", [["kasm-guac"], []], ids=["pooled", "by_name"])
def test_the_traffic_of_guac_is_not_collected_first(render: Render, names: list[str]) -> None:
    with site() as own:
        own.name(f"kasm-guac.{ZONE}", "kasm-guac")
        nginx = own.start(render(values(own)), names=names)
        assert_streams(nginx, "/guac_connect/vnc/upload", own.address("kasm-guac"), 3000)


@pytest.mark.parametrize("names", [["kasm-api"], []], ids=["pooled", "by_name"])
def test_the_body_of_an_api_request_goes_on_as_it_comes(render: Render, names: list[str]) -> None:
    begun = threading.Event()

    def talk(connection: socket.socket) -> None:
        read_until(connection, b"first")
        begun.set()
        read_until(connection, b"_last")
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")

    with site() as own:
        own.name(f"kasm-api.{ZONE}", "kasm-api")
        nginx = own.start(render(values(own)), names=names)
        server = one_shot_server(own.address("kasm-api"), 8080, talk)
        with socket.create_connection((nginx.address, PLAIN_PORT), 10) as client:
            client.sendall(b"POST /api/import HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst")
            assert begun.wait(10)
            client.sendall(b"_last")
            read_until(client, b"done")
        server.join(10)


@pytest.mark.parametrize("target", ["/api/x", f"/desktop/{SESSION}/x", "/guac_connect/uploads/x", "/rpc"])
def test_a_body_may_have_a_gigabyte_and_no_more(world: Site, pooled: Nginx, target: str) -> None:
    world.backends["kasm-api:8080"].answer = session(host=world.address("agent"))
    world.backends["kasm-guac:3000"].answer = machine(world.address("agent"))
    gigabyte = 1 << 30

    def announce(length: int) -> bytes:
        with socket.create_connection((pooled.address, PLAIN_PORT), 10, (pooled.client, 0)) as client:
            client.sendall(f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n".encode())
            client.settimeout(0.3)
            try:
                return client.recv(64)
            except TimeoutError:
                return b"nginx waits for the body"

    assert announce(gigabyte + 1).startswith(b"HTTP/1.1 413 ")
    assert announce(gigabyte) == b"nginx waits for the body"


def test_sessions_may_be_silent_for_long_and_a_dead_host_is_noticed_soon(render: Render) -> None:
    conf, served = (find(render(PLAIN), "ConfigMap", name)["data"] for name in CONFIGMAPS[1:])
    main = find(render(PLAIN), "ConfigMap", CONFIGMAPS[0])["data"]["nginx.conf"]
    text = "\n".join([main, *conf.values(), *served.values()])
    assert re.findall(r"proxy_connect_timeout (\S+);", text) == ["10s"]
    for direction in ("read", "send"):
        assert f"proxy_{direction}_timeout 1800s;" in conf["proxy_session.inc"]
        assert f"proxy_{direction}_timeout 3600s;" in conf["rdp_tunnel.inc"]


# --- sessions through guac --------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["uploads", "downloads", "api"])
@pytest.mark.parametrize("hostname", ["address", "name"])
def test_files_of_a_machine_go_where_guac_says(world: Site, nginx: Nginx, service: str, hostname: str) -> None:
    host = world.address("agent") if hostname == "address" else "agent-1.example.net"
    guac = world.backends["kasm-guac:3000"]
    guac.answer = machine(host)
    target = f"/guac_connect/{service}/a%20file?name=x%2Fy&z=1"
    response = nginx.request("POST", target, {"Authorization": "Bearer mine"}, b"content")
    assert (response.status, response.backend) == (200, "agent:6901")
    (question,) = guac.requests
    assert (question.method, question.target, question.body) == ("GET", "/vm_connect", b"")
    assert question.header("X-Original-URI") == target
    request = world.backends["agent:6901"].last()
    assert (request.target, request.body) == ("/a%20file?name=x%2Fy&z=1", b"content")
    assert request.header("Authorization") == "Bearer machine-token"
    assert_standard_headers(request, nginx.client)


def test_files_of_a_machine_are_closed_to_whom_guac_refuses(world: Site, pooled: Nginx) -> None:
    world.backends["kasm-guac:3000"].answer = lambda _: Answer(403)
    assert pooled.get("/guac_connect/downloads/x").status == 403
    assert not world.backends["agent:6901"].requests


def test_kasmguac_keeps_the_query_and_says_who_asks(world: Site, nginx: Nginx) -> None:
    guac = world.backends["kasm-guac:3000"]
    guac.answer = machine("agent-1.example.net")
    target = f"/kasmguac/{SESSION}/downloads/a%20file?name=x%2Fy"
    cookies = "username=u; session_token=st; kasm_client_key=ck; other=1"
    response = nginx.get(target, {"Authorization": "Bearer of-the-client", "Cookie": cookies})
    assert (response.status, response.backend) == (200, "agent:6901")
    (question,) = guac.requests
    assert question.header("X-Original-URI") == "/guac_connect/downloads/a%20file?name=x%2Fy"
    assert question.header("X-Kasm-ID") == SESSION
    assert question.header("Cookie") == "username=u; session_token=st; kasm_client_key=ck"
    request = world.backends["agent:6901"].last()
    assert request.target == "/a%20file?name=x%2Fy"
    assert request.header("X-Kasm-ID") == SESSION
    assert request.header("Authorization") == "Bearer machine-token"
    assert_standard_headers(request, nginx.client)
    assert response.all("Strict-Transport-Security") == ["max-age=63072000"]


@pytest.mark.parametrize("page", ["page", "vnc.htmlguaclite"])
def test_kasmguac_sends_the_session_and_no_empty_token(world: Site, pooled: Nginx, page: str) -> None:
    # The client's own token is for the worker of its tunnel only.
    told = {"Cookie": "other=1"} | ({"Authorization": "Bearer mine"} if page == "page" else {})
    response = pooled.get(f"/kasmguac/{SESSION}/vnc/{page}", told)
    request = world.backends[str(response.backend)].last()
    assert request.header("X-Kasm-ID") == SESSION
    assert request.header("Authorization") is None
    assert "other" not in (request.header("Cookie") or "")


# --- RDP over HTTPS ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/remoteDesktopGateway/", "/rpc/rpcproxy.dll"])
def test_rdp_tunnels_pass_their_own_verbs_and_share_no_connection(world: Site, nginx: Nginx, target: str) -> None:
    gateway = world.backends["rdp-https-gateway:9443"]
    verbs = ["RDG_OUT_DATA", "RDG_IN_DATA", "RPC_IN_DATA", "RPC_OUT_DATA"]
    for verb in verbs:
        assert nginx.request(verb, target, {"Authorization": "NTLM of-one-client"}).status == 200
    assert [request.method for request in gateway.requests] == verbs
    assert len({request.connection for request in gateway.requests}) == len(verbs)


def test_rpc_is_told_the_port_that_the_client_asked(world: Site, pooled: Nginx) -> None:
    asked = {"Host": "kasm.example.com:8443"}
    for target, host in (("/rpc/", "kasm.example.com:8443"), ("/remoteDesktopGateway", "kasm.example.com")):
        pooled.get(target, asked)
        assert world.backends["rdp-https-gateway:9443"].last().header("Host") == host


# --- optional components ----------------------------------------------------------------------------------------


def component_of(target: str) -> str | None:
    """The optional component that a location belongs to."""
    if target.startswith(("/guac", "/kasmguac")):
        return "kasmGuac"
    if target.startswith("/api/share/"):
        return "kasmShare"
    if target.startswith("/rdp-gateway/"):
        return "rdpGateway"
    if target.startswith(("/rdp-https", "/remote", "/rpc")):
        return "rdpHttpsGateway"
    return None


@pytest.mark.parametrize("deployed", list(itertools.product((True, False), repeat=len(OPTIONAL))), ids=str)
def test_locations_of_components_that_are_off_do_not_exist(
    world: Site, render: Render, deployed: tuple[bool, ...]
) -> None:
    on = dict(zip(OPTIONAL, deployed, strict=True))
    # Share and Redis need each other.
    on["kasmShare"] = on["kasmShare"] and on["kasmRedis"]
    toggles = services(**{name: {"deploy": value} for name, value in zip(OPTIONAL, deployed, strict=True)})
    objects = render(values(world, toggles))
    nginx = world.start(objects, names=(*SERVICES, *TLS_SERVICES))
    for target, backends, _ in ROUTES:
        response = nginx.get(target)
        component = component_of(target)
        if component is None or on[component]:
            assert (response.status, response.backend in backends) == (200, True), target
        elif component == "kasmShare":
            # An API path like any other: the API says what it thinks of it.
            assert response.backend == "kasm-api:8080"
        else:
            assert (response.status, response.backend) == (404, None), target
    world.stop(nginx)

    text = "".join(str(find(objects, "ConfigMap", name)["data"]) for name in CONFIGMAPS)
    for component, service in (
        ("kasmGuac", "kasm-guac"),
        ("kasmShare", "kasm-share"),
        ("rdpGateway", "rdp-gateway"),
        ("rdpHttpsGateway", "rdp-https-gateway"),
    ):
        assert (f"upstream {service} " in text) == on[component]


CONFIGMAPS = ("kasm-proxy-base-configmap", "kasm-proxy-settings-configmap", "kasm-proxy-services-configmap")


def test_the_configmaps_have_the_files_that_patches_may_name(render: Render) -> None:
    objects = render(PLAIN)
    settings = {
        "compress.conf",
        "logging.conf",
        "orchestrator.conf",
        "orchestrator_http.conf",
        "upstream_api.conf",
        "upstream_manager.conf",
        "upstream_kasm_guac.conf",
        "upstream_kasm_share.conf",
        "upstream_rdp_gateway.conf",
        "upstream_rdp_https_gateway.conf",
    }
    locations = {
        "admin_api.conf",
        "client_api.conf",
        "manager_api.conf",
        "subscription_api.conf",
        "upstream_proxy.conf",
        "website.conf",
        "kasmguac.conf",
        "rdp_gateway.conf",
        "share_api.conf",
        "rdp_https_gateway.conf",
    }
    base, conf, served = (find(objects, "ConfigMap", name) for name in CONFIGMAPS)
    assert set(base["data"]) == {"nginx.conf"}
    # Files that others include end in .inc, so that nginx does not read them by themselves.
    assert {name for name in conf["data"] if not name.endswith(".inc")} == settings
    assert set(served["data"]) == locations
    for configmap in (base, conf, served):
        assert configmap["metadata"]["labels"]["kasm_app"] == "kasm-proxy"
        assert "annotations" not in configmap["metadata"]


def test_every_included_file_is_there_and_used(render: Render) -> None:
    for guac in (True, False):
        for rdp in (True, False):
            objects = render(merged(PLAIN, services(kasmGuac={"deploy": guac}, rdpHttpsGateway={"deploy": rdp})))
            data = [find(objects, "ConfigMap", name)["data"] for name in CONFIGMAPS]
            text = "\n".join(part for maps in data for part in maps.values())
            included = set(re.findall(r"include /etc/nginx/conf\.d/(\S+\.inc);", text))
            assert included == {name for name in data[1] if name.endswith(".inc")}


# --- client address and scheme ----------------------------------------------------------------------------------


def test_the_client_behind_a_trusted_ingress_is_known(world: Site, nginx: Nginx) -> None:
    told = {"X-Forwarded-For": "198.51.100.7, 203.0.113.9", "X-Forwarded-Proto": "https"}
    nginx.get("/api/login", told, source=ingress_address(world))
    request = world.backends["kasm-api:8080"].last()
    # 198.51.100.7 is what the client claimed before it reached the Ingress controller.
    assert request.header("X-Real-IP") == "203.0.113.9"
    assert request.header("X-Forwarded-For") == f"198.51.100.7, 203.0.113.9, {ingress_address(world)}"
    assert request.header("X-Forwarded-Proto") == "https"


def test_the_client_is_known_behind_the_second_request_of_kasmguac(world: Site, nginx: Nginx) -> None:
    told = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    nginx.get(f"/kasmguac/{SESSION}/vnc/page", told, source=ingress_address(world))
    request = world.backends["kasm-guac:3000"].last()
    assert request.header("X-Real-IP") == "203.0.113.9"
    assert request.header("X-Forwarded-Proto") == "https"


def test_others_are_not_believed(world: Site, nginx: Nginx) -> None:
    told = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Real-IP": "203.0.113.9"}
    nginx.get("/api/login", told)
    request = world.backends["kasm-api:8080"].last()
    assert request.header("X-Real-IP") == nginx.client
    assert request.header("X-Forwarded-For") == f"203.0.113.9, {nginx.client}"
    assert request.header("X-Forwarded-Proto") == "http"


@pytest.mark.parametrize("told", ["ftp", "javascript:alert(1)", "https-not", ""])
def test_a_scheme_is_http_or_https(world: Site, pooled: Nginx, told: str) -> None:
    pooled.get("/api/login", {"X-Forwarded-Proto": told}, source=ingress_address(world))
    assert world.backends["kasm-api:8080"].last().header("X-Forwarded-Proto") == "http"


def test_the_scheme_of_several_proxies_is_the_first(world: Site, pooled: Nginx) -> None:
    pooled.get("/api/login", {"X-Forwarded-Proto": "https,http"}, source=ingress_address(world))
    assert world.backends["kasm-api:8080"].last().header("X-Forwarded-Proto") == "https"


def test_the_default_trust_is_private_addresses(render: Render) -> None:
    main = find(render(PLAIN), "ConfigMap", "kasm-proxy-base-configmap")["data"]["nginx.conf"]
    trusted = re.findall(r"set_real_ip_from (\S+);", main)
    assert set(trusted) >= {"127.0.0.1", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"}
    assert "0.0.0.0/0" not in trusted


def test_the_tls_listener_serves_the_same(world: Site, nginx: Nginx) -> None:
    response = nginx.get("/api/login?x=1", tls=True)
    assert (response.status, response.backend) == (200, "kasm-api:8080")
    request = world.backends["kasm-api:8080"].last()
    assert_standard_headers(request, nginx.client, scheme="https")
    assert nginx.get("/__healthcheck", tls=True).body == b"ok\n"


def test_the_tls_listener_speaks_1_2_and_1_3(pooled: Nginx) -> None:
    def negotiate(version: ssl.TLSVersion) -> str | None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        with (
            socket.create_connection((pooled.address, TLS_PORT), 10) as plain,
            context.wrap_socket(plain) as wrapped,
        ):
            return wrapped.version()

    assert negotiate(ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert negotiate(ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    with pytest.warns(DeprecationWarning), pytest.raises((ssl.SSLError, ConnectionError)):
        negotiate(ssl.TLSVersion.TLSv1_1)


# --- CORS -------------------------------------------------------------------------------------------------------

CORS = ("Origin", "Credentials", "Methods", "Headers")


def cors(response: Any) -> dict[str, str]:
    return {name: value for name in CORS if (value := response.header(f"Access-Control-Allow-{name}"))}


def cors_targets(world: Site) -> list[str]:
    world.backends["kasm-api:8080"].answer = session(host=world.address("agent"))
    return ["/", f"/desktop/{SESSION}/x", f"/kasmguac/{SESSION}/vnc/vnc.htmlguaclite"]


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_no_origin_is_reflected_by_default(world: Site, pooled: Nginx, method: str) -> None:
    # Not even when a back end does it.
    reflecting = tuple((f"Access-Control-Allow-{name}", "*") for name in CORS)
    for name in ("agent:6901", *GUAC_WORKERS):
        world.backends[name].answer = lambda _: Answer(200, reflecting)
    for target in cors_targets(world):
        response = pooled.request(method, target, {"Origin": "https://evil.example"})
        assert response.status == (200 if method == "GET" else 405 if target == "/" else 204)
        assert cors(response) == {}


@pytest.fixture(scope="module")
def with_origins(world: Site, render: Render) -> Nginx:
    origins = services(kasmProxy={"corsOrigins": ["https://portal.example.com", "https://x.example:8443"]})
    return world.start(render(values(world, origins)), names=(*SERVICES, *TLS_SERVICES))


@pytest.mark.parametrize("origin", ["https://portal.example.com", "https://x.example:8443"])
def test_listed_origins_may_send_credentials(world: Site, with_origins: Nginx, origin: str) -> None:
    allowed = {
        "Origin": origin,
        "Credentials": "true",
        "Methods": "GET, POST, OPTIONS",
        "Headers": "DNT,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range",
    }
    for target in cors_targets(world):
        response = with_origins.get(target, {"Origin": origin})
        assert cors(response) == allowed
        assert "Origin" in response.all("Vary")
        assert response.header("X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://portal.example.com", "https://portal.example.com.evil.example", "null"],
)
def test_other_origins_than_the_listed_may_not(world: Site, with_origins: Nginx, origin: str) -> None:
    for target in cors_targets(world):
        response = with_origins.get(target, {"Origin": origin})
        assert cors(response) == {}
        # A cache must not give this answer to a listed origin.
        assert "Origin" in response.all("Vary")


def test_a_preflight_is_answered_without_asking_a_back_end(world: Site, with_origins: Nginx) -> None:
    origin = "https://portal.example.com"
    targets = [*cors_targets(world)[1:], f"/kasmguac/{SESSION}/uploads/x"]
    for target in targets:
        response = with_origins.request("OPTIONS", target, {"Origin": origin})
        assert (response.status, response.body, cors(response)["Origin"]) == (204, b"", origin)
        assert cors(with_origins.request("OPTIONS", target, {"Origin": "https://evil.example"})) == {}
    assert not any(backend.requests for backend in some(world.backends.values()))


def test_the_subscription_api_names_one_fixed_origin(world: Site, pooled: Nginx) -> None:
    for method, status in (("OPTIONS", 204), ("POST", 200)):
        response = pooled.request(method, "/api/subscriptions/x", {"Origin": "https://evil.example"})
        assert response.status == status
        allowed = cors(response)
        assert (allowed["Origin"], allowed["Credentials"]) == ("https://www.kasmweb.com", "true")
        assert allowed["Methods"] == "GET, POST, OPTIONS"
        assert "X-Mx-ReqToken" in allowed["Headers"]
    assert [r.method for r in world.backends["kasm-api:8080"].requests] == ["POST"]


# --- response headers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/api/login",
        "/api/admin/x",
        "/api/subscriptions/x",
        "/api/share/x",
        f"/desktop/{SESSION}/x",
        "/guac_connect/vnc/x",
        "/guac_connect/vnc/vnc.htmlguaclite",
        f"/kasmguac/{SESSION}/vnc/x",
        f"/kasmguac/{SESSION}/vnc/vnc.htmlguaclite",
    ],
)
def test_browsers_are_told_to_stay_with_tls(world: Site, pooled: Nginx, target: str) -> None:
    world.backends["kasm-api:8080"].answer = session(host=world.address("agent"))
    world.backends["agent:6901"].answer = lambda _: Answer(404, (("Strict-Transport-Security", "max-age=0"),))
    assert pooled.get(target).all("Strict-Transport-Security") == ["max-age=63072000"]


def test_pages_are_asked_for_again_and_what_they_load_is_kept(pooled: Nginx) -> None:
    page, script = pooled.get("/"), pooled.get("/app.js")
    assert sorted(page.all("Cache-Control")) == ["no-cache", "private"]
    assert sorted(script.all("Cache-Control")) == ["max-age=14400", "private"]
    assert page.header("X-Robots-Tag") == "noindex, nofollow, nosnippet, noarchive"
    assert pooled.get("/nothing").header("Server") == "nginx"


@pytest.mark.parametrize(
    ("content_type", "lifetime"),
    [
        ("text/html; charset=utf-8", ["no-cache", "private"]),
        ("application/javascript", ["max-age=14400", "private"]),
        ("image/png", ["max-age=14400", "private"]),
        ("application/json", ["no-store", "private"]),
    ],
)
def test_a_session_host_says_itself_how_long_its_data_may_be_kept(
    world: Site, pooled: Nginx, content_type: str, lifetime: list[str]
) -> None:
    world.backends["kasm-api:8080"].answer = session(host=world.address("agent"))
    headers = (("Content-Type", content_type), ("Cache-Control", "no-store"))
    world.backends["agent:6901"].answer = lambda _: Answer(200, headers)
    assert sorted(pooled.get(f"/desktop/{SESSION}/x").all("Cache-Control")) == lifetime


def test_texts_are_compressed(pooled: Nginx) -> None:
    response = pooled.get("/app.js", {"Accept-Encoding": "gzip"})
    assert response.header("Content-Encoding") == "gzip"
    assert "Accept-Encoding" in response.all("Vary")
    assert len(response.body) < 200
    assert pooled.get("/app.js").header("Content-Encoding") is None


# --- keep-alive -------------------------------------------------------------------------------------------------


def connections_of(nginx: Nginx, world: Site, backend: str, target: str, count: int = 12) -> int:
    """How many connections a number of requests of different clients took at the back end."""
    for _ in range(count):
        assert nginx.get(target).status == 200
    requests = world.backends[backend].requests[-count:]
    return len({request.connection for request in requests})


@pytest.mark.parametrize(
    ("target", "backend"),
    [
        ("/api/login", "kasm-api:8080"),
        ("/manager_api/x", "kasm-manager:8181"),
        ("/api/share/x", "kasm-share:8182"),
        ("/guac_login", "kasm-guac:3000"),
        ("/rdp-gateway/x", "rdp-gateway:5555"),
        ("/rdp-https-gateway/x", "rdp-https-gateway:9443"),
    ],
)
def test_connections_to_a_back_end_are_used_again(world: Site, pooled: Nginx, target: str, backend: str) -> None:
    assert connections_of(pooled, world, backend, target) == 1


def test_the_questions_to_the_api_use_the_pool_too(world: Site, pooled: Nginx) -> None:
    api = world.backends["kasm-api:8080"]
    api.answer = session(host=world.address("agent"))
    for _ in range(12):
        assert pooled.get(f"/desktop/{SESSION}/x").status == 200
    assert len({request.connection for request in api.requests}) == 1
    assert api.last().header("Connection") is None


@pytest.mark.parametrize("given", [16, 16.0, "16", 1])
def test_the_size_of_the_pool_may_be_any_kind_of_number(world: Site, render: Render, given: Any) -> None:
    objects = render(values(world, services(kasmProxy={"serviceKeepalive": given})))
    settings = find(objects, "ConfigMap", "kasm-proxy-settings-configmap")["data"]
    for name, text in settings.items():
        if name.startswith("upstream_"):
            assert set(re.findall(r"keepalive (\S+);", text)) == {str(int(given))}
    nginx = world.start(objects, names=SERVICES)
    assert connections_of(nginx, world, "kasm-api:8080", "/api/x") == 1
    world.stop(nginx)


def test_a_pool_of_size_0_is_none(world: Site, render: Render) -> None:
    nginx = world.start(render(values(world, services(kasmProxy={"serviceKeepalive": 0}))), names=SERVICES)
    assert connections_of(nginx, world, "kasm-api:8080", "/api/x", 5) == 5
    world.stop(nginx)


def test_guacs_four_workers_share_the_load(pooled: Nginx) -> None:
    target = "/guac_connect/vnc/vnc.htmlguaclite"
    assert {pooled.get(target).backend for _ in range(8)} == set(GUAC_WORKERS)


# --- names at run time ------------------------------------------------------------------------------------------


@pytest.fixture
def empty() -> Iterator[Site]:
    """A site where nothing runs but DNS, which knows nothing."""
    with site() as created:
        yield created


def test_nginx_starts_without_any_name_and_finds_back_ends_when_they_come(empty: Site, render: Render) -> None:
    nginx = empty.start(render(values(empty)), names=())
    for target in TARGETS:
        assert nginx.get(target).status == 502
    for tls, table in ((False, SERVICES), (True, TLS_SERVICES)):
        for host, ports in table.items():
            empty.serve(host, *ports, tls=tls)
            empty.name(f"{host}.{ZONE}", host)
    for target, backends, _ in ROUTES:
        response = nginx.get(target)
        assert (response.status, response.backend in backends) == (200, True), target


def test_a_service_that_gets_another_address_is_found(empty: Site, render: Render) -> None:
    empty.serve("kasm-api", 8080)
    empty.name(f"kasm-api.{ZONE}", "kasm-api")
    nginx = empty.start(render(values(empty)), names=["kasm-api"])
    assert nginx.get("/api/x").backend == "kasm-api:8080"
    empty.unserve("kasm-api:8080")
    empty.serve("kasm-api-recreated", 8080)
    empty.name(f"kasm-api.{ZONE}", "kasm-api-recreated")
    for _ in range(3):
        assert nginx.get("/api/x").backend == "kasm-api-recreated:8080"


def test_a_back_end_that_restarts_loses_no_request(empty: Site, render: Render) -> None:
    empty.serve("kasm-api", 8080)
    nginx = empty.start(render(values(empty)), names=["kasm-api"])
    for _ in range(3):
        assert nginx.get("/api/x").status == 200
        # Its pooled connections die with it.
        empty.unserve("kasm-api:8080")
        empty.serve("kasm-api", 8080)
    assert nginx.get("/api/x").status == 200


def test_a_request_that_changes_something_is_sent_once(empty: Site, render: Render) -> None:
    def die(_: Request) -> Answer:
        # The connection closes without an answer: nobody knows what has been done.
        raise ConnectionAbortedError

    empty.serve("kasm-api", 8080)
    empty.name(f"kasm-api.{ZONE}", "kasm-api")
    nginx = empty.start(render(values(empty)), names=["kasm-api"])
    api = empty.backends["kasm-api:8080"]
    api.answer = die
    assert nginx.request("POST", "/api/create", body=b"one").status == 502
    assert [request.method for request in api.requests] == ["POST"]


def test_names_carry_namespace_and_cluster_domain(empty: Site, render: Render) -> None:
    chosen = {"global": {"namespace": "desktops", "clusterDomain": "corp.internal"}}
    empty.serve("kasm-api", 8080)
    empty.name("kasm-api.desktops.svc.corp.internal", "kasm-api")
    nginx = empty.start(render(values(empty, chosen)), names=())
    assert nginx.get("/api/x").status == 200


def test_the_dns_server_may_be_given(empty: Site, render: Render) -> None:
    server = f"{empty.loopback.host(53)}:{DNS_PORT}"
    empty.serve("kasm-api", 8080)
    empty.name(f"kasm-api.{ZONE}", "kasm-api")
    objects = render(values(empty, services(kasmProxy={"resolver": server})))
    nginx = empty.start(objects, names=())
    assert nginx.get("/api/x").status == 200
    assert not (nginx.directory / "run" / "names" / "resolver.conf").exists()


def test_nginx_starts_where_the_init_container_did_not_run(empty: Site, render: Render) -> None:
    nginx = empty.start(render(values(empty)), names=None)
    assert nginx.get("/api/x").status == 502


def test_the_init_container_reads_every_kind_of_resolv_conf(render: Render, tmp_path: Any) -> None:
    script = CHART / "files" / "nginx" / "names.sh"
    rendered = find(render(PLAIN), "Deployment", "kasm-proxy-deployment")["spec"]["template"]["spec"]
    (container,) = (c for c in rendered["initContainers"] if c["name"] == "names")
    assert container["args"][0].strip() == script.read_text().strip()

    def resolver(text: str) -> str | None:
        conf, out = tmp_path / "resolv.conf", tmp_path / f"names-{time.monotonic_ns()}"
        conf.write_text(text)
        subprocess.run(["/bin/sh", script, out, conf], check=True, capture_output=True, timeout=waiting.GUARD)
        written = out / "resolver.conf"
        return written.read_text() if written.exists() else None

    assert resolver("search a.b\nnameserver 10.96.0.10\noptions ndots:5\n") == "resolver 10.96.0.10 valid=10s;\n"
    # Without a line end, IPv6, and a link-local address that nginx could not use.
    two = "nameserver fd00::a\nnameserver fe80::1%eth0\nnameserver 10.0.0.1"
    assert resolver(two) == "resolver [fd00::a] 10.0.0.1 valid=10s;\n"
    assert resolver("# empty\n") is None


def test_the_init_container_writes_addresses_of_both_families(tmp_path: Any) -> None:
    script = CHART / "files" / "nginx" / "names.sh"
    getent = tmp_path / "getent"
    lines = "10.96.0.20 kasm-api.a.svc kasm-api", "fd00::20 kasm-api", "fe80::1%eth0 kasm-api"
    getent.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    getent.chmod(0o755)
    paths = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    command = ["/bin/sh", script, tmp_path / "names", "-", "kasm-guac:3000,3001"]
    subprocess.run(command, check=True, env=paths, timeout=waiting.GUARD)
    written = {path.name: path.read_text().splitlines() for path in (tmp_path / "names").iterdir()}
    assert written == {
        f"kasm-guac-{port}.conf": [f"server 10.96.0.20:{port};", f"server [fd00::20]:{port};"] for port in (3000, 3001)
    }


def test_the_init_container_asks_for_each_deployed_service(render: Render) -> None:
    def asked(**blocks: Object) -> list[str]:
        proxy = find(render(merged(PLAIN, services(**blocks))), "Deployment", "kasm-proxy-deployment")
        containers = proxy["spec"]["template"]["spec"]["initContainers"]
        return next(c for c in containers if c["name"] == "names")["args"][4:]

    assert asked() == [
        "kasm-api:8080",
        "kasm-guac:3000,3001,3002,3003,3004",
        "kasm-manager:8181",
        "kasm-share:8182",
        "rdp-gateway:5555",
        "rdp-https-gateway:9443",
    ]
    off = {name: {"deploy": False} for name in OPTIONAL}
    assert asked(**off) == ["kasm-api:8080", "kasm-manager:8181"]


# --- the process ------------------------------------------------------------------------------------------------

LOG_KEYS = {
    "upstream_response_length", "body_bytes_sent", "server_addr", "server_port", "request_method",
    "http_referer", "http_user_agent", "http_x_forwarded_for", "http_x_header", "nginx_version",
    "server_protocol", "request", "request_length", "request_time", "upstream_response_time", "server_name",
    "remote_addr", "realip_remote_addr", "time_local", "time_iso8601", "msec", "upstream_addr",
    "upstream_connect_time", "upstream_status", "uri", "query_string", "remote_user", "cookie_username",
    "upstream_header_time", "request_host", "http_status",
}  # fmt: skip


def test_requests_are_logged_as_json_to_standard_output(world: Site, pooled: Nginx) -> None:
    agent = 'quote " backslash \\ and \x01'
    told = {"User-Agent": agent, "X-Forwarded-For": "203.0.113.9", "Cookie": "username=u@x"}
    pooled.get("/api/logged?q=%22", told, source=ingress_address(world))
    lines = [line for line in pooled.access_log("/api/logged") if line["uri"] == "/api/logged"]
    assert len(lines) == 1
    (line,) = lines
    assert set(line) == LOG_KEYS
    assert line["http_user_agent"] == agent
    assert (line["remote_addr"], line["realip_remote_addr"]) == ("203.0.113.9", ingress_address(world))
    assert (line["http_status"], line["upstream_status"], line["query_string"]) == ("200", "200", "q=%22")
    assert (line["request_host"], line["cookie_username"]) == ("kasm.example.com", "u@x")
    assert line["upstream_addr"] == f"{world.address('kasm-api')}:8080"


def test_a_request_is_logged_once_and_a_health_check_never(by_name: Nginx) -> None:
    by_name.get("/api/before")
    before = len(by_name.access_log("/api/before"))
    # The way by name is a second request of nginx to itself, and not a line of its own.
    by_name.get("/api/once")
    by_name.get("/__healthcheck")
    by_name.get("/api/after")
    logged = [line["uri"] for line in by_name.access_log("/api/after")[before:]]
    assert logged == ["/api/once", "/api/after"]


def test_nothing_on_a_volume_grows(world: Site, pooled: Nginx) -> None:
    def files() -> set[str]:
        volumes = (pooled.directory / name for name in ("run", "cache", "tmp", "log"))
        found = (path for volume in volumes for path in volume.rglob("*") if path.is_file())
        return {str(path.relative_to(pooled.directory)) for path in found}

    api = world.backends["kasm-api:8080"]
    api.answer = lambda _: Answer(200, (), b"x" * 5_000_000)
    for _ in range(3):
        assert len(pooled.get("/api/report").body) == 5_000_000
        assert pooled.request("POST", "/api/upload", body=b"x" * 2_000_000).status == 200
    assert api.last().body == b"x" * 2_000_000
    assert {path for path in files() if not path.startswith("run/names/")} == {"run/nginx.pid"}


@pytest.mark.parametrize("names", [["kasm-api"], []], ids=["pooled", "by_name"])
def test_an_answer_waits_at_the_back_end_for_a_slow_client(render: Render, names: list[str]) -> None:
    size = 50_000_000
    all_sent = threading.Event()

    def talk(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode() + b"x" * size)
        all_sent.set()

    with site() as own:
        own.name(f"kasm-api.{ZONE}", "kasm-api")
        nginx = own.start(render(values(own)), names=names)
        server = one_shot_server(own.address("kasm-api"), 8080, talk)
        with socket.create_connection((nginx.address, PLAIN_PORT), 10) as client:
            client.sendall(b"GET /api/report HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert client.recv(1)
            # Long enough to write it all to a file, were there one.
            assert not all_sent.wait(1)
            while client.recv(1 << 20):
                pass
        server.join(10)
        assert all_sent.is_set()


def test_nginx_starts_as_nobody_without_a_word_of_warning(pooled: Nginx) -> None:
    # The harness gives it four directories to write to, and a user that owns nothing else.
    started = pooled.errors()
    assert not re.findall(r"\[(?:warn|error|crit|alert|emerg)\].*(?:stapling|duplicate|ignored|could not)", started)
    assert "[emerg]" not in started
    assert (pooled.directory / "run" / "nginx.pid").read_text().strip() == str(pooled.process.pid)


def test_nginx_starts_with_hardening_off(world: Site, render: Render) -> None:
    objects = render(values(world, {"kasmApp": {"applyHardening": False}}))
    nginx = world.start(objects, names=SERVICES)
    assert nginx.get("/api/x").status == 200
    world.stop(nginx)


@pytest.mark.parametrize(
    ("size", "given", "workers"),
    [
        ("small", None, "1"),
        ("medium", None, "2"),
        ("large", None, "3"),
        ("large", 7, "7"),
        ("small", 2.0, "2"),
    ],
)
def test_workers_follow_the_processor_share(render: Render, size: str, given: Any, workers: str) -> None:
    chosen = merged({"kasmApp": {"deploymentSize": size}}, services(kasmProxy={"workerProcesses": given}))
    main = find(render(merged(PLAIN, chosen)), "ConfigMap", "kasm-proxy-base-configmap")["data"]["nginx.conf"]
    assert re.findall(r"^worker_processes (\S+);", main, re.MULTILINE) == [workers]


def test_a_quit_lets_open_sessions_end(world: Site, render: Render) -> None:
    nginx = world.start(render(values(world)), names=SERVICES)
    done = threading.Event()

    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        nginx.process.send_signal(3)  # SIGQUIT, what `nginx -s quit` sends
        waiting.until(nginx.is_closed, "nginx to take no more connections")
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
        done.set()

    world.unserve("kasm-api:8080")
    try:
        server = one_shot_server(world.address("kasm-api"), 8080, talk)
        assert nginx.get("/api/slow").body == b"late"
        assert done.wait(waiting.GUARD)
        server.join(waiting.GUARD)
        assert nginx.process.wait(5) == 0
    finally:
        world.serve("kasm-api", 8080)
        world.stop(nginx)


def test_the_proxys_name_renames_its_configmaps(render: Render) -> None:
    objects = render(merged(PLAIN, services(kasmProxy={"name": "edge"})))
    for part in ("base", "settings", "services"):
        configmap = find(objects, "ConfigMap", f"edge-{part}-configmap")
        assert configmap["metadata"]["labels"]["kasm_app"] == "edge"
