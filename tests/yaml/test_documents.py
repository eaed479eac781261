"""Reading and writing YAML: what comes out, what is reported, and the bounds."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from kasmgen.errors import InputError
from kasmgen.yaml import documents as yaml_documents


def test_empty_documents_are_left_out_and_lines_count_from_one() -> None:
    documents = yaml_documents.load_all("---\n# nothing\n---\na: 1\n---\n---\nb: 2\n")
    assert [(document.value, document.line) for document in documents] == [({"a": 1}, 3), ({"b": 2}, 6)]


def test_duplicate_keys_are_reported_with_their_path_and_the_last_one_counts() -> None:
    text = "a: 1\nspec:\n  list:\n  - x: 1\n    x: 2\n  yes: 1\n  'true': 2\na: 3\n"
    (document,) = yaml_documents.load_all(text)
    assert document.value == {"a": 3, "spec": {"list": [{"x": 2}], "true": 2}}
    assert document.duplicates == ("spec.list.0.x", "spec.true", "a")


def test_what_a_merge_brings_is_no_duplicate() -> None:
    (document,) = yaml_documents.load_all("a: &a {x: 1}\nb: {<<: *a, x: 2}\n")
    assert document.value["b"] == {"x": 2}
    assert document.duplicates == ()


def test_anchors_end_with_their_document() -> None:
    with pytest.raises(InputError, match=r"values, line 3: alias \*a points to nothing"):
        yaml_documents.load_all("a: &a 1\n---\nb: *a\n", "values")


def test_aliases_are_copies() -> None:
    value = yaml_documents.load("a: &a [1]\nb: *a\nc: {<<: &m {x: [2]}}\nd: *m\n")
    value["a"].append(9)
    value["c"]["x"].append(9)
    assert value["b"] == [1]
    assert value["d"] == {"x": [2]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1\nb: 2", "values, line 2: not YAML"),
        ("a: 1\nb: \x00", "not YAML"),
        ("a: .nan", "values, line 1: .nan cannot be said in JSON"),
        ("{[1]: 2}", "values, line 1: a key must be text"),
        ("a:\n  null: 2", "values, line 2: a key must not be null"),
        ("a: !!int x", "values, line 1: the text does not fit its tag !!int"),
        ("a: 1\n---\nb: 2", "values: holds 2 YAML documents"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_names_the_source_and_line(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        yaml_documents.load(text, "values")
    assert said in str(caught.value)


def test_line_ends_of_windows_and_a_byte_order_mark_change_nothing() -> None:
    plain = "a: |\n  x\n  y\nb: 'c'\n"
    assert yaml_documents.load("\ufeff" + plain.replace("\n", "\r\n")) == yaml_documents.load(plain)


def test_whole_floats_are_whole_numbers_as_json_has_them() -> None:
    value = yaml_documents.load("[1.0, 1e3, .1e2, -0.0, 1e21, 2.5]")
    assert [(type(item), item) for item in value] == [
        (int, 1), (int, 1000), (int, 10), (int, 0), (float, 1e21), (float, 2.5)
    ]  # fmt: skip


def test_a_number_of_thousands_of_digits_is_text_as_for_helm() -> None:
    assert yaml_documents.load("9" * 5000) == "9" * 5000
    assert yaml_documents.load("0" * 5000 + "7") == 7


# --- bounds -------------------------------------------------------------------


def laughs(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


def merging_laughs(levels: int) -> str:
    lines = ["a0: &a0 {" + ", ".join(f"k{n}: x" for n in range(9)) + "}"]
    lines += [f"a{n}: &a{n} {{{', '.join(f'k{m}: {{<<: *a{n - 1}}}' for m in range(9))}}}" for n in range(1, levels)]
    return "\n".join(lines)


BOMBS = {
    "laughs": (laughs(30), "more than 1,000,000 values"),
    "merges": (merging_laughs(30), "more than 1,000,000 values"),
    "long text": ("a: &a " + "x" * 1_000_000 + "\nb: [" + "*a, " * 100_000 + "]", "more than 67,108,864 characters"),
    "brackets": ("[" * 100_000, "nested deeper than 150 levels"),
    "dashes": ("- " * 100_000 + "x", "nested deeper than 150 levels"),
    "braces": ("{a: " * 100_000, "nested deeper than 150 levels"),
    "values": ("- x\n" * 1_000_001, "more than 1,000,000 values"),
    "bytes": ("x" * (yaml_documents.MAX_BYTES + 1), "larger than 64 MiB"),
}

READ_ALL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
from kasmgen.yaml import documents
from kasmgen.errors import InputError
from tests.yaml.test_documents import BOMBS
for name, (bomb, _) in BOMBS.items():
    try:
        documents.load_all(bomb, "bomb")
    except InputError as error:
        print(name, error.message, sep="\t")
"""


def test_bombs_are_refused_soon_and_in_little_memory() -> None:
    done = subprocess.run([sys.executable, "-c", READ_ALL], capture_output=True, text=True, timeout=300, check=True)
    said = dict(line.split("\t") for line in done.stdout.splitlines())
    assert said.keys() == BOMBS.keys()
    assert {name: text for name, text in said.items() if BOMBS[name][1] not in text} == {}


def test_as_deep_as_allowed_is_read_written_and_copied() -> None:
    value: Any = "x"
    for _ in range(yaml_documents.MAX_DEPTH // 2):
        value = [{"k": value}]
    assert yaml_documents.load(yaml_documents.dump(value)) == value


# --- writing --------------------------------------------------------------------


def test_the_written_form_is_sorted_quoted_where_needed_and_ends_with_a_newline() -> None:
    value = {
        "spec": {"b": "0755", "a": [{"name": "x", "value": "yes"}, [1, [2]], {}, []], "c": None},
        "kind": "Thing",
        "data": {"run.sh": "#!/bin/sh\necho é\n", "keep": "a\n\n", "bare": "a\nb", "on": True, "1": 1.5},
    }
    assert yaml_documents.dump(value) == (
        "data:\n"
        '  "1": 1.5\n'
        "  bare: |-\n    a\n    b\n"
        "  keep: |+\n    a\n\n"
        '  "on": true\n'
        "  run.sh: |\n    #!/bin/sh\n    echo é\n"
        "kind: Thing\n"
        "spec:\n"
        "  a:\n"
        "  - name: x\n"
        '    value: "yes"\n'
        "  - - 1\n"
        "    - - 2\n"
        "  - {}\n"
        "  - []\n"
        '  b: "0755"\n'
        "  c: null\n"
    )


@pytest.mark.parametrize(
    "text",
    ["a\n b\n", "\na\n", "a \nb\n", "a\tb\n", "a\r\nb\n", "a\x85b\n", "a\u2028b\n", "\ufeffa\nb", "\x00\n", " a\nb\n"],
)
def test_text_that_some_parser_would_change_in_a_block_is_quoted_or_survives(text: str) -> None:
    written = yaml_documents.dump({"a": text})
    assert yaml_documents.load(written) == {"a": text}
    if text != "a\n b\n":
        assert "|" not in written


def test_long_lines_are_never_folded() -> None:
    text = "word " * 1000 + "end"
    assert yaml_documents.dump({"a": text}) == f"a: {text}\n"


def test_a_key_longer_than_parsers_look_ahead_is_written_in_the_long_form() -> None:
    for item in ("x", {"y": 1}, [1, {"z": "a\nb"}], {}, []):
        value = {"k" * 3000: item, "é\n" * 600: item}
        assert yaml_documents.load(yaml_documents.dump(value)) == value
        assert yaml_documents.load(yaml_documents.dump([value])) == [value]


def test_what_json_cannot_say_is_not_written() -> None:
    for value in (float("inf"), float("nan")):
        with pytest.raises(ValueError, match="cannot be said in JSON"):
            yaml_documents.dump({"a": value})
    with pytest.raises(TypeError, match="bytes is no YAML value"):
        yaml_documents.dump({"a": b"x"})
