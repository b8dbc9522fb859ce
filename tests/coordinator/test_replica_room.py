"""A model that no node has room for is served in the place of another model's idle replica, and not where that is in use."""

import asyncio
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from coordinator.api_world import node_view
from coordinator.on_asyncio import on_asyncio
from coordinator.replica_world import HASTY, MODEL, ReplicaWorld, model, open_replica_world, words
from neurogrid_coordinator.replicas.asking import Question
from neurogrid_coordinator.replicas.serving import Asked
from neurogrid_coordinator.services.errors import NoReplica
from neurogrid_marketplace.resources import Capacity
from neurogrid_marketplace.service import PORTS
from neurogrid_marketplace.serving import ServingTerms

OTHER = "other"
WHY = "0 of 1 nodes match: cpu"


async def asked_of(here: ReplicaWorld, name: str) -> bytes:
    question = Question("POST", "/v1/completions", body=b"{}")
    async with here.serving.ask(Asked(name, "alice", question, limits=HASTY, wait_s=30)) as served:
        return b"".join([piece async for piece in served.pieces()])


async def one_place(here: ReplicaWorld, least: int = 0) -> str:
    """Two models, and a node whose place the first one's replica has; that replica."""
    first = model(replicas_max=1, idle_s=3600, replicas_min=least)
    second = model(replicas_max=1, idle_s=3600)
    second = msgspec.structs.replace(second, id=OTHER)
    await here.restart(models={MODEL: first, OTHER: second})
    asking = asyncio.create_task(asked_of(here, MODEL))
    await here.until(lambda: here.pool.waiting == 1)
    await here.upkeep.look()
    (row,) = await here.rows()
    await here.up(row.id)
    assert await asking == b"to be or"
    full = node_view("one", access=(PORTS,), serving=ServingTerms(0), free=Capacity(0, 0, 0))
    for view in here.world.nodes.views():
        await here.world.nodes.on_node(view.offer.node_id, "left", view)
    await here.world.nodes.on_node(full.offer.node_id, "joined", full)
    return row.id


async def unwanted(here: ReplicaWorld, first: str) -> str:
    """Somebody has asked the other model, and no node took its replica."""
    await here.until(lambda: here.serving.pools[OTHER].waiting == 1)
    await here.upkeep.look()
    (row,) = [row for row in await here.rows() if row.id != first]
    await here.world.nobody_bids(row.id, WHY)
    await here.upkeep.look()
    return row.id


async def is_let_go(here: ReplicaWorld, task_id: str) -> bool:
    return any(row.state.cancel_requested for row in await here.rows() if row.id == task_id)


@on_asyncio
async def test_an_idle_replica_makes_room_and_is_not_begun_again_until_it_is_asked(
    tmp_path: Path,
) -> None:
    async with open_replica_world(tmp_path) as here:
        first = await one_place(here)
        here.turn(600)
        asking = asyncio.create_task(asked_of(here, OTHER))
        second = await unwanted(here, first)
        assert await is_let_go(here, first)
        await here.upkeep.look()
        assert not asking.done(), "it waits for the room that is being made"
        assert here.pool.need.wanted(here.pool.limits, here.world.now_ms) == 0
        task = await here.world.start(second, name="one")
        assert task.lease is not None
        here.jobs.servers[task.lease.lease_id] = words
        await here.upkeep.look()
        assert await asking == b"to be or"
        assert here.pool.tally.begun == 1


@pytest.mark.parametrize("kept", ["at work", "waited for", "new", "of the least"])
@on_asyncio
async def test_one_that_is_needed_makes_no_room(tmp_path: Path, kept: str) -> None:
    async with open_replica_world(tmp_path) as here:
        first = await one_place(here, least=int(kept == "of the least"))
        here.turn(20 if kept == "new" else 600)
        replica = here.pool.replicas[first]
        waiting = None
        if kept in ("at work", "waited for"):
            replica.at_work = 1 if kept == "at work" else here.pool.limits.concurrency
        if kept == "waited for":
            waiting = asyncio.create_task(asked_of(here, MODEL))
            await here.until(lambda: here.pool.waiting == 1)
            replica.at_work, replica.health = (
                0,
                replace(replica.health, rests_until_ms=here.world.now_ms + 10**6),
            )
        asking = asyncio.create_task(asked_of(here, OTHER))
        await unwanted(here, first)
        with pytest.raises(NoReplica, match=WHY):
            await asking
        assert not await is_let_go(here, first)
        if waiting is not None:
            waiting.cancel()


@on_asyncio
async def test_where_room_was_made_in_vain_no_more_is_made_for_a_while(tmp_path: Path) -> None:
    async with open_replica_world(tmp_path) as here:
        first = await one_place(here)
        here.turn(600)
        asking = asyncio.create_task(asked_of(here, OTHER))
        await unwanted(here, first)
        assert await is_let_go(here, first)
        here.turn(61)
        await here.upkeep.look()
        with pytest.raises(NoReplica, match=WHY):
            await asking
        pool = here.serving.pools[OTHER]
        assert (pool.is_stuck, pool.has_room) == (True, False)
