"""Values that look like secrets: by the words of their names, or by what stands in them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from kasmgen.secrets import private_keys
from kasmgen.yaml import mappings
from kasmgen.yaml.documents import Yaml

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# adminpassword, dbpass, accesstoken: names that were never parted into words
_SECRET_WORD = re.compile(
    r".*(?:password|passwd|passphrase|credential|token|secret|privatekey|apikey|accesskey|authkey|sshkey)s?"
    r"|(?!by|com|tres|over)\w*pass|pwd|pw|psk|passcode"
)
_BEFORE_KEY = _words(
    "access account api auth encryption hmac jwt master private secret session shared signing ssh storage"
)
# A name that ends with one of these says something about a secret, or where there is one: secretName, tokenSeconds.
_ABOUT = _words(
    "age algorithm annotations attempts audience auth authentication backend claim class complexity count day days "
    "description dir directory disabled duration enable enabled endpoint engine env expiration expiry field file "
    "format generator header history host hostname hour hours id ids interval issuer key label labels length "
    "lifetime limit login manager max method min minute minutes mode mount ms name names namespace path placeholder "
    "policy port prefix provider reader ref refs request required retries reviewer rotation scope scopes second "
    "seconds secs size store suffix timeout ttl type uri url usage user username var version"
)
# The same of names that begin so: existingSecret, useToken, maxTokens.
_FIRST = _words(
    "allow automount create disable enable existing external generate has image is max min num pull require show "
    "use validate"
)
_NAMELESS = frozenset(("value", "values", "plain", "plaintext"))
"""Keys that say nothing by themselves: the name is the one above, or the `name` beside."""

_SETTING = re.compile(r"(?i:true|false|yes|no|on|off|none|null)|\$\([\w.-]+\)|\$\{[\w.-]+\}")
"""Texts that are none: switches, and references to a variable."""
_LOGIN_IN_URL = re.compile(r"\w://[^/\s:@]*:(?!\$)[^/\s@]+@")


def in_clear(
    given: Mapping[str, Yaml], defaults: Mapping[str, Yaml], plain: Collection[str] = ()
) -> list[mappings.Path]:
    """Paths of the values that look like secrets, and are neither the chart's own nor said to be none."""
    return [
        path
        for path in dict.fromkeys(path for path, _ in mappings.text_leaves(given))
        if ".".join(path) not in plain
        and mappings.get(given, path) != mappings.get(defaults, path)
        and looks_secret(given, path)
    ]


def looks_secret(given: Mapping[str, Yaml], path: mappings.Path) -> bool:
    """Whether a value of `given` looks like a secret."""
    texts = [text for _, text in mappings.text_leaves(mappings.get(given, path))]
    texts = [text for text in texts if text and not _SETTING.fullmatch(text)]
    return bool(texts) and (any(map(_tells, texts)) or any(sounds_secret(name) for name in _names(given, path)))


def sounds_secret(name: str) -> bool:
    """Whether a name is one of a secret, and not of a setting about one."""
    words = [word.lower() for word in _WORD.findall(name)]
    while words and words[-1].isdecimal():
        words.pop()
    if not words or words[0] in _FIRST or words[0].startswith("existing") or {"existing", "pull"} & {*words}:
        return False
    if words[-1] in ("key", "keys"):
        # secretKey is one; passwordKey and adminPasswordSecretKey name a key of a Secret.
        return len(words) > 1 and words[-2] in _BEFORE_KEY and not {*words} & {"password", "token"}
    return words[-1] not in _ABOUT and any(map(_SECRET_WORD.fullmatch, words))


def _tells(text: str) -> bool:
    return _LOGIN_IN_URL.search(text) is not None or any(private_keys.find(text.encode()))


def _names(given: Mapping[str, Yaml], path: mappings.Path) -> Iterator[str]:
    steps = [step for step in path if not step.isdecimal()]
    if not steps:
        return
    if steps[-1].lower() in _NAMELESS:
        beside = mappings.get(given, (*path[:-1], "name"))
        yield from (beside,) if isinstance(beside, str) else steps[-2:-1]
    else:
        yield steps[-1]
        # passwords.admin, tokens.ci: a mapping of them
        above = steps[-2] if len(steps) > 1 else ""
        words = [word.lower() for word in _WORD.findall(steps[-1])]
        if above.endswith("s") and sounds_secret(above) and not (words and words[-1] in _ABOUT | _FIRST):
            yield above
