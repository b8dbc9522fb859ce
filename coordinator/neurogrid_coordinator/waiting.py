"""Whose turn it is: queued tasks, the most urgent first (`deadlines`), without futile auctions.

Tasks that would meet the market alike (same demand but for the job itself) wait in one line. When
the first of a line finds no node, the others would not either: the whole line waits until a node
comes or becomes free, or until the pause of the first is over. So an auction is held per chance of
a node, not per waiting task.
"""

import heapq
from dataclasses import dataclass, field, replace

from neurogrid_marketplace.deadlines import Urgency, urgency
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.spread import Spread
from neurogrid_marketplace.task import Task

_Key = tuple[int, int, str]
_Shape = tuple[Demand, tuple[str, ...], tuple[str, ...], tuple[str, ...], Spread | None]

# Waiting makes tasks more urgent: how often their places are made anew.
_REORDER_MS = 60_000
# Tasks whose deadlines lie closer together wait in one line.
_DEADLINE_STEP_MS = 60_000


@dataclass(slots=True)
class _Line:
    tasks: list[_Key] = field(default_factory=list)
    blocked_until_ms: int = 0


class WaitingRoom:
    """Ids of queued tasks; bounded by the number of tasks that are queued in the database.

    Attributes:
        wakes: how often `wake` was called.
    """

    def __init__(self) -> None:
        self.wakes = 0
        self._lines: dict[_Shape, _Line] = {}
        # Heads of lines that are not blocked, by key. May hold stale entries: checked when taken.
        self._heads: list[tuple[_Key, int, _Shape]] = []
        self._blocked: set[_Shape] = set()
        self._urgencies: dict[str, Urgency] = {}
        self._pushed = 0
        self._ordered_ms = 0

    def __len__(self) -> int:
        return len(self._urgencies)

    def add(self, task: Task, priority: int) -> None:
        """A queued task takes its place; one that has a place keeps it."""
        if task.task_id in self._urgencies:
            return
        self._urgencies[task.task_id] = urgency(task, priority)
        shape = _shape(task)
        line = self._lines.setdefault(shape, _Line())
        heapq.heappush(line.tasks, self._key(task.task_id))
        if shape not in self._blocked and line.tasks[0][-1] == task.task_id:
            self._push(shape, line)

    def take(self, now_ms: int) -> str | None:
        """Remove and return the task whose turn it is; None if all lines are blocked or empty."""
        if now_ms - self._ordered_ms >= _REORDER_MS:
            self._reorder(now_ms)
        for shape in [s for s in self._blocked if self._lines[s].blocked_until_ms <= now_ms]:
            self._unblock(shape)
        while self._heads:
            key, _, shape = heapq.heappop(self._heads)
            line = self._lines.get(shape)
            if line is None or shape in self._blocked or line.tasks[0] != key:
                continue
            heapq.heappop(line.tasks)
            task_id = key[-1]
            del self._urgencies[task_id]
            if line.tasks:
                self._push(shape, line)
            else:
                del self._lines[shape]
            return task_id
        return None

    def block(self, task: Task, until_ms: int, wakes: int) -> None:
        """This task found no node: its line waits, unless a node came or became free meanwhile.

        Args:
            wakes: how many there were when it began to look.
        """
        if wakes != self.wakes:
            return
        shape = _shape(task)
        line = self._lines.setdefault(shape, _Line())
        line.blocked_until_ms = until_ms
        self._blocked.add(shape)

    def wake(self) -> None:
        """A node came or became free: every line may try."""
        self.wakes += 1
        for shape in list(self._blocked):
            self._unblock(shape)

    def next_due_ms(self) -> int | None:
        """When the first blocked line may try again; None if none is blocked."""
        return min((self._lines[shape].blocked_until_ms for shape in self._blocked), default=None)

    def _key(self, task_id: str) -> _Key:
        return (*self._urgencies[task_id].key(self._ordered_ms), task_id)

    def _reorder(self, now_ms: int) -> None:
        """Give every task the place that it has now."""
        self._ordered_ms = now_ms
        self._heads.clear()
        for shape, line in self._lines.items():
            line.tasks = [self._key(task_id) for *_, task_id in line.tasks]
            heapq.heapify(line.tasks)
            if line.tasks and shape not in self._blocked:
                self._push(shape, line)

    def _unblock(self, shape: _Shape) -> None:
        self._blocked.discard(shape)
        line = self._lines[shape]
        if line.tasks:
            self._push(shape, line)
        else:
            del self._lines[shape]

    def _push(self, shape: _Shape, line: _Line) -> None:
        # The number keeps the heap from comparing shapes.
        self._pushed += 1
        heapq.heappush(self._heads, (line.tasks[0], self._pushed, shape))


def _shape(task: Task) -> _Shape:
    alike = replace(
        task.demand,
        demand_id="",
        job_hash="",
        input_bytes=0,
        finish_by_ms=task.demand.finish_by_ms // _DEADLINE_STEP_MS,
    )
    return alike, task.excluded, tuple(task.resting), task.owners_excluded, task.spread
