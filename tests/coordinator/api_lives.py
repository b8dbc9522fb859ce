"""What nodes and the orchestrator do with an api world's tasks, step by step, by the real rules."""

import time
from typing import Any

from coordinator.records import NOW_MS, node_id, wallet
from neurogrid_coordinator.store import leases, logs, tasks
from neurogrid_coordinator.store.database import Database
from neurogrid_coordinator.store.feed import Feed
from neurogrid_coordinator.tasks import steps
from neurogrid_marketplace import settlement
from neurogrid_marketplace.auction import RankedBid
from neurogrid_marketplace.awarding import demand_of
from neurogrid_marketplace.bid import Bid
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.messages import Result
from neurogrid_marketplace.network import NetworkUse
from neurogrid_marketplace.task import Phase, Task
from neurogrid_marketplace.task_events import (
    Accepted,
    AuctionClosed,
    Due,
    EscrowOpened,
    Event,
    Finished,
    OutputsChecked,
    Started,
)


class TaskLives:
    """Tasks of a database.

    Attributes:
        now_ms: what the orchestrator does here goes on from the real clock, which the api reads.
        share_permille: by node, how much of the most that units may cost its bids on replicas ask; all of it, if left out.
        regions: by node, where it stands.
    """

    def __init__(self, database: Database, feed: Feed) -> None:
        self.database = database
        self.feed = feed
        self.now_ms = time.time_ns() // 1_000_000
        self.share_permille: dict[str, int] = {}
        self.regions: dict[str, str] = {}

    async def step(self, task_id: str, event: Event) -> Task:
        """One step by the real rules."""
        self.now_ms += 1000
        step = await self.database.write(lambda conn: steps.take(conn, task_id, event, self.now_ms))
        assert step is not None, "the task is there"
        self.feed.notify()
        return step.after

    async def nobody_bids(self, task_id: str, why: str) -> Task:
        """Queued, put up for auction, and queued again."""
        task = await self.step(task_id, Due(self.now_ms))
        return await self.step(task_id, AuctionClosed(demand_of(task).demand_id, (), why))

    async def accept(
        self,
        task_id: str,
        name: str = "one",
        sealing_key: str = "",
        owner: str = "",
        reclaim_window_s: int = 0,
    ) -> Task:
        """Queued to accepted by this node, which names this key; no money moves yet.

        Args:
            owner: the wallet that is paid; "" for the node's usual one.
            reclaim_window_s: how long it warns before it takes its machine back.
        """
        task = await self.step(task_id, Due(self.now_ms))
        demand = demand_of(task)
        asked = demand.use.prices if demand.use is not None else None
        if demand.serves is not None:
            asked = demand.serves.max_prices.scaled(self.share_permille.get(name, 1000))
        price = 360_000 if demand.use is None else 0
        bid = Bid(
            demand_of(task).demand_id,
            demand_of(task).hash(),
            price,
            100,
            2**50,
            owner or wallet(name),
            unit_prices=asked,
            reclaim_window_s=reclaim_window_s,
        )
        region = self.regions.get(name, "")
        ranked = RankedBid(node_id(name), bid, "b" * 64, price, price, region=region)
        closed = AuctionClosed(demand_of(task).demand_id, (ranked,), "1 of 1 nodes match.")
        task = await self.step(task_id, closed)
        assert task.lease is not None
        return await self.step(task_id, Accepted(task.lease.lease_id, sealing_key))

    async def award(
        self, task_id: str, name: str = "one", owner: str = "", reclaim_window_s: int = 0
    ) -> Task:
        """Queued to starting, on this node, with its escrow open; ``owner``: see `accept`."""
        await self.accept(task_id, name, owner=owner, reclaim_window_s=reclaim_window_s)
        return await self.fund(task_id)

    async def fund(self, task_id: str) -> Task:
        """The escrow of what a node has taken is open."""
        task = await self.state(task_id)
        assert task.lease is not None
        lease_id = task.lease.lease_id
        await self.settle(lease_id, lambda s: settlement.opened(s, self.now_ms))
        await self.database.write(
            lambda conn: leases.save_escrow(conn, lease_id, wallet("escrow"), 1, "5" * 88, NOW_MS)
        )
        return await self.step(task_id, EscrowOpened(lease_id))

    async def start(
        self, task_id: str, owner: str = "", name: str = "one", reclaim_window_s: int = 0
    ) -> Task:
        """Queued to running, on this node; ``owner``: see `accept`."""
        task = await self.award(task_id, name, owner=owner, reclaim_window_s=reclaim_window_s)
        assert task.lease is not None
        return await self.step(task_id, Started(task.lease.lease_id, self.now_ms))

    async def finish(
        self,
        task_id: str,
        *outputs: OutputFile,
        outcome: Outcome = Outcome.COMPLETED,
        network: NetworkUse | None = None,
    ) -> Task:
        """Running to its end, after ten seconds of work."""
        task = await self.state(task_id)
        assert task.lease is not None
        exit_code = 0 if outcome is Outcome.COMPLETED else 3
        result = Result(outcome, exit_code, "", metered_ms=10_000, outputs=outputs, network=network)
        self.now_ms += 10_000
        task = await self.step(task_id, Finished(task.lease.lease_id, result))
        if task.phase is Phase.VERIFYING:
            assert task.lease is not None
            task = await self.step(task_id, OutputsChecked(task.lease.lease_id))
        return task

    async def pay(self, task_id: str, receipt: bytes = b'{"a": "receipt"}\n') -> None:
        """Close the escrow of the task's lease, and write its receipt."""
        rows = await self.database.read(lambda conn: leases.of_task(conn, task_id))
        row = rows[-1]
        due = row.settlement.due_micro_usdc or 0
        await self.settle(row.id, lambda s: settlement.closed(s, "4" * 88, due, self.now_ms))
        await self.database.write(
            lambda conn: leases.insert_receipt(conn, row, receipt, self.now_ms)
        )

    async def settle(self, lease_id: str, change: Any) -> None:
        """Change where the money of a lease is."""

        def write(conn: Any) -> None:
            row = leases.get(conn, lease_id)
            assert row is not None
            leases.save_settlement(conn, change(row.settlement), self.now_ms)

        await self.database.write(write)

    async def print(self, task_id: str, text: str | bytes) -> None:
        """The job of the present lease prints something."""
        data = text.encode() if isinstance(text, str) else text
        task = await self.state(task_id)
        assert task.lease is not None
        lease_id = task.lease.lease_id

        def write(conn: Any) -> None:
            row = leases.get(conn, lease_id)
            assert row is not None
            logs.append(conn, lease_id, row.log_bytes, row.log_bytes, data, self.now_ms)

        await self.database.write(write)

    async def state(self, task_id: str) -> Task:
        """The task's state."""
        row = await self.database.read(lambda conn: tasks.get(conn, task_id))
        assert row is not None
        return row.state
