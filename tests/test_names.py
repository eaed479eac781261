"""Names, hosts, addresses and durations that people give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kasmgen import names
from kasmgen.errors import InputError
from kasmgen.safe_text import escaped

CHECKS: list[Callable[[str, str], Any]] = [
    names.dns_label,
    names.release_name,
    names.dns_name,
    names.hostname,
    names.address,
    names.duration,
    lambda text, what: names.hostname(text, what, wildcard=True),
    lambda text, what: names.one_of(text, ("small",), what),
]


@given(st.sampled_from(CHECKS), st.text(max_size=200))
@settings(deadline=None, max_examples=300)
def test_every_refusal_names_the_option_and_prints(check: Callable[[str, str], Any], text: str) -> None:
    try:
        check(text, "--option")
    except InputError as error:
        assert error.message.startswith("--option: ")
        assert escaped(error.message) == error.message
        assert len(error.message) < 350


# --- labels and names ------------------------------------------------------------------


@pytest.mark.parametrize("text", ["a", "0", "a-b", "prod", "a" * 63])
def test_dns_labels_are_taken_as_they_are(text: str) -> None:
    assert names.dns_label(text, "NAME") == text


@pytest.mark.parametrize("text", ["", "A", "a_b", "-a", "a-", "a.b", "a" * 64, "a\n", "ä", "../x", "a b", "\u0661"])
def test_what_is_no_dns_label_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"NAME: .* is no DNS label"):
        names.dns_label(text, "NAME")


def test_release_names_end_at_53_characters() -> None:
    assert names.release_name("a" * 53, "--release") == "a" * 53
    with pytest.raises(InputError, match="longer than the 53 characters"):
        names.release_name("a" * 54, "--release")


@pytest.mark.parametrize(
    ("text", "name"), [("cluster.local", "cluster.local"), ("cluster.local.", "cluster.local"), ("a", "a")]
)
def test_dns_names_lose_one_dot_at_the_end(text: str, name: str) -> None:
    assert names.dns_name(text, "x") == name


@pytest.mark.parametrize("text", ["", ".", "a..b", "a..", ".a", "A.b", "a.-b", "a." * 130 + "a", "a.b\n"])
def test_what_is_no_dns_name_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no DNS name"):
        names.dns_name(text, "x")


# --- host names ----------------------------------------------------------------------------


def wide(text: str) -> str:
    """ASCII as East Asian keyboards write it, in full width."""
    return "".join(chr(ord(char) + 0xFEE0) for char in text)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Kasm.Example.COM", "kasm.example.com"),
        ("kasm.example.com.", "kasm.example.com"),
        (" kasm.example.com\n", "kasm.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("straße.de", "xn--strae-oqa.de"),
        ("STRAẞE.de", "xn--strae-oqa.de"),
        ("ΒΌΛΟς.example", "xn--nxasmm1c.example"),
        (wide("Kasm.Example."), "kasm.example"),
        ("bücher.example。", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("localhost", "localhost"),
        ("10.example.com", "10.example.com"),
        (f"{'a' * 63}.example.com", f"{'a' * 63}.example.com"),
    ],
)
def test_host_names_become_what_dns_has(text: str, host: str) -> None:
    assert names.hostname(text, "--hostname") == host
    assert names.hostname(host, "--hostname") == host


@pytest.mark.parametrize(
    "text", ["10.0.0.1", "::1", "[::1]", "fe80::1%eth0", "2001:db8::5", "256.1.1.1", "10.0.0.1.", wide("10.0.0.1")]
)
def test_addresses_are_refused_as_host_names(text: str) -> None:
    with pytest.raises(InputError, match="is an address") as caught:
        names.hostname(text, "--hostname")
    assert "--ingress-ip" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ".", "*", "a..b", "-a.example", "a_b.example", "a b.example", "a\x00b.example", "*.example.com"),
        *("https://a.example", "a.example:443", "a/b", "a" * 64 + ".example", "ü" * 60 + ".example"),
        *(
            ".".join(["abcdefgh"] * 30),
            "0..",
            "a.example..",
            "ü.example..",
            "ü.example.。",
            "a\u200db.example",
            "ü" * 5000,
        ),
    ],
)
def test_what_is_no_host_name_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--hostname: .* is no host name"):
        names.hostname(text, "--hostname")


def test_a_name_that_idna_does_not_know_can_still_be_given_as_dns_has_it() -> None:
    with pytest.raises(InputError) as caught:
        names.hostname("👍.example", "--hostname")
    assert "xn--" in caught.value.hint
    assert names.hostname("xn--yp8h.example", "--hostname") == "xn--yp8h.example"


def test_a_wildcard_is_for_alternate_names_only_and_in_front_only() -> None:
    assert names.hostname("*.Kasm.example", "--alt-hostname", wildcard=True) == "*.kasm.example"
    assert names.hostname("kasm.example", "--alt-hostname", wildcard=True) == "kasm.example"
    for text in ("*", "*.", "*.*.example", "a.*.example", "**.example", "*a.example", "*.10.0.0.1"):
        with pytest.raises(InputError):
            names.hostname(text, "--alt-hostname", wildcard=True)


@given(st.text("abA-.。éüßς例\u0661\u200d\u00ad*_ \n0" + wide("bc.1"), min_size=1, max_size=20))
@example("0..")
@settings(deadline=None, max_examples=300)
def test_a_host_name_that_was_taken_is_taken_again_unchanged(text: str) -> None:
    try:
        host = names.hostname(text, "x", wildcard=True)
    except InputError:
        return
    assert names.hostname(host, "x", wildcard=True) == host
    assert names.dns_name(host.removeprefix("*."), "x") == host.removeprefix("*.")


# --- addresses, durations, choices -------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [("10.0.0.1", "10.0.0.1"), (" 10.0.0.1 ", "10.0.0.1"), ("2001:DB8:0::5", "2001:db8::5"), ("::1", "::1")],
)
def test_addresses_get_their_canonical_spelling(text: str, address: str) -> None:
    assert names.address(text, "--ingress-ip") == address


@pytest.mark.parametrize(
    "text", ["", "10.0.0", "10.0.0.256", "010.0.0.1", "10.0.0.1/24", "kasm.example", "fe80::1%eth0"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--ingress-ip: .* is no IP address"):
        names.address(text, "--ingress-ip")


def test_durations_are_those_of_flux() -> None:
    for text in ("30s", "1h30m", "1.5h", "100ms", "10m"):
        assert names.duration(text, "x") == text
    for text in ("", "1d", "30", "s", "-1s", "1 h", "1h\n", "1.h", "\u0661s"):
        with pytest.raises(InputError, match="is no duration"):
            names.duration(text, "x")


def test_a_choice_is_one_of_those_named() -> None:
    assert names.one_of("small", ("small", "large"), "--size") == "small"
    with pytest.raises(InputError, match=r"--size: 'tiny\\n' is none of small, large"):
        names.one_of("tiny\n", ("small", "large"), "--size")
