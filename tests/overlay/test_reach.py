"""A build reads nothing outside of the repository, and kustomize itself says what would have been outside."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kasmgen.errors import InputError
from kasmgen.overlay import reach
from kasmgen.programs import kustomize

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
URL = "http://HOST/x.yaml"
# Kustomizations that make kustomize open a connection or start git; HOST is a server of the test.
FETCHING = {
    "a resource": f"resources: ['{URL}']",
    "in capitals": "resources: ['HTTP://HOST/x.yaml']",
    "a field in another case": f"Resources: ['{URL}']",
    "a base": f"bases: ['{URL}']",
    "the path of a patch": f"resources: [cm.yaml]\npatches: [{{path: '{URL}'}}]",
    "the path of a patch in another case": f"resources: [cm.yaml]\npatches: [{{Path: '{URL}'}}]",
    "a strategic merge": f"resources: [cm.yaml]\npatchesStrategicMerge: ['{URL}']",
    "a JSON patch": f"resources: [cm.yaml]\npatchesJson6902: [{{path: '{URL}', target: {{kind: ConfigMap, name: x}}}}]",
    "openapi": f"resources: [cm.yaml]\nopenapi: {{path: '{URL}'}}",
    "configurations": f"resources: [cm.yaml]\nconfigurations: ['{URL}']",
    "crds": f"resources: [cm.yaml]\ncrds: ['{URL}']",
    "a generator": f"generators: ['{URL}']",
    "a transformer": f"resources: [cm.yaml]\ntransformers: ['{URL}']",
    "a validator": f"resources: [cm.yaml]\nvalidators: ['{URL}']",
    "replacements": f"resources: [cm.yaml]\nreplacements: [{{path: '{URL}'}}]",
    "a generator's file": f"configMapGenerator: [{{name: a, files: ['{URL}']}}]",
    "a generator's file with a key": f"secretGenerator: [{{name: a, files: ['k={URL}']}}]",
    "a generator's variables": f"configMapGenerator: [{{name: a, envs: ['{URL}']}}]",
    "a generator's old variables": f"configMapGenerator: [{{name: a, env: '{URL}'}}]",
    "an inline generator": (
        "generators:\n- |\n  apiVersion: builtin\n  kind: ConfigMapGenerator\n  metadata: {name: a}\n"
        f"  files: ['{URL}']\n"
    ),
    "an inline generator in one line": (
        "generators: ['{apiVersion: builtin, kind: ConfigMapGenerator, metadata: {name: a}, files: [" + URL + "]}']"
    ),
    "an inline transformer": (
        "resources: [cm.yaml]\ntransformers:\n- |\n  apiVersion: builtin\n  kind: PatchTransformer\n"
        f"  metadata: {{name: a}}\n  path: '{URL}'\n"
    ),
    "an inline replacement": (
        "resources: [cm.yaml]\ntransformers:\n- |\n  apiVersion: builtin\n  kind: ReplacementTransformer\n"
        f"  metadata: {{name: a}}\n  replacements: [{{path: '{URL}'}}]\n"
    ),
    "a plugin's file": "generators: [gen.yaml]",
    "a plugin's file in a directory": "generators: [gens]",
    "a further kustomization": "resources: [far]",
    "a component": "components: [part]",
    "git over ssh": "resources: ['ssh://git@HOST/org/repo']",
    "git as scp has it": "resources: ['git@127.0.0.1:org/repo']",
    "somebody at a host": "resources: ['user@127.0.0.1:org/repo']",
    "git of a file": "resources: ['file:///nowhere/repo']",
    "git with its prefix": "resources: ['git::file:///nowhere/repo']",
    "the known host": "resources: [github.com/org/repo]",
    "the known host in another case": "resources: [GitHub.com/org/repo]",
    "the known host with a colon": "resources: ['github.com:org/repo']",
}
GENERATOR = f"apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {{name: a}}\nfiles: ['{URL}']\n"
BESIDE = {
    "cm.yaml": CONFIG_MAP,
    "gen.yaml": GENERATOR,
    "gens/kustomization.yaml": "resources: [gen.yaml]\n",
    "gens/gen.yaml": GENERATOR,
    "far/kustomization.yaml": f"resources: ['{URL}']\n",
    "part/kustomization.yaml": (
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
        f"configMapGenerator: [{{name: a, files: ['{URL}']}}]\n"
    ),
}


@dataclass
class Outside:
    """What a build must not reach: a server, and a git that writes down that it was started."""

    host: str
    started: Path
    path: str
    asked: list[str] = field(default_factory=list)

    def reached(self) -> bool:
        return bool(self.asked) or self.started.exists()


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    programs = tmp_path / "bin"
    programs.mkdir()
    git = programs / "git"
    git.write_text(f"#!/bin/sh\necho \"$@\" >>'{tmp_path}/started'\nexit 1\n")
    git.chmod(0o755)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield Outside(f"127.0.0.1:{server.server_port}", tmp_path / "started", f"{programs}:/usr/bin:/bin", asked)
        server.shutdown()


def project(root: Path, kustomization: str, host: str) -> Path:
    for path, text in {**BESIDE, "kustomization.yaml": f"{kustomization}\n"}.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text.replace("HOST", host))
    return root


def reader(root: Path) -> reach.Read:
    def read(path: str) -> bytes | None:
        return (root / path).read_bytes() if (root / path).is_file() else None

    return read


@pytest.mark.tool
@pytest.mark.parametrize("kustomization", FETCHING.values(), ids=FETCHING.keys())
def test_what_makes_kustomize_leave_the_repository_is_refused(
    tmp_path: Path, outside: Outside, kustomization: str
) -> None:
    root = project(tmp_path / "repo", kustomization, outside.host)
    program = kustomize.locate()
    arguments = [*program.command, *(() if program.is_kubectl else ("build",)), str(root)]
    environment = {**os.environ, "PATH": outside.path}
    subprocess.run(arguments, env=environment, capture_output=True, check=False, timeout=120)
    assert outside.reached()
    with pytest.raises(InputError, match="is on the network") as caught:
        reach.require_inside(".", reader(root))
    assert caught.value.hint


@pytest.mark.parametrize("target", ["../../../host", "/etc", "~/secrets", "../.."])
def test_a_directory_above_the_repository_is_refused(tmp_path: Path, target: str) -> None:
    overlay = tmp_path / "overlays/prod"
    overlay.mkdir(parents=True)
    (overlay / "kustomization.yaml").write_text(f"resources: ['{target}/..']\n")
    with pytest.raises(InputError, match=r"^overlays/prod/kustomization.yaml: resources\[0\]: .* leads out of the Git"):
        reach.require_inside("overlays/prod", reader(tmp_path))


@pytest.mark.parametrize(
    "kustomization",
    [
        "resources: [./cm.yaml]",
        "resources: [cm.yaml]\ncommonAnnotations: {url: 'https://example.com/a', path: 'https://example.com/b'}",
        "resources: [cm.yaml]\nlabels: [{pairs: {path: github.com/org}}]",
        "resources: [cm.yaml]\nimages: [{name: github.com/org/image, newTag: '2'}]",
        "configMapGenerator: [{name: a, literals: ['url=https://example.com', 'path=https://example.com']}]",
        "configMapGenerator: [{name: a, files: ['k=cm.yaml'], options: {annotations: {path: 'https://example.com'}}}]",
        "resources: [cm.yaml]\npatches:\n- patch: |\n    - op: add\n      path: /data\n      value: {url: 'https://example.com'}\n"
        "  target: {kind: ConfigMap}",
    ],
)
def test_what_stays_within_is_taken_and_reaches_nothing(tmp_path: Path, outside: Outside, kustomization: str) -> None:
    root = project(tmp_path / "repo", kustomization, outside.host)
    reach.require_inside(".", reader(root))
    program = kustomize.locate()
    arguments = [*program.command, *(() if program.is_kubectl else ("build",)), str(root)]
    done = subprocess.run(arguments, env={**os.environ, "PATH": outside.path}, capture_output=True, check=False)
    assert (done.returncode, outside.reached()) == (0, False), done.stderr


def test_a_circle_of_kustomizations_ends(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kustomization.yaml").write_text(f"resources: [../{other}]\n")
    reach.require_inside("a", reader(tmp_path))
