"""A thread with a connection to a PostgreSQL server, which carries out batches of calls.

Functions see what they see on SQLite. One writer at a time, of all coordinators: each transaction that
writes begins by taking an advisory lock, so what a function has read stays true until it is committed, and
numbers that the database gives (`task_events.seq`) grow in the order of the commits.

A server that goes away loses what was not committed: that is carried out again, for a while. Where it went
away in the commit itself, the transaction's number is in the database, or it is not (`write_marks`), so nothing is
done twice. Its id would not tell: a server that crashed may give the id of a transaction that it lost to another one.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from . import postgresql_schema
from .away import DatabaseAway, LeadLost, OutcomeUnknown
from .places import Server
from .postgresql_connection import BEGIN_WRITE, Lost, engine_to, execute, raw_of, undone

T = TypeVar("T")
Outcome = tuple[Any, Exception | None]

_log = logging.getLogger(__name__)

# So long a call waits for a server that is away: one that is restarted is back by then.
AWAY_S = 10.0
_AWAY_PAUSE_S = 0.1
# In the transaction, after the lock: who has begun to lead before is seen.
_BEGIN_FENCED = f"{BEGIN_WRITE}; select term from lead"
# Whoever listens (`hints`) hears of every transaction that wrote; its writer's number is in it.
_WRITTEN = (
    "with written as (select pg_current_xact_id_if_assigned()::text as xid), marked as ("
    " insert into write_marks (writer, mark, at_ms)"
    " select %s::text, %s::bigint, %s::bigint from written where xid is not null"
    " on conflict (writer) do update set mark = excluded.mark, at_ms = excluded.at_ms)"
    " select xid, case when xid is not null then pg_notify('neurogrid_written', '') end from written"
)
_BEGIN_READ = "begin isolation level repeatable read read only"


class PostgresqlWorker:
    """One connection, whose thread runs our functions."""

    def __init__(self, server: Server, *, writes: bool) -> None:
        self._server = server
        self._writes = writes
        self._away_s = AWAY_S
        self._thread = ThreadPoolExecutor(1, "database writer" if writes else "database reader")
        self._engine = engine_to(server)
        self._conn: Connection | None = None
        # The driver's own: SQLAlchemy no longer gives it away once it has found it broken.
        self._raw: psycopg.Connection[Any] | None = None
        self._serving = False
        # Who we are in `write_marks`, and the number of our last transaction.
        self._writer = secrets.token_hex(8)
        self._mark = 0
        # The term in which we lead; None: we do not.
        self._term: int | None = None
        # When the server was last found away, by the monotonic clock; 0 while it is there.
        self._away_since = 0.0

    async def start(self) -> None:
        """Connect.

        Raises:
            DatabaseAway: there is no way in.
            ServerUnfit: it cannot be used.
        """
        await self._in_thread(lambda: self._patiently(lambda: None))

    async def migrate(self) -> None:
        """Bring the schema up to date, and keep it as it is while we run.

        Raises:
            migrations.SchemaTooNew: a newer release wrote it.
            DatabaseInUse: it is due, and other coordinators run on it.
        """
        await self._in_thread(lambda: self._patiently(self._migrate))

    async def fence(self, term: int) -> None:
        """Write from now on only while this is the term of who leads: else `LeadLost`."""

        def begin() -> None:
            self._term = term

        await self._in_thread(begin)

    async def run_batch(
        self, jobs: Sequence[Callable[[Connection], Any]], *, brief: int = 0
    ) -> tuple[list[Outcome], None]:
        """Carry calls out in one transaction; what each returned or raised, once that is durable.

        Args:
            brief: how many of them take a few statements: all the same, where each is a trip to a server.
        """
        return await self._in_thread(lambda: self._batch(jobs)), None

    async def settled(self) -> None:
        """Nothing to wait for: what others can read is durable."""

    async def stop(self) -> None:
        """Disconnect."""
        await self._in_thread(self._disconnect)
        self._thread.shutdown()

    async def _in_thread(self, fn: Callable[[], T]) -> T:
        # Shielded: a batch that is under way ends, so that the connection is never half used.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, fn))

    # --- the connection ---------------------------------------------------------------------------

    def _connected(self) -> tuple[Connection, "psycopg.Connection[Any]"]:
        if self._conn is None:
            try:
                conn = self._engine.connect()
            except DBAPIError as error:
                raise Lost(str(error.orig).strip()) from error
            self._conn, self._raw = conn, raw_of(conn)
            if self._serving:
                postgresql_schema.stay(conn, self._raw)
        assert self._raw is not None, "both or none"
        return self._conn, self._raw

    def _disconnect(self) -> None:
        conn, self._conn = self._conn, None
        raw, self._raw = self._raw, None
        if raw is not None:
            with suppress(psycopg.Error):
                raw.close()
        if conn is not None:
            with suppress(SQLAlchemyError):
                conn.invalidate()
            with suppress(SQLAlchemyError):
                conn.close()

    def _patiently(self, fn: Callable[[], T]) -> T:
        """Do it, and again on a new connection where one was lost.

        Raises:
            DatabaseAway: so it went for as long as we wait.
        """
        while True:
            try:
                self._connected()
                done = fn()
            except (Lost, psycopg.Error, DBAPIError) as error:
                cause = error.orig if isinstance(error, DBAPIError) else error
                if not (
                    isinstance(cause, Lost)
                    or self._raw is None
                    or self._raw.closed
                    or (isinstance(cause, psycopg.Error) and undone(cause))
                ):
                    raise
                self._disconnect()
                now = time.monotonic()
                if not self._away_since:
                    _log.warning("the database is away: %s", error)
                    self._away_since = now
                if now - self._away_since >= self._away_s:
                    raise DatabaseAway(f"the database does not answer: {error}") from error
                time.sleep(_AWAY_PAUSE_S)
            else:
                self._away_since = 0.0
                return done

    def _migrate(self) -> None:
        postgresql_schema.migrate(*self._connected())
        self._serving = True

    # --- batches ----------------------------------------------------------------------------------

    def _batch(self, jobs: Sequence[Callable[[Connection], Any]]) -> list[Outcome]:
        try:
            return self._patiently(
                lambda: self._written(jobs) if self._writes else self._read(jobs)
            )
        except Exception as error:  # noqa: BLE001 - the boundary of the thread
            if not isinstance(error, (DatabaseAway, LeadLost)):
                _log.exception("a transaction of %d calls failed", len(jobs))
            return [(None, error)] * len(jobs)

    def _read(self, jobs: Sequence[Callable[[Connection], Any]]) -> list[Outcome]:
        conn, raw = self._connected()
        outcomes: list[Outcome] = []
        for job in jobs:
            if raw.info.transaction_status is not TransactionStatus.INTRANS:
                # The first one, or the one after an error, which ended the snapshot.
                self._end(conn, raw)
                execute(raw, _BEGIN_READ)
            outcomes.append(_one(conn, raw, job))
        self._end(conn, raw)
        return outcomes

    def _written(self, jobs: Sequence[Callable[[Connection], Any]]) -> list[Outcome]:
        conn, raw = self._connected()
        outcomes: list[Outcome] = []
        try:
            # BEGIN and savepoints go past SQLAlchemy: its events for them would make every statement
            # a third dearer.
            self._begin_write(raw)
            for job in jobs:
                execute(raw, "savepoint one")
                outcome = _one(conn, raw, job)
                if outcome[1] is not None:
                    execute(raw, "rollback to one")
                execute(raw, "release one")
                outcomes.append(outcome)
            self._mark += 1
            marked = (self._writer, self._mark, time.time_ns() // 1_000_000)
            row = execute(raw, _WRITTEN, marked).fetchone()
        except BaseException:
            self._end(conn, raw)
            raise
        assert row is not None, "a select from one row has one"
        self._commit(raw, row[0])
        self._end(conn, raw)
        return outcomes

    def _begin_write(self, raw: "psycopg.Connection[Any]") -> None:
        """Begin a transaction in which nobody else writes.

        Raises:
            LeadLost: we led once, and another coordinator has begun to.
        """
        if self._term is None:
            execute(raw, BEGIN_WRITE)
            return
        begun = execute(raw, _BEGIN_FENCED)
        while begun.nextset():
            pass
        if begun.fetchone() != (self._term,):
            raise LeadLost("another coordinator leads on this database now")

    def _commit(self, raw: "psycopg.Connection[Any]", transaction: str | None) -> None:
        """Commit what was written.

        Args:
            transaction: its id; None where nothing was written.

        Raises:
            Lost: it was undone.
            OutcomeUnknown: nobody can say.
        """
        backend = raw.info.backend_pid
        try:
            raw.execute("commit")
        except psycopg.Error as error:
            if transaction is None:
                raise Lost(str(error)) from error
            _log.warning("the database went away in a commit: %s", error)
            if not self._was_committed(backend, transaction):
                raise Lost("the transaction was undone") from error

    def _was_committed(self, backend: int, transaction: str) -> bool:
        """What became of our last transaction, in whose commit the connection to this backend was lost."""
        deadline = time.monotonic() + self._away_s
        said = "it does not answer"
        while time.monotonic() < deadline:
            self._disconnect()
            try:
                _, raw = self._connected()
                # Its session may not have noticed that we are gone, and would wait for us.
                ended = execute(
                    raw,
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where pid = %s and backend_xid = (%s::text::xid8)::xid",
                    (backend, transaction),
                )
                if ended.fetchone() is None:
                    row = execute(
                        raw, "select mark from write_marks where writer = %s", (self._writer,)
                    ).fetchone()
                    return row == (self._mark,)
                said = "its session goes on"
            except (Lost, psycopg.Error) as error:
                said = str(error).strip()
            time.sleep(_AWAY_PAUSE_S)
        raise OutcomeUnknown(f"whether transaction {transaction} was committed is unknown: {said}")

    def _end(self, conn: Connection, raw: "psycopg.Connection[Any]") -> None:
        """Have no transaction, neither there nor in SQLAlchemy's books."""
        if raw.closed:
            self._disconnect()
            return
        try:
            if conn.in_transaction():
                conn.rollback()
            if raw.info.transaction_status is not TransactionStatus.IDLE:
                raw.execute("rollback")
        except (psycopg.Error, SQLAlchemyError):
            self._disconnect()


def _one(
    conn: Connection, raw: "psycopg.Connection[Any]", job: Callable[[Connection], Any]
) -> Outcome:
    """Carry out one call.

    Raises:
        Lost: the transaction cannot go on.
    """
    try:
        value = job(conn)
    except Exception as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if raw.closed or (isinstance(cause, psycopg.Error) and undone(cause)):
            raise Lost(str(cause).strip()) from error
        return None, error
    if raw.info.transaction_status is TransactionStatus.INERROR:
        return None, RuntimeError("a call went on after an error of the database")
    return value, None
