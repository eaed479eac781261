"""Text that comes from outside cannot steer a terminal, hide, or pass for other text."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasmgen import safe_text

# Signs of Arabic, Syriac and Kaithi numbers, and joiners of hieroglyphs: format characters that are drawn.
DRAWN = {
    *range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13440),
}  # fmt: skip


def test_every_character_that_is_not_drawn_is_written_out() -> None:
    kept = [
        f"{code:04x}"
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")
        and code not in DRAWN
        and safe_text.escaped(chr(code)) == chr(code)
    ]
    assert kept == [f"{ord(' '):04x}"]


@pytest.mark.parametrize("text", ["plain text, (with) \\ and ~", "é ß 例え Ω", "🎉", "-1.5e3", ""])
def test_what_is_drawn_stays(text: str) -> None:
    assert safe_text.escaped(text) == text
    assert safe_text.escaped_lines(text) == text


def test_what_could_steer_a_terminal_is_shown_escaped() -> None:
    text = "a\x1b[31m\n\x85\u202eb\ufeff\udce9é\U000e0041\r\t"
    assert safe_text.escaped(text) == r"a\x1b[31m\n\x85\u202eb\ufeff\udce9é\U000e0041\r\t"
    assert safe_text.escaped_lines(text) == "a\\x1b[31m\n\\x85\\u202eb\\ufeff\\udce9é\\U000e0041\\r\t"


@given(st.text())
def test_escaped_text_is_one_line_that_can_be_encoded_and_stays_as_it_is(text: str) -> None:
    once = safe_text.escaped(text)
    once.encode()
    assert len(once.splitlines()) <= 1
    assert safe_text.escaped(once) == safe_text.escaped_lines(once) == once


@given(st.text())
def test_lines_and_tabs_stay_where_they_are_wanted(text: str) -> None:
    assert safe_text.escaped_lines(text) == "\n".join(
        "\t".join(safe_text.escaped(cell) for cell in line.split("\t")) for line in text.split("\n")
    )


def test_long_text_is_shortened_and_short_text_kept() -> None:
    assert safe_text.shown("x" * 80) == "x" * 80
    assert safe_text.shown("x" * 10**7) == "x" * 77 + "..."
