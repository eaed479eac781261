"""The wheel that people install: every file of the package, and no other."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


@pytest.mark.slow
def test_the_wheel_has_every_file_of_the_package_and_no_other(tmp_path: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    source = tmp_path / "source"
    # Of a clean tree: setuptools takes what an older build left behind for a part of the package.
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    wheels = tmp_path / "wheels"
    subprocess.run([sys.executable, "-c", BUILD, str(wheels)], cwd=source, capture_output=True, check=True)
    (wheel,) = wheels.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    files = [path for path in (source / "kasmgen").rglob("*") if path.is_file()]
    assert packed == {path.relative_to(source).as_posix(): path.read_bytes() for path in files}
    assert {path.suffix for path in files} >= {".css", ".html", ".js", ".json", ".py", ".tpl", ".typed", ".yml"}
