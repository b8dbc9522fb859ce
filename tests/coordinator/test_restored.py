"""A coordinator that was restored from an older state pays nothing twice, wherever the copy was made."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from coordinator.market_world import World, world
from coordinator.on_asyncio import on_asyncio
from coordinator.records import NOW_MS
from neurogrid_coordinator import restored
from neurogrid_coordinator.setup import DATABASE_FILE
from neurogrid_coordinator.store import challenges, events, tasks
from neurogrid_coordinator.store.database import Database
from neurogrid_coordinator.store.sqlite_file import copy_consistently
from neurogrid_coordinator.store.tables import metadata
from neurogrid_marketplace.challenge_answer import Mark
from neurogrid_marketplace.demand import VerifyMode
from neurogrid_marketplace.gang import Gang
from neurogrid_marketplace.task import TERMINAL, Phase
from neurogrid_marketplace.verification import Verdict, Verification
from neurogrid_wallet.errors import OutboxCorrupt

# A run ends after fewer commits than this; the last copies are of its end.
_COMMITS_MAX = 60
_AFTER_RESTORE_TURNS = 40


class CopyingDatabase:
    """Passes everything on, and copies the file after one commit of those that are to come."""

    def __init__(self, database: Database, source: Path, at_commit: int, copy: Path) -> None:
        self._database = database
        self._source = source
        self._left = at_commit
        self._copy = copy

    async def read(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        return await self._database.read(fn, *args, **kwargs)

    async def read_briefly(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        return await self.read(fn, *args, **kwargs)

    async def write_briefly(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        return await self.write(fn, *args, **kwargs)

    async def write(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        value = await self._database.write(fn, *args, **kwargs)
        self._left -= 1
        if self._left == 0:
            copy_consistently(self._source, self._copy, lambda done, of: None)
        return value


async def paid_and_restored(
    folder: Path, at_commit: int, *, lets_go: bool
) -> tuple[int, int, bool]:
    """One task runs and is settled; then the coordinator goes on from a copy made on the way there.

    Returns: what the client paid before and after, and whether a copy was made.
    """
    copy = folder / "copy"
    async with world(folder) as market:
        market.node("one")
        market.node("other")
        await market.start(
            CopyingDatabase(market.database, folder / DATABASE_FILE, at_commit, copy)
        )
        task_id = await market.submit()
        if at_commit == 0:
            copy_consistently(folder / DATABASE_FILE, copy, lambda done, of: None)
        await market.until_phase(task_id, Phase.COMPLETED, turning_ms=100)
        await market.until_settled(task_id, turning_ms=500)
        before, opens = paid(market), market.chain.opens
        assert before > 0
        await market.stop()
        if not copy.exists():
            return before, before, False
        # The outbox is not restored: nothing remembers which escrows were opened.
        market.chain.opened.clear()
        async with Database.open(copy) as older:
            present, market.database = market.database, older
            try:
                if lets_go:
                    restored.mark(folder, NOW_MS)
                    await restored.let_go_if_restored(folder, older, market.clock.now)
                    assert not (folder / restored.RESTORED_FILE).exists()
                await market.start()
                turns = iter(range(_AFTER_RESTORE_TURNS))

                async def turned() -> bool:
                    await asyncio.sleep(0.005)
                    return next(turns, None) is None

                # Slowly, so that what waits for a node is not too late for one.
                await market.until(turned, turning_ms=200)
                row = await market.until_phase(task_id, *TERMINAL, turning_ms=200)
                assert lets_go or row.phase is Phase.COMPLETED
                await market.until_settled(task_id, turning_ms=2_000)
                await market.stop()
                assert not lets_go or market.chain.opens == opens
            finally:
                market.database = present
        return before, paid(market), True


def paid(market: World) -> int:
    return market.chain.paid_micro_usdc


def test_a_task_that_ran_after_the_backup_is_not_paid_again(tmp_path: Path) -> None:
    @on_asyncio
    async def told(at_commit: int) -> bool:
        folder = tmp_path / str(at_commit)
        folder.mkdir()
        before, after, copied = await paid_and_restored(folder, at_commit, lets_go=True)
        assert after == before, f"copied after commit {at_commit}"
        return copied

    copies = 0
    while copies < _COMMITS_MAX and told(copies):
        copies += 1
    assert 8 < copies < _COMMITS_MAX


@on_asyncio
async def test_control_a_coordinator_that_does_not_let_go_pays_again(tmp_path: Path) -> None:
    before, after, _ = await paid_and_restored(tmp_path, 0, lets_go=False)
    assert after > before


@on_asyncio
async def test_whatever_had_not_ended_is_let_go_and_what_had_stays(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        market.node("one")
        await market.start()
        ended_id = await market.submit()
        await market.until_phase(ended_id, Phase.COMPLETED, turning_ms=100)
        await market.until_settled(ended_id, turning_ms=500)
        await market.stop()
        queued_id = await market.submit()
        waiting_id = await market.submit_after(queued_id)
        checked_id = await market.submit(verification=Verification(VerifyMode.SPOT_CHECK))

        def look_at_it_later(conn: Connection) -> str:
            found = tasks.state_of(conn, checked_id)
            assert found is not None
            done = replace(found.task, phase=Phase.COMPLETED, verdict=Verdict.DUE)
            tasks.save_state(conn, done, NOW_MS)
            return challenges.ask(conn, "node", challenges.Reason.BY_HAND, 5, NOW_MS)

        challenge_id = await market.database.write(look_at_it_later)
        before = await market.task(ended_id)
        assert await market.database.write(restored.let_go, market.clock.now) == 2
        for task_id in (queued_id, waiting_id):
            row = await market.task(task_id)
            assert (row.phase, row.cost_micro_usdc) == (Phase.CANCELLED, 0)
            assert row.state.ending is not None
            assert "restored from a backup" in row.state.ending.message
            assert (await news_of(market, task_id))[-1] == "task.cancelled"
        assert await market.task(ended_id) == before
        assert (await market.task(checked_id)).state.verdict is Verdict.UNDECIDED
        challenge = await market.database.read(challenges.get, challenge_id)
        assert challenge is not None
        assert challenge.state is Mark.INCONCLUSIVE
        assert await market.database.read(tasks.held_micro_usdc, market.account.wallet) == 0
        # Once more changes nothing.
        once = await market.database.read(everything)
        assert await market.database.write(restored.let_go, market.clock.now + 1) == 0
        assert await market.database.read(everything) == once


@on_asyncio
async def test_no_member_of_a_gang_begins_again(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        for name in ("one", "two", "three"):
            market.node(name).behaviour.run_ms = None
        await market.start()
        task_id = await market.submit(gang=Gang(2), tries=3)

        async def all_run() -> bool:
            rows = await market.group(task_id)
            return len(rows) == 2 and all(row.phase is Phase.RUNNING for row in rows)

        await market.until(all_run, turning_ms=100)
        await market.stop()
        opens = market.chain.opens
        assert await market.database.write(restored.let_go, market.clock.now) == 2
        await market.start()
        await market.until_settled(task_id, turning_ms=5_000)
        rows = await market.group(task_id)
        assert [row.phase for row in rows] == [Phase.CANCELLED] * 2
        assert market.chain.opens == opens


@on_asyncio
async def test_a_directory_that_was_not_restored_keeps_its_tasks(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        task_id = await market.submit()
        await restored.let_go_if_restored(tmp_path, market.database, NOW_MS)
        assert (await market.task(task_id)).phase is Phase.QUEUED
        restored.mark(tmp_path, NOW_MS)
        (tmp_path / restored.RESTORED_FILE).write_text("{")
        with pytest.raises(OutboxCorrupt):
            await restored.let_go_if_restored(tmp_path, market.database, NOW_MS)
        assert (await market.task(task_id)).phase is Phase.QUEUED


def everything(conn: Connection) -> dict[str, list[tuple[Any, ...]]]:
    return {
        name: [tuple(row) for row in conn.execute(select(table))]
        for name, table in metadata.tables.items()
    }


async def news_of(market: World, task_id: str) -> list[str]:
    found = await market.database.read(events.milestones, task_id)
    return [event.kind for event in found]
