"""The orchestrator where nodes, clients, the chain or its own processes fail."""

from pathlib import Path

import pytest

from coordinator.fake_nodes import FakeNode
from coordinator.market_world import World, world
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.money.chain import EscrowRefused
from neurogrid_coordinator.store import logs
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.messages import Accept, Event, EventKind, Log, Message, Meter
from neurogrid_marketplace.settlement import SettlementPhase
from neurogrid_marketplace.task import Phase

pytestmark = pytest.mark.both_databases


@on_asyncio
async def test_the_next_bid_gets_the_lease_when_the_best_refuses(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        best, second = market.node("best", 1_000_000), market.node("second", 2_000_000)
        best.behaviour.deny = True
        await market.start()
        task_id = await market.submit()
        await market.until_phase(task_id, Phase.COMPLETED, turning_ms=100)
        # Both may be of the same millisecond, so their order says nothing.
        rows = {row.node_id: row for row in await market.until_settled(task_id)}
        assert set(rows) == {best.node_id, second.node_id}
        assert rows[best.node_id].settlement.phase is SettlementPhase.CLOSED
        assert (await market.task(task_id)).lease_id == rows[second.node_id].id
        assert market.chain.opens == 1


@on_asyncio
async def test_a_dead_node_loses_the_task_and_the_client_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        doomed, other = market.node("doomed", 1_000_000), market.node("other", 2_000_000)
        doomed.behaviour.run_ms = None
        await market.start()
        task_id = await market.submit()
        await market.until_phase(task_id, Phase.RUNNING)
        doomed.behaviour.deaf = True
        row = await market.until_phase(task_id, Phase.COMPLETED, turning_ms=2_000)
        assert row.node_id == other.node_id
        lost, done = await market.until_settled(task_id, turning_ms=2_000)
        assert lost.settlement.paid_micro_usdc == 0
        assert lost.settlement.closed_by in {c.transaction for c in market.chain.closings.values()}
        assert done.settlement.paid_micro_usdc == row.cost_micro_usdc
        # It comes back with its container still running, and is told that it is over.
        doomed.behaviour.deaf = False
        market.join(doomed)
        await market.until_settled(task_id, turning_ms=100)
        assert doomed.leases == {}


@on_asyncio
async def test_a_coordinator_that_slept_gives_nobody_up(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        node = market.node("only")
        node.behaviour.run_ms = None
        await market.start()
        task_id = await market.submit()
        await market.until_phase(task_id, Phase.RUNNING)
        node.behaviour.deaf = True
        market.clock.now += 3_600_000
        await market.until(_after(market, 50))
        assert (await market.task(task_id)).phase is Phase.RUNNING


@on_asyncio
async def test_silence_does_not_count_while_the_market_process_is_away(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        node = market.node("only")
        node.behaviour.run_ms = None
        await market.start()
        task_id = await market.submit(timeout_s=3600)
        await market.until_phase(task_id, Phase.RUNNING)
        node.behaviour.deaf = True
        market.market.pid = None
        await market.until(_after(market, 60), turning_ms=2_000)
        assert (await market.task(task_id)).phase is Phase.RUNNING
        market.market.pid = 2
        node.behaviour.deaf = False
        node.behaviour.run_ms = 0
        market.join(node)
        await market.until_phase(task_id, Phase.COMPLETED)
        assert len(node.containers_started) == 1


def _after(market: World, rounds: int):  # type: ignore[no-untyped-def]  # a condition for `until`
    left = rounds

    async def passed() -> bool:
        nonlocal left
        left -= 1
        return left <= 0

    return passed


@on_asyncio
async def test_a_node_that_forgot_its_lease_is_not_waited_for(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        forgetful, other = market.node("forgetful", 1_000_000), market.node("other", 2_000_000)
        forgetful.behaviour.run_ms = None
        await market.start()
        task_id = await market.submit()
        await market.until_phase(task_id, Phase.RUNNING)
        forgetful.leases.clear()
        row = await market.until_phase(task_id, Phase.COMPLETED, turning_ms=500)
        assert row.node_id == other.node_id
        assert row.state.excluded == (forgetful.node_id,)


@on_asyncio
async def test_a_refused_escrow_of_the_client_ends_the_task(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        node = market.node("only")
        market.chain.refuse = EscrowRefused("nothing is deposited", of_client=True)
        await market.start()
        task_id = await market.submit()
        row = await market.until_phase(task_id, Phase.FAILED)
        assert row.state.ending is not None
        assert row.state.ending.code == "INSUFFICIENT_CREDITS"
        (lease,) = await market.until_settled(task_id)
        assert lease.settlement.paid_micro_usdc == 0
        assert node.containers_started == []


@on_asyncio
async def test_a_node_without_stake_is_passed_over(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        unstaked, staked = market.node("unstaked", 1_000_000), market.node("staked", 2_000_000)
        market.chain.refuse = EscrowRefused("staked nothing", of_node=True)
        await market.start()
        task_id = await market.submit()

        async def excluded() -> bool:
            return (await market.task(task_id)).state.excluded != ()

        await market.until(excluded)
        market.chain.refuse = None
        row = await market.until_phase(task_id, Phase.COMPLETED, turning_ms=100)
        assert row.node_id == staked.node_id
        assert unstaked.containers_started == []


@on_asyncio
async def test_a_node_cannot_be_paid_for_time_that_did_not_pass(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        node = market.node("liar", 3_600_000)
        node.behaviour.run_ms = None
        life = await market.start()
        task_id = await market.submit(timeout_s=3600)
        await market.until_phase(task_id, Phase.RUNNING)
        (lease,) = await market.leases(task_id)
        market.clock.now += 10_000
        lie = Meter(lease.id, 3_000_000, 3_000_000)
        await life.desk.on_message(node.node_id, node.seal(lie), lie)
        (lease,) = await market.leases(task_id)
        assert lease.settlement.signed_micro_usdc <= 15_100


@on_asyncio
async def test_another_nodes_lease_and_broken_chains_are_not_believed(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        node, stranger = market.node("node", 1_000_000), market.node("stranger", 2_000_000)
        node.behaviour.run_ms = None
        life = await market.start()
        task_id = await market.submit()
        await market.until_phase(task_id, Phase.RUNNING)
        (lease,) = await market.leases(task_id)
        before = await market.leases(task_id)
        finished = Event(lease.id, 2, EventKind.FINISHED, 0, lease.event_hash)
        lies: list[tuple[FakeNode, Message]] = [
            (stranger, Log(lease.id, 0, "hello")),
            (stranger, Meter(lease.id, 1, 1)),
            (stranger, Accept(lease.id, "0" * 64)),
            (node, Event(lease.id, 2, EventKind.PREPARING, 0, "0" * 64)),
            (node, Event(lease.id, 5, EventKind.PREPARING, 0, lease.event_hash)),
            (node, finished),
            (node, Log(lease.id, 7, "a gap")),
        ]
        for sender, message in lies:
            await life.desk.on_message(sender.node_id, sender.seal(message), message)
        assert await market.leases(task_id) == before
        text = Log(lease.id, 0, "grüße\n")
        for _ in range(2):
            await life.desk.on_message(node.node_id, node.seal(text), text)
        part = await market.database.read(logs.read, lease.id, 0)
        assert part.data.decode() == "grüße\n"


@on_asyncio
async def test_a_program_that_fails_is_charged_and_not_retried(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        node = market.node("only")
        node.behaviour.outcome, node.behaviour.exit_code = Outcome.EXIT_NONZERO, 3
        await market.start()
        task_id = await market.submit()
        row = await market.until_phase(task_id, Phase.FAILED, turning_ms=100)
        assert row.state.ending is not None
        assert (row.state.ending.code, row.state.ending.exit_code) == ("EXIT_NONZERO", 3)
        (lease,) = await market.until_settled(task_id)
        assert lease.settlement.paid_micro_usdc == row.cost_micro_usdc > 0


@on_asyncio
async def test_a_node_that_cannot_start_is_not_paid_and_another_does_it(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        broken, other = market.node("broken", 1_000_000), market.node("other", 2_000_000)
        broken.behaviour.outcome = Outcome.START_FAILED
        await market.start()
        task_id = await market.submit()
        row = await market.until_phase(task_id, Phase.COMPLETED, turning_ms=100)
        rows = {row.node_id: row for row in await market.until_settled(task_id)}
        assert (rows[broken.node_id].settlement.paid_micro_usdc, row.node_id) == (0, other.node_id)
        assert rows[other.node_id].settlement.paid_micro_usdc == row.cost_micro_usdc


@on_asyncio
async def test_a_market_process_that_dies_during_the_auction_is_asked_again(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as market:
        market.node("only")
        await market.start()
        market.market.pid = None
        task_id = await market.submit()
        await market.until_phase(task_id, Phase.MATCHING)
        market.market.pid = 2
        await market.until_phase(task_id, Phase.COMPLETED, turning_ms=100)
