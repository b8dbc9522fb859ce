"""A lease for use is opened, asked by, and settled, with the coordinator dying at every commit in turn."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from coordinator.crash_stories import crashes_in
from coordinator.crashing_database import CrashingDatabase
from coordinator.market_world import World
from coordinator.test_use import PRICES, TERMS, begin_replica
from neurogrid_coordinator.paid_use.leases import UseLeases, UseSettings
from neurogrid_coordinator.paid_use.notes import UseNotes
from neurogrid_coordinator.replicas.asking import Question
from neurogrid_coordinator.replicas.serving import Asked
from neurogrid_coordinator.services.balances import Balances
from neurogrid_coordinator.services.submission import USE_KIND
from neurogrid_coordinator.services.tasks import Tasks
from neurogrid_coordinator.store import leases, task_lists, use
from neurogrid_coordinator.store.task_lists import TaskFilter
from neurogrid_coordinator.store.tasks import TaskRow
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.explain import Explanation, explain
from neurogrid_marketplace.lease import Served
from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.receipt import verify_receipt
from neurogrid_marketplace.task import TERMINAL, Lease, Phase
from neurogrid_marketplace.units import Units

ANSWER = msgspec.json.encode({"usage": {"prompt_tokens": 30, "completion_tokens": 90}})
COUNTED = Units(input_tokens=30, output_tokens=90, requests=1)
COST = PRICES.cost_micro_usdc(COUNTED)


class Asking:
    """One life of what asks replicas, as far as money goes; made anew with each life of the coordinator."""

    def __init__(self, market: World, database: Any) -> None:
        self._market = market
        self._notes = UseNotes(database, market.clock)
        balances = Balances(database, market.funds)
        self._leases = UseLeases(
            UseSettings(escrow_micro_usdc=1_000, idle_s=3, timeout_s=3_600),
            database=database,
            feed=market.feed,
            tasks=Tasks(
                database=database,
                feed=market.feed,
                terms=TERMS,
                explain=self._explain,
                may_return=lambda _: True,
                balances=balances,
                wake=market.wake,
                request_cancel=_nobody_cancels,
            ),
            notes=self._notes,
            balances=balances,
            now_ms=market.clock,
        )

    async def _explain(self, demand: Demand, places: object) -> Explanation:
        offers: list[Offer] = [node.offer() for node in self._market.nodes.values()]
        return explain(offers, demand)

    async def ask(self, replica_id: str, of: Lease) -> int:
        """One request, answered as soon as it may be; what its client is told that it cost."""
        writing = asyncio.create_task(self._notes.run())
        try:
            asked = Asked("m", self._market.account.id, Question("POST", "/"), most=COUNTED)
            meter = await self._leases.meter(asked, replica_id, of)
            node = self._market.nodes[of.node_id]
            lease_id = meter.paid_by.lease.lease_id
            before = node.leases[lease_id].served
            await node.step(lease_id, Served(before + COUNTED, 0))
            meter.begin(200, lambda name: "application/json" if name == b"content-type" else "")
            meter.passed(ANSWER)
            cost = await meter.end()
            self._leases.over(meter, of)
            return cost
        finally:
            # One whose database is dead hangs in its last write, too.
            while not writing.done():
                writing.cancel()
                await asyncio.sleep(0)


async def _nobody_cancels(task_id: str) -> Phase:
    raise AssertionError(task_id)


async def uses(market: World) -> list[TaskRow]:
    which = TaskFilter(kinds=frozenset({USE_KIND}))
    return await market.database.read(task_lists.list_rows, which, oldest_first=True)


async def asked(market: World, database: CrashingDatabase, replica_id: str, of: Lease) -> int:
    """One request, which is made again where the coordinator dies: the client's connection is gone with it."""
    was_dead = database.dead.is_set()
    asking = asyncio.create_task(
        Asking(market, market.database if was_dead else database).ask(replica_id, of)
    )

    async def is_over() -> bool:
        return asking.done() or (database.dead.is_set() and not was_dead)

    await market.until(is_over, turning_ms=1)
    if asking.done():
        return await asking
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    await market.stop()
    await market.start()
    return await asked(market, database, replica_id, of)


def test_whoever_dies_when_there_is_one_escrow_and_every_answer_is_paid_once(
    tmp_path: Path,
) -> None:
    async def story(market: World, database: CrashingDatabase) -> None:
        node = market.node("only", 10_000)
        # Tasks are submitted by the machine's clock.
        market.clock.now = time.time_ns() // 1_000_000
        await market.start()
        replica_id = await begin_replica(market, node)
        of = (await market.until_phase(replica_id, Phase.RUNNING)).state.lease
        assert of is not None
        await market.stop()
        await market.start(database)
        told = await asked(market, database, replica_id, of)
        told += await asked(market, database, replica_id, of)
        # The second request has found the first one's lease, whoever had died in between.
        (row,) = await uses(market)

        async def over() -> bool:
            node.behaviour.run_ms = 0 if (await market.task(row.id)).phase in TERMINAL else None
            return not node.leases and not await market.database.read(leases.unsettled)

        # What comes from here on is told elsewhere, with its crashes (`test_use`).
        await market.stop()
        await market.start()
        await market.until(over, turning_ms=500)
        (lease,) = await market.until_settled(row.id)
        billed = await market.database.read(use.of_lease, lease.id)
        paid = lease.settlement.paid_micro_usdc
        assert paid == PRICES.cost_micro_usdc(billed)
        # Of an answer whose end its client may lack the note may be there, or not.
        assert told <= paid <= told + COST
        assert (await market.task(row.id)).state.cost_micro_usdc == paid
        receipt = await market.database.read(leases.receipt, lease.id)
        assert receipt is not None
        assert verify_receipt(receipt).billed == billed

    assert crashes_in(story, tmp_path, range(1, 60)) >= 5
