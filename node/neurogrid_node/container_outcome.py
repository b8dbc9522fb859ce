"""How a container ended, and what that means for the job. Pure.

The engine reports a number and a flag; the node knows why it stopped a container and how full the
disk was. `classify` puts them together, once, for the journal and the receipt.
"""

import signal
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# Shell convention, also followed by the init we run jobs under (tini).
_NOT_EXECUTABLE: Final = 126
_NOT_FOUND: Final = 127
_SIGNAL_BASE: Final = 128


@dataclass(frozen=True, slots=True)
class Exit:
    """What the engine says about a container that has ended.

    Attributes:
        code: exit code; 128 + n when signal n ended it.
        oom_killed: the kernel killed *some* process of it for memory. Also true when only a child
            died and the job finished well, so it counts only beside a code that is not zero.
        started_at_ns, finished_at_ns: Unix time by the engine's clock; 0 when it never started.
        engine_lost: the engine was away at some time while we waited.
        error: the engine's own words, usually empty.
    """

    container_id: str
    code: int
    oom_killed: bool
    started_at_ns: int
    finished_at_ns: int
    engine_lost: bool = False
    error: str = ""

    @property
    def ran_ns(self) -> int:
        """How long it ran, >= 0 (for the shortest runs the engine's two clocks disagree)."""
        if self.started_at_ns == 0:
            return 0
        return max(0, self.finished_at_ns - self.started_at_ns)


class StopReason(StrEnum):
    """Why the node stopped a container itself."""

    TIME_LIMIT = "time_limit"
    CANCELLED = "cancelled"
    UNPAID = "unpaid"
    DISK_EXCEEDED = "disk_exceeded"
    NODE_STOPPING = "node_stopping"


class Outcome(StrEnum):
    """How the job ended."""

    COMPLETED = "completed"
    NONZERO_EXIT = "nonzero_exit"
    OUT_OF_MEMORY = "out_of_memory"
    OUT_OF_DISK = "out_of_disk"
    OUT_OF_PIDS = "out_of_pids"
    COMMAND_NOT_FOUND = "command_not_found"
    COMMAND_NOT_EXECUTABLE = "command_not_executable"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    UNPAID = "unpaid"
    NODE_STOPPING = "node_stopping"
    ENGINE_LOST = "engine_lost"

    @property
    def is_infrastructure(self) -> bool:
        """The provider's machine failed, not the job: requeue, do not charge for it."""
        return self in (Outcome.ENGINE_LOST, Outcome.NODE_STOPPING)


_STOPPED: Final = {
    StopReason.TIME_LIMIT: Outcome.TIMED_OUT,
    StopReason.CANCELLED: Outcome.CANCELLED,
    StopReason.UNPAID: Outcome.UNPAID,
    StopReason.DISK_EXCEEDED: Outcome.OUT_OF_DISK,
    StopReason.NODE_STOPPING: Outcome.NODE_STOPPING,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome and one sentence about it for the client."""

    outcome: Outcome
    message: str


def classify(
    ended: Exit,
    *,
    stopped_for: StopReason | None = None,
    disk_full: bool = False,
    pids_exhausted: bool = False,
) -> Verdict:
    """What this end means.

    Args:
        stopped_for: set when the node asked the container to stop, before it ended.
        disk_full: the workspace had no block or no file left when the container ended.
        pids_exhausted: the last usage seen was at the limit of processes.

    A job that ends with 0 has completed, whatever happened on the way, unless we stopped it. The
    evidence in the flags explains a failure; it never makes one.
    """
    if stopped_for is not None:
        outcome = _STOPPED[stopped_for]
        return Verdict(outcome, f"stopped by the node: {stopped_for.value.replace('_', ' ')}")
    if ended.code == 0:
        return Verdict(Outcome.COMPLETED, "completed")
    how = describe_code(ended.code)
    # Without an interruption seen, 143 is the job's own doing: a client could exit(143) to run
    # for nothing.
    if ended.engine_lost:
        return Verdict(Outcome.ENGINE_LOST, f"the container engine was interrupted; {how}")
    if ended.oom_killed:
        return Verdict(Outcome.OUT_OF_MEMORY, f"killed at its memory limit; {how}")
    if ended.code == _NOT_FOUND:
        return Verdict(Outcome.COMMAND_NOT_FOUND, "the image has no such command (exit code 127)")
    if ended.code == _NOT_EXECUTABLE:
        return Verdict(Outcome.COMMAND_NOT_EXECUTABLE, "the command cannot be run (exit code 126)")
    if disk_full or ended.code == _SIGNAL_BASE + signal.SIGXFSZ:
        return Verdict(Outcome.OUT_OF_DISK, f"/outputs was full; {how}")
    if pids_exhausted:
        return Verdict(Outcome.OUT_OF_PIDS, f"it was at its limit of processes; {how}")
    return Verdict(Outcome.NONZERO_EXIT, how)


def describe_code(code: int) -> str:
    """``exit code 3``, or ``ended by SIGKILL (exit code 137)``."""
    if code > _SIGNAL_BASE:
        try:
            name = signal.Signals(code - _SIGNAL_BASE).name
        except ValueError:
            pass
        else:
            return f"ended by {name} (exit code {code})"
    return f"exit code {code}"
