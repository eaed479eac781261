"""Settings of all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.machine import Machine, make_machine

# In CI the same examples each time: a new one is found on a laptop, where somebody looks at it.
settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    yield make_machine(tmp_path)


@pytest.fixture
def project(machine: Machine) -> Machine:
    """A machine with an initialised project of the built-in chart."""
    machine.ok("init", "--recipient", machine.recipient)
    return machine


@pytest.fixture
def prod(project: Machine) -> Machine:
    """A project with the environment prod."""
    project.ok("env", "add", "prod", "--hostname", "kasm.example.com")
    return project
