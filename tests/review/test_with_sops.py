"""What the review says of sealed Secrets, against what the real sops did to them."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from pathlib import Path

import pyrage
import pytest

from kasmgen.kubernetes.resources import Object, by_id
from kasmgen.programs import sops
from kasmgen.review import ObjectChange, SecretChange, compare_builds, group
from kasmgen.review.formats import html as formats_html
from kasmgen.review.formats import json as formats_json
from kasmgen.review.formats import markdown
from kasmgen.review.formats import text as formats_text
from kasmgen.yaml import documents

pytestmark = pytest.mark.tool

VALUES = {"admin-password": "first-marker-pass-1", "user-password": "second-marker-pass-2", "empty": ""}


class Repository:
    """A sealed Secret in a directory of its own, with two people who can open it by turns."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.program = sops.locate().path
        self.alice, self.bob = (pyrage.x25519.Identity.generate() for _ in range(2))
        self.path = root / "overlays/prod/secrets/kasm.sops.yaml"
        self.path.parent.mkdir(parents=True)
        self.rule(self.alice)
        self.seal(VALUES)

    def rule(self, *people: pyrage.x25519.Identity) -> None:
        rule = {
            "path_regex": r"(^|/)overlays/prod/secrets/[^/]+\.sops\.yaml$",
            "encrypted_regex": "^(data|stringData)$",
            "mac_only_encrypted": True,
            "age": ",".join(str(person.to_public()) for person in people),
        }
        (self.root / ".sops.yaml").write_text(documents.dump({"creation_rules": [rule]}))

    def run(self, *arguments: str, stdin: str = "") -> str:
        # The private key is one that this run made; it opens nothing else.
        keep = {key: value for key, value in os.environ.items() if not key.startswith("SOPS_")}
        done = subprocess.run(
            [str(self.program), "--config", str(self.root / ".sops.yaml"), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=self.root,
            env={**keep, "SOPS_AGE_KEY": str(self.alice), "HOME": str(self.root)},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def seal(self, values: dict[str, str]) -> None:
        data = {key: base64.b64encode(value.encode()).decode() for key, value in sorted(values.items())}
        metadata = {"name": "kasm-secrets", "namespace": "kasm"}
        manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
        override = ("--input-type", "json", "--output-type", "yaml", "--filename-override", str(self.path))
        self.path.write_text(self.run("encrypt", *override, stdin=json.dumps(manifest)))

    def set(self, key: str, value: str) -> None:
        encoded = json.dumps(base64.b64encode(value.encode()).decode())
        self.run("set", "--value-stdin", str(self.path), f'["data"]["{key}"]', stdin=encoded)

    def build(self) -> dict[object, Object]:
        return dict(by_id([documents.load(self.path.read_text())]))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def change(repository: Repository, before: dict[object, Object]) -> ObjectChange:
    (found,) = compare_builds(before, repository.build())  # type: ignore[arg-type]
    return found


def secret(repository: Repository, before: dict[object, Object]) -> SecretChange:
    found = change(repository, before).secret
    assert found is not None
    return found


def test_a_value_that_was_set(repository: Repository) -> None:
    before = repository.build()
    repository.set("admin-password", "another-marker-3")
    told = secret(repository, before)
    assert told.keys == (("admin-password", "changed"), ("empty", "same"), ("user-password", "same"))
    assert not told.resealed
    assert told.recipients_added == told.recipients_removed == ()


def test_all_values_that_were_set(repository: Repository) -> None:
    before = repository.build()
    for key in VALUES:
        repository.set(key, f"new-{key}")
    assert {state for _, state in secret(repository, before).keys} == {"changed"}


def test_the_same_value_set_again_changes_no_key(repository: Repository) -> None:
    before = repository.build()
    # Within the same second, sops writes the same bytes again.
    time.sleep(1.1)
    repository.set("admin-password", VALUES["admin-password"])
    told = secret(repository, before)
    assert {state for _, state in told.keys} == {"same"}, "only the MAC and the time are new"


def test_a_key_that_was_added(repository: Repository) -> None:
    before = repository.build()
    repository.set("new-key", "x")
    assert dict(secret(repository, before).keys)["new-key"] == "added"


def test_a_new_data_key(repository: Repository) -> None:
    before = repository.build()
    repository.run("rotate", "--in-place", str(repository.path))
    told = secret(repository, before)
    assert told.resealed
    assert dict(told.keys) == {"admin-password": "resealed", "empty": "same", "user-password": "resealed"}


def test_sealed_anew_as_a_whole(repository: Repository) -> None:
    before = repository.build()
    repository.seal(VALUES)
    assert secret(repository, before).resealed


def test_other_recipients(repository: Repository) -> None:
    before = repository.build()
    repository.rule(repository.alice, repository.bob)
    repository.run("updatekeys", "--yes", str(repository.path))
    told = secret(repository, before)
    assert told.recipients_added == (str(repository.bob.to_public()),)
    assert told.recipients_removed == ()
    assert {state for _, state in told.keys} == {"same"}
    assert not told.resealed


def test_no_report_shows_ciphertext_or_value(repository: Repository) -> None:
    before = repository.build()
    repository.set("admin-password", "another-marker-3")
    report = group({"prod": (change(repository, before),)})
    for render in (formats_text.render, markdown.render, formats_json.render, formats_html.render):
        told = render(report)
        assert "admin-password" in told
        assert not [leak for leak in ("ENC[", "marker", "AGE ENCRYPTED") if leak in told]
