"""YAML in and out, held to the parsers of Kubernetes, Helm, kustomize and Python."""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml as pyyaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from kasmgen.errors import InputError, ToolError
from kasmgen.programs import kustomize
from kasmgen.yaml import documents
from tests.needs import program
from tests.some import some

pytestmark = pytest.mark.tool

# Spellings that readers of YAML disagree about: numbers of every base, booleans of YAML 1.1,
# dates, times of day, nothing, and what is nearly one of them.
TOKENS = """
    0644 0755 0o644 0O755 0899 08 0x10 0b11 1_000 1e3 12e4 5e10 1.10 1.20 2024-01-01 2024-1-1
    2001-12-14t21:59:43.10-05:00 2024-01-01T00:00:00.100Z 12:30 1:30:00 190:20:30 1.2.3 ~ null Null NULL nULL
    yes Yes YES yEs no No NO on On ON off Off OFF y Y n N true True TRUE tRue false False FALSE
    123e4567 1e400 -1 +1 +0755 -0755 0x1F 0X1F 0B1 0b2 0o8 0778 0o755 +0o17 -0o17 +.5 -.5 .5 5. 1. . .. + -0 +0
    0 00 000 0_1 _1 1_ 0x_1 0x1_ 1__0 -0x1F -0b11 +0x10 0b-11 0b+11 -0b-11 0o-7 0x-5 0x 0b 0o 0xg ++1 +-1 -+1 --1
    0777777777777777777777777 0xfffffffffffffffff 123456789012345678901234567890 0.1 1.0 0.0 0.50 -0.0
    1e-7 1e-400 0e0 .1e3 .0 .5e400 .5_5 .5_5e1_0 ._5 .5_ .59_304 1.e3 1e+3 1E3 1.5e3 1.5e300 1e21 1e20 1e19 1e22
    08.5 12e03 6e-05 0.1e-5 1e1_0 1_0.5 1e 1e+ e3 .e3 +.e3 +. -. = 1,000 nan inf NaN Infinity None _ 1-2 100m 5Gi
    9007199254740991 -9007199254740991
""".split()  # noqa: SIM905 - reads as the table it is
NOT_JSON = (".inf", ".Inf", "-.INF", "+.inf", ".nan", ".NaN")
BEYOND_FLOATS = ["9223372036854775807", "9223372036854775808", "18446744073709551615", "-9223372036854775808"]


def by_helm(text: str) -> Any:
    """What Helm reads from `text`, or the word that it refuses it."""
    try:
        return helm_python.values_from_yaml(text)
    except helm_python.HelmError:
        return "refused"


def by_us(text: str) -> Any:
    try:
        return documents.load(text) or {}
    except InputError:
        return "refused"


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(ours: Any, theirs: Any) -> bool:
    """Equal as JSON is: 1 and 1.0 are one number, 1 and true are not. Helm's library hands out 64-bit floats."""
    if is_number(ours) and is_number(theirs):
        return float(ours) == float(theirs)
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(value, theirs[key]) for key, value in ours.items())
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return bool(ours == theirs)


def bundled_kubectl() -> str:
    found = kustomize.locate()
    return str(found.path) if found.is_kubectl else program("kubectl")


def by_kubectl(spec: str) -> Any:
    """What Kubernetes reads from the lines of a `spec`, or the word that it refuses them."""
    text = f"apiVersion: example.com/v1\nkind: Thing\nmetadata: {{name: x}}\nspec:\n{spec}"
    command = [bundled_kubectl(), "label", "--local", "--filename", "-", "zz=1", "--output", "json"]
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    return json.loads(done.stdout)["spec"] if done.returncode == 0 else "refused"


def lines(*items: str) -> str:
    return "".join(f"  {item}\n" for item in items)


# --- reading: scalars -----------------------------------------------------------


@pytest.mark.parametrize("form", ["v: {}\n", 'v: "{}"\n', "v: [{}]\n", "v: {{k: {}}}\n", "v: !!str {}\n", "v: ! {}\n"])
def test_every_token_reads_as_helm_reads_it(form: str) -> None:
    wrong = {}
    for token in (*TOKENS, *BEYOND_FLOATS, *NOT_JSON):
        text = form.format(token)
        ours, theirs = by_us(text), by_helm(text)
        if not same(ours, theirs):
            wrong[token] = (ours, theirs)
    assert wrong == {}


def test_every_token_as_a_key_is_spelled_as_helm_spells_it() -> None:
    wrong = {}
    for token in (*TOKENS, *BEYOND_FLOATS, *NOT_JSON):
        text = f"v:\n  {token}: 1\n"
        ours, theirs = by_us(text), by_helm(text)
        if not same(ours, theirs):
            wrong[token] = (ours, theirs)
    assert wrong == {}


def test_every_token_reads_as_kubectl_reads_it() -> None:
    numbered = lines(*(f"k{i}: {token}" for i, token in enumerate((*TOKENS, *BEYOND_FLOATS))))
    expected = by_kubectl(numbered)
    assert expected != "refused"
    ours = documents.load(f"spec:\n{numbered}")["spec"]
    assert {k: (ours[k], expected[k]) for k in ours if not same(ours[k], expected[k])} == {}


@pytest.mark.parametrize("token", NOT_JSON[:4:3])
def test_numbers_that_json_cannot_say_are_refused_as_kubectl_refuses_them(token: str) -> None:
    assert by_kubectl(lines(f"k: {token}")) == "refused"
    with pytest.raises(InputError, match=r"line 1: .*cannot be said in JSON"):
        documents.load(f"k: {token}")


SCALARS = st.one_of(
    st.text("0123456789+-._xXbBoOeE:aAfFyYnNtT~", min_size=1, max_size=9),
    st.from_regex(r"[-+]?(0[xXbBoO])?[0-9a-f_]{1,6}(\.[0-9_]{0,4})?([eE][-+]?[0-9_]{1,3})?", fullmatch=True),
    st.sampled_from(TOKENS),
)


@given(st.lists(SCALARS, min_size=1, max_size=30))
@settings(deadline=None, max_examples=100)
def test_any_token_reads_as_helm_reads_it_as_value_and_as_key(tokens: list[str]) -> None:
    for token in tokens:
        for text in (f"v: {token}\n", f"v:\n  {token}: 1\n"):
            ours, theirs = by_us(text), by_helm(text)
            assert same(ours, theirs), (text, ours, theirs)


# --- reading: documents -----------------------------------------------------------

DOCUMENTS = [
    # explicit types
    'v: !!int "5"', 'v: !!int "0755"', "v: !!int 5.5", "v: !!int", "v: !!float 5", "v: !!float 1_0", "v: !!float 0x10",
    "v: !!float abc", 'v: !!bool "yes"', "v: !!bool 1", 'v: !!null ""', "v: !!null x", "v: !!str", "v: !!str .inf",
    "v: !!binary aGk=", "v: !!binary /w==", 'v: !!binary "not base64!"', "v: !foo 5", "v: !<x> 7",
    'v: !<tag:yaml.org,2002:int> "7"', "v: !!map {a: 1}", "v: !!seq [1]", "v: !!set {a, b}", "v: !!omap [a: 1]",
    "v: !!timestamp 2024-01-01", "!!map {v: 1}",
    # keys
    "v: {? [1]: 2}", "v: {? {a: 1}: 2}", "v: {null: 1}", "v: {~: 1}", 'v: {"": 1}', "v: {? : 1}", "v: {!!str 1: 1}",
    "v: {!!binary aGk=: 1}", "? v\n: 1\n", "v: ? a", '"v": 1', "v: {a, b}", "v: [a: 1, b]",
    # duplicates
    "v: {a: 1, a: 2}", "v: {yes: 1, true: 2}", "v: 1\nv: 2\n",
    # merge keys
    "v: {<<: 1}", "v: {<<: null}", "v: {<<: []}", "v: <<", 'v: "<<"', 'v: {"<<": {a: 1}}', "v: !!merge <<",
    "v: {<<: [{a: 1}, {a: 2, b: 3}]}", "v: {a: 0, <<: {a: 1, b: 2}}", "v: {<<: {a: 1, b: 2}, a: 0}",
    "v: {<<: {a: 1}, <<: {a: 2, b: 2}}", "v: {x: 1}\n<<: {y: 1}", "v: &m {<<: {a: 1}, b: 2}\nw: {<<: *m, b: 3}",
    "v: &a {x: 1}\nw: {<<: [*a, *a], y: 2}",
    # anchors and aliases
    "v: &a 1\nw: *a", "v: &a {x: 1}\nw: *a", "v: &a {x: *a}", "v: *a", "v: [*a]", "v: &a [1]\nw: &a [2]\nx: *a",
    "v: &a yes\nw: {*a : 1}", "&k v: 1\nw: *k", "a: &x !!str 5\nb: *x", "v: &a\nw: *a",
    # documents, directives, line ends
    "v: 1\n...\n", "---\nv: 1\n", "%YAML 1.1\n---\nv: yes", "\ufeffv: 1\n", "v: 1\r\nw: 2\r\n",
    "v: |\r\n  a\r\n  b\r\n",
    "", "# c\n", "v: 1 # c\n", "v: a#b",
    # text
    'v: "a\\u0085b"', "v: a\u0085b", 'v: "a\u2028b"', "v: a\u2028b", "v: >\n  a\n   b\n  c\n", "v: |\n  \ta\n",
    "v: |\n \n  a\n", "v: |+\n  a\n\n", "v: |2\n   a\n", 'v: "\\x41\\e\\_\\N\\L\\P"', "v: 'it''s'",
    'v: "\\ud83d\\ude00"',
    'v: "\\ud83d"', 'v: "a\n  b"\n', "v: a\n  b\n", 'v: "a\\\n  b"', "v: ''", "v: \U0001f600", 'v: "\\z"',
    # what is no YAML
    "v:\t1", "\tv: 1", "v: @x", "v: `x", "v: %x", "v: [a, b", 'v: "a', "v: a: b", "v: - a", 'v: "\x00"', "v: \x07",
    'v: "\x7f"', "v: \x80x", "v: \ufffe", "v: |\n  a\n b: 1", "v: ,a", "v: ]", "v: {a: 1,, b: 2}", "v: [1,2,]",
    "a:\n  b: 1\n   c: 2", "- a\nb: 1", "{v: 1}", '{"v":1}', "v:\n- 1\n- 2\n",
]  # fmt: skip


@pytest.mark.parametrize("text", DOCUMENTS)
def test_a_document_reads_as_helm_reads_it(text: str) -> None:
    ours, theirs = by_us(text), by_helm(text)
    assert same(ours, theirs), (ours, theirs)


def test_of_two_keys_that_json_spells_alike_the_last_one_counts() -> None:
    text = 'v: {1: 1, "1": 2}'
    assert by_us(text) == {"v": {"1": 2}}
    # Helm takes the one or the other: it has them in a map of Go, whose order is another in each run.
    assert by_helm(text) in ({"v": {"1": 1}}, {"v": {"1": 2}})


def test_what_helm_refuses_and_we_read_is_this_and_no_more() -> None:
    lenient = {
        "%YAML 1.2\n---\nv: yes": {"v": True},
        'v: "\\/"': {"v": "/"},  # JSON allows it
        "v: &b [{x: 1}]\nw: {<<: *b}": {"v": [{"x": 1}], "w": {"x": 1}},
        "v: !!timestamp x": {"v": "x"},
    }
    for text, value in lenient.items():
        assert by_helm(text) == "refused"
        assert documents.load(text) == value


def test_what_helm_reads_and_we_refuse_is_this_and_no_more() -> None:
    strict = {
        "v: [a:]": {"v": ["a:"]},
        "v: {a:}": {"v": {"a:": None}},
        "v: 1\n---\nw: 2\n": {"v": 1},  # a second document that nobody would ever see
    }
    for text, value in strict.items():
        assert by_helm(text) == value
        assert by_us(text) == "refused"


def test_merges_aliases_duplicates_and_keys_read_as_kubectl_reads_them() -> None:
    spec = lines(
        "base: &base {a: 1, nested: {x: [1, 2]}}",
        "over: {a: 0, <<: *base}",
        "under: {<<: *base, a: 0}",
        "several: {<<: [*base, {a: 2, b: 3}]}",
        "copy: *base",
        "keys: {1.5: a, 1e10: b, 0x10: c, yes: d, 2024-01-01: e, 1.10: f, off: g}",
        "twice: {a: 1, b: 2, a: 3}",
        "folded: >-",
        "  a",
        "   b",
        "literal: |",
        "  a\t",
        "   b",
    )
    assert documents.load(f"spec:\n{spec}")["spec"] == by_kubectl(spec)


FLOW_SCALARS = SCALARS.filter(lambda token: token[-1] != ":")  # refused before a bracket, see above
KEYS = st.one_of(FLOW_SCALARS, st.sampled_from(["a", "b", "<<", '"<<"', "!!str 1", "&c k"]))


def collections(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    listed = st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
    pairs = st.lists(st.tuples(KEYS, inner), max_size=4)
    mapped = pairs.map(lambda found: "{" + ", ".join(f"{key} : {value}" for key, value in found) + "}")
    return st.builds(str.__add__, st.sampled_from(["", "&a ", "&b "]), st.one_of(listed, mapped))


FLOW = st.recursive(
    st.one_of(
        FLOW_SCALARS,
        st.sampled_from(
            ['"yes"', "'0755'", "!!str 1", "!!int 0x10", "*a", "*b", "*c", "&a x", "&b 08", "~", '""', "! on"]
        ),
    ),
    collections,
    max_leaves=10,
)


@given(FLOW, FLOW)
@settings(deadline=None, max_examples=60)
def test_any_document_reads_as_helm_reads_it(first: str, second: str) -> None:
    text = f"v: {first}\nw: {second}\n"
    ours, theirs = by_us(text), by_helm(text)
    if theirs == "refused" and "<< : *" in text:
        return  # Helm refuses to merge an alias of a list; see the test of what we read beyond it
    if ours != "refused" and documents.load_all(text)[0].duplicates:
        return  # of the keys 1.0 and "1", which become one, Go takes either; plain duplicates have their own test
    assert same(ours, theirs), (ours, theirs)


# --- writing ------------------------------------------------------------------------

# What kustomize refuses or changes however it is written; kasmgen.steps.limits names these to people.
UNCARRIED = "".join(map(chr, range(0x7F, 0xA0))) + "\ufffe\uffff"
NASTY = st.one_of(
    st.sampled_from([*TOKENS, *NOT_JSON, *BEYOND_FLOATS, "<<", "-", "---", "...", "?", ":", "-  a", "a:", "a #b", "#"]),
    st.text(" \t\n\r#-:?'\"|>%@&*!{}[],~`=\\0a.é\u00a0\u2028\ufeff\U0001f511", max_size=14),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
NUMBERS = st.one_of(
    st.integers(-(2**63), 2**64 - 1), st.integers(-1000, 1000), st.floats(allow_nan=False, allow_infinity=False)
)


def values(text: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.one_of(text, NUMBERS, st.booleans(), st.none()),
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(text, inner, max_size=4)),
        max_leaves=12,
    )


@given(values(NASTY))
@settings(deadline=None, max_examples=250)
def test_what_is_written_reads_back_as_it_was(value: Any) -> None:
    assert documents.load(documents.dump(value)) == value


@given(values(NASTY))
@settings(deadline=None, max_examples=150)
def test_helm_reads_what_is_written(value: Any) -> None:
    assert same({"v": value}, helm_python.values_from_yaml(documents.dump({"v": value})))


@given(st.lists(NASTY, min_size=1, max_size=20))
@settings(deadline=None, max_examples=80)
def test_readers_of_yaml_1_1_and_1_2_take_every_written_text_for_that_text(texts: list[str]) -> None:
    written = documents.dump({"list": texts, "map": {text: text for text in texts}})
    expected = {"list": texts, "map": {text: text for text in texts}}
    assert pyyaml.safe_load(written) == expected
    for version in ("1.1", "1.2"):
        reader = YAML(typ="safe", pure=True)
        reader.version = version
        assert reader.load(written) == expected
    assert YAML(typ="safe").load(written) == expected


def test_every_text_of_two_characters_is_text_to_every_reader() -> None:
    printable = [chr(code) for code in range(0x20, 0x7F)]
    texts = [*printable, *(a + b for a in printable for b in printable)]
    written = documents.dump({"v": texts})
    assert pyyaml.load(written, Loader=pyyaml.CSafeLoader)["v"] == texts
    assert YAML(typ="safe").load(written)["v"] == texts
    assert helm_python.values_from_yaml(written)["v"] == texts


@given(st.lists(NUMBERS, min_size=1, max_size=20))
@settings(deadline=None, max_examples=100)
def test_readers_of_yaml_1_1_and_1_2_take_every_written_number_for_that_number(numbers: list[Any]) -> None:
    written = documents.dump(numbers)
    for read in (pyyaml.safe_load(written), YAML(typ="safe", pure=True).load(written)):
        assert [type(number) for number in read] == [type(number) for number in numbers]
        assert all(math.isclose(a, b, rel_tol=0) for a, b in some(zip(read, numbers, strict=True)))


def carried(tmp_path: Path, specs: list[Any]) -> list[Any]:
    """What kustomize makes of custom resources with these specs, in one build."""
    for number, spec in enumerate(specs):
        thing = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": f"n{number:05}"}, "spec": spec}
        (tmp_path / f"{number}.yaml").write_text(documents.dump(thing))
    names = [f"{number}.yaml" for number in range(len(specs))]
    (tmp_path / "kustomization.yaml").write_text(documents.dump({"resources": names}))
    built = {obj["metadata"]["name"]: obj["spec"] for obj in kustomize.build(kustomize.locate(), tmp_path)}
    return [built[f"n{number:05}"] for number in range(len(specs))]


CARRIED_TEXT = st.one_of(
    NASTY.map(lambda text: text.translate(dict.fromkeys(map(ord, UNCARRIED), "x"))).filter(lambda text: text != "<<"),
    st.text("ab \t\n-:#", max_size=30),
)


@given(st.lists(values(CARRIED_TEXT), min_size=10, max_size=40))
@settings(deadline=None, max_examples=10)
def test_kustomize_carries_what_is_written(tmp_path_factory: pytest.TempPathFactory, specs: list[Any]) -> None:
    wrapped = [{"v": spec} for spec in specs]
    got = carried(tmp_path_factory.mktemp("build"), wrapped)
    wrong = [(want, have) for want, have in zip(wrapped, got, strict=True) if not same(want, have)]
    assert wrong == []


@given(st.lists(st.dictionaries(st.from_regex(r"[-._a-z0-9]{1,8}", fullmatch=True), CARRIED_TEXT), min_size=5))
@settings(deadline=None, max_examples=10)
def test_kustomize_carries_the_texts_of_configmaps(
    tmp_path_factory: pytest.TempPathFactory, data: list[dict[str, str]]
) -> None:
    directory = tmp_path_factory.mktemp("build")
    maps = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"m{number}"}, "data": {"k": "", **item}}
        for number, item in enumerate(data)
    ]
    for number, item in enumerate(maps):
        (directory / f"{number}.yaml").write_text(documents.dump(item))
    (directory / "kustomization.yaml").write_text(
        documents.dump({"resources": [f"{number}.yaml" for number in range(len(maps))]})
    )
    built = {obj["metadata"]["name"]: obj for obj in kustomize.build(kustomize.locate(), directory)}
    assert [built[item["metadata"]["name"]] for item in maps] == maps


def test_kustomize_carries_every_character_but_those_that_are_known(tmp_path: Path) -> None:
    astral = [*range(0x10000, 0x110000, 4099), *(plane * 0x10000 + 0xFFFE for plane in range(1, 17)), 0x10FFFF]
    surrogates = range(0xD800, 0xE000)
    basic = [*range(0x3000), *range(0x3000, 0xF000, 17), *range(0xF000, 0x10000)]
    codes = [code for code in (*basic, *astral) if chr(code) not in UNCARRIED and code not in surrogates]
    for form in ("{}", "a\n{}b\n"):
        texts = [form.format(chr(code)) for code in codes]
        (got,) = carried(tmp_path, [{"v": texts}])
        assert [hex(code) for code, want, have in zip(codes, texts, got["v"], strict=True) if want != have] == []


@pytest.mark.parametrize("char", [*UNCARRIED[::6], "\ufffe", "\uffff"])
def test_a_character_that_kustomize_is_said_not_to_carry_is_not_carried(tmp_path: Path, char: str) -> None:
    with contextlib.suppress(ToolError):
        assert carried(tmp_path, [{"v": f"a{char}b"}]) != [{"v": f"a{char}b"}]
