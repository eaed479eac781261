"""4xx: sealed files and leaks, on bytes."""

from __future__ import annotations

import base64
from typing import Any

import pyrage
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kasmgen.check.rule import run
from kasmgen.check.rules import inputs, leaks, sealed_files
from kasmgen.check.rules.leaks import Known, Text
from kasmgen.check.rules.sealed_files import SecretTree
from kasmgen.kubernetes.resources import Secret
from kasmgen.secrets import sops_config as sops_rules
from kasmgen.yaml import documents

ALICE = str(pyrage.x25519.Identity.generate().to_public())
BOB = str(pyrage.x25519.Identity.generate().to_public())
CIPHER = "ENC[AES256_GCM,data:YWJj,iv:YWJj,tag:YWJj,type:str]"
PATH = "overlays/prod/secrets/s.sops.yaml"
CONFIG = sops_rules.add_environment(sops_rules.initial([]), "prod", [ALICE])


def sealed(recipients: tuple[str, ...] = (ALICE,), data: Any = None, **sops: Any) -> bytes:
    block = {
        "age": [{"recipient": recipient, "enc": "x"} for recipient in recipients],
        "mac": CIPHER,
        "encrypted_regex": "^(data|stringData)$",
        "mac_only_encrypted": True,
    }
    document = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": "kasm"},
        "data": {"a": CIPHER, "b": CIPHER} if data is None else data,
        "sops": block | sops,
    }
    return documents.dump(document).encode()


def found(content: bytes = b"", path: str = PATH, config: bytes | None = CONFIG, **tree: Any) -> list[str]:
    files = (sealed_files.read(path, content or sealed()),)
    resources = {"prod": frozenset(["secrets/s.sops.yaml"])}
    context = SecretTree(**{"files": files, "config": config, "resources": resources, **tree})
    return sorted(finding.rule for finding in run(sealed_files.RULES, context))


def test_a_file_as_kasmgen_seals_it_is_sound() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"kind: [", ["KG401"]),
        (b"\xff\xfe", ["KG401"]),
        (b"a: 1\n---\nb: 2\n", ["KG401"]),
        (b"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: Yg==}\n", ["KG401"]),
        (b"apiVersion: v1\nkind: ConfigMap\nsops: {mac: x}\n", ["KG401"]),
        (sealed(data=["x"]), ["KG401"]),
        (sealed(data={"a": "Yg=="}), ["KG402"]),
        (sealed(data={"a": 5432}), ["KG402"]),
        (sealed(data={"a": ""}), []),
        (sealed(mac=""), ["KG403"]),
        (sealed(mac_only_encrypted=False), ["KG403"]),
        (sealed(encrypted_regex=".*"), ["KG403"]),
        (sealed((ALICE, BOB)), ["KG404"]),
        (sealed((BOB,)), ["KG404"]),
        (sealed(()), ["KG403"]),
    ],
)
def test_what_is_wrong_with_a_sealed_file(content: bytes, expected: list[str]) -> None:
    assert found(content) == expected


def test_who_can_read_too_much_and_who_cannot_read_is_named() -> None:
    context = SecretTree(
        (sealed_files.read(PATH, sealed((BOB,))),), CONFIG, {"prod": frozenset(["secrets/s.sops.yaml"])}
    )
    message = next(finding.message for finding in run(sealed_files.RULES, context) if finding.rule == "KG404")
    assert f"{BOB} can read it" in message
    assert f"{ALICE} cannot read it" in message


def test_keys_that_are_not_sorted_break_the_mac_in_the_build() -> None:
    text = sealed().decode().replace("  a:", "  z:")
    assert found(text.encode()) == ["KG403"]


def test_rules_of_sops() -> None:
    shadow = CONFIG.replace(b"creation_rules:\n", f"creation_rules:\n  - path_regex: .*\n    age: {ALICE}\n".encode())
    assert found(config=shadow) == ["KG405"]
    assert found(config=sops_rules.add_environment(sops_rules.initial([]), "dev", [ALICE])) == ["KG404", "KG405"]
    assert found(config=None) == ["KG405"]
    assert found(path="other/x.sops.yaml", config=CONFIG) == ["KG404"]


def test_an_overlay_lists_its_sealed_files() -> None:
    assert found(resources={}) == ["KG406"]
    assert found(resources={"prod": frozenset(["secrets"])}) == []
    assert sealed_files.resources_of(b"resources: [./secrets/s.sops.yaml]", "x") == {"secrets/s.sops.yaml"}
    assert sealed_files.resources_of(b"resources: [", "x") == frozenset()


def test_no_secret_stands_in_clear_beside_its_sealed_form() -> None:
    assert found(plain={("kasm", "s"): "base/x.yaml"}) == ["KG407"]
    assert found(plain={("", "s"): "base/x.yaml"}) == ["KG407"]
    assert found(plain={("kasm", "s"): "overlays/dev/x.yaml"}) == []
    assert found(plain={("other", "s"): "base/x.yaml"}) == []


def test_broken_files_and_twins() -> None:
    assert found(broken={PATH: "the file was changed"}) == ["KG408"]
    twin = (sealed_files.read(PATH, sealed()), sealed_files.read("overlays/prod/secrets/t.sops.yaml", sealed()))
    listed = {"prod": frozenset(["secrets/s.sops.yaml", "secrets/t.sops.yaml"])}
    assert found(files=twin, resources=listed) == ["KG409"]
    other = sealed_files.read("overlays/dev/secrets/t.sops.yaml", sealed())
    config = sops_rules.add_environment(CONFIG, "dev", [ALICE])
    assert found(files=(twin[0], other), config=config, resources={**listed, "dev": frozenset(["secrets"])}) == []


# --- leaks -------------------------------------------------------------------


def leaked(content: str | bytes | None, path: str = "x.yaml", **fields: Any) -> list[str]:
    data = content.encode() if isinstance(content, str) else content
    return sorted(finding.rule for finding in run(leaks.RULES, Text(path, data, **fields)))


SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{SECRET}data: {{a: Yg==}}\n", ["KG411"]),
        (f"{SECRET}stringData: {{a: 1}}\n", ["KG411"]),
        (f"{SECRET}data: {{}}\n", []),
        (f"{SECRET}data: {{a: '{CIPHER}'}}\n", []),
        (f"{SECRET}data: {{a: 'ENC[AES256_GCM,data:in clear]'}}\n", ["KG411"]),
        (f"a: 1\n---\n{SECRET}data: {{a: Yg==}}\n", ["KG411"]),
        ('{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "Yg=="}}', ["KG411"]),
        ("kind: List\nitems: [{kind: Secret, metadata: {name: s}, data: {a: Yg==}}]\n", ["KG411"]),
        ("kind: SecretList\nitems: [{metadata: {name: s}, data: {a: Yg==}}]\n", ["KG411"]),
        ("kind: &k Secret\nmetadata: {name: s}\ndata: {a: Yg==}\n", ["KG411"]),
        ("kind: Secret\ndata: {{ .Values.x }}\n", ["KG411"]),
        ("kind: ConfigMap\ndata: {a: my Secret}\n", []),
        ("kind: SealedSecret\nspec: {encryptedData: {a: b}}\n", []),
    ],
)
def test_secrets_in_clear(text: str, expected: list[str]) -> None:
    assert leaked(text) == expected
    assert leaked(text, "notes.md") == []
    assert leaked(text, in_chart=True) == []


def pem(kind: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode()


@pytest.mark.parametrize("kind", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
def test_private_keys_in_every_dress(kind: serialization.PrivateFormat) -> None:
    key = pem(kind)
    indented = "data:\n  k: |\n" + "".join(f"    {line}\n" for line in key.splitlines())
    for dress in (key, indented, key.replace("\n", "\\n"), key.replace("\n", "\r\n"), f'k: "{key.encode()!r}"'):
        assert leaked(dress, "any.txt") == ["KG412"]
    assert leaked(f"k: {base64.b64encode(key.encode()).decode()}\n") == ["KG412"]


def test_age_keys_and_what_only_looks_like_a_key() -> None:
    identity = str(pyrage.x25519.Identity.generate())
    assert leaked(f"# {identity}\n", "keys.txt") == ["KG412"]
    assert leaked(base64.b64encode(identity.encode()), "keys.txt") == ["KG412"]
    assert leaked("It begins with -----BEGIN PRIVATE KEY----- and AGE-SECRET-KEY-1...\n", "README.md") == []
    assert leaked(f"age: {ALICE}\n") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('password: "**SOPS**"\n', ["KG413"]),
        ("password: '***'\n", ["KG413"]),
        ("password: Secret(***)\n", ["KG413"]),
        (f"password: {base64.b64encode(b'**SOPS**').decode()}\n", ["KG413"]),
        ("glob: 'a/**'\n", []),
        ("# ***\n", []),
        ("path: '/***/x'\n", []),
    ],
)
def test_masks(text: str, expected: list[str]) -> None:
    assert leaked(text) == expected
    assert leaked(text, "README.md") == []


def test_known_values_are_found_as_they_are_and_in_base64_and_never_shown() -> None:
    value = "q7Rt5Yw2Pz9Lk3Vb8Nd4"
    known = Known.of({"password in s": Secret(value)})
    for text in (f"x {value} y", base64.b64encode(value.encode()).decode(), f"postgres://user:{value}@db/x"):
        findings = list(run(leaks.RULES, Text("notes.txt", text.encode(), known=known)))
        assert [finding.rule for finding in findings] == ["KG414"]
        assert value not in str(findings)
        assert "password in s" in findings[0].message
    assert leaked("something else 1234567890", "notes.txt", known=known) == []
    assert leaked(value, PATH, known=known) == []


def test_short_values_and_certificates_are_not_looked_for() -> None:
    known = Known.of({"a": Secret("kasm"), "tls.crt": Secret("-----BEGIN CERTIFICATE-----\nMIIBabcdefghijkl\n")})
    assert leaked("kasm MIIBabcdefghijkl", "x.txt", known=known) == []


def test_a_file_that_is_too_large_is_said_to_be() -> None:
    assert leaked(None) == ["KG415"]


def test_a_value_of_an_input_file_that_looks_like_a_secret_is_named_and_not_shown() -> None:
    file = "overlays/prod/environment.yaml"
    findings = list(run(inputs.RULES, inputs.Inputs({file: ("db.password",), "kasmgen.yaml": ()})))
    assert [(item.rule, item.path, item.environment) for item in findings] == [("KG416", file, "prod")]
    assert "values.db.password" in findings[0].message


def test_configmaps_and_environment_variables_of_a_build() -> None:
    key = pem()
    container = {"name": "c", "env": [{"name": "K", "value": key}, {"name": "M", "value": "***"}, {"name": "N"}]}
    objects = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"k": key}},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "n"},
            "binaryData": {"k": base64.b64encode(key.encode()).decode()},
        },
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}},
    ]
    texts = [Text("x", value, "prod", shown, part) for shown, part, value in leaks.values_of(objects)]
    hits = [(finding.rule, finding.object) for text in texts for finding in run(leaks.RULES, text)]
    assert hits == [("KG412", "ConfigMap m"), ("KG412", "ConfigMap n"), ("KG412", "Pod p"), ("KG413", "Pod p")]
