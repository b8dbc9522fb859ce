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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg.adapt import Loader
from psycopg.pq import TransactionStatus
from psycopg.types.string import StrDumperUnknown
from sqlalchemy import BigInteger, Connection, Engine, Integer, create_engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from . import migrations
from .away import DatabaseAway, DatabaseInUse, LeadLost, OutcomeUnknown, ServerUnfit
from .places import Server

T = TypeVar("T")
Outcome = tuple[Any, Exception | None]

_log = logging.getLogger(__name__)

# So long a call waits for a server that is away: one that is restarted is back by then.
AWAY_S = 10.0
_AWAY_PAUSE_S = 0.1
# So long a start waits for another one that migrates.
_MIGRATING_S = 30.0
# Transaction ids of 64 bits, and what became of one: since 13.
_VERSION_MIN = 130000

# Advisory locks of a database: who writes; and, shared, who runs on its schema.
_WRITING = 5_649_000_001
_RUNNING = 5_649_000_002

BEGIN_WRITE = f"begin isolation level read committed; select pg_advisory_xact_lock({_WRITING})"
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
# A coordinator's last number is of no use to anybody after this long.
_MARKS_MS = 7 * 24 * 3600 * 1000
# A table that is rebuilt may be large.
_BEGIN_MIGRATION = f"{BEGIN_WRITE}; set local statement_timeout = 0"
_BEGIN_READ = "begin isolation level repeatable read read only"
_SETTINGS = (
    # The last commit survives a power failure, whatever the server's default is.
    "set synchronous_commit = on",
    # Whoever is stopped in a transaction holds up all others; the server ends it then.
    "set idle_in_transaction_session_timeout = '10s'",
    "set lock_timeout = '15s'",
    "set statement_timeout = '60s'",
    "set client_min_messages = warning",
    # A machine that is gone holds no lock for longer than this: 19 s.
    "set tcp_keepalives_idle = 10",
    "set tcp_keepalives_interval = 3",
    "set tcp_keepalives_count = 3",
)
# PostgreSQL's appendix A: connection exceptions, transaction rollbacks, an administrator's or a crash's end of the
# server, its start, and the two time limits of sessions that do nothing.
_UNDONE = ("08", "40", "57P01", "57P02", "57P03", "57P05", "25P03")
# What a connection that is silently lost costs, and one that is never answered.
CONNECTION: dict[str, Any] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "application_name": "neurogrid-coordinator",
}


class _Text(StrDumperUnknown):
    """Text without NUL, which PostgreSQL has no place for: it becomes U+FFFD, and is found as that."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)


class _Number(Loader):
    """A sum of integers is a ``numeric`` there: an int again; an average is a float, as of SQLite."""

    def load(self, data: Any) -> Any:
        text = bytes(data)
        return float(text) if b"." in text or text == b"NaN" else int(text)


class _Lost(Exception):
    """The connection is gone, or the transaction was undone: nothing of it holds."""


class PostgresqlWorker:
    """One connection, whose thread runs our functions."""

    def __init__(self, server: Server, *, writes: bool) -> None:
        self._server = server
        self._writes = writes
        self._away_s = AWAY_S
        self._thread = ThreadPoolExecutor(1, "database writer" if writes else "database reader")
        self._engine = _engine(lambda: connect(server))
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
    ) -> list[Outcome]:
        """Carry calls out in one transaction; what each returned or raised, once that is durable.

        Args:
            brief: how many of them take a few statements: all the same, where each is a trip to a server.
        """
        return await self._in_thread(lambda: self._batch(jobs))

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
                raise _Lost(str(error.orig).strip()) from error
            self._conn, self._raw = conn, _raw(conn)
            if self._serving:
                self._stay(self._raw)
        assert self._raw is not None, "both or none"
        return self._conn, self._raw

    def _stay(self, raw: "psycopg.Connection[Any]") -> None:
        """Hold the schema again, on a new connection."""
        row = raw.execute(f"select pg_try_advisory_lock_shared({_RUNNING})").fetchone()
        assert self._conn is not None, "connected"
        if row != (True,) or migrations.present(self._conn) != len(migrations.known()):
            raise _Lost("its schema is being changed: this coordinator has to be started anew")
        self._conn.rollback()

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
            except (_Lost, psycopg.Error, DBAPIError) as error:
                cause = error.orig if isinstance(error, DBAPIError) else error
                if not (
                    isinstance(cause, _Lost)
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

    # --- the schema -------------------------------------------------------------------------------

    def _migrate(self) -> None:
        conn, raw = self._connected()
        deadline = time.monotonic() + _MIGRATING_S
        while True:
            if _try(raw, f"pg_try_advisory_lock_shared({_RUNNING})"):
                present = migrations.present(conn)
                conn.rollback()
                if present == len(migrations.known()):
                    oldest_ms = time.time_ns() // 1_000_000 - _MARKS_MS
                    _execute(raw, "delete from write_marks where at_ms < %s", (oldest_ms,))
                    self._serving = True
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
            time.sleep(_AWAY_PAUSE_S)

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
                _execute(raw, _BEGIN_READ)
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
                _execute(raw, "savepoint one")
                outcome = _one(conn, raw, job)
                if outcome[1] is not None:
                    _execute(raw, "rollback to one")
                _execute(raw, "release one")
                outcomes.append(outcome)
            self._mark += 1
            marked = (self._writer, self._mark, time.time_ns() // 1_000_000)
            row = _execute(raw, _WRITTEN, marked).fetchone()
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
            _execute(raw, BEGIN_WRITE)
            return
        begun = _execute(raw, _BEGIN_FENCED)
        while begun.nextset():
            pass
        if begun.fetchone() != (self._term,):
            raise LeadLost("another coordinator leads on this database now")

    def _commit(self, raw: "psycopg.Connection[Any]", transaction: str | None) -> None:
        """Commit what was written.

        Args:
            transaction: its id; None where nothing was written.

        Raises:
            _Lost: it was undone.
            OutcomeUnknown: nobody can say.
        """
        backend = raw.info.backend_pid
        try:
            raw.execute("commit")
        except psycopg.Error as error:
            if transaction is None:
                raise _Lost(str(error)) from error
            _log.warning("the database went away in a commit: %s", error)
            if not self._was_committed(backend, transaction):
                raise _Lost("the transaction was undone") from error

    def _was_committed(self, backend: int, transaction: str) -> bool:
        """What became of our last transaction, in whose commit the connection to this backend was lost."""
        deadline = time.monotonic() + self._away_s
        said = "it does not answer"
        while time.monotonic() < deadline:
            self._disconnect()
            try:
                _, raw = self._connected()
                # Its session may not have noticed that we are gone, and would wait for us.
                ended = _execute(
                    raw,
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where pid = %s and backend_xid = (%s::text::xid8)::xid",
                    (backend, transaction),
                )
                if ended.fetchone() is None:
                    row = _execute(
                        raw, "select mark from write_marks where writer = %s", (self._writer,)
                    ).fetchone()
                    return row == (self._mark,)
                said = "its session goes on"
            except (_Lost, psycopg.Error) as error:
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


@contextmanager
def alone(server: Server) -> Iterator[Connection]:
    """One transaction on a database that no coordinator runs on: for `migrate`.

    Raises:
        DatabaseInUse: one does.
        DatabaseAway: there is no way in.
        ServerUnfit: it cannot be used.
    """
    engine = _engine(lambda: connect(server))
    try:
        with engine.connect() as conn:
            raw = _raw(conn)
            if not _try(raw, f"pg_try_advisory_lock({_RUNNING})"):
                raise DatabaseInUse("coordinators run on this database: stop them first")
            raw.execute(_BEGIN_MIGRATION)
            with conn.begin():
                yield conn
    except DBAPIError as error:
        raise DatabaseAway(str(error.orig).strip()) from error
    finally:
        engine.dispose()


def _engine(connect: Callable[[], Any]) -> Engine:
    engine = create_engine(
        "postgresql+psycopg://", creator=connect, poolclass=NullPool, use_native_hstore=False
    )
    # Whole numbers have 64 bits, as those of SQLite, whatever a column's declaration says.
    engine.dialect.colspecs = {
        **engine.dialect.colspecs,
        Integer: engine.dialect.colspecs[BigInteger],
    }
    return engine


def connect(server: Server) -> "psycopg.Connection[Any]":
    """A connection as we need it, without a transaction.

    Raises:
        ServerUnfit: it cannot be used.
        psycopg.Error: there is no way in.
    """
    given = {**CONNECTION, **({"password": server.password} if server.password else {})}
    raw = psycopg.connect(server.url, autocommit=True, **given)
    try:
        if raw.info.server_version < _VERSION_MIN:
            raise ServerUnfit("the PostgreSQL server is too old: 13 or newer is needed")
        encoding = raw.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise ServerUnfit(
                f"the database's encoding is {encoding}: create it with encoding 'UTF8'"
            )
        for setting in _SETTINGS:
            raw.execute(setting)
        raw.adapters.register_dumper(str, _Text)
        raw.adapters.register_loader("numeric", _Number)
    except BaseException:
        raw.close()
        raise
    return raw


def _raw(conn: Connection) -> "psycopg.Connection[Any]":
    raw = conn.connection.driver_connection
    assert isinstance(raw, psycopg.Connection), "the dialect's"
    return raw


def _try(raw: "psycopg.Connection[Any]", lock: str) -> bool:
    return _execute(raw, f"select {lock}").fetchone() == (True,)


def _execute(
    raw: "psycopg.Connection[Any]", sql: str, values: Sequence[object] | None = None
) -> "psycopg.Cursor[Any]":
    """One of our own statements.

    Raises:
        _Lost: the transaction cannot go on.
    """
    try:
        return raw.execute(sql, values)
    except psycopg.Error as error:
        raise _Lost(str(error).strip()) from error


def _one(
    conn: Connection, raw: "psycopg.Connection[Any]", job: Callable[[Connection], Any]
) -> Outcome:
    """Carry out one call.

    Raises:
        _Lost: the transaction cannot go on.
    """
    try:
        value = job(conn)
    except Exception as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if raw.closed or (isinstance(cause, psycopg.Error) and undone(cause)):
            raise _Lost(str(cause).strip()) from error
        return None, error
    if raw.info.transaction_status is TransactionStatus.INERROR:
        return None, RuntimeError("a call went on after an error of the database")
    return value, None


def undone(error: psycopg.Error) -> bool:
    """Whether the server took the transaction back, for somebody else's sake, or ended the connection.

    Its last word comes before its end does: libpq takes the connection for a good one until then.
    """
    return (error.sqlstate or "").startswith(_UNDONE)
