"""The orchestrator's tasks from queue to payment, over a small market."""

from pathlib import Path

import pytest

from coordinator.market_world import World, world
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.store import events, leases, prices, usage
from neurogrid_marketplace.price_history import CPU, class_of
from neurogrid_marketplace.receipt import verify_receipt
from neurogrid_marketplace.receipt_items import Proof
from neurogrid_marketplace.settlement import SettlementPhase
from neurogrid_marketplace.spread import Spread
from neurogrid_marketplace.task import Phase
from neurogrid_marketplace.usage import LeaseUsage

pytestmark = pytest.mark.both_databases


async def kinds(market: World, task_id: str) -> list[str]:
    stored = await market.database.read(events.after, 0, task_id=task_id)
    return [event.kind.removeprefix("task.") for event in stored]


@on_asyncio
async def test_a_task_runs_is_paid_once_and_leaves_a_receipt_that_holds(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        cheap, dear = market.node("cheap", 1_000_000), market.node("dear", 2_000_000)
        await market.start()
        task_id = await market.submit()
        row = await market.until_phase(task_id, Phase.COMPLETED, turning_ms=100)
        (lease,) = await market.until_settled(task_id)
        assert (lease.node_id, cheap.containers_started) == (cheap.node_id, [lease.id])
        assert dear.containers_started == []
        assert lease.settlement.phase is SettlementPhase.CLOSED
        assert lease.settlement.paid_micro_usdc == row.cost_micro_usdc > 0
        receipt = await market.database.read(leases.receipt, lease.id)
        assert receipt is not None
        proof = verify_receipt(receipt)
        assert proof.paid_micro_usdc == row.cost_micro_usdc
        absent = {item.name for item in proof.items if item.proof is Proof.ABSENT}
        assert absent == {"metering", "vouchers_held"}
        assert await kinds(market, task_id) == [
            "created",
            "matching",
            "awarded",
            "starting",
            "running",
            "verifying",
            "completed",
            "settled",
        ]


@on_asyncio
async def test_what_an_award_cleared_at_is_noted_once_by_what_it_bought(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        market.node("cheap", 1_000_000)
        market.node("dear", 2_000_000)
        await market.start()
        task_id = await market.submit()
        await market.until_phase(task_id, Phase.COMPLETED, turning_ms=100)
        (lease,) = await market.until_settled(task_id)
        (hour,) = await market.database.read(prices.since, 0)
        assert hour.name == CPU
        assert sum(hour.prices.values()) == 1
        demand = (await market.task(task_id)).state.demand
        per_core = class_of(demand, None).per_unit(lease.lease.price_micro_usdc_per_hour)
        assert hour.lowest_micro_usdc == hour.highest_micro_usdc == per_core


@on_asyncio
async def test_nothing_is_polled_between_submit_and_award(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        market.node("only")
        await market.start()
        task_id = await market.submit()
        # No clock was turned and no sweep is needed: the wake alone carries it to the node.
        row = await market.until_phase(task_id, Phase.STARTING, Phase.RUNNING)
        assert row.node_id is not None


@on_asyncio
async def test_a_task_waits_for_a_node_and_starts_when_one_joins(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        await market.start()
        task_id = await market.submit()

        async def waited() -> bool:
            return (
                market.market.auctions >= 1 and (await market.task(task_id)).phase is Phase.QUEUED
            )

        await market.until(waited)
        auctions = market.market.auctions
        market.join(market.node("late"))
        await market.until_phase(task_id, Phase.COMPLETED, turning_ms=100)
        assert market.market.auctions == auctions + 1


@on_asyncio
async def test_a_task_that_finds_no_node_expires_with_the_reason(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        await market.start()
        task_id = await market.submit()
        row = await market.until_phase(task_id, Phase.EXPIRED, turning_ms=5_000)
        assert row.state.ending is not None
        assert row.state.ending.code == "NODE_UNAVAILABLE"
        assert row.state.ending.message == "No node is connected."
        assert row.hold_micro_usdc == 0


@on_asyncio
async def test_many_tasks_share_few_places_without_futile_auctions(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        node = market.node("only")
        node.behaviour.slots = 2
        await market.start()
        ids = [await market.submit(name=f"job {number}") for number in range(12)]
        for task_id in ids:
            await market.until_phase(task_id, Phase.COMPLETED, turning_ms=50)
        assert len(node.containers_started) == 12
        # One for each task, and one more whenever the line's first found all places taken.
        assert market.market.auctions <= 60


@on_asyncio
async def test_tasks_that_nobody_can_run_are_left_alone_through_a_restart_until_somebody_comes(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as market:
        market.node("full").behaviour.slots = 0
        await market.start()
        ids = [await market.submit(name=f"job {n}") for n in range(16)]

        async def all_wait() -> bool:
            rows = [await market.task(task_id) for task_id in ids]
            return market.market.auctions > 0 and all(row.phase is Phase.QUEUED for row in rows)

        await market.until(all_wait)
        # Eight have their turn at a time, and then one of all is enough.
        assert market.market.auctions <= 8
        held = market.market.auctions
        await market.stop()
        await market.start()
        ticks = iter(range(50))

        async def a_while() -> bool:
            return next(ticks, None) is None

        # The node that is full connects again, and beats; there is nothing new for anybody.
        await market.until(a_while)
        assert market.market.auctions == held
        free = market.node("free")
        free.behaviour.slots = 4
        market.join(free)

        async def all_done() -> bool:
            rows = [await market.task(task_id) for task_id in ids]
            return all(row.phase is Phase.COMPLETED for row in rows)

        await market.until(all_done, turning_ms=50)


@on_asyncio
async def test_thousands_that_have_waited_too_long_end_together(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        life = await market.start()
        ids = [await market.submit(name=f"job {n}") for n in range(50)]
        last = await market.submit(name="cancelled meanwhile")
        await life.orchestrator.request_cancel(last)
        market.clock.now += 3 * 24 * 3_600_000
        for task_id in ids:
            await market.until_phase(task_id, Phase.EXPIRED)
        assert (await market.task(last)).phase is Phase.CANCELLED


@on_asyncio
async def test_cancelling_costs_what_ran(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        market.node("only").behaviour.run_ms = None
        life = await market.start()
        task_id = await market.submit()
        await market.until_phase(task_id, Phase.RUNNING)
        market.clock.now += 3_600
        assert await life.orchestrator.request_cancel(task_id) is Phase.RUNNING
        row = await market.until_phase(task_id, Phase.CANCELLED)
        (lease,) = await market.until_settled(task_id)
        # 3.6 s at 1 USDC an hour.
        assert lease.settlement.paid_micro_usdc == row.cost_micro_usdc == 1_000
        with pytest.raises(LookupError):
            await life.orchestrator.request_cancel("task_unknown")


@on_asyncio
async def test_cancelling_a_waiting_task_ends_it_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        life = await market.start()
        task_id = await market.submit()
        assert await life.orchestrator.request_cancel(task_id) is Phase.CANCELLED
        assert await market.leases(task_id) == []


@on_asyncio
async def test_a_run_that_is_paid_as_it_goes_costs_no_more_in_the_end(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        node = market.node("only", 3_600_000)
        node.behaviour.run_ms = 50_000
        await market.start()
        task_id = await market.submit(timeout_s=60)
        await market.until_phase(task_id, Phase.RUNNING)
        (lease,) = await market.leases(task_id)

        async def paid_half() -> bool:
            held = node.leases[lease.id].voucher
            return held is not None and held.cumulative_micro_usdc >= 30_000

        await market.until(paid_half, turning_ms=500)
        row = await market.until_phase(task_id, Phase.COMPLETED, turning_ms=500)
        (lease,) = await market.until_settled(task_id)
        assert 50_000 <= row.cost_micro_usdc <= 51_000
        assert lease.settlement.paid_micro_usdc == row.cost_micro_usdc


@on_asyncio
async def test_a_deadline_ends_what_waits_and_what_waits_for_it(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        await market.start()
        task_id = await market.submit(finish_by_ms=market.clock() + 90_000)
        behind = await market.submit_after(task_id)
        row = await market.until_phase(task_id, Phase.EXPIRED, turning_ms=1_000)
        assert row.state.ending is not None
        assert row.state.ending.code == "DEADLINE_MISSED"
        assert "No node is connected." in row.state.ending.message
        # 60 s of its 90 s it might have run.
        assert row.ended_at_ms is not None
        assert 30_000 < row.ended_at_ms - row.created_at_ms < 60_000
        other = await market.until_phase(behind, Phase.FAILED)
        assert other.state.ending is not None
        assert other.state.ending.code == "DEPENDENCY_FAILED"


@on_asyncio
async def test_a_lease_that_can_not_begin_in_time_is_given_up_for_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        node = market.node("slow")
        node.behaviour.prepares = False
        await market.start()
        task_id = await market.submit(finish_by_ms=market.clock() + 90_000)
        row = await market.until_phase(task_id, Phase.EXPIRED, turning_ms=1_000)
        assert row.state.ending is not None
        assert row.state.ending.code == "DEADLINE_MISSED"
        (lease,) = await market.until_settled(task_id, turning_ms=1_000)
        assert lease.settlement.paid_micro_usdc == row.cost_micro_usdc == 0
        assert node.containers_started == []


@on_asyncio
async def test_tasks_of_a_group_never_share_a_node_while_they_run(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        nodes = [market.node(name) for name in ("one", "two")]
        await market.start()
        # All of them are auctioned at once, and every node would take four.
        ids = [await market.submit(name=f"job {n}", spread=Spread("apart")) for n in range(5)]
        together: list[int] = []

        async def all_done() -> bool:
            rows = [await market.task(task_id) for task_id in ids]
            held = [
                row.node_id
                for row in rows
                if row.phase in (Phase.AWARDED, Phase.STARTING, Phase.RUNNING)
            ]
            assert len(set(held)) == len(held), held
            together.append(len(held))
            return all(row.phase is Phase.COMPLETED for row in rows)

        await market.until(all_done, turning_ms=50)
        assert max(together) == 2
        assert all(node.containers_started for node in nodes)


@on_asyncio
async def test_what_jobs_use_is_kept_by_their_nodes_heartbeats_and_as_it_was_at_the_end(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as market:
        node = market.node("only")
        node.behaviour.run_ms = None
        node.behaviour.usage = LeaseUsage(1_000, 2**20)
        await market.start()
        task_id = await market.submit()
        await market.until_phase(task_id, Phase.RUNNING)

        async def kept() -> list[int]:
            samples = await market.database.read(usage.of_task, task_id)
            return [sample.usage.cpu_ms for sample in samples]

        async def is_kept() -> bool:
            return await kept() == [1_000]

        await market.until(is_kept)
        # Said again it is nothing new, and a little later it is too soon.
        node.behaviour.usage = LeaseUsage(1_500, 2**20)
        await market.until_phase(task_id, Phase.RUNNING, turning_ms=10)
        assert await kept() == [1_000]
        market.clock.now += 5_000

        async def is_more() -> bool:
            return await kept() == [1_000, 1_500]

        await market.until(is_more)
        # It ends a moment later: what it came to is kept, as soon as a heartbeat has it. Until then the node has the lease.
        node.behaviour.usage = LeaseUsage(1_700, 2**20)
        node.behaviour.redeems = False
        node.behaviour.run_ms = 0
        await market.until_phase(task_id, Phase.COMPLETED, turning_ms=10)

        async def is_last() -> bool:
            return (await kept())[-1] == 1_700

        await market.until(is_last, turning_ms=10)
