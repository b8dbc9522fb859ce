"""kill -9 at every commit, before and after it: the task is done once, paid once, and all is tidy."""

from pathlib import Path

import pytest

from coordinator.crashing_database import CrashingDatabase
from coordinator.market_world import World, world
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.store import events, leases
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import InputFile, OutputFile
from neurogrid_marketplace.receipt import verify_receipt
from neurogrid_marketplace.task import TERMINAL, Phase

# More commits than any of these stories takes.
_COMMITS_MAX = 60


async def run_with_crash(market: World, at_commit: int, *, before: bool) -> tuple[str, bool]:
    """Submit a task to a coordinator that dies at this commit, then let another go on.

    Returns: the task, and whether the first coordinator died at all.
    """
    database = CrashingDatabase(market.database, at_commit, before=before)
    await market.start(database)
    task_id = await market.submit()

    async def died_or_settled() -> bool:
        if database.dead.is_set():
            return True
        row = await market.task(task_id)
        return row.phase is Phase.COMPLETED and not await market.database.read(leases.unsettled)

    await market.until(died_or_settled, turning_ms=100)
    if database.dead.is_set():
        await market.stop()
        await market.start()
    return task_id, database.dead.is_set()


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


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_task_survives_a_crash_at_every_commit(tmp_path: Path, before: bool) -> None:
    crashes = 0

    @on_asyncio
    async def one_life(at_commit: int) -> None:
        nonlocal crashes
        folder = tmp_path / str(at_commit)
        folder.mkdir()
        async with world(folder) as market:
            node = market.node("only")
            task_id, crashed = await run_with_crash(market, at_commit, before=before)
            crashes += crashed
            await assert_done_once(market, task_id)
            assert len(node.containers_started) == 1
            assert market.chain.opens == 1

    for at_commit in range(1, _COMMITS_MAX):
        one_life(at_commit)
        if crashes < at_commit:
            break
    # turn, auction, award, escrow, preparing, started, finished, checked, settled
    assert crashes >= 9


def test_a_retry_survives_a_crash_after_every_commit(tmp_path: Path) -> None:
    crashes = 0

    @on_asyncio
    async def one_life(at_commit: int) -> None:
        nonlocal crashes
        folder = tmp_path / str(at_commit)
        folder.mkdir()
        async with world(folder) as market:
            broken, other = market.node("broken", 1_000_000), market.node("other", 2_000_000)
            broken.behaviour.outcome = Outcome.START_FAILED
            task_id, crashed = await run_with_crash(market, at_commit, before=False)
            crashes += crashed
            await assert_done_once(market, task_id)
            assert broken.containers_started == []
            assert len(other.containers_started) == 1

    for at_commit in range(1, _COMMITS_MAX):
        one_life(at_commit)
        if crashes < at_commit:
            break
    assert crashes >= 15


@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.EXIT_NONZERO])
def test_what_waits_for_a_task_survives_a_crash_at_every_commit(
    tmp_path: Path, outcome: Outcome
) -> None:
    crashes = 0

    @on_asyncio
    async def one_life(at_commit: int) -> None:
        nonlocal crashes
        folder = tmp_path / str(at_commit)
        folder.mkdir()
        async with world(folder) as market:
            node = market.node("only")
            node.behaviour.outcome = outcome
            node.behaviour.outputs = (OutputFile("out.txt", "a" * 64, 3),)
            database = CrashingDatabase(market.database, at_commit, before=at_commit % 2 == 0)
            await market.start(database)
            first = await market.submit()
            second = await market.submit_after(first)

            async def died_or_settled() -> bool:
                if database.dead.is_set():
                    return True
                row = await market.task(second)
                return row.phase in TERMINAL and not await market.database.read(leases.unsettled)

            await market.until(died_or_settled, turning_ms=100)
            if database.dead.is_set():
                crashes += 1
                await market.stop()
                await market.start()
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

    for at_commit in range(1, _COMMITS_MAX):
        one_life(at_commit)
        if crashes < at_commit:
            break
    assert crashes >= (16 if outcome is Outcome.COMPLETED else 7)
