"""What a provider can lose stake for: faults that anybody can check, and no ending of a job.

The numbers are the program's (contracts-client/program/faults.h), which refuses all but the first three.
"""

from enum import IntEnum

from .faults import Outcome


class ProvenFault(IntEnum):
    """A fault that is proven by documents: whoever has them can check it, without believing anybody."""

    WRONG_RESULT = 1
    """The job, run again in its recorded profile, gives other outputs. Proof: the receipt, and the job
    and profile that it names."""
    FORGED_EVIDENCE = 2
    """Two statements that the provider signed contradict each other. Proof: both envelopes."""
    OVERSOLD = 3
    """Signed leases promise the same capacity at the same time. Proof: offers, awards and accepts."""


_UNPROVEN: dict[Outcome, int] = {
    Outcome.EXIT_NONZERO: 32,
    Outcome.CANCELLED: 33,
    Outcome.MEMORY_EXCEEDED: 34,
    Outcome.PIDS_EXCEEDED: 35,
    Outcome.DISK_EXCEEDED: 36,
    Outcome.TIME_EXCEEDED: 37,
    Outcome.JOB_REFUSED: 38,
    Outcome.IMAGE_NOT_FOUND: 39,
    Outcome.COMMAND_NOT_FOUND: 40,
    Outcome.INPUT_UNAVAILABLE: 41,
    Outcome.OUTPUT_REFUSED: 42,
    Outcome.START_FAILED: 43,
    Outcome.PULL_STALLED: 44,
    Outcome.ENGINE_LOST: 45,
    Outcome.NODE_LOST: 46,
    Outcome.ESCROW_UNSEEN: 47,
    # A hash that does not match is a broken upload as often as a lie: see WRONG_RESULT for the lie.
    Outcome.RESULT_INVALID: 48,
    Outcome.EXPOSURE_EXHAUSTED: 49,
    Outcome.INPUT_UNREADABLE: 50,
    Outcome.PREEMPTED: 51,
    Outcome.GPU_LOST: 52,
}


def chain_code(reason: ProvenFault | Outcome) -> int:
    """The number by which the program knows a reason to slash, and takes or refuses it.

    Raises:
        ValueError: a completed job is no reason.
    """
    if isinstance(reason, ProvenFault):
        return reason.value
    if reason is Outcome.COMPLETED:
        raise ValueError("a completed job is no reason to slash")
    return _UNPROVEN[reason]


def is_slashable(reason: ProvenFault | Outcome) -> bool:
    """Whether stake can be taken for it.

    What looks like a limit, the machine or the network never is: a lost node, a full disk and a stalled
    download look alike from outside, and happen to the honest.
    """
    return isinstance(reason, ProvenFault)
