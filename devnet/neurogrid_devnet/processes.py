"""Processes by number and time of birth, so that no stranger who got the number later is touched."""

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import psutil

_LOOK_INTERVAL_S = 0.02


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process. ``born_s`` is its Unix time of birth, as the kernel tells it."""

    pid: int
    born_s: float


def identify(pid: int) -> ProcessId | None:
    """The process that has this number now, or None."""
    try:
        return ProcessId(pid, psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def is_alive(process: ProcessId) -> bool:
    """Whether it is still running; one that only waits to be reaped is not."""
    return _living(process) is not None


def terminate(processes: Iterable[ProcessId], *, grace_s: float) -> None:
    """Ask them to stop, wait, and kill those that have not after ``grace_s``."""
    left = list(processes)
    for step in ("terminate", "kill"):
        for process in left:
            living = _living(process)
            if living is not None:
                with suppress(psutil.NoSuchProcess):
                    getattr(living, step)()
        left = wait_gone(left, grace_s)


def kill(processes: Iterable[ProcessId], *, patience_s: float = 5.0) -> None:
    """kill -9, and wait until they are gone."""
    killed = list(processes)
    for process in killed:
        living = _living(process)
        if living is not None:
            with suppress(psutil.NoSuchProcess):
                living.kill()
    wait_gone(killed, patience_s)


def wait_gone(processes: Iterable[ProcessId], patience_s: float) -> list[ProcessId]:
    """Wait until they have ended; those that have not."""
    deadline = time.monotonic() + patience_s
    left = [process for process in processes if is_alive(process)]
    while left and time.monotonic() < deadline:
        time.sleep(_LOOK_INTERVAL_S)
        left = [process for process in left if is_alive(process)]
    return left


def _living(process: ProcessId) -> psutil.Process | None:
    try:
        found = psutil.Process(process.pid)
        is_same = abs(found.create_time() - process.born_s) < 0.01
        return found if is_same and found.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None
