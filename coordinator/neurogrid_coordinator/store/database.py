"""The database: sync functions over a SQLAlchemy `Connection`, run off the event loop.

    async with Database.open(path) as db:
        account = await db.read(accounts.get, account_id)
        row, created = await db.write(tasks.insert_new, task, now_ms)

``write`` returns when the change is on the disk. One thread writes; what is waiting when it is
free goes into one transaction with a savepoint each (group commit: one fsync for up to
``_BATCH_MAX`` writes), so a write that raises undoes itself alone. Readers are threads of their
own, with a snapshot per batch that holds every write that had returned before.

SQLAlchemy's synchronous Core costs 25-30 microseconds per query and its asyncio wrapper 300-600,
which is why functions travel to the connection. Only this
file and `migrations` know that it is SQLite.
"""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import aiosqlite
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import StaticPool

from . import migrations

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)

# A batch that is longer only delays its first caller; 256 already make the fsync negligible.
_BATCH_MAX = 256
_READERS = 2
# How many calls may wait, before `Overloaded`: at 2,000 a second, two seconds of work.
QUEUE_MAX = 4096

_PRAGMAS = (
    "journal_mode=wal",
    # The last commit survives a power failure; NORMAL would only survive a crash of the process.
    "synchronous=full",
    "busy_timeout=5000",
    "foreign_keys=on",
    "temp_store=memory",
    "cache_size=-65536",
)


class Overloaded(Exception):
    """More calls are waiting for the database than it may hold; try again in a moment."""


class DatabaseClosed(Exception):
    """The database was closed before this call was carried out."""


class Database:
    """One SQLite file: a writer thread and a few reader threads. Use `Database.open`."""

    def __init__(self, writer: "_Lane", readers: "_Lane") -> None:
        self._writer = writer
        self._readers = readers

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, *, queue_max: int = QUEUE_MAX) -> AsyncIterator["Database"]:
        """Open the file, creating it and migrating it where that is due.

        Args:
            queue_max: how many writes, and how many reads, may wait.

        Raises:
            migrations.SchemaTooNew: a newer release wrote it.
        """
        writer = _Worker(path, writes=True)
        workers = [writer]
        try:
            await writer.start()
            await writer.run(migrations.apply)
            for _ in range(_READERS):
                reader = _Worker(path, writes=False)
                await reader.start()
                workers.append(reader)
            database = cls(_Lane("writes", queue_max), _Lane("reads", queue_max))
            serving = [asyncio.create_task(database._writer.serve(writer))]
            serving += [
                asyncio.create_task(database._readers.serve(reader)) for reader in workers[1:]
            ]
            try:
                yield database
            finally:
                await database._writer.drain()
                await database._readers.drain()
                for task in serving:
                    task.cancel()
                await asyncio.gather(*serving, return_exceptions=True)
        finally:
            for worker in workers:
                await worker.stop()

    async def write(
        self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``fn(connection, ...)`` in a transaction; what it returns, once that is durable.

        A caller that is cancelled does not know whether it happened.

        Raises:
            Overloaded: too many are waiting; nothing was done.
            whatever ``fn`` raises; its changes are undone.
        """
        return await self._writer.submit(lambda conn: fn(conn, *args, **kwargs))

    async def read(
        self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``fn(connection, ...)`` on a snapshot that holds every write that has returned."""
        return await self._readers.submit(lambda conn: fn(conn, *args, **kwargs))


class _Lane:
    """Calls that wait for a worker; whoever is free takes all that are there, up to a batch."""

    def __init__(self, name: str, queue_max: int) -> None:
        self._name = name
        self._queue: asyncio.Queue[tuple[Callable[[Connection], Any], asyncio.Future[Any]]] = (
            asyncio.Queue(queue_max)
        )
        self._closed = False

    async def submit(self, fn: Callable[[Connection], T]) -> T:
        if self._closed:
            raise DatabaseClosed(f"no more {self._name}: the coordinator is stopping")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((fn, future))
        except asyncio.QueueFull:
            raise Overloaded(f"{self._queue.maxsize} {self._name} are waiting") from None
        return await future

    async def serve(self, worker: "_Worker") -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < _BATCH_MAX and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            outcomes = await worker.run_batch([fn for fn, _ in batch])
            for (_, future), (value, error) in zip(batch, outcomes, strict=True):
                self._queue.task_done()
                if future.cancelled():
                    continue
                if error is not None:
                    future.set_exception(error)
                else:
                    future.set_result(value)

    async def drain(self) -> None:
        """Refuse new calls and wait for those that are waiting."""
        self._closed = True
        await self._queue.join()


class _Worker:
    """One aiosqlite connection, whose thread runs our functions.

    ``_execute`` and ``_conn`` are private names of aiosqlite 0.22, which pyproject.toml pins: its
    public calls cost a hop of threads for each statement, ours one for each batch.
    """

    def __init__(self, path: Path, *, writes: bool) -> None:
        self._path = path
        self._writes = writes
        self._db: aiosqlite.Connection | None = None
        self._engine: Engine | None = None
        self._conn: Connection | None = None
        self._raw: sqlite3.Connection | None = None

    async def start(self) -> None:
        # We say BEGIN ourselves: the driver's implicit one comes too late for SELECTs.
        self._db = await aiosqlite.connect(self._path, isolation_level=None)
        await self._in_thread(self._connect)

    async def run(self, fn: Callable[[Connection], T]) -> T:
        (outcome,) = await self.run_batch([fn])
        value, error = outcome
        if error is not None:
            raise error
        return value  # type: ignore[no-any-return]  # the batch forgets each job's type

    async def run_batch(
        self, jobs: Sequence[Callable[[Connection], Any]]
    ) -> list[tuple[Any, Exception | None]]:
        return await self._in_thread(lambda: self._batch(jobs))

    async def stop(self) -> None:
        if self._db is None:
            return
        await self._in_thread(self._disconnect)
        await self._db.close()

    async def _in_thread(self, fn: Callable[[], T]) -> T:
        assert self._db is not None, "started"
        # Shielded: a batch that is under way ends, so that the connection is never half used.
        done: T = await asyncio.shield(self._db._execute(fn))  # type: ignore[no-untyped-call]  # private, untyped there
        return done

    def _connect(self) -> None:
        assert self._db is not None, "started"
        raw = self._raw = self._db._conn
        for pragma in _PRAGMAS:
            raw.execute(f"pragma {pragma}").fetchall()
        if not self._writes:
            raw.execute("pragma query_only=on").fetchall()
        self._engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
        self._conn = self._engine.connect()

    def _disconnect(self) -> None:
        if self._conn is not None:
            self._conn.close()
        if self._engine is not None:
            self._engine.dispose()

    def _batch(
        self, jobs: Sequence[Callable[[Connection], Any]]
    ) -> list[tuple[Any, Exception | None]]:
        assert self._conn is not None, "started"
        assert self._raw is not None, "started"
        outcomes: list[tuple[Any, Exception | None]] = []
        try:
            # BEGIN and savepoints go past SQLAlchemy: its events for them would make every statement
            # a third dearer. IMMEDIATE: a writer that begins with a read would otherwise fail where
            # it should wait. SQLAlchemy's own COMMIT or ROLLBACK ends the transaction.
            self._raw.execute("begin immediate" if self._writes else "begin")
            with self._conn.begin():
                for job in jobs:
                    outcomes.append(self._one(self._conn, job))
        except Exception as error:  # noqa: BLE001 - the boundary of the thread
            # The disk is full, or the file is gone: nobody's change holds.
            _log.exception("a transaction of %d calls failed", len(jobs))
            return [(None, error)] * len(jobs)
        return outcomes

    def _one(
        self, conn: Connection, job: Callable[[Connection], Any]
    ) -> tuple[Any, Exception | None]:
        assert self._raw is not None, "started"
        if self._writes:
            self._raw.execute("savepoint one")
        try:
            return job(conn), None
        except Exception as error:  # noqa: BLE001 - the boundary of one call: it is its caller's
            if self._writes:
                self._raw.execute("rollback to one")
            return None, error
        finally:
            if self._writes:
                self._raw.execute("release one")
