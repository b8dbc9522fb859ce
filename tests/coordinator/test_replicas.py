"""Replicas of models: begun when somebody asks, asked, replaced, and let go; over real streams to servers that do as told."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.crashing_database import CrashingDatabase
from coordinator.on_asyncio import on_asyncio
from coordinator.records import node_id
from coordinator.replica_world import (
    HASTY,
    HEAD,
    MODEL,
    ReplicaWorld,
    model,
    open_replica_world,
    well_but,
    words,
)
from neurogrid_coordinator.gateway.connection import ServiceBroken
from neurogrid_coordinator.replicas.asking import Question
from neurogrid_coordinator.replicas.serving import Asked
from neurogrid_coordinator.services.errors import NoReplica, RateLimited, Unavailable
from neurogrid_coordinator.services.submission import MODEL_KIND, REPLICA_KIND
from neurogrid_coordinator.store import events, task_lists
from neurogrid_coordinator.store.task_lists import TaskFilter
from neurogrid_coordinator.store.tasks import TaskRow
from neurogrid_marketplace.awarding import demand_of
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.replica_routing import Preferences
from neurogrid_marketplace.replica_scaling import Load
from neurogrid_marketplace.task import Phase
from neurogrid_marketplace.task_events import (
    AuctionClosed,
    CancelRequested,
    Due,
    Forgotten,
    Reclaimed,
)


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def close_at_once(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    return


async def busy(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno")


async def half(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")


@pytest.mark.both_databases
@on_asyncio
async def test_a_request_begins_a_replica_is_answered_by_it_and_it_goes_when_idle(
    tmp_path: Path,
) -> None:
    async with open_replica_world(tmp_path) as here:
        await here.upkeep.look()
        assert await here.rows() == []
        asking = asyncio.create_task(here.ask())
        await here.until(lambda: here.pool.waiting == 1)
        await here.upkeep.look()
        await here.upkeep.look()
        (row,) = await here.rows()
        assert (row.kind, row.model, row.account_id) == (
            REPLICA_KIND,
            MODEL,
            here.operator.account.id,
        )
        assert row.state.demand.max_price_micro_usdc_per_hour == 50_000
        for kind, count in (("replica", 1), ("container", 0)):
            listed = (await here.operator.http.get(f"/api/v1/tasks?kind={kind}")).json()["data"]
            assert [task["kind"] for task in listed["tasks"]] == [kind] * count
        assert row.job.service is not None
        assert (row.job.command, row.job.service.port) == (("serve",), 8000)
        lease_id = await here.up(row.id)
        assert await asking == (200, b"to be or", row.id)
        assert here.pool.tally.requests == {"answered": 1}
        await here.until(lambda: here.pool.cold_starts.expected_ms() is not None)
        (ready,) = [
            event
            for event in await here.world.database.read(events.milestones, row.id)
            if event.kind == events.READY
        ]
        took_ms = ready.data["cold_start_ms"]
        assert isinstance(took_ms, dict)
        assert list(took_ms) == ["queued", "auction", "escrow", "start", "ready"]
        assert here.pool.cold_starts.expected_ms() == sum(took_ms.values())  # type: ignore[arg-type]  # numbers
        here.turn(59)
        await here.upkeep.look()
        assert len(await here.rows()) == 1
        here.turn(2)
        await here.upkeep.look()
        assert await here.rows() == [] or (await here.rows())[0].state.cancel_requested
        assert here.jobs.opened[lease_id] == 2, "its health, and one request"


@on_asyncio
async def test_one_whose_requests_come_and_end_between_two_looks_is_needed(tmp_path: Path) -> None:
    async with open_replica_world(tmp_path) as here:
        asking = asyncio.create_task(here.ask())
        await here.until(lambda: here.pool.waiting == 1)
        await here.upkeep.look()
        (row,) = await here.rows()
        await here.up(row.id)
        await asking
        for _ in range(3):
            here.turn(40)
            assert (await here.ask())[2] == row.id
            here.turn(10)
            await here.upkeep.look()
            assert here.pool.replicas[row.id].takes
        here.turn(51)
        await here.upkeep.look()
        assert not here.pool.replicas[row.id].takes


@on_asyncio
async def test_a_replica_that_fails_before_the_first_byte_is_replaced_unseen(
    tmp_path: Path,
) -> None:
    for name, bad in (("closes", close_at_once), ("busy", busy)):
        async with open_replica_world(tmp_path / name) as here:
            first, second = await here.two_up(well_but(bad), words)
            for _ in range(4):
                # One of these goes to the bad one first.
                assert await here.ask() == (200, b"to be or", second)
            assert here.pool.replicas[first].health.rests_until_ms > here.world.now_ms
            assert here.pool.tally.requests["failed"] == 0


@on_asyncio
async def test_one_that_breaks_off_after_it_is_a_clear_error_and_not_asked_again(
    tmp_path: Path,
) -> None:
    async with open_replica_world(tmp_path) as here:
        await here.two_up(well_but(half), well_but(half))
        with pytest.raises(ServiceBroken, match=r"broke off after 4 bytes of its answer"):
            await here.ask()
        assert sum(here.jobs.opened.values()) == 3, "two looks at health, one request"
        assert here.pool.tally.requests["broken"] == 1


@on_asyncio
async def test_when_none_answers_the_error_says_so_and_an_answer_of_refusal_is_passed_on(
    tmp_path: Path,
) -> None:
    async with open_replica_world(tmp_path) as here:
        await here.two_up(well_but(close_at_once), well_but(close_at_once))
        asking = asyncio.create_task(here.ask())
        await here.until(lambda: here.pool.tally.requests["failed"] == 1 or turned(here))
        with pytest.raises(Unavailable, match="3 replicas of warm did not answer"):
            await asking


def turned(here: ReplicaWorld) -> bool:
    """Time passes, and who rests has rested."""
    here.turn(1)
    here.pool.dispatch()
    return False


@on_asyncio
async def test_a_client_that_leaves_stops_its_server_and_its_place_is_the_next_ones(
    tmp_path: Path,
) -> None:
    reached, gone = asyncio.Event(), asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        writer.write(HEAD + b"first")
        await reader.read()
        gone.set()

    async with open_replica_world(tmp_path, replicas_max=1, concurrency=1) as here:
        asking = asyncio.create_task(here.ask())
        await here.until(lambda: here.pool.waiting == 1)
        await here.upkeep.look()
        (row,) = await here.rows()
        lease_id = await here.up(row.id, serve=well_but(endless))
        await asyncio.wait_for(reached.wait(), 30)
        next_one = asyncio.create_task(here.ask("bob"))
        await here.until(lambda: here.pool.waiting == 1)
        here.jobs.servers[lease_id] = words
        asking.cancel()
        await asyncio.wait_for(gone.wait(), 30)
        assert (await next_one)[:2] == (200, b"to be or")
        assert here.pool.tally.requests == {"left": 1, "answered": 1}
        assert (here.pool.at_work, here.pool.waiting) == (0, 0)


@on_asyncio
async def test_who_waits_is_bounded_and_in_time_told_why_no_node_took_it(tmp_path: Path) -> None:
    async with open_replica_world(tmp_path) as here:
        waiting = [asyncio.create_task(here.ask(wait_s=60)) for _ in range(20)]
        await here.until(lambda: here.pool.waiting == 20)
        with pytest.raises(RateLimited, match="at most 20"):
            await here.ask()
        late = asyncio.create_task(here.ask("bob", wait_s=0.2))
        await here.until(lambda: here.pool.waiting == 21)
        await here.upkeep.look()
        here.pool.problem = "0 of 2 nodes match: price"
        with pytest.raises(Unavailable, match=r"within 0.2 s: 0 of 2 nodes match: price"):
            await late
        assert len(await here.rows()) == 2, "no more than there may be"
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert here.pool.waiting == 0


@on_asyncio
async def test_who_waits_in_vain_hears_so_at_once_and_whoever_asks_later_has_it_tried_anew(
    tmp_path: Path,
) -> None:
    async with open_replica_world(tmp_path, replicas_max=1) as here:
        asking = asyncio.create_task(here.ask(wait_s=3600))
        await here.until(lambda: here.pool.waiting == 1)
        await here.upkeep.look()
        (row,) = await here.rows()
        await here.upkeep.look()
        assert not asking.done(), "no node was asked yet"
        await here.world.nobody_bids(row.id, "0 of 2 nodes match: price")
        await here.upkeep.look()
        with pytest.raises(NoReplica, match=r"no node takes .* now: 0 of 2 nodes match: price"):
            await asking
        with pytest.raises(NoReplica):
            await here.ask(wait_s=3600)
        assert (here.pool.waiting, here.pool.tally.requests) == (0, {"failed": 2})

        # One does after all.
        await here.up(row.id)
        assert (await here.ask())[0] == 200

        # Nobody takes its successor, and nobody asks any more.
        await here.world.finish(row.id, outcome=Outcome.EXIT_NONZERO)
        await here.upkeep.look()
        here.turn(5)
        await here.upkeep.look()
        (row,) = await here.rows()
        await here.world.nobody_bids(row.id, "0 of 2 nodes match: price")
        here.turn(120)
        await here.upkeep.look()
        await here.world.step(row.id, CancelRequested())
        await here.upkeep.look()
        asking = asyncio.create_task(here.ask(wait_s=3600))
        await here.until(lambda: here.pool.waiting == 1)
        await here.upkeep.look()
        (another,) = await here.rows()
        assert another.id != row.id
        await here.up(another.id)
        assert (await asking)[0] == 200


@on_asyncio
async def test_one_that_its_node_takes_back_is_replaced_and_goes_on_elsewhere(
    tmp_path: Path,
) -> None:
    async with open_replica_world(tmp_path, replicas_min=1, replicas_max=1) as here:
        await here.upkeep.look()
        (row,) = await here.rows()
        assert row.state.demand.preemptible
        await here.up(row.id, reclaim_window_s=5)
        task = await here.world.state(row.id)
        assert task.lease is not None
        await here.world.step(row.id, Reclaimed(task.lease.lease_id, here.world.now_ms))
        await here.upkeep.look()
        assert len(await here.rows()) == 2, "its successor is begun"
        assert (await here.ask())[2] == row.id, "until its machine is gone"
        here.turn(5)
        await here.world.finish(row.id, outcome=Outcome.PREEMPTED)
        await here.upkeep.look()
        assert not here.pool.hopeless(), "no node has declined"
        await here.upkeep.look()
        (left,) = await here.rows()
        await here.up(left.id, "two")
        assert (await here.ask())[2] == left.id


@on_asyncio
async def test_where_no_node_is_connected_or_the_pause_is_short_one_waits(tmp_path: Path) -> None:
    async with open_replica_world(tmp_path, replicas_max=1) as here:
        asking = asyncio.create_task(here.ask(wait_s=3600))
        await here.until(lambda: here.pool.waiting == 1)
        await here.upkeep.look()
        (row,) = await here.rows()
        for view in here.world.market.views:
            await here.world.nodes.on_node(view.offer.node_id, "left", view)
        await here.world.nobody_bids(row.id, "0 nodes are connected.")
        await here.upkeep.look()
        for view in here.world.market.views:
            await here.world.nodes.on_node(view.offer.node_id, "joined", view)
        await here.upkeep.look()
        assert here.pool.waiting == 1
        for failures in (1, 2, 3):
            await here.world.start(row.id)
            await here.world.finish(row.id, outcome=Outcome.EXIT_NONZERO)
            await here.upkeep.look()
            assert (here.pool.failures, here.pool.waiting) == (failures, 1)
            here.turn(4)
            await here.upkeep.look()
            (row,) = await here.rows()
        await here.world.start(row.id)
        await here.world.finish(row.id, outcome=Outcome.EXIT_NONZERO)
        await here.upkeep.look()
        with pytest.raises(NoReplica):
            await asking


@on_asyncio
async def test_a_task_answers_where_no_node_takes_a_replica_as_far_as_one_can(
    tmp_path: Path,
) -> None:
    async with open_replica_world(tmp_path, replicas_max=1, features=("logprobs",)) as here:
        alice = await here.world.customer("alice")

        def ask(**changes: Any) -> asyncio.Task[httpx.Response]:
            body = {"model": MODEL, "prompt": "To be", **changes}
            return asyncio.create_task(alice.http.post("/v1/completions", json=body))

        by_task, by_server = ask(), ask(logprobs=1)
        await here.until(lambda: here.pool.waiting == 2)
        await here.upkeep.look()
        (row,) = await here.rows()
        await here.world.nobody_bids(row.id, "0 of 2 nodes match: price")
        await here.upkeep.look()
        answer = await by_server
        assert answer.status_code == 503
        error = answer.json()["error"]
        assert error["code"] == "no_provider_available"
        assert "0 of 2 nodes match: price" in error["message"]

        async def asked_as_task() -> list[TaskRow]:
            which = TaskFilter(alice.account.id, kinds=frozenset({MODEL_KIND}))
            return await here.world.database.read(task_lists.list_rows, which)

        async with asyncio.timeout(30):
            while not await asked_as_task():  # noqa: ASYNC110 - the database tells nobody
                await asyncio.sleep(0.005)
        assert not by_task.done()
        by_task.cancel()
        await asyncio.gather(by_task, return_exceptions=True)


@on_asyncio
async def test_a_session_stays_and_a_request_that_allows_nobody_is_told_so_at_once(
    tmp_path: Path,
) -> None:
    async with open_replica_world(tmp_path) as here:
        await here.two_up(words, words)
        _, _, served = await here.ask(session="s")
        for _ in range(3):
            assert (await here.ask(session="s"))[2] == served
        two = (await here.ask(preferences=Preferences(only=(node_id("two"),))))[2]
        assert here.node_of(two) == node_id("two")
        nobody = Preferences(only=("nobody",))
        with pytest.raises(NoReplica, match=r"2 by only left out"):
            await here.ask(preferences=nobody)


@on_asyncio
async def test_who_waits_for_a_start_and_allows_nobody_that_comes_hears_so(tmp_path: Path) -> None:
    async with open_replica_world(tmp_path, replicas_max=1) as here:
        asking = asyncio.create_task(
            here.ask(wait_s=3600, preferences=Preferences(regions=("mars",)))
        )
        await here.until(lambda: here.pool.waiting == 1)
        await here.upkeep.look()
        (row,) = await here.rows()
        await here.up(row.id)
        await here.upkeep.look()
        with pytest.raises(NoReplica, match=r"1 by region left out"):
            await asking
        assert here.pool.waiting == 0


@on_asyncio
async def test_one_whose_node_is_away_is_replaced_and_let_go_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with open_replica_world(tmp_path, replicas_min=1, replicas_max=1) as here:
        await here.upkeep.look()
        (row,) = await here.rows()
        await here.up(row.id)
        view = here.world.market.views[0]
        await here.world.nodes.on_node(node_id("one"), "left", view)
        await here.upkeep.look()
        assert here.pool.replicas[row.id].state == "away"
        here.turn(19)
        await here.upkeep.look()
        assert len(await here.rows()) == 1
        here.turn(2)
        await here.upkeep.look()
        _, other = await here.rows()
        await here.up(other.id, "two")
        assert (await here.ask())[2] == other.id
        await here.world.nodes.on_node(node_id("one"), "joined", view)
        await here.upkeep.look()
        await here.upkeep.look()
        assert sorted(each.state for each in here.pool.replicas.values()) == ["leaving", "ready"]


@on_asyncio
async def test_where_no_node_is_connected_it_is_we_who_are_away(tmp_path: Path) -> None:
    async with open_replica_world(tmp_path, replicas_min=1) as here:
        await here.upkeep.look()
        (row,) = await here.rows()
        await here.up(row.id)
        for view in here.world.market.views:
            await here.world.nodes.on_node(view.offer.node_id, "left", view)
        here.turn(60)
        await here.upkeep.look()
        assert (len(await here.rows()), here.pool.replicas[row.id].state) == (1, "ready")


@on_asyncio
async def test_one_that_ends_by_itself_is_replaced_later_each_time_and_says_why(
    tmp_path: Path,
) -> None:
    async with open_replica_world(tmp_path, replicas_min=1) as here:
        pauses = []
        for _ in range(4):
            began_ms = here.world.now_ms
            while not await here.rows():
                await here.upkeep.look()
                here.turn(0.5)
            pauses.append(round((here.world.now_ms - began_ms) / 1000))
            (row,) = await here.rows()
            await here.world.start(row.id)
            await here.upkeep.look()
            await here.world.finish(row.id, outcome=Outcome.EXIT_NONZERO)
            await here.upkeep.look()
            assert here.pool.problem != ""
        assert pauses == [0, 2, 2, 4]
        assert here.pool.tally.lost == 4


@on_asyncio
async def test_one_that_no_other_node_takes_after_its_own_was_lost_is_begun_anew(
    tmp_path: Path,
) -> None:
    async with open_replica_world(tmp_path, replicas_min=1) as here:
        await here.upkeep.look()
        (row,) = await here.rows()
        lease_id = await here.up(row.id)
        await here.world.step(row.id, Forgotten(lease_id))
        await here.upkeep.look()
        # Other nodes may take it.
        assert [each.id for each in await here.rows()] == [row.id]
        task = await here.world.step(row.id, Due(here.world.now_ms))
        nobody = AuctionClosed(demand_of(task).demand_id, (), "1 of 1 nodes match.")
        await here.world.step(row.id, nobody)
        for _ in range(3):
            await here.upkeep.look()
            here.turn(2)
        # The one that was lost may be back, and is not asked again for the old task.
        (another,) = await here.rows()
        assert another.id != row.id
        assert (here.pool.tally.lost, here.pool.tally.begun) == (1, 2)


@on_asyncio
async def test_its_successor_is_ready_before_its_time_is_over(tmp_path: Path) -> None:
    async with open_replica_world(tmp_path, 1000, replicas_min=1, replicas_max=1) as here:
        await here.upkeep.look()
        (old,) = await here.rows()
        await here.up(old.id)
        here.turn(800)
        await here.upkeep.look()
        assert len(await here.rows()) == 1
        here.turn(90)
        await here.upkeep.look()
        _, new = await here.rows()
        assert (await here.ask())[2] == old.id
        await here.up(new.id, "two")
        await here.upkeep.look()
        assert (await here.ask())[2] == new.id
        await here.upkeep.look()
        task = await here.world.state(old.id)
        assert task.cancel_requested or task.phase is Phase.CANCELLED


@pytest.mark.parametrize("before", [True, False])
@on_asyncio
async def test_whoever_dies_at_any_commit_leaves_no_orphan_and_no_double(
    tmp_path: Path, before: bool
) -> None:
    for at_commit in range(1, 5):
        async with open_replica_world(tmp_path / str(at_commit), replicas_min=1) as here:
            dying = CrashingDatabase(here.world.database, at_commit, before=before)
            await here.restart(dying)

            async def live() -> None:
                while not any(each.ready_at_ms for each in here.pool.replicas.values()):
                    await here.upkeep.look()
                    for row in await here.rows():
                        if row.phase is Phase.QUEUED:
                            await here.up(row.id)

            life, death = asyncio.create_task(live()), asyncio.create_task(dying.dead.wait())
            await asyncio.wait([life, death], return_when=asyncio.FIRST_COMPLETED)
            for each in (life, death):
                each.cancel()
            await asyncio.gather(life, death, return_exceptions=True)
            await here.restart()
            for _ in range(3):
                await here.upkeep.look()
            (row,) = await here.rows()
            assert list(here.pool.replicas) == [row.id]
            if row.phase is Phase.QUEUED:
                await here.up(row.id)
            await here.until(lambda: here.pool.expected_ms() == 0)
            assert (await here.ask())[2] == row.id


@on_asyncio
async def test_the_next_one_is_on_another_node_where_there_is_one(tmp_path: Path) -> None:
    async with open_replica_world(tmp_path, replicas_min=1, retainer_usdc_per_hour="0.50") as here:
        await here.upkeep.look()
        (first,) = await here.rows()
        await here.up(first.id)
        for views in (here.world.market.views, here.world.market.views[:1]):
            here.world.market.views = views
            here.pool.need = here.pool.need.seen(
                here.pool.limits, Load(waiting=3), here.world.now_ms
            )
            await here.upkeep.look()
            second = next(row for row in await here.rows() if row.id != first.id)
            barred = [each for each in second.state.demand.where if node_id("one") in str(each)]
            assert bool(barred) is (len(views) == 2)
            await here.world.collaborators.request_cancel(second.id)
            here.turn(5)
            await here.upkeep.look()
            here.turn(5)


@on_asyncio
async def test_what_nobody_keeps_any_more_is_let_go(tmp_path: Path) -> None:
    async with open_replica_world(tmp_path, replicas_min=1) as here:
        await here.upkeep.look()
        await here.restart(models={})
        await here.upkeep.run()
        assert await here.rows() == []
        await here.restart(models={MODEL: model(replicas_min=1)})
        await here.upkeep.look()
        assert len(await here.rows()) == 1
        other = await here.world.customer("other")
        await here.restart(account=other.account.wallet)
        await here.upkeep.look()
        (row,) = await here.rows()
        assert row.account_id == other.account.id
        await here.restart(account="acct_" + "0" * 32)
        await here.upkeep.look()
        assert "nobody pays" in here.pool.problem


@on_asyncio
async def test_a_server_that_stops_answering_gets_no_more_until_it_is_well(tmp_path: Path) -> None:
    async with open_replica_world(tmp_path) as here:
        first, second = await here.two_up(words, words)
        lease = here.pool.replicas[first].lease
        assert lease is not None
        del here.jobs.servers[lease.lease_id]
        for _ in range(4):
            assert (await here.ask())[2] == second
            here.turn(5)
        assert (here.pool.replicas[first].takes, here.pool.replicas[first].state) == (False, "away")
        here.jobs.servers[lease.lease_id] = words
        await here.upkeep.look()
        await here.until(lambda: here.pool.replicas[first].takes)
        assert here.pool.replicas[first].state == "ready"


@on_asyncio
async def test_a_model_without_replicas_says_so(tmp_path: Path) -> None:
    async with open_replica_world(tmp_path) as here:
        asked = Asked("cold", "alice", Question("GET", "/"), limits=HASTY)
        with pytest.raises(Unavailable, match="no replicas of cold are kept"):
            async with here.serving.ask(asked):
                pass
