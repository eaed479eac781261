"""`kasmgen diff` in a repository that means no good, and the values that it must never show."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest

from tests.commands.diffing import (
    FORMATS,
    KUSTOMIZATION,
    app,
    commit,
    config_map,
    environment,
    in_every_format,
    small,
    write,
)
from tests.effort import cpu_seconds_at_most
from tests.machine import Machine

pytestmark = pytest.mark.e2e

__all__ = ["app"]

APP = "overlays/prod/app.yaml"
LIST = "overlays/prod/kustomization.yaml"
MEGABYTES_20 = 20 * 1024 * 1024
CPU_SECONDS = 60

PASSWORD = "MarkerPasswordQ7x"
OLD_PASSWORD = "MarkerPasswordOld3"
LOGIN = "Marker-Login-Aa1\nMarkerSecondLineOfAKey09\n"
MARKERS = re.compile(
    "|".join(
        re.escape(text)
        for value in (PASSWORD, OLD_PASSWORD, "Marker-Login-Aa1", "MarkerSecondLineOfAKey09")
        for text in (value, base64.b64encode(value.encode()).decode().rstrip("=")[:-1])
    )
)


def demand_told(machine: Machine, *words: str, arguments: tuple[str, ...] = ()) -> None:
    """The side does not build: exit 3 with bounded work, and each of `words` in the report."""
    with cpu_seconds_at_most(CPU_SECONDS):
        done = machine.run("diff", *arguments)
    assert done.code == 3, done.stdout + done.stderr
    for word in words:
        assert word in done.stdout
    assert "a bug in kasmgen" not in done.stderr
    assert "Nothing changes" not in done.stdout
    assert len(done.stdout) < 10_000
    assert str(machine.home) not in done.stdout


# --- size and depth ---------------------------------------------------------------


def lines(number: int, last: str) -> str:
    line = "a line of some length that stands there again and again\n"
    return line * (number // len(line)) + last


def test_a_huge_file_is_shown_by_what_changed_in_it(tmp_path: Path) -> None:
    generated = "configMapGenerator: [{name: big, namespace: kasm, files: [big.txt]}]\n"
    generated += "generatorOptions: {disableNameSuffixHash: true}\n"
    machine = small(
        tmp_path,
        {
            **environment("prod", "app.yaml", more=generated),
            "overlays/prod/big.txt": lines(MEGABYTES_20, "the end\n"),
            "overlays/prod/unlisted.bin": b"\0\xff" * (MEGABYTES_20 // 2),
        },
    )
    write(machine, {"overlays/prod/big.txt": lines(MEGABYTES_20, "another end\n")})
    with cpu_seconds_at_most(CPU_SECONDS):
        shown = in_every_format(machine)
    for name, report in shown.items():
        assert "another end" in report, name
        assert len(report) < 200_000, name


def test_a_huge_resource_of_broken_yaml_is_an_error(app: Machine) -> None:
    write(app, {APP: "a: [\n" + "- {b: c\n" * (MEGABYTES_20 // 8)})
    demand_told(app, "app.yaml")


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_deep_nesting_is_an_error(app: Machine, depth: int) -> None:
    write(app, {APP: config_map("app", "{a: b}") + "x: " + "[" * depth + "]" * depth + "\n"})
    demand_told(app, "could not be built")


def test_a_deep_kustomization_is_an_error(app: Machine) -> None:
    write(app, {LIST: "resources: " + "[" * 5_000 + "]" * 5_000 + "\n"})
    demand_told(app, "could not be built")


def test_aliases_that_multiply_are_an_error(app: Machine) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
    write(app, {APP: config_map("app", "{a: b}") + bomb})
    demand_told(app, "overlays/prod/app.yaml: its aliases stand for more than")
    write(app, {APP: config_map("app", "{a: b}"), "clusters/prod/bomb.yaml": bomb})
    demand_told(app, "clusters/prod/bomb.yaml")


def test_kustomizations_in_a_circle_are_an_error(app: Machine) -> None:
    write(app, {"base/kustomization.yaml": KUSTOMIZATION + "resources: [../overlays/prod]\n"})
    write(app, environment("prod", "app.yaml", "../../base"))
    demand_told(app, "cycle")


def test_a_thousand_directories_are_followed(app: Machine) -> None:
    chain = {f"chain/{n}/kustomization.yaml": f"resources: [../{n + 1}]\n" for n in range(1, 30)}
    many = {f"many/{n}/kustomization.yaml": "resources: [app.yaml]\n" for n in range(1_010)}
    apps = {f"many/{n}/app.yaml": config_map(f"app-{n}", "{a: b}") for n in range(1_010)}
    last = {"chain/30/kustomization.yaml": "resources:\n" + "".join(f"- ../../many/{n}\n" for n in range(1_010))}
    write(app, {**chain, **many, **apps, **last, **environment("prod", "../../chain/1")})
    commit(app)
    write(app, {"many/1009/app.yaml": config_map("app-1009", "{a: c}")})
    found = app.ok("diff", "--output", "json").json
    assert [item["name"] for item in found["changes"]] == ["app-1009"]


# --- bytes ------------------------------------------------------------------------


BINARY = bytes(range(256)) * 40


def test_binary_data_named_yaml_is_an_error_where_it_is_read_and_nothing_where_it_is_not(app: Machine) -> None:
    write(app, {"overlays/prod/unlisted.yaml": BINARY, "notes.yaml": BINARY})
    assert app.ok("diff", "--exit-code").stdout.startswith("Nothing changes")
    write(app, {APP: BINARY})
    demand_told(app, "app.yaml")
    write(app, {APP: config_map("app", "{a: b}"), "clusters/prod/kasm.yaml": BINARY})
    demand_told(app, "clusters/prod/kasm.yaml: not UTF-8 text")
    write(app, {"clusters/prod/kasm.yaml": "x: y\n", LIST: BINARY})
    demand_told(app, "could not be built")


def test_binary_data_in_a_config_map_is_told_without_its_bytes(app: Machine) -> None:
    write(app, environment("prod", "app.yaml", more="configMapGenerator: [{name: raw, files: [raw.bin]}]\n"))
    write(app, {"overlays/prod/raw.bin": BINARY})
    for name, report in in_every_format(app).items():
        assert "raw-" in report
        assert len(report) < 100_000, name
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", report), name


ESCAPES = "\x1b]0;owned\x07\x1b[31m\x9b2J\u202egnp\u200b"
HTML = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"


def test_escapes_and_markup_in_names_and_values_do_nothing(app: Machine) -> None:
    hostile = json.dumps(ESCAPES + HTML)
    kind = json.dumps({
        "apiVersion": "example.com/v1", "kind": "Odd" + HTML, "metadata": {"name": "x" + HTML, "namespace": HTML},
        "spec": {HTML: ESCAPES, "list": [{"name": HTML, "value": ESCAPES}]},
    })  # fmt: skip
    write(app, {APP: config_map("app", f"{{a: {hostile}, {hostile}: {hostile}}}"), "overlays/prod/odd.yaml": kind})
    write(app, environment("prod", "app.yaml", "odd.yaml"))
    commit(app)
    for arguments in (("HEAD~1",), ("HEAD..HEAD~1",)):
        for name, report in in_every_format(app, *arguments).items():
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202e]", report), name
            if name == "html":
                assert "<img src=x" not in report
                assert "<script>alert" not in report
            if name == "markdown":
                outside = re.sub(r"^(`{3,})diff\n.*?^\1$|`+[^`\n]*`+", "", report, flags=re.MULTILINE | re.DOTALL)
                assert "<img" not in outside
                assert "<script" not in outside


@pytest.mark.parametrize(
    "name", ["\x1b[31mred", HTML.replace("/", ""), "-rf", "a b", "x?ref=main", "prod.git", "\u202eprod"]
)
def test_odd_names_of_environments_do_nothing(app: Machine, name: str) -> None:
    write(app, {**environment(name, "app.yaml"), f"overlays/{name}/app.yaml": config_map("app", "{a: b}")})
    done = app.ok("diff")
    assert "\x1b" not in done.stdout + done.stderr
    assert "\u202e" not in done.stdout + done.stderr
    assert "1 of 2 environments changes" in done.stdout
    (app.root / f"overlays/{name}/app.yaml").unlink()
    for form in FORMATS:
        failed = app.run("diff", "--output", form)
        assert failed.code == 3
        assert "\x1b" not in failed.stdout + failed.stderr
        assert form != "html" or "<img src=x" not in failed.stdout


def test_names_of_files_that_are_no_text_do_nothing(app: Machine) -> None:
    (app.root / "overlays/prod").joinpath("odd").mkdir()
    odd = bytes(app.root / "overlays/prod/odd") + b"/\xff\xfe\n\x1b.yaml"
    with open(odd, "wb") as file:  # noqa: PTH123 - a Path cannot say this
        file.write(b"a: b\n")
    write(app, {APP: config_map("app", "{a: c}")})
    assert "a: b → c" in app.ok("diff").stdout
    commit(app)
    assert "a: c → b" in app.ok("diff", "HEAD..HEAD~1").stdout


# --- links ------------------------------------------------------------------------


def test_links_are_not_followed_on_either_side_and_named(app: Machine, tmp_path: Path) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_text(config_map("outside", f"{{a: {PASSWORD}}}"))
    (app.root / "overlays/prod/linked.yaml").symlink_to(outside)
    write(app, environment("prod", "app.yaml", "linked.yaml"))
    demand_told(app, "overlays/prod/linked.yaml is a symbolic link")
    commit(app)
    demand_told(app, "overlays/prod/linked.yaml is a symbolic link", arguments=("HEAD~1..HEAD",))
    demand_told(app, "overlays/prod/linked.yaml is a symbolic link", arguments=("HEAD..HEAD",))
    assert PASSWORD not in "".join(in_every_format(app).values())


def test_a_link_in_the_place_of_an_environment_is_an_error(app: Machine, tmp_path: Path) -> None:
    (app.root / "overlays/linked").symlink_to("prod")
    demand_told(app, "overlays/linked is a symbolic link")
    (app.root / "overlays/linked").unlink()
    (app.root / "overlays").rename(tmp_path / "overlays")
    (app.root / "overlays").symlink_to(tmp_path / "overlays")
    done = app.run("diff")
    assert done.code == 5
    assert "overlays is a symbolic link" in done.stderr


# --- values that must not be shown ------------------------------------------------


def plain_secret(password: str) -> str:
    login = base64.b64encode(LOGIN.encode()).decode()
    return (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: own, namespace: kasm}\n"
        f"stringData: {{password: {password}}}\ndata: {{login: {login}}}\n"
    )


def repeating(password: str, more: str = "") -> str:
    encoded = base64.b64encode(password.encode()).decode()
    login = LOGIN.replace("\n", "\n    ")
    return f"""apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: kasm
  annotations: {{note: "was {password} once"}}
data:
  url: postgres://kasm:{password}@db/kasm{more}
  {password}: as a key
  encoded: {encoded}
  json: '{{"password": "{password}"}}'
  file: |
    before
    {login}
    after{more}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: kasm, labels: {{secret: {password}}}}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
      - name: web
        image: registry.example.com/{password.lower()}:1
        args: ["--password={password}{more}"]
        env: [{{name: A, value: {password}}}, {{name: {password}, value: x}}]
"""


def test_known_values_are_masked_wherever_they_are_repeated(app: Machine) -> None:
    own = environment("prod", "app.yaml", "own.yaml", "settings.yaml")
    write(app, {**own, "overlays/prod/own.yaml": plain_secret(OLD_PASSWORD)})
    write(app, {"overlays/prod/settings.yaml": repeating(OLD_PASSWORD)})
    commit(app)
    write(app, {"overlays/prod/own.yaml": plain_secret(PASSWORD)})
    write(app, {"overlays/prod/settings.yaml": repeating(PASSWORD, "/more")})
    commit(app)
    for arguments in (("HEAD~1..HEAD",), ("HEAD..HEAD~2",), ("HEAD~2..HEAD",)):
        for name, report in in_every_format(app, *arguments).items():
            assert not MARKERS.search(report), name
            assert "settings" in report
    shown = app.ok("diff", "HEAD~1", "--full").stdout
    assert not MARKERS.search(shown)
    assert "(hidden)" in shown
    assert "secret in clear" in shown
    assert "password: changed" in shown


def test_a_value_that_a_sealed_secret_had_in_clear_is_masked_on_the_other_side(app: Machine) -> None:
    write(app, {**environment("prod", "app.yaml", "own.yaml"), "overlays/prod/own.yaml": plain_secret(PASSWORD)})
    commit(app)
    write(app, {**environment("prod", "app.yaml"), APP: config_map("app", f"{{a: {PASSWORD}}}")})
    (app.root / "overlays/prod/own.yaml").unlink()
    for report in in_every_format(app).values():
        assert not MARKERS.search(report)


@pytest.mark.parametrize(
    "damage",
    [
        {"overlays/prod/again.yaml": plain_secret(PASSWORD), **environment("prod", "own.yaml", "again.yaml")},
        {"overlays/prod/own.yaml": plain_secret(PASSWORD) + "broken: [\n"},
        {"overlays/prod/own.yaml": plain_secret(PASSWORD).replace("metadata", "metadatum")},
        {"clusters/prod/own.yaml": plain_secret(PASSWORD) + "broken: [\n"},
        {"clusters/prod/own.yaml": plain_secret(PASSWORD)},
        {LIST: f"resources: [own.yaml]\nsecretGenerator: [{{name: x, literals: ['{PASSWORD}']}}]\n"},
        {LIST: f"resources: [own.yaml]\nsecretGenerator: [{{name: x, literals: [p={PASSWORD}, p={PASSWORD}]}}]\n"},
        {
            LIST: "resources: [own.yaml]\nsecretGenerator: [{name: x, envs: [x.env]}]\n",
            "overlays/prod/x.env": f"word={PASSWORD}".encode() + b"\xff\n",
        },
        {
            LIST: "resources: [own.yaml]\n"
            f"patches: [{{patch: '[{{op: add, path: /stringData/password, value: {PASSWORD}'}}]\n"
        },
        {
            LIST: "resources: [own.yaml]\npatches: [{path: patch.yaml}]\n",
            "overlays/prod/patch.yaml": plain_secret(PASSWORD).replace("name: own", "name: nobody"),
        },
        {
            LIST: "resources: [own.yaml]\npatches: [{path: patch.yaml}]\n",
            "overlays/prod/patch.yaml": plain_secret(PASSWORD) + f"{PASSWORD}\n",
        },
    ],
)
def test_errors_of_builds_hold_no_values(app: Machine, damage: dict[str, str | bytes]) -> None:
    write(app, {**environment("prod", "own.yaml"), "overlays/prod/own.yaml": plain_secret(OLD_PASSWORD), **damage})
    for form in FORMATS:
        done = app.run("diff", "--output", form)
        assert done.code == 3
        assert not MARKERS.search(done.stdout + done.stderr), done.stdout + done.stderr


PLAIN = "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: kasm}}\nstringData: {{password: {value}}}\n"


def test_values_in_clear_of_every_environment_are_masked(app: Machine) -> None:
    """Those of environments without changes, of generated Secrets and of environments that do not build, too."""
    values = ["unchanged-Hunter2", "generated-Hunter3", "broken-Hunter4", "beside-Hunter5"]
    sealed = (
        PLAIN.format(name="a", value='"ENC[AES256_GCM,data:AA,iv:aXY=,tag:dGFn,type:str]"') + "sops: {mac: x}\n---\n"
    )
    generator = f"secretGenerator:\n- name: g\n  namespace: kasm\n  literals: [password={values[1]}]\n"
    write(
        app,
        {
            **environment("same", "secret.yaml", more=generator),
            "overlays/same/secret.yaml": PLAIN.format(name="s", value=values[0]),
            **environment("worse", "secret.yaml", "beside.yaml", "missing.yaml"),
            "overlays/worse/secret.yaml": PLAIN.format(name="w", value=values[2]),
            "overlays/worse/beside.yaml": sealed + PLAIN.format(name="b", value=values[3]),
        },
    )
    commit(app)
    write(app, {"overlays/prod/app.yaml": config_map("app", f"{{a: {' and '.join(values)}}}")})
    for name, report in in_every_format(app).items():
        assert not [value for value in values if value in report], name
        assert "(hidden)" in report
