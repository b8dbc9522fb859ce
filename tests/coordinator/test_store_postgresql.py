"""What is PostgreSQL's own: several writers, a server that goes away, and what became of a commit."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from sqlalchemy import BigInteger, Connection, Integer, LargeBinary, Text, func, inspect, select
from sqlalchemy import create_engine as engine_of
from sqlalchemy.pool import NullPool

from coordinator.on_asyncio import on_asyncio
from coordinator.postgresql_server import PostgresqlServer
from coordinator.records import NOW_MS, new_task, wallet
from neurogrid_coordinator.store import (
    accounts,
    events,
    migrations,
    postgresql_connection,
    postgresql_schema,
    tables,
    task_lists,
    tasks,
)
from neurogrid_coordinator.store import postgresql as driver
from neurogrid_coordinator.store.away import DatabaseAway, DatabaseInUse, ServerUnfit
from neurogrid_coordinator.store.database import Database
from neurogrid_coordinator.store.places import Server
from neurogrid_coordinator.store.tables import check_counts, metadata, task_events
from neurogrid_coordinator.store.task_lists import TaskFilter


def note(conn: Connection, number: int) -> int:
    """Something that may happen only once."""
    events.append(conn, f"task_{number}", "acct", number, "task.created", {})
    return number


def noted(conn: Connection) -> list[int]:
    return sorted(conn.scalars(select(task_events.c.at_ms)))


def count_up(conn: Connection) -> None:
    """Read, and write what follows from it."""
    before = conn.scalar(select(check_counts.c.checkable)) or 0
    conn.execute(check_counts.update().values(checkable=before + 1))


@on_asyncio
async def test_what_one_coordinator_has_read_no_other_changes_before_it_has_written(
    postgresql: PostgresqlServer,
) -> None:
    place = postgresql.new()
    async with (
        Database.open(place) as one,
        Database.open(place) as two,
        Database.open(place) as six,
    ):
        await asyncio.gather(*(db.write(count_up) for _ in range(100) for db in (one, two, six)))
        found = await one.read(lambda conn: conn.scalar(select(check_counts.c.checkable)))
    assert found == 300


@on_asyncio
async def test_who_reads_events_by_number_misses_none_that_several_coordinators_commit(
    postgresql: PostgresqlServer,
) -> None:
    place = postgresql.new()
    seen: list[int] = []
    async with (
        Database.open(place) as one,
        Database.open(place) as two,
        Database.open(place) as six,
    ):

        async def write(db: Database, first: int) -> None:
            for start in range(first, first + 50, 5):
                await asyncio.gather(*(db.write(note, start + n) for n in range(5)))

        async def follow() -> None:
            seq = 0
            while len(seen) < 150:
                for event in await six.read(events.after, seq):
                    assert event.seq > seq
                    seq = event.seq
                    seen.append(event.at_ms)

        await asyncio.gather(follow(), write(one, 0), write(two, 50), write(six, 100))
    assert sorted(seen) == list(range(150))


def breaking(at_commit: int, *, after: bool) -> Callable[..., Any]:
    """The driver's execute, that loses the connection at a commit, before or after it is done."""
    commits = 0
    real = psycopg.Connection.execute

    def execute(self: Any, sql: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal commits
        if sql == "commit":
            commits += 1
            if commits == at_commit:
                if after:
                    real(self, sql)
                self.close()
                raise psycopg.OperationalError("the connection is gone")
        return real(self, sql, *args, **kwargs)

    return execute


@pytest.mark.parametrize("after", [False, True])
@on_asyncio
async def test_a_commit_whose_answer_is_lost_is_neither_forgotten_nor_repeated(
    postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    async with Database.open(postgresql.new()) as db:
        monkeypatch.setattr(psycopg.Connection, "execute", breaking(2, after=after))
        assert await db.write(note, 1) == 1
        assert await asyncio.gather(*(db.write(note, n) for n in range(2, 9))) == [*range(2, 9)]
        assert await db.read(noted) == [*range(1, 9)]


@on_asyncio
async def test_a_server_that_is_restarted_again_and_again_costs_no_write_and_does_none_twice(
    postgresql: PostgresqlServer,
) -> None:
    done: list[int] = []
    async with Database.open(postgresql.new()) as db:

        async def keep_writing() -> None:
            for start in range(0, 400, 8):
                done.extend(await asyncio.gather(*(db.write(note, start + n) for n in range(8))))
                await asyncio.sleep(0.01)

        async def keep_restarting() -> None:
            for how in (signal.SIGQUIT, signal.SIGINT, signal.SIGQUIT):
                await asyncio.sleep(0.15)
                await asyncio.to_thread(postgresql.restart, how)

        async with asyncio.TaskGroup() as both:
            both.create_task(keep_writing())
            both.create_task(keep_restarting())
        assert done == list(range(400))
        assert await db.read(noted) == done


@on_asyncio
async def test_the_last_word_of_a_server_that_ends_is_heard_before_the_connection_does(
    postgresql: PostgresqlServer,
) -> None:
    lives = 0

    def ended_once(conn: Connection) -> int:
        nonlocal lives
        lives += 1
        note(conn, 1)
        if lives == 1:
            # What its statement raises while libpq still takes the connection for a good one.
            raise psycopg.errors.AdminShutdown("terminating connection")
        return lives

    async with Database.open(postgresql.new()) as db:
        assert await db.write(ended_once) == 2
        assert await db.read(noted) == [1]


@on_asyncio
async def test_a_server_that_stays_away_is_said_to_be_and_used_again_when_it_is_back(
    postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "AWAY_S", 3.0)
    async with Database.open(postgresql.new()) as db:
        await db.write(note, 1)
        await asyncio.to_thread(postgresql.stop)
        try:
            for call in (db.write(note, 2), db.read(noted)):
                with pytest.raises(DatabaseAway, match="does not answer"):
                    await call
            began = time.monotonic()
            with pytest.raises(DatabaseAway):
                await db.write(note, 2)
            assert time.monotonic() - began < 3.0, "who comes later does not wait as long again"
        finally:
            await asyncio.to_thread(postgresql.start)
        await db.write(note, 3)
        assert await db.read(noted) == [1, 3]


@on_asyncio
async def test_a_coordinator_that_is_stopped_in_a_transaction_holds_the_others_up_for_a_moment(
    postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = (
        "set idle_in_transaction_session_timeout = '300ms'",
        *postgresql_connection.SETTINGS[2:],
    )
    monkeypatch.setattr(postgresql_connection, "SETTINGS", short)
    place = postgresql.new()
    lives = 0
    has_begun, goes_on = threading.Event(), threading.Event()

    def stopped_once(conn: Connection) -> None:
        nonlocal lives
        lives += 1
        note(conn, 1)
        if lives == 1:
            has_begun.set()
            goes_on.wait(60)

    async with Database.open(place) as one, Database.open(place) as two:
        stopped = asyncio.create_task(one.write(stopped_once))
        await asyncio.to_thread(has_begun.wait, 60)
        await two.write(note, 2)
        assert not stopped.done()
        goes_on.set()
        await stopped
        assert await one.read(noted) == [1, 2]
    assert lives == 2


def test_what_was_committed_survives_kill_9(postgresql: PostgresqlServer) -> None:
    program = textwrap.dedent("""
        import asyncio, sys
        from neurogrid_coordinator.store.accounts import create
        from neurogrid_coordinator.store.database import Database
        from neurogrid_coordinator.store.places import Server

        async def main():
            async with Database.open(Server(sys.argv[1])) as db:
                number = 0
                while True:
                    names = [str(number + i) for i in range(8)]
                    await asyncio.gather(*(
                        db.write(create, n, "wallet " + n, 0) for n in names
                    ))
                    number += 8
                    print(number, flush=True)

        asyncio.run(main())
    """)
    place = postgresql.new()
    with subprocess.Popen(
        [sys.executable, "-c", program, place.url], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        told = 0
        for line in writer.stdout:
            told = int(line)
            if told >= 80:
                os.kill(writer.pid, signal.SIGKILL)
                break
        told = max([told, *(int(line) for line in writer.stdout if line.endswith("\n"))])
    with psycopg.connect(place.url) as raw:
        row = raw.execute("select count(*) from accounts").fetchone()
    assert row is not None
    assert row[0] >= told


# --- values --------------------------------------------------------------------------------------


@on_asyncio
async def test_text_with_nul_and_numbers_of_64_bits_are_taken(postgresql: PostgresqlServer) -> None:
    def live(conn: Connection) -> None:
        ada = accounts.create(conn, "A\0da", wallet("ada"), 2**62)
        assert accounts.get(conn, "acct_\0") is None
        found = accounts.get(conn, ada.id)
        assert found is not None
        assert (found.name, found.created_at_ms) == ("A\ufffdda", 2**62)
        assert events.after(conn, 2**62) == []
        assert task_lists.list_rows(conn, TaskFilter(ada.id), offset=2**40) == []
        total = conn.scalar(select(func.sum(tables.tasks.c.hold_micro_usdc)))
        assert total is None
        tasks.insert_new(conn, new_task(ada.id), NOW_MS)
        total = conn.scalar(select(func.sum(tables.tasks.c.hold_micro_usdc)))
        assert type(total) is int

    async with Database.open(postgresql.new()) as db:
        await db.write(live)


@on_asyncio
async def test_text_is_in_the_order_of_its_code_points_and_found_without_regard_to_ascii_case(
    postgresql: PostgresqlServer,
) -> None:
    def live(conn: Connection) -> None:
        ada = accounts.create(conn, "a", wallet("ada"), 0)
        for name in ("b", "B", "_", "É 50%", "a"):
            tasks.insert_new(conn, new_task(ada.id, name=name), NOW_MS)
        names = conn.scalars(select(tables.tasks.c.name).order_by(tables.tasks.c.name))
        assert list(names) == ["B", "_", "a", "b", "É 50%"]
        for text, count in (("b", 2), ("é", 0), ("0%", 1), ("%b", 0), ("_", 1)):
            assert task_lists.count(conn, TaskFilter(ada.id, text=text)) == count, text

    async with Database.open(postgresql.new()) as db:
        await db.write(live)


# --- the schema ----------------------------------------------------------------------------------


def schema(server: Server) -> dict[str, set[tuple[object, ...]]]:
    """All that a migration can make."""
    queries = {
        "columns": "select table_name, column_name, data_type, collation_name, is_nullable,"
        " column_default, identity_generation from information_schema.columns"
        " where table_schema = 'public'",
        "indexes": "select indexdef from pg_indexes where schemaname = 'public'",
        "constraints": "select conrelid::regclass::text, pg_get_constraintdef(oid)"
        " from pg_constraint where connamespace = 'public'::regnamespace",
        "triggers": "select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal",
        "functions": "select proname from pg_proc where pronamespace = 'public'::regnamespace",
    }
    with psycopg.connect(server.url) as raw:
        return {name: set(raw.execute(sql.encode())) for name, sql in queries.items()}


def test_back_undoes_exactly_what_forward_did(postgresql: PostgresqlServer) -> None:
    server = postgresql.new()
    newest = len(migrations.known())
    with postgresql_schema.alone(server) as conn:
        migrations.apply(conn)
        migrations.go_to(conn, 1)
    there: dict[int, Any] = {1: schema(server)}
    for version in range(2, newest + 1):
        with postgresql_schema.alone(server) as conn:
            migrations.go_to(conn, version)
        there[version] = schema(server)
    for version in range(newest - 1, 0, -1):
        with postgresql_schema.alone(server) as conn:
            migrations.go_to(conn, version)
        assert schema(server) == there[version], version
    with postgresql_schema.alone(server) as conn:
        migrations.go_to(conn, newest)
    assert schema(server) == there[newest]


def test_the_migrations_make_the_tables_that_the_code_uses(postgresql: PostgresqlServer) -> None:
    server = postgresql.new()
    with postgresql_schema.alone(server) as conn:
        migrations.apply(conn)
    declared = {Integer: "BIGINT", BigInteger: "BIGINT", Text: "TEXT", LargeBinary: "BYTEA"}
    engine = engine_of(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(server.url), poolclass=NullPool
    )
    there = inspect(engine)
    assert sorted(there.get_table_names()) == sorted(metadata.tables)
    for name, table in metadata.tables.items():
        columns = {column["name"]: column for column in there.get_columns(name)}
        assert set(columns) == set(table.columns.keys()), name
        for column in table.columns:
            found = columns[column.name]
            if name != "schema_version":
                said = declared[type(column.type)]
                assert str(found["type"]).split(" COLLATE")[0] == said, column
            assert found["nullable"] == column.nullable, column
        made = {index["name"]: index for index in there.get_indexes(name)}
        for index in table.indexes:
            its = made[str(index.name)]
            assert its["column_names"] == [column.name for column in index.columns], index.name
            partial = "postgresql_where" in its.get("dialect_options", {})
            assert partial == (index.dialect_options["postgresql"]["where"] is not None), index.name
            assert partial == (index.dialect_options["sqlite"]["where"] is not None), index.name
        keys = {
            (key["constrained_columns"][0], key["referred_table"])
            for key in there.get_foreign_keys(name)
        }
        assert keys == {(key.parent.name, key.column.table.name) for key in table.foreign_keys}, (
            name
        )
    engine.dispose()


def test_a_file_that_postgresql_cannot_read_says_that_it_needs_another() -> None:
    with pytest.raises(ValueError, match=r"postgresql\.sql"):
        migrations.for_postgresql("create trigger t after insert on tasks begin select 1; end;")
    assert migrations.for_postgresql(
        'create table t (\n  id text primary key not null, -- text\n  "offset" integer,\n  d blob\n) strict;'
        "\nalter table t add column n integer not null default 0;"
    ) == (
        'create table t (\n  id text collate "C" primary key not null, \n  "offset" bigint,\n  d bytea\n);'
        "\nalter table t add column n bigint not null default 0;"
    )


@on_asyncio
async def test_coordinators_that_start_at_once_on_an_empty_database_make_one_schema(
    postgresql: PostgresqlServer,
) -> None:
    place = postgresql.new()

    async def live(number: int) -> None:
        async with Database.open(place) as db:
            await db.write(note, number)

    await asyncio.gather(*(live(number) for number in range(4)))
    async with Database.open(place) as db:
        assert await db.read(noted) == [0, 1, 2, 3]


@on_asyncio
async def test_the_schema_does_not_change_under_a_running_coordinator(
    postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_schema, "_MIGRATING_S", 0.1)
    place = postgresql.new()
    async with Database.open(place):
        with pytest.raises(DatabaseInUse), postgresql_schema.alone(place):
            pass
        older = migrations.known()[:-1]
        monkeypatch.setattr(migrations, "known", lambda: older)
        with pytest.raises(migrations.SchemaTooNew):
            async with Database.open(place):
                pass


@on_asyncio
async def test_databases_that_cannot_be_used_are_refused(
    postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "AWAY_S", 0.1)
    postgresql.execute("create database latin encoding 'LATIN1' template template0")
    with pytest.raises(ServerUnfit, match="LATIN1"):
        async with Database.open(Server(postgresql.url("latin"))):
            pass
    with pytest.raises(DatabaseAway, match="nowhere") as refused:
        async with Database.open(Server(postgresql.url("nowhere"), "hunter2")):
            pass
    assert "hunter2" not in f"{refused.value} {Server('postgresql://a:hunter2@b/c', 'hunter2')}"
