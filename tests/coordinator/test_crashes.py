"""kill -9 at every commit, before and after it: the task is done once, paid once, and all is tidy."""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from coordinator.api_world import TERMS
from coordinator.crash_stories import crashes_in, outlive
from coordinator.crashing_database import CrashingDatabase
from coordinator.market_world import World
from neurogrid_coordinator.market.errors import MarketAway
from neurogrid_coordinator.services.balances import Balances
from neurogrid_coordinator.services.errors import Conflict
from neurogrid_coordinator.services.models import Models
from neurogrid_coordinator.services.submission import Submission
from neurogrid_coordinator.services.task_changes import TaskChanges
from neurogrid_coordinator.services.tasks import Tasks
from neurogrid_coordinator.store import events, leases, task_lists
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.explain import Explanation
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import InputFile, OutputFile
from neurogrid_marketplace.receipt import verify_receipt
from neurogrid_marketplace.resources import Requirements
from neurogrid_marketplace.spreading import Barred
from neurogrid_marketplace.task import TERMINAL, Phase

# More commits than any of these stories takes.
_COMMITS = range(1, 60)


async def run_with_crash(market: World, database: CrashingDatabase) -> str:
    """Submit a task to a coordinator that dies, then let another go on; returns the task."""
    await market.start(database)
    task_id = await market.submit()

    async def is_settled() -> bool:
        row = await market.task(task_id)
        return row.phase is Phase.COMPLETED and not await market.database.read(leases.unsettled)

    await outlive(market, database, is_settled)
    return task_id


async def assert_done_once(market: World, task_id: str) -> None:
    row = await market.until_phase(task_id, Phase.COMPLETED, turning_ms=100)
    rows = await market.until_settled(task_id, turning_ms=100)
    kinds = [event.kind for event in await market.database.read(events.after, 0, task_id=task_id)]
    assert kinds.count("task.completed") == 1
    paid = {lease.id: lease.settlement.paid_micro_usdc for lease in rows}
    assert sum(paid.values()) == row.cost_micro_usdc > 0
    assert row.lease_id is not None
    assert paid[row.lease_id] == row.cost_micro_usdc
    receipt = await market.database.read(leases.receipt, row.lease_id)
    assert receipt is not None
    assert verify_receipt(receipt).paid_micro_usdc == row.cost_micro_usdc
    assert market.chain.open_escrows == {}
    assert not market.failures


@pytest.mark.both_databases
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_task_survives_a_crash_at_every_commit(tmp_path: Path, before: bool) -> None:
    async def story(market: World, database: CrashingDatabase) -> None:
        node = market.node("only")
        await assert_done_once(market, await run_with_crash(market, database))
        assert len(node.containers_started) == 1
        assert market.chain.opens == 1

    # turn, auction, award, escrow, preparing, started, finished, checked, settled
    assert crashes_in(story, tmp_path, _COMMITS, before=before) >= 9


def test_a_retry_survives_a_crash_after_every_commit(tmp_path: Path) -> None:
    async def story(market: World, database: CrashingDatabase) -> None:
        broken, other = market.node("broken", 1_000_000), market.node("other", 2_000_000)
        broken.behaviour.outcome = Outcome.START_FAILED
        await assert_done_once(market, await run_with_crash(market, database))
        assert broken.containers_started == []
        assert len(other.containers_started) == 1

    assert crashes_in(story, tmp_path, _COMMITS, before=False) >= 15


@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.EXIT_NONZERO])
def test_what_waits_for_a_task_survives_a_crash_at_every_commit(
    tmp_path: Path, outcome: Outcome
) -> None:
    async def story(market: World, database: CrashingDatabase) -> None:
        node = market.node("only")
        node.behaviour.outcome = outcome
        node.behaviour.outputs = (OutputFile("out.txt", "a" * 64, 3),)
        await market.start(database)
        first = await market.submit()
        second = await market.submit_after(first)

        async def is_settled() -> bool:
            row = await market.task(second)
            return row.phase in TERMINAL and not await market.database.read(leases.unsettled)

        await outlive(market, database, is_settled)
        ends = (Phase.COMPLETED, Phase.FAILED)
        row = await market.until_phase(second, *ends, turning_ms=100)
        await market.until_settled(second, turning_ms=100)
        if outcome is Outcome.COMPLETED:
            assert row.phase is Phase.COMPLETED
            assert row.job.inputs == (InputFile("in.txt", "a" * 64, 3),)
            assert len(node.containers_started) == 2
        else:
            assert row.state.ending is not None
            assert row.state.ending.code == "DEPENDENCY_FAILED"
            assert row.state.auctions == 0
            assert len(node.containers_started) == 1

    crashes = crashes_in(story, tmp_path, _COMMITS)
    assert crashes >= (16 if outcome is Outcome.COMPLETED else 7)


async def asked_and_changed(market: World, database: Any) -> str:
    """A client submits a task that nobody does for so little, and then offers more; returns the task.

    Sent again, after an answer was lost, both are the same.
    """
    balances = Balances(database, market.funds)
    services = Tasks(
        database=database,
        feed=market.feed,
        terms=TERMS,
        explain=nobody_asks,
        may_return=lambda _: True,
        balances=balances,
        wake=market.wake,
        request_cancel=nobody_cancels,
    )
    changes = TaskChanges(
        database=database,
        feed=market.feed,
        tasks=services,
        # Asked of requests to models alone.
        models=cast(Models, None),
        balances=balances,
    )
    wanted = Submission(
        image="neurogrid/job:1",
        max_price_micro_usdc_per_hour=1_000_000,
        timeout_s=60,
        requirements=Requirements(),
        wait_for_node=True,
        idempotency_key="mine",
    )
    detail, _ = await services.submit(market.account, wanted)
    with suppress(Conflict):
        await changes.change(
            market.account,
            detail.row.id,
            lambda asked: replace(asked, max_price_micro_usdc_per_hour=3_000_000),
        )
    return detail.row.id


def test_a_task_that_is_asked_for_otherwise_survives_a_crash_at_every_commit(
    tmp_path: Path,
) -> None:
    async def story(market: World, database: CrashingDatabase) -> None:
        node = market.node("dear", 2_000_000)
        # Clients' requests are stamped by the real clock.
        market.clock.now = time.time_ns() // 1_000_000
        await market.start(database)
        asking = asyncio.create_task(asked_and_changed(market, database))

        async def is_settled() -> bool:
            if not asking.done():
                return False
            row = await market.task(asking.result())
            return row.phase is Phase.COMPLETED and not await market.database.read(leases.unsettled)

        await outlive(market, database, is_settled)
        if not asking.done():
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        task_id = await asked_and_changed(market, market.database)
        await assert_done_once(market, task_id)
        row = await market.task(task_id)
        assert row.spec["max_price_per_hour"] == "3.00"
        assert row.state.demand.max_price_micro_usdc_per_hour == 3_000_000
        assert len(node.containers_started) == 1
        which = task_lists.TaskFilter(market.account.id)
        assert await market.database.read(task_lists.count, which) == 1

    assert crashes_in(story, tmp_path, _COMMITS) >= 10


async def nobody_asks(demand: Demand, places: Barred) -> Explanation:
    raise MarketAway("these tasks wait for a node, whoever is there")


async def nobody_cancels(task_id: str) -> Phase:
    raise LookupError(task_id)
