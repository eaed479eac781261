"""Reading manifests of any shape: what is not as it should be reads as absent, and nothing fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kasmgen.kubernetes import kinds
from kasmgen.kubernetes.resources import Object
from kasmgen.yaml.documents import Yaml


def get(value: Yaml, path: str) -> Yaml:
    """The value at a dotted path of mapping keys; None where the path ends early."""
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def mapping(value: Yaml, path: str) -> dict[str, Yaml]:
    """The mapping at a dotted path, {} where there is none."""
    found = get(value, path)
    return found if isinstance(found, dict) else {}


def items(value: Yaml, path: str) -> list[dict[str, Yaml]]:
    """The mappings in the list at a dotted path."""
    found = get(value, path)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def texts(value: Yaml, path: str) -> list[str]:
    """The scalars of the list at a dotted path, as text."""
    found = get(value, path)
    return [str(item) for item in found if not isinstance(item, (dict, list))] if isinstance(found, list) else []


def whole(value: Yaml, default: int) -> int:
    """`value` if it is a whole number, else `default`."""
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def pod_spec(obj: Object | None) -> dict[str, Yaml]:
    """The pod spec of a workload, {} for anything else."""
    return mapping(kinds.pod_template(obj), "spec") if obj is not None else {}


def containers(obj: Object | None) -> Iterator[tuple[str, dict[str, Yaml]]]:
    """(name, container) of every container of a workload, init containers marked as such."""
    spec = pod_spec(obj)
    for field, word in (("initContainers", "init container"), ("containers", "container"), ("ephemeralContainers", "")):
        for container in items(spec, field):
            yield f"{word or 'ephemeral container'} {container.get('name', '?')}", container


def by_name(obj: Object | None) -> Mapping[str, dict[str, Yaml]]:
    """Containers of a workload by what `containers` calls them."""
    return dict(containers(obj))


def short(values: list[str], most: int = 3) -> str:
    """A list in words, with the number of those left out."""
    shown = ", ".join(values[:most])
    return shown if len(values) <= most else f"{shown} and {len(values) - most} more"
