"""Settings of all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests.machine import Machine, copy_machine, make_machine
from tests.repository.repositories import Clone, make, settle_home

# What a shell runs in the background has Ctrl-C ignored, and so has every process that a test starts and signals.
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

# In CI the same examples each time: a new one is found on a laptop, where somebody looks at it.
settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of the user of this process: a Git identity and nothing else."""
    settle_home(tmp_path / "home", monkeypatch)
    return tmp_path / "home"


@pytest.fixture
def clone(home: Path, tmp_path: Path) -> Clone:  # noqa: ARG001 (who commits)
    """A repository with one commit, on the branch main."""
    return make(tmp_path / "repo")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return make_machine(tmp_path)


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine with a project of the built-in chart, made once. To be copied, never changed."""
    template = make_machine(tmp_path_factory.mktemp("initialised"))
    template.ok("init", "--recipient", template.recipient)
    return template


@pytest.fixture(scope="session")
def with_prod(initialised: Machine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """The same with the environment prod, whose certificates take seconds to make. To be copied, never changed."""
    template = copy_machine(initialised, tmp_path_factory.mktemp("with-prod"))
    template.ok("env", "add", "prod", "--hostname", "kasm.example.com")
    return template


@pytest.fixture
def project(initialised: Machine, tmp_path: Path) -> Machine:
    """A machine with an initialised project of the built-in chart."""
    return copy_machine(initialised, tmp_path)


@pytest.fixture
def prod(with_prod: Machine, tmp_path: Path) -> Machine:
    """A project with the environment prod."""
    return copy_machine(with_prod, tmp_path)
