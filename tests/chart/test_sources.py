"""Charts as they come: directories and archives, honest ones and others."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kasmgen.chart import values_schema
from kasmgen.chart.sources import archive as sources_archive
from kasmgen.chart.sources import directory as sources_directory
from kasmgen.errors import InputError

pytestmark = pytest.mark.tool

FILES = {
    "Chart.yaml": b"apiVersion: v2\nname: demo\nversion: 1.2.3+build\nappVersion: 1.10\n",
    "values.yaml": b"a: 1\n",
    "templates/cm.yaml": b"kind: ConfigMap\n",
    "templates/deep/er/x.yaml": b"",
    "files/data.bin": bytes(range(256)),
    ".helmignore": b"*.swp\n",
}


def directory(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def member(name: str, content: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def archive(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path


def packed(path: Path, files: dict[str, bytes], folder: str = "demo") -> Path:
    return archive(path, [member(f"{folder}/{name}", content) for name, content in files.items()])


def refused(path: Path, into: Path) -> str:
    with pytest.raises(InputError) as caught:
        sources_directory.snapshot(path, into / "copy")
    assert str(into) not in str(caught.value), "a temporary path helps nobody"
    return str(caught.value)


# --- honest charts ---------------------------------------------------------------------


def test_a_snapshot_is_a_copy_with_name_versions_and_digest(tmp_path: Path) -> None:
    source = directory(tmp_path / "chart", FILES)
    chart = sources_directory.snapshot(source, tmp_path / "copy")
    assert (chart.name, chart.version, chart.app_version) == ("demo", "1.2.3+build", "1.1")
    (source / "values.yaml").write_text("a: 2\n")
    assert sources_directory.defaults(chart) == {"a": 1}
    for name, content in FILES.items():
        assert Path(chart.path, name).read_bytes() == content


def test_an_archive_and_a_directory_of_one_chart_have_one_digest(tmp_path: Path) -> None:
    plain = sources_directory.snapshot(directory(tmp_path / "any-name", FILES), tmp_path / "1")
    digests = {plain.digest}
    for number, folder in enumerate(("demo", "./demo", "other")):
        tar = packed(tmp_path / f"{number}.tgz", dict(reversed(FILES.items())), folder)
        digests.add(sources_directory.snapshot(tar, tmp_path / f"a{number}").digest)
    assert len(digests) == 1
    assert plain.digest.startswith("sha256:") and len(plain.digest) == 71


@pytest.mark.parametrize(
    "change", [{"values.yaml": b"a: 2\n"}, {"new.txt": b""}, {"templates/cm.yaml": b"kind: ConfigMap"}]
)
def test_every_change_of_a_file_changes_the_digest(tmp_path: Path, change: dict[str, bytes]) -> None:
    before = sources_directory.snapshot(directory(tmp_path / "one", FILES), tmp_path / "1")
    after = sources_directory.snapshot(directory(tmp_path / "two", {**FILES, **change}), tmp_path / "2")
    assert before.digest != after.digest


def test_what_git_keeps_is_no_part_of_a_chart(tmp_path: Path) -> None:
    source = directory(tmp_path / "chart", {**FILES, ".git/HEAD": b"ref", "charts/.git/HEAD": b"ref"})
    chart = sources_directory.snapshot(source, tmp_path / "copy")
    assert chart.digest == sources_directory.snapshot(directory(tmp_path / "plain", FILES), tmp_path / "2").digest


def test_a_link_to_a_file_inside_is_followed(tmp_path: Path) -> None:
    source = directory(tmp_path / "chart", FILES)
    (source / "alias.yaml").symlink_to("values.yaml")
    copy = sources_directory.snapshot(source, tmp_path / "copy")
    assert Path(copy.path, "alias.yaml").read_bytes() == FILES["values.yaml"]
    assert not Path(copy.path, "alias.yaml").is_symlink()


def test_the_builtin_chart_is_found_and_read(tmp_path: Path) -> None:
    chart = sources_directory.snapshot(sources_directory.locate("builtin", tmp_path), tmp_path / "copy")
    assert chart.name == "kasm-single-zone"
    assert sources_directory.defaults(chart)["global"]


def test_paths_are_relative_to_the_project(tmp_path: Path) -> None:
    directory(tmp_path / "charts" / "demo", FILES)
    assert sources_directory.locate("charts/demo", tmp_path) == tmp_path / "charts/demo"
    assert sources_directory.locate(str(tmp_path / "charts" / "demo"), Path("/")) == tmp_path / "charts/demo"


# --- what is no chart ----------------------------------------------------------------------


@pytest.mark.parametrize("source", ["nowhere", "~nobody-of-that-name/chart", "x" * 5000, "a\0b", "\x1b[31m"])
def test_a_source_that_is_not_there_is_refused(tmp_path: Path, source: str) -> None:
    with pytest.raises(InputError, match="there is no such file or directory") as caught:
        sources_directory.locate(source, tmp_path)
    assert str(caught.value).isprintable()


def test_a_directory_without_chart_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no Chart\.yaml"):
        sources_directory.locate(".", tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "needs a name and a version"),
        (b"[1]", "needs a name and a version"),
        (b"name: x\n", "needs a name and a version"),
        (b"name: [x]\nversion: 1.0.0\n", "needs a name and a version"),
        (b"name: ../x\nversion: 1.0.0\n", "does not allow"),
        (b'name: "a\\nb"\nversion: 1.0.0\n', "does not allow"),
        (b'name: x\nversion: "1.0.0\\n"\n', "does not allow"),
        (b"name: x\nversion: 1.0.0\ntype: library\n", "a library chart renders nothing"),
        (b"name: x: y\n", "not YAML"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_chart_yaml_that_says_nothing_usable_is_refused(tmp_path: Path, text: bytes, said: str) -> None:
    source = directory(tmp_path / "chart", {**FILES, "Chart.yaml": text})
    assert said in refused(source, tmp_path)


def test_an_archive_without_chart_yaml_is_refused(tmp_path: Path) -> None:
    tar = packed(tmp_path / "x.tgz", {"values.yaml": b""})
    assert "Chart.yaml: the file is missing" in refused(tar, tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", gzip.compress(b"no tar"), gzip.compress(b"\0" * 100_000), gzip.compress(b"x" * 3000)[:-20]],
    ids=["empty", "text", "gzip of text", "gzip of zeros", "cut short"],
)
def test_what_is_no_gzipped_tar_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.tgz"
    path.write_bytes(content)
    assert "x.tgz" in refused(path, tmp_path)


# --- hostile charts ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../evil", "demo/../../evil", "/etc/evil", "./../evil", "demo/..", "..\\evil", "demo/a\\..\\..\\evil"]
)
def test_members_that_lead_out_of_an_archive_are_refused(tmp_path: Path, name: str) -> None:
    tar = archive(tmp_path / "x.tgz", [member("demo/Chart.yaml", FILES["Chart.yaml"]), member(name)])
    assert "leads out of the archive" in refused(tar, tmp_path)
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize(
    "fields",
    [
        {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
        {"type": tarfile.LNKTYPE, "linkname": "demo/Chart.yaml"},
        {"type": tarfile.CHRTYPE},
        {"type": tarfile.BLKTYPE},
        {"type": tarfile.FIFOTYPE},
    ],
    ids=["symbolic link", "hard link", "character device", "block device", "fifo"],
)
def test_links_and_devices_in_an_archive_are_refused(tmp_path: Path, fields: dict[str, object]) -> None:
    tar = archive(tmp_path / "x.tgz", [member("demo/templates/x", b"", **fields)])
    assert "is a link or a device" in refused(tar, tmp_path)


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31mb", "caf\udce9", "\u202egpj.exe"])
def test_file_names_that_do_not_print_are_refused_and_shown_escaped(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be used") as caught:
        sources_directory.snapshot(packed(tmp_path / "x.tgz", {**FILES, name: b""}), tmp_path / "copy")
    assert str(caught.value).isprintable()


def test_a_file_where_a_folder_stands_is_refused(tmp_path: Path) -> None:
    tar = archive(tmp_path / "x.tgz", [member("demo/a/b"), member("demo/a")])
    assert "'a' cannot be used" in refused(tar, tmp_path)


def test_a_file_that_says_it_is_huge_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    info, _ = member("demo/big")
    info.size = 10**12
    (tmp_path / "x.tgz").write_bytes(gzip.compress(info.tobuf()))
    assert "is larger than 100 MiB" in refused(tmp_path / "x.tgz", tmp_path)


def zeros(path: Path, head: bytes, mebibytes: int) -> Path:
    with gzip.open(path, "wb", compresslevel=1) as out:
        out.write(head)
        for _ in range(mebibytes):
            out.write(b"\0" * 2**20)
    return path


def test_an_archive_whose_header_goes_on_without_end_is_left_at_the_bound(tmp_path: Path) -> None:
    info, _ = member("././@PaxHeader", type=tarfile.XHDTYPE)
    info.size = 300 * 2**20
    bomb = zeros(tmp_path / "x.tgz", info.tobuf(), 210)
    assert bomb.stat().st_size < 2 * 2**20
    assert "unpacks to more than 200 MiB" in refused(bomb, tmp_path)


def test_files_that_are_too_much_together_are_refused(tmp_path: Path) -> None:
    half = sources_archive.MAX_TOTAL // 2 + 1
    source = directory(tmp_path / "chart", {"a": b"", "b": b""})
    for name in ("a", "b"):
        os.truncate(source / name, half)
    heads = [member(f"demo/{name}")[0] for name in ("a", "b")]
    for info in heads:
        info.size = half
    padded = -half % 512
    with gzip.open(tmp_path / "x.tgz", "wb", compresslevel=1) as out:
        for info in heads:
            out.write(info.tobuf() + b"\0" * (half + padded))
    for path in (source, tmp_path / "x.tgz"):
        with pytest.raises(InputError, match="more than 10,000 files or 100 MiB"):
            for _ in sources_archive.read(path):
                pass


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE])
def test_too_many_members_are_refused(tmp_path: Path, kind: bytes) -> None:
    many = [member(f"demo/{number}", b"", type=kind) for number in range(sources_archive.MAX_FILES + 5)]
    tar = archive(tmp_path / "x.tgz", many)
    with pytest.raises(InputError, match="more than 10,000 files"):
        for _ in sources_archive.read(tar):
            pass


def link_out(chart: Path) -> None:
    (chart / "templates" / "x").symlink_to("/etc/passwd")


def link_to_directory(chart: Path) -> None:
    (chart / "more").symlink_to("templates")


def link_to_outside_directory(chart: Path) -> None:
    (chart / "more").symlink_to("/etc")


def link_to_nothing(chart: Path) -> None:
    (chart / "x").symlink_to("nothing")


def links_in_a_circle(chart: Path) -> None:
    (chart / "x").symlink_to("y")
    (chart / "y").symlink_to("x")


def fifo(chart: Path) -> None:
    os.mkfifo(chart / "templates" / "pipe")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (link_out, "templates/x is a link that leads out of the chart"),
        (link_to_directory, "more is a link to a directory"),
        (link_to_outside_directory, "more is a link that leads out of the chart"),
        (link_to_nothing, "x is no regular file"),
        (links_in_a_circle, "links"),
        (fifo, "templates/pipe is no regular file"),
    ],
)
def test_what_is_no_file_of_the_chart_is_refused(tmp_path: Path, make: Callable[[Path], None], said: str) -> None:
    source = directory(tmp_path / "chart", FILES)
    make(source)
    with pytest.raises(InputError) as caught:
        sources_directory.snapshot(source, tmp_path / "copy")
    assert said in str(caught.value)


def test_a_directory_that_may_not_be_read_is_an_error_and_not_a_smaller_chart(tmp_path: Path) -> None:
    source = directory(tmp_path / "chart", FILES)
    (source / "templates").chmod(0)
    try:
        if os.access(source / "templates", os.R_OK):
            pytest.skip("root reads everything")
        assert "cannot be read" in refused(source, tmp_path)
    finally:
        (source / "templates").chmod(0o755)


def test_a_name_of_the_old_tar_format_without_end_is_no_traceback(tmp_path: Path) -> None:
    info, _ = member("demo/x")
    raw = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    raw[124:136] = b"\x80" + b"\xff" * 11  # a size beyond all reason
    raw[148:156] = b" " * 8
    raw[148:156] = f"{sum(raw):06o}\0 ".encode()
    (tmp_path / "x.tgz").write_bytes(gzip.compress(bytes(raw) + struct.pack("512x")))
    assert "x.tgz" in refused(tmp_path / "x.tgz", tmp_path)


# --- dependencies ----------------------------------------------------------------------------


DEPENDS = (
    b"apiVersion: v2\nname: demo\nversion: 1.0.0\ndependencies: [{name: sub, version: 1.0.0, condition: sub.on}]\n"
)
SUB = b"apiVersion: v2\nname: sub\nversion: 1.0.0\n"


def test_a_dependency_that_is_not_in_the_charts_folder_is_refused(tmp_path: Path) -> None:
    old = {"Chart.yaml": b"name: demo\nversion: 1.0.0\n", "requirements.yaml": b"dependencies: [{name: sub}]\n"}
    for number, files in enumerate(({**FILES, "Chart.yaml": DEPENDS}, {**FILES, **old})):
        said = refused(directory(tmp_path / f"chart{number}", files), tmp_path / str(number))
        assert "its dependency 'sub' is not in its charts/ folder" in said


@pytest.mark.parametrize(
    "file", ["charts/any/Chart.yaml", "charts/sub-1.0.0.tgz", "charts/sub-v1.0.0.tar.gz", "charts/sub/Chart.yaml"]
)
def test_a_dependency_is_found_as_a_directory_and_packed(tmp_path: Path, file: str) -> None:
    source = directory(tmp_path / "chart", {**FILES, "Chart.yaml": DEPENDS, file: SUB})
    assert sources_directory.snapshot(source, tmp_path / "copy").name == "demo"


def test_another_chart_of_a_longer_name_is_not_the_dependency(tmp_path: Path) -> None:
    source = directory(tmp_path / "chart", {**FILES, "Chart.yaml": DEPENDS, "charts/sub-extra-1.0.0.tgz": SUB})
    assert "'sub' is not in" in refused(source, tmp_path)


# --- schemas -----------------------------------------------------------------------------------

SCHEMA = json.dumps(
    {"type": "object", "required": ["replicas"], "properties": {"replicas": {"type": "integer"}}}
).encode()


def test_schemas_of_the_chart_and_its_subcharts_are_relaxed_in_the_copy_only(tmp_path: Path) -> None:
    files = {
        **FILES,
        "values.yaml": b"replicas: null\n",
        "values.schema.json": SCHEMA,
        "charts/sub/Chart.yaml": SUB,
        "charts/sub/values.yaml": b"replicas:\n",
        "charts/sub/values.schema.json": SCHEMA,
        "charts/full/Chart.yaml": SUB.replace(b"sub", b"full"),
        "charts/full/values.yaml": b"replicas: 1\n",
        "charts/full/values.schema.json": SCHEMA,
        "files/values.schema.json": b"{ not one of Helm's",
    }
    source = directory(tmp_path / "chart", files)
    chart = sources_directory.snapshot(source, tmp_path / "copy")
    assert sources_directory.rewrite_schemas(chart, values_schema.relax) == ("charts/sub: replicas", "demo: replicas")
    assert json.loads(Path(chart.path, "values.schema.json").read_text())["required"] == []
    assert Path(chart.path, "charts/full/values.schema.json").read_bytes() == SCHEMA
    assert (source / "values.schema.json").read_bytes() == SCHEMA


@pytest.mark.parametrize("text", [b"{", b"\xff", b"[" * 100_000])
def test_a_schema_that_is_no_json_is_refused_with_its_path(tmp_path: Path, text: bytes) -> None:
    chart = sources_directory.snapshot(
        directory(tmp_path / "chart", {**FILES, "values.schema.json": text}), tmp_path / "copy"
    )
    with pytest.raises(InputError, match=r"chart demo: values.schema.json is no JSON"):
        sources_directory.rewrite_schemas(chart, values_schema.relax)
