"""`.sops.yaml`: the first match counts, and nobody else's entry changes by one byte."""

from __future__ import annotations

import json

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kasmgen.errors import InputError, SecretError
from kasmgen.secrets import sops_config
from kasmgen.secrets.recipients import Recipients, of_metadata, of_rule
from kasmgen.yaml import documents

# Recipients whose identities nobody kept.
ALICE = "age13q3kdf32ud8gp65sn466aac0wccxja9w504jcveygytmy3wpmp9szjftzx"
BOB = "age1t9rcm3m0z2j8x20hved6x0ry9de6f2e5493q7fdd8qdc3an0rgsq93axvh"
CAROL = "age156mhxu9k09vekrjgqfn45q2h3wuxc45gdyw9fae6jcp7czsjgfwqz42w7j"
MISTYPED = f"{ALICE[:-1]}{'p' if ALICE[-1] == 'q' else 'q'}"
SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN"
PLUGIN = "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t"
FINGERPRINT = "85D77543B3D624B63CEA9E6DBC17301B491B3F21"
PROD = "overlays/prod/secrets/kasm-secrets.sops.yaml"

TEAM = f"""\
# Our keys; ask Ops before a change.  ö 🔑
keys:
  - &ops {ALICE}   # the team
  - &ci  {BOB}

creation_rules:
    # Terraform first.
    - path_regex: ^terraform/.*\\.yaml$
      pgp: '{FINGERPRINT}'
    # Two people for the vault.
    - path_regex: ^vault/
      shamir_threshold: 2
      key_groups:
        - age: [*ops]
        - age:
          - *ci

    # Everything else.

    # Really everything.
    - age: "{CAROL},"   # no path_regex
# The end.
"""


def regexes(content: bytes) -> list[str]:
    return [rule.path_regex for rule in sops_config.parse(content)]


def own(env: str) -> str:
    return rf"(^|/)overlays/{env}/secrets/[^/]+\.sops\.yaml$"


# --- reading ---------------------------------------------------------------


def test_rules_are_read_with_their_lines_and_recipients() -> None:
    terraform, vault, rest = sops_config.parse(TEAM.encode())
    assert [rule.line for rule in (terraform, vault, rest)] == [8, 11, 21]
    assert terraform.recipients.others == (f"pgp:{FINGERPRINT}",)
    assert vault.recipients == Recipients.of([[BOB], [ALICE]], 2)
    assert rest.recipients.age == (CAROL,)
    assert str(terraform) == r"rule 1 (line 8, path_regex ^terraform/.*\.yaml$)"
    assert "matches everything" in str(rest)


def test_the_first_rule_that_matches_counts() -> None:
    content = TEAM.encode()
    assert sops_config.recipients_for(content, "vault/x.yaml") == Recipients.of([[ALICE], [BOB]])
    assert sops_config.recipients_for(content, "terraform/a.yaml").others
    assert sops_config.recipients_for(content, "other").age == (CAROL,)


def test_a_path_without_a_rule_or_recipient_is_an_error() -> None:
    with pytest.raises(SecretError, match="no rule for"):
        sops_config.recipients_for(sops_config.initial(), PROD)
    with pytest.raises(SecretError, match="names no recipient"):
        sops_config.recipients_for(b"creation_rules:\n- path_regex: prod\n", PROD)
    assert sops_config.matching_rule(b"", PROD) is None
    assert sops_config.matching_rule(b"creation_rules:\n", PROD) is None


@pytest.mark.parametrize(
    "text",
    ["creation_rules: 7", "creation_rules: {a: b}", "creation_rules: [a]", "- a\n", "- {age: x}\n", "a: [", "\xff"],
)
def test_a_file_that_sops_would_not_read_is_an_input_error(text: str) -> None:
    with pytest.raises(InputError, match=r"\.sops\.yaml"):
        sops_config.parse(text.encode("latin-1"))


def test_a_regular_expression_that_go_refuses_names_its_rule() -> None:
    content = b"creation_rules:\n- path_regex: a(?!b)\n  age: x\n"
    with pytest.raises(InputError, match=r"rule 1 \(line 2, path_regex a\(\?!b\)\) cannot be read"):
        sops_config.matching_rule(content, PROD)


def test_every_kind_of_key_compares_between_rule_and_sealed_file() -> None:
    rule = {
        "age": f"{BOB},{ALICE}",
        "pgp": [FINGERPRINT.lower(), FINGERPRINT],
        "kms": "arn:aws:kms:us-east-1:656532927350:key/920aff2e+arn:aws:iam::927034868273:role/sops",
        "gcp_kms": ["projects/p/locations/global/keyRings/r/cryptoKeys/k"],
        "azure_keyvault": "https://v.vault.azure.net/keys/k/0123",
        "hc_vault_transit_uri": "https://vault.example.org:8200/v1/transit/keys/dev",
        "hckms": ["tr-west-1:abc"],
    }
    metadata = {
        "age": [{"recipient": ALICE, "enc": "x"}, {"recipient": BOB, "enc": "x"}],
        "pgp": [{"fp": FINGERPRINT, "enc": "x", "created_at": "2024-01-01T00:00:00Z"}],
        "kms": [{"arn": "arn:aws:kms:us-east-1:656532927350:key/920aff2e", "role": "arn:aws:iam::1:role/sops"}],
        "gcp_kms": [{"resource_id": "projects/p/locations/global/keyRings/r/cryptoKeys/k"}],
        "azure_kv": [{"vault_url": "https://v.vault.azure.net", "name": "k", "version": "4567"}],
        "hc_vault": [{"vault_address": "https://vault.example.org:8200", "engine_path": "transit", "key_name": "dev"}],
        "hckms": [{"key_id": "tr-west-1:abc"}],
        "lastmodified": "2024-01-01T00:00:00Z",
        "mac": "ENC[...]",
    }
    assert of_rule(rule) == of_metadata(metadata)
    group = {
        "merge": [{"age": [BOB]}],
        "age": [ALICE],
        "pgp": [FINGERPRINT],
        "kms": [{"arn": "arn:aws:kms:us-east-1:656532927350:key/920aff2e"}],
        "gcp_kms": [{"resource_id": "projects/p/locations/global/keyRings/r/cryptoKeys/k"}],
        "azure_keyvault": [{"vaultUrl": "https://v.vault.azure.net", "key": "k", "version": ""}],
        "hc_vault": ["https://vault.example.org:8200/v1/transit/keys/dev"],
        "hckms": [{"key_id": "tr-west-1:abc"}],
    }
    assert of_rule({"key_groups": [group], "age": CAROL}) == of_metadata(metadata)


def test_a_key_of_an_unknown_kind_is_somebody() -> None:
    known = {"age": [{"recipient": ALICE, "enc": "x"}]}
    assert of_metadata(known) != of_metadata({**known, "quantum": [{"id": "q", "enc": "x"}]})


def test_the_number_of_groups_that_are_needed_is_part_of_who_can_open() -> None:
    assert Recipients.of([[ALICE], [BOB]], 2) == Recipients.of([[BOB], [ALICE]])
    assert Recipients.of([[ALICE], [BOB]], 1) != Recipients.of([[ALICE], [BOB]], 2)
    assert Recipients.of([[ALICE, BOB]]) != Recipients.of([[ALICE], [BOB]])


def test_the_comment_of_an_ssh_key_says_nothing_about_who() -> None:
    assert of_rule({"age": [f"{SSH} me@laptop"]}).age == (SSH,)


# --- check_recipient -------------------------------------------------------


@pytest.mark.parametrize("text", [ALICE, f"  {ALICE}\n", PLUGIN, SSH, f"{SSH} me@laptop"])
def test_recipients_that_sops_takes_are_accepted(text: str) -> None:
    assert sops_config.check_recipient(text) == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "age1",
        ALICE[:-1],
        ALICE.upper(),
        MISTYPED,
        "ssh-ed25519 AAAA",
        PLUGIN[:-2],
        "bob@example.com",
        FINGERPRINT,
    ],
)
def test_what_is_no_recipient_is_refused_by_the_options_name(text: str) -> None:
    with pytest.raises(InputError, match="--recipient"):
        sops_config.check_recipient(text)


def test_a_private_key_given_as_recipient_is_never_echoed() -> None:
    private = str(pyrage.x25519.Identity.generate())
    for text in (private, private.lower(), "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz"):
        with pytest.raises(InputError, match="private key") as caught:
            sops_config.check_recipient(text)
        assert text[20:] not in caught.value.message + caught.value.hint


# --- writing ---------------------------------------------------------------


def test_a_new_file_has_no_catch_all_and_two_spaces() -> None:
    document = documents.load(sops_config.initial().decode())
    assert document == {"stores": {"yaml": {"indent": 2}}, "creation_rules": []}


def test_new_environments_take_their_recipients_from_the_default_rule() -> None:
    content = sops_config.add_environment(sops_config.initial([ALICE, BOB, ALICE]), "prod")
    assert sops_config.require_own_rule(content, "prod").recipients == Recipients.of([[ALICE, BOB]])
    assert sops_config.matching_rule(content, "elsewhere/prod/secrets/a.sops.yaml") is None
    for nobody in (sops_config.initial(), sops_config.add_environment(sops_config.initial(), "prod", [ALICE])):
        with pytest.raises(InputError, match="no recipient"):
            sops_config.add_environment(nobody, "dev")


def test_a_file_of_other_people_gets_a_default_rule_once() -> None:
    content = sops_config.add_default(sops_config.add_environment(TEAM.encode(), "prod", [ALICE]), [BOB, f"{SSH} me"])
    assert sops_config.require_own_rule(sops_config.add_environment(content, "next"), "next").recipients.age == (
        BOB,
        SSH,
    )
    assert regexes(content)[2:4] == [own("prod"), own("[^/]+")]
    assert sops_config.require_own_rule(content, "prod").recipients.age == (ALICE,)
    assert sops_config.add_default(content, [SSH, BOB]) == content
    assert sops_config.require_own_rule(sops_config.add_environment(content, "dev", [CAROL]), "dev")
    with pytest.raises(InputError, match="rule 4"):
        sops_config.add_default(content, [CAROL])


def test_environments_come_in_their_order_before_the_default_rule() -> None:
    content = sops_config.initial([ALICE])
    for env in ("prod", "dev", "a-9"):
        content = sops_config.add_environment(content, env, [BOB])
    assert regexes(content) == [own("prod"), own("dev"), own("a-9"), own("[^/]+")]
    assert sops_config.require_own_rule(content, "dev").recipients.age == (BOB,)
    assert content.decode().endswith(sops_config.initial([ALICE]).decode().split("creation_rules:\n")[1])


def test_the_rule_of_an_environment_holds_what_flux_needs() -> None:
    rule = documents.load(sops_config.add_environment(b"", "prod", [ALICE, f"{SSH} me"]).decode())["creation_rules"][0]
    assert rule == {
        "path_regex": own("prod"),
        "encrypted_regex": "^(data|stringData)$",
        "mac_only_encrypted": True,
        "age": [ALICE, f"{SSH} me"],
    }


def test_in_a_file_of_other_people_one_rule_is_put_in_and_no_byte_changes() -> None:
    content = sops_config.add_environment(TEAM.encode(), "prod", [ALICE])
    added = f"""\
    - path_regex: '{own("prod")}'
      encrypted_regex: ^(data|stringData)$
      mac_only_encrypted: true
      age:
        - {ALICE}
"""
    before, after = TEAM.split("    # Really everything.\n")
    assert content.decode() == f"{before}{added}    # Really everything.\n{after}"
    assert sops_config.matching_rule(content, PROD) == sops_config.require_own_rule(content, "prod")
    assert sops_config.remove_environment(content, "prod") == TEAM.encode()


def test_windows_line_ends_and_a_missing_last_one_are_kept() -> None:
    text = "creation_rules:\r\n- path_regex: ^a\r\n  age: " + ALICE
    content = sops_config.add_environment(text.encode(), "prod", [BOB])
    assert content.startswith(text.encode() + b"\r\n")
    assert b"\n" not in content.replace(b"\r\n", b"")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment\n",
        "creation_rules:\n",
        "creation_rules: ~  # later\n",
        "creation_rules: []\nstores: {yaml: {indent: 2}}\n",
        "stores:\n  yaml:\n    indent: 2",
        "{}\n",
        "---\nstores: {}\n",
        "creation_rules: [{path_regex: ^a, age: x}, {age: y}]  # flow\nother: 1\n",
        '{"creation_rules": [{"age": "x"}]}\n',
        "creation_rules:\n-\n  path_regex: ^a\n  age: |\n    x\n\n-   &rest\n    age: >-\n      y\n\n# end\n",
    ],
)
def test_a_rule_finds_its_place_however_the_list_is_written(text: str) -> None:
    content = sops_config.add_environment(text.encode(), "prod", [ALICE])
    old = documents.load(text) or {}
    new = documents.load(content.decode())
    added = sops_config.require_own_rule(content, "prod")
    assert [rule for i, rule in enumerate(new["creation_rules"]) if i != added.index] == (
        old.get("creation_rules") or []
    )
    assert {k: v for k, v in new.items() if k != "creation_rules"} == {
        k: v for k, v in old.items() if k != "creation_rules"
    }
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert [line for line in comments if line not in content.decode()] == []
    gone = documents.load(sops_config.remove_environment(content, "prod").decode())
    assert (gone.get("creation_rules") or []) == (old.get("creation_rules") or [])


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffcreation_rules:\n- path_regex: ^a\n  age: x\n",
        "# \u2028# \x85# \U0001f511\ncreation_rules:\n# \u2029#\n- path_regex: ^a # \xe9\n  age: x\n- age: y\n",
        "creation_rules:\n- &a\n  age: z\n- *a\n",
        "creation_rules: !!seq\n- age: z\n",
        "creation_rules: &x\n  - age: z\n",
        "---\ncreation_rules:\n- age: z\n...\n",
        "creation_rules:\n-   # why\n  {path_regex: ^a,\n   age: z}\n- age: >\n    - foo\n\n\n",
        "  creation_rules:\n  - age: z\n",
    ],
)
def test_unusual_files_come_back_to_the_byte(text: str) -> None:
    content = sops_config.add_environment(text.encode(), "prod", [ALICE])
    assert sops_config.require_own_rule(content, "prod")
    assert sops_config.remove_environment(content, "prod") == text.encode()


@pytest.mark.parametrize(
    "text",
    [
        "x: &x\n  creation_rules:\n  - age: z\n<<: *x\n",
        "r: &r\n- age: z\ncreation_rules: *r\n",
        "? creation_rules\n: - age: z\n",
        "creation_rules:\r- age: z\r",
    ],
)
def test_files_too_unusual_to_edit_are_refused_with_a_way_out(text: str) -> None:
    assert sops_config.recipients_for(text.encode(), PROD) == Recipients.of([["z"]])
    with pytest.raises(InputError, match="cannot be edited in place") as caught:
        sops_config.add_environment(text.encode(), "prod", [ALICE])
    assert caught.value.hint


def test_the_same_environment_again_changes_nothing_and_other_recipients_are_refused() -> None:
    content = sops_config.add_environment(sops_config.initial([ALICE]), "prod", [ALICE, BOB])
    assert sops_config.add_environment(content, "prod", [BOB, ALICE]) == content
    with pytest.raises(InputError, match="rule 1"):
        sops_config.add_environment(content, "prod", [CAROL])


def test_an_environment_without_recipients_or_with_a_bad_name_is_refused() -> None:
    with pytest.raises(InputError, match="no recipient"):
        sops_config.add_environment(sops_config.initial(), "prod", [])
    for name in ("../prod", "pro d", "a.b", "", ".*"):
        with pytest.raises(InputError):
            sops_config.add_environment(sops_config.initial(), name, [ALICE])


def test_removing_an_environment_that_has_no_rule_changes_nothing() -> None:
    assert sops_config.remove_environment(TEAM.encode(), "prod") == TEAM.encode()


# --- shadowing -------------------------------------------------------------


def shadowed(first: str) -> bytes:
    own_rule = sops_config.add_environment(b"", "prod", [ALICE]).decode().removeprefix("creation_rules:\n")
    return f"creation_rules:\n{first}{own_rule}".encode()


@pytest.mark.parametrize("regex", ["", "overlays", r"prod/.*\.yaml$", "(?i)SECRETS", "[[:alpha:]]+/prod"])
def test_a_rule_that_comes_first_is_an_error_that_names_both(regex: str) -> None:
    line = f"  - path_regex: '{regex}'\n" if regex else "  - pgp: x\n"
    with pytest.raises(SecretError) as caught:
        sops_config.require_own_rule(shadowed(f"{line}    age: {CAROL}\n"), "prod")
    message = caught.value.message
    assert "rule 1 (line 2" in message
    assert "rule 2 (line 4" in message
    assert "other recipients" in message


def test_a_rule_that_takes_only_some_files_is_found_by_their_paths() -> None:
    content = shadowed(f"  - path_regex: cert\\.sops\\.yaml$\n    age: {CAROL}\n")
    assert sops_config.require_own_rule(content, "prod").index == 1
    assert sops_config.require_own_rule(content, "prod", [PROD]).index == 1
    with pytest.raises(SecretError, match="kasm-db-cert"):
        sops_config.require_own_rule(content, "prod", [PROD, "overlays/prod/secrets/kasm-db-cert.sops.yaml"])


def test_a_rule_without_its_environment_or_that_seals_otherwise_is_an_error() -> None:
    with pytest.raises(SecretError, match="no rule of its own"):
        sops_config.require_own_rule(sops_config.initial([ALICE]), "prod")
    good = sops_config.add_environment(b"", "prod", [ALICE]).decode()
    for broken in (
        good.replace("    mac_only_encrypted: true\n", ""),
        good.replace("^(data|stringData)$", "^DATA$"),
        good.replace("    encrypted_regex: ^(data|stringData)$\n", ""),
    ):
        with pytest.raises(SecretError, match="does not seal as Flux"):
            sops_config.require_own_rule(broken.encode(), "prod")
    with pytest.raises(SecretError, match="names no recipient"):
        sops_config.require_own_rule(good.replace(ALICE, '""').encode(), "prod")


def test_key_groups_in_an_environments_own_rule_count() -> None:
    good = sops_config.add_environment(b"", "prod", [ALICE]).decode()
    grouped = good.replace(
        f"    age:\n      - {ALICE}\n", f"    key_groups:\n    - age: [{ALICE}]\n    - age: [{BOB}]\n"
    )
    assert sops_config.require_own_rule(grouped.encode(), "prod").recipients == Recipients.of([[ALICE], [BOB]])


# --- rules of people ------------------------------------------------------

SEALING = "    encrypted_regex: ^(data|stringData)$\n    mac_only_encrypted: true\n"
DEFAULT = sops_config.initial([ALICE]).decode()
KMS = "arn:aws:kms:us-east-1:656532927350:key/920aff2e"


def before_default(rule: str) -> bytes:
    return DEFAULT.replace("creation_rules:\n", f"creation_rules:\n{rule}", 1).encode()


def keys_of(content: bytes, env: str) -> dict[str, object]:
    rule = sops_config.require_own_rule(content, env)
    return {k: v for k, v in documents.load(content.decode())["creation_rules"][rule.index].items() if "_re" not in k}


@pytest.mark.parametrize(
    "keys",
    [
        {"age": [ALICE], "pgp": FINGERPRINT, "kms": f"{KMS}+arn:aws:iam::1:role/sops", "aws_profile": "ops"},
        {
            "age": [ALICE],
            "gcp_kms": ["projects/p/locations/global/keyRings/r/cryptoKeys/k"],
            "hckms": ["tr-west-1:abc"],
        },
        {"azure_keyvault": "https://v.vault.azure.net/keys/k/0123"},
        {"hc_vault_transit_uri": "https://vault.example.org:8200/v1/transit/keys/dev"},
        {"key_groups": [{"age": [ALICE], "pgp": [FINGERPRINT]}, {"kms": [{"arn": KMS}]}], "shamir_threshold": 2},
    ],
)
def test_a_new_environment_gets_every_way_to_decrypt_that_the_default_rule_has(keys: dict[str, object]) -> None:
    lines = "".join(f"    {line}\n" for line in documents.dump(keys).splitlines())
    default = DEFAULT.replace(f"    age:\n      - {ALICE}\n", lines)
    assert default != DEFAULT
    content = sops_config.add_environment(default.encode(), "prod")
    assert keys_of(content, "prod") == {**keys, "mac_only_encrypted": True}
    assert content.decode().endswith(default.partition("creation_rules:\n")[2])


def test_recipients_that_are_named_replace_those_of_age_alone() -> None:
    default = DEFAULT + f"    pgp: {FINGERPRINT}\n"
    own_rule = sops_config.require_own_rule(sops_config.add_environment(default.encode(), "prod", [BOB]), "prod")
    assert own_rule.recipients == of_rule({"age": [BOB], "pgp": FINGERPRINT})


def test_a_recipient_for_a_default_rule_with_key_groups_is_refused() -> None:
    default = DEFAULT.replace("    age:\n", "    key_groups:\n    - age:\n")
    assert sops_config.require_own_rule(
        sops_config.add_environment(default.encode(), "prod"), "prod"
    ).recipients.age == (ALICE,)
    with pytest.raises(InputError, match="key groups"):
        sops_config.add_environment(default.encode(), "prod", [BOB])


@pytest.mark.parametrize("scope", ["", SEALING, "    mac_only_encrypted: true\n"])
@pytest.mark.parametrize(
    "regex", ["overlays/prod/secrets/.*", "^overlays/prod/", r"/(?:prod)/.*\.yaml$", own("prod|x")]
)
def test_a_rule_of_people_for_one_environment_is_its_own(regex: str, scope: str) -> None:
    content = before_default(f"  - path_regex: '{regex}'\n{scope}    age: {ALICE},{BOB}\n    pgp: {FINGERPRINT}\n")
    assert sops_config.add_environment(content, "prod", [], [PROD], ["dev"]) == content
    assert sops_config.add_environment(content, "prod", [BOB, ALICE]) == content
    assert sops_config.require_own_rule(content, "prod", [PROD]).index == 0
    with pytest.raises(InputError, match=f"rule 1 .*{BOB}.*{FINGERPRINT}.*{CAROL}"):
        sops_config.add_environment(content, "prod", [ALICE, CAROL])
    sealing = documents.load(sops_config.for_sealing(content, "prod").decode())["creation_rules"]
    said = documents.load(content.decode())["creation_rules"]
    assert sealing[0] == {**said[0], "encrypted_regex": "^(data|stringData)$", "mac_only_encrypted": True}
    assert sealing[1:] == said[1:]
    beside = sops_config.add_environment(content, "dev", [], [], ["prod"])
    assert [rule.index for rule in sops_config.parse(beside) if rule.path_regex == own("dev")] == [1]


@pytest.mark.parametrize(
    "scope",
    [
        "encrypted_regex: ^password$",
        "encrypted_suffix: _secret",
        "unencrypted_suffix: _clear",
        "unencrypted_regex: ^data$",
        "mac_only_encrypted: false",
    ],
)
def test_a_rule_of_people_that_leaves_data_in_clear_is_refused(scope: str) -> None:
    content = before_default(f"  - path_regex: overlays/prod/\n    {scope}\n    age: {ALICE}\n")
    with pytest.raises(SecretError, match=r"rule 1 .*does not seal as Flux") as caught:
        sops_config.add_environment(content, "prod")
    assert scope in caught.value.message.replace('"', "")


@pytest.mark.parametrize(
    "regex", ["", ".*", "overlays/", r"overlays/[a-z]+/", r"\.sops\.yaml$", "overlays/(prod|dev)/"]
)
@pytest.mark.parametrize("recipients", [[], [ALICE], [BOB]])
def test_a_wide_rule_before_the_default_one_is_an_error_that_names_both(regex: str, recipients: list[str]) -> None:
    content = before_default((f"  - path_regex: '{regex}'\n  " if regex else "  - ") + f"  age: {BOB}\n")
    with pytest.raises(SecretError) as caught:
        sops_config.add_environment(content, "prod", recipients, [], ["dev"])
    assert "rule 1 (line " in caught.value.message
    assert "rule 2 (line " in caught.value.message
    assert "below rule 2" in caught.value.hint


def test_a_rule_of_people_for_one_of_the_files_is_not_passed_over() -> None:
    content = before_default(f"  - path_regex: overlays/prod/secrets/kasm-secrets\n    age: {BOB}\n")
    with pytest.raises(SecretError, match=r"rule 1 .*rule 2 "):
        sops_config.add_environment(content, "prod", [], [PROD])
    single = f"creation_rules:\n  - path_regex: cert\n    age: {BOB}\n  - age: {ALICE}\n".encode()
    with pytest.raises(SecretError, match=r"rule 1 .*rule 2 "):
        sops_config.add_environment(single, "prod", [], ["overlays/prod/secrets/cert.sops.yaml"])
    half = before_default(f"  - path_regex: overlays/prod/secrets/a\n{SEALING}    age: {BOB}\n")
    with pytest.raises(SecretError, match=r"does not match .*kasm-secrets.*; rule 2 "):
        sops_config.add_environment(half, "prod", [], [PROD])


def test_without_a_default_rule_the_rule_that_counts_now_says_who() -> None:
    content = f"creation_rules:\n  - pgp: {FINGERPRINT}\n    age: {CAROL}\n".encode()
    added = sops_config.add_environment(content, "prod")
    assert keys_of(added, "prod") == {"age": [CAROL], "pgp": FINGERPRINT, "mac_only_encrypted": True}
    assert sops_config.remove_environment(added, "prod") == content
    assert sops_config.passed_over(added, "prod") is None
    passed = sops_config.passed_over(sops_config.add_environment(content, "prod", [ALICE]), "prod")
    assert passed is not None
    assert passed.recipients.age == (CAROL,)


# --- any file --------------------------------------------------------------

comments = st.lists(st.sampled_from(["# a word", "  # indented: x", "", "#- path_regex: ^x"]), max_size=2)
WIDE = {"", r"secrets/.*\.yaml$", "/a.sops"}
patterns = st.sampled_from([*sorted(WIDE), "^terraform/", "overlays/test", r"\.json$", own("[^/]+")])


@st.composite
def files(draw: st.DrawFn) -> str:
    """A `.sops.yaml` with rules of other people, written in several styles, comments anywhere."""
    indent = " " * draw(st.integers(0, 4))
    lines = [*draw(comments), *draw(st.sampled_from([[], ["stores: {yaml: {indent: 2}}"]])), "creation_rules:"]
    for pattern in draw(st.lists(patterns, min_size=1, max_size=5)):
        lines += draw(comments)
        keys = [f"path_regex: {json.dumps(pattern)}"] if pattern else []
        keys += draw(
            st.sampled_from(
                [[f"age: {ALICE}"], ["age:", f"- {ALICE}  # me"]]
                + ([["key_groups:", f"- age: [{BOB}]"]] if pattern != own("[^/]+") else [])
            )
        )
        lines += [f"{indent}- {keys[0]}", *(f"{indent}  {key}" for key in keys[1:])]
    lines += draw(comments)
    return "\n".join(lines) + draw(st.sampled_from(["\n", ""]))


@settings(deadline=None, max_examples=60)
@given(text=files())
def test_in_any_file_a_rule_is_put_in_as_the_first_match_and_comes_out_without_a_trace(text: str) -> None:
    file = "overlays/{}/secrets/a.sops.yaml"
    present = regexes(text.encode())
    if own("[^/]+") in present and WIDE & set(present[: present.index(own("[^/]+"))]):
        with pytest.raises(SecretError, match=r"rule \d+ .*rule \d+ "):
            sops_config.add_environment(text.encode(), "prod", [BOB], [file.format("prod")])
        return
    one = sops_config.add_environment(text.encode(), "prod", [BOB], [file.format("prod")])
    two = sops_config.add_environment(one, "dev", [CAROL], [file.format("dev")])
    for env in ("prod", "dev"):
        assert sops_config.require_own_rule(two, env, [file.format(env)])
    for line in text.splitlines():
        assert line in two.decode().splitlines()
    back = sops_config.remove_environment(sops_config.remove_environment(two, "dev"), "prod")
    assert back == (text if text.endswith("\n") else back.decode()).encode()
    assert back.decode().removesuffix("\n") == text.removesuffix("\n")
    assert len(sops_config.parse(two)) == len(sops_config.parse(text.encode())) + 2
