"""Ways into running jobs, for the owners of their tasks: commands beside them, connections to their ports."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

from sqlalchemy import Connection

from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.job import Job
from neurogrid_marketplace.job_stream import FrameKind, Open, OpenPort, Refused, StreamRefusal
from neurogrid_marketplace.task import Lease, Phase

from ..market.errors import MarketAway
from ..market.job_stream import JobStream, JobStreamBroken
from ..store.accounts import Account
from ..store.database import Database
from . import errors
from .task_details import owned

# Open at once.
COMMANDS_PER_ACCOUNT = 32
CONNECTIONS_PER_ACCOUNT = 128
# A node gives its engine 30 s to start a command.
_START_LIMIT_S = 45.0
# These pass; the others need another task, node or moment.
_PASSING = frozenset(
    {StreamRefusal.NODE_AWAY, StreamRefusal.NOT_READY, StreamRefusal.NOT_LISTENING}
)


class JobAccess:
    """Opens streams into jobs.

    Args:
        open_stream: to a node, which has said nothing yet; raises `MarketAway`.
    """

    def __init__(
        self, database: Database, open_stream: Callable[[str], Awaitable[JobStream]]
    ) -> None:
        self._database = database
        self._open_stream = open_stream
        self._commands: Counter[str] = Counter()
        self._connections: Counter[str] = Counter()

    async def lease(self, account: Account, task_id: str) -> Lease:
        """The lease under which this task runs now, whose job lets commands in.

        Raises:
            NotFound: there is no such task, or it is somebody else's.
            Conflict: it was submitted without this, or does not run; ``reason`` says which.
        """
        return await self._lease(account, task_id, _require_interactive)

    async def serving(self, account: Account, task_id: str) -> Lease:
        """The lease under which this task runs now, whose job has a port.

        Raises:
            As `lease`.
        """
        return await self._lease(account, task_id, _require_service)

    @asynccontextmanager
    async def command(
        self, account: Account, task_id: str, wanted: Open
    ) -> AsyncIterator[JobStream]:
        """A command that runs beside the task's job; leaving ends it.

        Args:
            wanted: of any lease.

        Raises:
            NotFound, Conflict: see `lease`; Conflict also for what the node refuses.
            Unavailable: the node, or our side, can't do it now.
        """
        lease = await self.lease(account, task_id)
        with _one_more(self._commands, account, COMMANDS_PER_ACCOUNT, "commands"):
            its = replace(wanted, lease_id=lease.lease_id)
            async with opened(self._open_stream, lease.node_id, its) as stream:
                yield stream

    @asynccontextmanager
    async def connection(self, account: Account, task_id: str) -> AsyncIterator[JobStream]:
        """A connection to the port of the task's job; leaving ends it.

        Raises:
            NotFound, Conflict: see `serving`; Conflict also for what the node refuses.
            Unavailable: the node, or our side, can't do it now; or nothing listens there yet.
        """
        lease = await self.serving(account, task_id)
        with _one_more(self._connections, account, CONNECTIONS_PER_ACCOUNT, "connections"):
            wanted = OpenPort(lease.lease_id)
            async with opened(self._open_stream, lease.node_id, wanted) as stream:
                yield stream

    async def _lease(self, account: Account, task_id: str, require: Callable[[Job], None]) -> Lease:
        def read(conn: Connection) -> Lease:
            row = owned(conn, account, task_id)
            require(row.job)
            lease = row.state.lease
            if row.phase is not Phase.RUNNING or lease is None:
                raise _conflict(
                    StreamRefusal.NOT_RUNNING,
                    f"the task is {row.phase.value}: its job does not run now",
                )
            return lease

        return await self._database.read(read)


@asynccontextmanager
async def opened(
    open_stream: Callable[[str], Awaitable[JobStream]], node_id: str, wanted: Open | OpenPort
) -> AsyncIterator[JobStream]:
    """A stream into a job that its node has let in; leaving ends it.

    Args:
        open_stream: see `JobAccess`.

    Raises:
        Conflict: the node refuses it.
        Unavailable: the node, or our side, can't do it now; or nothing listens there yet.
    """
    try:
        stream = await open_stream(node_id)
    except MarketAway as error:
        raise errors.Unavailable("the market is being restarted; try again in a moment") from error
    try:
        await _begin(stream, wanted)
        yield stream
    finally:
        stream.close()


def _require_interactive(job: Job) -> None:
    if not job.interactive:
        raise _conflict(
            StreamRefusal.NOT_INTERACTIVE,
            "the task was submitted without interactive: its node lets nobody in",
        )


def _require_service(job: Job) -> None:
    if job.service is None:
        raise _conflict(
            StreamRefusal.NO_SERVICE,
            "the task was submitted without a port (service): there is nothing to connect to",
        )


@contextmanager
def _one_more(counts: Counter[str], account: Account, most: int, what: str) -> Iterator[None]:
    if counts[account.id] >= most:
        raise _conflict(
            StreamRefusal.TOO_MANY, f"{most} {what} of this account are open already; end some"
        )
    counts[account.id] += 1
    try:
        yield
    finally:
        counts[account.id] -= 1
        if not counts[account.id]:
            del counts[account.id]


async def _begin(stream: JobStream, wanted: Open | OpenPort) -> None:
    """Have the node open it."""
    try:
        async with asyncio.timeout(_START_LIMIT_S):
            await stream.say(wanted)
            frame = await stream.receive()
        if frame.kind is FrameKind.OPENED:
            return
        if frame.kind is not FrameKind.REFUSED:
            raise MalformedMessage(f"{frame.kind.name} is no answer")
        refused = frame.words(Refused)
    except TimeoutError as error:
        raise errors.Unavailable(f"the node did not answer in {_START_LIMIT_S:.0f} s") from error
    except (JobStreamBroken, MalformedMessage) as error:
        raise errors.Unavailable(f"it could not be opened: {error}") from error
    raise refusal(refused)


def refusal(refused: Refused) -> errors.Unavailable | errors.Conflict:
    """What a node's refusal is to whoever asked; ``reason`` of a Conflict says which."""
    if refused.code in _PASSING:
        return errors.Unavailable(refused.message)
    return _conflict(refused.code, refused.message)


def _conflict(code: StreamRefusal, message: str) -> errors.Conflict:
    return errors.Conflict(message, {"reason": code.value})
