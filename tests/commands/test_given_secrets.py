"""Secrets that a chart makes only of values that are given: sealed as they come of the values, and kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from kasmgen.chart import render
from kasmgen.kubernetes.resources import Render, ResourceId
from kasmgen.overlay import verify
from kasmgen.programs.libhelm import HelmLibrary
from kasmgen.project import workspace
from kasmgen.secrets import sealed_file
from kasmgen.secrets.required import data_of
from kasmgen.yaml import mappings
from tests.machine import Machine
from tests.some import some

pytestmark = pytest.mark.e2e

SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: %s}\n%s\n"
PULL = """{{ if and .Values.user .Values.password }}
apiVersion: v1
kind: Secret
metadata: {name: pull, labels: {part: login}}
type: kubernetes.io/dockerconfigjson
data:
  .dockerconfigjson: {{ dict "auths" (dict "r.example.com" (dict "username" .Values.user "password" .Values.password))
    | toJson | b64enc }}
{{ end }}"""
EACH = """{{ range $name, $word := .Values.logins }}
---
apiVersion: v1
kind: Secret
metadata: {name: {{ $name }}}
stringData: {word: {{ $word | quote }}}
{{ end }}"""
LIST = """{{ with .Values.accounts }}
apiVersion: v1
kind: Secret
metadata: {name: accounts}
stringData:
  {{ range . }}{{ .name }}: {{ .word | quote }}
  {{ end }}
{{ end }}"""
EXTRA = SECRET % (
    "s",
    "type: x/y\nstringData:\n  a: b\n{{ range $k, $v := .Values.more }}  {{ $k }}: {{ $v | quote }}\n{{ end }}",
)
BESIDE = SECRET % (
    "s",
    "stringData:\n  cookie: {{ randAlphaNum 20 }}\n{{ with .Values.password }}  login: {{ . | upper }}\n"
    "  mixed: '{{ randAlphaNum 9 }}-{{ . }}'\n{{ end }}",
)
TYPED = SECRET % (
    "s",
    "type: {{ ternary `a/b` `c/d` (empty .Values.word) }}\nstringData: {word: 'x{{ .Values.word }}'}",
)

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "a login that makes a pull Secret": (PULL, {"user": "ci-bot", "password": "Very-Secret-9912"}),
    "a Secret for each of a map": (EACH, {"logins": {"anna": "MarkerQ7", "berta": "MarkerQ8"}}),
    "a key for each of a list": (
        LIST,
        {"accounts": [{"name": "anna", "word": "zq9"}, {"name": "berta", "word": "MarkerQ8"}]},
    ),
    "keys beside those that the chart has": (EXTRA, {"more": {"token": "MarkerQ7", "other": "4711"}}),
    "random parts beside": (BESIDE, {"password": "MarkerQ7"}),
    "another type": (TYPED, {"word": "MarkerQ7"}),
}


def prepare(machine: Machine, template: str) -> None:
    files = {
        "Chart.yaml": "apiVersion: v2\nname: z\nversion: 0.1.0\n",
        "values.yaml": "user: ''\npassword: ''\nlogins: {}\naccounts: []\nmore: {}\nword: ''\n",
        "templates/s.yaml": template,
        "templates/o.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: o}\ndata: {a: b}\n",
    }
    for path, text in files.items():
        place = machine.root / "chart" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    machine.hold_key()
    machine.git("init", "-q")
    machine.git("add", "-A")
    machine.git("commit", "-qm", "chart")
    machine.ok("init", "--chart", "chart", "--recipient", machine.recipient)


def add(machine: Machine, given: Mapping[str, Any]) -> str:
    """What the command says."""
    values = machine.home / "values.yaml"
    values.write_text(json.dumps(given))
    done = machine.ok("env", "add", "prod", "--hostname", "kasm.example.com", "--values", str(values))
    return done.stdout + done.stderr


def sealed(machine: Machine) -> dict[str, str]:
    """ "SECRET/KEY" -> value, as it decrypts."""
    found: dict[str, str] = machine.ok("secret", "show", "prod", "--reveal", "--output", "json").json
    return found


@pytest.fixture(scope="module")
def library() -> Iterator[HelmLibrary]:
    with HelmLibrary() as found:
        yield found


def installed(
    machine: Machine, library: HelmLibrary, given: Mapping[str, Any]
) -> tuple[Render, Mapping[ResourceId, Any]]:
    """What Helm would install with the values, and what the overlay builds to."""
    with render.session(machine.root, library) as run:
        found = workspace.load(machine.root)
        release = run.release(found.project, found.environments["prod"].environment)
        built = verify.build(run.programs.kustomize, machine.root, "overlays/prod", run.cache)
        return render.attempt(run, release)(given), built


def texts(rendered: Render) -> Iterator[tuple[str, str]]:
    for key, item in rendered.secrets.items():
        for name, value in data_of(item.object).items():
            yield f"{key.name}/{name}", value.reveal().decode()


def same_but_for_chance(one: str, other: str) -> bool:
    return one == other or (len(one) == len(other) and one[9:] == other[9:]) or (len(one) == len(other) == 20)


@pytest.mark.parametrize("case", CASES)
def test_what_is_left_out_is_sealed_as_helm_would_install_it(machine: Machine, library: HelmLibrary, case: str) -> None:
    template, given = CASES[case]
    prepare(machine, template)
    said = add(machine, given)
    found = sealed(machine)
    environment = machine.read("overlays/prod/environment.yaml")
    for _, value in mappings.text_leaves(given):
        assert value not in environment
        assert any(value in text or value.upper() in text for item in found.items() for text in item)
    rendered, built = installed(machine, library, given)
    wanted = dict(texts(rendered))
    assert found.keys() == wanted.keys()
    assert all(same_but_for_chance(found[key], wanted[key]) for key in some(wanted))
    assert {key for key in built if key.kind == "Secret"} == rendered.secrets.keys()
    for key, item in rendered.secrets.items():
        assert built[key].get("type", "Opaque") == item.object.get("type", "Opaque")
        assert built[key]["metadata"].get("labels") == item.object["metadata"].get("labels")
    assert {key: built[key] for key in rendered.objects} == {k: i.object for k, i in rendered.objects.items()}
    told = [word.strip(",") for word in said.partition("what the values give to ")[2].splitlines()[0].split()]
    assert set(told) <= found.keys()


@pytest.mark.parametrize("case", CASES)
def test_what_people_gave_outlives_renders(machine: Machine, case: str) -> None:
    template, given = CASES[case]
    prepare(machine, template)
    add(machine, given)
    before = sealed(machine)
    done = machine.ok("render")
    assert "asks for it no longer" not in done.stdout + done.stderr
    machine.ok("render", "--check")
    machine.ok("check")
    assert sealed(machine) == before
    for path in (machine.root / "overlays/prod/secrets").iterdir():
        assert sealed_file.parse(path.read_bytes(), path.name).annotations["kasmgen.dev/pinned"]


@pytest.mark.parametrize(
    ("template", "why"),
    [
        (PULL + "\n---\n" + SECRET % ("b", "stringData: {a: '{{ not .Values.password }}'}"), ""),
        (
            SECRET
            % (
                "s",
                "stringData: { {{ ternary `own` `made` (empty .Values.password | not) }}: 'x{{ .Values.password }}' }",
            ),
            "s/made",
        ),
        (
            "{{ if not .Values.password }}"
            + SECRET % ("made", "stringData: {a: b}")
            + "{{ else }}"
            + SECRET % ("own", "stringData: {a: '{{ .Values.password }}'}")
            + "{{ end }}",
            "Secret made",
        ),
    ],
)
def test_what_the_chart_makes_only_without_the_values_is_no_way_out(machine: Machine, template: str, why: str) -> None:
    prepare(machine, template)
    done = machine.run("env", "add", "prod", "--hostname", "kasm.example.com", "--set", "user=ci-bot,password=MarkerQ7")
    assert done.code == (2 if why else 0)
    assert why in done.stderr
    assert not why or not (machine.root / "overlays/prod").exists()
