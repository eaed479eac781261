"""Kasm Workspaces for GitOps: from a Helm chart to a repository that Flux reconciles."""

__version__ = "0.1.0"
