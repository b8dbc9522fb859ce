"""Gangs: all members run at once or none does, and whoever worked is paid, whatever is killed."""

from pathlib import Path

import pytest

from coordinator.crash_stories import crashes_in, outlive
from coordinator.crashing_database import CrashingDatabase
from coordinator.fake_nodes import FakeNode
from coordinator.market_world import World, world
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.store import leases, task_lists, tasks
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.gang import Apart, Gang
from neurogrid_marketplace.receipt import verify_receipt
from neurogrid_marketplace.task import TERMINAL, Phase

THREE = Gang(3)
# A minute at 3.60 USDC an hour, the most that a member of these gangs may cost.
MAX_COST = 60_000
# More commits than any of these stories takes.
_COMMITS_MAX = 150


def nodes_of(market: World, number: int) -> list[FakeNode]:
    """The cheapest first, so that rank r of an undisturbed gang runs on the r-th."""
    return [market.node(f"node {index}", 1_000_000 + 100_000 * index) for index in range(number)]


async def ended(market: World, task_id: str, *, turning_ms: int = 100) -> list[tasks.TaskRow]:
    """Its members by rank, once all have ended and are settled."""

    async def all_ended() -> bool:
        rows = await market.group(task_id)
        return (
            all(row.phase in TERMINAL for row in rows)
            and rows[0].phase in TERMINAL
            and not await market.database.read(leases.unsettled)
        )

    await market.until(all_ended, turning_ms=turning_ms)
    return await market.group(task_id)


async def paid(market: World, rows: list[tasks.TaskRow]) -> list[int]:
    """What each member's leases paid in all."""
    return [
        sum(lease.settlement.paid_micro_usdc for lease in await market.leases(row.id))
        for row in rows
    ]


async def running(market: World, task_id: str) -> list[tasks.TaskRow]:
    """Its members by rank, once all run."""

    async def all_run() -> bool:
        rows = await market.group(task_id)
        return all(row.phase is Phase.RUNNING for row in rows)

    await market.until(all_run)
    return await market.group(task_id)


@on_asyncio
async def test_a_gang_runs_at_once_on_nodes_of_its_own_and_all_are_paid(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        made = nodes_of(market, 4)
        await market.start()
        task_id = await market.submit(gang=THREE)
        rows = await ended(market, task_id)
        assert [row.phase for row in rows] == [Phase.COMPLETED] * 3
        assert [row.node_id for row in rows] == [node.node_id for node in made[:3]]
        assert await paid(market, rows) == [row.cost_micro_usdc for row in rows]
        assert all(row.cost_micro_usdc > 0 for row in rows)
        # The fourth, which lost, sets the price of all.
        prices = {row.state.lease.price_micro_usdc_per_hour for row in rows if row.state.lease}
        assert prices == {1_300_000}
        for rank, row in enumerate(rows):
            assert row.lease_id is not None
            receipt = await market.database.read(leases.receipt, row.lease_id)
            assert receipt is not None
            found = verify_receipt(receipt)
            assert found.paid_micro_usdc == row.cost_micro_usdc
            (won,) = [item for item in found.items if item.name == "best_bid"]
            assert f"rank {rank} of the 3" in won.shows
        listed = await market.database.read(task_lists.list_rows, task_lists.TaskFilter())
        assert [row.id for row in listed] == [task_id]


@on_asyncio
async def test_each_member_learns_its_rank_and_who_the_others_are(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        made = nodes_of(market, 3)
        for node in made:
            node.behaviour.run_ms = None
        await market.start()
        task_id = await market.submit(gang=THREE)
        rows = await running(market, task_id)
        for rank, (row, node) in enumerate(zip(rows, made, strict=True)):
            assert row.lease_id is not None
            start = node.leases[row.lease_id].start
            assert start is not None
            assert start.gang is not None
            assert (start.gang.gang_id, start.gang.attempt, start.gang.rank) == (task_id, 1, rank)
            assert [member.node_id for member in start.gang.members] == [
                node.node_id for node in made
            ]
            assert start.gang.members[2].addresses == (
                f"/ip4/192.0.2.1/tcp/1/p2p/{made[2].node_id}",
            )


@on_asyncio
async def test_too_few_nodes_run_nothing_and_the_gang_says_how_many_there_are(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as market:
        made = nodes_of(market, 3)
        await market.start()
        task_id = await market.submit(gang=Gang(4))

        async def tried_thrice() -> bool:
            return (await market.task(task_id)).state.auctions >= 3

        await market.until(tried_thrice, turning_ms=500)
        row = await market.task(task_id)
        assert row.state.last_explanation.startswith("3 of 4 nodes at once would take part.")
        assert not any(node.leases for node in made)
        assert [member.id for member in await market.group(task_id)] == [task_id]
        # With a fourth it runs.
        market.join(market.node("fourth"))
        rows = await ended(market, task_id)
        assert [row.phase for row in rows] == [Phase.COMPLETED] * 4


@on_asyncio
async def test_owners_of_several_nodes_are_one_where_wallets_are_apart(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        made = nodes_of(market, 4)
        made[1].wallet = made[0].wallet
        await market.start()
        rows = await ended(market, await market.submit(gang=Gang(3, Apart.WALLET)))
        assert [row.node_id for row in rows] == [made[at].node_id for at in (0, 2, 3)]


@on_asyncio
async def test_one_refusal_ends_the_attempt_before_any_money_moves(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        made = nodes_of(market, 3)
        made[1].behaviour.deny = True
        await market.start()
        task_id = await market.submit(gang=THREE)

        async def tried_twice() -> bool:
            return (await market.task(task_id)).state.auctions >= 2

        await market.until(tried_twice, turning_ms=500)
        assert market.chain.opens == 0
        made[1].behaviour.deny = False
        rows = await ended(market, task_id)
        assert [row.phase for row in rows] == [Phase.COMPLETED] * 3
        assert market.chain.opens == 3
        assert [len(node.containers_started) for node in made] == [1, 1, 1]
        assert rows[0].state.attempts == 0


@on_asyncio
async def test_money_is_held_for_every_member_and_try_until_its_escrow_covers_it(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as market:
        made = nodes_of(market, 3)
        owner = market.account.wallet
        made[2].behaviour.deaf = True
        await market.start()
        task_id = await market.submit(gang=THREE, tries=2)
        assert await market.database.read(tasks.held_micro_usdc, owner) == 6 * MAX_COST
        made[2].behaviour.deaf = False
        for node in made:
            node.behaviour.run_ms = None
        market.join(made[2])
        await running(market, task_id)
        assert await market.database.read(tasks.held_micro_usdc, owner) == 3 * MAX_COST


@on_asyncio
async def test_a_members_own_failure_ends_all_and_those_who_were_stopped_are_paid(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as market:
        made = nodes_of(market, 3)
        for node in made:
            node.behaviour.run_ms = None
        made[1].behaviour.outcome, made[1].behaviour.exit_code = Outcome.EXIT_NONZERO, 3
        await market.start()
        task_id = await market.submit(gang=THREE)
        await running(market, task_id)
        market.clock.now += 5_000
        made[1].behaviour.run_ms = 0
        rows = await ended(market, task_id)
        assert [row.phase for row in rows] == [Phase.FAILED, Phase.FAILED, Phase.CANCELLED]
        first, failed, stopped = (row.state.ending for row in rows)
        assert first is not None
        assert failed is not None
        assert stopped is not None
        assert (first.code, first.exit_code) == ("EXIT_NONZERO", 3)
        assert first.message.startswith("rank 1: ")
        assert failed.code == "EXIT_NONZERO"
        assert stopped.message.startswith("Stopped: rank 1: ")
        assert await paid(market, rows) == [row.cost_micro_usdc for row in rows]
        assert all(row.cost_micro_usdc > 0 for row in rows)
        assert [len(node.containers_started) for node in made] == [1, 1, 1]


@on_asyncio
async def test_a_lost_node_begins_all_again_elsewhere_and_the_others_are_paid(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as market:
        made = nodes_of(market, 4)
        for node in made[:3]:
            node.behaviour.run_ms = None
        await market.start()
        task_id = await market.submit(gang=THREE, tries=2)
        await running(market, task_id)
        market.clock.now += 5_000
        made[1].behaviour.deaf = True
        # The others fail because their peer has gone, before anybody knows why.
        made[0].behaviour.outcome = Outcome.EXIT_NONZERO
        made[0].behaviour.run_ms = 0

        async def first_failed() -> bool:
            return (await market.task(task_id)).state.checked

        await market.until(first_failed)
        made[0].behaviour.outcome = Outcome.COMPLETED
        for node in made:
            node.behaviour.run_ms = 1_000

        async def begun_again() -> bool:
            return (await market.task(task_id)).state.attempts == 1

        # Only until the silence is too long: at this pace of the clock awards would be late.
        await market.until(begun_again, turning_ms=1_000)
        await market.until_phase(task_id, *TERMINAL, turning_ms=100)
        # What the lost lease's escrow still holds is taken back, which takes time.
        rows = await ended(market, task_id, turning_ms=1_000)
        assert [row.phase for row in rows] == [Phase.COMPLETED] * 3
        assert [row.node_id for row in rows] == [made[at].node_id for at in (0, 2, 3)]
        assert rows[0].state.attempts == 1
        assert [len(node.containers_started) for node in made] == [2, 1, 2, 1]
        assert await paid(market, rows) == [row.cost_micro_usdc for row in rows]
        # Rank 1's first lease, the lost one, was paid nothing.
        lost, _ = await market.leases(rows[1].id)
        assert lost.settlement.paid_micro_usdc == 0


@on_asyncio
async def test_without_a_try_left_a_lost_node_ends_the_gang_after_it_has_cost_something(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as market:
        made = nodes_of(market, 4)
        for node in made:
            node.behaviour.run_ms = None
        await market.start()
        task_id = await market.submit(gang=THREE)
        await running(market, task_id)
        market.clock.now += 5_000
        made[1].behaviour.deaf = True
        rows = await ended(market, task_id, turning_ms=1_000)
        assert [row.phase for row in rows] == [Phase.FAILED, Phase.CANCELLED, Phase.CANCELLED]
        ending = rows[0].state.ending
        assert ending is not None
        assert ending.code == "NODE_LOST"
        assert "gang.tries" in ending.message
        assert await paid(market, rows) == [row.cost_micro_usdc for row in rows]
        assert [row.cost_micro_usdc > 0 for row in rows] == [True, False, True]


@on_asyncio
async def test_a_start_that_fails_costs_nothing_and_begins_again_without_that_node(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as market:
        made = nodes_of(market, 4)
        made[0].behaviour.outcome = Outcome.START_FAILED
        for node in made[1:]:
            node.behaviour.prepares = False
        await market.start()
        task_id = await market.submit(gang=THREE)

        async def again() -> bool:
            return (await market.task(task_id)).state.attempts == 1

        await market.until(again)
        for node in made:
            node.behaviour.prepares = True
        rows = await ended(market, task_id)
        assert [row.phase for row in rows] == [Phase.COMPLETED] * 3
        assert [row.node_id for row in rows] == [node.node_id for node in made[1:]]


@on_asyncio
async def test_a_cancellation_stops_all_and_each_is_paid_what_it_did(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        made = nodes_of(market, 3)
        for node in made:
            node.behaviour.run_ms = None
        life = await market.start()
        task_id = await market.submit(gang=THREE)
        await running(market, task_id)
        market.clock.now += 5_000
        await life.orchestrator.request_cancel(task_id)
        rows = await ended(market, task_id)
        assert [row.phase for row in rows] == [Phase.CANCELLED] * 3
        assert await paid(market, rows) == [row.cost_micro_usdc for row in rows]
        assert all(row.cost_micro_usdc > 0 for row in rows)


@on_asyncio
async def test_what_the_client_cannot_pay_runs_nowhere(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        made = nodes_of(market, 3)
        # The first escrow is opened, the others are refused.
        market.chain.opens_max = 1
        await market.start()
        task_id = await market.submit(gang=THREE)
        await market.until_phase(task_id, *TERMINAL)
        # Its node was told of no escrow that it could close: it is taken back, which takes time.
        rows = await ended(market, task_id, turning_ms=10_000)
        assert rows[0].phase in (Phase.FAILED, Phase.CANCELLED)
        assert Phase.FAILED in {row.phase for row in rows}
        assert market.chain.opens == 1
        assert await paid(market, rows) == [0, 0, 0]
        assert not any(node.containers_started for node in made)


@pytest.mark.parametrize("what", ["ran", "retried", "failed"])
def test_a_gang_survives_a_crash_at_every_commit(tmp_path: Path, what: str) -> None:
    async def story(market: World, database: CrashingDatabase) -> None:
        made = nodes_of(market, 3)
        if what == "retried":
            made[1].behaviour.outcome = Outcome.START_FAILED
        if what == "failed":
            made[1].behaviour.outcome = Outcome.EXIT_NONZERO
        await market.start(database)
        task_id = await market.submit(gang=Gang(2), tries=2)

        async def is_settled() -> bool:
            row = await market.task(task_id)
            return row.phase in TERMINAL and not await market.database.read(leases.unsettled)

        await outlive(market, database, is_settled)
        rows = await ended(market, task_id)
        await assert_all_or_none(market, made, rows, what)

    # Turn, auction; per member accept, escrow, preparing, started, finished, checked, settled.
    assert crashes_in(story, tmp_path, range(1, _COMMITS_MAX)) >= 16


async def assert_all_or_none(
    market: World, made: list[FakeNode], rows: list[tasks.TaskRow], what: str
) -> None:
    assert len(rows) == 2
    if what == "failed":
        assert rows[0].phase is Phase.FAILED
    else:
        assert [row.phase for row in rows] == [Phase.COMPLETED] * 2
    assert await paid(market, rows) == [row.cost_micro_usdc for row in rows]
    assert market.chain.open_escrows == {}
    assert await market.database.read(tasks.held_micro_usdc, market.account.wallet) == 0
    if what == "ran":
        assert [len(node.containers_started) for node in made] == [1, 1, 0]
        assert market.chain.opens == 2
    assert not market.failures
