"""Pod templates that read sealed Secrets say so, so that pods roll when the content changes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from kasmgen.kubernetes import kinds
from kasmgen.kubernetes.kinds import with_template
from kasmgen.kubernetes.resources import Object
from kasmgen.layout.annotations import SECRETS
from kasmgen.yaml.documents import Yaml


def mark_secrets(obj: Object, revisions: Mapping[tuple[str, str], str]) -> Object:
    """`obj` with the annotation on its pod template, if that reads one of the sealed Secrets.

    revisions: (namespace, name) of a Secret -> its revision. The annotation is a
    hash of the names and revisions of what the pod reads, so it changes when, and
    only when, one of them does. Pull credentials do not count: a running pod does
    not read them.
    """
    template = kinds.pod_template(obj)
    if template is None:
        return obj
    namespace = str((obj.get("metadata") or {}).get("namespace") or "")
    used = {
        name: revisions[(namespace, name)]
        for name in kinds.secrets_used(template.get("spec"))
        if (namespace, name) in revisions
    }
    if not used:
        return obj
    text = "".join(f"{name}={used[name]}\n" for name in sorted(used))
    value = hashlib.sha256(text.encode()).hexdigest()[:16]

    def add(holder: dict[str, Yaml]) -> dict[str, Yaml]:
        metadata = holder.get("metadata") or {}
        annotations = {**(metadata.get("annotations") or {}), SECRETS: value}
        return {**holder, "metadata": {**metadata, "annotations": annotations}}

    return with_template(obj, add)
