"""How a task begins: submitted, or made to verify another one, or to run beside it in a gang."""

from dataclasses import replace

from .checkpoint import CheckpointPlan, KeptCheckpoint
from .demand import Demand, VerifyMode
from .membership import Membership, member_id
from .needs import NOTHING, Needs
from .spread import Spread
from .task import Phase, Task
from .verification import UNVERIFIED, Verdict, Verification, replica_id


def submit(
    task_id: str,
    demand: Demand,
    now_ms: int,
    queue_timeout_ms: int,
    needs: Needs = NOTHING,
    *,
    runs_late: bool = False,
    verification: Verification = UNVERIFIED,
    spread: Spread | None = None,
    sealed: bool = False,
    membership: Membership | None = None,
    checkpoint: CheckpointPlan | None = None,
    begins_from: KeptCheckpoint | None = None,
    trace: str = "",
) -> Task:
    """A new task: queued, or waiting for what it needs.

    Args:
        sealed: see `key_wait`.
        begins_from: another task's checkpoint, which it has been given.
    """
    return Task(
        task_id,
        demand,
        Phase.WAITING if needs.task_ids else Phase.QUEUED,
        since_ms=now_ms,
        queue_timeout_ms=queue_timeout_ms,
        queue_until_ms=now_ms + queue_timeout_ms,
        needs=needs,
        runs_late=runs_late,
        verification=verification,
        verdict=Verdict.DUE if verification.mode is VerifyMode.QUORUM else Verdict.NONE,
        spread=spread,
        sealed=sealed,
        membership=membership,
        checkpoint=checkpoint,
        checkpoints=(begins_from,) if begins_from is not None else (),
        trace=trace,
    )


def replica(task: Task, number: int, now_ms: int) -> Task:
    """A further run of a task, 1 for the first: a task of its own that belongs to it."""
    demand = task.demand
    if task.verification.mode is VerifyMode.SPOT_CHECK:
        # What it checks has met its deadline, or missed it, already.
        demand = replace(demand, finish_by_ms=0)
    made = submit(
        replica_id(task.task_id, number),
        demand,
        now_ms,
        task.queue_timeout_ms,
        runs_late=task.runs_late,
        verification=task.verification,
        checkpoint=task.checkpoint,
        trace=task.trace,
    )
    return replace(made, belongs_to=task.task_id, verdict=Verdict.NONE)


def member(first: Task, rank: int, now_ms: int) -> Task:
    """A gang's task of another rank; it waits for rank 0's auction to win it a seat."""
    membership = first.membership
    assert membership is not None, "only a gang has members"
    made = submit(
        member_id(first.task_id, rank),
        first.demand,
        now_ms,
        first.queue_timeout_ms,
        runs_late=first.runs_late,
        membership=Membership(membership.gang, rank, membership.tries),
        trace=first.trace,
    )
    return replace(made, phase=Phase.WAITING, belongs_to=first.task_id)
