"""How a container ended, and what that means for the job. Pure.

The engine reports a number and a flag; the node knows why it stopped a container and how full the
disk was. `classify` puts them together, once, for the journal and the receipt.
"""

import signal
from dataclasses import dataclass
from typing import Final

from neurogrid_marketplace.faults import Outcome

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
        is_interrupted: the engine, an operator or a reboot ended it, or may have while the engine
            was away.
        error: the engine's own words, usually empty.
    """

    container_id: str
    code: int
    oom_killed: bool
    started_at_ns: int
    finished_at_ns: int
    is_interrupted: bool = False
    error: str = ""

    @property
    def ran_ns(self) -> int:
        """How long it ran, >= 0 (for the shortest runs the engine's two clocks disagree)."""
        if self.started_at_ns == 0:
            return 0
        return max(0, self.finished_at_ns - self.started_at_ns)


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome and one sentence about it for the client."""

    outcome: Outcome
    message: str


def classify(
    ended: Exit,
    *,
    stopped_for: Outcome | None = None,
    disk_full: bool = False,
    pids_exhausted: bool = False,
) -> Verdict:
    """What this end means.

    Args:
        stopped_for: what the node stopped it for, if it did.
        disk_full: the workspace had no block or no file left when the container ended.
        pids_exhausted: it was seen at its limit of processes.

    A job that ends with 0 has completed, whatever happened on the way, unless the node stopped it.
    The other evidence explains a failure; it never makes one.
    """
    how = describe_code(ended.code)
    if stopped_for is not None:
        return Verdict(stopped_for, f"stopped by the node ({stopped_for.value}); {how}")
    if ended.code == 0:
        return Verdict(Outcome.COMPLETED, "completed")
    # Only with an interruption that was seen: a client could exit(143) to run for nothing.
    if ended.is_interrupted:
        return Verdict(Outcome.ENGINE_LOST, f"the container engine was interrupted; {how}")
    if ended.oom_killed:
        return Verdict(Outcome.MEMORY_EXCEEDED, f"killed at its memory limit; {how}")
    if ended.code == _NOT_FOUND:
        return Verdict(Outcome.COMMAND_NOT_FOUND, "there is no such command (exit code 127)")
    if ended.code == _NOT_EXECUTABLE:
        return Verdict(Outcome.COMMAND_NOT_FOUND, "the command cannot be run (exit code 126)")
    if disk_full or ended.code == _SIGNAL_BASE + signal.SIGXFSZ:
        return Verdict(Outcome.DISK_EXCEEDED, f"/outputs was full; {how}")
    if pids_exhausted:
        return Verdict(Outcome.PIDS_EXCEEDED, f"it was at its limit of processes; {how}")
    return Verdict(Outcome.EXIT_NONZERO, how)


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
