"""Deadlines, and whose turn it is: the most urgent first, and nobody for ever last.

A deadline is kept before a task has cost anything: one that could not end in time any more if it began
now is not begun. What has begun runs on.

Waiting tasks have their turn by level, 1 to 10, and within a level by the latest moment at which they
should begin. The level is the priority, and one more for every `AGING_MS` of waiting, up to 10. A task
without a deadline should begin within `PATIENCE_MS`, and `SPACING_MS` later for each task of its account that
waited already, `PATIENCE_MS` later at most: so who comes with one task has its turn between somebody else's
thousands. Whatever comes later than twice `PATIENCE_MS` after a task, and whatever its priority and deadline, has its
turn after it: nothing starves.
"""

from dataclasses import dataclass

from .task import Phase, Task

LEVEL_MAX = 10
AGING_MS = 5 * 60_000
PATIENCE_MS = 3_600_000
SPACING_MS = 1_000
assert AGING_MS * (LEVEL_MAX - 1) <= PATIENCE_MS, "the lowest priority reaches the top in time"

# An award is answered within seconds; what has begun is not stopped.
_NOT_BEGUN = frozenset({Phase.WAITING, Phase.QUEUED, Phase.MATCHING, Phase.STARTING})


@dataclass(frozen=True, slots=True)
class Urgency:
    """What a task's turn depends on.

    Attributes:
        priority: 1 to 10.
        queued_ms: since when it waits for a node.
        begin_by_ms: when it should begin at the latest.
        ahead: how many tasks of its account waited when it came.
    """

    priority: int
    queued_ms: int
    begin_by_ms: int
    ahead: int = 0

    def key(self, now_ms: int) -> tuple[int, int]:
        """Smaller goes first."""
        aged = max(0, now_ms - self.queued_ms) // AGING_MS
        return (-min(LEVEL_MAX, self.priority + aged), self.begin_by_ms)


def urgency(task: Task, priority: int, *, ahead: int = 0) -> Urgency:
    """Of a queued task.

    Args:
        ahead: how many tasks of its account waited when it came.
    """
    queued_ms = task.queue_until_ms - task.queue_timeout_ms
    begin_by_ms = queued_ms + PATIENCE_MS + min(ahead * SPACING_MS, PATIENCE_MS)
    if task.demand.finish_by_ms:
        begin_by_ms = min(begin_by_ms, task.demand.latest_begin_ms())
    return Urgency(priority, queued_ms, begin_by_ms, ahead)


def missed(task: Task, now_ms: int) -> bool:
    """Whether a task that has not begun could not end in time any more."""
    has_one = task.demand.finish_by_ms > 0
    return has_one and task.phase in _NOT_BEGUN and now_ms > task.demand.latest_begin_ms()


def waits_until_ms(task: Task) -> int | None:
    """When a task that is waiting or queued has to be looked at, whatever happens; None: never."""
    moments = [task.queue_until_ms] if task.phase is Phase.QUEUED else []
    if task.demand.finish_by_ms:
        moments.append(task.demand.latest_begin_ms() + 1)
    return min(moments, default=None)
