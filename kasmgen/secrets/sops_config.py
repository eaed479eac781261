"""`.sops.yaml`: each environment's own rule, found, made sure of, and written.

sops takes the first rule that matches. So an environment's rule counts only where
no rule before it matches. It is the one that kasmgen wrote, or one of people that
is for this environment's sealed files and no other's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kasmgen import names
from kasmgen.errors import InputError, SecretError
from kasmgen.layout.paths import SEALED_SUFFIX, SOPS_FILE
from kasmgen.secrets.creation_rules import RULES, CreationRule, matching_rule, parse, text_of
from kasmgen.secrets.recipients import Recipients, check_recipient, of_rule, texts
from kasmgen.yaml import documents, edit

__all__ = [
    "CreationRule",
    "Recipients",
    "add_default",
    "add_environment",
    "check_recipient",
    "for_sealing",
    "initial",
    "matching_rule",
    "parse",
    "passed_over",
    "recipients_for",
    "remove_environment",
    "require_own_rule",
]

ENCRYPTED_REGEX = "^(data|stringData)$"
_ANY = "[^/]+"
_NEEDED: Mapping[str, documents.Yaml] = {"encrypted_regex": ENCRYPTED_REGEX, "mac_only_encrypted": True}
_HOW = f"`encrypted_regex: {ENCRYPTED_REGEX}` and `mac_only_encrypted: true`"

_INTRODUCTION = """\
# Who can decrypt what. sops takes the first rule whose path_regex matches, so the order counts:
# each environment's own rule (written by `kasmgen env add`) stands before any that is wider.
# After a change here, `sops updatekeys` has to be run on the sealed files that it is about.
stores:
  yaml:
    indent: 2
"""
_DEFAULT_COMMENT = "  # New environments get these recipients, unless --recipient says otherwise.\n"


def _path_regex(env: str) -> str:
    return rf"(^|/)overlays/{env}/secrets/[^/]+\.sops\.yaml$"


def _example(env: str) -> str:
    return f"overlays/{env}/secrets/any{SEALED_SUFFIX}"


def recipients_for(content: bytes, path: str) -> Recipients:
    """To whom sops would seal `path`. Raises SecretError if no rule matches, or its rule names nobody."""
    rule = matching_rule(content, path)
    if rule is None:
        raise SecretError(f"{SOPS_FILE} has no rule for {path}", hint="`kasmgen env add` writes one per environment")
    if not rule.recipients.groups:
        raise SecretError(f"{SOPS_FILE}: {rule}, which counts for {path}, names no recipient")
    return rule.recipients


def _own(rules: Iterable[CreationRule], env: str) -> CreationRule | None:
    """The rule that kasmgen wrote for `env`."""
    return next((rule for rule in rules if rule.path_regex == _path_regex(env)), None)


def _of_people(rules: Iterable[CreationRule], env: str, others: Iterable[str] = ()) -> CreationRule | None:
    """The rule that people wrote for `env` alone, if it is the one that counts.

    others: environments that there are. Whether a rule is for any more that may come is
    asked with names that nobody gave.
    """
    first = next((rule for rule in rules if rule.matches(_example(env))), None)
    shifted = "".join(chr(ord(c) + 1) if c in "abcdefghijklmnopqrstuvwxy" else c for c in env)
    strangers = {*others, "another", "any-other1", shifted} - {env}
    if first is None or any(first.matches(_example(name)) for name in strangers):
        return None
    return first


def require_own_rule(content: bytes, env: str, paths: Sequence[str] = ()) -> CreationRule:
    """The environment's own rule, made sure to be the one that counts and to seal as Flux needs it.

    paths: the sealed files that it must count for (default: any in the environment).
    Raises SecretError if it is missing, if another rule comes first (both are
    named), if it names nobody, or if it would seal other fields than `data`.
    """
    names.dns_label(env, "environment")
    rules = parse(content)
    written = _own(rules, env)
    own = written or _of_people(rules, env)
    if own is None:
        raise SecretError(
            f"{SOPS_FILE} has no rule of its own for environment {env}",
            hint="it needs one with path_regex " + _path_regex(env),
        )
    _require_first(rules, own, env, paths)
    if not own.recipients.groups:
        raise SecretError(f"{SOPS_FILE}: {own} names no recipient", hint="add one under `age:`")
    _require_scope(own, complete=own == written)
    return own


def _require_first(rules: Iterable[CreationRule], own: CreationRule, env: str, paths: Sequence[str]) -> None:
    for path in [_example(env), *paths]:
        first = next((rule for rule in rules if rule.matches(path)), None)
        if first is None or (first.index > own.index and not own.matches(path)):
            raise SecretError(
                f"{SOPS_FILE}: {own} is the rule of environment {env}, but does not match {path}"
                + (f"; {first} does" if first else ""),
                hint=f"make its path_regex match every file in overlays/{env}/secrets/",
            )
        if first != own:
            raise SecretError(
                f"{SOPS_FILE}: {first} comes before the rule of environment {env}, {own}, and matches {path} too; "
                "sops would seal it to other recipients",
                hint=f"move rule {own.index + 1} above rule {first.index + 1}",
            )


def _require_scope(own: CreationRule, *, complete: bool) -> None:
    """A rule of people need not say what is encrypted (`for_sealing` does), but must not say otherwise."""
    missing = set(_NEEDED) - set(own.scope) if complete else set()
    strange = {key: value for key, value in own.scope.items() if _NEEDED.get(key) != value}
    if not missing and not strange:
        return
    said = ", ".join(documents.dump({key: value}).strip() for key, value in sorted(strange.items()))
    raise SecretError(
        f"{SOPS_FILE}: {own} does not seal as Flux and kustomize need it"
        + (f": with `{said}` values may stay in clear, or names that have to be read be encrypted" if said else ""),
        hint=f"it needs {_HOW}, and nothing else about what is encrypted",
    )


def for_sealing(content: bytes, env: str) -> bytes:
    """`.sops.yaml` to give to sops for the files of `env`: `content`, with what people's rule leaves open.

    To whom is sealed is what the rule says. Without `encrypted_regex` sops would encrypt
    names too, which kustomize reads; without `mac_only_encrypted` the MAC breaks in the build.
    Raises SecretError as `require_own_rule`.
    """
    own = require_own_rule(content, env)
    if own.scope == _NEEDED:
        return content
    document = documents.load(text_of(content), SOPS_FILE)
    listed = list(document[RULES])
    listed[own.index] = {**own.settings, **_NEEDED}
    return documents.dump({**document, RULES: listed}).encode()


def passed_over(content: bytes, env: str) -> CreationRule | None:
    """The rule of people that would count for `env` if its own did not, where that one has other recipients."""
    own = require_own_rule(content, env)
    behind = (rule for rule in parse(content)[own.index + 1 :] if rule.matches(_example(env)))
    first = next(behind, None)
    if first is None or first.path_regex == _path_regex(_ANY) or first.recipients == own.recipients:
        return None
    return first


# --- writing -------------------------------------------------------------


def _lines(path_regex: str, keys: Mapping[str, documents.Yaml]) -> list[str]:
    """A rule for sealed Secrets; keys: its settings that say who can decrypt."""
    lines = [
        f"- path_regex: '{path_regex}'",
        f"  encrypted_regex: {ENCRYPTED_REGEX}",
        "  mac_only_encrypted: true",
    ]
    for key, value in sorted(keys.items()):
        if key == "age" and isinstance(value, list):
            lines += ["  age:", *(f"    - {_scalar(recipient)}" for recipient in value)]
        else:
            lines += [f"  {line}" for line in documents.dump({key: value}).splitlines()]
    return lines


def _scalar(text: str) -> str:
    return documents.dump(text).removesuffix("\n")


def initial(recipients: Sequence[str] = ()) -> bytes:
    """A new `.sops.yaml`. With recipients it has a rule that new environments take theirs from."""
    if not recipients:
        return f"{_INTRODUCTION}{RULES}: []\n".encode()
    rule = "".join(f"  {line}\n" for line in _lines(_path_regex(_ANY), {"age": _checked(recipients)}))
    return f"{_INTRODUCTION}{RULES}:\n{_DEFAULT_COMMENT}{rule}".encode()


def _checked(recipients: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(check_recipient(recipient) for recipient in recipients))


def add_environment(
    content: bytes, env: str, recipients: Sequence[str] = (), paths: Sequence[str] = (), others: Iterable[str] = ()
) -> bytes:
    """`content` with the environment's own rule, at a place where it is the first that matches.

    recipients: age's, in place of those that new environments get; all other keys are
    taken from the default rule, or where there is none and `recipients` is empty from the
    rule that counts for the environment now. others: the other environments.
    The rule goes behind the other environments' rules, and before every rule that would
    take its files: any file below its `secrets/`, and `paths` in particular, for rules
    that are about single files. Nothing else changes. A rule that is there already, of people
    too, stays as it is. Raises InputError for a recipient that is none, if there are no
    recipients or if the environment has a rule with others; SecretError if a rule of people
    comes before the default one and matches (both are named), and as `require_own_rule`.
    """
    names.dns_label(env, "environment")
    checked = _checked(recipients)
    rules = parse(content)
    if own := _own(rules, env) or _of_people(rules, env, others):
        _refuse_others(own, env, checked)
        require_own_rule(content, env, paths)
        return content
    keys = _keys(_model(rules, env, paths, checked), env, checked)
    place = _place(rules, env, paths)
    text = edit.insert_item(text_of(content), RULES, place, _lines(_path_regex(env), keys), SOPS_FILE)
    require_own_rule(text.encode(), env, paths)
    return text.encode()


def _refuse_others(own: CreationRule, env: str, checked: Sequence[str]) -> None:
    if checked and set(own.recipients.age) != set(map(_comparable, checked)):
        raise InputError(
            f"{SOPS_FILE} has a rule for environment {env} with other recipients than --recipient names: "
            f"{own} seals to {own.recipients}, --recipient says {', '.join(checked)}",
            hint="change that rule (and run `sops updatekeys` on what is sealed), or leave out --recipient",
        )


def _model(
    rules: Sequence[CreationRule], env: str, paths: Sequence[str], checked: Sequence[str]
) -> CreationRule | None:
    """The rule whose keys the environment's own is to have, as far as they are not `checked`."""
    default = _own(rules, _ANY)
    if default is None and checked:
        return None
    model = default
    for path in [_example(env), *paths]:
        first = next((rule for rule in rules if rule.matches(path)), None)
        model = model or first
        if first is not None and first != model:
            raise SecretError(
                f"{SOPS_FILE}: {first} matches {path}, but {model} is the one from which environment {env} would take "
                "its recipients; a rule of its own in front of both would drop what the other says",
                hint=f"write the rule of {env} above both (path_regex: '{_path_regex(env)}'), "
                + (f"or move rule {first.index + 1} below rule {default.index + 1}" if default else "or --recipient"),
            )
    return model


def _keys(model: CreationRule | None, env: str, checked: list[str]) -> dict[str, documents.Yaml]:
    """The settings of a new rule that say who can decrypt."""
    keys = dict(model.keys) if model else {}
    if checked and keys.get("key_groups"):
        raise InputError(
            f"{SOPS_FILE}: {model} has key groups, and --recipient does not say which group it is for",
            hint=f"leave out --recipient, or write the rule of {env} by hand (path_regex: '{_path_regex(env)}')",
        )
    listed = [check_recipient(text, f"{SOPS_FILE}: {model}: age") for text in texts(keys.get("age"))]
    if checked or listed:
        keys["age"] = checked or list(dict.fromkeys(listed))
    if not of_rule(keys).groups:
        raise InputError(
            f"--recipient: nobody is named who may decrypt the secrets of {env}; there is no recipient",
            hint="--recipient age1..., or make a key with `kasmgen init --generate-key`",
        )
    return keys


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
                f"{SOPS_FILE} has a default rule with other recipients: {own}", hint="edit it, or leave out --recipient"
            )
        return content
    text = edit.insert_item(
        text_of(content), RULES, _place(rules, "any", ()), _lines(_path_regex(_ANY), {"age": checked}), SOPS_FILE
    )
    return text.encode()


def _comparable(recipient: str) -> str:
    return of_rule({"age": [recipient]}).everyone[0]


def _place(rules: Sequence[CreationRule], env: str, paths: Sequence[str]) -> int:
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
    return edit.remove_item(text_of(content), RULES, own.index, SOPS_FILE).encode()
