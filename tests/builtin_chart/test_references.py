"""Everything that one object calls another by exists, in every combination of the toggles."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from tests.builtin_chart.conftest import PLAIN, Render, merged, parse, services
from tests.builtin_chart.references import problems

pytestmark = pytest.mark.tool

TOGGLES = ("kasmGuac", "rdpGateway", "rdpHttpsGateway", "kasmShare", "kasmRedis")
PASSWORD_KEYS = {
    "db-password",
    "redis-password",
    "manager-token",
    "service-token",
    "admin-password",
    "user-password",
}
TLS_KEYS = {"tls.crt", "tls.key"}
RENAMED = {
    name: {"name": short}
    for name, short in {
        "kasmProxy": "front",
        "db": "data-pg",
        "kasmApi": "api",
        "kasmManager": "mgr-12345678",
        "kasmGuac": "g",
        "rdpGateway": "rdp",
        "rdpHttpsGateway": "rdps",
        "kasmShare": "sh",
        "kasmRedis": "cache",
    }.items()
}


def toggled(*switches: bool) -> dict[str, Any]:
    return services(**{name: {"deploy": on} for name, on in zip(TOGGLES, switches, strict=True)})


@pytest.mark.parametrize("switches", list(product([True, False], repeat=len(TOGGLES))), ids=str)
def test_every_reference_resolves_with_every_combination_of_toggles(render: Render, switches: tuple[bool, ...]) -> None:
    for hardening in (True, False):
        # The generated Secrets are part of the render, so a missing one shows.
        values = merged(toggled(*switches), {"kasmApp": {"applyHardening": hardening}})
        assert problems(render(values)) == [], f"hardening {hardening}"


@pytest.mark.parametrize("size", ["small", "medium", "large"])
def test_every_reference_resolves_with_each_size(render: Render, size: str) -> None:
    assert problems(render({"kasmApp": {"deploymentSize": size}})) == []


@pytest.mark.parametrize("name", ["", "work", "a" * 40])
def test_every_reference_resolves_with_other_names(render: Render, name: str) -> None:
    """Components, prefix, namespace, release, certificates: none of the names is written down twice (D-17..D-20)."""
    values = merged(
        services(**RENAMED),
        {
            "global": {"namespace": "elsewhere", "hostname": "kasm.example.com"},
            "kasmApp": {"name": name},
            "kasmCerts": {c: {"name": f"{c.lower()}-tls"} for c in ("ingress", "kasmProxy", "rdpGateway", "db")},
        },
    )
    objects = render(values, release="another", namespace="default")
    assert problems(objects) == []
    assert {o["metadata"]["namespace"] for o in objects} == {"elsewhere"}


def test_every_reference_resolves_with_everything_switched_on(render: Render) -> None:
    values = {
        "global": {
            "hostname": "kasm.example.com",
            "image": {
                "pullSecrets": "login",
                "pullCredentials": {"registry": "r.example.com", "username": "u", "password": "p"},
            },
        },
        "ingress": {"apiBypass": True, "controller": "nginx", "className": "nginx"},
        "networkPolicy": {"extraEgress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]},
    } | services(rdpGateway={"expose": {"type": "LoadBalancer"}})
    assert problems(render(values)) == []


def test_existing_secrets_are_named_and_not_made(render: Render) -> None:
    values = merged(
        PLAIN,
        {"global": {"kasmPasswords": {"existingSecret": "mine"}, "image": {"existingSecret": "login"}}},
    )
    objects = render(values)
    assert not [o for o in objects if o["kind"] == "Secret"]
    outside = {"mine": PASSWORD_KEYS, "login": {".dockerconfigjson"}} | dict.fromkeys(
        ["kasm-ingress-cert", "kasm-nginx-proxy-cert", "kasm-rdpproxy-cert", "kasm-db-cert"], TLS_KEYS
    )
    assert problems(objects, outside) == []
    # The same check finds each of them missing: it looks at what is named.
    for name in outside:
        assert problems(objects, {k: v for k, v in outside.items() if k != name}), name


def test_the_service_account_can_be_another_one(render: Render) -> None:
    def account(**values: Any) -> set[str]:
        objects = render(merged(PLAIN, {"serviceAccount": values}))
        assert not [p for p in problems(objects) if "service account" in p]
        return {o["spec"]["template"]["spec"]["serviceAccountName"] for o in objects if o["kind"] == "Deployment"}

    assert account() == {"kasm"}
    assert account(name="own") == {"own"}
    assert account(create=False) == {"default"}


def test_a_duplicate_key_is_noticed() -> None:
    """What the renders above are read with."""
    assert parse("a: 1\nb: {c: 2}\n---\n---\nd: 3\n") == [{"a": 1, "b": {"c": 2}}, {"d": 3}]
    for text in ("a: 1\na: 2\n", "b:\n  c: 1\n  c: 1\n", "- {x: 1, 'x': 2}\n"):
        with pytest.raises(ValueError, match="stands twice"):
            parse(text)
