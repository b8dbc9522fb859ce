"""A task that is asked for otherwise while it waits for a node. Pure.

What nodes have been asked stays what it is: while an auction is open or an award unanswered nothing is changed, and
nothing once a lease is taken. The runs that verify a task, and the other ranks of a gang, are asked for as it is.
"""

from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum

from .demand import Demand
from .task import Phase, Task

_WAITS = frozenset({Phase.WAITING, Phase.QUEUED})
_DECIDED_SOON = _WAITS | {Phase.MATCHING, Phase.AWARDED}


class Standing(StrEnum):
    """Whether a task may be changed: ``deciding`` is over within seconds, one way or the other."""

    WAITS = "waits"
    DECIDING = "deciding"
    BEGUN = "begun"


def standing(runs: Iterable[Task]) -> Standing:
    """Of a task and of those that belong to it."""
    phases = {run.phase for run in runs}
    if phases <= _WAITS:
        return Standing.WAITS
    return Standing.DECIDING if phases <= _DECIDED_SOON else Standing.BEGUN


def amended(
    task: Task, demand: Demand, *, queue_timeout_ms: int, runs_late: bool, now_ms: int
) -> Task:
    """The task with another demand, in its place in the queue; its next auction is due now."""
    queued_ms = task.queue_until_ms - task.queue_timeout_ms
    return replace(
        task,
        demand=replace(demand, demand_id=task.demand.demand_id),
        queue_timeout_ms=queue_timeout_ms,
        queue_until_ms=queued_ms + queue_timeout_ms,
        runs_late=runs_late,
        retry_at_ms=min(task.retry_at_ms, now_ms),
    )
