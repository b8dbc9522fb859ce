"""Processes are known by number and birth, and ended for good."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from neurogrid_devnet.processes import ProcessId, identify, is_alive, kill, terminate, wait_gone


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_process_is_known_by_its_birth_too(sleeper: "subprocess.Popen[bytes]") -> None:
    known = identify(sleeper.pid)
    assert known is not None
    assert is_alive(known)
    stranger = replace(known, born_s=known.born_s - 100)
    assert not is_alive(stranger)
    terminate([stranger], grace_s=1)
    kill([stranger])
    assert sleeper.poll() is None


def test_a_killed_process_is_gone_before_anybody_reaps_it(
    sleeper: "subprocess.Popen[bytes]",
) -> None:
    known = identify(sleeper.pid)
    assert known is not None
    kill([known])
    assert not is_alive(known)
    assert sleeper.wait() == -9


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True)\n"
    command = [sys.executable, "-c", code + "time.sleep(60)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        known = identify(process.pid)
        assert known is not None
        terminate([known], grace_s=0.1)
        assert process.wait() == -9


def test_what_does_not_end_is_told() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        known = identify(process.pid)
        assert known is not None
        assert wait_gone([known], 0.05) == [known]
        process.kill()
        assert wait_gone([known], 5) == []


def test_nobody_has_an_unused_number() -> None:
    assert identify(2**22 + 1) is None
    assert not is_alive(ProcessId(2**22 + 1, 1.0))
