"""The programs of one run."""

from __future__ import annotations

from kasmgen.concurrency import Once
from kasmgen.programs import helm, kustomize, sops
from kasmgen.programs.libhelm import HelmLibrary


class Programs:
    """Helm, kustomize and sops, each looked for once, when it is first asked for.

    library: libhelm, which whoever opened it ends. Each property raises ToolError if the
    program is missing, too old or something else.
    """

    def __init__(self, library: HelmLibrary) -> None:
        self._helm = Once(lambda: helm.locate(library))
        self._kustomize = Once(kustomize.locate)
        self._sops = Once(sops.locate)

    @property
    def helm(self) -> helm.Engine:
        """What renders."""
        return self._helm.take()

    @property
    def kustomize(self) -> kustomize.Kustomize:
        """What builds."""
        return self._kustomize.take()

    @property
    def sops(self) -> sops.Sops:
        """What seals and opens."""
        return self._sops.take()
