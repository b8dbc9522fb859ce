"""What is known of an account's leases for the use of a replica: which there are, and what the answers under way may still take of each."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neurogrid_marketplace.serving import Use
from neurogrid_marketplace.task import Phase
from neurogrid_marketplace.units import Units
from neurogrid_marketplace.use_escrows import Standing

from ..store import tasks
from ..store.tasks import TaskRow
from .meter import Meter


@dataclass(slots=True)
class UnderWay:
    """A request that is being answered, or is about to.

    Attributes:
        most_micro_usdc: what its answer comes to at most; 0: nobody knows.
        meter: what counts it, once it has begun.
    """

    most_micro_usdc: int
    meter: Meter | None = None

    @property
    def promised_micro_usdc(self) -> int:
        """What it may still take of its lease."""
        if self.meter is None:
            return self.most_micro_usdc
        so_far = self.meter.paid_by.prices.cost_micro_usdc(self.meter.units)
        return max(0, self.most_micro_usdc - so_far)


@dataclass(slots=True)
class Known:
    """What is known of an account at a replica.

    Attributes:
        lock: whoever looks which lease pays, and has another one opened, does so alone; nobody waits for a chain in it.
        task_ids: its leases, oldest first; None: the database was not asked yet.
        under_way: by lease and request.
        rows: of these leases' tasks, as they were stored and as they were read: nothing is read anew that is as it was.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    task_ids: list[str] | None = None
    under_way: dict[str, dict[str, UnderWay]] = field(default_factory=dict)
    opening: asyncio.Task[None] | None = None
    rows: dict[str, tuple[Sequence[Any], TaskRow]] = field(default_factory=dict)

    def row_of(self, task_id: str, stored: Sequence[Any]) -> TaskRow:
        """A lease's task, of what `store.tasks.stored` has found."""
        known = self.rows.get(task_id)
        if known is None or known[0] != stored:
            known = self.rows[task_id] = (stored, tasks.read(stored))
        return known[1]

    def ended(self, task_id: str) -> None:
        """A lease has ended, or takes nothing more."""
        self.rows.pop(task_id, None)
        if self.task_ids is not None and task_id in self.task_ids:
            self.task_ids.remove(task_id)

    def promised_micro_usdc(self, task_id: str) -> int:
        """What the answers under way may still take of a lease."""
        return sum(each.promised_micro_usdc for each in self.under_way.get(task_id, {}).values())

    def over(self, task_id: str, request_id: str) -> None:
        """A request under a lease is over."""
        under_way = self.under_way.get(task_id, {})
        under_way.pop(request_id, None)
        if not under_way:
            self.under_way.pop(task_id, None)


@dataclass(frozen=True, slots=True)
class Found:
    """A lease for use as it is stored now, and what was billed under it."""

    row: TaskRow
    billed: Units

    @property
    def is_taken(self) -> bool:
        """Whether its node has taken it, and may be asked."""
        return (
            self.row.phase in (Phase.STARTING, Phase.RUNNING) and self.row.state.lease is not None
        )

    @property
    def use(self) -> Use:
        """What it is for."""
        wanted = self.row.state.demand.use
        assert wanted is not None, "it is for use"
        return wanted


def standings(known: Known, there: Mapping[str, Found]) -> list[Standing]:
    """As `use_escrows` has them."""
    return [
        Standing(
            task_id,
            found.use.max_cost_micro_usdc,
            found.use.prices.cost_micro_usdc(found.billed),
            known.promised_micro_usdc(task_id),
            takes=found.is_taken,
        )
        for task_id, found in there.items()
    ]
