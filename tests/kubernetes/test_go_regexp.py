"""Regular expressions mean what Go takes them for; the real sops is asked, too."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pyrage
import pytest

from kasmgen.errors import InputError
from kasmgen.kubernetes import go_regexp
from kasmgen.secrets import creation_rules
from kasmgen.yaml import documents
from tests.needs import program

FOUND = [
    # anchors
    ("prod", "a/prod/b", True),
    ("^prod", "a/prod", False),
    (r"\Aprod", "prod/a", True),
    (r"\.yaml$", "a.yaml", True),
    (r"\.yaml$", "a.yaml\n", False),
    (r"\.yaml\z", "a.yaml", True),
    (r"(?m)a$", "a\nb", True),
    (r"\bprod\b", "a-prod-b", True),
    (r"\bprod\b", "a_prod", False),
    (r"o\Bd", "prod", True),
    # classes
    (r"[$]", "a$", True),
    (r"^[[:alnum:]_/]+\z", "a/B_1", True),
    (r"[^[:space:]]", " ", False),
    (r"[[:^alpha:]]", "a", False),
    (r"[][]", "]", True),
    (r"[^]]", "]", False),
    (r"[(?=]", "=", True),
    (r"\w", "ü", False),
    (r"\d", "\u0661", False),
    (r"\s", "\u2028", False),
    ("^.$", "é", True),
    ("a.b", "a\nb", False),
    # Unicode classes
    (r"^\pL+$", "Größe", True),
    (r"\PL", "Größe", False),
    (r"\p{Greek}", "a", False),
    (r"\p{Greek}", "\u03b1", True),
    (r"[^\p{Lu}a]", "bA", True),
    (r"\p{^Lu}", "A", False),
    # flags
    ("(?i)PROD", "prod", True),
    ("(?i:PR)OD", "prOD", True),
    ("(?i:PR)OD", "prod", False),
    ("(?i)k", "\u212a", True),
    ("(?s)a.b", "a\nb", True),
    ("(?U)a+", "a", True),
    # text as it stands, and numbers of characters
    (r"\Qa.b\E$", "xa.b", True),
    (r"\Qa.b", "xaxb", False),
    (r"\Q\C\E", r"a\C", True),
    (r"\x{70}rod", "prod", True),
    (r"\160rod", "prod", True),
    # repetition
    ("^a{2}$", "aa", True),
    ("a{,2}", "a{,2}", True),
    ("{a}", "{a}", True),
    ("^a{0}$", "a", False),
    # groups
    ("(?P<env>dev|prod)/", "dev/a", True),
    ("(?<env>dev|prod)/", "prod/a", True),
    ("(?P<a>b)(?P<a>c)", "bc", True),
    ("^(|a)$", "a", True),
]
REFUSED = [
    *("(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", "(?>a)", "(?#a)", "(?(1)a|b)"),
    *(r"(a)\1", "(?P<a>b)(?P=a)", "(?P<é>a)", "(?P<>a)"),
    *("a++", "a**", "*", "a{2}{3}", "a{1001}", "(a{1000}){2}", "a{2,1}"),
    *("(", ")", "[a", "[z-a]", "[[:foo:]]", r"\p{Foo}", "(?x)a", "(?i", "\\"),
    *(r"\Z", r"\C", r"a\C", r"\h", r"\u0041", r"\8"),
]
# Python's engine takes longer than anybody waits for each of these.
ENDLESS = [
    ("^(([a-z/.])+)+$X", "overlays/prod/secrets/kasm-secrets.sops.yaml"),
    ("(a*)*b", "a" * 200),
    ("(a|a)*$b", "a" * 200),
    ("(a|aa)+$b", "a" * 200),
    ("(.*,){20}x", "a," * 200),
    (r"^(\w+\s?)*$", "a" * 200 + "!"),
    ("((((a+)+)+)+)+b", "a" * 2000),
    ("^(?:a?){60}a{60}$", "a" * 59),
]


@pytest.mark.parametrize(("pattern", "text", "found"), FOUND)
def test_an_expression_means_what_go_takes_it_for(pattern: str, text: str, found: bool) -> None:
    assert go_regexp.matches(pattern, text) is found


@pytest.mark.parametrize("pattern", REFUSED)
def test_what_go_refuses_is_refused_in_words(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"^[a-z]+ "):
        go_regexp.matches(pattern, "a")


def test_an_expression_that_takes_much_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        go_regexp.matches(r"\pL{1000}", "a")


def test_bytes_that_are_no_text_are_one_character_each() -> None:
    name = b"a\xff\xfeb".decode("utf-8", "surrogateescape")
    assert go_regexp.matches("^a..b$", name)
    assert not go_regexp.matches("^a.b$", name)


@pytest.mark.parametrize(("pattern", "text"), ENDLESS)
def test_every_answer_comes_in_time(pattern: str, text: str) -> None:
    code = f"""
        from kasmgen.check.rules import overlays
        from kasmgen.kubernetes.resources import ResourceId
        from kasmgen.kubernetes.schema import Compiler
        from kasmgen.secrets import creation_rules
        from kasmgen.yaml import documents

        pattern, text = {pattern!r}, {text!r}
        config = documents.dump({{"creation_rules": [{{"path_regex": pattern, "age": "age1x"}}]}}).encode()
        assert creation_rules.matching_rule(config, text) is None
        assert list(Compiler().compile({{"type": "string", "pattern": pattern}})(text, "spec"))
        target = {{"name": pattern}}
        assert not overlays.matches(target, ResourceId("ConfigMap", "kasm", text), {{"metadata": {{}}}})
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=120)


# --- sops itself --------------------------------------------------------------


def config(pattern: str) -> tuple[bytes, str]:
    """A `.sops.yaml` with a rule for `pattern` before one for everything, and the recipient of the former."""
    mine, other = (str(pyrage.x25519.Identity.generate().to_public()) for _ in range(2))
    rules = [{"path_regex": pattern, "age": mine}, {"age": other}]
    return documents.dump({"creation_rules": rules}).encode(), mine


def ask_sops(content: bytes, name: str, folder: str) -> subprocess.CompletedProcess[str]:
    Path(folder, ".sops.yaml").write_bytes(content)
    return subprocess.run(
        [
            *(program("sops"), "--disable-version-check", "--config", f"{folder}/.sops.yaml"),
            *("encrypt", "--input-type", "json", "--output-type", "json", "--filename-override", f"{folder}/{name}"),
        ],
        check=False,
        input='{"data": {}}',
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=120,
    )


@pytest.mark.tool
@pytest.mark.parametrize(("pattern", "text", "found"), FOUND)
def test_sops_takes_the_rule_that_kasmgen_takes(
    pattern: str, text: str, found: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content, recipient = config(pattern)
    said = ask_sops(content, text, str(tmp_path_factory.mktemp("rule")))
    assert said.returncode == 0, said.stderr
    assert (recipient in said.stdout) is found
    assert creation_rules.parse(content)[0].matches(text) is found


@pytest.mark.tool
@pytest.mark.parametrize("pattern", REFUSED)
def test_sops_refuses_what_kasmgen_refuses(pattern: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    content, _ = config(pattern)
    said = ask_sops(content, "a", str(tmp_path_factory.mktemp("rule")))
    assert said.returncode != 0
    assert "can not compile regexp" in said.stderr
    with pytest.raises(InputError, match=r"path_regex of rule 1 .* cannot be read") as raised:
        creation_rules.matching_rule(content, "a")
    assert "look-around" in raised.value.hint
