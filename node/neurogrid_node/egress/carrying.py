"""The job's end of a connection, and carrying bytes both ways at once."""

from collections.abc import Awaitable, Callable

import trio

from .dialling import ConnectionRefused

BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError)
_READ_BYTES = 64 * 1024
# What a job may still be sending when it is refused, so that it gets to read why.
_DRAIN_BYTES = 256 * 1024
_DRAIN_S = 1.0


class JobStream:
    """The job's end.

    Attributes:
        is_answered: whether the job has been sent anything.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self.is_answered = False

    async def receive(self, max_bytes: int = _READ_BYTES) -> bytes:
        """What the job sends; empty at its end."""
        return bytes(await self._stream.receive_some(max_bytes))

    async def send(self, data: bytes) -> None:
        """Send to the job, which may take its time."""
        self.is_answered = True
        await self._stream.send_all(data)

    async def send_eof(self) -> None:
        """Nothing more will come."""
        await self._stream.send_eof()

    async def send_last(self, data: bytes) -> None:
        """The last words: what the job still sends is taken for a moment, so that it gets to read them."""
        with trio.move_on_after(_DRAIN_S):
            await self.send(data)
            await self.send_eof()
            taken = 0
            while taken < _DRAIN_BYTES and (piece := await self.receive()):
                taken += len(piece)


async def both(
    one: Callable[[], Awaitable[None]],
    other: Callable[[], Awaitable[None]],
    *,
    ends_with: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Carry both ways until both have ended, or ``ends_with`` has; the first failure ends both.

    Raises:
        ConnectionRefused, trio.BrokenResourceError, trio.ClosedResourceError: that failure.
    """
    failure: Exception | None = None

    async def run(direction: Callable[[], Awaitable[None]]) -> None:
        nonlocal failure
        try:
            await direction()
        except (ConnectionRefused, *BROKEN) as error:
            failure = failure or error
            nursery.cancel_scope.cancel()
        if direction is ends_with:
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, one)
        nursery.start_soon(run, other)
    if failure is not None:
        raise failure


async def copy(
    receive: Callable[[], Awaitable[bytes]],
    send: Callable[[bytes], Awaitable[None]],
    send_eof: Callable[[], Awaitable[None]],
) -> None:
    """Bytes as they come, and then the end."""
    while data := await receive():
        await send(data)
    await send_eof()
