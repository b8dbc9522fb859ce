"""The way to one other member's node: a queue of packets, and the stream that carries them while there is one."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.gang_packets import ALIVE, FrameCutter
from neurogrid_p2p.errors import ChannelClosed

# What may wait for one member: a tenth of a second at 10 MB/s. More is dropped, and TCP slows down.
QUEUE_BYTES = 1024 * 1024
# One Noise message holds this much, so that a batch is one on the wire.
_BATCH_BYTES = 65_000
_READ_BYTES = 262_144
# An idle stream shows that it is alive, and one that does not is given up. Under the 30 s after which
# some NATs forget a connection.
ALIVE_S = 15.0
SILENCE_S = 45.0


class PacketStream(Protocol):
    """Bytes to and from the other node; a `ByteStream`."""

    async def read(self, n: int) -> bytes:
        """See `ByteStream`."""

    async def write(self, data: bytes) -> None:
        """See `ByteStream`."""


class Pair:
    """Packets to and from the node of one rank.

    Args:
        received: called with the frames that came, in order.
    """

    def __init__(self, received: Callable[[list[bytes]], Awaitable[None]]) -> None:
        self._received = received
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._wakes_writer = trio.Event()
        self._scope = trio.CancelScope()

    def queue(self, frame: bytes) -> bool:
        """Have a packet sent; False if there is no room for it."""
        if self._queued_bytes + len(frame) > QUEUE_BYTES:
            return False
        self._queue.append(frame)
        self._queued_bytes += len(frame)
        self._wakes_writer.set()
        return True

    async def carry(self, stream: PacketStream) -> str:
        """Carry packets over a stream to its end; returns why it ended. A newer stream ends the older."""
        self.hang_up()
        self._scope = trio.CancelScope()
        reason = "we hung up"

        async def until_ended(direction: Callable[[PacketStream], Awaitable[str]]) -> None:
            nonlocal reason
            try:
                reason = await direction(stream)
            except (ChannelClosed, MalformedMessage) as error:
                reason = str(error)
            nursery.cancel_scope.cancel()

        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(until_ended, self._write)
                nursery.start_soon(until_ended, self._read)
        return reason

    def hang_up(self) -> None:
        """End the stream, if there is one."""
        self._scope.cancel()

    async def _write(self, stream: PacketStream) -> str:
        while True:
            if not self._queue:
                self._wakes_writer = trio.Event()
                with trio.move_on_after(ALIVE_S):
                    await self._wakes_writer.wait()
            await stream.write(self._next_batch() or ALIVE)

    async def _read(self, stream: PacketStream) -> str:
        cutter = FrameCutter()
        while True:
            with trio.move_on_after(SILENCE_S) as limit:
                data = await stream.read(_READ_BYTES)
            if limit.cancelled_caught:
                return f"silent for {SILENCE_S:.0f} s"
            if not data:
                return "it was closed"
            await self._received(cutter.feed(data))

    def _next_batch(self) -> bytes:
        batch = []
        room = _BATCH_BYTES
        while self._queue and len(self._queue[0]) <= room:
            batch.append(self._queue.popleft())
            room -= len(batch[-1])
        self._queued_bytes -= _BATCH_BYTES - room
        return b"".join(batch)
