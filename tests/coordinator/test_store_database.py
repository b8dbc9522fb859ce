import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from sqlalchemy import Connection, Inspector, create_engine, inspect, text
from sqlalchemy.exc import IntegrityError

from coordinator.on_asyncio import on_asyncio
from coordinator.places import place_in
from neurogrid_coordinator.store import migrations
from neurogrid_coordinator.store.accounts import create, get
from neurogrid_coordinator.store.database import Database, DatabaseClosed, Overloaded
from neurogrid_coordinator.store.tables import metadata


def insert_account(conn: Connection, number: int) -> None:
    conn.execute(
        text(
            "insert into accounts (id, name, wallet, created_at_ms) values (:id, 'n', :wallet, 0)"
        ),
        {"id": f"acct_{number}", "wallet": f"wallet {number}"},
    )


def count_accounts(conn: Connection) -> int:
    return len(conn.execute(text("select id from accounts")).all())


@pytest.mark.both_databases
@on_asyncio
async def test_a_read_sees_every_write_that_has_returned(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as db:
        for number in range(20):
            await db.write(insert_account, number)
            assert await db.read(count_accounts) == number + 1


@pytest.mark.both_databases
@on_asyncio
async def test_a_duplicate_key_fails_alone_in_its_group(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as db:
        numbers = [1, 2, 2, 3, 4]
        outcomes = await asyncio.gather(
            *(db.write(insert_account, n) for n in numbers),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [
            type(None),
            type(None),
            IntegrityError,
            type(None),
            type(None),
        ]
        assert await db.read(count_accounts) == 4


@pytest.mark.both_databases
@on_asyncio
async def test_a_write_that_raises_undoes_all_it_did(tmp_path: Path) -> None:
    def half(conn: Connection) -> None:
        insert_account(conn, 1)
        raise LookupError("changed my mind")

    async with Database.open(place_in(tmp_path)) as db:
        with pytest.raises(LookupError):
            await db.write(half)
        assert await db.read(count_accounts) == 0


@pytest.mark.both_databases
@on_asyncio
async def test_a_reader_cannot_write(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as db:
        with pytest.raises(Exception, match=r"read-?only"):
            await db.read(insert_account, 1)
        assert await db.read(count_accounts) == 0


@pytest.mark.both_databases
@on_asyncio
async def test_brief_calls_see_and_keep_what_others_do(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as db:
        for number in range(0, 20, 2):
            await asyncio.gather(
                db.write_briefly(insert_account, number), db.write(insert_account, number + 1)
            )
            assert await db.read_briefly(count_accounts) == number + 2
            assert await db.read(count_accounts) == number + 2


@pytest.mark.both_databases
@on_asyncio
async def test_a_brief_write_that_raises_undoes_itself_alone(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as db:
        outcomes = await asyncio.gather(
            *(db.write_briefly(insert_account, n) for n in (1, 2, 2)),
            db.write(insert_account, 3),
            db.write_briefly(insert_account, 3),
            return_exceptions=True,
        )
        failed = [isinstance(outcome, IntegrityError) for outcome in outcomes]
        assert failed[:3] == [False, False, True]
        assert failed[3] != failed[4]
        assert await db.read_briefly(count_accounts) == 3


@pytest.mark.both_databases
@on_asyncio
async def test_brief_writes_that_raise_early_late_or_in_between_leave_nothing(
    tmp_path: Path,
) -> None:
    called: list[int] = []

    def insert_and_raise(conn: Connection, number: int, *, before: bool) -> None:
        called.append(number)
        if not before:
            insert_account(conn, number)
        raise LookupError(str(number))

    async with Database.open(place_in(tmp_path)) as db:
        for first, before in ((0, True), (10, False)):
            outcomes = await asyncio.gather(
                db.write_briefly(insert_account, first),
                db.write_briefly(insert_and_raise, first + 1, before=before),
                db.write_briefly(insert_account, first + 2),
                db.write_briefly(insert_and_raise, first + 3, before=before),
                db.write(insert_account, first + 4),
                return_exceptions=True,
            )
            assert [str(each) for each in outcomes if isinstance(each, LookupError)] == [
                str(first + 1),
                str(first + 3),
            ]
        assert await db.read(count_accounts) == 6
        # Who has changed nothing is not done again.
        assert (called.count(1), called.count(3)) == (1, 1)


@pytest.mark.both_databases
@on_asyncio
async def test_a_brief_read_cannot_write_and_leaves_no_trace(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as db:
        with pytest.raises(Exception, match=r"read-?only"):
            await db.read_briefly(insert_account, 1)
        assert await db.read_briefly(count_accounts) == 0
        await db.write(insert_account, 1)
        assert await db.read_briefly(count_accounts) == 1


@on_asyncio
async def test_a_brief_write_waits_for_another_process_without_holding_the_loop_up(
    tmp_path: Path,
) -> None:
    path = tmp_path / "db"
    async with Database.open(path) as db:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("begin immediate")
        waiting = asyncio.create_task(db.write_briefly(insert_account, 1))
        for _ in range(10):
            await asyncio.sleep(0)
            assert await db.read_briefly(count_accounts) == 0
        assert not waiting.done()
        other.execute("rollback")
        other.close()
        await waiting
        assert await db.read_briefly(count_accounts) == 1


@on_asyncio
async def test_a_transaction_that_breaks_under_brief_writes_fails_them_all(tmp_path: Path) -> None:
    def end_it(conn: Connection) -> None:
        conn.exec_driver_sql("rollback")

    async with Database.open(tmp_path / "db") as db:
        outcomes = await asyncio.gather(
            db.write_briefly(insert_account, 1),
            db.write_briefly(end_it),
            db.write_briefly(insert_account, 2),
            db.write(insert_account, 3),
            return_exceptions=True,
        )
        assert all(isinstance(outcome, sqlite3.Error) for outcome in outcomes)
        assert await db.read(count_accounts) == 0
        await db.write_briefly(insert_account, 4)
        assert await db.read(count_accounts) == 1


@pytest.mark.both_databases
@on_asyncio
async def test_a_full_queue_refuses_and_recovers(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path), queue_max=2) as db:
        outcomes = await asyncio.gather(
            *(db.write(insert_account, n) for n in range(5)),
            return_exceptions=True,
        )
        refused = [outcome for outcome in outcomes if isinstance(outcome, Overloaded)]
        assert len(refused) == 3
        assert await db.read(count_accounts) == 2


@pytest.mark.both_databases
@on_asyncio
async def test_a_cancelled_caller_does_not_stop_the_others(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as db:
        doomed = asyncio.create_task(db.write(insert_account, 1))
        await asyncio.sleep(0)
        doomed.cancel()
        await db.write(insert_account, 2)
        with pytest.raises(asyncio.CancelledError):
            await doomed
        assert await db.read(get, "acct_2") is not None


@pytest.mark.both_databases
@on_asyncio
async def test_closing_carries_out_what_waits_and_refuses_the_rest(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as db:
        pending = [asyncio.create_task(db.write(insert_account, n)) for n in range(10)]
        await asyncio.sleep(0)
    await asyncio.gather(*pending)
    with pytest.raises(DatabaseClosed):
        await db.read(count_accounts)


@on_asyncio
async def test_a_file_of_a_newer_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "db"
    async with Database.open(path):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute("insert into schema_version values (999, 0)")
    connection.close()
    with pytest.raises(migrations.SchemaTooNew, match="999"):
        async with Database.open(path):
            pass


@pytest.mark.both_databases
@on_asyncio
async def test_reopening_keeps_everything(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as db:
        account = await db.write(create, "Ada", "w", 5)
    async with Database.open(place_in(tmp_path)) as db:
        assert await db.read(get, account.id) == account


@on_asyncio
async def test_the_migrations_make_the_tables_that_the_code_uses(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "migrated"):
        pass
    migrated = create_engine(f"sqlite:///{tmp_path / 'migrated'}")
    declared = create_engine("sqlite://")
    metadata.create_all(declared)
    left, right = inspect(migrated), inspect(declared)
    assert sorted(left.get_table_names()) == sorted(right.get_table_names())
    for table in right.get_table_names():

        def columns(inspector: Inspector, table: str = table) -> list[tuple[str, bool]]:
            return [(column["name"], column["nullable"]) for column in inspector.get_columns(table)]

        assert columns(left) == columns(right), table
        keys = [side.get_pk_constraint(table)["constrained_columns"] for side in (left, right)]
        assert keys[0] == keys[1], table

        def foreign(inspector: Inspector, table: str = table) -> set[tuple[str, str]]:
            return {
                (key["constrained_columns"][0], key["referred_table"])
                for key in inspector.get_foreign_keys(table)
            }

        assert foreign(left) == foreign(right), table

        def indexes(inspector: Inspector, table: str = table) -> set[tuple[str, ...]]:
            return {
                (str(index["name"]), *map(str, index["column_names"]))
                for index in inspector.get_indexes(table)
            }

        assert indexes(left) == indexes(right), table
    migrated.dispose()
    declared.dispose()


@pytest.mark.parametrize("write", ["write", "write_briefly"])
def test_what_was_committed_survives_kill_9(tmp_path: Path, write: str) -> None:
    program = textwrap.dedent("""
        import asyncio, sys
        from pathlib import Path
        from neurogrid_coordinator.store.accounts import create
        from neurogrid_coordinator.store.database import Database

        async def main():
            async with Database.open(Path(sys.argv[1])) as db:
                number = 0
                while True:
                    names = [str(number + i) for i in range(8)]
                    await asyncio.gather(*(
                        getattr(db, sys.argv[2])(create, n, "wallet " + n, 0) for n in names
                    ))
                    number += 8
                    print(number, flush=True)

        asyncio.run(main())
    """)
    path = tmp_path / "db"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path), write], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        told = 0
        for line in writer.stdout:
            told = int(line)
            if told >= 80:
                os.kill(writer.pid, signal.SIGKILL)
                break
        told = max([told, *(int(line) for line in writer.stdout if line.endswith("\n"))])
    connection = sqlite3.connect(path)
    (stored,) = connection.execute("select count(*) from accounts").fetchone()
    (check,) = connection.execute("pragma integrity_check").fetchone()
    connection.close()
    assert stored >= told
    assert check == "ok"
