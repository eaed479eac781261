"""What looks like a secret by its name or by what stands in it, and what only speaks of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from kasmgen.chart import secret_names

SECRETS = (
    "password rootPassword DB_PASSWORD dbPass adminpassword pw passphrase token apiToken APIToken githubtoken "
    "clientSecret secret secretKey secretAccessKey apiKey api-key privateKey credentials password1 passwordHash "
    "tokens webhookSecret encryptionKey "
)

OTHERS = (
    "existingSecret existingsecret secretName tokenSeconds passwordPolicy keyRef secretRef passwordSecretRef "
    "adminPasswordSecretKey passwordKey userPasswordKey imagePullSecrets maxTokens tokenCount passwordMinLength "
    "tokenExpirationSeconds automountServiceAccountToken useToken key tls compass bypass accessKeyId "
    "secretNamespace existingSecretPasswordKey secretsStore tokenUrl privateKeyPath passwordFile author replicas "
    "keyboard "
)


@pytest.mark.parametrize("name", SECRETS.split())
def test_names_of_secrets(name: str) -> None:
    assert secret_names.sounds_secret(name)


@pytest.mark.parametrize("name", OTHERS.split())
def test_names_of_other_things(name: str) -> None:
    assert not secret_names.sounds_secret(name)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"db": {"password": "x"}}, ["db.password"]),
        ({"pin": {"token": 7}}, ["pin.token"]),
        ({"passwords": {"admin": "x", "enabled": True, "name": "n"}}, ["passwords.admin"]),
        ({"password": {"value": "x", "key": "k"}}, ["password.value"]),
        ({"extraEnv": [{"name": "DB_PASSWORD", "value": "x"}, {"name": "LEVEL", "value": "x"}]}, ["extraEnv.0.value"]),
        ({"users": [{"name": "a", "password": "x"}]}, ["users.0.password"]),
        ({"tokens": ["a", "b"]}, ["tokens"]),
        ({"dsn": "postgres://u:x1@h/d", "home": "https://h/@x"}, ["dsn"]),
        ({"tls": {"key": f"-----BEGIN PRIVATE KEY-----\n{'MIIEvQIBADANBgkq' * 4}\n"}}, ["tls.key"]),
        ({"password": "", "token": None, "secret": True, "apiKey": "false", "pw": "$(PW)", "pass": "${PW}"}, []),
        ({"dsn": "postgres://u:$(PW)@h/d"}, []),
        ({"imagePullSecrets": ["login"], "secrets": {"create": "yes", "name": "n"}}, []),
    ],
)
def test_values_that_look_like_secrets(given: Mapping[str, Any], found: list[str]) -> None:
    assert [".".join(path) for path in secret_names.in_clear(given, {})] == found


def test_what_the_chart_has_itself_or_people_say_is_none_is_left_alone() -> None:
    given = {"password": "known", "token": "x", "other": {"token": "y"}}
    assert secret_names.in_clear(given, {"password": "known"}, ["other.token"]) == [("token",)]
