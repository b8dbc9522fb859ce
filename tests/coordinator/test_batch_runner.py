"""Batches under kills: whoever dies wherever, each item gets its tasks once, and the counters hold."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from coordinator.api_world import TASK, Customer, World, open_world
from coordinator.crashing_database import CrashingDatabase
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator import restored
from neurogrid_coordinator.batches.batch_rules import ItemState
from neurogrid_coordinator.store import batch_items, batches
from neurogrid_coordinator.store.tables import batch_items as items_table
from neurogrid_coordinator.store.tables import tasks as tasks_table
from neurogrid_marketplace.faults import Outcome

pytestmark = pytest.mark.both_databases

JOB = TASK | {"max_price_per_hour": "1.00"}
# A look at a batch of three with one that fails takes fewer commits than this.
_COMMITS = 9


async def _made(customer: Customer, tasks: list[dict[str, Any]], **more: Any) -> str:
    answer = await customer.http.post("/api/v1/batches", json={"tasks": tasks, **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["id"])


async def _queued(world: World, customer: Customer) -> list[str]:
    answer = await customer.http.get("/api/v1/tasks?status=pending&order=asc")
    return [task["id"] for task in answer.json()["data"]["tasks"]]


def _check(conn: Connection, batch_id: str) -> None:
    """The counters say what the items are, and each item has exactly the tasks that it counts."""
    row = batches.get(conn, batch_id)
    assert row is not None
    states = select(items_table.c.state, func.count(), func.sum(items_table.c.cost_micro_usdc))
    found = {
        state: (count, cost)
        for state, count, cost in conn.execute(
            states.where(items_table.c.batch_id == batch_id).group_by(items_table.c.state)
        )
    }
    for state in ItemState:
        assert getattr(row.counts, state.value) == found.get(state.value, (0, 0))[0], state
    assert row.spent_micro_usdc == sum(cost for _, cost in found.values())
    attempts = sum(item.attempts for item in batch_items.page(conn, batch_id, limit=1000))
    assert conn.scalar(select(func.count()).select_from(tasks_table)) == attempts


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("at_commit", range(1, _COMMITS))
@on_asyncio
async def test_a_kill_at_any_commit_loses_nothing_and_runs_nothing_twice(
    tmp_path: Path, at_commit: int, before: bool
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        batch_id = await _made(alice, [JOB] * 3, max_concurrency=2, retries=1)
        database = world.database
        dying: Any = CrashingDatabase(database, at_commit, before=before)
        failed = 0
        alive = False
        runner = world.batch_runner(dying)
        for _ in range(40):
            look = asyncio.create_task(runner.look())
            end = asyncio.create_task(dying.dead.wait())
            await asyncio.wait({look, end}, return_when=asyncio.FIRST_COMPLETED)
            if dying.dead.is_set() and not alive:
                look.cancel()
                await asyncio.gather(look, return_exceptions=True)
                alive, runner = True, world.batch_runner()
            else:
                await look
            end.cancel()
            await database.read(_check, batch_id)
            row = await database.read(batches.get, batch_id)
            assert row is not None
            assert row.counts.released <= 2
            if row.ended_at_ms is not None:
                break
            for task_id in await _queued(world, alice):
                await world.start(task_id)
                outcome = Outcome.EXIT_NONZERO if not failed else Outcome.COMPLETED
                failed += 1
                await world.finish(task_id, outcome=outcome)
        assert row is not None
        assert row.counts.completed == 3
        listed = (await alice.http.get("/api/v1/tasks")).json()["data"]
        assert listed["total"] == 4, "three, and the one that was tried again"


@on_asyncio
async def test_two_coordinators_at_once_release_as_many_as_one(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        batch_id = await _made(alice, [JOB] * 10, max_concurrency=4)
        one, other = world.batch_runner(), world.batch_runner()
        for _ in range(3):
            await asyncio.gather(one.look(), other.look())
            await world.database.read(_check, batch_id)
        assert len(await _queued(world, alice)) == 4


@on_asyncio
async def test_a_batch_does_not_stand_in_the_way_of_another(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        await _made(alice, [JOB] * 300, max_concurrency=256, execute=True)
        await _made(bob, [JOB] * 2)
        await world.batch_runner().look()
        assert len(await _queued(world, bob)) == 2
        assert len(world.woken) < 100


@on_asyncio
async def test_a_restored_coordinator_releases_nothing_of_what_had_not_ended(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        batch_id = await _made(alice, [JOB] * 3, max_concurrency=1)
        runner = world.batch_runner()
        await runner.look()
        await world.database.write(restored.let_go, world.now_ms)
        await runner.look()
        shown = (await alice.http.get(f"/api/v1/batches/{batch_id}")).json()["data"]
        assert (shown["status"], shown["progress"]["cancelled"]) == ("cancelled", 3)
        assert len(world.woken) == 1
        again = await alice.http.post(f"/api/v1/batches/{batch_id}/retry", json={"cancelled": True})
        assert again.json()["data"]["progress"]["pending"] == 3
        await world.database.read(_check, batch_id)
