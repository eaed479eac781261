"""The Flux objects that make a cluster reconcile an environment.

They reconcile under a default Flux and under one that refuses references to
other namespaces: source, decryption Secret and Kustomization share a namespace.
Fields: Flux's kustomize.toolkit.fluxcd.io/v1 and source.toolkit.fluxcd.io/v1.
"""

from __future__ import annotations

from kasmgen.kubernetes.fields import mapping
from kasmgen.kubernetes.resources import Object
from kasmgen.layout import marks, paths
from kasmgen.project.config import Environment, FluxInput, Project
from kasmgen.yaml import documents

FLUX = "kustomize.toolkit.fluxcd.io"
"""API group of Flux Kustomizations, and prefix of the annotations that its controller reads on objects."""

NAMESPACE = "flux-system"
RETRY = "2m"


def name(project: Project, environment: Environment) -> str:
    """The name of the environment's Flux objects. It never changes: renaming one makes Flux delete what it applied."""
    return f"{project.release}-{environment.name}"


def source_name(project: Project, environment: Environment) -> str:
    """The GitRepository that the Kustomization reads."""
    standard = environment.flux.source == FluxInput().source
    return name(project, environment) if environment.flux.url and standard else environment.flux.source


def kustomization(project: Project, environment: Environment, prefix: str) -> Object:
    """The Flux Kustomization. prefix: the project's directory from the Git root, "" or "deploy/kasm"."""
    path = "/".join(part for part in (".", prefix, environment.directory) if part)
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": name(project, environment), "namespace": NAMESPACE},
        "spec": {
            "interval": environment.flux.interval,
            "retryInterval": RETRY,
            "timeout": environment.flux.timeout,
            "path": path,
            "prune": True,
            "wait": True,
            "sourceRef": {"kind": "GitRepository", "name": source_name(project, environment)},
            "decryption": {"provider": "sops", "secretRef": {"name": environment.flux.decryption_secret}},
        },
    }


def repository(project: Project, environment: Environment) -> Object:
    """The GitRepository, for environments that bring their own."""
    spec: Object = {
        "interval": "5m",
        "url": environment.flux.url,
        "ref": {"branch": environment.flux.branch},
    }
    if environment.flux.url.startswith("ssh://"):
        # Flux cannot clone over SSH without the key; the Secret has the object's name.
        spec["secretRef"] = {"name": source_name(project, environment)}
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": source_name(project, environment), "namespace": NAMESPACE},
        "spec": spec,
    }


def files(project: Project, environment: Environment, prefix: str, source: str) -> dict[str, bytes]:
    """Path -> stamped content below `clusters/<env>/`."""
    objects = {"kasm.yaml": kustomization(project, environment, prefix)}
    if environment.flux.url:
        objects["source.yaml"] = repository(project, environment)
    return {
        f"{paths.CLUSTERS}/{environment.name}/{file}": marks.stamp(documents.dump(obj).encode(), source)
        for file, obj in objects.items()
    }


def flux_setting(obj: Object | None, what: str) -> str:
    """What an object's annotation or label tells Flux, in lower case (Flux compares without case)."""
    for where in ("metadata.annotations", "metadata.labels"):
        if (value := mapping(obj, where).get(f"{FLUX}/{what}")) is not None:
            return str(value).lower()
    return ""


def kept_by_flux(obj: Object | None) -> bool:
    """Whether Flux leaves the object in the cluster when it disappears from the repository."""
    return flux_setting(obj, "prune") == "disabled" or flux_setting(obj, "reconcile") == "disabled"
