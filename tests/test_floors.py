"""Imports go down only, one door leads to other programs, and one module prints."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from kasmgen import errors

ROOT = Path(__file__).parents[1]
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "kasmgen").rglob("*.py")
}
# From the ground up. A module stands on the floor of its package, or of its own name at the top, and imports from there
# and below.
FLOORS = (
    ("errors", "safe_text", "names", "concurrency", "quantities", "signals"),
    ("yaml",),
    ("layout",),
    ("kubernetes",),
    ("programs",),
    ("repository",),
    ("secrets",),
    ("project",),
    ("delivery",),
    ("chart",),
    ("overlay",),
    ("build",),
    ("review",),
    ("check",),
    ("commands",),
    ("cli", "__main__"),
)
FLOOR = {name: number for number, floor in enumerate(FLOORS) for name in floor}
DOOR = "kasmgen.programs.process"
HEAVY = ("ruamel.yaml", "yaml", "cryptography", "git", "rich", "helm_python", "pyrage", "kubernetes_validate")


def subject(module: str) -> str:
    """The package, or the module at the top, that a module belongs to; kasmgen itself is its version alone."""
    return module.split(".")[1] if "." in module else "errors"


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that runs; what stands under `if TYPE_CHECKING` does not."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from statements(node)


def imports(module: str) -> set[str]:
    """Modules of kasmgen that a module imports, wherever in it."""
    found: set[str] = set()
    for node in statements(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "kasmgen":
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in FILES else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "kasmgen"}
    return found - {"kasmgen"}


GRAPH = {module: imports(module) for module in FILES}


def test_imports_go_down_only() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, others in sorted(GRAPH.items())
        for other in sorted(others)
        if FLOOR[subject(module)] < FLOOR[subject(other)]
    ]
    assert wrong == []


def test_everything_stands_on_a_floor() -> None:
    assert {subject(module) for module in FILES} == set(FLOOR)


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert list(TopologicalSorter(GRAPH).static_order())


def calls(module: str) -> set[str]:
    """Names of what a module calls, such as "print" or "os.system"."""
    tree = ast.parse(FILES[module].read_text())
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def outside(module: str) -> set[str]:
    """First parts of the names of what a module imports."""
    nodes = list(ast.walk(ast.parse(FILES[module].read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name.split(".")[0] for name in plain | {n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)}}


def test_only_the_door_starts_programs() -> None:
    starts = re.compile(r"os\.(system|popen|exec\w+|spawn\w+|posix_spawn\w*|fork\w*|startfile)")
    doors = {
        module
        for module in FILES
        if outside(module) & {"subprocess", "pty", "multiprocessing"} or any(map(starts.fullmatch, calls(module)))
    }
    assert doors == {DOOR}


def test_only_one_module_begins_threads() -> None:
    begin = re.compile(r"(.*\.)?(Thread|Timer|Process|Pool|ThreadPoolExecutor|ProcessPoolExecutor|start_new_thread)")
    starters = {module for module in FILES if any(map(begin.fullmatch, calls(module)))} - {DOOR}
    # The second one is a program of its own, which imports nothing of kasmgen.
    assert starters == {"kasmgen.concurrency", "kasmgen.programs.libhelm_child"}


def test_one_module_has_a_name() -> None:
    """A command has the name of what it runs, so `commands/` and `cli/` may share one with a subject."""
    names = Counter(module.rpartition(".")[2] for module in FILES if subject(module) not in ("commands", "cli"))
    assert [name for name, number in names.items() if number > 1] == []


def test_one_class_has_a_name() -> None:
    names = Counter(
        node.name
        for path in FILES.values()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    )
    assert {name for name, number in names.items() if number > 1} == set()


def test_only_the_spine_knows_how_an_environment_comes_about() -> None:
    steps = {"secrets.seal", "secrets.rollout", "overlay.base", "overlay.assemble"}
    users = {step: {module for module in FILES if f"kasmgen.{step}" in GRAPH[module]} for step in steps}
    assert users == {step: {"kasmgen.build"} for step in steps}


# --- subjects are pure, but for one module of each --------------------------------------

SUBJECTS = ("yaml", "layout", "kubernetes", "secrets", "project", "delivery", "chart", "overlay", "review", "check")
TOUCH_PROGRAMS = {
    "kasmgen.secrets.seal",
    "kasmgen.chart.render",
    "kasmgen.overlay.verify",
    "kasmgen.review.sides",
    "kasmgen.check.run",
}
READ_THE_REPOSITORY = {
    "kasmgen.project.workspace": "says in which repository a project is",
    "kasmgen.overlay.verify": "lays overlays into private directories, people's files of the work tree too",
    "kasmgen.review.sides": "is a project at a place in Git",
    "kasmgen.check.run": "begins at the repository",
    "kasmgen.check.work_tree": "is the project as Git has it in the work tree",
    "kasmgen.check.index": "is the project as it is staged",
    "kasmgen.check.past": "is the project at an earlier commit",
}
TOUCH_THE_DISK = {
    "kasmgen.chart.sources.archive": "reads a chart's files where people have them",
    "kasmgen.chart.sources.directory": "copies a chart into a private directory",
    "kasmgen.chart.supplied_values": "reads the files that options name",
    "kasmgen.overlay.verify": "owns the directories in which overlays are built",
    "kasmgen.project.workspace": "reads the inputs as they stand",
    "kasmgen.review.sides": "writes a side where kustomize can read it",
    "kasmgen.check.past": "asks whether an environment was there and still is",
    "kasmgen.check.work_tree": "reads the work tree",
    "kasmgen.kubernetes.schema_files": "reads schemas that come with kasmgen",
    "kasmgen.review.formats.html": "reads a script that comes with kasmgen",
}
# Methods of a path, and not those of `super()` or functions of `workspace`, which has a line above.
_METHODS = (
    "read_bytes|read_text|write_bytes|write_text|iterdir|glob|rglob|stat|lstat|exists|is_file|is_dir|is_symlink|"
    "readlink|unlink|mkdir|resolve|absolute|expanduser"
)
_MODULES = "os|io|path|Path|tarfile|gzip|shutil|tempfile"
DISK = re.compile(rf"open|({_MODULES})\.(open|walk|scandir|mk\w+)|(?!super\(|workspace\.).*\.({_METHODS})")
WORLD = re.compile(r"os\.(environ\.get|getenv|urandom)|(datetime|Path|time)\.(now|utcnow|cwd|home|time|monotonic)")


def in_subjects(test: Callable[[str], object]) -> set[str]:
    """The modules of the subjects for which `test` finds something."""
    return {module for module in FILES if subject(module) in SUBJECTS and test(module)}


def imports_from(package: str) -> Callable[[str], object]:
    return lambda module: any(name.startswith(f"kasmgen.{package}.") for name in GRAPH[module])


def test_only_programs_and_the_repository_use_the_door() -> None:
    users = {module for module in FILES if DOOR in GRAPH[module]}
    assert {subject(module) for module in users} == {"programs", "repository"}


def test_one_module_of_a_subject_touches_programs() -> None:
    assert in_subjects(imports_from("programs")) == TOUCH_PROGRAMS
    packages = [subject(module) for module in TOUCH_PROGRAMS]
    assert len(packages) == len(set(packages))


def test_few_modules_of_subjects_know_the_repository() -> None:
    assert in_subjects(imports_from("repository")) == set(READ_THE_REPOSITORY)


def test_few_modules_of_subjects_touch_the_disk() -> None:
    def touches(module: str) -> bool:
        return bool(outside(module) & {"tempfile", "shutil"}) or any(map(DISK.fullmatch, calls(module)))

    assert in_subjects(touches) == set(TOUCH_THE_DISK)


def test_subjects_ask_neither_clock_nor_chance_nor_network() -> None:
    libraries = {"socket", "urllib.request", "requests", "time", "random", "secrets", "git", "helm_python"}

    def asks(module: str) -> bool:
        return bool(outside(module) & libraries) or any(map(WORLD.fullmatch, calls(module)))

    assert in_subjects(asks) == set()


def test_only_one_module_prints() -> None:
    assert {module for module in FILES if "print" in calls(module)} == {"kasmgen.cli.output"}
    assert {module for module in FILES if "sys.exit" in calls(module)} == {"kasmgen.cli.group"}


def test_exit_codes_are_those_of_the_contract_and_of_the_reference() -> None:
    table = {
        0: "done",
        1: "the answer is no (difference found, check failed)",
        2: "usage or input",
        3: "a program is missing, too old or failed",
        4: "secret or key",
        5: "repository state",
        70: "a bug in kasmgen",
        130: "interrupted",
    }
    assert table == errors.EXIT_CODES
    rows = dict(re.findall(r"^\| (\d+) \| (.*) \|$", (ROOT / "docs/reference.md").read_text(), re.MULTILINE))
    assert {int(code): meaning for code, meaning in rows.items()} == table


def test_every_error_has_a_code_of_the_table() -> None:
    kinds = [errors.KasmgenError, *errors.KasmgenError.__subclasses__()]
    assert {kind.code for kind in kinds} == set(errors.EXIT_CODES) - {0, 130}
    error = errors.InputError("what and where", hint="what next")
    assert (str(error), error.message, error.hint) == ("what and where", "what and where", "what next")


SLOW_TO_LOAD = {"cryptography": "kasmgen.secrets.tls", "ruamel": "kasmgen.yaml.roundtrip"}
"""Library -> the module that has it at its top, and is itself imported where it is used."""


def test_one_module_knows_a_library_that_is_slow_to_load() -> None:
    users = {library: {module for module in FILES if library in outside(module)} for library in SLOW_TO_LOAD}
    assert users == {library: {module} for library, module in SLOW_TO_LOAD.items()}
    early = {
        (module, f"{node.module}.{alias.name}")
        for module, path in FILES.items()
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if {node.module, f"{node.module}.{alias.name}"} & set(SLOW_TO_LOAD.values())
    }
    assert early == set()


def test_help_imports_nothing_that_takes_long() -> None:
    code = f"""
import sys
from kasmgen import cli
for arguments in (["--help"], ["env", "add", "--help"], ["--version"]):
    try:
        cli.main(arguments)
    except SystemExit as done:
        assert not done.code, done.code
print("LOADED", sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"
    assert "Usage: kasmgen" in done.stdout
