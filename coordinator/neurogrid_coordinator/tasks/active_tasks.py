"""The tasks that have not ended, as they were stored last: what is looked at, and when.

These copies only say what to look at; each step loads the stored state.
"""

from dataclasses import dataclass

from neurogrid_marketplace.deadlines import waits_until_ms
from neurogrid_marketplace.spreading import HOLDING
from neurogrid_marketplace.task import TERMINAL, Lease, Phase, Task

from ..store.tasks import TaskState
from .alarms import Alarms


@dataclass(frozen=True, slots=True)
class PlaceLeft:
    """A task, as it was before, has left the node that it had a place on."""

    task: Task
    node_id: str


class ActiveTasks:
    """As many as there are in the database that have not ended."""

    def __init__(self) -> None:
        self._states: dict[str, TaskState] = {}
        # Those that are looked at each time, in the order in which they came; of the others, when they are.
        self._busy: dict[str, None] = {}
        self._alarms = Alarms()
        # node id -> lease id -> task id, of leases that a node has taken and not ended.
        self._taken: dict[str, dict[str, str]] = {}

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._states

    def get(self, task_id: str) -> TaskState | None:
        """The task; None if it has ended."""
        return self._states.get(task_id)

    def busy(self) -> list[str]:
        """Ids of those at work: neither over nor waiting."""
        return list(self._busy)

    def due(self, now_ms: int) -> list[str]:
        """Those that have waited until their time was over; each is told once (`look_again`)."""
        return self._alarms.due(now_ms)

    def look_again(self, task_id: str, at_ms: int) -> None:
        """Have one that waits be `due` then."""
        self._alarms.set(task_id, at_ms)

    def nodes(self) -> frozenset[str]:
        """Those that have taken a lease which has not ended."""
        return frozenset(self._taken)

    def leases_of(self, node_id: str) -> dict[str, int]:
        """Leases that a node should know of: lease id -> since when."""
        return {
            lease_id: self._states[task_id].task.since_ms
            for lease_id, task_id in self._taken.get(node_id, {}).items()
        }

    def task_of(self, lease_id: str, node_id: str) -> TaskState | None:
        """The task of a lease that a node has taken."""
        task_id = self._taken.get(node_id, {}).get(lease_id)
        return self._states[task_id] if task_id is not None else None

    def remember(self, state: TaskState) -> PlaceLeft | None:
        """A task is stored like this; the place that it has left by that."""
        task = state.task
        before = self._states.get(task.task_id)
        old, new = before.task.lease if before else None, task.lease
        place = None
        if before is not None and old is not None:
            left = new is None or old.lease_id != new.lease_id
            if left:
                self._drop(old)
            if before.task.phase in HOLDING and (left or task.phase not in HOLDING):
                place = PlaceLeft(before.task, old.node_id)
        self._set_alarm(task)
        if task.phase in TERMINAL:
            self._states.pop(task.task_id, None)
            if new is not None:
                self._drop(new)
            return place
        self._states[task.task_id] = state
        if new is not None:
            if task.phase in (Phase.STARTING, Phase.RUNNING):
                self._taken.setdefault(new.node_id, {})[new.lease_id] = task.task_id
            else:
                self._drop(new)
        return place

    def _set_alarm(self, task: Task) -> None:
        """Say when it is looked at next: each phase has a deadline."""
        waits = task.phase in (Phase.WAITING, Phase.QUEUED)
        if waits or task.phase in TERMINAL:
            self._busy.pop(task.task_id, None)
        else:
            self._busy[task.task_id] = None
        over_ms = waits_until_ms(task) if waits else None
        if over_ms is None:
            self._alarms.drop(task.task_id)
        else:
            self._alarms.set(task.task_id, over_ms)

    def _drop(self, lease: Lease) -> None:
        mine = self._taken.get(lease.node_id, {})
        mine.pop(lease.lease_id, None)
        if not mine:
            self._taken.pop(lease.node_id, None)
