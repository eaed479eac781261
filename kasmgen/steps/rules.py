"""`.sops.yaml`: which rule sops follows for a path, and each environment's own rule.

sops takes the first rule of `creation_rules` whose `path_regex` is found in the
path (getsops/sops config/config.go). So an environment's rule counts only where
no rule before it matches.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kasmgen import names, yamlio
from kasmgen.errors import InputError, SecretError
from kasmgen.steps import re2, splice
from kasmgen.steps.recipients import Recipients, check_recipient, of_rule

__all__ = [
    "FILE",
    "Recipients",
    "Rule",
    "add_default",
    "add_environment",
    "check_recipient",
    "default_recipients",
    "initial",
    "matching_rule",
    "parse",
    "recipients_for",
    "remove_environment",
    "require_own_rule",
    "set_recipients",
]

FILE = ".sops.yaml"
ENCRYPTED_REGEX = "^(data|stringData)$"
_ANY = "[^/]+"
_RULES = "creation_rules"

_INTRODUCTION = """\
# Who can decrypt what. sops takes the first rule whose path_regex matches, so the order counts:
# each environment's own rule (written by `kasmgen env add`) stands before any that is wider.
# After a change here, `sops updatekeys` has to be run on the sealed files that it is about.
stores:
  yaml:
    indent: 2
"""
_DEFAULT_COMMENT = "  # New environments get these recipients, unless --recipient says otherwise.\n"


@dataclass(frozen=True)
class Rule:
    """One entry of `creation_rules`: `index` from 0, `line` from 1."""

    index: int
    line: int
    path_regex: str
    recipients: Recipients
    encrypted_regex: str
    mac_only_encrypted: bool

    def matches(self, path: str) -> bool:
        """Whether sops would take this rule for `path` (relative to `.sops.yaml`), were it the first.

        Raises InputError if the regular expression is none that Go reads.
        """
        if not self.path_regex:
            return True
        try:
            return re2.compile(self.path_regex).search(path) is not None
        except ValueError as error:
            raise InputError(f"{FILE}: the path_regex of {self} cannot be read: {error}") from None

    def __str__(self) -> str:
        what = f"path_regex {self.path_regex}" if self.path_regex else "no path_regex: it matches everything"
        return f"rule {self.index + 1} (line {self.line}, {what})"


def _path_regex(env: str) -> str:
    return rf"(^|/)overlays/{env}/secrets/[^/]+\.sops\.yaml$"


def _example(env: str) -> str:
    return f"overlays/{env}/secrets/any.sops.yaml"


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{FILE}: not UTF-8 text") from None


def parse(content: bytes) -> list[Rule]:
    """The rules in their order. Raises InputError if the file is none that sops would read."""
    return list(_parsed(content))


# A file with a hundred environments is asked about once for every sealed file in them.
@functools.lru_cache(maxsize=4)
def _parsed(content: bytes) -> tuple[Rule, ...]:
    text = _text(content)
    document = yamlio.load(text, FILE)
    if document is None:
        return ()
    if not isinstance(document, dict):
        raise InputError(f"{FILE}: a mapping is expected")
    listed = document.get(_RULES)
    if listed is None:
        return ()
    if not isinstance(listed, list) or not all(isinstance(rule, dict) for rule in listed):
        raise InputError(f"{FILE}: {_RULES} must be a list of mappings")
    found = splice.entry(splice.parts(text, FILE), _RULES)
    # By an alias or a merge key the list may stand elsewhere; then it has no lines of its own.
    starts = [part.start for _, part in found[1].entries] if found else []
    starts = starts or [found[1].start if found else 0] * len(listed)
    lines = [text.count("\n", 0, start) + 1 for start in starts]
    return tuple(_rule(index, line, rule) for index, (line, rule) in enumerate(zip(lines, listed, strict=True)))


def _rule(index: int, line: int, rule: dict[str, yamlio.Yaml]) -> Rule:
    return Rule(
        index,
        line,
        str(rule.get("path_regex") or ""),
        of_rule(rule),
        str(rule.get("encrypted_regex") or ""),
        rule.get("mac_only_encrypted") is True,
    )


def matching_rule(content: bytes, path: str) -> Rule | None:
    """The rule that sops follows for `path` (from the project's root, with forward slashes)."""
    return next((rule for rule in parse(content) if rule.matches(path)), None)


def recipients_for(content: bytes, path: str) -> Recipients:
    """To whom sops would seal `path`. Raises SecretError if no rule matches, or its rule names nobody."""
    rule = matching_rule(content, path)
    if rule is None:
        raise SecretError(f"{FILE} has no rule for {path}", hint="`kasmgen env add` writes one per environment")
    if not rule.recipients.groups:
        raise SecretError(f"{FILE}: {rule}, which counts for {path}, names no recipient")
    return rule.recipients


def default_recipients(content: bytes) -> tuple[str, ...]:
    """The age recipients of the rule that is for every environment; () if there is none."""
    rule = _own(parse(content), _ANY)
    return rule.recipients.age if rule else ()


def _own(rules: Iterable[Rule], env: str) -> Rule | None:
    return next((rule for rule in rules if rule.path_regex == _path_regex(env)), None)


def require_own_rule(content: bytes, env: str, paths: Sequence[str] = ()) -> Rule:
    """The environment's own rule, made sure to be the one that counts and to seal as Flux needs it.

    paths: the sealed files that it must count for (default: any in the environment).
    Raises SecretError if it is missing, if another rule comes first (both are
    named), if it names nobody, or if it would seal other fields than `data`.
    """
    names.dns_label(env, "environment")
    rules = parse(content)
    own = _own(rules, env)
    if own is None:
        raise SecretError(
            f"{FILE} has no rule of its own for environment {env}",
            hint="it needs one with path_regex " + _path_regex(env),
        )
    for path in [_example(env), *paths]:
        first = next((rule for rule in rules if rule.matches(path)), None)
        if first is not None and first != own:
            raise SecretError(
                f"{FILE}: {first} comes before the rule of environment {env}, {own}, and matches {path} too; "
                "sops would seal it to other recipients",
                hint=f"move rule {own.index + 1} above rule {first.index + 1}",
            )
    if not own.recipients.groups:
        raise SecretError(f"{FILE}: {own} names no recipient", hint="add one under `age:`")
    if own.encrypted_regex != ENCRYPTED_REGEX or not own.mac_only_encrypted:
        raise SecretError(
            f"{FILE}: {own} does not seal as Flux and kustomize need it",
            hint=f"it needs `encrypted_regex: {ENCRYPTED_REGEX}` and `mac_only_encrypted: true`",
        )
    return own


# --- writing -------------------------------------------------------------


def _lines(path_regex: str, recipients: Sequence[str]) -> list[str]:
    return [
        f"- path_regex: '{path_regex}'",
        f"  encrypted_regex: {ENCRYPTED_REGEX}",
        "  mac_only_encrypted: true",
        "  age:",
        *(f"    - {_scalar(recipient)}" for recipient in recipients),
    ]


def _scalar(text: str) -> str:
    return yamlio.dump(text).removesuffix("\n")


def initial(recipients: Sequence[str] = ()) -> bytes:
    """A new `.sops.yaml`. With recipients it has a rule that new environments take theirs from."""
    if not recipients:
        return f"{_INTRODUCTION}{_RULES}: []\n".encode()
    rule = "".join(f"  {line}\n" for line in _lines(_path_regex(_ANY), _checked(recipients)))
    return f"{_INTRODUCTION}{_RULES}:\n{_DEFAULT_COMMENT}{rule}".encode()


def _checked(recipients: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(check_recipient(recipient) for recipient in recipients))


def add_environment(content: bytes, env: str, recipients: Sequence[str], paths: Sequence[str] = ()) -> bytes:
    """`content` with the environment's own rule, at a place where it is the first that matches.

    It goes behind the other environments' rules, and before every rule that would
    take its files: any file below its `secrets/`, and `paths` in particular, for rules
    that are about single files. Nothing else changes. A rule that is there already, with the same
    recipients, stays as it is. Raises InputError for a recipient that is none or if
    the environment has a rule with others, SecretError if there are no recipients.
    """
    names.dns_label(env, "environment")
    checked = _checked(recipients)
    if not checked:
        raise SecretError(
            f"nobody could decrypt the secrets of {env}: there is no recipient",
            hint="give --recipient age1..., or `kasmgen init --generate-key`",
        )
    rules = parse(content)
    if own := _own(rules, env):
        if own.recipients != Recipients.of([map(_comparable, checked)]):
            raise InputError(
                f"{FILE} has a rule for environment {env} with other recipients: {own}",
                hint="change that rule and run `sops updatekeys` on the sealed files, or leave out --recipient",
            )
        require_own_rule(content, env, paths)
        return content
    text = splice.insert_item(
        _text(content), _RULES, _place(rules, env, paths), _lines(_path_regex(env), checked), FILE
    )
    require_own_rule(text.encode(), env, paths)
    return text.encode()


def add_default(content: bytes, recipients: Sequence[str]) -> bytes:
    """`content`, a `.sops.yaml` that people had before, with a rule that new environments take recipients from.

    A default rule with the same recipients stays as it is. Raises InputError if
    there is one with others, or if a recipient is none.
    """
    checked = _checked(recipients)
    rules = parse(content)
    if own := _own(rules, _ANY):
        if own.recipients != Recipients.of([map(_comparable, checked)]):
            raise InputError(
                f"{FILE} has a default rule with other recipients: {own}", hint="edit it, or leave out --recipient"
            )
        return content
    text = splice.insert_item(
        _text(content), _RULES, _place(rules, "any", ()), _lines(_path_regex(_ANY), checked), FILE
    )
    return text.encode()


def _comparable(recipient: str) -> str:
    return of_rule({"age": [recipient]}).everyone[0]


def _place(rules: Sequence[Rule], env: str, paths: Sequence[str]) -> int:
    """The index at which the rule of `env` is to stand."""
    head, tail = _path_regex("\n").split("\n")
    environments = [
        rule.index
        for rule in rules
        if rule.path_regex.startswith(head) and rule.path_regex.endswith(tail)
        if rule.path_regex != _path_regex(_ANY)
    ]
    wider = [rule.index for rule in rules if any(map(rule.matches, [_example(env), *paths]))]
    behind = environments[-1] + 1 if environments else len(rules)
    return min([behind, *wider])


def remove_environment(content: bytes, env: str) -> bytes:
    """`content` without the environment's own rule; unchanged if it has none."""
    own = _own(parse(content), env)
    if own is None:
        return content
    return splice.remove_item(_text(content), _RULES, own.index, FILE).encode()


def set_recipients(content: bytes, env: str, recipients: Sequence[str]) -> bytes:
    """`content` with the environment's own rule sealing to `recipients` (age) and nobody else.

    The rule is written anew in its place. Raises SecretError if the environment has
    no rule of its own, or if its rule has key groups or other keys than age's, which
    only people can change.
    """
    own = require_own_rule(content, env)
    if own.recipients.others or len(own.recipients.groups) > 1:
        raise SecretError(
            f"{FILE}: {own} has key groups or keys that are not age's", hint="change its recipients by hand"
        )
    checked = _checked(recipients)
    if own.recipients == Recipients.of([map(_comparable, checked)]):
        return content
    text = splice.remove_item(_text(content), _RULES, own.index, FILE)
    text = splice.insert_item(text, _RULES, own.index, _lines(own.path_regex, checked), FILE)
    require_own_rule(text.encode(), env)
    return text.encode()
