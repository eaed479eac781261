"""Every shell script in the rendered chart, wherever it stands: containers, probes, hooks and ConfigMaps."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.builtin_chart.conftest import PLAIN, Object, Render, containers, merged, pod_specs
from tests.needs import program

pytestmark = pytest.mark.tool

SHELLS = {"/bin/sh": "sh", "sh": "sh", "/bin/bash": "bash", "bash": "bash", "/usr/bin/env bash": "bash"}


@dataclass(frozen=True)
class Script:
    where: str
    shell: str
    text: str
    container: str = ""


def scripts(objects: list[Object]) -> Iterator[Script]:
    for owner, template in pod_specs(objects).items():
        for container in containers(template):
            name = f"{owner}/{container['name']}"
            commands = {"command": [*container.get("command", []), *container.get("args", [])]}
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                commands[kind] = container.get(kind, {}).get("exec", {}).get("command", [])
            for kind, hook in container.get("lifecycle", {}).items():
                commands[kind] = hook.get("exec", {}).get("command", [])
            for kind, command in commands.items():
                # A shell, options of which one ends in c, and the script.
                if len(command) > 2 and command[0] in SHELLS and command[1].endswith("c"):
                    yield Script(f"{name}/{kind}", SHELLS[command[0]], command[2], name)
    for found in objects:
        if found["kind"] == "ConfigMap":
            for key, text in found["data"].items():
                if text.startswith("#!"):
                    shebang = text.splitlines()[0].removeprefix("#!").strip()
                    yield Script(f"ConfigMap/{found['metadata']['name']}/{key}", SHELLS[shebang], text)


EVERYTHING: Object = {"kasmApp": {"deploymentSize": "large", "zoneName": "eu-west", "upstreamAuth": "auto"}}


@pytest.fixture(scope="module", params=[True, False], ids=["hardened", "plain"])
def objects(render: Render, request: pytest.FixtureRequest) -> list[Object]:
    return render(merged(PLAIN, EVERYTHING, {"kasmApp": {"applyHardening": request.param}}))


def test_shellcheck_has_nothing_to_say(objects: list[Object]) -> None:
    found = sorted(set(scripts(objects)), key=lambda script: script.where)
    # So that a change of shape that hides scripts from this test does not go by unseen.
    where = {script.where for script in found}
    assert where >= {
        "ConfigMap/kasm-db-init-startup/startup.sh",
        "Deployment/kasm-api-deployment/db-is-ready/command",
        "Deployment/kasm-manager-deployment/kasm-api-is-ready/command",
        "Deployment/kasm-redis-deployment/kasm-redis-container/command",
        "Deployment/kasm-redis-deployment/kasm-redis-container/readinessProbe",
        "Deployment/kasm-share-deployment/redis-is-ready/command",
        "StatefulSet/kasm-db-statefulset/db-prepare/command",
        "StatefulSet/kasm-db-statefulset/kasm-db-container/livenessProbe",
        "StatefulSet/kasm-db-statefulset/kasm-db-container/preStop",
    }
    complaints = []
    by_text = {(script.shell, script.text): script.where for script in found}
    for (shell, text), place in by_text.items():
        done = subprocess.run(
            [program("shellcheck"), "--shell", shell, "--norc", "--format", "gcc", "-"],
            input=text,
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            complaints.append(f"{place}:\n{done.stdout}{done.stderr}")
    assert not complaints, "\n".join(complaints)


def test_no_shell_command_is_in_a_form_that_is_not_looked_at(objects: list[Object]) -> None:
    seen = {script.container for script in scripts(objects) if script.where.endswith("/command")}
    for owner, template in pod_specs(objects).items():
        for container in containers(template):
            command = [*container.get("command", []), *container.get("args", [])]
            shell = any(part in SHELLS for part in command)
            # The Job runs a file, which is looked at where it stands.
            if shell and command[1:] != ["/usr/bin/startup.sh"]:
                assert f"{owner}/{container['name']}" in seen, command


def test_every_script_stops_at_errors_or_handles_them(objects: list[Object]) -> None:
    for owner, template in pod_specs(objects).items():
        for container in containers(template):
            command = [*container.get("command", []), *container.get("args", [])]
            if len(command) > 2 and command[0] in SHELLS:
                strict = "e" in command[1] or "set -e" in command[2]
                assert strict, f"{owner}/{container['name']}"


def test_here_documents_have_a_place_to_stand(objects: list[Object]) -> None:
    """Older shells keep a here-document in a file below /tmp, which a read-only root file system does not have."""
    writable = {
        f"{owner}/{container['name']}"
        for owner, template in pod_specs(objects).items()
        for container in containers(template)
        if not container.get("securityContext", {}).get("readOnlyRootFilesystem")
        or any(mount["mountPath"] == "/tmp" for mount in container.get("volumeMounts", []))
    }
    for script in scripts(objects):
        if "<<" in script.text and script.container:
            assert script.container in writable, script.where
