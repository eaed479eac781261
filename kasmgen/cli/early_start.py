"""What loads while the command itself is still being imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from kasmgen.programs.libhelm import HelmLibrary


def helm() -> HelmLibrary:
    """libhelm, which loads while the command does, and ends with it: to be called before the command is imported."""
    from kasmgen.programs import libhelm

    return click.get_current_context().with_resource(libhelm.loading())
