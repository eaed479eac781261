"""`kasmgen diff`: which two sides are compared, and that the answer about them is true."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kasmgen.commands import diff
from kasmgen.programs import kustomize
from kasmgen.yaml import documents
from tests.commands.diffing import (
    ENVIRONMENT,
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
from tests.machine import Machine

pytestmark = pytest.mark.e2e

__all__ = ["app"]

DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: kasm}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: registry.example.com/web:1
        env: [{name: A, value: "1"}, {name: B, value: "2"}]
        ports: [{containerPort: 1}, {containerPort: 2}]
"""
APP = "overlays/prod/app.yaml"
LIST = "overlays/prod/kustomization.yaml"


def changes(machine: Machine, *arguments: str) -> list[str]:
    """What the JSON report lists, as "Kind name: environments"."""
    found = machine.ok("diff", "--output", "json", *arguments).json
    return sorted(f"{item['kind']} {item['name']}: {','.join(item['environments'])}" for item in found["changes"])


# --- empty exactly when the builds are equal ----------------------------------

EDITS: dict[str, tuple[str, str, str]] = {
    "comment": (APP, "kind: Deployment", "kind: Deployment # as before"),
    "quotes": (APP, "name: web\n        image", 'name: "web"\n        image'),
    "flow style": (APP, "metadata: {name: web, namespace: kasm}", "metadata:\n  namespace: kasm\n  name: web"),
    "type of a value": ("overlays/prod/config.yaml", '{n: "1"}', "{n: one}"),
    "variables": (APP, '{name: A, value: "1"}, {name: B, value: "2"}', '{name: B, value: "2"}, {name: A}'),
    "order of ports": (APP, "[{containerPort: 1}, {containerPort: 2}]", "[{containerPort: 2}, {containerPort: 1}]"),
    "image": (APP, "web:1", "web:2"),
    "label of the list": (LIST, "resources:", "commonAnnotations: {team: blue}\nresources:"),
    "comment of the list": (LIST, "resources:", "# what there is\nresources:"),
    "order of resources": (LIST, "- app.yaml\n- config.yaml\n", "- config.yaml\n- app.yaml\n"),
    "unlisted file": ("overlays/prod/README.md", "words", "other words"),
    "unused component": ("components/debug/kustomization.yaml", "v1alpha1", "v1alpha1 # later"),
    "environment.yaml": ("overlays/prod/environment.yaml", "kasm.example.com", "desk.example.com"),
    "flux": ("clusters/prod/kasm.yaml", "interval: 1h", "interval: 10m"),
}  # fmt: skip


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    machine = small(
        tmp_path_factory.mktemp("edited"),
        {
            **environment("prod", "app.yaml", "config.yaml"),
            APP: DEPLOYMENT,
            "overlays/prod/config.yaml": config_map("config", '{n: "1"}'),
            "overlays/prod/README.md": "words\n",
            "components/debug/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n",
            "clusters/prod/kasm.yaml": "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n"
            "metadata: {name: kasm, namespace: flux-system}\nspec: {interval: 1h}\n",
        },
    )
    machine.git("branch", "start")
    return machine


def by_kustomize(machine: Machine, revision: str, into: Path) -> list[str]:
    """What the real kustomize builds of a revision in a directory of its own, with the Flux objects."""
    into.mkdir(parents=True)
    archive = into.parent / f"{into.name}.tar"
    machine.git("archive", "-o", str(archive), revision)
    with tarfile.open(archive) as tar:
        tar.extractall(into)
    built = machine.tool(*kustomize.locate().command, str(into / "overlays/prod"))
    objects = [*documents.load_all(built), *documents.load_all((into / "clusters/prod/kasm.yaml").read_text())]
    return sorted(json.dumps(document.value, sort_keys=True) for document in objects)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.lists(st.sampled_from(sorted(EDITS)), max_size=2, unique=True))
def test_the_report_is_empty_exactly_when_the_builds_are_equal(
    edited: Machine, tmp_path_factory: pytest.TempPathFactory, chosen: list[str]
) -> None:
    edited.git("checkout", "-q", "-B", "change", "start")
    for name in chosen:
        path, old, new = EDITS[name]
        assert old in edited.read(path)
        write(edited, {path: edited.read(path).replace(old, new)})
    commit(edited)
    place = tmp_path_factory.mktemp("sides")
    equal = by_kustomize(edited, "start", place / "old") == by_kustomize(edited, "HEAD", place / "new")
    report = diff.run(edited.root, ["start", "HEAD"])
    assert not report.failed
    assert report.different != equal
    assert (report.entries == ()) == equal


def test_equal_ways_to_say_the_same_are_no_change(edited: Machine) -> None:
    edited.git("checkout", "-q", "-B", "change", "start")
    for name in ("comment", "quotes", "flow style", "comment of the list", "unlisted file", "environment.yaml"):
        path, old, new = EDITS[name]
        write(edited, {path: edited.read(path).replace(old, new)})
    commit(edited)
    done = edited.ok("diff", "start", "HEAD", "--exit-code")
    assert done.stdout.startswith("Nothing changes in 1 environment.")


# --- which sides --------------------------------------------------------------


def test_the_default_is_where_the_branch_left_its_upstream_against_the_work_tree(app: Machine, tmp_path: Path) -> None:
    other = Machine(app.home, tmp_path / "clone", app.recipient, app.identity)
    app.git("clone", "-q", "--no-local", str(app.root), str(other.root))
    other.git("checkout", "-q", "-b", "feature", "--track", "origin/main")
    write(app, {**environment("upstream", "app.yaml"), "overlays/upstream/app.yaml": config_map("theirs", "{a: b}")})
    commit(app)
    other.git("fetch", "-q")
    write(other, {APP: config_map("app", "{a: committed}")})
    commit(other)
    first = other.ok("diff")
    assert "a: b → committed" in first.stdout
    assert "(where the branch left its upstream) → the work tree" in first.stdout
    assert "upstream " not in first.stdout.splitlines()[2], "what came to main meanwhile is not of this branch"
    write(other, {APP: config_map("app", "{a: edited}"), "overlays/prod/new.yaml": config_map("new", "{c: d}")})
    write(other, environment("prod", "app.yaml", "new.yaml"))
    assert changes(other) == ["ConfigMap app: prod", "ConfigMap new: prod"]
    assert "a: b → edited" in other.ok("diff").stdout
    other.git("branch", "--unset-upstream")
    assert "a: b → edited" in other.ok("diff").stdout, "origin/HEAD does it too"


def test_without_an_upstream_it_is_the_last_commit_against_the_work_tree(app: Machine) -> None:
    assert app.ok("diff", "--exit-code").stdout.startswith("Nothing changes")
    write(app, {APP: config_map("app", "{a: c}")})
    assert "(HEAD) → the work tree" in app.ok("diff").stdout
    assert changes(app) == ["ConfigMap app: prod"]


def test_history_that_is_not_here_is_an_error_and_not_a_guess(app: Machine, tmp_path: Path) -> None:
    write(app, {APP: config_map("app", "{a: c}")})
    commit(app)
    shallow = Machine(app.home, tmp_path / "shallow", app.recipient, app.identity)
    app.git("clone", "-q", "--depth", "1", f"file://{app.root}", str(shallow.root))
    shallow.git("remote", "remove", "origin")
    done = shallow.run("diff")
    assert done.code == 2
    assert "shallow" in done.stderr
    assert "git fetch --unshallow" in done.stderr
    assert done.stdout == ""
    app.git("checkout", "-q", "--orphan", "island")
    commit(app)
    apart = app.run("diff", "main...island")
    assert apart.code == 2
    assert "no commit in common" in apart.stderr


def test_two_dots_compare_the_ends_and_three_what_the_second_did(app: Machine) -> None:
    app.git("checkout", "-q", "-b", "feature")
    write(app, {"overlays/prod/own.yaml": config_map("own", "{a: b}"), **environment("prod", "app.yaml", "own.yaml")})
    commit(app)
    app.git("checkout", "-q", "main")
    write(app, {APP: config_map("app", "{a: later}")})
    commit(app)
    assert changes(app, "main..feature") == ["ConfigMap app: prod", "ConfigMap own: prod"]
    assert changes(app, "main", "feature") == changes(app, "main..feature")
    assert changes(app, "main...feature") == ["ConfigMap own: prod"]
    assert changes(app, "feature...") == ["ConfigMap app: prod"]
    assert changes(app, "..feature", "prod") == ["ConfigMap app: prod", "ConfigMap own: prod"]


@pytest.mark.parametrize("word", ["nope", "nope..main", "main..nope", "nope...main", "--output=html nope", "-x..main"])
def test_what_is_no_revision_and_no_environment_is_named(app: Machine, word: str) -> None:
    done = app.run("diff", *word.split())
    assert done.code == 2
    assert "nope" in done.stderr or "-x" in done.stderr
    assert done.stdout == ""


def test_an_environment_that_is_named_like_a_branch_is_the_environment(app: Machine) -> None:
    app.git("branch", "prod")
    write(app, {APP: config_map("app", "{a: c}"), **environment("test", "app.yaml")})
    write(app, {"overlays/test/app.yaml": config_map("app", "{a: c}")})
    commit(app)
    assert changes(app, "HEAD~1", "prod") == ["ConfigMap app: prod"]
    assert changes(app, "prod..main", "prod") == ["ConfigMap app: prod"]
    assert "ConfigMap app: test" in changes(app, "prod..main")
    app.git("rm", "-rqf", "overlays/prod")
    assert changes(app, "HEAD", "prod") == ["ConfigMap app: prod"], "gone from the work tree, but HEAD knows it"
    assert changes(app, "prod") == ["ConfigMap app: prod"]


# --- a side that does not build -------------------------------------------------


BROKEN: dict[str, dict[str, str | bytes]] = {
    "broken YAML": {APP: "kind: [\n"},
    "broken kustomization": {LIST: "resources: [\n"},
    "missing file": environment("prod", "app.yaml", "gone.yaml"),
    "missing base": environment("prod", "../../nowhere"),
    "patch without target": environment("prod", "app.yaml", more="patches: [{path: gone-patch.yaml}]\n"),
    "broken Flux object": {"clusters/prod/kasm.yaml": "kind: [\n"},
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("order", ["main..broken", "broken..main", "broken..same"])
def test_a_side_that_does_not_build_is_told_in_every_format(app: Machine, case: str, order: str) -> None:
    write(app, {**environment("fine", "app.yaml"), "overlays/fine/app.yaml": config_map("fine", "{a: b}")})
    commit(app)
    app.git("checkout", "-q", "-b", "broken")
    write(app, {**BROKEN[case], "overlays/fine/app.yaml": config_map("fine", "{a: c}")})
    commit(app, "same")
    shown = in_every_format(app, order)
    for name, report in shown.items():
        assert "1 environment could not be built" in report, name
        assert "Nothing changes in" not in report
    side = "broken" if order != "broken..same" else "same"
    assert re.search(rf"at {side} \([0-9a-f]{{12}}\): ", shown["text"]), shown["text"]
    found = json.loads(shown["json"])
    assert found["failed"] is True
    assert [item["state"] for item in found["environments"]] == ["same" if side == "same" else "changed", "failed"]


def test_a_side_that_does_not_build_ends_with_3(app: Machine) -> None:
    write(app, BROKEN["missing file"])
    for name in FORMATS:
        done = app.run("diff", "--output", name, "--exit-code")
        assert done.code == 3
        assert "gone.yaml" in done.stdout
        assert "prod" in done.stderr
        assert str(app.home) not in done.stdout + done.stderr


def test_an_environment_without_its_kustomization_is_broken_and_not_removed(app: Machine) -> None:
    (app.root / LIST).unlink()
    done = app.run("diff")
    assert done.code == 3
    assert "kustomization" in done.stdout
    (app.root / "overlays/prod/environment.yaml").unlink()
    (app.root / APP).unlink()
    assert changes(app) == ["ConfigMap app: prod"]
    assert "removed" in app.ok("diff").stdout


def test_an_environment_that_was_broken_and_is_not_any_more_can_be_told(app: Machine) -> None:
    write(app, BROKEN["missing file"])
    commit(app)
    write(app, environment("prod", "app.yaml"))
    done = app.run("diff")
    assert done.code == 3
    assert "gone.yaml" in done.stdout


# --- what a build reads -----------------------------------------------------------


def test_directories_elsewhere_in_the_repository_are_followed_on_both_sides(tmp_path: Path) -> None:
    component = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [extra.yaml]\n"
    machine = small(
        tmp_path,
        {
            **environment(
                *("prod", "app.yaml", "../../../../shared/network"),
                more="components: [../../components/debug]\n"
                "configMapGenerator: [{name: files, files: [shown=notes.txt]}]\n",
            ),
            "overlays/prod/notes.txt": "one\n",
            "components/debug/kustomization.yaml": component,
            "components/debug/extra.yaml": config_map("extra", "{a: b}"),
        },
        under="deploy/kasm",
    )
    shared = {
        "shared/network/kustomization.yml": KUSTOMIZATION + "resources: [policy.yaml, '../a=b']\n",
        "shared/network/policy.yaml": config_map("policy", "{a: b}"),
        "shared/a=b/Kustomization": KUSTOMIZATION + "resources: [deep.yaml]\n",
        "shared/a=b/deep.yaml": config_map("deep", "{a: b}"),
    }
    write(machine, shared)
    commit(machine, "before")
    write(machine, {name: text.replace("{a: b}", "{a: c}") for name, text in shared.items()})
    write(machine, {"components/debug/extra.yaml": config_map("extra", "{a: c}")}, "deploy/kasm")
    write(machine, {"overlays/prod/notes.txt": "two\n"}, "deploy/kasm")
    inside = machine.root / "deploy/kasm/overlays/prod"
    expected = ["ConfigMap deep: prod", "ConfigMap extra: prod", "ConfigMap policy: prod"]
    for arguments in ((), ("HEAD",)):
        found = machine.ok("diff", "--output", "json", *arguments, cwd=inside).json
        names = [f"{item['kind']} {item['name']}: {','.join(item['environments'])}" for item in found["changes"]]
        assert [name for name in names if "files" not in name] == expected
        assert any("files-" in name for name in names)
    commit(machine)
    assert "policy" in machine.ok("-C", "deploy/kasm", "diff", "before..HEAD").stdout


def test_a_kustomization_that_only_kustomize_can_read_hides_nothing(app: Machine) -> None:
    files = {
        **environment("prod", "../../base"),
        # With a byte order mark, which is how kustomize tells it.
        "overlays/prod/kustomization.yaml": (KUSTOMIZATION + "resources: [../../base]\n").encode("utf-16"),
        "base/kustomization.yaml": KUSTOMIZATION + "resources: [app.yaml]\n",
        "base/app.yaml": config_map("base", "{a: b}"),
    }
    write(app, files)
    commit(app)
    write(app, {"base/app.yaml": config_map("base", "{a: c}")})
    assert changes(app) == ["ConfigMap base: prod"]


def test_what_flux_bootstrap_puts_beside_is_read_and_its_kustomization_is_no_object(app: Machine) -> None:
    sync = (
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n"
        "metadata: {name: flux-system, namespace: flux-system}\nspec: {interval: %s}\n"
    )
    write(app, {"clusters/prod/flux-system/gotk-sync.yaml": sync % "10m"})
    write(app, {"clusters/prod/flux-system/kustomization.yaml": KUSTOMIZATION + "resources: [gotk-sync.yaml]\n"})
    commit(app)
    write(app, {"clusters/prod/flux-system/gotk-sync.yaml": sync % "1h"})
    assert changes(app) == ["Kustomization flux-system: prod"]


def test_one_object_that_is_two_things_is_an_error_and_hides_no_change(app: Machine) -> None:
    write(app, {"clusters/prod/app.yaml": config_map("app", "{a: other}")})
    done = app.run("diff")
    assert done.code == 3
    assert "clusters/prod/app.yaml" in done.stdout


def test_over_a_megabyte_of_manifests_the_report_is_true(app: Machine) -> None:
    many = "---\n".join(config_map(f"many-{n}", f"{{text: {'x' * 4000}, number: '{n}'}}") for n in range(300))
    assert len(many) > 1_000_000
    write(app, {APP: many})
    commit(app)
    assert changes(app, "HEAD") == []
    write(app, {APP: many.replace("number: '277'", "number: changed")})
    assert changes(app, "HEAD") == ["ConfigMap many-277: prod"]
    comment = app.ok("diff", "HEAD~1", "--output", "markdown", "--max-bytes", "5000").stdout
    assert len(comment.encode()) <= 5000
    assert "300 added" in comment
    assert "Cut to fit" in comment


def test_untracked_deleted_and_ignored_files_count_as_git_sees_them(app: Machine) -> None:
    write(app, {".gitignore": "*.local.yaml\n", "overlays/prod/old.yaml": config_map("old", "{a: b}")})
    write(app, environment("prod", "app.yaml", "old.yaml"))
    commit(app)
    (app.root / "overlays/prod/old.yaml").unlink()
    write(app, {"overlays/prod/new.yaml": config_map("new", "{c: d}"), **environment("prod", "app.yaml", "new.yaml")})
    assert changes(app) == ["ConfigMap new: prod", "ConfigMap old: prod"]
    write(
        app,
        {"overlays/prod/x.local.yaml": config_map("x", "{c: d}"), **environment("prod", "app.yaml", "x.local.yaml")},
    )
    done = app.run("diff")
    assert done.code == 3, "Flux will not find what Git ignores"
    assert "x.local.yaml" in done.stdout


# --- what it leaves alone, and what it needs not ---------------------------------


def everything(machine: Machine) -> dict[str, tuple[int, int]]:
    """Time of change and size of every file and directory, those of Git too."""
    places = [machine.root, *machine.root.rglob("*")]
    return {str(place): (place.lstat().st_mtime_ns, place.lstat().st_size) for place in places}


def test_neither_work_tree_nor_index_is_touched(app: Machine) -> None:
    write(app, {"overlays/prod/staged.yaml": config_map("s", "{a: b}"), APP: config_map("app", "{a: c}")})
    app.git("add", "overlays/prod/staged.yaml")
    write(app, {"overlays/prod/untracked.yaml": "{}\n"})
    # A time in the past: git would refresh its index on a chance like this.
    os.utime(app.root / LIST, (1_700_000_000, 1_700_000_000))
    before, state = everything(app), app.git("--no-optional-locks", "status", "--porcelain")
    before = everything(app)
    for arguments in ((), ("HEAD", "prod"), ("HEAD..HEAD",), ("--output", "html")):
        app.ok("diff", *arguments)
        assert everything(app) == before
    assert app.git("--no-optional-locks", "status", "--porcelain") == state
    assert list((app.home / "tmp").iterdir()) == [], "nothing is left behind"


def test_no_cluster_no_key_and_no_sops_are_needed(app: Machine) -> None:
    write(app, {APP: config_map("app", "{a: c}")})
    nothing = {"KUBECONFIG": "/nonexistent", "KASMGEN_SOPS": "/nonexistent", "HOME": "/nonexistent"}
    assert "a: b → c" in app.ok("diff", **nothing).stdout


def test_exit_code_says_whether_there_is_any_difference(app: Machine) -> None:
    assert app.run("diff", "--exit-code").code == 0
    write(app, {APP: config_map("app", "{a: c}")})
    assert app.run("diff").code == 0
    for name in FORMATS:
        assert app.run("diff", "--exit-code", "--output", name).code == 1


def test_max_bytes_is_kept_or_refused(app: Machine) -> None:
    write(app, {APP: config_map("app", "{" + ", ".join(f"k{n}: {'v' * 50}" for n in range(500)) + "}")})
    for most in (2000, 3000, 60_000):
        assert len(app.ok("diff", "--output", "markdown", "--max-bytes", str(most)).stdout.encode()) <= most
    for refused in ("1999", "-1", "many"):
        assert app.run("diff", "--output", "markdown", "--max-bytes", refused).code == 2


def on_terminal(machine: Machine, *arguments: str, **extra: str) -> str:
    """What `kasmgen ARGUMENTS` prints to a terminal."""
    ours, theirs = pty.openpty()
    environ = {**machine.env(**extra), "TERM": extra.get("TERM", "xterm")}
    command = [sys.executable, "-m", "kasmgen", *arguments]
    with subprocess.Popen(
        command, cwd=machine.root, env=environ, stdout=theirs, stderr=theirs, stdin=theirs
    ) as running:
        os.close(theirs)
        parts = []
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:
                break
            if not part:
                break
            parts.append(part)
    os.close(ours)
    assert running.returncode == 0
    return b"".join(parts).decode()


def test_colour_on_a_terminal_only_and_not_where_it_is_unwelcome(app: Machine) -> None:
    write(app, {APP: config_map("app", "{a: c}")})
    assert "\x1b" not in app.ok("diff").stdout
    # The progress bar moves the cursor, which is no colour.
    colour = re.compile(r"\x1b\[[0-9;]+m")
    assert colour.search(on_terminal(app, "diff", "--no-pager"))
    assert not colour.search(on_terminal(app, "diff", "--no-pager", NO_COLOR="1"))
    assert not colour.search(on_terminal(app, "--no-color", "diff", "--no-pager"))
    paged = on_terminal(app, "diff", PAGER="cat")
    assert "a: " in paged


def test_environments_come_and_go(app: Machine) -> None:
    write(app, {**environment("test", "app.yaml"), "overlays/test/app.yaml": config_map("app", "{a: b}")})
    found = app.ok("diff", "--output", "json").json
    assert {item["name"]: item["state"] for item in found["environments"]} == {"prod": "same", "test": "added"}
    commit(app)
    app.git("rm", "-rqf", "overlays/prod")
    found = app.ok("diff", "--output", "json").json
    assert {item["name"]: item["state"] for item in found["environments"]} == {"prod": "removed", "test": "same"}
    assert ENVIRONMENT in app.read("overlays/test/environment.yaml")


def test_an_overlay_without_its_inputs_that_flux_still_applies_is_compared(app: Machine) -> None:
    flux = (
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: x, namespace: flux-system}\n"
    )
    write(app, {"clusters/prod/kasm.yaml": flux, **environment("common", "a.yaml"), "overlays/common/a.yaml": ""})
    for name in ("prod", "common"):
        (app.root / f"overlays/{name}/environment.yaml").unlink()
    commit(app)
    write(app, {APP: config_map("app", "{a: c}")})
    assert changes(app) == ["ConfigMap app: prod"]
