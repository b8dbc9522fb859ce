"""The schema of a database on a PostgreSQL server: brought up to date by one, and kept as it is by all who run on it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from . import migrations
from .away import DatabaseAway, DatabaseInUse
from .places import Server
from .postgresql_connection import BEGIN_WRITE, Lost, engine_to, execute, raw_of

# The advisory lock, shared, of who runs on a database's schema.
_RUNNING = 5_649_000_002
# So long a start waits for another one that migrates.
_MIGRATING_S = 30.0
_LOOK_PAUSE_S = 0.1
# A coordinator's last number is of no use to anybody after this long.
_MARKS_MS = 7 * 24 * 3600 * 1000
# A table that is rebuilt may be large.
_BEGIN_MIGRATION = f"{BEGIN_WRITE}; set local statement_timeout = 0"


def migrate(conn: Connection, raw: "psycopg.Connection[Any]") -> None:
    """Bring the schema up to date, and keep it as it is for as long as this connection lasts.

    Raises:
        migrations.SchemaTooNew: a newer release wrote it.
        DatabaseInUse: it is due, and other coordinators run on it.
        Lost: the connection is gone.
    """
    deadline = time.monotonic() + _MIGRATING_S
    while True:
        if _try(raw, f"pg_try_advisory_lock_shared({_RUNNING})"):
            present = migrations.present(conn)
            conn.rollback()
            if present == len(migrations.known()):
                oldest_ms = time.time_ns() // 1_000_000 - _MARKS_MS
                execute(raw, "delete from write_marks where at_ms < %s", (oldest_ms,))
                return
            _try(raw, f"pg_advisory_unlock_shared({_RUNNING})")
            if _try(raw, f"pg_try_advisory_lock({_RUNNING})"):
                try:
                    raw.execute(_BEGIN_MIGRATION)
                    with conn.begin():
                        migrations.apply(conn)
                finally:
                    if not raw.closed:
                        _try(raw, f"pg_advisory_unlock({_RUNNING})")
                continue
        if time.monotonic() >= deadline:
            raise DatabaseInUse(
                "other coordinators run on this database, and its schema is another one: this "
                f"release knows {len(migrations.known())}. Stop them all, then start this one"
            )
        time.sleep(_LOOK_PAUSE_S)


def stay(conn: Connection, raw: "psycopg.Connection[Any]") -> None:
    """Keep the schema as it is on a new connection, too.

    Raises:
        Lost: it is being changed, or was.
    """
    row = raw.execute(f"select pg_try_advisory_lock_shared({_RUNNING})").fetchone()
    if row != (True,) or migrations.present(conn) != len(migrations.known()):
        raise Lost("its schema is being changed: this coordinator has to be started anew")
    conn.rollback()


@contextmanager
def alone(server: Server) -> Iterator[Connection]:
    """One transaction on a database that no coordinator runs on: for `migrate`.

    Raises:
        DatabaseInUse: one does.
        DatabaseAway: there is no way in.
        ServerUnfit: it cannot be used.
    """
    engine = engine_to(server)
    try:
        with engine.connect() as conn:
            raw = raw_of(conn)
            if not _try(raw, f"pg_try_advisory_lock({_RUNNING})"):
                raise DatabaseInUse("coordinators run on this database: stop them first")
            raw.execute(_BEGIN_MIGRATION)
            with conn.begin():
                yield conn
    except DBAPIError as error:
        raise DatabaseAway(str(error.orig).strip()) from error
    finally:
        engine.dispose()


def _try(raw: "psycopg.Connection[Any]", lock: str) -> bool:
    return execute(raw, f"select {lock}").fetchone() == (True,)
