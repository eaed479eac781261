"""The command line. `main` is what the installed program runs."""

from __future__ import annotations

from kasmgen.cli.group import main

__all__ = ["main"]
