"""An overlay's kustomization.yaml: kasmgen's entries brought up to date, people's left alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kasmgen.errors import InputError
from kasmgen.overlay import kustomization as k
from kasmgen.yaml import documents

FILE = "overlays/prod/kustomization.yaml"
HEAD = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
PATCH: dict[str, Any] = {"path": "patches/a.yaml", "target": {"kind": "Deployment", "name": "a"}}


def update(
    text: str, resources: list[str], patches: list[Any] | None = None, kept: frozenset[str] = frozenset()
) -> str:
    return k.update(text, FILE, resources, patches or [], kept)


# --- whose an entry is -----------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["../../base", "../../base/", "./../../base", "patches/a.yaml", "./resources/b.yaml", "secrets/../secrets/c.yaml"],
)
def test_entries_into_the_base_and_our_folders_are_ours(path: str) -> None:
    assert k.is_ours(path)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "own.yaml",
            "../../base2",
            "../../base/app",
            "../other",
            "patches",
            "patches/../own.yaml",
            "my/patches/a.yaml",
        ),
        *("", "https://example.com/patches/", None, 5, {"path": "patches/a.yaml"}),
    ],
)
def test_every_other_entry_is_peoples(path: Any) -> None:
    assert not k.is_ours(path)


def test_files_of_people_in_our_folders_are_theirs() -> None:
    assert not k.is_ours("./secrets/own.sops.yaml", frozenset(["secrets/own.sops.yaml"]))


# --- a new file ----------------------------------------------------------------------------


def test_a_fresh_file_is_what_an_update_asks_for() -> None:
    text = k.fresh("prod", ["../../base", "secrets/a.sops.yaml"], [PATCH])
    assert documents.load(text) == {
        **documents.load(HEAD),
        "resources": ["../../base", "secrets/a.sops.yaml"],
        "patches": [PATCH],
    }
    assert update(text, ["../../base", "secrets/a.sops.yaml"], [PATCH]) == text
    assert not k.own_content(text, FILE, frozenset())


def test_content_of_people_is_seen() -> None:
    text = k.fresh("prod", ["../../base"], [PATCH])
    for more in ("images:\n- name: x\n", "components: [../c]\n", "namespace: x\n"):
        assert k.own_content(text + more, FILE, frozenset())
    assert k.own_content(text.replace("patches/a.yaml", "own.yaml"), FILE, frozenset())
    assert k.own_content(text, FILE, frozenset(["patches/a.yaml"]))


# --- updates ----------------------------------------------------------------------------------

MIXED = """\
# This file is ours too.

apiVersion: kustomize.config.k8s.io/v1beta1
kind:   Kustomization      # spaces stay

resources:
  # the base first
  - ../../base   # do not move
  - "own/ingress.yaml"
  # a comment about what follows
  - 'secrets/old.sops.yaml'
  # about the dashboard
  - dashboard.yaml   # ours, honest

images:
  - {name: kasmweb/api, newTag: "1.20"}   # 1.20 is text

patches:
  - patch: |-
      - op: replace   # inline
        path: /spec/replicas
        value: 5
    target: {kind: Deployment, name: kasm-proxy}
  - path: patches/gone.yaml
    target:
      kind: Service
      name: x
  - path: own.yaml

# the end
"""


def test_a_file_that_is_right_is_not_touched() -> None:
    gone = {"path": "patches/gone.yaml", "target": {"kind": "Service", "name": "x"}}
    assert update(MIXED, ["../../base", "secrets/old.sops.yaml"], [gone]) == MIXED


def test_only_our_own_lines_change() -> None:
    after = update(MIXED, ["../../base", "resources/namespace.yaml", "secrets/new.sops.yaml"], [PATCH])
    assert after == (
        MIXED.replace("  - 'secrets/old.sops.yaml'\n", "")
        .replace("# do not move\n", "# do not move\n  - resources/namespace.yaml\n  - secrets/new.sops.yaml\n")
        .replace("  - path: patches/gone.yaml\n    target:\n      kind: Service\n      name: x\n", "")
        .replace(
            "patches:\n", "patches:\n  - path: patches/a.yaml\n    target:\n      kind: Deployment\n      name: a\n"
        )
    )


def test_a_patch_whose_target_changed_is_written_anew_in_its_place() -> None:
    text = HEAD + "patches:\n- path: own.yaml\n- path: patches/a.yaml\n  target: {kind: Service}\n- path: last.yaml\n"
    assert update(text, [], [PATCH]) == (
        HEAD + "patches:\n- path: patches/a.yaml\n  target:\n    kind: Deployment\n    name: a\n"
        "- path: own.yaml\n- path: last.yaml\n"
    )


@pytest.mark.parametrize(
    "start", ["", "resources:\n", "resources: []\n", "resources: [ ] # none\n", "resources: null\n"]
)
def test_a_list_that_is_missing_or_empty_is_made(start: str) -> None:
    after = update(HEAD + start, ["../../base"], [PATCH])
    assert documents.load(after) == {**documents.load(HEAD), "resources": ["../../base"], "patches": [PATCH]}
    assert update(after, ["../../base"], [PATCH]) == after


def test_lists_in_brackets_are_edited_too() -> None:
    after = update(HEAD + "resources: [../../base, own.yaml, secrets/old.yaml]\n", ["../../base", "secrets/new.yaml"])
    assert documents.load(after)["resources"] == ["../../base", "secrets/new.yaml", "own.yaml"]


def test_windows_line_ends_and_a_missing_newline_at_the_end_stay() -> None:
    text = (HEAD + "resources:\n- ../../base\n- own.yaml").replace("\n", "\r\n")
    after = update(text, ["../../base", "secrets/a.yaml"])
    assert after == text.replace("base\r\n", "base\r\n- secrets/a.yaml\r\n")


def test_our_entries_stay_where_people_moved_them_and_a_second_one_goes() -> None:
    moved = HEAD + "resources:\n- own.yaml\n- secrets/a.yaml\n- ./../../base\n"
    assert update(moved, ["../../base", "secrets/a.yaml"]) == moved
    assert update(moved + "- secrets/a.yaml\n", ["../../base", "secrets/a.yaml"]) == moved


def test_files_of_people_in_our_folders_stay_listed() -> None:
    text = HEAD + "resources:\n- ../../base\n- secrets/own.sops.yaml\n"
    assert update(text, ["../../base"], kept=frozenset(["secrets/own.sops.yaml"])) == text
    assert update(text, ["../../base"]) == text.replace("- secrets/own.sops.yaml\n", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a Kustomization"),
        ("[a]", "not a Kustomization"),
        (HEAD.replace("Kustomization", "Component"), "not a Kustomization"),
        (HEAD + "resources: text\n", "resources: a list is expected"),
        (HEAD + "patches: {a: 1}\n", "patches: a list is expected"),
        (HEAD + "resources:\n- a: [\n", "line"),
    ],
)
def test_what_is_no_kustomization_is_refused_by_its_path(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        update(text, ["../../base"])
    assert caught.value.message.startswith(FILE)
    assert said in caught.value.message


# --- property ------------------------------------------------------------------------------------

OURS = ["../../base", "secrets/a.sops.yaml", "secrets/b.sops.yaml", "resources/n.yaml"]
QUOTES = st.sampled_from(["{}", '"{}"', "'{}'", "{}   # x"])
OWN = st.sampled_from(["own.yaml", "../other", "x/y", "https://example.com/z?ref=1"])
COMMENT = st.sampled_from(["# comment", "", "# - secrets/a.sops.yaml", "  # far in", "#"])


@st.composite
def files(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A kustomization.yaml of people and kasmgen, and the lines of it that are not kasmgen's."""
    indent = draw(st.sampled_from(["", "  ", "    "]))
    lines: list[tuple[str, bool]] = []
    items = draw(
        st.permutations([*draw(st.lists(OWN, unique=True)), *draw(st.lists(st.sampled_from(OURS), unique=True))])
    )
    for item in items:
        lines += [(f"{indent}{comment}" if comment else "", True) for comment in draw(st.lists(COMMENT, max_size=2))]
        lines.append((f"{indent}- {draw(QUOTES).format(item)}", item not in OURS))
    before = [("# first", True), ("namePrefix: 'x'", True)] if draw(st.booleans()) else []
    after = [("images:", True), ('- {name: a, newTag: "1.10"}', True)] if draw(st.booleans()) else []
    listed = [("resources:", True), *lines] if items else []
    whole = [(line, True) for line in HEAD.splitlines()] + before + listed + after
    return "\n".join(line for line, _ in whole) + "\n", [line for line, own in whole if own]


@given(files(), st.lists(st.sampled_from(OURS), unique=True, min_size=1).map(sorted))
@settings(deadline=None, max_examples=200)
def test_every_line_of_people_survives_as_it_was_and_in_order(made: tuple[str, list[str]], wanted: list[str]) -> None:
    text, own = made
    after = update(text, wanted)
    resources = documents.load(after).get("resources") or []
    assert sorted(item for item in resources if k.is_ours(item)) == wanted
    entries = [f"- {entry}" for entry in OURS]
    plain = [
        line
        for line in after.splitlines()
        if line.split(" #")[0].replace('"', "").replace("'", "").strip() not in entries
    ]
    if plain != own:  # the list itself was not there, or is empty now
        plain = [line for line in plain if not line.startswith("resources:")]
        own = [line for line in own if not line.startswith("resources:")]
    assert plain == own
    assert update(after, wanted) == after
    if sorted(item for item in documents.load(text).get("resources") or [] if k.is_ours(item)) == wanted:
        assert after == text
