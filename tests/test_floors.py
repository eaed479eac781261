"""Imports go down only, one door leads to other programs, and one module prints."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
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
    ("errors", "safe_text", "names", "concurrency", "quantities"),
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
DOOR = next(name for name in ("kasmgen.programs.process", "kasmgen.programs.process") if name in FILES)
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
        if FLOOR.get(subject(module), 99) < FLOOR.get(subject(other), 0)
    ]
    assert wrong == []


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


def test_steps_touch_nothing_outside() -> None:
    forbidden = {
        "subprocess",
        "socket",
        "tempfile",
        "shutil",
        "git",
        "helm_python",
        "urllib.request",
        "requests",
        "time",
    }
    assert {
        module: found for module in FILES if subject(module) == "steps" and (found := outside(module) & forbidden)
    } == {}
    reads = {"open", "os.environ.get", "os.getenv", "datetime.now", "Path.cwd", "time.time", "datetime.utcnow"}
    assert {module: found for module in FILES if subject(module) == "steps" and (found := calls(module) & reads)} == {}


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
