"""Editing YAML that people wrote."""

from __future__ import annotations

import pytest

from kasmgen.errors import InputError
from kasmgen.yaml import documents, edit, roundtrip

WRITTEN = """\
# on top

a:   0755        # an octal
b: "yes"
'c': on
d: {x: 1e10, y: [~, null, ]}   # in brackets
e:
    - 12:30
    -   08
f: |-
  block # no comment
g: &anchor
  h: 1
i:
  <<: *anchor
  j: 2024-01-01
"""


def edited(text: str, key: str, value: object) -> str:
    document = roundtrip.load(text, "file")
    document[key] = roundtrip.to_node(value)
    return roundtrip.dump(document, text)


def test_what_is_not_edited_keeps_comments_quotes_and_meaning() -> None:
    after = edited(WRITTEN, "z", "new")
    assert documents.load(after) == {**documents.load(WRITTEN), "z": "new"}
    for kept in (
        "# on top",
        "0755",
        "# an octal",
        'b: "yes"',
        "'c': on",
        "1e10",
        "# in brackets",
        "12:30",
        "08",
        "&anchor",
    ):
        assert kept in after


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        "yes",
        "0755",
        "1.10",
        "sha256:abc",
        "",
        "a: b",
        True,
        5,
        1.5,
        None,
        {"k": "on", "l": ["1e3", 2]},
        ["08"],
    ],
)
def test_a_value_that_is_set_reads_as_that_value(value: object) -> None:
    after = edited("a: 1 # kept\nb:\n  - x\n", "a", value)
    assert documents.load(after) == {"a": value, "b": ["x"]}
    assert documents.load(edited(after, "a", value)) == {"a": value, "b": ["x"]}


@pytest.mark.parametrize("text", ["a:\n- x\n- y\nb: 1\n", "a:\n  - x\n  - y\nb: 1\n", "a:\n    - x\n    - y\nb: 1\n"])
def test_the_indentation_of_lists_stays(text: str) -> None:
    assert edited(text, "b", 1) == text


@pytest.mark.parametrize(
    ("text", "said"), [("[1]", "a mapping is expected"), ("a: [", "line"), ("a: 1\n---\nb: 2\n", "2 YAML doc")]
)
def test_what_cannot_be_edited_is_refused_by_its_name(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        roundtrip.load(text, "the file")
    assert caught.value.message.startswith("the file") and said in caught.value.message


def test_an_empty_text_is_nothing() -> None:
    assert roundtrip.load("# only a comment\n", "x") is None


def test_why_block_collections_are_edited_as_text() -> None:
    text = "rules:\n  # of dev\n  - name: dev\n  # of prod\n  - name: prod\n    keys:   [ a,b ]\n"
    document = roundtrip.load(text, "x")
    document["rules"].insert(1, roundtrip.to_node({"name": "new"}))
    after = roundtrip.dump(document, text)
    assert "# of prod\n- name: new\n" in after
    assert "keys: [a, b]" in after
    as_text = edit.insert_item(text, "rules", 1, ["- name: new"], "x")
    assert as_text.replace("  - name: new\n", "") == text
    with pytest.raises(InputError):
        roundtrip.load("a:\tb\n", "x")
    assert edit.parts("a:\tb\n", "x") is not None
