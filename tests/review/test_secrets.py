"""What is told of Secrets, without a key and without a value."""

from __future__ import annotations

import base64
import json

import pytest

from kasmgen.kubernetes.resources import Object, Secret
from kasmgen.review.builds import compare_builds
from kasmgen.review.changes import ObjectChange, SecretChange
from kasmgen.review.mask import known_values, masker, wrap
from tests.review.builds import build, edited, plain, sealed


def told(old: Object | None, new: Object | None) -> SecretChange:
    (change,) = compare_builds(build(*([old] if old else [])), build(*([new] if new else [])))
    assert change.secret is not None
    return change.secret


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_sops_set_changes_one_value() -> None:
    old = sealed("db", {"password": "AAAA", "user": "BBBB"})
    secret = told(old, edited(old, ("data.password", "ENC[AES256_GCM,data:CC,iv:aXY=,tag:dGFn,type:str]")))
    assert secret.keys == (("password", "changed"), ("user", "same"))
    assert not secret.resealed


def test_a_value_that_was_empty_was_not_in_clear() -> None:
    assert told(sealed("db", {"a": ""}), sealed("db", {"a": "AAAA"})).keys == (("a", "changed"),)
    assert told(sealed("db", {"a": "AAAA"}), sealed("db", {"a": ""}, wrapped="k2")).keys == (("a", "changed"),)


def test_keys_come_and_go() -> None:
    secret = told(sealed("db", {"a": "AAAA", "b": "BBBB"}), sealed("db", {"b": "BBBB", "c": "CCCC"}))
    assert secret.keys == (("a", "removed"), ("b", "same"), ("c", "added"))


def test_a_new_data_key_is_a_resealing() -> None:
    secret = told(
        sealed("db", {"a": "AAAA", "b": "BBBB", "e": ""}),
        sealed("db", {"a": "XXXX", "b": "YYYY", "e": ""}, wrapped="k2"),
    )
    assert secret.resealed
    assert secret.keys == (("a", "resealed"), ("b", "resealed"), ("e", "same"))


def test_all_values_set_anew_under_the_same_data_key_are_changed() -> None:
    secret = told(sealed("db", {"a": "AAAA"}), sealed("db", {"a": "XXXX"}))
    assert not secret.resealed
    assert secret.keys == (("a", "changed"),)


def test_updatekeys_changes_the_recipients_only() -> None:
    old = sealed("db", {"a": "AAAA"}, recipients=("age1alice", "age1bob"))
    secret = told(old, sealed("db", {"a": "AAAA"}, wrapped="k9", recipients=("age1alice", "age1carol")))
    assert secret.keys == (("a", "same"),)
    assert (secret.recipients_added, secret.recipients_removed) == (("age1carol",), ("age1bob",))
    assert not secret.resealed


def test_certificates_are_told_by_their_annotations() -> None:
    def tls(not_after: str, names: str) -> Object:
        facts = {"not-before": "2026-01-01T00:00:00Z", "not-after": not_after, "dns-names": names}
        return sealed("tls", {"tls.crt": names}, annotations={f"kasmgen.dev/{k}": v for k, v in facts.items()})

    secret = told(tls("2027-01-01T00:00:00Z", "a.example"), tls("2028-01-01T00:00:00Z", "a.example,b.example"))
    assert secret.certificate_old is not None
    assert secret.certificate_new is not None
    assert (secret.certificate_old.names, secret.certificate_new.names) == (("a.example",), ("a.example", "b.example"))
    assert secret.certificate_new.not_after == "2028-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("old", "new", "state"),
    [
        ({"data": {"k": b64("one")}}, {"data": {"k": b64("two")}}, "changed"),
        ({"data": {"k": b64("one")}}, {"stringData": {"k": "one"}}, "same"),
        ({"data": {"k": b64("one")}}, {"data": {"k": b64("x")}, "stringData": {"k": "one"}}, "same"),
        ({}, {"stringData": {"k": "one"}}, "added"),
        ({"data": {"k": ""}}, {"data": {"k": b64("x")}}, "changed"),
    ],
)
def test_clear_secrets_are_compared_by_what_pods_get(old: Object, new: Object, state: str) -> None:
    assert told(plain("Secret", "s", **old), plain("Secret", "s", **new)).keys == (("k", state),)


def test_sealing_and_unsealing_are_told() -> None:
    clear = plain("Secret", "s", data={"k": b64("one")}, type="Opaque")
    assert told(clear, sealed("s", {"k": "AAAA"})).keys == (("k", "sealed"),)
    assert told(sealed("s", {"k": "AAAA"}), clear).keys == (("k", "unsealed"),)


def test_no_representation_of_a_change_shows_a_value() -> None:
    value = "hunter2-hunter2"
    old = plain("Secret", "s", data={"k": b64(value)}, stringData={"l": value})
    listed = plain("List", "l", items=[old])
    changes = compare_builds(build(old, listed), build(edited(old, ("stringData.l", "other-value")), listed))
    changes += compare_builds(build(), build(old, listed))
    for change in changes:
        text = (
            repr(change) + repr(change.new) + repr(change.old) + repr([list(vars(f).values()) for f in change.fields])
        )
        assert value not in text
        assert b64(value) not in text


def test_the_wrapping_survives_any_shape() -> None:
    for data in (None, "text", ["a"], {"k": 1}, {"k": None}, {"k": {"deep": "er"}}):
        assert wrap(plain("Secret", "s", data=data))["kind"] == "Secret"
    assert isinstance(wrap(plain("Secret", "s", data="clear text"))["data"], Secret)


# --- masking -------------------------------------------------------------


def test_known_values_are_masked_in_every_form() -> None:
    pem = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nBAQEFAASCBKcwggSjAgEA\n-----END PRIVATE KEY-----\n"
    login = json.dumps({"auths": {"r": {"auth": "dXNlcjpwYXNzd29yZA==", "password": "s3cret-pass"}}})
    values = ["hunter2-hunter2", pem, login, 'quo"te\\d-value']
    mask = masker(known_values([plain("Secret", "s", data={f"k{i}": b64(v) for i, v in enumerate(values)})]))
    text = "\n".join(
        [
            "url: postgres://u:hunter2-hunter2@db",
            b64("hunter2-hunter2"),
            "  " + pem.replace("\n", "\n    "),
            "s3cret-pass dXNlcjpwYXNzd29yZA==",
            json.dumps('quo"te\\d-value'),
        ]
    )
    masked = mask(text)
    for leak in ("hunter2", b64("hunter2-hunter2"), "MIIEvQIBAD", "BAQEFAAS", "s3cret", "dXNlcjp", "quo"):
        assert leak not in masked
    assert "postgres://u:" in masked


def test_short_values_are_not_masked() -> None:
    assert masker(known_values([plain("Secret", "s", stringData={"k": "kasm"})]))("kasm") == "kasm"


def test_an_unsealed_value_in_a_sealed_secret_is_known_too() -> None:
    half = edited(sealed("s", {"a": "AAAA"}), ("stringData", {"b": "left-in-clear"}))
    assert "left-in-clear" in known_values([half])


def test_the_changes_carry_the_values_of_both_builds() -> None:
    old = plain("Secret", "s", stringData={"k": "old-value"})
    changes: tuple[ObjectChange, ...] = compare_builds(build(old), build(edited(old, ("stringData.k", "new-value"))))
    assert {"old-value", "new-value"} <= changes[0].known
