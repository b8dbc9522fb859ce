"""A coordinator that does not lead: answers clients from the database, and leaves the market to the one that does.

Whatever changes a task is a transaction by the same rules as the leader's (`steps`), and says in it that the task is
handed over: who leads, now or next, does what follows from it.
"""

import asyncio
import socket
import time
from collections.abc import Sequence

from sqlalchemy import Connection

from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.task import Phase
from neurogrid_marketplace.task_events import CancelRequested, Event, KeySent

from ..market.errors import MarketAway
from ..market.job_stream import JobStream
from ..services.nodes import Nodes
from ..store import hints
from ..store.database import Database, Overloaded
from ..store.feed import Feed
from ..tasks import steps
from ..tasks.steps import Step
from .leader import Leader

# As the orchestrator: what a client asked for waits for room in the queue.
_OVERLOADED_PAUSE_S = 0.05


class NodesElsewhere(Nodes):
    """The market's nodes, as far as one that leads not can tell: what is asked of it about them is passed on."""

    def __init__(self, database: Database, leader: Leader) -> None:
        super().__init__(database, lambda _: None, challenges_scored=False)
        self._leader = leader

    async def is_ready(self, node_id: str, lease_id: str) -> bool:
        """Whether a lease's service was well, as who leads has heard."""
        return await self._leader.is_ready(node_id, lease_id)

    def may_return(self, demand: Demand) -> bool:
        """Not known here: who leads has thought of it when it explains (`Leader.explain`)."""
        return False


class StepsHandedOver:
    """The steps of tasks that clients ask for, stored here and followed by who leads."""

    def __init__(self, database: Database, feed: Feed) -> None:
        self._database = database
        self._feed = feed

    async def request_cancel(self, task_id: str) -> Phase:
        """As `Orchestrator.request_cancel`."""
        taken = await self._take([task_id], CancelRequested())
        if not taken:
            raise LookupError(f"there is no task {task_id}")
        return taken[0].after.phase

    async def request_cancel_all(self, task_ids: Sequence[str]) -> None:
        """As `Orchestrator.request_cancel_all`."""
        await self._take(task_ids, CancelRequested())

    async def send_key(self, task_id: str, key: KeySent) -> None:
        """As `Orchestrator.send_key`."""
        await self._take([task_id], key)

    async def _take(self, task_ids: Sequence[str], event: Event) -> tuple[Step, ...]:
        def take(conn: Connection) -> tuple[Step, ...]:
            taken = steps.take_all(conn, task_ids, event, time.time_ns() // 1_000_000)
            changed = (each for step in taken for each in (step, *step.released))
            hints.hand_over(conn, dict.fromkeys(each.after.task_id for each in changed))
            return taken

        while True:
            try:
                taken = await self._database.write(take)
            except Overloaded:
                await asyncio.sleep(_OVERLOADED_PAUSE_S)
            else:
                self._feed.notify()
                return taken


def no_mailbox_stream(node_id: str, mailbox: str, is_lease: bool) -> socket.socket:
    """Who speaks through a coordinator is passed on."""
    raise MarketAway(f"the coordinator that leads has the market, and so {node_id}'s {mailbox}")


async def no_job_stream(node_id: str) -> JobStream:
    """What leads into jobs is passed on."""
    raise MarketAway(f"the coordinator that leads has the connection to {node_id}")
