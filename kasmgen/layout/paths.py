"""Where the files of a project stand, and which part of it a path belongs to."""

from __future__ import annotations

import re

PROJECT_FILE = "kasmgen.yaml"
SOPS_FILE = ".sops.yaml"
BASE = "base"
OVERLAYS = "overlays"
CLUSTERS = "clusters"
ENVIRONMENT_FILE = "environment.yaml"
SEALED_SUFFIX = ".sops.yaml"
KUSTOMIZATION = "kustomization.yaml"
KUSTOMIZATION_NAMES = (KUSTOMIZATION, "kustomization.yml", "Kustomization")
"""The file names that kustomize takes for a kustomization; kasmgen writes the first."""

_SEALED = re.compile(rf"{OVERLAYS}/([^/]+)/secrets/[^/]+{re.escape(SEALED_SUFFIX)}")
_OWNED = re.compile(rf"(?:{OVERLAYS}|{CLUSTERS})/([^/]+)/")


def environment(path: str) -> str:
    """The environment that a path below `overlays/` or `clusters/` belongs to, or ""."""
    found = _OWNED.match(path)
    return found[1] if found else ""


def environment_of_sealed(path: str) -> str:
    """The environment whose sealed file this is: `overlays/<env>/secrets/*.sops.yaml`, or ""."""
    found = _SEALED.fullmatch(path)
    return found[1] if found else ""


def overlay(name: str) -> str:
    """The directory of an environment's overlay."""
    return f"{OVERLAYS}/{name}"


def is_yaml(path: str) -> bool:
    """Whether Flux or kustomize would read this file as manifests."""
    return path.endswith((".yaml", ".yml", ".json"))


def is_sealed(path: str) -> bool:
    """Whether the name says that the file is sealed."""
    return path.endswith(SEALED_SUFFIX) and path.rpartition("/")[2] != SEALED_SUFFIX
