"""Whatever a chart makes of a password that it is given, the password is sealed, or the command is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from tests.machine import Machine

pytestmark = pytest.mark.e2e

SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  k: %s\n"
APP = (
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\nspec:\n  selector: {matchLabels: {app: app}}\n"
    "  template:\n    metadata:\n      labels: {app: app}\n      annotations: {%s}\n    spec:\n"
    "      containers: [{name: app, image: 'postgres:17', args: [%s], envFrom: [{secretRef: {name: s}}]}]\n"
)
HASH = 'checksum/secret: {{ include (print $.Template.BasePath "/s.yaml") . | sha256sum }}'


def write(machine: Machine, secret: str, values: str = "{}", annotations: str = "", arguments: str = "") -> None:
    files = {
        "Chart.yaml": "apiVersion: v2\nname: z\nversion: 0.1.0\n",
        "values.yaml": values,
        "templates/s.yaml": SECRET % secret,
        "templates/app.yaml": APP % (annotations, arguments),
    }
    for path, text in files.items():
        place = machine.root / "chart" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


def start(machine: Machine, *init: str) -> None:
    machine.hold_key()
    machine.git("init", "-q")
    machine.git("add", "-A")
    machine.git("commit", "-qm", "chart")
    machine.ok("init", "--chart", "chart", "--recipient", machine.recipient, *init)


def committed(machine: Machine) -> str:
    """Everything that is in the last commit, but the chart."""
    files = [path for path in machine.git("ls-files").splitlines() if not path.startswith("chart/")]
    return "\0".join(machine.git("show", f"HEAD:{path}") for path in files)


QUOTED = "{{ .Values.password | quote }}"
MARKER = "MarkerQ7/w x"


@pytest.mark.parametrize(
    ("secret", "given", "marker", "sealed"),
    [
        (QUOTED, {"password": 4711471199}, "4711471199", "4.711471199e+09"),
        (QUOTED, {"password": "zq9"}, "zq9", "zq9"),
        (QUOTED, {"password": "postgres"}, "password", "postgres"),
        ("{{ urlquery .Values.password }}", {"password": MARKER}, "MarkerQ7", "MarkerQ7%2Fw+x"),
        ("{{ .Values.password | upper | quote }}", {"password": MARKER}, "MarkerQ7", MARKER.upper()),
        ("{{ .Values.password | b64enc | b64enc }}", {"password": MARKER}, "MarkerQ7", "VFdGeWEyVnlVVGN2ZHlCNA=="),
        ("{{ toJson .Values.password | quote }}", {"password": 'Marker"Q7'}, 'Marker"Q7', '"Marker\\"Q7"'),
        ("postgres://u:{{ .Values.pw }}@h", {"pw": "MarkerQ7"}, "MarkerQ7", "postgres://u:MarkerQ7@h"),
        (
            "{{ range .Values.users }}{{ .name }}:{{ .word }};{{ end }}",
            {"users": [{"name": "a", "word": "MarkerQ7"}, {"name": "b", "word": "MarkerQ8"}]},
            "MarkerQ",
            "a:MarkerQ7;b:MarkerQ8;",
        ),
        ('{{ join "-" .Values.words }}', {"words": ["MarkerQ7", "MarkerQ8"]}, "MarkerQ", "MarkerQ7-MarkerQ8"),
        ('{{ required "say it" .Values.deep.pin }}x', {"deep": {"pin": 0.1234567}}, "0.1234567", ""),
    ],
)
def test_what_only_secrets_hold_is_sealed_and_nowhere_else(
    machine: Machine, secret: str, given: Mapping[str, object], marker: str, sealed: str
) -> None:
    write(machine, secret, "deep: {}\npassword: ''\n")
    machine.git("init", "-q")
    values = machine.home / "values.yaml"
    values.write_text(json.dumps(given))
    if not sealed:  # the chart demands it, so there is no way but to refuse
        machine.hold_key()
        (machine.root / "kasmgen.yaml").unlink(missing_ok=True)
        done = machine.run("init", "--chart", "chart", "--recipient", machine.recipient, "--values", str(values))
        assert done.code == 2
        assert marker not in done.stdout + done.stderr
        return
    start(machine)
    machine.ok("env", "add", "prod", "--hostname", "kasm.example.com", "--values", str(values))
    assert marker not in committed(machine)
    assert machine.ok("secret", "show", "prod", "--reveal", "--output", "json").json["s/k"] == sealed
    machine.ok("render", "--check")


@pytest.mark.parametrize("word", ["pw", "password", "number"])
def test_shared_values_that_only_secrets_hold_are_refused(machine: Machine, word: str) -> None:
    write(machine, "x{{ .Values." + word + " }}x")
    machine.git("init", "-q")
    done = machine.run("init", "--chart", "chart", "--recipient", machine.recipient, "--set", f"{word}=471147119")
    assert done.code == 2
    assert word in done.stderr
    assert "471147119" not in done.stdout + done.stderr
    assert not (machine.root / "kasmgen.yaml").exists()


def test_a_value_that_a_secret_and_another_object_hold_is_refused(machine: Machine) -> None:
    write(machine, QUOTED, arguments='"{{ .Values.password }}"')
    start(machine)
    done = machine.run("env", "add", "prod", "--hostname", "kasm.example.com", "--set", "password=MarkerQ7")
    assert done.code == 2
    assert "the values password go into Secrets and into other objects too" in done.stderr
    assert "MarkerQ7" not in done.stdout + done.stderr


def test_a_password_that_the_chart_does_nothing_with_is_refused(machine: Machine) -> None:
    write(machine, QUOTED)
    start(machine)
    done = machine.run("env", "add", "prod", "--hostname", "kasm.example.com", "--set", "db.password=MarkerQ7")
    assert done.code == 2
    assert "db.password sound like secrets, and the chart does nothing with them" in done.stderr


def test_names_and_defaults_that_are_no_secrets_are_written_as_they_are(machine: Machine) -> None:
    write(machine, QUOTED, "existingSecret: mine\nreplicas: 1\n", arguments='"{{ .Values.tokenSeconds }}"')
    start(machine)
    machine.ok(
        *("env", "add", "prod", "--hostname", "kasm.example.com"),
        *("--set", "existingSecret=mine,replicas=1,tokenSeconds=3600,other=unused"),
    )
    environment = machine.read("overlays/prod/environment.yaml")
    for word in ("existingSecret", "replicas", "tokenSeconds", "other"):
        assert word in environment


@pytest.mark.parametrize("default", ["{{ .Values.password | default (randAlphaNum 20) | quote }}", QUOTED])
def test_a_chart_that_hashes_its_secrets_to_restart_pods_works(machine: Machine, default: str) -> None:
    write(machine, default, annotations=HASH)
    start(machine)
    machine.ok("env", "add", "prod", "--hostname", "kasm.example.com", "--set", "password=MarkerQ7")
    machine.ok("env", "add", "lab", "--hostname", "lab.example.com")
    assert machine.ok("secret", "show", "prod", "s/k").stdout == "MarkerQ7"
    assert "MarkerQ7" not in committed(machine)
    assert "kasmgen.dev/secrets" in machine.read("overlays/prod/patches/deployment-app.yaml")
    machine.ok("render", "--check")
