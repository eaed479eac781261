"""The table of rules, what can be switched off, and the formats."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kasmgen.check import reporters, results, table
from kasmgen.check.results import CheckReport
from kasmgen.check.rule import Finding
from kasmgen.check.table import GROUPS, RULES
from kasmgen.errors import InputError
from kasmgen.project.config import CheckOff

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "kasmgen/schemas/check.schema.json").read_text())


def finding(rule: str = "KG411", environment: str = "prod", message: str = "m", **fields: Any) -> Finding:
    known = RULES[rule]
    values = {"path": "a/b.yaml", "line": 0, "object": "", **fields}
    return Finding(
        environment=environment, rule=rule, message=message, severity=known.severity, next_step="do", **values
    )


# --- the table -----------------------------------------------------------------


def test_identifiers_are_unique_and_grouped() -> None:
    listed = [(digit, rule) for digit, _, rules in GROUPS for rule in rules]
    assert len({rule.id for _, rule in listed}) == len(listed) == len(RULES)
    for digit, rule in listed:
        assert re.fullmatch(rf"KG{digit}\d\d", rule.id)
        assert rule.title
        assert rule.meaning.endswith(".")
        assert not rule.next_step.endswith(".")


def test_the_page_is_what_the_table_says() -> None:
    page = table.documentation()
    assert (ROOT / "docs/checks.md").read_text() == page
    assert re.findall(r"^### (KG\d{3})$", page, re.MULTILINE) == list(RULES)


def test_every_rule_is_in_a_test_that_fires_it() -> None:
    places = (*(ROOT / "tests/check").glob("test_*.py"), ROOT / "tests/commands/test_check.py")
    tests = "".join(path.read_text() for path in places)
    assert [rule for rule in RULES if f'"{rule}"' not in tests] == []


# --- switching off -------------------------------------------------------------


def test_findings_are_sorted_once_and_silenced_with_their_reason() -> None:
    found = [finding("KG502", "dev"), finding("KG411"), finding("KG411"), finding("KG502", "prod")]
    off = [CheckOff("KG502", "because", ("dev",))]
    result = results.report(found, off, RULES, ["dev", "prod"])
    assert [(f.environment, f.rule) for f in result.findings] == [("prod", "KG411"), ("prod", "KG502")]
    assert [(f.environment, f.rule, why) for f, why in result.silenced] == [("dev", "KG502", "because")]
    assert (result.errors, result.warnings) == (1, 1)
    assert result.summary == "1 error, 1 warning in 2 environments; 1 finding switched off"
    everywhere = results.report(found, [CheckOff("KG502", "because")], RULES)
    assert [f.rule for f in everywhere.findings] == ["KG411"]


def test_a_rule_that_does_not_exist_cannot_be_switched_off() -> None:
    with pytest.raises(InputError, match="there is no rule KG599"):
        results.report([], [CheckOff("KG599", "x")], RULES)


# --- formats -------------------------------------------------------------------

HOSTILE = st.text(alphabet=st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    ["\x1b[2J", "a\n::error::b", "%0A%", "]]>", "<b>&\"'", "\u202e", "\x00", "a,b:c", "-->"]
)
FINDINGS = st.builds(
    finding,
    rule=st.sampled_from(sorted(RULES)),
    environment=HOSTILE,
    message=HOSTILE.filter(lambda text: bool(text)),
    path=HOSTILE,
    object=HOSTILE,
    line=st.integers(0, 3),
)
REPORTS = st.builds(
    lambda found, silenced: CheckReport(tuple(sorted(set(found))), tuple(silenced), ("prod",)),
    st.lists(FINDINGS, max_size=4),
    st.lists(st.tuples(FINDINGS, HOSTILE.filter(bool)), max_size=2),
)
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029]")


@given(REPORTS)
@settings(max_examples=60, deadline=None)
def test_nothing_in_a_finding_breaks_out_of_a_format(shown: CheckReport) -> None:
    written = {name: write(shown, RULES) for name, write in reporters.FORMATS.items()}
    assert not [name for name, text in written.items() if UNSAFE.search(text)]
    value = json.loads(written["json"])
    jsonschema.validate(value, SCHEMA, cls=jsonschema.Draft202012Validator)
    assert [item["rule"] for item in value["findings"]] == [item.rule for item in shown.findings]
    lines = written["github"].splitlines()
    assert len(lines) == len(shown.findings)
    assert [line for line in lines if not re.fullmatch(r"::(error|warning) [^:]*::.*", line)] == []
    run = json.loads(written["sarif"])["runs"][0]
    assert len(run["results"]) == len(shown.findings) + len(shown.silenced)
    assert sum("suppressions" in result for result in run["results"]) == len(shown.silenced)
    tree = ElementTree.fromstring(written["junit"])
    assert len(list(tree.iter("failure"))) == int(tree.attrib["failures"])
    failed = {(item.environment, item.rule) for item in shown.findings if item.severity == "error"}
    assert int(tree.attrib["failures"]) == len(failed)
    assert len(list(tree.iter("testcase"))) == int(tree.attrib["tests"])


def test_sarif_has_what_code_scanning_needs() -> None:
    shown = CheckReport((finding(path="a b/ü.yaml", line=7), finding("KG502", path="")), (), ("prod",))
    log = json.loads(reporters.sarif(shown, RULES))
    assert log["version"] == "2.1.0"
    driver = log["runs"][0]["tool"]["driver"]
    assert [rule["id"] for rule in driver["rules"]] == sorted(RULES)
    by_rule = {result["ruleId"]: result for result in log["runs"][0]["results"]}
    place = by_rule["KG411"]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "a%20b/%C3%BC.yaml"}, "region": {"startLine": 7}}
    assert by_rule["KG502"]["level"] == "warning"
    assert by_rule["KG502"]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "kasmgen.yaml"


def test_annotations_of_github_are_escaped() -> None:
    shown = CheckReport((finding(path="a,b:c%.yaml", message="100%\nnext", line=3),))
    assert reporters.github(shown, RULES) == (
        "::error title=KG411,file=a%2Cb%3Ac%25.yaml,line=3::prod: 100%25 next. Next: do"
    )
