"""Prepared statements say on SQLite what SQLAlchemy says, and on PostgreSQL are SQLAlchemy's own."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Executable, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from coordinator.on_asyncio import on_asyncio
from coordinator.places import place_in
from neurogrid_coordinator.store.database import Database
from neurogrid_coordinator.store.prepared import Prepared
from neurogrid_coordinator.store.tables import accounts

pytestmark = pytest.mark.both_databases

_INSERT = insert(accounts)
_OF_WALLETS: Executable = (
    select(accounts.c.id, accounts.c.name)
    .where(accounts.c.wallet.in_(["w1", "w3"]), accounts.c.created_at_ms >= bindparam("the_time"))
    .order_by(accounts.c.id.desc())
    .limit(5)
)


def row_of(number: int) -> dict[str, object]:
    return {
        "id": f"acct_{number}",
        "name": "ñ",
        "wallet": f"w{number}",
        "created_at_ms": 2**40 + number,
    }


def store(conn: Connection, *numbers: int) -> None:
    put = Prepared(_INSERT)
    for number in numbers:
        put.run(conn, row_of(number))


@on_asyncio
async def test_rows_are_those_that_sqlalchemy_gives(tmp_path: Path) -> None:
    of_wallets = Prepared(_OF_WALLETS)

    def both(conn: Connection, the_time: int) -> tuple[list[Any], list[Any]]:
        values = {"the_time": the_time}
        ours, theirs = of_wallets.all(conn, values), conn.execute(_OF_WALLETS, values).all()
        first = of_wallets.first(conn, values)
        assert (first is None) == (not theirs)
        assert first is None or tuple(first) == tuple(theirs[0])
        assert of_wallets.scalar(conn, values) == conn.scalar(_OF_WALLETS, values)
        return [(row.id, row.name) for row in ours], [(row.id, row.name) for row in theirs]

    async with Database.open(place_in(tmp_path)) as db:
        await db.write(store, 1, 2, 3)
        for the_time, count in ((0, 2), (2**40 + 2, 1), (2**41, 0)):
            ours, theirs = await db.read(both, the_time)
            assert ours == theirs
            assert len(ours) == count


@on_asyncio
async def test_an_update_changes_what_it_names_and_returns_what_it_says(tmp_path: Path) -> None:
    rename = Prepared(update(accounts).where(accounts.c.id == bindparam("the_id")))
    put = Prepared(insert(accounts).returning(accounts.c.id))
    names = select(accounts.c.name).order_by(accounts.c.id)
    async with Database.open(place_in(tmp_path)) as db:
        assert await db.write(lambda conn: put.scalar(conn, row_of(1))) == "acct_1"
        await db.write(store, 2)
        await db.write(lambda conn: rename.run(conn, {"the_id": "acct_2", "name": "Ada"}))
        assert await db.read(lambda conn: list(conn.scalars(names))) == ["ñ", "Ada"]


@on_asyncio
async def test_an_error_is_sqlalchemys_and_undoes_its_call_alone(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as db:
        await db.write(store, 1)
        with pytest.raises(IntegrityError):
            await db.write(store, 2, 1)
        await db.write(store, 3)
        assert await db.read(lambda conn: list(conn.scalars(select(accounts.c.id)))) == [
            "acct_1",
            "acct_3",
        ]


@on_asyncio
async def test_other_parameters_than_the_first_time_are_refused_on_sqlite(tmp_path: Path) -> None:
    rename = Prepared(update(accounts).where(accounts.c.id == bindparam("the_id")))
    async with Database.open(tmp_path / "one.db") as db:
        await db.write(lambda conn: rename.run(conn, {"the_id": "acct_1", "name": "Ada"}))
        with pytest.raises(AssertionError, match="the same parameters"):
            await db.write(lambda conn: rename.run(conn, {"the_id": "acct_1"}))
        with pytest.raises(KeyError):
            await db.write(lambda conn: rename.run(conn, {"the_id": "acct_1", "wallet": "w"}))
