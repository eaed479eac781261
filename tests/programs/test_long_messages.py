"""What a program says is made readable in a time that grows with its length and no faster.

A chart, or a patch of a branch, decides what Helm or kustomize say, and how much. Each of these kept an expression
busy for hours when it was searched from each character to the end.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from kasmgen.programs import helm, kustomize
from tests.needs import program

CHART = ["/", "/a", "/kasmgen-", "/kasmgen-a", "at 'x': '", "'", "- at '/x': '"]
PATCH = ["\n", " ", "a: ", "map[string]interface {}{", "patch from [", "with config: `", "line [1 ", "kind: Secret\n"]


def in_time(code: str) -> None:
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=120)


@pytest.mark.parametrize("part", CHART)
@pytest.mark.parametrize("head", ["Error: ", "Error: values don't meet the specifications\n- at '/x': "])
def test_any_message_of_helm_is_read_in_time(head: str, part: str) -> None:
    in_time(f"""
        from kasmgen.kubernetes.resources import Chart
        from kasmgen.programs import helm

        class Named:
            name = "kasm"

        assert len(helm._refused(Named, {head!r} + {part!r} * (1_000_000 // {len(part)}), {{}}).message) > 0
    """)


@pytest.mark.parametrize("part", PATCH)
def test_any_message_of_kustomize_is_read_in_time(part: str) -> None:
    in_time(f"""
        from pathlib import Path
        from kasmgen.programs import kustomize

        said = "kind: Secret " + {part!r} * (1_000_000 // {len(part)}) + "."
        assert kustomize._reason(said, Path("/tmp/kasmgen-a/overlay"))
    """)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("open /tmp/kasmgen-ab1/chart-0/kasm/values.yaml: no", "open kasm/values.yaml: no"),
        ("(/var/tmp/x/kasmgen-ab1/chart-0/kasm/a.tpl:3)", "(kasm/a.tpl:3)"),
        ("/kasmgen-ab1/chart-0/kasm", "kasm"),
        ("[/tmp/kasmgen-ab1/chart-0/kasm]", "[kasm]"),
        ("see /srv/kasmgen-notes", "see /srv/kasmgen-notes"),
        ("nothing / of it", "nothing / of it"),
    ],
)
def test_temporary_directories_are_left_out(said: str, shown: str) -> None:
    assert helm._WORD.sub(lambda word: helm._without_directory(word[0]), said) == shown


def test_a_dump_of_an_object_is_left_out_up_to_its_end() -> None:
    said = 'x: map[string]interface {}{"a":map[string]interface {}{"b": "c"}: d}: no such field'
    assert kustomize._reason(said, Path("/a")) == "x: an object: no such field"


@pytest.mark.tool
def test_a_real_patch_that_kustomize_cannot_read_is_left_out(tmp_path: Path) -> None:
    program("kubectl")
    (tmp_path / "kustomization.yaml").write_text("resources: [a.yaml]\npatches: [{patch: 'pass: [word-of-mine'}]\n")
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    found = kustomize.locate()
    with pytest.raises(Exception, match="cannot build") as raised:
        kustomize.build_text(found, tmp_path)
    assert "word-of-mine" not in str(raised.value)
