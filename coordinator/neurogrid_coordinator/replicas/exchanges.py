"""Exchanges with replicas, one after the other over streams that stay open between them.

Opening a stream takes the market process, and two trips to the node; over one that is there a request leaves at once, with what
begins its exchange, and the first thing that comes back is the answer. A stream is its node's, not a lease's: each exchange names
the lease that pays it, and the node looks at that anew.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.job_stream import (
    Exited,
    ExitReason,
    FrameKind,
    OpenPort,
    Refused,
    StreamFrame,
)
from neurogrid_marketplace.task import Lease

from ..gateway.connection import STALL_LIMIT_S, ServiceBroken, UsedUp
from ..market.errors import MarketAway
from ..market.job_stream import JobStream, JobStreamBroken
from ..services.errors import Unavailable
from ..services.job_access import refusal

# A node ends those that are idle for longer (`use.door`), so none is ended under a request.
IDLE_S: Final = 120.0
# Of one node, and of all.
IDLE_MAX: Final = 16
_IDLE_IN_ALL: Final = 128
# From an answer's last byte to the node's word that the exchange is over.
_LAST_WORD_LIMIT_S: Final = 5.0
_WELL: Final = Exited(0)


class Exchange:
    """One request and its answer; `gateway.connection.Connection`.

    Attributes:
        is_answered: whether all of the answer has come; whoever asks says so. Then its stream may stay.
        is_over: whether the node has said that it is.
    """

    def __init__(self, stream: JobStream, lease_id: str) -> None:
        self.is_answered = False
        self.is_over = False
        self._ended = False
        self._has_said = False
        self._stream = stream
        stream.begin(OpenPort(lease_id))

    async def read(self) -> bytes:
        """What comes next; b"" at its end.

        Raises:
            ServiceBroken: the way to the node is gone, or what it says is not expected. `UsedUp`: nobody could pay for the rest.
            Unavailable, Conflict: the node refuses the exchange.
        """
        while not self._ended:
            try:
                said = self._take(await self._stream.receive())
            except (JobStreamBroken, MalformedMessage) as error:
                raise ServiceBroken(str(error)) from error
            if said:
                return said
        return b""

    def _take(self, frame: StreamFrame) -> bytes:
        match frame.kind:
            case FrameKind.OUTPUT:
                self._has_said = True
                return frame.payload
            case FrameKind.REFUSED if not self._has_said:
                self.is_over = self._ended = True
                raise refusal(frame.words(Refused))
            case FrameKind.EXITED:
                self._ended = True
                exited = frame.words(Exited)
                self.is_over = exited == _WELL
                if exited.reason is ExitReason.USED_UP:
                    raise UsedUp("its escrow cannot pay for more")
            case FrameKind.CREDIT:
                pass
            case _:
                raise ServiceBroken(f"{frame.kind.name} is not expected")
        return b""

    async def write(self, data: bytes) -> None:
        """Give it all of this.

        Raises:
            ServiceBroken: it takes none.
        """
        try:
            async with asyncio.timeout(STALL_LIMIT_S):
                await self._stream.write(data)
        except TimeoutError:
            raise ServiceBroken(f"it took nothing for {STALL_LIMIT_S:g} s") from None
        except JobStreamBroken as error:
            raise ServiceBroken(str(error)) from error

    async def until_over(self) -> None:
        """Wait for the node's last word: there is nothing before it that would still be read."""
        try:
            async with asyncio.timeout(_LAST_WORD_LIMIT_S):
                while await self.read():
                    pass
        except (TimeoutError, ServiceBroken):
            return


class Exchanges:
    """See the module.

    Args:
        open_stream: to a node; raises `MarketAway`.
    """

    def __init__(self, open_stream: Callable[[str], Awaitable[JobStream]]) -> None:
        self._open_stream = open_stream
        # By node; the one used last is the last.
        self._idle: defaultdict[str, list[tuple[JobStream, asyncio.TimerHandle]]] = defaultdict(
            list
        )
        self._ending: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @asynccontextmanager
    async def under(self, lease: Lease) -> AsyncIterator[Exchange]:
        """An exchange under a lease for use; leaving before its answer is whole breaks it off.

        Raises:
            Unavailable: there is no way to the node now.
        """
        stream = self._taken(lease.node_id) or await self._opened(lease.node_id)
        exchange = Exchange(stream, lease.lease_id)
        try:
            yield exchange
        except BaseException:
            exchange.is_answered = False
            raise
        finally:
            if exchange.is_answered and not exchange.is_over:
                ending = asyncio.create_task(exchange.until_over())
                self._ending.add(ending)
                # A task that is cancelled before it begins does nothing, and its callback is called all the same.
                ending.add_done_callback(partial(self._over, lease.node_id, stream, exchange))
            else:
                self._leave(lease.node_id, stream, exchange)

    @property
    def idle(self) -> int:
        """How many streams nobody uses."""
        return sum(map(len, self._idle.values()))

    def _taken(self, node_id: str) -> JobStream | None:
        idle = self._idle.get(node_id, [])
        while idle:
            stream, closing = idle.pop()
            closing.cancel()
            if not stream.has_ended:
                return stream
            stream.close()
        self._idle.pop(node_id, None)
        return None

    async def _opened(self, node_id: str) -> JobStream:
        try:
            return await self._open_stream(node_id)
        except MarketAway as error:
            raise Unavailable("the market is being restarted; try again in a moment") from error

    def _over(
        self, node_id: str, stream: JobStream, exchange: Exchange, ending: "asyncio.Task[None]"
    ) -> None:
        self._ending.discard(ending)
        self._leave(node_id, stream, exchange)

    def _leave(self, node_id: str, stream: JobStream, exchange: Exchange) -> None:
        """Keep the stream for the next exchange, where it bears one."""
        is_room = len(self._idle[node_id]) < IDLE_MAX and self.idle < _IDLE_IN_ALL
        if not exchange.is_over or not is_room or stream.has_ended or self._is_closed:
            stream.close()
            return

        def close() -> None:
            self._idle[node_id].remove(kept)
            stream.close()

        kept = (stream, asyncio.get_running_loop().call_later(IDLE_S, close))
        self._idle[node_id].append(kept)

    async def aclose(self) -> None:
        """End those that nobody uses, and keep no more."""
        self._is_closed = True
        for ending in list(self._ending):
            ending.cancel()
        await asyncio.gather(*self._ending, return_exceptions=True)
        for idle in self._idle.values():
            for stream, closing in idle:
                closing.cancel()
                stream.close()
        self._idle.clear()
