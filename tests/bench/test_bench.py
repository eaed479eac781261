"""The benchmarks work at tiny sizes, and their report says what was measured. Nothing here asserts a time."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench import cases, clock, machine, report
from bench.clock import Ran, Task
from bench.report import Figure
from bench.scratch import Scratch, resize, scratch
from kasmgen.project import workspace
from tests.some import some

FIGURES = [
    Figure("`fast`", "a|b", 0.5, 1.5, ours=0.2, reference=0.4, runs=3),
    Figure("`slow`", "bare", 2.0, 1.5, ours=4.0, reference=2.0, runs=3),
    Figure("memory", "", 120.4, 300, "MB"),
    Figure("told only", "", 3.0),
]


def test_the_table_has_a_line_for_each_figure_and_says_what_was_missed() -> None:
    lines = report.table(FIGURES).splitlines()
    assert lines[0].split() == ["What", "Against", "Ours", "Theirs", "Runs", "Figure", "Goal", "Met"]
    assert lines[1].split() == ["fast", "a|b", "200", "ms", "400", "ms", "3", "0.50", "≤", "1.50", "yes"]
    assert lines[2].split()[0] == "slow"
    assert lines[2].endswith(" no")
    assert lines[3].split() == ["memory", "1", "120", "MB", "≤", "300", "MB", "yes"]
    assert lines[4].split() == ["told", "only", "1", "3.00"]


def test_the_page_names_goals_that_were_missed_and_escapes_its_tables() -> None:
    text = report.page(FIGURES, {"Cores": "2"})
    assert "| Cores | 2 |" in text
    assert "| `fast` | a\\|b | 200 ms | 400 ms | 3 | 0.50 | ≤ 1.50 | yes |" in text
    assert "1 of 3 goals are missed: `slow`." in text
    assert "All 2 goals are met." in report.page([FIGURES[0], FIGURES[2]], {})


def test_the_machine_is_described_and_not_named() -> None:
    facts = machine.facts()
    assert {"Cores", "Memory", "Python", "Helm", "kustomize", "sops", "git"} <= facts.keys()
    assert [name for name, value in facts.items() if not value or "/" in value] == []


def test_tasks_take_turns_and_each_is_prepared() -> None:
    order: list[str] = []
    seconds = iter([1.0, 10.0, 2.0, 20.0, 9.0, 30.0])

    def task(name: str) -> Task:
        def run() -> Ran:
            order.append(name)
            return Ran(next(seconds), 7)

        return Task(run, lambda: order.append(f"prepare {name}"))

    assert clock.alternate([task("a"), task("b")], 3) == [Ran(2.0, 7), Ran(20.0, 7)]
    assert order == ["prepare a", "a", "prepare b", "b"] * 3


def test_a_run_tells_the_memory_of_what_it_started_and_fails_loudly(tmp_path: Path) -> None:
    ballast = bytearray(300_000_000)
    small = clock.run(sys.executable, "-c", "", cwd=tmp_path, env={})
    assert small.peak < 100e6, f"{len(ballast)} bytes of ours were counted"
    child = "x = bytearray(200_000_000)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    done = clock.run(sys.executable, "-c", parent, cwd=tmp_path, env={})
    assert 200e6 < done.peak < 300e6
    assert done.seconds > 0
    with pytest.raises(RuntimeError, match="ended with 3: no way"):
        clock.run(sys.executable, "-c", "import sys; sys.stderr.write('no way'); sys.exit(3)", cwd=tmp_path, env={})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Scratch:
    return scratch(tmp_path_factory.mktemp("bench"))


TINY = cases.Plan(short=1, add=1, chart=1, fleets={1: 1, 2: 1})


def test_small_cases_compare_two_sides(place: Scratch) -> None:
    figures = [*cases.start(place, TINY), *cases.chart(place, TINY)]
    assert len(figures) == 3
    assert all(figure.ours and figure.reference and figure.value > 0 for figure in some(figures))


def test_both_ways_to_add_an_environment_end_in_a_commit_with_five_sealed_secrets(place: Scratch) -> None:
    (figure,) = cases.add(place, TINY)
    assert figure.goal == 0.6
    for side in ("add-ours", "add-theirs"):
        root = place.directory / side
        assert place.git(root, "status", "--porcelain") == ""
        assert len(place.git(root, "ls-files", "overlays/prod/secrets/*.sops.yaml").splitlines()) == 5


@pytest.fixture(scope="module")
def fleet(place: Scratch) -> Path:
    return place.fleet("fleet", 2)


def test_a_fleet_is_current_until_it_is_resized(place: Scratch, fleet: Path) -> None:
    place.kasmgen(fleet, "render", "--check")
    before = {name: files.environment.size for name, files in workspace.load(fleet).environments.items()}
    assert list(before) == ["e001", "e002"]
    resize(fleet)
    after = {name: files.environment.size for name, files in workspace.load(fleet).environments.items()}
    assert all(after[name] != size for name, size in some(before.items()))
    with pytest.raises(RuntimeError, match="ended with 1"):
        place.kasmgen(fleet, "render", "--check")


def test_render_is_compared_with_all_the_renders_and_builds_it_needs(place: Scratch, fleet: Path) -> None:
    figures = list(cases.render(place, fleet, 2, 1, True))
    assert [figure.goal for figure in figures] == [1.5, 1.5, 300]
    job = json.loads((place.directory / "job.json").read_text())
    assert len(job["renders"]) == 6
    assert [Path(argv[-1]).name for argv in job["builds"]] == ["e001", "e002"]
    hosts = [item["values"].get("global", {}).get("hostname") for item in job["renders"]]
    assert hosts[2:] == ["e001.kasm.example.com"] * 2 + ["e002.kasm.example.com"] * 2


def test_the_review_is_compared_with_the_builds_of_both_sides(place: Scratch, fleet: Path) -> None:
    resize(fleet)
    place.kasmgen(fleet, "render", "--force")
    figures = [*cases.diff(place, fleet, 2, 1, True), *cases.check(place, fleet, 2, 1, True)]
    assert [figure.goal for figure in figures] == [0.8, 400, None, 1.5]
    builds = json.loads((place.directory / "sides.json").read_text())["builds"]
    assert [Path(argv[-1]).parts[-3:] for argv in builds] == [
        (side, "overlays", name) for side in ("side-0", "side-1") for name in ("e001", "e002")
    ]
    assert "side-" not in place.git(fleet, "worktree", "list")


def test_what_is_staged_is_every_file_of_the_environments(place: Scratch) -> None:
    (figure,) = cases.staged(place, cases.Plan(short=1, add=1, chart=1, staged=2))
    assert (figure.unit, figure.goal) == ("s", 1.0)
    staged = place.git(place.directory / "staged", "diff", "--cached", "--name-only").splitlines()
    assert sum(path.endswith(".sops.yaml") for path in staged if path.startswith("overlays/e002/secrets/")) == 5
