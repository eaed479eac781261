"""What the run ran on: the size of the machine and the versions of everything, and nothing that names it."""

from __future__ import annotations

import os
import platform
from importlib import metadata

from kasmgen import __version__
from kasmgen.programs.libhelm import HelmLibrary
from kasmgen.programs.session import Programs
from kasmgen.repository import git


def facts() -> dict[str, str]:
    """Name -> value, for the report."""
    with HelmLibrary() as library:
        programs = Programs(library)
        return {
            "System": f"{platform.system()} {platform.machine()}",
            "Cores": str(os.cpu_count() or "?"),
            "Memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
            "Load before the run": f"{os.getloadavg()[0]:.1f}",
            "Python": platform.python_version(),
            "kasmgen": __version__,
            "Helm": str(programs.helm),
            "kustomize": programs.kustomize.version.take(),
            "sops": programs.sops.version,
            "git": git.version(),
            "click": metadata.version("click"),
        }
