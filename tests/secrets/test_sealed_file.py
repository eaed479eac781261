"""Sealed files without a key: what they say, what is wrong with them, and their clear annotations."""

from __future__ import annotations

import base64
import json
import traceback
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kasmgen.errors import InputError, SecretError
from kasmgen.kubernetes.resources import Secret
from kasmgen.secrets import sealed_file
from kasmgen.secrets.recipients import Recipients
from kasmgen.yaml import documents

ALICE = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
BOB = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"
TO_ALICE = Recipients.of([[ALICE]])


def enc(text: str) -> str:
    data = base64.b64encode(text.encode()).decode()
    return f"ENC[AES256_GCM,data:{data},iv:aXZpdml2aXZpdml2aXZpdml2aXY=,tag:dGFndGFndGFndGFndGFn,type:str]"


FILE = f"""\
apiVersion: v1
data:
  admin-password: {enc("one")}
  empty: ""
  user-password: {enc("two")}
kind: Secret
metadata:
  annotations:
    kasmgen.dev/not-after: "2031-01-01T00:00:00Z"
    kasmgen.dev/revision: abcdef0123456789 # people may write here
  name: kasm-secrets
  namespace: kasm
type: Opaque
sops:
  age:
    - recipient: {ALICE}
      enc: |
        -----BEGIN AGE ENCRYPTED FILE-----
        YWdl
        -----END AGE ENCRYPTED FILE-----
  lastmodified: "2026-01-01T00:00:00Z"
  mac: {enc("mac")}
  encrypted_regex: ^(data|stringData)$
  mac_only_encrypted: true
  version: 3.11.0
""".encode()
KEYS = ["admin-password", "empty", "user-password"]


@pytest.mark.parametrize("value", ["", enc("a"), enc("a").replace("type:str", "type:int")])
def test_what_sops_leaves_of_a_value_is_known(value: str) -> None:
    assert sealed_file.is_sealed_value(value)


@pytest.mark.parametrize(
    "value",
    [
        *(None, 5, [], {}, "plain", "ENC[]", "ENC[AES256_GCM,data:hunter2]", f"{enc('a')}\n", f"x{enc('a')}"),
        "ENC[AES256_GCM,data:my password,iv:aXY=,tag:dGFn,type:str]",
        enc("a").replace(",tag:", ",tag:*"),
    ],
)
def test_what_only_looks_like_ciphertext_is_none(value: object) -> None:
    assert not sealed_file.is_sealed_value(value)


def test_everything_that_stands_in_clear_is_read() -> None:
    file = sealed_file.parse(FILE, "a.sops.yaml")
    assert (file.name, file.namespace, file.type) == ("kasm-secrets", "kasm", "Opaque")
    assert file.keys == tuple(KEYS)
    assert file.ciphertext["empty"] == ""
    assert file.annotations["kasmgen.dev/not-after"] == "2031-01-01T00:00:00Z"
    assert file.recipients == TO_ALICE
    assert sealed_file.problems(file) == []


def test_key_groups_are_read_as_groups() -> None:
    first, second = (f"    age:\n    - recipient: {key}\n      enc: x\n" for key in (ALICE, BOB))
    groups = f"  shamir_threshold: 2\n  key_groups:\n  - hc_vault: []\n{first}  -{second[3:]}"
    head, rest = FILE.decode().split("  age:\n")
    content = head + groups + rest[rest.index("  lastmodified") :]
    assert sealed_file.parse(content.encode(), "x").recipients == Recipients.of([[ALICE], [BOB]], 2)


def replaced(old: str, new: str) -> bytes:
    assert old in FILE.decode()
    return FILE.decode().replace(old, new).encode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (replaced(enc("one"), "hunter2-in-clear"), "admin-password is not encrypted"),
        (replaced(enc("one"), "12345678"), "admin-password is not encrypted"),
        (replaced(enc("one"), "null"), "admin-password is not encrypted"),
        (replaced(enc("one"), "{a: hunter2-in-clear}"), "admin-password is not encrypted"),
        (replaced(enc("one"), enc("one").replace("type:str", "type:int")), "admin-password is not encrypted"),
        (replaced(enc("one"), enc("one") + " hunter2-in-clear"), "admin-password is not encrypted"),
        (replaced(f"  mac: {enc('mac')}\n", ""), "no MAC"),
        (replaced(enc("mac"), "none"), "no MAC"),
        (replaced("^(data|stringData)$", "^DATA$"), "encrypted_regex is not"),
        (replaced("mac_only_encrypted: true", "mac_only_encrypted: false"), "mac_only_encrypted"),
        (replaced("  admin-password", "  zadmin-password"), "not sorted"),
        (replaced("name: kasm-secrets", f"name: {enc('x')}"), "metadata.name"),
        (replaced("type: Opaque", f"type: {enc('x')}"), "type is encrypted"),
        (replaced(f"recipient: {ALICE}", f"recipient: {BOB}"), f"sealed to {BOB}, and not to {ALICE}"),
        (replaced('  empty: ""\n', ""), "lacks empty"),
        (replaced('  empty: ""\n', f'  empty: ""\n  extra: {enc("x")}\n'), "has extra, which did not go in"),
        (replaced("namespace: kasm", "namespace: other"), "its namespace is other and not kasm"),
        (replaced("2031-01-01", "2041-01-01"), "annotations are not the ones"),
    ],
)
def test_a_file_that_is_not_sealed_as_it_must_be_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(SecretError) as caught:
        sealed_file.verify(
            content,
            plain_keys=KEYS,
            recipients=TO_ALICE,
            name="kasm-secrets",
            namespace="kasm",
            annotations={"kasmgen.dev/not-after": "2031-01-01T00:00:00Z", "kasmgen.dev/revision": "abcdef0123456789"},
        )
    assert said in caught.value.message
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in repr(sealed_file.parse(content, "x"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no Secret"),
        (b"kind: ConfigMap\napiVersion: v1\n", "no Secret"),
        (FILE.split(b"sops:")[0], "not sealed"),
        (b"a: [", "not YAML"),
        (FILE + b"---\na: b\n", "2 YAML documents"),
        (b"\xff\xfe", "not UTF-8"),
        (b"<<<<<<< HEAD\n" + FILE, "not YAML"),
    ],
)
def test_what_is_no_sealed_secret_is_refused_by_its_name(content: bytes, said: str) -> None:
    with pytest.raises(SecretError, match=r"x\.sops\.yaml") as caught:
        sealed_file.parse(content, "x.sops.yaml")
    assert said in caught.value.message


# --- revision --------------------------------------------------------------


def test_the_revision_is_about_the_values_alone() -> None:
    revision = sealed_file.revision(FILE)
    assert len(revision) == 16
    assert int(revision, 16)
    for other in (
        replaced(f"recipient: {ALICE}", f"recipient: {BOB}"),
        replaced("2026-01-01", "2027-01-01"),
        replaced("2031-01-01", "2041-01-01"),
        replaced(enc("mac"), enc("other")),
    ):
        assert sealed_file.revision(other) == revision
    for other in (
        replaced(enc("one"), enc("other")),
        replaced('  empty: ""\n', ""),
        replaced("  empty:", "  filled:"),
        replaced("data:\n", "stringData:\n"),
    ):
        assert sealed_file.revision(other) != revision


# --- annotations -----------------------------------------------------------


def test_annotations_are_set_in_place_and_no_other_byte_changes() -> None:
    content = sealed_file.with_annotations(
        FILE, {"kasmgen.dev/revision": "0123456789012345", "kasmgen.dev/issued-by": "yes", "a": "2024-01-01"}
    )
    changed = FILE.decode().replace("abcdef0123456789", '"0123456789012345"')
    head, rest = changed.split("    kasmgen.dev/not-after")
    assert (
        content.decode()
        == f'{head}    a: "2024-01-01"\n    kasmgen.dev/issued-by: "yes"\n    kasmgen.dev/not-after{rest}'
    )


def test_the_same_annotations_again_are_the_same_bytes() -> None:
    assert sealed_file.with_annotations(FILE, {"kasmgen.dev/revision": "abcdef0123456789"}) == FILE
    assert sealed_file.with_annotations(FILE, {}) == FILE


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("  annotations:\n", "").replace("    kasmgen", "  # kasmgen"),
        lambda text: text.replace("  annotations:\n", "  annotations: {}\n").replace("    kasmgen", "  # kasmgen"),
        lambda text: text.replace("  annotations:\n", "  annotations:\n    # nothing yet\n").replace(
            "    kasmgen", "    # kasmgen"
        ),
    ],
)
def test_a_file_without_annotations_gets_them(change: Callable[[str], str]) -> None:
    content = sealed_file.with_annotations(change(FILE.decode()).encode(), {"b": "1", "a": "x: #y"})
    assert sealed_file.parse(content, "x").annotations == {"a": "x: #y", "b": "1"}
    assert sealed_file.problems(sealed_file.parse(content, "x")) == []
    assert sealed_file.revision(content) == sealed_file.revision(FILE)


def test_annotations_that_would_break_the_file_are_refused() -> None:
    with pytest.raises(InputError, match="line break"):
        sealed_file.with_annotations(FILE, {"a": "two\nlines"})
    with pytest.raises(InputError, match="encrypted"):
        sealed_file.with_annotations(FILE, {"data": "x"})
    with pytest.raises(SecretError, match="mac_only_encrypted"):
        sealed_file.with_annotations(replaced("mac_only_encrypted: true", "mac_only_encrypted: false"), {"a": "b"})
    flow = replaced("  annotations:\n", "  annotations: {a: b}\n").decode()
    lines = [line for line in flow.splitlines(keepends=True) if "kasmgen.dev" not in line]
    with pytest.raises(InputError, match="edited in place"):
        sealed_file.with_annotations("".join(lines).encode(), {"c": "d"})


@settings(deadline=None, max_examples=60)
@given(
    annotations=st.dictionaries(
        st.from_regex(r"[a-z]{1,8}(\.dev/[a-zA-Z0-9._-]{1,8})?", fullmatch=True).filter(lambda key: key != "data"),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=30),
        max_size=5,
    )
)
def test_any_annotations_read_back_as_they_were_given(annotations: dict[str, str]) -> None:
    content = sealed_file.with_annotations(FILE, annotations)
    read = sealed_file.parse(content, "x")
    assert read.annotations == {**sealed_file.parse(FILE, "x").annotations, **annotations}
    untouched = [line for line in FILE.decode().split("\n") if "kasmgen.dev" not in line]
    lines = content.decode().split("\n")
    assert [line for line in lines if line in untouched] == untouched
    assert sealed_file.with_annotations(content, annotations) == content


# --- manifest --------------------------------------------------------------


def test_a_manifest_is_a_secret_with_sorted_keys_and_base64_data() -> None:
    made = sealed_file.manifest(
        "tls",
        "kasm",
        "kubernetes.io/tls",
        {"tls.key": Secret(b"\x00\xff"), "tls.crt": Secret("ü")},
        {"b": "1", "a": "ö"},
        {"l": "x"},
    )
    text = made.reveal().decode()
    document = json.loads(text)
    assert document["data"] == {"tls.crt": "w7w=", "tls.key": "AP8="}
    assert text == json.dumps(document, sort_keys=True, ensure_ascii=False)
    assert document["metadata"] == {
        "name": "tls",
        "namespace": "kasm",
        "annotations": {"a": "ö", "b": "1"},
        "labels": {"l": "x"},
    }
    assert sealed_file.data_of(made) == {"tls.crt": Secret("ü"), "tls.key": Secret(b"\x00\xff")}
    assert "w7w" not in repr(made)


def test_labels_and_annotations_that_sops_would_encrypt_are_refused() -> None:
    for where in ("annotations", "labels"):
        with pytest.raises(InputError, match="stringData"):
            sealed_file.manifest("a", "b", "Opaque", {}, **{where: {"stringData": "x"}})


def test_the_data_of_a_secret_has_the_strings_over_it() -> None:
    plain = documents.dump({"kind": "Secret", "data": {"a": "YQ==", "b": "Yg=="}, "stringData": {"b": "new"}})
    assert sealed_file.data_of(Secret(plain)) == {"a": Secret("a"), "b": Secret("new")}
    assert json.loads(sealed_file.data_json({"b": Secret("x"), "a": Secret("")}).reveal()) == {"a": "", "b": "eA=="}


@pytest.mark.parametrize("plain", ["data: {a: hunter2!}", "data: [hunter2]", "hunter2", "data: {a: 7}", "a: [hunter2"])
def test_what_holds_no_data_is_refused_without_being_quoted(plain: str) -> None:
    with pytest.raises(SecretError) as caught:
        sealed_file.data_of(Secret(plain), "x.sops.yaml")
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
