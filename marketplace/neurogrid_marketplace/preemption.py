"""Preemptible tasks: cheaper, because their node may take its machine back after a warning.

A lease that is reclaimed is paid for its metered time, and the task starts anew elsewhere: nobody is
to blame, and no attempt is counted. All runs of the task together cost at most what one could: what
reclaimed ones came to lowers the price of the next, so that each run keeps the whole time limit
(docs/adr/0028-preemptible-tasks.md).
"""

from dataclasses import replace

from .faults import Outcome
from .messages import Result
from .money import MS_PER_HOUR, format_usdc
from .task import Ending, Lease, Phase, Task

# Runs that may be reclaimed before a task is given up.
MAX_PREEMPTIONS = 16
# A node that has just taken its machine back has other plans for it; it is not asked for so long.
REST_MS = 60_000


def noticed(task: Task, lease: Lease, at_ms: int, now_ms: int) -> Task:
    """The node has warned the job. Its own clock counts, between the moments that bound it."""
    if not lease.reclaim_window_s or lease.reclaimed_at_ms:
        return task
    reclaimed_at_ms = min(max(at_ms, lease.started_at_ms), now_ms)
    return replace(task, lease=replace(lease, reclaimed_at_ms=reclaimed_at_ms))


def as_agreed(lease: Lease, result: Result) -> Result:
    """The result, or what it is worth where the node stopped a job that it had no right to stop.

    A job that ran has to have been warned.
    """
    if result.outcome is not Outcome.PREEMPTED:
        return result
    if lease.reclaim_window_s and (lease.reclaimed_at_ms or not lease.started_at_ms):
        return result
    message = "The node stopped the job without having agreed on it, or without a warning."
    return replace(result, outcome=Outcome.RESULT_INVALID, message=message)


def preempted(task: Task, charged_micro_usdc: int, now_ms: int) -> Task:
    """The task after its present lease was reclaimed, with what is left for the next run.

    Args:
        charged_micro_usdc: what the reclaimed lease came to.
    """
    lease = task.lease
    assert lease is not None, "only a leased task is reclaimed"
    left = max(0, task.demand.max_cost_micro_usdc() - charged_micro_usdc)
    # Rounded down, so that the whole time limit at this price costs no more than is left.
    price = left * MS_PER_HOUR // (task.demand.timeout_s * 1000)
    price = min(price, task.demand.max_price_micro_usdc_per_hour)
    resting = {node: until for node, until in task.resting.items() if until > now_ms}
    return replace(
        task,
        demand=replace(task.demand, max_price_micro_usdc_per_hour=price),
        preemptions=task.preemptions + 1,
        preempted_micro_usdc=task.preempted_micro_usdc + charged_micro_usdc,
        resting={**resting, lease.node_id: now_ms + REST_MS},
    )


def given_up(task: Task) -> Ending | None:
    """Why there is no further run; None if there is one."""
    if task.preemptions < MAX_PREEMPTIONS:
        return None
    spent = format_usdc(task.preempted_micro_usdc)
    words = f"Given up after {task.preemptions} nodes took their machine back: {spent} USDC spent."
    return Ending(Outcome.PREEMPTED.value.upper(), words)


def excluded_at(task: Task, now_ms: int) -> tuple[str, ...]:
    """The nodes that are not asked now: for good, or until they have rested."""
    resting = (node for node, until in task.resting.items() if until > now_ms)
    return (*task.excluded, *resting)


def is_reclaimed(task: Task) -> bool:
    """Whether its job runs under a warning."""
    lease = task.lease
    return task.phase is Phase.RUNNING and lease is not None and lease.reclaimed_at_ms > 0
