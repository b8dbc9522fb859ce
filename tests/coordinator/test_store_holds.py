from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from coordinator.on_asyncio import on_asyncio
from coordinator.places import place_in
from coordinator.records import NOW_MS, new_task, wallet
from neurogrid_coordinator.store import accounts, tables, tasks
from neurogrid_coordinator.store.accounts import Account
from neurogrid_coordinator.store.database import Database
from neurogrid_marketplace.task import Ending, Phase

pytestmark = pytest.mark.both_databases


def added_up(conn: Connection, account: Account) -> int:
    query = select(func.sum(tables.tasks.c.hold_micro_usdc)).where(
        tables.tasks.c.account_id == account.id
    )
    return int(conn.scalar(query) or 0)


@on_asyncio
async def test_what_an_account_holds_is_the_sum_over_its_tasks(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as database:

        def live(conn: Connection) -> None:
            alice = accounts.create(conn, "alice", wallet("alice"), NOW_MS)
            bob = accounts.create(conn, "bob", wallet("bob"), NOW_MS)
            rows = [
                tasks.insert_new(conn, new_task(owner.id, name=f"task {number}"), NOW_MS)[0]
                for number, owner in enumerate((alice, alice, bob))
            ]
            # 3.6 USDC per hour for a minute.
            assert tasks.held_micro_usdc(conn, alice.wallet) == 2 * 60_000
            assert tasks.held_micro_usdc(conn, bob.wallet) == 60_000
            assert tasks.held_micro_usdc(conn, wallet("nobody")) == 0
            ended = replace(rows[0].state, phase=Phase.EXPIRED, ending=Ending("X", ""))
            tasks.save_state(conn, ended, NOW_MS)
            tasks.save_state(conn, replace(rows[1].state, phase=Phase.MATCHING), NOW_MS)
            tasks.save_state(conn, ended, NOW_MS)
            assert tasks.held_micro_usdc(conn, alice.wallet) == 60_000
            for owner in (alice, bob):
                assert tasks.held_micro_usdc(conn, owner.wallet) == added_up(conn, owner)

        await database.write(live)
