"""The Flux objects that make a cluster reconcile an environment.

They reconcile under a default Flux and under one that refuses references to
other namespaces: source, decryption Secret and Kustomization share a namespace.
Fields: Flux's kustomize.toolkit.fluxcd.io/v1 and source.toolkit.fluxcd.io/v1.
"""

from __future__ import annotations

from kasmgen.kubernetes.resources import Object
from kasmgen.layout import marks, paths
from kasmgen.project.config import Environment, FluxInput, Project
from kasmgen.yaml import documents

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
