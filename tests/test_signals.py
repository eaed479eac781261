"""Every signal that ends a command ends it as Ctrl-C does, and whoever tells of it knows what has landed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kasmgen import signals
from tests.machine import Machine
from tests.waiting import GUARD, until_there

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_is_an_interrupt_and_afterwards_what_it_was(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), signals.as_interrupts():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_one_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.as_interrupts():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_landed_is_known_before_a_signal_that_waited_is_delivered() -> None:
    with signals.as_interrupts():
        assert signals.landed() == ""
        with pytest.raises(KeyboardInterrupt), signals.deferred(lambda: ()):
            signal.raise_signal(signal.SIGTERM)
            signals.note_landed("commit 1 was made")
        assert signals.landed() == "commit 1 was made"
    with signals.as_interrupts():
        assert signals.landed() == ""


@pytest.mark.tool
@pytest.mark.parametrize("number", SIGNALS)
def test_a_command_that_changes_nothing_ends_with_130_and_says_so(machine: Machine, number: signal.Signals) -> None:
    # A git that says it was started, and then takes its time.
    shim = machine.home / "bin" / "git"
    shim.parent.mkdir()
    shim.write_text('#!/bin/sh\ntouch "$HOME/started"\nexec sleep 1800\n')
    shim.chmod(0o755)
    (machine.root / "kasmgen.yaml").touch()
    process = subprocess.Popen(
        [sys.executable, "-m", "kasmgen", "diff"],
        cwd=machine.root,
        env=machine.env(PATH=f"{shim.parent}:/usr/bin:/bin", PYTHONPATH=str(Path(__file__).parents[1])),
        stderr=subprocess.PIPE,
        text=True,
    )
    until_there(machine.home / "started")
    process.send_signal(number)
    _, said = process.communicate(timeout=GUARD)
    assert process.returncode == 130, said
    assert "error: interrupted; nothing was changed" in said
    assert "Traceback" not in said
