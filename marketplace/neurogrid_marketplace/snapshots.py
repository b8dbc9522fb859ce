"""When a node takes a checkpoint of a running job, and what it says of it. Pure; part of `execution`.

One is begun after each interval of metered time, soon after the job asks for it, and as soon as the job
is warned that its node takes the machine back; and one more is taken of what a run left that did not
complete. No number is used twice: one that failed leaves a gap.
"""

from dataclasses import dataclass, replace

from .checkpoint import Checkpoint, CheckpointPlan
from .faults import Outcome

# A job that asks again and again gets one each so much of its running time.
ASKED_GAP_MS = 10_000


@dataclass(frozen=True, slots=True)
class Snapshots:
    """What a node knows of the checkpoints of one lease.

    Attributes:
        number: of the last that was begun; at first, of the one that the job began from.
        begun_ms, due_ms: metered time when that was, and when the next is to be begun.
        is_taking: whether ``number`` is being taken.
        last: the newest that is complete.
        stored: the number of the newest that the coordinator has kept.
    """

    number: int = 0
    begun_ms: int = 0
    due_ms: int = 0
    is_taking: bool = False
    last: Checkpoint | None = None
    stored: int = 0

    @property
    def unsent(self) -> Checkpoint | None:
        """What the coordinator has to be told of."""
        return self.last if self.last and self.last.sequence > self.stored else None


NO_SNAPSHOTS = Snapshots()


def beginning(plan: CheckpointPlan | None, resumed: Checkpoint | None) -> Snapshots:
    """Of a job that begins from this checkpoint, or (None) from nothing."""
    number = resumed.sequence if resumed else 0
    due_ms = plan.interval_s * 1000 if plan else 0
    return Snapshots(number=number, due_ms=due_ms, stored=number)


def is_due(snapshots: Snapshots, metered_ms: int) -> bool:
    """Whether one is to be begun now."""
    return not snapshots.is_taking and metered_ms >= snapshots.due_ms


def begun(snapshots: Snapshots, plan: CheckpointPlan, metered_ms: int) -> Snapshots:
    """The next is being taken from now on."""
    return replace(
        snapshots,
        number=snapshots.number + 1,
        begun_ms=metered_ms,
        due_ms=metered_ms + plan.interval_s * 1000,
        is_taking=True,
    )


def taken(snapshots: Snapshots, number: int, checkpoint: Checkpoint | None) -> Snapshots:
    """That one is complete, or (None) does not exist; what is said of an earlier one changes nothing."""
    if not snapshots.is_taking or number != snapshots.number:
        return snapshots
    return replace(snapshots, is_taking=False, last=checkpoint or snapshots.last)


def asked(snapshots: Snapshots) -> Snapshots:
    """The job wants one."""
    soon_ms = snapshots.begun_ms + ASKED_GAP_MS
    return replace(snapshots, due_ms=min(snapshots.due_ms, soon_ms))


def warned(snapshots: Snapshots) -> Snapshots:
    """The job will be stopped: one is due at once."""
    return replace(snapshots, due_ms=0)


def stored(snapshots: Snapshots, sequence: int) -> Snapshots:
    """The coordinator has kept this one."""
    return replace(snapshots, stored=max(snapshots.stored, sequence))


def ended(snapshots: Snapshots) -> Snapshots:
    """The job has ended: whatever was being taken is given up."""
    return replace(snapshots, is_taking=False)


def is_kept_at_end(outcome: Outcome, started_at_ms: int) -> bool:
    """Whether what a run left in its folder is made a checkpoint.

    Not of one that has completed: its outputs are what it has come to.
    """
    return started_at_ms > 0 and outcome is not Outcome.COMPLETED
