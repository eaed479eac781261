"""Helm itself: libhelm and the helm program, which have to render alike."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kasmgen.chart import normalise, supplied_values, values_schema
from kasmgen.chart.sources import directory
from kasmgen.errors import InputError, ToolError
from kasmgen.kubernetes.resources import Chart
from kasmgen.programs import helm, libhelm
from kasmgen.programs.helm import Engine, HelmProgram, LibHelm
from kasmgen.programs.libhelm import HelmLibrary
from kasmgen.yaml import documents
from tests import waiting
from tests.needs import program

pytestmark = pytest.mark.tool

CHART = "apiVersion: v2\nname: demo\nversion: 1.2.3\nappVersion: '9'\n"
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {v: %s}\n"
CRD = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: %s}\n"
BUILTIN_VALUES = {"global": {"hostname": "kasm.example.com"}}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(helm.SETTING, raising=False)


@pytest.fixture(scope="module")
def opened() -> Iterator[HelmLibrary]:
    with HelmLibrary() as library:
        yield library


@pytest.fixture
def library(opened: HelmLibrary) -> LibHelm:
    return LibHelm("", "", opened)


@pytest.fixture
def helm_program() -> HelmProgram:
    return HelmProgram(program("helm"), "")


@pytest.fixture(params=["library", "helm_program"], ids=["libhelm", "program"])
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.getfixturevalue(request.param)
    return found


def make(tmp_path: Path, files: dict[str, str]) -> Chart:
    """A chart with these files, copied to where a run has it."""
    source = tmp_path / "source"
    for name, text in {"Chart.yaml": CHART, **files}.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    return directory.snapshot(source, tmp_path / "kasmgen-abc" / "chart-0" / "chart")


def render(engine: Engine, chart: Chart, **values: Any) -> dict[str, str]:
    return helm.render(engine, chart, values, "rel", "apps")


def data(engine: Engine, chart: Chart, name: str = "x", **values: Any) -> dict[str, Any]:
    """The `data` of the ConfigMap `name` in a render."""
    found = normalise.normalise(render(engine, chart, **values), "apps").objects
    (item,) = (item for key, item in found.items() if (key.kind, key.name) == ("ConfigMap", name))
    return dict(item.object["data"])


def objects(engine: Engine, chart: Chart, values: dict[str, Any]) -> dict[Any, Any]:
    whole = normalise.normalise(helm.render(engine, chart, values, "kasm", "kasm"), "kasm")
    plain = {key: (item.object, item.template) for key, item in whole.objects.items()}
    return plain | {key: (sorted(item.object.get("data") or {}), item.template) for key, item in whole.secrets.items()}


# --- both engines ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        BUILTIN_VALUES,
        {**BUILTIN_VALUES, "kasmApp": {"deploymentSize": "large", "servicesToDeploy": {"kasmGuac": {"deploy": False}}}},
    ],
    ids=["small", "large without guac"],
)
def test_both_engines_make_the_same_objects_of_the_builtin_chart(
    library: LibHelm, helm_program: HelmProgram, tmp_path: Path, values: dict[str, Any]
) -> None:
    chart = directory.snapshot(directory.builtin_path(), tmp_path / "chart")
    ours = objects(library, chart, values)
    assert ours == objects(helm_program, chart, values)
    assert len(ours) > 20


SUBCHARTS = {
    "Chart.yaml": CHART + "dependencies:\n- {name: sub, version: 0.1.0}\n- {name: idle, version: 0.1.0, condition: "
    "idle.enabled}\n- {name: lib, version: 0.1.0}\n- {name: named, version: 0.1.0, alias: renamed}\n",
    "values.yaml": "idle: {enabled: false}\n",
    "templates/x.yaml": MAP % ("x", '{{ include "lib.text" . | quote }}'),
    "charts/lib/Chart.yaml": "apiVersion: v2\nname: lib\nversion: 0.1.0\ntype: library\n",
    "charts/lib/templates/_x.tpl": '{{- define "lib.text" }}from the library{{ end }}',
    **{
        f"charts/{name}/{file}": text
        for name in ("sub", "idle", "named")
        for file, text in {
            "Chart.yaml": f"apiVersion: v2\nname: {name}\nversion: 0.1.0\n",
            "values.yaml": "v: default\n",
            "templates/x.yaml": MAP % (name, "{{ .Values.v | quote }}"),
            "crds/x.yaml": CRD % name,
        }.items()
    },
}


def test_subcharts_render_by_condition_each_time_anew(engine: Engine, tmp_path: Path) -> None:
    chart = make(tmp_path, SUBCHARTS)
    off = {"demo/templates/x.yaml", "demo/charts/sub/templates/x.yaml", "demo/charts/renamed/templates/x.yaml"}
    off |= {"demo/charts/sub/crds/x.yaml", "demo/charts/renamed/crds/x.yaml"}
    on = off | {"demo/charts/idle/templates/x.yaml", "demo/charts/idle/crds/x.yaml"}
    assert set(render(engine, chart)) == off
    assert set(render(engine, chart, idle={"enabled": True})) == on
    assert set(render(engine, chart)) == off


def test_library_charts_are_there_to_be_included_and_aliases_have_their_own_values(
    engine: Engine, tmp_path: Path
) -> None:
    chart = make(tmp_path, SUBCHARTS)
    assert data(engine, chart) == {"v": "from the library"}
    assert data(engine, chart, "named", renamed={"v": "mine"}, named={"v": "not mine"}) == {"v": "mine"}


def test_definitions_are_part_of_a_render_and_notes_partials_and_empty_files_are_not(
    engine: Engine, tmp_path: Path
) -> None:
    files = {
        "crds/two.yaml": CRD % "one" + "---\n" + CRD % "two",
        "templates/NOTES.txt": "notes",
        "templates/_part.tpl": '{{ define "a" }}x{{ end }}',
        "templates/empty.yaml": "{{ if false }}x{{ end }}\n",
        "templates/comment.yaml": "# only a comment\n",
        "templates/sub/x.yaml": MAP % ("x", "y"),
        "templates/tests/t.yaml": MAP % ("t", "y"),
    }
    chart = make(tmp_path, files)
    made = normalise.normalise(render(engine, chart), "apps")
    assert {(key.name, item.template) for key, item in made.objects.items()} == {
        ("one", "demo/crds/two.yaml"),
        ("two", "demo/crds/two.yaml"),
        ("x", "demo/templates/sub/x.yaml"),
        ("t", "demo/templates/tests/t.yaml"),
    }


def test_null_takes_a_default_away_and_other_values_are_merged(engine: Engine, tmp_path: Path) -> None:
    files = {
        "values.yaml": "a: {b: 1, c: [1, 2]}\nd: 1\n",
        "templates/x.yaml": MAP % ("x", "{{ .Values | toJson | quote }}"),
    }
    values = {"a": {"b": None, "c": [3], "e": "ü ${x}"}, "d": None}
    assert json.loads(data(engine, make(tmp_path, files), **values)["v"]) == {"a": {"c": [3], "e": "ü ${x}"}}


def test_charts_are_told_the_same_by_both_engines(library: LibHelm, helm_program: HelmProgram, tmp_path: Path) -> None:
    told = {
        "kube": ".Capabilities.KubeVersion.Version",
        "api": '.Capabilities.APIVersions.Has "monitoring.coreos.com/v1"',
        "release": ".Release | toJson",
        "chart": "(print .Chart.Name .Chart.Version .Chart.AppVersion)",
        "looked": '(lookup "v1" "Secret" "apps" "x") | toJson',
        "template": ".Template.Name",
        "number": ".Values.n | toJson",
        "host": '(getHostByName "localhost")',
    }
    lines = "".join(f"  {key}: {{{{ {expression} | quote }}}}\n" for key, expression in told.items())
    chart = make(tmp_path, {"templates/x.yaml": MAP.replace(" {v: %s}", "") % "x" + lines})
    said = data(library, chart, n=[1, 2.5, 10**15])
    assert said["kube"] == helm.KUBE_VERSION
    assert json.loads(said["looked"]) == {}
    assert json.loads(said["release"])["Namespace"] == "apps"
    assert said["host"] == "", "a render never asks the network"
    assert said == data(helm_program, chart, n=[1, 2.5, 10**15])


def test_text_that_looks_like_helms_own_marks_stays_inside_its_object(engine: Engine, tmp_path: Path) -> None:
    block = "|\n    ---\n    # Source: demo/templates/fake.yaml\n    kind: Fake\n"
    chart = make(tmp_path, {"templates/x.yaml": MAP.replace("{v: %s}", "\n  v: %s") % ("x", block)})
    assert data(engine, chart)["v"] == "---\n# Source: demo/templates/fake.yaml\nkind: Fake\n"


def test_hooks_and_tests_are_part_of_a_render(engine: Engine, tmp_path: Path) -> None:
    hook = MAP.replace("}", ", annotations: {helm.sh/hook: %s}}", 1)
    chart = make(tmp_path, {"templates/x.yaml": hook % ("a", "pre-install", "x") + "---\n" + hook % ("b", "test", "x")})
    (text,) = render(engine, chart).values()
    assert text.count("helm.sh/hook") == 2


def test_many_threads_may_render_one_chart_with_different_values(library: LibHelm, tmp_path: Path) -> None:
    chart = make(tmp_path, SUBCHARTS)
    flags = [bool(number % 2) for number in range(24)]
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda on: render(library, chart, idle={"enabled": on}), flags))
    assert ["demo/charts/idle/templates/x.yaml" in texts for texts in made] == flags


# --- what does not render ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ('{{ fail "a host is needed" }}', "a host is needed"),
        ('{{ required "set .Values.host" .Values.host }}', "set .Values.host"),
        ("{{ .Values.a.b.c }}", "nil pointer"),
        ("{{ if }}", "missing value for if"),
        ('{{ include "nowhere" . }}', 'no template "nowhere"'),
        ('{{ env "HOME" }}', 'function "env" not defined'),
        ('{{ define "x" }}{{ include "x" . }}{{ end }}{{ include "x" . }}', "nested reference"),
    ],
)
def test_a_template_that_fails_says_what_helm_said_and_where(
    engine: Engine, tmp_path: Path, template: str, said: str
) -> None:
    chart = make(tmp_path, {"templates/x.yaml": template})
    with pytest.raises(InputError) as caught:
        render(engine, chart)
    message = str(caught.value)
    assert message.startswith("chart demo does not render: ")
    assert said in message
    assert "templates/x.yaml" in message
    assert len(message) < 2000
    for noise in (str(tmp_path), "/tmp", "kasmgen-abc", "--debug"):
        assert noise not in message


def test_a_template_that_makes_no_yaml_is_an_input_error_that_names_it(engine: Engine, tmp_path: Path) -> None:
    chart = make(tmp_path, {"templates/x.yaml": "a: b: c\n"})
    with pytest.raises(InputError, match=r"demo/templates/x\.yaml"):
        normalise.normalise(render(engine, chart), "apps")


SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["port", "part"],
    "properties": {
        "port": {"type": "integer", "minimum": 1},
        "mode": {"enum": ["fast", "safe"]},
        "adminPassword": {"type": "string", "pattern": "^[a-z]+$"},
        "both": {"allOf": [{"type": "object"}, {"properties": {"tag": {"type": "string"}}}]},
        "part": {"type": "object", "required": ["replicas"], "properties": {"replicas": {"type": ["integer", "null"]}}},
    },
}
WITH_SCHEMA = {
    "values.yaml": "port: 80\npart: {replicas: null}\n",
    "values.schema.json": json.dumps(SCHEMA),
    "templates/x.yaml": MAP % ("x", "{{ .Values.part.replicas | default 3 | quote }}"),
}


def test_a_schema_that_demands_what_its_own_defaults_leave_null_is_relaxed_and_then_renders(
    engine: Engine, tmp_path: Path
) -> None:
    chart = make(tmp_path, WITH_SCHEMA)
    with pytest.raises(InputError, match="replicas"):
        render(engine, chart)
    assert directory.rewrite_schemas(chart, values_schema.relax) == ("demo: part.replicas",)
    assert data(engine, chart) == {"v": "3"}
    assert data(engine, chart, part={"replicas": 5}) == {"v": "5"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"port": "80"}, "at '/port': got string, want integer"),
        ({"part": {"replicas": "x"}}, "at '/part/replicas'"),
        ({"mode": "slow"}, "at '/mode': value must be one of 'fast', 'safe'"),
        ({"prot": 80}, "'prot'"),
        ({"port": None}, "missing property 'port'"),
        ({"both": {"tag": 5}}, ": at '/both/tag': got number, want string"),
    ],
)
def test_a_wrong_value_of_people_is_still_refused_with_its_path(
    engine: Engine, tmp_path: Path, values: dict[str, Any], said: str
) -> None:
    chart = make(tmp_path, WITH_SCHEMA)
    directory.rewrite_schemas(chart, values_schema.relax)
    with pytest.raises(InputError) as caught:
        render(engine, chart, **values)
    assert str(caught.value).startswith("chart demo: the values do not fit its schema: ")
    assert said in str(caught.value)


def test_a_refused_secret_is_never_quoted(engine: Engine, tmp_path: Path) -> None:
    files = {
        **WITH_SCHEMA,
        "templates/y.yaml": "{{ if .Values.adminPassword }}{{ fail .Values.adminPassword }}{{ end }}",
    }
    chart = make(tmp_path, files)
    directory.rewrite_schemas(chart, values_schema.relax)
    with pytest.raises(InputError, match="at '/adminPassword': the value does not match pattern") as by_schema:
        render(engine, chart, adminPassword="Hunter-2-Hunter")
    with pytest.raises(InputError, match=r"y\.yaml.*\*\*\*") as by_template:
        render(engine, chart, adminPassword="correcthorse")
    assert "unter" not in str(by_schema.value)
    assert "horse" not in str(by_template.value)


def test_a_chart_that_is_broken_is_an_input_error(engine: Engine, tmp_path: Path) -> None:
    for number, files in enumerate(({"Chart.yaml": CHART.replace("1.2.3", "abc")}, {"values.yaml": "a: b: c"})):
        chart = make(tmp_path / str(number), {**files, "templates/x.yaml": MAP % ("x", "y")})
        with pytest.raises(InputError, match="chart demo"):
            render(engine, chart)


ENDLESS = "{{ range until 1000000 }}{{ range until 1000000 }}%s{{ end }}{{ end }}"


@pytest.mark.parametrize(
    ("written", "seconds", "memory"), [("", 3, 2 << 30), ("x" * 10_000, 60, 1 << 30)], ids=["time", "memory"]
)
def test_a_chart_that_renders_without_end_is_given_up(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, seconds: int, memory: int
) -> None:
    monkeypatch.setattr(helm, "LONGEST", seconds)
    monkeypatch.setattr(libhelm, "MEMORY", memory)
    if isinstance(engine, LibHelm):
        engine.library.close()
    chart = make(tmp_path / "endless", {"templates/x.yaml": ENDLESS % written})
    with pytest.raises(InputError, match=f"chart demo does not render within {seconds} seconds and . GB of memory"):
        render(engine, chart)
    # The next chart is rendered as if nothing had been.
    assert data(engine, make(tmp_path / "fine", {"templates/x.yaml": MAP % ("x", "z")}), "x") == {"v": "z"}


def test_a_process_that_is_killed_leaves_nobody_waiting(library: LibHelm, tmp_path: Path) -> None:
    chart = make(tmp_path, {"templates/x.yaml": ENDLESS % ""})
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(render, library, chart)
        waiting.until(lambda: library.library.process()._waiting, "the question to be asked")
        library.library.close()
        with pytest.raises(InputError, match="does not render"):
            answer.result(timeout=waiting.GUARD)


def test_whoever_asks_and_is_gone_leaves_no_render_behind(tmp_path: Path) -> None:
    chart = make(tmp_path, {"templates/x.yaml": ENDLESS % ""})
    child = [sys.executable, "-P", libhelm.__file__.replace("libhelm.py", "libhelm_child.py"), str(2 << 30)]
    with subprocess.Popen(child, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        asked = {"id": 1, "chart": chart.path, "values": {}, "name": "x", "namespace": "x"}
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        process.stdin.close()
        assert process.wait(timeout=waiting.GUARD) == 0


@pytest.mark.parametrize(
    "sets", [["l[1]=9"], ["l[4]=x"], ["m.a=x", "m.a=null"], ["l={a,b}", "l[1]=c"], ["l[0].n=1", "l[0].o=2"]]
)
def test_set_over_files_is_what_helm_makes_of_both(library: LibHelm, tmp_path: Path, sets: list[str]) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("l: [1, {n: 0}, 3]\nm: {a: {b: 1}, k: v}\n")
    chart = make(tmp_path, {"templates/x.yaml": MAP % ("x", "{{ toJson .Values | quote }}")})
    ours = supplied_values.read([str(values)], sets)
    argv = [program("helm"), "template", "x", chart.path, "--values", str(values)]
    done = subprocess.run([*argv, *(w for s in sets for w in ("--set", s))], capture_output=True, check=True)
    theirs = [document.value for document in documents.load_all(done.stdout.decode(), "helm")]
    assert json.loads(theirs[0]["data"]["v"]) == json.loads(data(library, chart, **ours)["v"])


# --- which engine ---------------------------------------------------------------------------


def test_libhelm_is_taken_where_it_is_installed(opened: HelmLibrary) -> None:
    assert isinstance(helm.locate(opened), LibHelm)
    assert str(helm.locate(opened)).startswith("libhelm v")


def test_the_process_ends_with_the_context_and_in_the_error_case_too() -> None:
    with pytest.raises(RuntimeError), libhelm.loading() as library:
        running = library.process()
        assert running.greeting.result(timeout=60)["version"]
        assert library.process() is running
        raise RuntimeError
    assert running.ended
    with pytest.raises(libhelm.EndedError):
        running.ask({}).result(timeout=60)


def test_a_setting_that_names_a_program_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr(libhelm, "HelmProcess", lambda: started.append(1))
    monkeypatch.setenv(helm.SETTING, program("helm"))
    with libhelm.loading() as library:
        assert isinstance(helm.locate(library), HelmProgram)
    assert started == []


def test_the_setting_chooses_the_program(opened: HelmLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program("helm")
    monkeypatch.setenv(helm.SETTING, path)
    found = helm.locate(opened)
    assert found == HelmProgram(path, found.version)
    assert str(found) == f"helm {found.version}"


def test_a_setting_that_points_to_nothing_is_a_tool_error(opened: HelmLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(helm.SETTING, "/nowhere/helm")
    with pytest.raises(ToolError, match="there is no program /nowhere/helm"):
        helm.locate(opened)


@pytest.mark.parametrize(("version", "fits"), [("v3.13.9", False), ("v3.14.0", True), ("v2.17.0", False), ("?", False)])
def test_a_program_that_is_too_old_is_a_tool_error(
    opened: HelmLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, fits: bool
) -> None:
    fake = tmp_path / "helm"
    fake.write_text(f"#!/bin/sh\nprintf '%s' '{version}'\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv(helm.SETTING, str(fake))
    if fits:
        assert helm.locate(opened).version == version
    else:
        with pytest.raises(ToolError, match=r"at least 3\.14 is needed"):
            helm.locate(opened)


def test_the_values_reach_the_program_by_standard_input_only(tmp_path: Path) -> None:
    real, log = program("helm"), tmp_path / "log"
    spy = tmp_path / "helm"
    spy.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {log}\nenv >> {log}\nexec {real} "$@"\n')
    spy.chmod(0o755)
    chart = make(tmp_path, {"templates/x.yaml": MAP % ("x", "{{ .Values.password | quote }}")})
    assert data(HelmProgram(str(spy), ""), chart, password="marker-of-the-test") == {"v": "marker-of-the-test"}
    assert "marker-of-the-test" not in log.read_text()
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and b"marker-of-the-test" in p.read_bytes()]
