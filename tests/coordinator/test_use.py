"""Leases for use at the coordinator: what is noted is what is signed, and what is paid, whoever dies when."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.api_world import TASK, open_world
from coordinator.api_world import World as ApiWorld
from coordinator.crash_stories import crashes_in, outlive
from coordinator.crashing_database import CrashingDatabase
from coordinator.fake_nodes import FakeNode
from coordinator.market_world import World, world
from coordinator.on_asyncio import on_asyncio
from coordinator.records import new_task
from neurogrid_coordinator.replicas.use_orders import use_submission
from neurogrid_coordinator.services.balances import Balances
from neurogrid_coordinator.services.submission import Terms
from neurogrid_coordinator.services.tasks import Tasks
from neurogrid_coordinator.store import leases, tasks, use
from neurogrid_coordinator.store.ids import new_id
from neurogrid_coordinator.store.leases import LeaseRow
from neurogrid_coordinator.store.tasks import NewTask, TaskState
from neurogrid_coordinator.store.use import Billed
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.lease import Served
from neurogrid_marketplace.receipt import verify_receipt
from neurogrid_marketplace.receipt_items import Proof
from neurogrid_marketplace.serving import Serves
from neurogrid_marketplace.submission import submit
from neurogrid_marketplace.task import TERMINAL, Phase
from neurogrid_marketplace.units import NOTHING_SERVED, UnitPrices, Units

PRICES = UnitPrices(input_tokens=100_000, output_tokens=1_000_000)
TERMS = Terms(250, 1, 45, 60, 86_400)
SERVED = Units(input_tokens=30, output_tokens=100, requests=1)
BILLED = Units(input_tokens=30, output_tokens=90, requests=1)


@asynccontextmanager
async def replica(folder: Path) -> AsyncIterator[tuple[World, FakeNode, str]]:
    """A market with a node and a replica that runs on it."""
    async with world(folder) as market:
        node = market.node("only", 10_000)
        await market.start()
        yield market, node, await begin_replica(market, node)


async def begin_replica(market: World, node: FakeNode) -> str:
    node.behaviour.run_ms = None
    made = new_task(market.account.id, now_ms=market.clock(), timeout_s=86_400)
    demand = replace(made.state.demand, serves=Serves("m", PRICES))
    return await stored(market, replace(made, state=replace(made.state, demand=demand)))


async def stored(market: World, made: NewTask) -> str:
    row, _ = await market.database.write(tasks.insert_new, made, market.clock())
    market.wake(TaskState(row.state, row.account_id, row.priority))
    return row.id


async def begin_use(
    market: World, replica_id: str, max_cost_micro_usdc: int = 1_000, idle_s: int = 60
) -> str:
    """A task for the use of a replica, as `Tasks.submit` would store it."""
    of = await market.until_phase(replica_id, Phase.RUNNING)
    wanted = use_submission(
        of.state, max_cost_micro_usdc=max_cost_micro_usdc, timeout_s=3_600, idle_s=idle_s
    )
    assert wanted is not None
    job = wanted.job({})
    demand = wanted.demand(new_id("demand"), job, job.hash(), TERMS)
    state = submit(new_id("task"), demand, market.clock(), 10_000)
    made = NewTask(market.account.id, wanted.name, wanted.row_kind, 10, {}, job, state)
    return await stored(market, made)


async def lease_of(market: World, task_id: str) -> LeaseRow:
    await market.until_phase(task_id, Phase.RUNNING)
    (lease,) = await market.leases(task_id)
    return lease


async def note(market: World, lease: LeaseRow, request: str, units: Units) -> Billed | None:
    return await market.database.write(use.note, lease.id, request, units)


def cost(units: Units) -> int:
    return PRICES.cost_micro_usdc(units)


@pytest.mark.both_databases
@on_asyncio
async def test_what_was_passed_on_is_signed_and_paid_and_in_the_receipt(tmp_path: Path) -> None:
    async with replica(tmp_path) as (market, node, replica_id):
        use_id = await begin_use(market, replica_id)
        lease = await lease_of(market, use_id)
        assert lease.settlement.max_cost_micro_usdc == 1_000
        assert (await market.task(use_id)).kind == "use"
        await node.step(lease.id, Served(SERVED, 0))
        assert await note(market, lease, "req_1", BILLED) == Billed(NOTHING_SERVED, BILLED)

        async def is_signed() -> bool:
            return node.leases[lease.id].held_micro_usdc == cost(BILLED)

        await market.until(is_signed, turning_ms=500)
        await market.until_phase(use_id, Phase.COMPLETED, turning_ms=5_000)
        assert (await market.task(use_id)).state.cost_micro_usdc == cost(BILLED)

        async def is_settled() -> bool:
            return lease.id not in node.leases

        await market.until(is_settled)
        (row,) = await market.leases(use_id)
        assert row.settlement.paid_micro_usdc == cost(BILLED)
        receipt = await market.database.read(leases.receipt, lease.id)
        assert receipt is not None
        found = verify_receipt(receipt)
        demand = (await market.task(use_id)).state.demand
        assert (found.billed, found.use) == (BILLED, demand.use)
        items = {item.name: item for item in found.items}
        assert items["served"].proof is Proof.PROVEN
        # It is over: what comes now was free, and which answers there were is forgotten.
        assert await note(market, lease, "req_2", BILLED) is None
        assert await market.database.read(use.of_lease, lease.id) == BILLED
        # Its replica runs on, and no start of it nor price is taken for a machine's.
        assert (await market.task(replica_id)).phase is Phase.RUNNING
        assert row.start_took_ms is None


@pytest.mark.both_databases
@on_asyncio
async def test_a_note_says_how_far_an_answer_is_and_may_be_written_again(tmp_path: Path) -> None:
    async with replica(tmp_path) as (market, _, replica_id):
        lease = await lease_of(market, await begin_use(market, replica_id))
        other = await lease_of(market, await begin_use(market, replica_id))
        ten, thirty = Units(output_tokens=10), Units(output_tokens=30)
        assert await note(market, lease, "req_1", ten) == Billed(NOTHING_SERVED, ten)
        assert await note(market, lease, "req_1", thirty) == Billed(ten, thirty)
        assert await note(market, lease, "req_1", thirty) == Billed(thirty, thirty)
        # One that comes late takes nothing back.
        assert await note(market, lease, "req_1", ten) == Billed(thirty, thirty)
        assert await note(market, lease, "req_2", ten) == Billed(thirty, thirty + ten)
        with pytest.raises(InvalidValue, match="not of lease"):
            await note(market, other, "req_1", ten)
        assert await market.database.read(use.of_lease, other.id) == NOTHING_SERVED
        (of_replica,) = await market.leases(replica_id)
        assert await note(market, of_replica, "req_3", ten) is None
        assert await market.database.write(use.note, "lease_" + "0" * 32, "req_4", ten) is None


@on_asyncio
async def test_no_more_is_signed_than_the_escrow_holds(tmp_path: Path) -> None:
    async with replica(tmp_path) as (market, node, replica_id):
        use_id = await begin_use(market, replica_id, max_cost_micro_usdc=50)
        lease = await lease_of(market, use_id)
        await node.step(lease.id, Served(SERVED, 0))
        await note(market, lease, "req_1", BILLED)
        await market.until_phase(use_id, Phase.COMPLETED, turning_ms=1_000)
        (row,) = await market.leases(use_id)
        assert row.settlement.signed_micro_usdc == 50


@on_asyncio
async def test_use_is_paid_however_its_lease_ends(tmp_path: Path) -> None:
    async with replica(tmp_path) as (market, node, replica_id):
        use_id = await begin_use(market, replica_id)
        lease = await lease_of(market, use_id)
        await note(market, lease, "req_1", BILLED)
        node.behaviour.run_ms, node.behaviour.outcome = 0, Outcome.GPU_LOST
        row = await market.until_phase(use_id, *TERMINAL)
        assert row.phase is Phase.FAILED
        assert row.state.cost_micro_usdc == cost(BILLED)
        # It is tried nowhere else.
        assert len(await market.leases(use_id)) == 1


@on_asyncio
async def test_of_a_lost_node_what_was_signed_is_paid_and_nothing_is_tried_again(
    tmp_path: Path,
) -> None:
    async with replica(tmp_path) as (market, node, replica_id):
        use_id = await begin_use(market, replica_id)
        lease = await lease_of(market, use_id)
        await node.step(lease.id, Served(SERVED, 0))
        await note(market, lease, "req_1", Units(output_tokens=40))

        async def is_signed() -> bool:
            return node.leases[lease.id].held_micro_usdc == 40

        await market.until(is_signed, turning_ms=500)
        node.behaviour.deaf = True
        await note(market, lease, "req_1", BILLED)
        row = await market.until_phase(use_id, *TERMINAL, turning_ms=2_000)
        assert (row.phase, row.state.cost_micro_usdc) == (Phase.FAILED, 40)
        assert row.state.ending is not None
        assert row.state.ending.code == "NODE_LOST"


def test_whoever_dies_when_what_was_noted_is_what_is_paid(tmp_path: Path) -> None:
    async def story(market: World, database: CrashingDatabase) -> None:
        node = market.node("only", 10_000)
        await market.start()
        replica_id = await begin_replica(market, node)
        await market.until_phase(replica_id, Phase.RUNNING)
        await market.stop()
        await market.start(database)
        use_id = await begin_use(market, replica_id, idle_s=3)

        async def is_over() -> bool:
            for lease in await market.leases(use_id):
                if lease.id in node.leases:
                    await node.step(lease.id, Served(SERVED, 0))
                    # Whoever passes answers on writes until it knows that it is written.
                    await note(market, lease, "req_1", BILLED)
            if (await market.task(use_id)).phase not in TERMINAL:
                return False
            # Then the replica, too: all is over when nothing is unsettled.
            node.behaviour.run_ms = 0
            return not node.leases and not await market.database.read(leases.unsettled)

        await outlive(market, database, is_over)
        await market.until(is_over, turning_ms=1_000)
        (lease,) = await market.until_settled(use_id)
        task = await market.task(use_id)
        assert task.phase is Phase.COMPLETED
        paid = lease.settlement.paid_micro_usdc
        assert paid == task.state.cost_micro_usdc == cost(BILLED)
        receipt = await market.database.read(leases.receipt, lease.id)
        assert receipt is not None
        assert verify_receipt(receipt).billed == BILLED

    assert crashes_in(story, tmp_path, range(1, 60)) >= 12


@on_asyncio
async def test_a_task_for_use_is_held_for_shown_and_no_way_to_the_replica_by_itself(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as here:
        alice = await here.customer("alice")
        replica_id = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        of = await here.start(replica_id)
        assert of.lease is not None
        of = replace(
            of,
            demand=replace(of.demand, serves=Serves("m", PRICES)),
            lease=replace(of.lease, unit_prices=PRICES),
        )
        wanted = use_submission(of, max_cost_micro_usdc=70_000, timeout_s=3_600, idle_s=60)
        assert wanted is not None
        # Nothing is asked of the machine, and nothing by the hour: any node that is free would do, and
        # the condition leaves one.
        shown, is_new = await tasks_of(here).submit(alice.account, wanted)
        assert is_new
        path = f"/api/v1/tasks/{shown.row.id}"
        task = (await alice.http.get(path)).json()["data"]
        assert (task["status"], task["model"]) == ("pending", "m")
        assert task["max_price_per_hour"] == "0.00"
        held = await here.database.read(tasks.get, shown.row.id)
        assert held is not None
        assert held.kind == "use"
        assert held.state.demand.max_cost_micro_usdc() == 70_000
        listed = (await alice.http.get("/api/v1/tasks")).json()["data"]
        assert shown.row.id in [each["id"] for each in listed["tasks"]]
        answer = await alice.http.get(f"/api/v1/services/{shown.row.id}/v1/models")
        assert answer.status_code >= 400
        assert (await alice.http.delete(path)).status_code == 200


def tasks_of(here: ApiWorld) -> Tasks:
    return Tasks(
        database=here.database,
        feed=here.feed,
        terms=here.settings.terms,
        explain=here.market.explain,
        may_return=here.nodes.may_return,
        balances=Balances(here.database, here.chain.funds),
        wake=lambda state: None,
        request_cancel=here.request_cancel,
    )
