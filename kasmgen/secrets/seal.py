"""Carrying out what was planned for an environment's Secrets: fill, seal, verify, describe in clear."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

from kasmgen.errors import SecretError
from kasmgen.kubernetes.resources import ResourceId, Secret
from kasmgen.layout.annotations import INPUTS, REVISION
from kasmgen.programs import sops
from kasmgen.programs.session import Programs
from kasmgen.secrets import plan as secrets_plan
from kasmgen.secrets import sealed_file, sops_config
from kasmgen.secrets.plan import Add, Create, Keep, Plan, Replace, Sources
from kasmgen.yaml import edit


def seal(
    programs: Programs,
    environment: str,
    plans: Sequence[Plan],
    config: bytes,
    sources: Sources,
    supplied: Mapping[ResourceId, Mapping[str, Secret]],
) -> dict[str, bytes]:
    """Path -> content of every sealed file that the plans ask for, also of those that stay.

    config: the content of `.sops.yaml`, whose first matching rule has to be the
    environment's own. supplied: Secret -> data key -> value that people pass.
    Raises SecretError if a value is missing that only a private key could add, or
    if what sops returned is not what was meant.
    """
    fresh = [plan for plan in plans if isinstance(plan, (Create, Replace))]
    if fresh:
        sops_config.require_own_rule(config, environment, [plan.path for plan in fresh])
    filled = {plan.path: secrets_plan.fill(plan, sources, supplied.get(plan.required.id, {})) for plan in fresh}
    manifests = {plan.path: _manifest(plan, *filled[plan.path]) for plan in fresh}
    completed = sops_config.for_sealing(config, environment) if manifests else b""
    encrypted = sops.encrypt_many(programs.sops, manifests, config=completed) if manifests else {}
    out: dict[str, bytes] = {}
    for plan in plans:
        match plan:
            case Create() | Replace():
                content = _verified(plan, encrypted[plan.path], *filled[plan.path], config)
            case Add():
                content = _added(programs, plan, sources, supplied.get(plan.required.id, {}))
            case Keep():
                content = plan.existing.content
            case _:
                assert_never(plan)
        out[plan.path] = _current(plan, content)
    return out


def unchanged(plans: Iterable[Plan]) -> dict[str, bytes]:
    """Path -> content of the sealed files that stay, which takes no program."""
    return {plan.path: _current(plan, plan.existing.content) for plan in plans if isinstance(plan, Keep)}


def _manifest(plan: Plan, data: Mapping[str, Secret], annotations: Mapping[str, str]) -> Secret:
    required = plan.required
    clear = {**annotations, REVISION: ""}
    return sealed_file.manifest(required.id.name, required.id.namespace, required.type, data, clear, required.labels)


def _verified(
    plan: Plan, content: bytes, data: Mapping[str, Secret], annotations: Mapping[str, str], config: bytes
) -> bytes:
    sealed_file.verify(
        content,
        plain_keys=list(data),
        recipients=sops_config.recipients_for(config, plan.path),
        name=plan.required.id.name,
        namespace=plan.required.id.namespace,
        annotations={**annotations, REVISION: ""},
        source=plan.path,
    )
    return content


def _added(programs: Programs, plan: Add, sources: Sources, supplied: Mapping[str, Secret]) -> bytes:
    """The sealed file with the missing keys, which takes a private key at hand."""
    path, keys = plan.path, ", ".join(sorted(plan.keys))
    program = programs.sops
    try:
        plain = sops.decrypt(program, plan.existing.content, name=path)
    except SecretError as error:
        raise SecretError(
            f"{path} needs {keys}, and nothing can be added to a sealed file without a private key ({error.message})",
            hint="run the same command where a private key fits, and commit what it changes",
        ) from None
    data, annotations = secrets_plan.fill(plan, sources, supplied)
    whole = {**sealed_file.data_of(plain, path), **data}
    content = sops.set_values(program, plan.existing.content, ["data"], sealed_file.data_json(whole), name=path)
    if INPUTS not in annotations and plan.existing.sealed.annotations.get(INPUTS):
        annotations = {**annotations, INPUTS: ""}
    return sealed_file.with_annotations(content, annotations) if annotations else content


def _current(plan: Plan, content: bytes) -> bytes:
    """`content` with the namespace and the revision that it must have; both stand in clear."""
    path = plan.path
    seen = sealed_file.parse(content, path)
    if seen.namespace != plan.required.id.namespace:
        text = edit.set_entries(content.decode(), ("metadata",), {"namespace": plan.required.id.namespace}, path)
        content = text.encode()
    revision = sealed_file.revision(content)
    if seen.annotations.get(REVISION) == revision:
        return content
    return sealed_file.with_annotations(content, {REVISION: revision})
