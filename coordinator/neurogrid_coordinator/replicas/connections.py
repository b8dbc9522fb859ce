"""Connections to replicas' servers, kept between requests: opening one takes a stream to the node, and there a look at the
container and a socket in its network.

They are the coordinator's own, to a server that it chose. One is used again only where its last answer ended as it should; what a
server says while nobody asks it, its end included, closes it.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final

from neurogrid_marketplace.job_stream import OpenPort
from neurogrid_marketplace.task import Lease

from ..gateway.connection import ServiceBroken, ServiceConnection
from ..market.job_stream import JobStream
from ..services.job_access import opened

# Servers close silent connections, many after five seconds; before that we do.
IDLE_S: Final = 4.0
# Of one replica.
IDLE_MAX: Final = 16


class KeptConnection:
    """A connection; `gateway.connection.Connection`.

    Attributes:
        was_used: whether it has had a request before.
        may_stay: whether it can have another after this one; whoever asks says so.
    """

    def __init__(self, connection: ServiceConnection, stack: AsyncExitStack) -> None:
        self.was_used = False
        self.may_stay = False
        self._connection = connection
        self._stack = stack
        self._ahead: asyncio.Task[bytes] | None = None

    async def read(self) -> bytes:
        """What comes next; see `Connection`."""
        if self._ahead is not None:
            ahead, self._ahead = self._ahead, None
            return await ahead
        return await self._connection.read()

    async def write(self, data: bytes) -> None:
        """Give it all of this; see `Connection`."""
        await self._connection.write(data)

    def listen(self) -> "asyncio.Task[bytes]":
        """Read ahead: while nobody asks it, a server has nothing to say."""
        self._ahead = asyncio.create_task(self._connection.read())
        return self._ahead

    async def aclose(self) -> None:
        """End it."""
        if self._ahead is not None:
            self._ahead.cancel()
            with suppress(asyncio.CancelledError, ServiceBroken):
                await self._ahead
        await self._stack.aclose()


_Kept = tuple[KeptConnection, "asyncio.Task[bytes]"]


class Connections:
    """See the module.

    Args:
        open_stream: to a node; raises `MarketAway`.
    """

    def __init__(self, open_stream: Callable[[str], Awaitable[JobStream]]) -> None:
        self._open_stream = open_stream
        # By lease: with what reads ahead.
        self._idle: defaultdict[str, list[_Kept]] = defaultdict(list)
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def to(self, lease: Lease, *, new: bool = False) -> AsyncIterator[KeptConnection]:
        """A connection to the server of this lease's job; leaving closes it, or keeps it where it may stay.

        Args:
            new: it has had no request before.

        Raises:
            Unavailable, Conflict: it cannot be had.
        """
        connection = None if new else self._taken(lease.lease_id)
        if connection is None:
            connection = await self._opened(lease)
        connection.may_stay = False
        try:
            yield connection
        finally:
            connection.was_used = True
            if connection.may_stay and len(self._idle[lease.lease_id]) < IDLE_MAX:
                self._keep(lease.lease_id, connection)
            else:
                await connection.aclose()

    @property
    def idle(self) -> int:
        """How many nobody uses."""
        return sum(map(len, self._idle.values()))

    def _taken(self, lease_id: str) -> KeptConnection | None:
        idle = self._idle.get(lease_id, [])
        while idle:
            connection, ahead = idle.pop()
            if not ahead.done():
                return connection
            self._spawn(connection.aclose())
        self._idle.pop(lease_id, None)
        return None

    async def _opened(self, lease: Lease) -> KeptConnection:
        async with AsyncExitStack() as stack:
            wanted = OpenPort(lease.lease_id)
            stream = await stack.enter_async_context(
                opened(self._open_stream, lease.node_id, wanted)
            )
            return KeptConnection(ServiceConnection(stream), stack.pop_all())

    def _keep(self, lease_id: str, connection: KeptConnection) -> None:
        kept = (connection, connection.listen())
        self._idle[lease_id].append(kept)
        self._spawn(self._watch(lease_id, kept))

    async def _watch(self, lease_id: str, kept: _Kept) -> None:
        """Close one that says something while it is idle, that is gone, or idle for long."""
        connection, ahead = kept
        await asyncio.wait({ahead}, timeout=IDLE_S)
        idle = self._idle.get(lease_id, [])
        if kept in idle:
            idle.remove(kept)
            await connection.aclose()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        """End those that nobody uses."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for idle in self._idle.values():
            for connection, _ in idle:
                await connection.aclose()
        self._idle.clear()
