"""Stand-ins for the two programs of the API image that the seeding calls. Neither is to be had outside the image.

`kasm_server.so` takes the same options and leaves what the seeding relies on: tables `settings`, `users` and `zones`
filled from the seed file. Like the real one it does not cope with tables that exist. `KASM_SERVER_MODE` makes it
misbehave: "fail" half-way, "late-fail" after all its work, "hang" half-way, or do "nothing" at all with status 0.

`yq_<machine>` is mikefarah's yq 4; where that is not installed, the few forms of expression that the script uses are
read here, for seed files in JSON, which is YAML as well.

Run as a program: the name, then the program's own arguments.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def psql(sql: str) -> None:
    """SQL to the database of the test, whose address is in the environment."""
    subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1"], input=sql, text=True, check=True)


def literal(value: object) -> str:
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"


def inserts(table: str, rows: list[dict[str, Any]]) -> str:
    columns = list(rows[0])
    lines = [f"CREATE TABLE {table} (id uuid DEFAULT uuid_generate_v4(), {', '.join(c + ' text' for c in columns)});"]
    for row in rows:
        values = ", ".join(literal(row[column]) for column in columns)
        lines.append(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values});")
    return "\n".join(lines)


def kasm_server(arguments: list[str]) -> int:
    root = Path(os.environ["KASM_DIRECTORY"])
    config, seed_file = str(root / "conf/app/api.app.config.yaml"), arguments[-1]
    wanted = ["--initialize-database", "--cfg", config, "--populate-production", "--seed-file", seed_file]
    if arguments != wanted or not Path(config).is_file():
        sys.stderr.write(f"kasm_server: cannot run with {arguments}\n")
        return 64
    mode = os.environ.get("KASM_SERVER_MODE", "")
    if mode == "nothing":
        return 0
    # Here, because the other program starts a dozen times a run and does without it.
    from ruamel.yaml import YAML

    seed = YAML(typ="safe").load(Path(seed_file))
    psql(inserts("settings", seed["settings"]))
    psql(inserts("users", seed["users"]))
    if mode == "fail":
        sys.stderr.write("kasm_server: lost the connection\n")
        return 3
    if mode == "late-fail":
        psql(inserts("zones", seed["zones"]))
        return 3
    if mode == "hang":
        sys.stderr.write("kasm_server: hanging\n")
        time.sleep(1800)
    psql(inserts("zones", seed["zones"]))
    return 0


CONDITION = r"\.(\w+) == (?:\"([^\"]*)\"|strenv\((\w+)\))"
ENTRY = rf"\.(\w+)\[\] \| select\(({CONDITION}(?: and {CONDITION})*)\)"
ASSIGNMENT = re.compile(rf"\({ENTRY} \| \.(\w+)\) = strenv\((\w+)\)")
COUNT = re.compile(rf"\[{ENTRY}\] \| length")


def chosen(document: dict[str, Any], name: str, conditions: str) -> list[dict[str, Any]]:
    """The entries of the list that all conditions hold for."""
    tests = [(f, os.environ[v] if v else text) for f, text, v in re.findall(CONDITION, conditions)]
    return [entry for entry in document[name] if all(entry.get(field) == text for field, text in tests)]


def yq(arguments: list[str]) -> int:
    in_place = arguments[0] == "-i"
    expression, path = arguments[-2], Path(arguments[-1])
    document = json.loads(path.read_text())
    if in_place and (match := ASSIGNMENT.fullmatch(expression)):
        groups = match.groups()
        for entry in chosen(document, groups[0], groups[1]):
            entry[groups[-2]] = os.environ[groups[-1]]
        path.write_text(json.dumps(document))
        return 0
    if match := COUNT.fullmatch(expression):
        sys.stdout.write(f"{len(chosen(document, match[1], match[2]))}\n")
        return 0
    sys.stderr.write(f"yq: cannot read {expression}\n")
    return 1


if __name__ == "__main__":
    sys.exit({"kasm_server": kasm_server, "yq": yq}[sys.argv[1]](sys.argv[2:]))
