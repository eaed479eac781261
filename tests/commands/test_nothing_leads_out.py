"""No branch makes a command read outside of the repository: nothing is fetched, cloned or built from above it."""

from __future__ import annotations

import pytest

from tests.machine import Machine
from tests.overlay.test_reach import Outside, outside  # noqa: F401 (a fixture)

pytestmark = pytest.mark.e2e

FORMS = {
    "a file": "resources:\n- http://HOST/x.yaml\n",
    "a repository": "resources:\n- ssh://git@HOST/org/repo\n",
    "a patch": "patches:\n- path: http://HOST/x.yaml\n",
    "a generator's file": "configMapGenerator:\n- name: a\n  files: [http://HOST/x.yaml]\n",
    "a schema": "openapi:\n  path: http://HOST/x.yaml\n",
    "a component": "components:\n- part\n",
}
PART = (
    "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nconfigMapGenerator:\n"
    "- name: a\n  files: [http://HOST/x.yaml]\n"
)


def lead_out(machine: Machine, more: str, host: str) -> None:
    overlay = machine.root / "overlays/prod"
    (overlay / "part").mkdir(exist_ok=True)
    (overlay / "part/kustomization.yaml").write_text(PART.replace("HOST", host))
    text = (overlay / "kustomization.yaml").read_text()
    key = more.partition("\n")[0]
    added = more.replace("HOST", host)
    text = text.replace(f"{key}\n", added, 1) if f"{key}\n" in text else f"{text}{added}"
    (overlay / "kustomization.yaml").write_text(text)
    machine.git("add", "-A")
    machine.git("commit", "-qm", "lead out")


COMMANDS = [("render", "--check"), ("render",), ("check", "--no-history"), ("diff", "HEAD~1", "HEAD"), ("diff", "HEAD")]


@pytest.mark.parametrize(
    ("form", "commands"), [(form, COMMANDS if form == "a file" else COMMANDS[1:4:2]) for form in FORMS]
)
def test_what_a_branch_names_on_the_network_is_told_and_not_reached(
    prod: Machine,
    outside: Outside,  # noqa: F811
    form: str,
    commands: list[tuple[str, ...]],
) -> None:
    lead_out(prod, FORMS[form], outside.host)
    for command in commands:
        done = prod.run(*command)
        assert done.code in (1, 2, 3), f"{command}: {done.stdout}{done.stderr}"
        assert outside.asked == [], command
        assert command == ("diff", "HEAD") or "is on the network" in done.stdout + done.stderr


def test_an_earlier_revision_that_leads_out_is_not_built_either(
    prod: Machine,
    outside: Outside,  # noqa: F811
) -> None:
    before = prod.read("overlays/prod/kustomization.yaml")
    lead_out(prod, FORMS["a file"], outside.host)
    (prod.root / "overlays/prod/kustomization.yaml").write_text(before)
    prod.git("commit", "-qam", "and back")
    prod.run("check", "--base", "HEAD~1")
    prod.run("diff", "HEAD~1")
    assert outside.asked == []


@pytest.mark.parametrize("command", [("render", "--check"), ("render",), ("check", "--no-history"), ("diff",)])
def test_a_directory_above_the_repository_is_not_built(prod: Machine, command: tuple[str, ...]) -> None:
    above = prod.root.parent / "host"
    above.mkdir()
    (above / "kustomization.yaml").write_text("resources: [secret.yaml]\n")
    (above / "secret.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: host}\ndata: {a: Marker77}\n")
    overlay = prod.root / "overlays/prod/kustomization.yaml"
    overlay.write_text(overlay.read_text().replace("resources:\n", "resources:\n- ../../../host\n", 1))
    done = prod.run(*command)
    assert done.code in (1, 2, 3)
    assert "leads out of the Git repository" in done.stdout + done.stderr
    assert "Marker77" not in done.stdout + done.stderr


@pytest.mark.parametrize("command", [("render", "--check"), ("render",), ("check", "--no-history"), ("diff",)])
def test_aliases_that_multiply_do_not_reach_kustomize(prod: Machine, command: tuple[str, ...]) -> None:
    lines = ["apiVersion: v1", "kind: ConfigMap", "metadata: {name: x}", f"a0: &a0 [{','.join('x' * 10)}]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 8)]
    (prod.root / "overlays/prod/bomb.yaml").write_text("\n".join(lines) + "\n")
    overlay = prod.root / "overlays/prod/kustomization.yaml"
    overlay.write_text(overlay.read_text().replace("resources:\n", "resources:\n- bomb.yaml\n", 1))
    done = prod.run(*command)
    assert done.code in (1, 2, 3)
    assert "its aliases stand for more than" in done.stdout + done.stderr
