"""Connections to a SQLite file: with a thread, which carries out batches of calls, and on the event loop's own thread.

What is brief is carried out on the loop. A trip to a thread costs as much as three lookups, and two threads that both run
Python wait for each other: at each statement one lets go of the interpreter, and gets it back when the other has to.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from . import migrations
from .write_ahead_log import WriteAheadLog

T = TypeVar("T")
Outcome = tuple[Any, Exception | None]

_log = logging.getLogger(__name__)

# So long a call waits for another process that writes: a command of the operator's.
_BUSY_MS = 5000
_BUSY_PAUSE_S = 0.005
_PRAGMAS = (
    f"busy_timeout={_BUSY_MS}",
    "journal_mode=wal",
    # A commit survives a crash of the process. That it survives a power failure, too, is seen to by `WriteAheadLog`.
    "synchronous=normal",
    "foreign_keys=on",
    "temp_store=memory",
    # KiB, of each connection: what the kernel has in its cache is as fast (measured at 2 to 64 MiB).
    "cache_size=-8192",
)


class SqliteWorker:
    """One aiosqlite connection, whose thread runs our functions.

    ``_execute`` and ``_conn`` are private names of aiosqlite 0.22, which pyproject.toml pins: its
    public calls cost a hop of threads for each statement, ours one for each batch.

    Args:
        sync: forces a file to the disk, by its descriptor; None: it only reads.
    """

    def __init__(self, path: Path, sync: Callable[[int], None] | None) -> None:
        self._path = path
        self._sync = sync
        self._db: aiosqlite.Connection | None = None
        self._session: _Session | None = None

    async def start(self) -> None:
        """Connect."""
        # We say BEGIN ourselves: the driver's implicit one comes too late for SELECTs. The loop uses the connection
        # too, while the thread does not.
        self._db = await aiosqlite.connect(
            self._path, isolation_level=None, check_same_thread=False
        )
        await self._in_thread(self._connect)

    async def fence(self, term: int) -> None:
        """Nothing to do: a file has one coordinator (`commands.migrating`, `books`)."""

    async def migrate(self) -> None:
        """Bring the schema up to date.

        Raises:
            migrations.SchemaTooNew: a newer release wrote it.
        """
        ((_, error),), _ = await self.run_batch([migrations.apply])
        if error is not None:
            raise error
        await self.settled()

    async def run_batch(
        self, jobs: Sequence[Callable[[Connection], Any]], *, brief: int = 0
    ) -> tuple[list[Outcome], asyncio.Future[None] | None]:
        """Carry calls out in one transaction; what each returned or raised, once that is committed, and what is done
        when it is durable. The next batch may begin meanwhile.

        Args:
            brief: so many of them, the first, are done on the caller's own thread. Waiting for the disk is the
                thread's in any case.
        """
        session = self._session
        assert session is not None, "started"
        if session.wal is not None and session.wal.failed is not None:
            return [(None, session.wal.failed)] * len(jobs), None
        outcomes: list[Outcome] = []
        if brief and session.begin_at_once():
            try:
                outcomes = session.briefly(jobs[:brief])
            except sqlite3.Error as error:
                return session.failed(len(jobs), error), None
        left = jobs[len(outcomes) :]
        if session.wal is None:
            return await self._in_thread(lambda: session.finish(outcomes, left)), None
        committed: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        durable: asyncio.Future[None] = asyncio.ensure_future(
            # The thread begins when this has its name.
            self._in_thread(lambda: session.commit_and_sync(outcomes, left, committed, durable))
        )
        return await committed, durable

    async def settled(self) -> None:
        """Return when all that was committed before is on the disk.

        Raises:
            DiskFailed: it may never be.
        """
        assert self._session is not None, "started"
        wal = self._session.wal
        # Looked at once: the thread may have it change.
        ahead = wal.ahead if wal is not None else None
        if ahead is not None:
            await asyncio.shield(ahead)

    async def stop(self) -> None:
        """Disconnect."""
        if self._db is None:
            return
        if self._session is not None:
            await self._in_thread(self._session.close)
        await self._db.close()
        if self._session is not None and self._session.wal is not None:
            self._session.wal.close()

    async def _in_thread(self, fn: Callable[[], T]) -> T:
        assert self._db is not None, "started"
        # Shielded: a batch that is under way ends, so that the connection is never half used.
        done: T = await asyncio.shield(self._db._execute(fn))  # type: ignore[no-untyped-call]  # private, untyped there
        return done

    def _connect(self) -> None:
        assert self._db is not None, "started"
        self._session = _Session(self._db._conn, self._sync)


class SqliteOnLoop:
    """A connection that reads on its caller's own thread: what a few lookups by key answer, in tens of microseconds."""

    def __init__(self, path: Path) -> None:
        raw = sqlite3.connect(path, isolation_level=None)
        try:
            self._session = _Session(raw, None)
        except BaseException:
            raw.close()
            raise
        self._raw = raw

    def read(self, job: Callable[[Connection], T]) -> T:
        """What the call returns or raises; it sees everything that is committed."""
        session = self._session
        session.raw.execute("begin")
        try:
            return job(session.conn)
        finally:
            session.end()

    def close(self) -> None:
        """Disconnect."""
        self._session.close()
        self._raw.close()


class _Session:
    """A connection's transactions. Its methods are called by one thread at a time.

    Attributes:
        wal: None: it only reads.

    Args:
        sync: forces a file to the disk, by its descriptor; None: it only reads.
    """

    def __init__(self, raw: sqlite3.Connection, sync: Callable[[int], None] | None) -> None:
        self.raw = raw
        self.wal: WriteAheadLog | None = None
        for pragma in _PRAGMAS:
            raw.execute(f"pragma {pragma}").fetchall()
        if sync is not None:
            # `_begin` waits, so that who must not can ask.
            raw.execute("pragma busy_timeout=0").fetchall()
            self.wal = WriteAheadLog(raw, sync)
        else:
            raw.execute("pragma query_only=on").fetchall()
        self._engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
        self.conn = self._engine.connect()

    def begin_at_once(self) -> bool:
        """Begin to write; False: somebody else does, or it can't be done, which `finish` then says."""
        try:
            self.raw.execute("begin immediate")
        except sqlite3.Error:
            return False
        return True

    def briefly(self, jobs: Sequence[Callable[[Connection], Any]]) -> list[Outcome]:
        """Carry brief calls out, in the transaction that is open; what each returned or raised. Nothing, if no
        transaction is open any more: then they are still to be done.

        Most change nothing where they raise, so there is nothing to undo, and a savepoint each would be a tenth of what
        they cost. Where one did change something, all are done again, with savepoints.

        Raises:
            sqlite3.Error: the transaction can't go on.
        """
        outcomes: list[Outcome] = []
        for job in jobs:
            before = self.raw.total_changes
            try:
                outcomes.append((job(self.conn), None))
            except Exception as error:  # noqa: BLE001 - the boundary of one call: it is its caller's
                if self.raw.total_changes != before and self.raw.in_transaction:
                    self._undo()
                    return [self.one(each) for each in jobs] if self.begin_at_once() else []
                outcomes.append((None, error))
            if not self.raw.in_transaction:
                # What others did is gone, and what comes would not wait for the commit.
                raise sqlite3.OperationalError("the transaction has ended")
        return outcomes

    def finish(
        self,
        outcomes: list[Outcome],
        jobs: Sequence[Callable[[Connection], Any]],
        durable: asyncio.Future[None] | None = None,
    ) -> list[Outcome]:
        """Carry the rest of a batch out, and commit it.

        Args:
            outcomes: of those calls that were carried out in the transaction that is open.
            durable: done when it is on the disk, for who can read it before.
        """
        count = len(outcomes) + len(jobs)
        try:
            # BEGIN and savepoints go past SQLAlchemy: its events for them would make every statement a third dearer.
            if not outcomes:
                self._begin()
            outcomes = outcomes + [self.one(job) for job in jobs]
            if self.wal is not None:
                self.wal.ahead = durable
            self.end()
        except Exception as error:  # noqa: BLE001 - the boundary of the thread
            return self.failed(count, error)
        return outcomes

    def commit_and_sync(
        self,
        outcomes: list[Outcome],
        jobs: Sequence[Callable[[Connection], Any]],
        committed: asyncio.Future[list[Outcome]],
        durable: asyncio.Future[None],
    ) -> None:
        """As `finish`, in the thread: ``committed`` is told its outcomes, and then they are forced to the disk, when
        ``durable`` is done.

        Raises:
            DiskFailed: they may not be there.
        """
        wal = self.wal
        assert wal is not None, "it writes"
        if wal.failed is None:
            told = self.finish(outcomes, jobs, durable)
        else:
            told = self.failed(len(outcomes) + len(jobs), wal.failed)
        committed.get_loop().call_soon_threadsafe(committed.set_result, told)
        wal.sync()

    def failed(self, count: int, error: Exception) -> list[Outcome]:
        """The disk is full, or the file is gone: nobody's change holds."""
        _log.error("a transaction of %d calls failed", count, exc_info=error)
        with suppress(sqlite3.Error):
            self._undo()
        return [(None, error)] * count

    def one(self, job: Callable[[Connection], Any]) -> Outcome:
        """Carry one call out; what it did is undone where it raises."""
        if self.wal is not None:
            self.raw.execute("savepoint one")
        try:
            return job(self.conn), None
        except Exception as error:  # noqa: BLE001 - the boundary of one call: it is its caller's
            if self.wal is not None:
                self.raw.execute("rollback to one")
            return None, error
        finally:
            if self.wal is not None:
                self.raw.execute("release one")

    def end(self) -> None:
        """Commit, in SQLAlchemy's books too where a call went through it."""
        if self.conn.in_transaction():
            self.conn.commit()
        else:
            self.raw.commit()

    def _undo(self) -> None:
        """Roll back, in SQLAlchemy's books too."""
        with suppress(SQLAlchemyError):
            self.conn.rollback()
        self.raw.rollback()

    def close(self) -> None:
        """Let go of the connection, which somebody else closes."""
        self.conn.close()
        self._engine.dispose()

    def _begin(self) -> None:
        if self.wal is None:
            self.raw.execute("begin")
            return
        deadline_s = time.monotonic() + _BUSY_MS / 1000
        while True:
            try:
                # IMMEDIATE: a writer that begins with a read would otherwise fail where it should wait.
                self.raw.execute("begin immediate")
                return
            except sqlite3.OperationalError as error:
                is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not is_busy or time.monotonic() >= deadline_s:
                    raise
            time.sleep(_BUSY_PAUSE_S)
