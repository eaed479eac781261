"""What is refused names the option or file that it came with, has the exit code of the table, and changes nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from kasmgen.cli import group
from kasmgen.programs import kustomize
from tests.machine import Machine, copy_machine

pytestmark = pytest.mark.e2e

KUBECTL = kustomize.locate().path


@pytest.fixture(scope="module")
def shared(initialised: Machine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A project for commands that are refused, and so leave it as it is."""
    return copy_machine(initialised, tmp_path_factory.mktemp("options"))


def refused(machine: Machine, code: int, *arguments: str, **kwargs: Any) -> str:
    """What the command says; it must end with `code` and change nothing."""
    before = machine.state() if (machine.root / ".git").exists() else None
    done = machine.run(*arguments, **kwargs)
    assert done.code == code, f"exit {done.code}\n{done.stderr[-3000:]}"
    assert done.stderr.startswith("error: ")
    assert "\nnext: " in done.stderr
    if before is None:
        assert list(machine.root.iterdir()) == []
    else:
        assert machine.state() == before
    return done.stderr


# --- empty texts ----------------------------------------------------------------


def _commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(command, group.Deferred):
        command = command.load()
    yield path, command
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from _commands(below, (*path, name))


def _empty_texts() -> Iterator[tuple[list[str], str]]:
    """Every command with each option and argument that takes any text, given as an empty one."""
    for path, command in _commands(group.root):
        for item in command.params:
            if isinstance(item.type, click.types.StringParamType | click.Path):
                words = [
                    _words(other, "" if other is item else "x")
                    for other in command.params
                    if other is item or other.required
                ]
                said = max(item.opts, key=len) if isinstance(item, click.Option) else item.human_readable_name
                yield [*path, *(word for part in words for word in part)], said.strip("[].")


def _words(item: click.Parameter, text: str) -> list[str]:
    if isinstance(item.type, click.Choice):
        text = item.type.choices[0]
    return [item.opts[-1], text] if isinstance(item, click.Option) else [text]


EMPTY = list(_empty_texts())


def test_the_table_of_texts_has_every_option_that_decides_where_an_environment_goes() -> None:
    said = {option for arguments, option in EMPTY if arguments[:2] == ["env", "add"]}
    assert {"--namespace", "--cluster-domain", "--ingress-ip", "--git-url", "--size", "--hostname"} < said
    assert {"NAME", "--alt-hostname", "--recipient", "--registry-server", "--flux-source", "-C"} < said


@pytest.mark.parametrize(("arguments", "said"), EMPTY, ids=[" ".join(arguments) for arguments, _ in EMPTY])
def test_an_empty_text_is_not_an_option_that_was_left_out(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert group.run(arguments) == 2
    error = capsys.readouterr().err
    assert f"error: {said}: is empty" in error
    assert "next: give it a value or leave it out" in error


# --- values -----------------------------------------------------------------------

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

# What stands in a values file of `env add` -> the path that is refused, and why.
FILES = {
    "no certificate": (
        {"kasmCerts": {"ingress": {"cert": "SECRET-X", "key": "SECRET-Y"}}},
        "values.kasmCerts.ingress.cert is no certificate in PEM form",
    ),
    "no private key": (
        {"kasmCerts": {"db": {"cert": CERTIFICATE, "key": "SECRET-Y"}}},
        "values.kasmCerts.db.key is no private key in PEM form",
    ),
    "half a pair": (
        {"kasmCerts": {"db": {"cert": CERTIFICATE}}},
        "values.kasmCerts.db.cert is there, but not values.kasmCerts.db.key",
    ),
    "a number": (
        {"global": {"kasmPasswords": {"dbPassword": 123456}}},
        "values.global.kasmPasswords.dbPassword: text is expected",
    ),
    "unknown at the top": ({"foo": 1}, "additional properties 'foo' not allowed"),
    "unknown below": ({"kasmCerts": {"foo": 1}}, "additional properties 'foo' not allowed"),
    "unknown to a template": ({"global": {"foo": 1}}, "global.foo is not a value of this chart"),
}


@pytest.mark.parametrize(("what", "piped"), [*((what, False) for what in FILES), ("no certificate", True)])
def test_a_value_that_is_refused_names_the_file_and_is_not_repeated(
    shared: Machine, tmp_path: Path, what: str, piped: bool
) -> None:
    values, why = FILES[what]
    text = json.dumps(values)
    bad, good = tmp_path / "bad.yaml", tmp_path / "good.yaml"
    bad.write_text(text)
    good.write_text("global: {altHostnames: [y.example.com]}\nkasmCerts: {ingress: {create: true}}\n")
    name = "-" if piped else str(bad)
    more = ("--values", str(good), "--values", name)
    said = refused(shared, 2, "env", "add", "x", "--hostname", "x.example.com", *more, stdin=text if piped else "")
    assert said.startswith(f"error: --values {name}: ")
    assert why in said
    assert "SECRET" not in said
    assert "123456" not in said
    assert "doctor" not in said


def test_a_pair_that_cannot_be_read_is_a_matter_of_keys_and_names_the_file(shared: Machine, tmp_path: Path) -> None:
    key = "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n"
    bad = tmp_path / "bad.yaml"
    bad.write_text(json.dumps({"kasmCerts": {"db": {"cert": CERTIFICATE, "key": key}}}))
    said = refused(shared, 4, "env", "add", "x", "--hostname", "x.example.com", "--values", str(bad))
    assert said.startswith(f"error: --values {bad}: values.kasmCerts.db: the certificate cannot be read")
    assert "SECRET" not in said


@pytest.mark.parametrize(
    "arguments", [("env", "add", "x", "--hostname", "x.example.com", "--set", "foo=1"), ("init", "--set", "foo.bar=1")]
)
def test_a_set_that_the_chart_does_not_know_names_the_option(
    shared: Machine, machine: Machine, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    good = tmp_path / "good.yaml"
    good.write_text("global: {altHostnames: [y.example.com]}\n")
    said = refused(machine if arguments[0] == "init" else shared, 2, *arguments, "--values", str(good))
    assert said.startswith("error: --set: ")
    assert "additional properties 'foo' not allowed" in said


@pytest.mark.parametrize("option", ["--set", "--values"])
def test_a_secret_for_all_environments_is_refused_with_its_option(
    machine: Machine, tmp_path: Path, option: str
) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("global: {altHostnames: [y.example.com]}\n")
    bad.write_text("global: {kasmPasswords: {dbPassword: SECRET}}\n")
    given = "global.kasmPasswords.dbPassword=SECRET" if option == "--set" else str(bad)
    said = refused(machine, 2, "init", "--values", str(good), option, given)
    where = "--set" if option == "--set" else f"--values {bad}"
    assert said.startswith(f"error: {where}: these are secrets and would be committed in clear: db-password")


# --- charts -----------------------------------------------------------------------


def chart(directory: Path, text: str) -> str:
    (directory / "templates").mkdir(parents=True)
    (directory / "Chart.yaml").write_text("apiVersion: v2\nname: odd\nversion: 1.0.0\n")
    (directory / "values.yaml").write_text("key: plain\n")
    (directory / "templates" / "odd.yaml").write_text(text)
    return str(directory)


ODD = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: odd}
data: {{ dict .Values.key "merge" | toJson }}
"""


def test_a_key_that_kustomize_loses_is_refused_before_the_base_is_committed(machine: Machine) -> None:
    key = "<<"
    source = chart(machine.home / "odd", ODD)
    said = refused(machine, 2, "init", "--recipient", machine.recipient, "--chart", source, "--set", f"key={key}")
    assert said.startswith("error: the base: the chart renders what Flux (kustomize) cannot carry: ConfigMap")
    assert "odd in kasm at /data/<<: kustomize drops this key" in said
    machine.ok("init", "--recipient", machine.recipient, "--chart", source)
    name = machine.root / "kasmgen.yaml"
    name.write_text(f"{name.read_text()}values: {{key: {json.dumps(key)}}}\n")
    assert "the base: the chart renders" in machine.run("render").stderr
    machine.git("checkout", "-q", ".")
    more = ("--hostname", "x.example.com", "--set", f"key={key}")
    assert "environment x: the chart renders what Flux" in refused(machine, 2, "env", "add", "x", *more)


def test_a_base_without_objects_is_one(machine: Machine) -> None:
    machine.ok("init", "--recipient", machine.recipient, "--chart", chart(machine.home / "odd", "# nothing\n"))


@pytest.mark.parametrize("command", ["init", "render"])
def test_a_base_that_does_not_build_to_the_render_is_not_committed(machine: Machine, command: str) -> None:
    """A kustomize that loses a field stands for one that differs from the one that was tried."""
    lossy = machine.home / "kustomize"
    lossy.write_text(f"#!/bin/sh\n[ $1 = version ] && echo v5.8.1 || {KUBECTL} kustomize $2 | grep -v 'replicas:'\n")
    lossy.chmod(0o755)
    setting = {"KASMGEN_KUSTOMIZE": str(lossy)}
    if command == "init":
        said = refused(machine, 70, "init", "--recipient", machine.recipient, **setting)
    else:
        machine.ok("init", "--recipient", machine.recipient)
        said = refused(machine, 70, "render", **setting)
    assert said.startswith("error: the base: what kustomize builds is not what Helm would install: ")
    assert "/spec/replicas" in said


# --- programs ---------------------------------------------------------------------


@pytest.mark.parametrize("program", ["/bin/true", "/bin/false", "/bin/echo", "kubectl"])
def test_a_program_that_is_no_kustomize_is_named_with_its_setting(
    shared: Machine, tmp_path: Path, program: str
) -> None:
    if program == "kubectl":
        program = str(tmp_path / "kubectl")
        Path(program).symlink_to("/bin/true")
    said = refused(shared, 3, "env", "add", "x", "--hostname", "x.example.com", KASMGEN_KUSTOMIZE=program)
    assert f"{program}, which KASMGEN_KUSTOMIZE names, is no kustomize" in said
    assert "next: correct or unset KASMGEN_KUSTOMIZE" in said


# --- commits ----------------------------------------------------------------------


def test_a_full_disk_while_git_commits_asks_for_room(machine: Machine) -> None:
    machine.git("init", "-q")
    hook = machine.root / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ngit --version | cat >/dev/full\n")
    hook.chmod(0o755)
    said = machine.run("init", "--recipient", machine.recipient)
    assert said.code == 5
    assert "No space left on device" in said.stderr
    assert "next: make room on the disk" in said.stderr
    assert machine.git("status", "--porcelain") == ""
    hook.write_text("#!/bin/sh\necho no\nexit 1\n")
    assert "next: correct what it says (hooks" in machine.run("init", "--recipient", machine.recipient).stderr


def test_the_count_is_that_of_the_commit_with_what_people_edited(prod: Machine) -> None:
    path = prod.root / "overlays/prod/environment.yaml"
    path.write_text(path.read_text().replace("kasm.example.com", "desk.example.com"))
    edited = prod.ok("render", "--output", "json")
    held = prod.git("show", "--format=", "--name-only", "HEAD").splitlines()
    assert "overlays/prod/environment.yaml" in held
    assert "overlays/prod/environment.yaml" not in edited.stdout
    assert f": {len(held)} files\n" in edited.stderr
    (prod.root / "base/kustomization.yaml").unlink()
    prod.git("rm", "-q", "--cached", "base/kustomization.yaml")
    prod.git("commit", "-qm", "lost")
    assert ": 1 file\n" in prod.ok("render").stderr


# --- dry runs ---------------------------------------------------------------------

ADD = ("env", "add", "x", "--hostname", "x.example.com")


@pytest.mark.parametrize(
    ("code", "options", "why"),
    [
        (2, ("--branch", "a..b"), "--branch: 'a..b' is no name for a branch"),
        (5, ("--branch", "main"), "the branch main exists already"),
        (5, ("--push",), "--push: the branch main has no upstream"),
    ],
)
@pytest.mark.parametrize("command", ["env add", "init", "ci", "render"])
def test_a_dry_run_refuses_what_the_run_refuses(
    shared: Machine, machine: Machine, command: str, code: int, options: tuple[str, ...], why: str
) -> None:
    arguments = {"env add": ADD, "init": ("init",), "ci": ("ci", "github"), "render": ("render",)}[command]
    where = machine if command == "init" else shared
    dry = refused(where, code, *arguments, *options, "--dry-run")
    assert why in dry
    if command == "env add":
        assert refused(where, code, *arguments, *options) == dry


def test_a_dry_run_refuses_a_repository_that_is_not_ready(project: Machine) -> None:
    (project.root / ".gitignore").write_text("secrets/\n")
    assert "git ignores what has to be committed" in refused(project, 5, *ADD, "--dry-run")
    assert project.run(*ADD, "--dry-run", "--no-commit").code == 0
    (project.root / ".gitignore").unlink()
    project.git("checkout", "-q", "--detach")
    assert "HEAD is detached" in refused(project, 5, *ADD, "--dry-run")
    assert project.run(*ADD, "--dry-run", "--branch", "new").code == 0
    (project.root / ".git" / "MERGE_HEAD").write_text(project.git("rev-parse", "HEAD") + "\n")
    assert "a merge is in progress" in refused(project, 5, *ADD, "--dry-run", "--branch", "new")


# --- where a project goes ---------------------------------------------------------


def test_init_refuses_a_broken_project_and_one_inside_another(machine: Machine) -> None:
    machine.git("init", "-q")
    (machine.root / "kasmgen.yaml").write_text("x\n")
    broken = refused(machine, 2, "init")
    assert "error: kasmgen.yaml: " in broken
    (machine.root / "kasmgen.yaml").unlink()
    machine.ok("init", "--recipient", machine.recipient)
    for more in ((), ("--dry-run",)):
        said = refused(machine, 2, "init", "apps/sub", *more)
        assert f"lies in the kasmgen project {machine.root}" in said
    machine.git("init", "-q", "own")
    machine.ok("init", "own", "--recipient", machine.recipient)


def test_the_demo_names_a_kustomize_that_can_be_started(machine: Machine) -> None:
    bare = machine.home / "bin"
    bare.mkdir()
    for name in ("git", "sh"):
        (bare / name).symlink_to(str(shutil.which(name)))
    said = machine.ok("demo", PATH=str(bare)).stderr
    line = next(line for line in said.splitlines() if "everything that Flux would apply" in line)
    command = line.partition("#")[0].split()
    assert command == [str(KUBECTL), "kustomize", "overlays/prod"]
    assert "kind: Ingress" in machine.tool(*command, cwd=machine.root / "demo")
