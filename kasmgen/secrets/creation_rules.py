"""`.sops.yaml` as sops reads it: its rules, and which one counts for a path.

sops takes the first rule of `creation_rules` whose `path_regex` is found in the
path (getsops/sops config/config.go).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

from kasmgen.errors import InputError
from kasmgen.kubernetes import go_regexp
from kasmgen.layout.paths import SOPS_FILE
from kasmgen.secrets.recipients import Recipients, of_rule
from kasmgen.yaml import documents, edit

RULES = "creation_rules"
_SCOPE = frozenset(
    {
        *("encrypted_regex", "encrypted_suffix", "encrypted_comment_regex"),
        *("unencrypted_regex", "unencrypted_suffix", "unencrypted_comment_regex"),
        "mac_only_encrypted",
    }
)


@dataclass(frozen=True)
class CreationRule:
    """One entry of `creation_rules`: `index` from 0, `line` from 1, `settings` all that it says."""

    index: int
    line: int
    path_regex: str
    recipients: Recipients
    settings: Mapping[str, documents.Yaml] = field(repr=False)

    @property
    def keys(self) -> dict[str, documents.Yaml]:
        """The settings that say who can decrypt, and how their keys are reached."""
        return {key: value for key, value in self.settings.items() if key != "path_regex" and key not in _SCOPE}

    @property
    def scope(self) -> dict[str, documents.Yaml]:
        """The settings that say which fields are encrypted, and what the MAC is about."""
        return {key: value for key, value in self.settings.items() if key in _SCOPE and value not in (None, "")}

    def matches(self, path: str) -> bool:
        """Whether sops would take this rule for `path` (relative to `.sops.yaml`), were it the first.

        Raises InputError if the regular expression is none that Go reads.
        """
        if not self.path_regex:
            return True
        try:
            return go_regexp.matches(self.path_regex, path)
        except ValueError as error:
            raise InputError(
                f"{SOPS_FILE}: the path_regex of {self} cannot be read: {error}",
                hint="sops reads it as Go does (RE2): without look-around and back references",
            ) from None

    def __str__(self) -> str:
        what = f"path_regex {self.path_regex}" if self.path_regex else "no path_regex: it matches everything"
        return f"rule {self.index + 1} (line {self.line}, {what})"


def text_of(content: bytes) -> str:
    """`content` as text. Raises InputError if it is none."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{SOPS_FILE}: not UTF-8 text") from None


def parse(content: bytes) -> list[CreationRule]:
    """The rules in their order. Raises InputError if the file is none that sops would read."""
    return list(_parsed(content))


# A file with a hundred environments is asked about once for every sealed file in them.
@functools.lru_cache(maxsize=4)
def _parsed(content: bytes) -> tuple[CreationRule, ...]:
    text = text_of(content)
    document = documents.load(text, SOPS_FILE)
    if document is None:
        return ()
    if not isinstance(document, dict):
        raise InputError(f"{SOPS_FILE}: a mapping is expected")
    listed = document.get(RULES)
    if listed is None:
        return ()
    if not isinstance(listed, list) or not all(isinstance(rule, dict) for rule in listed):
        raise InputError(f"{SOPS_FILE}: {RULES} must be a list of mappings")
    found = edit.entry(edit.parts(text, SOPS_FILE), RULES)
    # By an alias or a merge key the list may stand elsewhere; then it has no lines of its own.
    starts = [part.start for _, part in found[1].entries] if found else []
    starts = starts or [found[1].start if found else 0] * len(listed)
    lines = [text.count("\n", 0, start) + 1 for start in starts]
    return tuple(_rule(index, line, rule) for index, (line, rule) in enumerate(zip(lines, listed, strict=True)))


def _rule(index: int, line: int, rule: dict[str, documents.Yaml]) -> CreationRule:
    return CreationRule(
        index,
        line,
        str(rule.get("path_regex") or ""),
        of_rule(rule),
        rule,
    )


def matching_rule(content: bytes, path: str) -> CreationRule | None:
    """The rule that sops follows for `path` (from the project's root, with forward slashes)."""
    return next((rule for rule in parse(content) if rule.matches(path)), None)
