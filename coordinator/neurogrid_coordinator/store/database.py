"""The database: sync functions over a SQLAlchemy `Connection`, run off the event loop.

    async with Database.open(place) as db:
        account = await db.read(accounts.get, account_id)
        row, created = await db.write(tasks.insert_new, task, now_ms)

``write`` returns when the change is on the disk. One thread writes; what is waiting when it is
free goes into one transaction with a savepoint each (group commit: one fsync for up to
``_BATCH_MAX`` writes), so a write that raises undoes itself alone. While one group waits for the disk the
next is carried out; what is read of a group that the disk does not have yet is given out when it has. Readers
are threads of their own, with a snapshot per batch that holds every write that had returned before.

SQLAlchemy's synchronous Core costs 25-50 microseconds per query and its asyncio wrapper 300-600,
which is why functions travel to the connection, and why those that all requests run are `prepared`.
What is brief does not even travel, on SQLite: see `read_briefly` and `write_briefly`. A function sees the same on
SQLite (`sqlite`) and on PostgreSQL (`postgresql`): while it writes nobody else does, also not another coordinator.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection

from . import audit, repeats
from .away import DRIVER_MISSING, DatabaseAway, Overloaded, ServerUnfit
from .places import Place
from .sqlite import Outcome, SqliteOnLoop, SqliteWorker

__all__ = ["Database", "DatabaseAway", "DatabaseClosed", "Overloaded"]

P = ParamSpec("P")
T = TypeVar("T")

# A batch that is longer only delays its first caller; 256 already make the fsync negligible.
_BATCH_MAX = 256
# The loop does nothing else while it carries out brief ones: at 0.1 ms each, some milliseconds.
_BRIEF_MAX = 64
_READERS = 2
# How many calls may wait, before `Overloaded`: at 2,000 a second, two seconds of work.
QUEUE_MAX = 4096


class DatabaseClosed(Exception):
    """The database was closed before this call was carried out."""


class TakesLong(Exception):
    """What was to be brief is not: carry it out with `Database.write`."""


class _Worker(Protocol):
    """A thread with a connection of its own."""

    async def start(self) -> None: ...

    async def migrate(self) -> None: ...

    async def fence(self, term: int) -> None: ...

    async def run_batch(
        self, jobs: Sequence[Callable[[Connection], Any]], *, brief: int = 0
    ) -> tuple[list[Outcome], asyncio.Future[None] | None]: ...

    async def settled(self) -> None: ...

    async def stop(self) -> None: ...


class Database:
    """One database: a writer thread and a few reader threads. Use `Database.open`.

    Attributes:
        connections: how many it has to its place.
    """

    def __init__(
        self, writer: "_Lane", readers: "_Lane", worker: _Worker, on_loop: SqliteOnLoop | None
    ) -> None:
        self._writer = writer
        self._worker = worker
        self._readers = readers
        self._on_loop = on_loop
        self.connections = 1 + _READERS + (on_loop is not None)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        place: Place,
        *,
        queue_max: int = QUEUE_MAX,
        sync: Callable[[int], None] = os.fdatasync,
    ) -> AsyncIterator["Database"]:
        """Open the database, creating a file and migrating the schema where that is due.

        Args:
            place: a SQLite file, or a database on a server.
            queue_max: how many writes, and how many reads, may wait.
            sync: forces a SQLite file to the disk, by its descriptor.

        Raises:
            migrations.SchemaTooNew: a newer release wrote it.
            DatabaseInUse: the schema is due, and other coordinators run on it.
            DatabaseAway: the server does not answer.
            ServerUnfit: it cannot be used: too old, another encoding, no driver here.
        """
        writer = _worker(place, sync)
        workers = [writer]
        on_loop = None
        try:
            await writer.start()
            await writer.migrate()
            for _ in range(_READERS):
                reader = _worker(place, None)
                await reader.start()
                workers.append(reader)
            if isinstance(place, Path):
                on_loop = SqliteOnLoop(place)
            database = cls(_Lane("writes", queue_max), _Lane("reads", queue_max), writer, on_loop)
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
            if on_loop is not None:
                on_loop.close()
            for worker in workers:
                await worker.stop()

    async def write(
        self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``fn(connection, ...)`` in a transaction; what it returns, once that is durable.

        It may be run again where a server went away before it was committed: it changes nothing
        but the database. A caller that is cancelled does not know whether it happened. Where somebody
        acts (`audit.act`), who that is is written down with the first change; where a request carries an
        idempotency key (`repeats.expect`), it is claimed with that, too.

        Raises:
            Overloaded: too many are waiting, or the server is away; nothing was done.
            OutcomeUnknown: the server went away while it committed, and did not come back; or the disk failed (`failing`).
            repeats.Taken: the request's idempotency key was claimed by another.
            whatever ``fn`` raises; its changes are undone.
        """

        return await self._write(lambda conn: fn(conn, *args, **kwargs), brief=False)

    async def write_briefly(
        self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `write`, for what takes a few statements by key: on SQLite they are carried out on the loop's own thread,
        before the others that wait. Never for what may go through many rows.

        Raises:
            TakesLong: ``fn`` raised it, to be carried out by `write`.
            whatever `write` raises.
        """
        return await self._write(lambda conn: fn(conn, *args, **kwargs), brief=True)

    async def _write(self, fn: Callable[[Connection], T], *, brief: bool) -> T:
        def recorded(conn: Connection) -> T:
            repeats.claim(conn)
            value = fn(conn)
            audit.record(conn)
            return value

        value = await self._writer.submit(recorded, brief=brief)
        audit.recorded()
        repeats.claimed()
        return value

    async def failing(self) -> None:
        """Wait for as long as what is written can be kept.

        Raises:
            DiskFailed: the disk of a SQLite file refused something, and every call raises this from now on: the process
                has to end.
        """
        await self._writer.failed.wait()
        await self._worker.settled()

    async def fence(self, term: int) -> None:
        """Write from now on only while this process leads, in this term (`lead.Lead`).

        Whoever was stopped for so long that another coordinator leads now writes nothing more: `write` raises
        `LeadLost`, and the process has to end.
        """
        await self._worker.fence(term)

    async def read(
        self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``fn(connection, ...)`` on a snapshot that holds every write that has returned.

        Raises:
            Overloaded: as of `write`.
        """
        value = await self._readers.submit(lambda conn: fn(conn, *args, **kwargs))
        await self._worker.settled()
        return value

    async def read_briefly(
        self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `read`, for what a few lookups by key answer: on SQLite it is done at once, on the loop's own thread.
        Never for lists and sums.

        Raises:
            Overloaded: as of `write`, where it waits.
        """
        if self._on_loop is None:
            return await self.read(fn, *args, **kwargs)
        if self._writer.closed:
            raise DatabaseClosed("no more reads: the coordinator is stopping")
        value = self._on_loop.read(lambda conn: fn(conn, *args, **kwargs))
        await self._worker.settled()
        return value


def _worker(place: Place, sync: Callable[[int], None] | None) -> _Worker:
    """Args: sync: None: it only reads."""
    if isinstance(place, Path):
        return SqliteWorker(place, sync)
    # Its driver is an extra, which coordinators on SQLite do without.
    try:
        from .postgresql import PostgresqlWorker
    except ModuleNotFoundError as error:
        raise ServerUnfit(DRIVER_MISSING) from error

    return PostgresqlWorker(place, writes=sync is not None)


class _Call(Generic[T]):
    """What somebody waits for."""

    __slots__ = ("_context", "_fn", "brief", "done")

    def __init__(self, fn: Callable[[Connection], T], *, brief: bool) -> None:
        self._fn = fn
        # What it logs in the other thread is about the same as what its caller does.
        self._context = copy_context()
        self.done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.brief = brief

    def carry_out(self, conn: Connection) -> T:
        """Do it, as its caller would."""
        return self._context.run(self._fn, conn)


class _Lane:
    """Calls that wait for a worker; whoever is free takes all that are there, up to a batch."""

    def __init__(self, name: str, waiting_max: int) -> None:
        self._name = name
        self._waiting_max = waiting_max
        self._waiting: deque[_Call[Any]] = deque()
        self._asked = asyncio.Event()
        # Those that wait, and those that are carried out.
        self._open = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.closed = False
        # The disk has.
        self.failed = asyncio.Event()

    async def submit(self, fn: Callable[[Connection], T], *, brief: bool = False) -> T:
        if self.closed:
            raise DatabaseClosed(f"no more {self._name}: the coordinator is stopping")
        if len(self._waiting) >= self._waiting_max:
            raise Overloaded(f"{self._waiting_max} {self._name} are waiting")
        call = _Call(fn, brief=brief)
        self._waiting.append(call)
        if not self._open:
            self._idle.clear()
        self._open += 1
        self._asked.set()
        return await call.done

    async def serve(self, worker: _Worker) -> None:
        while True:
            brief, others = await self._batch()
            batch = brief + others
            outcomes, durable = await worker.run_batch(
                [call.carry_out for call in batch], brief=len(brief)
            )
            if durable is None:
                self._tell(batch, outcomes)
            else:
                # The next batch need not wait for the disk; who waits for this one does.
                durable.add_done_callback(partial(self._tell_if_durable, batch, outcomes))

    def _tell_if_durable(
        self, batch: list[_Call[Any]], outcomes: list[Outcome], durable: asyncio.Future[None]
    ) -> None:
        error = durable.exception()
        if isinstance(error, Exception):
            self.failed.set()
            outcomes = [(None, error)] * len(batch)
        self._tell(batch, outcomes)

    def _tell(self, batch: list[_Call[Any]], outcomes: list[Outcome]) -> None:
        self._open -= len(batch)
        if not self._open:
            self._idle.set()
        for call, (value, error) in zip(batch, outcomes, strict=True):
            if call.done.cancelled():
                continue
            if error is not None:
                call.done.set_exception(error)
            else:
                call.done.set_result(value)

    async def _batch(self) -> tuple[list[_Call[Any]], list[_Call[Any]]]:
        """Calls that are to be carried out next, the brief ones apart; at least one."""
        while not self._waiting:
            self._asked.clear()
            await self._asked.wait()
        if self._waiting[0].brief:
            # Whoever is about to ask, in this turn of the loop, goes along. Nobody else takes them: one writes.
            await asyncio.sleep(0)
        brief: list[_Call[Any]] = []
        others: list[_Call[Any]] = []
        while self._waiting and len(brief) < _BRIEF_MAX and len(brief) + len(others) < _BATCH_MAX:
            call = self._waiting.popleft()
            (brief if call.brief else others).append(call)
        return brief, others

    async def drain(self) -> None:
        """Refuse new calls and wait for those that are waiting."""
        self.closed = True
        await self._idle.wait()
