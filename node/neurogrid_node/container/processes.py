"""Processes of containers as the host sees them: those that a command has left are found and ended.

The engine starts commands in a container and cannot end them. Linux can: a command leads a session of its own
(runc calls setsid for each), and what it starts stays in that session, or below it, unless it leaves both.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

_PROC: Final = Path("/proc")
# Between being told that its terminal is gone, and the end.
_HANGUP_GRACE_S: Final = 2.0
# A program that forks faster than it is ended is bounded by its container, and goes with that.
_ROUNDS_MAX: Final = 20
_ROUND_PAUSE_S: Final = 0.05


def may_signal() -> bool:
    """Whether this daemon may signal the processes of containers: they are another user's."""
    return os.geteuid() == 0


@dataclass(frozen=True, slots=True)
class Process:
    """One process, from /proc/[pid]/stat (man 5 proc)."""

    pid: int
    parent: int
    session: int


class Command:
    """A process of a container, held by a descriptor: its number is nobody else's meanwhile."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self._descriptor = descriptor

    async def ended(self) -> None:
        """Wait until it has."""
        await trio.lowlevel.wait_readable(self._descriptor)

    def send(self, number: signal.Signals) -> None:
        """Signal it; one that has ended is left alone."""
        try:
            signal.pidfd_send_signal(self._descriptor, number)
        except ProcessLookupError:
            return

    async def end(self) -> None:
        """End it with everything that is in its session or below it: a hang-up first, then a kill."""
        family = members(self.pid)
        _signal(family, signal.SIGHUP)
        with trio.move_on_after(_HANGUP_GRACE_S):
            await self.ended()
        for _ in range(_ROUNDS_MAX):
            family |= members(self.pid)
            if not _signal(family, signal.SIGKILL):
                return
            await trio.sleep(_ROUND_PAUSE_S)


@contextmanager
def held(pid: int, container_id: str) -> Iterator[Command | None]:
    """The process of this number, if it runs, and in this container. 0 is nobody's number."""
    try:
        descriptor = os.pidfd_open(pid) if pid else -1
    except ProcessLookupError:
        descriptor = -1
    if descriptor < 0:
        yield None
        return
    try:
        # Looked at only now that the number can't change hands.
        yield Command(pid, descriptor) if is_inside(pid, container_id) else None
    finally:
        os.close(descriptor)


def is_inside(pid: int, container_id: str, proc: Path = _PROC) -> bool:
    """Whether a process is in this container's cgroup."""
    try:
        return container_id in (proc / str(pid) / "cgroup").read_text()
    except OSError:
        return False


def has_variable(pid: int, name: str, proc: Path = _PROC) -> bool:
    """Whether a process was started with this variable; it may have hidden that."""
    try:
        environment = (proc / str(pid) / "environ").read_bytes()
    except OSError:
        return False
    return any(each.startswith(f"{name}=".encode()) for each in environment.split(b"\0"))


def members(leader: int, proc: Path = _PROC) -> set[Process]:
    """The process, those of its session, and all below any of these."""
    everybody = list(_everybody(proc))
    found = {each for each in everybody if leader in (each.pid, each.session)}
    while True:
        pids = {each.pid for each in found}
        more = {each for each in everybody if each.parent in pids} - found
        if not more:
            return found
        found |= more


def _everybody(proc: Path) -> Iterator[Process]:
    for entry in proc.iterdir():
        if entry.name.isdigit():
            process = _process(entry)
            if process is not None:
                yield process


def _process(entry: Path) -> Process | None:
    try:
        stat = (entry / "stat").read_bytes()
    except OSError:
        return None  # it has ended meanwhile
    # The program's name comes in brackets before, and may hold anything.
    state, parent, _, session, *_ = stat.rpartition(b")")[2].split()
    if state in (b"Z", b"X"):
        return None
    return Process(int(entry.name), int(parent), int(session))


def _signal(family: set[Process], number: signal.Signals) -> bool:
    """Signal those that still are who they were; whether any was."""
    sent = False
    for each in family:
        try:
            descriptor = os.pidfd_open(each.pid)
        except ProcessLookupError:
            continue
        try:
            now = _process(_PROC / str(each.pid))
            # A parent that ended leaves its children to another; the session is for life.
            if now is not None and now.session == each.session:
                signal.pidfd_send_signal(descriptor, number)
                sent = True
        except ProcessLookupError:
            continue
        finally:
            os.close(descriptor)
    return sent
