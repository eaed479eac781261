"""Rights in the Kubernetes API that somebody gains."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from kasmgen.kubernetes.fields import items, mapping, short, texts
from kasmgen.kubernetes.resources import Object
from kasmgen.review.changes import ObjectChange, RemovedObject, Risk

_Right = tuple[str, str, str, str]
"""(API group, resource, name, verb), with "*" for any."""

_MOST = 5000


def rbac(change: ObjectChange) -> Iterator[Risk]:
    """Rules that allow more, and bindings that reach more subjects."""
    if isinstance(change, RemovedObject) or change.id.group != "rbac.authorization.k8s.io":
        return
    old, new = change.old, change.new
    if change.id.kind in ("Role", "ClusterRole"):
        if more := gained(old, new):
            yield Risk("more-privilege", "warning", f"it allows {short(more)}")
        if not items(old, "aggregationRule.clusterRoleSelectors") and mapping(new, "aggregationRule"):
            yield Risk("more-privilege", "warning", "it takes the rules of other roles over (aggregationRule)")
    elif change.id.kind in ("RoleBinding", "ClusterRoleBinding"):
        role = f"{mapping(new, 'roleRef').get('kind', 'role')} {mapping(new, 'roleRef').get('name', '?')}"
        before = _subjects(old) if mapping(old, "roleRef") == mapping(new, "roleRef") else []
        if more := [subject for subject in _subjects(new) if subject not in before]:
            yield Risk("more-privilege", "warning", f"{short(more)} gets the rights of {role}")


def gained(old: Object, new: Object) -> list[str]:
    """The rights of `new` that no rule of `old` covers, in words, sorted."""
    before = _rights(old)
    return [_words(right) for right in sorted(_rights(new)) if not _covered(right, before)]


def _rights(role: Object) -> set[_Right]:
    found: set[_Right] = set()
    for rule in items(role, "rules"):
        verbs = texts(rule, "verbs")
        names = texts(rule, "resourceNames") or ["*"]
        for right in product(texts(rule, "apiGroups"), texts(rule, "resources"), names, verbs):
            found.add(right)
        found |= {("", url, "*", verb) for url in texts(rule, "nonResourceURLs") for verb in verbs}
        if len(found) > _MOST:
            break
    return found


def _covered(right: _Right, by: set[_Right]) -> bool:
    return any(wider in by for wider in product(*({part, "*"} for part in right)))


def _words(right: _Right) -> str:
    group, resource, name, verb = right
    what = "everything" if resource == "*" else resource
    verb = "any verb" if verb == "*" else verb
    return (
        f"{verb} on {what}{f' in {group}' if group not in ('', '*') else ''}{f' named {name}' if name != '*' else ''}"
    )


def _subjects(binding: Object) -> list[str]:
    return [
        f"{subject.get('kind')} {subject.get('name')}" + (f" in {ns}" if (ns := subject.get("namespace")) else "")
        for subject in items(binding, "subjects")
    ]
