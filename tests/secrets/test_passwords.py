"""Passwords: every character equally likely, and only those that Kasm's scripts bear."""

from __future__ import annotations

from collections import Counter

import pytest

from kasmgen.kubernetes.resources import Secret
from kasmgen.secrets import passwords
from tests.some import some


def test_a_password_has_26_letters_and_digits() -> None:
    made = {passwords.generate().reveal().decode() for _ in range(50)}
    assert len(made) == 50
    assert all(len(text) == 26 and set(text) <= set(passwords.ALPHABET) for text in some(made))


def test_over_all_bytes_every_character_comes_up_equally_often() -> None:
    seen: Counter[str] = Counter()
    refused = 0
    for byte in range(256):
        answers = iter([bytes([byte]) * 26, bytes(26)])
        text = passwords.generate(lambda _, answers=answers: next(answers)).reveal().decode()  # type: ignore[misc]
        if next(answers, None) is None:
            refused += 1
        else:
            seen[text[0]] += 1
    assert refused == 256 % 62
    assert set(seen.values()) == {4}
    assert set(seen) == set(passwords.ALPHABET)


def test_the_random_source_alone_decides() -> None:
    assert passwords.generate(lambda count: bytes(range(count))).reveal() == b"abcdefghijklmnopqrstuvwxyz"


def test_what_is_generated_is_accepted() -> None:
    assert passwords.check(passwords.generate()) == []
    for value in ("Kasm_admin-7", "P@ssw0rd!", "$HOME#1", "schlüssel"):
        assert passwords.check(Secret(value)) == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "empty"),
        ("two words", "break on"),
        ('quo"te', "break on"),
        ("100%sure", "break on"),
        ("back\\slash", "break on"),
        ("star*", "break on"),
        ("bell\x07", "break on"),
        ("trailing\n", "line break"),
        ("-rf", "option"),
        ("x" * 129 + "y", "longer"),
        ("**SOPS**", "placeholder"),
        ("changeme", "placeholder"),
        ("<redacted>", "placeholder"),
        ("ENC[AES256_GCM,data:x]", "placeholder"),
        ("${PASSWORD}", "placeholder"),
    ],
)
def test_a_password_that_would_not_work_is_refused_without_being_quoted(value: str, reason: str) -> None:
    problems = passwords.check(Secret(value))
    assert any(reason in problem for problem in problems), problems
    assert not value or all(value not in problem for problem in problems)


def test_bytes_that_are_no_text_are_no_password() -> None:
    assert passwords.check(Secret(b"\xff\xfe")) == ["it is not UTF-8 text"]


@pytest.mark.parametrize("value", ["***", "****", "**redacted**", "REDACTED", "(sensitive value)", "xxxx"])
def test_masks_of_other_tools_are_known(value: str) -> None:
    assert passwords.is_placeholder(Secret(value))


@pytest.mark.parametrize("value", ["Password1", "todolist", "xxx1", "redactedness", "encore"])
def test_real_values_are_no_masks(value: str) -> None:
    assert not passwords.is_placeholder(Secret(value))
