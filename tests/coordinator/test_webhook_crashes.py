"""kill -9 around every commit of a delivery, and two processes at once: all arrives, under one id each."""

import asyncio
import json
from pathlib import Path

import pytest

from coordinator.api_world import TASK, open_world
from coordinator.crashing_database import CrashingDatabase
from coordinator.on_asyncio import on_asyncio
from coordinator.receiver import deliver_due, delivery_of, receiving, status
from neurogrid_coordinator.webhooks.delivery import WebhookDelivery
from neurogrid_coordinator.webhooks.schedule import ABANDONED_AFTER_MS

pytestmark = pytest.mark.both_databases

HOOKS = "/api/v1/webhooks"
_COMMITS = range(1, 8)


async def _die_or_end(delivery: WebhookDelivery, database: CrashingDatabase) -> None:
    async def deliver() -> None:
        for one in await delivery.take():
            await delivery.deliver(one)

    work = asyncio.create_task(deliver())
    dead = asyncio.create_task(database.dead.wait())
    await asyncio.wait({work, dead}, return_when=asyncio.FIRST_COMPLETED)
    for task in (work, dead):
        task.cancel()
    await asyncio.gather(work, dead, return_exceptions=True)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("at_commit", _COMMITS)
def test_whatever_commit_it_dies_at_everything_arrives_under_its_one_id(
    tmp_path: Path, before: bool, at_commit: int
) -> None:
    @on_asyncio
    async def story() -> None:
        async with open_world(tmp_path) as world, receiving(world) as receiver:
            alice = await world.customer("alice")
            kinds = ["task.created", "task.started", "task.completed"]
            hook = await alice.http.post(HOOKS, json={"url": receiver.url, "events": kinds})
            receiver.answers = [status(500), status(200)]
            task_id = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
            await world.start(task_id)
            await world.finish(task_id)
            database = CrashingDatabase(world.database, at_commit, before=before)
            await _die_or_end(delivery_of(world, database), database)
            # The next process; it takes over what the dead one had begun.
            for _ in range(3):
                world.now_ms += ABANDONED_AFTER_MS
                await deliver_due(world)
            assert await deliver_due(world) == 0
            url = f"{HOOKS}/{hook.json()['data']['id']}/deliveries"
            rows = (await alice.http.get(url)).json()["data"]["deliveries"]
            assert [row["state"] for row in rows] == ["delivered"] * 3
            assert sorted(row["event"] for row in rows) == sorted(kinds)
            by_id = {one.headers["x-delivery-id"]: one.body for one in receiver.received}
            assert by_id.keys() == {row["id"] for row in rows}
            for one in receiver.received:
                assert one.body == by_id[json.loads(one.body)["id"]], "the same bytes each time"

    story()


@on_asyncio
async def test_an_event_that_is_undone_is_told_to_nobody(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, receiving(world) as receiver:
        alice = await world.customer("alice", deposit=0)
        body = {"url": receiver.url, "events": ["task.created"]}
        await alice.http.post(HOOKS, json=body)
        refused = await alice.http.post("/api/v1/tasks", json=TASK)
        assert refused.status_code == 402
        assert await deliver_due(world) == 0


@on_asyncio
async def test_two_processes_share_the_work_and_send_nothing_twice(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, receiving(world) as receiver:
        alice = await world.customer("alice")
        body = {"url": receiver.url, "events": ["task.created"]}
        await alice.http.post(HOOKS, json=body)
        for _ in range(8):
            await alice.http.post("/api/v1/tasks", json=TASK)
        one, other = delivery_of(world), delivery_of(world)
        world.now_ms += 60_000
        while sum(await asyncio.gather(deliver_due(world, one), deliver_due(world, other))):
            pass
        ids = [received.headers["x-delivery-id"] for received in receiver.received]
        assert len(ids) == len(set(ids)) == 8
