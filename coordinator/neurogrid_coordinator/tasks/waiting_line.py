"""Waiting tasks that would meet the market alike: same demand but for the job itself, same nodes excluded."""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter

from neurogrid_marketplace.demand import Demand, VerifyMode
from neurogrid_marketplace.openings import Opening
from neurogrid_marketplace.spread import Spread
from neurogrid_marketplace.task import Task

Key = tuple[int, int, str]
"""A task's place: smaller goes first (`deadlines.Urgency.key`); the last is its id."""
Shape = tuple[
    tuple[object, ...], int, tuple[str, ...], tuple[str, ...], tuple[str, ...], Spread | None
]

# Tasks whose deadlines lie closer together wait in one line.
_DEADLINE_STEP_MS = 60_000
# Entries of tasks that have left, before they are thrown away.
_STALE_MAX = 64


# Of a demand, what all tasks of a line have in common; taken in one step, for every task that comes.
_ALIKE = attrgetter(
    *(
        field.name
        for field in fields(Demand)
        if field.name not in {"demand_id", "job_hash", "input_bytes", "finish_by_ms"}
    )
)


def shape_of(task: Task) -> Shape:
    """What all tasks of a line have in common."""
    return (
        _ALIKE(task.demand),
        task.demand.finish_by_ms // _DEADLINE_STEP_MS,
        task.excluded,
        tuple(task.resting),
        task.owners_excluded,
        task.spread,
    )


def demand_of_line(task: Task) -> Demand:
    """What the line of this task asks for, whichever of its tasks has its turn."""
    return replace(
        task.demand,
        demand_id="",
        job_hash="",
        input_bytes=0,
        finish_by_ms=task.demand.finish_by_ms // _DEADLINE_STEP_MS,
    )


def kin_of(task: Task) -> tuple[str, ...]:
    """Groups of tasks of which one may open a place to this one by leaving it: its spread group, and the
    runs that verify one result."""
    kin = (f"spread {task.spread.group}",) if task.spread is not None else ()
    if task.verification.mode is not VerifyMode.NONE:
        kin = (*kin, f"runs {task.group}")
    return kin


@dataclass(slots=True)
class Line:
    """One line.

    Attributes:
        number: of all lines that there ever were.
        demand: of all of them.
        tasks: by urgency; may hold entries of tasks that have left.
        places: the key of each task that waits, by its id.
        out: how many of its tasks have their turn.
        is_blocked: its first found nobody, so that the others wait too.
        due_ms: when one of a blocked line tries again, whatever has happened.
        is_due: that moment has come.
        is_trying: one of them tries.
        futile: how often in a row it was tried when nobody could be asked.
        kin: groups of tasks of which one may open a place to these by leaving it.
        changed: the number of the last change of one of those.
    """

    number: int
    shape: Shape
    demand: Demand
    tasks: list[Key] = field(default_factory=list)
    places: dict[str, Key] = field(default_factory=dict)
    out: int = 0
    is_blocked: bool = False
    due_ms: int = 0
    is_due: bool = False
    is_trying: bool = False
    futile: int = 0
    kin: tuple[str, ...] = ()
    changed: int = 0

    def head(self) -> Key | None:
        """Whose turn is next; None if nobody waits."""
        while self.tasks:
            key = self.tasks[0]
            if self.places.get(key[-1]) == key:
                return key
            heapq.heappop(self.tasks)
        return None

    def add(self, key: Key) -> None:
        """A task takes its place."""
        self.places[key[-1]] = key
        heapq.heappush(self.tasks, key)

    def leave(self, task_id: str) -> None:
        """A task waits no longer."""
        del self.places[task_id]
        if len(self.tasks) > 2 * len(self.places) + _STALE_MAX:
            self.order(self.places.values())

    def order(self, keys: Iterable[Key]) -> None:
        """Give every task this place."""
        self.tasks = list(keys)
        self.places = {key[-1]: key for key in self.tasks}
        heapq.heapify(self.tasks)

    def may_use(self, opening: Opening, serves: Callable[[Demand], bool]) -> bool:
        """Whether an opening is something for these tasks; ``serves``: `could_serve` or `serves` of it."""
        _, _, excluded, resting, owners, _ = self.shape
        offer = opening.offer
        named_out = offer.node_id in excluded or offer.node_id in resting
        return not named_out and offer.wallet not in owners and serves(self.demand)
