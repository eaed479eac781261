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
    assert "would be committed in clear: password (another object holds it too)" in done.stderr
    assert "MarkerQ7" not in done.stdout + done.stderr


def test_a_password_that_the_chart_does_nothing_with_is_refused(machine: Machine) -> None:
    write(machine, QUOTED)
    start(machine)
    done = machine.run("env", "add", "prod", "--hostname", "kasm.example.com", "--set", "db.password=MarkerQ7")
    assert done.code == 2
    assert "db.password (the chart does nothing with it)" in done.stderr


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


CLEAR = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  a: b\n  c: '%s'\n"
ADD = ("env", "add", "prod", "--hostname", "kasm.example.com")


def write_clear(machine: Machine, made: str, *, secret: bool) -> None:
    write(machine, QUOTED, "password: ''\n")
    (machine.root / "chart/templates/c.yaml").write_text(CLEAR % made)
    if not secret:
        (machine.root / "chart/templates/s.yaml").unlink()
        (machine.root / "chart/templates/app.yaml").unlink()


@pytest.mark.parametrize(
    ("made", "given", "secret", "why"),
    [
        ("{{ .Values.password }}", "MarkerQ7", False, "another object holds it"),
        ("{{ .Values.password }}", "MarkerQ7", True, "another object holds it too"),
        ("{{ .Values.password | b64enc }}", "MarkerQ7", True, "another object holds it too, in base64"),
        ("{{ .Values.password | upper }}", "MarkerQ7", True, "another object holds it too, in upper case"),
        ("{{ .Values.password | sha256sum }}", "MarkerQ7", True, "another object holds it too, as a SHA-256"),
        ("{{ .Values.password | sha256sum | trunc 8 }}", "MarkerQ7", False, "another object holds it, as a SHA-256"),
        ("{{ .Values.password | trunc 8 }}", "MarkerQ7-Rest", True, "another object holds it too, cut off"),
        ("{{ .Values.password | trunc 3 }}", "MarkerQ7-Rest", True, "ConfigMap c in kasm depends on it too"),
        ("{{ .Values.password }}", "zq9", True, "ConfigMap c in kasm depends on it too"),
        ("{{ .Values.password }}", "zq9", False, "ConfigMap c in kasm depends on it"),
        ("{{ .Values.password | int64 }}", "4711471", False, "another object holds it"),
        ("{{ .Values.password | int }}", "47", True, "ConfigMap c in kasm depends on it too"),
        ("none", "zq9", False, "the chart does nothing with it"),
    ],
)
def test_a_password_that_another_object_would_hold_is_refused(
    machine: Machine, made: str, given: str, *, secret: bool, why: str
) -> None:
    write_clear(machine, made, secret=secret)
    start(machine)
    before = machine.state()
    done = machine.run(*ADD, "--set", f"password={given}")
    assert done.code == 2
    assert f"would be committed in clear: password ({why})" in done.stderr
    assert f"{given}\n" not in done.stderr
    assert machine.state() == before


@pytest.mark.parametrize("secret", [True, False])
def test_what_people_say_is_no_secret_is_written_and_accepted(machine: Machine, *, secret: bool) -> None:
    write_clear(machine, "{{ .Values.password }}", secret=secret)
    start(machine)
    machine.ok(*ADD, "--set", "password=zq9", "--plain", "password")
    assert "plain:\n- password\n" in machine.read("overlays/prod/environment.yaml").replace("  -", "-")
    machine.ok("render", "--check")
    machine.ok("check")


def test_shared_values_are_no_other(machine: Machine) -> None:
    write_clear(machine, "{{ .Values.password }}", secret=False)
    machine.hold_key()
    init = ("init", "--chart", "chart", "--recipient", machine.recipient, "--set", "password=zq9")
    done = machine.run(*init)
    assert done.code == 2
    assert "--plain PATH" in done.stderr
    machine.ok(*init, "--plain", "password")
    assert "- password" in machine.read("kasmgen.yaml")
    machine.ok(*ADD)
    machine.ok("render", "--check")


def test_check_and_render_find_what_somebody_wrote_there_later(machine: Machine) -> None:
    write_clear(machine, "{{ .Values.password }}", secret=False)
    start(machine)
    machine.ok(*ADD)
    for path in ("overlays/prod/environment.yaml", "kasmgen.yaml"):
        place = machine.root / path
        place.write_text(place.read_text() + "values: {password: zq9, other: {apiToken: 5}}\n")
    assert machine.run("render").code == 4
    found = machine.run("check", "--format", "json")
    assert found.code == 1
    told = [item["message"] for item in found.json["findings"] if item["rule"] == "KG416"]
    assert sorted(told) == [
        *["values.other.apiToken looks like a secret and stands in clear"] * 2,
        *["values.password looks like a secret and stands in clear"] * 2,
    ]
    assert "zq9" not in found.stdout


def test_a_path_that_nothing_stands_at_is_no_exception(machine: Machine) -> None:
    write_clear(machine, "x", secret=False)
    start(machine)
    done = machine.run(*ADD, "--set", "password=zq9", "--plain", "passwort")
    assert done.code == 2
    assert "--plain passwort" in done.stderr
