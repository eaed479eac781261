"""4xx, sealed files: what can be known of them without a key."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from kasmgen.check.rule import ERROR, Hit, Rule
from kasmgen.errors import InputError, KasmgenError, SecretError
from kasmgen.layout import paths as layout_paths
from kasmgen.secrets import sealed_file as sealing
from kasmgen.secrets import sops_config as sops_rules
from kasmgen.secrets.sealed_file import Sealed
from kasmgen.yaml import documents as yaml_documents


@dataclass(frozen=True)
class SealedFile:
    """A `*.sops.yaml` of the project. sealed: what it says in clear, None if it is no sealed Secret for `problem`."""

    path: str
    sealed: Sealed | None
    problem: str = ""

    @property
    def environment(self) -> str:
        """The environment below whose `secrets/` it stands, or ""."""
        return layout_paths.environment_of_sealed(self.path)

    @property
    def object(self) -> str:
        """The Secret in it, for people."""
        return f"Secret {self.sealed.name} in {self.sealed.namespace}" if self.sealed else ""


@dataclass(frozen=True)
class SecretTree:
    """What the rules look at.

    files: the sealed files that are asked about. config: the content of `.sops.yaml`, None
    without one. resources: environment -> entries of `resources:` in its overlay.
    plain: (namespace or "", name) -> path of every Secret that stands in clear in the base
    or in an overlay. broken: path -> why it does not open with the key at hand.
    """

    files: tuple[SealedFile, ...]
    config: bytes | None = field(repr=False)
    resources: Mapping[str, frozenset[str]] = field(default_factory=dict)
    plain: Mapping[tuple[str, str], str] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)

    @property
    def readable(self) -> Iterator[tuple[SealedFile, Sealed]]:
        """The files that are sealed Secrets."""
        return ((file, file.sealed) for file in self.files if file.sealed)


def read(path: str, content: bytes) -> SealedFile:
    """A `*.sops.yaml` as the rules look at it."""
    try:
        return SealedFile(path, sealing.parse(content, path))
    except KasmgenError as error:
        return SealedFile(path, None, error.message.removeprefix(path).lstrip(":, ") or error.message)
    except AttributeError:
        return SealedFile(path, None, "its data is no mapping")


def _hit(file: SealedFile, message: str, next_step: str = "") -> Hit:
    return Hit(message, file.path, file.object, file.environment, next_step=next_step)


def unreadable(tree: SecretTree) -> Iterator[Hit]:
    return (_hit(file, file.problem) for file in tree.files if file.sealed is None)


def in_clear(tree: SecretTree) -> Iterator[Hit]:
    for file, sealed in tree.readable:
        for key in sealed.unsealed:
            yield _hit(file, f"the value of {key} stands in clear or is no text")


def badly_sealed(tree: SecretTree) -> Iterator[Hit]:
    for file, sealed in tree.readable:
        own = {f"the value of {key} is not encrypted" for key in sealed.unsealed}
        for problem in sealing.problems(sealed):
            if problem not in own:
                yield _hit(file, problem)


def other_recipients(tree: SecretTree) -> Iterator[Hit]:
    for file, sealed in tree.readable:
        if not sealed.recipients.groups or tree.config is None:
            continue
        try:
            by_rule = sops_rules.recipients_for(tree.config, file.path)
        except (SecretError, InputError) as error:
            yield _hit(file, error.message, error.hint)
            continue
        if by_rule != sealed.recipients:
            yield _hit(file, _difference(set(sealed.recipients.everyone), set(by_rule.everyone)))


def _difference(have: set[str], want: set[str]) -> str:
    parts = []
    if strangers := sorted(have - want):
        parts.append(f"{', '.join(strangers)} can read it, and its rule in .sops.yaml does not say so")
    if locked_out := sorted(want - have):
        parts.append(f"{', '.join(locked_out)} cannot read it, and its rule says so")
    return "; ".join(parts) or "its recipients are grouped otherwise than its rule says"


def shadowed(tree: SecretTree) -> Iterator[Hit]:
    if tree.config is None:
        if tree.files:
            yield Hit("there is no .sops.yaml, so nothing says who may read the sealed files", layout_paths.SOPS_FILE)
        return
    for environment in sorted({file.environment for file in tree.files} - {""}):
        paths = [file.path for file in tree.files if file.environment == environment]
        try:
            sops_rules.require_own_rule(tree.config, environment, paths)
        except (SecretError, InputError) as error:
            message = error.message.removeprefix(f"{layout_paths.SOPS_FILE}: ")
            yield Hit(message, layout_paths.SOPS_FILE, environment=environment, next_step=error.hint)


def unlisted(tree: SecretTree) -> Iterator[Hit]:
    for file in tree.files:
        if not file.environment:
            continue
        listed = tree.resources.get(file.environment, frozenset())
        inside = file.path.removeprefix(f"{layout_paths.overlay(file.environment)}/")
        if inside not in listed and not any(inside.startswith(f"{entry.rstrip('/')}/") for entry in listed):
            yield _hit(file, f"overlays/{file.environment}/kustomization.yaml does not list {inside}")


def shadows_plain(tree: SecretTree) -> Iterator[Hit]:
    for file, sealed in tree.readable:
        for place in ((sealed.namespace, sealed.name), ("", sealed.name)):
            other = tree.plain.get(place)
            if other and layout_paths.environment(other) in ("", file.environment):
                yield _hit(file, f"{other} holds a Secret of the same name in clear")
                break


def twins(tree: SecretTree) -> Iterator[Hit]:
    seen: dict[tuple[str, str, str], str] = {}
    for file, sealed in tree.readable:
        key = (file.environment, sealed.namespace, sealed.name)
        if file.environment and key in seen:
            yield _hit(file, f"{seen[key]} holds the same Secret")
        seen.setdefault(key, file.path)


def broken(tree: SecretTree) -> Iterator[Hit]:
    return (_hit(file, tree.broken[file.path]) for file in tree.files if file.path in tree.broken)


def plain_secrets(documents: Iterable[tuple[str, object]]) -> dict[tuple[str, str], str]:
    """(namespace or "", name) -> path of every Secret without sops among (path, document)."""
    found: dict[tuple[str, str], str] = {}
    for path, document in documents:
        if isinstance(document, dict) and document.get("kind") == "Secret" and not document.get("sops"):
            metadata = document.get("metadata")
            metadata = metadata if isinstance(metadata, dict) else {}
            found[str(metadata.get("namespace") or ""), str(metadata.get("name") or "")] = path
    return found


def resources_of(kustomization: bytes, path: str) -> frozenset[str]:
    """Entries of `resources:` of a kustomization.yaml, normalised; empty if it cannot be read."""
    try:
        value = yaml_documents.load(kustomization.decode("utf-8"), path)
    except (InputError, UnicodeDecodeError):
        return frozenset()
    listed = value.get("resources") if isinstance(value, dict) else None
    return frozenset(posixpath.normpath(entry) for entry in listed or () if isinstance(entry, str))


RULES: tuple[Rule[SecretTree], ...] = (
    Rule(
        "KG401",
        ERROR,
        "a sealed file is no sealed Secret",
        "Every `*.sops.yaml` holds one Secret with a `sops` block. A file that does not parse, holds another kind or "
        "several documents, or was never encrypted, is refused by Flux or applied in clear.",
        "restore it from Git, or seal it again with sops",
        unreadable,
    ),
    Rule(
        "KG402",
        ERROR,
        "a value in a sealed file is not encrypted",
        "sops ends with exit code 0 even if its rule matched nothing or only some of the fields. Whatever is not "
        "`ENC[...]` can be read by everybody who has the repository, and Flux refuses to decrypt the file.",
        "replace the value, which Git keeps, and seal the file again",
        in_clear,
    ),
    Rule(
        "KG403",
        ERROR,
        "a file is not sealed as Flux and kustomize need it",
        "Names stay in clear, `encrypted_regex` takes `data` and `stringData`, and with `mac_only_encrypted` and "
        "sorted keys the MAC survives kustomize. Without it nobody could tell that the file was changed.",
        "seal it again with the environment's rule in .sops.yaml",
        badly_sealed,
    ),
    Rule(
        "KG404",
        ERROR,
        "a file is sealed to others than its rule says",
        "`.sops.yaml` is the single source of truth for who may decrypt what. A recipient too many can read the "
        "values; one that is missing, such as the cluster's, cannot decrypt them and blocks the reconciliation.",
        "run `sops updatekeys` on it where a private key fits; change the values if a recipient was removed",
        other_recipients,
    ),
    Rule(
        "KG405",
        ERROR,
        "an environment's rule in .sops.yaml does not count",
        "sops takes the first rule that matches. A wider one before the environment's own would seal new values to "
        "other recipients, and without an own rule the environment's recipients are left to chance.",
        "put the environment's rule before every other that matches its files",
        shadowed,
    ),
    Rule(
        "KG406",
        ERROR,
        "a sealed file is not part of its overlay",
        "A file that the overlay's kustomization.yaml does not list is not applied: pods wait for a Secret that "
        "never comes.",
        "run `kasmgen render`, or remove the file if nothing needs it",
        unlisted,
    ),
    Rule(
        "KG407",
        ERROR,
        "a Secret stands in clear beside its sealed form",
        "kustomize refuses a base and an overlay that hold the same object, and the one in clear can be read by "
        "everybody who has the repository.",
        "remove the Secret in clear, and replace the values that it held",
        shadows_plain,
    ),
    Rule(
        "KG408",
        ERROR,
        "a sealed file was changed after it was sealed",
        "Only where a private key is at hand: sops does not open the file, because its MAC or one of its values does "
        "not fit. Flux itself ignores the MAC, so nothing else would notice.",
        "take the file from Git as it was, and change values with `sops set` or `sops edit`",
        broken,
    ),
    Rule(
        "KG409",
        ERROR,
        "two sealed files hold the same Secret",
        "kustomize refuses an overlay that lists both, and which one counts is nobody's guess.",
        "remove one of them",
        twins,
    ),
)
