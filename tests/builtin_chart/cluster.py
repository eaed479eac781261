"""A stand-in for the Kubernetes API server, for what `lookup` asks of it: Secrets by namespace and name."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import helm_python

Object = dict[str, Any]

SECRETS = {
    "kind": "APIResourceList",
    "groupVersion": "v1",
    "resources": [
        {"name": "secrets", "singularName": "secret", "namespaced": True, "kind": "Secret", "verbs": ["get"]}
    ],
}


class Cluster:
    """Holds Secrets; `asked` lists the paths that were asked for, in order."""

    def __init__(self) -> None:
        self.secrets: dict[tuple[str, str], Object] = {}
        self.asked: list[str] = []

    def apply(self, objects: list[Object]) -> None:
        """Store the Secrets among these objects as the API server would."""
        for obj in objects:
            if obj["kind"] == "Secret":
                self.secrets[obj["metadata"]["namespace"], obj["metadata"]["name"]] = copy.deepcopy(obj)

    def answer(self, path: str) -> Object | None:
        if path == "/api/v1":
            return SECRETS
        parts = path.split("/")
        if parts[:4] == ["", "api", "v1", "namespaces"] and parts[5:6] == ["secrets"]:
            return self.secrets.get((parts[4], parts[6]))
        return None


@contextmanager
def running(cluster: Cluster) -> Iterator[helm_python.Config]:
    """The cluster on a port of its own, as a connection of the Helm library."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            cluster.asked.append(path)
            answer = cluster.answer(path)
            missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound"}
            body = json.dumps(answer or {**missing, "code": 404}).encode()
            self.send_response(200 if answer else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (likewise)
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [
            {"name": "test", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}},
        ],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    try:
        with helm_python.Config(kubeconfig_content=json.dumps(kubeconfig), storage_driver="memory") as config:
            yield config
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
