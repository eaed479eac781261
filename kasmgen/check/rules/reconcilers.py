"""6xx: the Flux objects reconcile what is there."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from kasmgen.check.rule import ERROR, WARNING, Hit, Rule
from kasmgen.kubernetes.fields import get, items
from kasmgen.kubernetes.resources import Object, ResourceId
from kasmgen.layout import paths as layout_paths
from kasmgen.yaml.documents import Yaml

API = "kustomize.toolkit.fluxcd.io"

_DURATION = re.compile(r"([0-9]+(\.[0-9]+)?(ms|s|m|h))+")
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Reconciler:
    """A Flux Kustomization of the repository."""

    file: str
    object: Object = field(repr=False)

    @property
    def spec(self) -> dict[str, Yaml]:
        """Its spec, {} if it is none."""
        spec = self.object.get("spec")
        return spec if isinstance(spec, dict) else {}

    @property
    def id(self) -> tuple[str, str]:
        """(namespace, name)."""
        return str(get(self.object, "metadata.namespace") or ""), str(get(self.object, "metadata.name") or "")

    @property
    def cluster(self) -> str:
        """The folder below `clusters/`; names are unique within a cluster, not within the repository."""
        return layout_paths.environment(self.file)

    def hit(self, message: str) -> Hit:
        """A hit in this object."""
        namespace, name = self.id
        shown = f"Kustomization {name}" + (f" in {namespace}" if namespace else "")
        return Hit(message, self.file, shown, layout_paths.environment(self.file))


@dataclass(frozen=True)
class Flux:
    """reconcilers: every Flux Kustomization. prefix: the project's directory from the Git root.

    files: every file of the project. sealed: environments that have sealed Secrets.
    builds: environment -> what it builds to, as far as it was built.
    """

    reconcilers: tuple[Reconciler, ...]
    prefix: str = ""
    files: frozenset[str] = field(default=frozenset(), repr=False)
    sealed: frozenset[str] = frozenset()
    builds: Mapping[str, Mapping[ResourceId, Object]] = field(default_factory=dict, repr=False)

    @cached_property
    def folders(self) -> frozenset[str]:
        """Every folder of the project, "" for the project itself."""
        return frozenset({parent for path in self.files for parent in _parents(path)} | {""})

    def place(self, reconciler: Reconciler) -> str | None:
        """What it reconciles, from the project's root; None if that is elsewhere."""
        path = posixpath.normpath(str(reconciler.spec.get("path") or "."))
        path = "" if path in (".", "/") else path.lstrip("/")
        if not self.prefix:
            return path
        if path == self.prefix:
            return ""
        return path.removeprefix(f"{self.prefix}/") if path.startswith(f"{self.prefix}/") else None

    def environment(self, reconciler: Reconciler) -> str:
        """The environment whose overlay it reconciles, or ""."""
        return layout_paths.environment(f"{self.place(reconciler) or ''}/")


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def is_reconciler(document: object) -> bool:
    """Whether a document is a Kustomization of Flux."""
    return (
        isinstance(document, dict)
        and document.get("kind") == "Kustomization"
        and str(document.get("apiVersion")).startswith(f"{API}/")
    )


def paths(flux: Flux) -> Iterator[Hit]:
    for item in flux.reconcilers:
        place = flux.place(item)
        if place is None or get(item.spec, "sourceRef.kind") not in (None, "GitRepository"):
            continue
        # Other people's source, whose content nobody knows here, is recognised by a path that is not ours.
        if not place.startswith(("overlays/", "base/", "clusters/")) and place not in flux.folders:
            continue
        if place not in flux.folders:
            yield item.hit(f"spec.path {item.spec.get('path')} is no directory of the repository")
        elif place.startswith("overlays/") and not _has_kustomization(place, flux.files):
            yield item.hit(f"{place} has no kustomization.yaml, so Flux would take every file in it for a manifest")


def _has_kustomization(folder: str, files: Collection[str]) -> bool:
    return any(f"{folder}/{name}" in files for name in layout_paths.KUSTOMIZATION_NAMES)


def decryption(flux: Flux) -> Iterator[Hit]:
    for item in flux.reconcilers:
        place = flux.place(item) or ""
        if not place.startswith("overlays/") or flux.environment(item) not in flux.sealed:
            continue
        if get(item.spec, "decryption.provider") != "sops":
            yield item.hit(f"{place} has sealed Secrets, and spec.decryption does not name the provider sops")
        elif not get(item.spec, "decryption.secretRef.name") and not get(item.spec, "decryption.serviceAccountName"):
            yield item.hit("spec.decryption.secretRef names no Secret with the private key")


_NEEDED = ("interval", "prune", "sourceRef")


def fields(flux: Flux) -> Iterator[Hit]:
    for item in flux.reconcilers:
        for name in _NEEDED:
            if item.spec.get(name) is None:
                yield item.hit(f"spec.{name} is missing")
        for name in ("interval", "retryInterval", "timeout"):
            value = item.spec.get(name)
            if value is not None and not _DURATION.fullmatch(str(value)):
                yield item.hit(f"spec.{name} is {value}, which is no duration; Flux knows h, m, s and ms")


def seconds(value: Yaml) -> float | None:
    """A duration of Flux in seconds; None if it is none."""
    text = str(value)
    if value is None or not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def durations(flux: Flux) -> Iterator[Hit]:
    for item in flux.reconcilers:
        interval, timeout = seconds(item.spec.get("interval")), seconds(item.spec.get("timeout"))
        if interval is not None and interval < 60:
            yield item.hit(f"spec.interval {item.spec['interval']} keeps the cluster busy; new revisions act at once")
        if timeout is not None and timeout < 30:
            yield item.hit(f"spec.timeout {item.spec['timeout']} is too short for anything to become ready")
        if timeout is None and interval is not None and interval > 1800 and item.spec.get("timeout") is None:
            yield item.hit(f"spec.timeout is missing, so a failing wait lasts almost {item.spec['interval']}")


def substitution(flux: Flux) -> Iterator[Hit]:
    for item in flux.reconcilers:
        if not item.spec.get("postBuild"):
            continue
        for key, obj in flux.builds.get(flux.environment(item), {}).items():
            if not _is_exempt(obj) and (found := _variable(obj, "")):
                yield item.hit(f"spec.postBuild would replace what {found} of {key} holds")


def _is_exempt(obj: Object) -> bool:
    marks = {**(get(obj, "metadata.labels") or {}), **(get(obj, "metadata.annotations") or {})}
    # Flux compares this one exactly, in lower case.
    return marks.get(f"{API}/substitute") == "disabled"


def _variable(value: Yaml, path: str) -> str:
    """Where a text holds what the substitution would touch; "" if nowhere."""
    if isinstance(value, str):
        return path if "${" in value or "$$" in value else ""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        if found := _variable(item, f"{path}.{key}".lstrip(".")):
            return found
    return ""


def _needs(item: Reconciler) -> list[tuple[str, str]]:
    namespace = item.id[0]
    return [(str(e.get("namespace") or namespace), str(e.get("name"))) for e in items(item.spec, "dependsOn")]


def cycles(flux: Flux) -> Iterator[Hit]:
    for cluster in sorted({item.cluster for item in flux.reconcilers}):
        members = {item.id: item for item in flux.reconcilers if item.cluster == cluster}
        for key, item in members.items():
            if key in _reachable(key, members):
                yield item.hit("spec.dependsOn leads back to itself, so it is never applied")


def _reachable(start: tuple[str, str], members: Mapping[tuple[str, str], Reconciler]) -> set[tuple[str, str]]:
    seen: set[tuple[str, str]] = set()
    ahead = _needs(members[start])
    while ahead:
        key = ahead.pop()
        if key not in seen:
            seen.add(key)
            ahead += _needs(members[key]) if key in members else []
    return seen


def unknown_dependencies(flux: Flux) -> Iterator[Hit]:
    known = {(item.cluster, item.id) for item in flux.reconcilers}
    for item in flux.reconcilers:
        for needed in _needs(item):
            if (item.cluster, needed) not in known and ("", needed) not in known:
                yield item.hit(f"spec.dependsOn names {'/'.join(filter(None, needed))}, which is not in the repository")


def forced(flux: Flux) -> Iterator[Hit]:
    return (item.hit("spec.force is true") for item in flux.reconcilers if item.spec.get("force") is True)


def rivals(flux: Flux) -> Iterator[Hit]:
    seen: dict[tuple[str, str], Reconciler] = {}
    for item in flux.reconcilers:
        place = flux.place(item)
        if place is None or not place.startswith("overlays/"):
            continue
        other = seen.setdefault((item.cluster, place), item)
        if other.id != item.id:
            yield item.hit(f"{place} is reconciled by {'/'.join(filter(None, other.id))} too")


def inside_overlays(flux: Flux) -> Iterator[Hit]:
    for item in flux.reconcilers:
        if item.file.startswith(("overlays/", "base/")):
            yield item.hit("it stands in what it reconciles, so it applies itself")


RULES: tuple[Rule[Flux], ...] = (
    Rule(
        "KG601",
        ERROR,
        "Flux is told to reconcile what is not there",
        "`spec.path` is no directory of the repository, or one without a kustomization.yaml.",
        "correct the path, or run `kasmgen render`",
        paths,
    ),
    Rule(
        "KG602",
        ERROR,
        "Flux cannot decrypt the Secrets of an overlay",
        "Every Kustomization that applies sealed Secrets needs its own `spec.decryption`; nothing is inherited. The "
        "Secret that it names has to be in the Kustomization's namespace, with a key that ends in `.agekey`; what is "
        "in it only the cluster knows.",
        "add `decryption: {provider: sops, secretRef: {name: ...}}`",
        decryption,
    ),
    Rule(
        "KG603",
        ERROR,
        "a Flux object lacks a field, or a duration is none",
        "Flux refuses the object. Durations are written as in `1h30m`; days do not exist.",
        "add the field, or correct the duration",
        fields,
    ),
    Rule(
        "KG604",
        WARNING,
        "an interval or timeout makes no sense",
        "New revisions act at once, whatever the interval. Without a timeout a wait that cannot succeed lasts as long "
        "as the interval.",
        "set `interval: 1h` and `timeout: 15m`, or what fits the cluster",
        durations,
    ),
    Rule(
        "KG605",
        ERROR,
        "variable substitution would change scripts",
        "With `spec.postBuild` Flux replaces `${...}` and `$$` in every object, scripts and configuration included, "
        "and fails for names that it does not know.",
        "leave postBuild out, or annotate the object with `kustomize.toolkit.fluxcd.io/substitute: disabled`",
        substitution,
    ),
    Rule(
        "KG606",
        ERROR,
        "dependencies go round in a circle",
        "None of the Kustomizations in the circle is ever applied.",
        "remove one of the dependencies",
        cycles,
    ),
    Rule(
        "KG607",
        WARNING,
        "a dependency is not in the repository",
        "Flux waits for a Kustomization that may be elsewhere, or nowhere.",
        "correct the name, or make sure that something else creates it",
        unknown_dependencies,
    ),
    Rule(
        "KG608",
        ERROR,
        "Flux would delete what it cannot change",
        "With `spec.force` Flux deletes every object that the API server refuses to change, claims and databases "
        "included, also where the object is merely invalid.",
        "remove it, and annotate single Jobs with `kustomize.toolkit.fluxcd.io/force: enabled`",
        forced,
    ),
    Rule(
        "KG609",
        ERROR,
        "two Flux objects apply the same overlay",
        "Each of them would take over, and on its removal delete, what the other has applied.",
        "keep one of them",
        rivals,
    ),
    Rule(
        "KG610",
        ERROR,
        "a Flux object stands inside an overlay",
        "It would be applied by itself, and pruned with everything else when it changes.",
        "move it below clusters/",
        inside_overlays,
    ),
)
