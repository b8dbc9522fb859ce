"""A channel: whole messages in both directions over one stream of one connection.

One task reads and one writes, and neither is cancelled while it holds part of a frame; `send` and
`receive` only touch bounded queues, so a caller may cancel them at any time.

The channel that was dialled owns its connection: closing the one closes the other. Those that are
opened beside it (`Channel.open`) close their stream alone.
"""

import contextlib
import logging
from collections import deque
from collections.abc import Mapping

import trio

from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.wire import FrameDecoder, encode_frame

from ._libp2p import ConnectionClosedError, MuxedStreamError
from .byte_stream import ByteStream
from .errors import ChannelClosed, HandshakeFailed
from .line import Line, MessageStream, end_stream

# What may wait to be sent. A frame is let in while less than this waits, so that the largest frame
# (1 MiB) always fits an empty queue.
OUTBOX_BYTES = 1024 * 1024
# `aclose` lets what waits be sent for this long, and the peer take it for this long.
FLUSH_LIMIT_S = 2.0
FINISH_LIMIT_S = 0.5
_READ_BYTES = 65_536

_log = logging.getLogger(__name__)


class Channel:
    """Messages to and from one peer.

    Deadlines are the caller's: ``with trio.fail_after(...)`` around `send` or `receive`.

    Attributes:
        remote_id: the peer's id, proven by the handshake.
        received_bytes: what has arrived so far, for whoever limits the rate.
    """

    def __init__(
        self, connection: Line, stream: MessageStream, *, owns_connection: bool = True
    ) -> None:
        self.remote_id = connection.remote_id
        self.received_bytes = 0
        self._connection = connection
        self._stream = stream
        self._owns_connection = owns_connection
        self._reason: str | None = None
        self._outbox: deque[bytes] = deque()
        self._outbox_bytes = 0
        self._wakes_writer = trio.Event()
        self._has_room = trio.Event()
        self._flushed = trio.Event()
        self._flushed.set()
        self._read_to_end = trio.Event()
        # No buffer: while nobody receives, nobody reads, and the peer's window fills up.
        self._deliver, self._inbox = trio.open_memory_channel[dict[str, object]](0)
        connection.call_at_end(self._connection_ended)
        connection.nursery.start_soon(self._read)
        connection.nursery.start_soon(self._write)

    @property
    def closed_reason(self) -> str | None:
        """Why the channel is closed; None while it is open."""
        return self._reason

    @property
    def waiting_bytes(self) -> int:
        """What waits to be sent."""
        return self._outbox_bytes

    async def send(self, message: Mapping[str, object]) -> None:
        """Queue one message; waits while ``OUTBOX_BYTES`` are waiting already.

        Cancelled, it has queued nothing.

        Raises:
            ChannelClosed: it is closed.
            InvalidValue: the message is larger than `wire.MAX_FRAME_BYTES`.
        """
        frame = encode_frame(dict(message))
        await trio.lowlevel.checkpoint()
        while self._reason is None and self._outbox_bytes >= OUTBOX_BYTES:
            self._has_room = trio.Event() if self._has_room.is_set() else self._has_room
            await self._has_room.wait()
        if self._reason is not None:
            raise ChannelClosed(self._reason)
        self._outbox.append(frame)
        self._outbox_bytes += len(frame)
        self._flushed = trio.Event() if self._flushed.is_set() else self._flushed
        self._wakes_writer.set()

    async def receive(self) -> dict[str, object]:
        """The next message.

        Messages that arrived before the peer closed are still delivered.

        Raises:
            ChannelClosed: the peer closed, broke the framing or went away, or we closed.
        """
        try:
            return await self._inbox.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            assert self._reason is not None, "an end has a reason"
            raise ChannelClosed(self._reason) from None

    async def open(self, protocol: str) -> "Channel":
        """Another channel to the same peer, on a stream of its own.

        Raises:
            ChannelClosed: the connection is, or the peer does not speak ``protocol`` (now).
        """
        try:
            stream = await self._connection.open_stream(protocol)
        except HandshakeFailed as error:
            raise ChannelClosed(str(error)) from error
        return Channel(self._connection, stream, owns_connection=False)

    def shares_connection(self, other: "Channel") -> bool:
        """Whether both travel on one connection."""
        return self._connection is other._connection

    async def open_bytes(self, protocol: str) -> ByteStream:
        """A stream of bytes to the same peer, beside this channel.

        Raises:
            HandshakeFailed: the connection is over, or the peer does not speak ``protocol``.
        """
        return ByteStream(self._connection, await self._connection.open_stream(protocol))

    async def aclose(self, reason: str = "closed here") -> None:
        """Send what waits, then close; takes at most three seconds."""
        with trio.CancelScope(shield=True):
            if self._reason is None:
                with trio.move_on_after(FLUSH_LIMIT_S):
                    await self._flushed.wait()
            self._end(reason)
            if self._owns_connection:
                await self._connection.finish(FINISH_LIMIT_S)
            else:
                await self._finish_stream()

    def abort(self, reason: str) -> None:
        """Close at once; what waits is dropped."""
        self._end(reason)
        if self._owns_connection:
            self._connection.abort()
        else:
            end_stream(self._connection, self._stream)

    def disconnect(self, reason: str) -> None:
        """Close the connection at once, whoever owns it: the peer broke the protocol."""
        self._end(reason)
        self._connection.cut_off("protocol")

    def _end(self, reason: str) -> None:
        """Close for us: what has not been received yet never will be."""
        self._stop_sending(reason)
        self._inbox.close()

    async def _finish_stream(self) -> None:
        """Say that nothing more comes, and let the peer say the same."""
        with trio.move_on_after(FINISH_LIMIT_S):
            try:
                await self._stream.close()
            except (MuxedStreamError, ConnectionClosedError):
                return  # the connection is over, and the stream with it
            await self._read_to_end.wait()
        if not self._stream.closed:
            end_stream(self._connection, self._stream)

    def _stop_sending(self, reason: str) -> None:
        if self._reason is None:
            self._reason = reason
            _log.debug("channel to %s: %s", self.remote_id, reason)
        self._wakes_writer.set()
        self._has_room.set()
        self._flushed.set()

    def _connection_ended(self) -> None:
        # The reader may still hold messages that nobody has received, so it cannot be the one
        # who notices.
        self._stop_sending("closed by the peer")

    async def _read(self) -> None:
        decoder = FrameDecoder()
        reason, is_broken = "closed by the peer", False
        try:
            while data := await self._stream.read(_READ_BYTES):
                self.received_bytes += len(data)
                for message in decoder.feed(data):
                    await self._deliver.send(message)
        except MalformedMessage as error:
            reason, is_broken = f"broke the framing: {error}", True
            _log.warning("%s %s", self.remote_id, reason)
        except trio.BrokenResourceError:
            reason = "closed here"
            await self._read_for_nobody()
        except (MuxedStreamError, ConnectionClosedError) as error:
            reason = str(error)
        finally:
            self._stop_sending(reason)
            self._deliver.close()
            self._read_to_end.set()
            self._connection.forget_at_end(self._connection_ended)
            if is_broken:
                self._connection.cut_off("protocol")
            elif self._owns_connection:
                self._connection.abort()

    async def _read_for_nobody(self) -> None:
        """What arrives after we closed, up to the peer's end of the stream."""
        with contextlib.suppress(MuxedStreamError, ConnectionClosedError):
            while not self._owns_connection and await self._stream.read(_READ_BYTES):
                pass

    async def _write(self) -> None:
        try:
            while self._reason is None or self._outbox:
                if not self._outbox:
                    self._flushed.set()
                    self._wakes_writer = trio.Event()
                    await self._wakes_writer.wait()
                    continue
                # Small frames go out together: fewer packets, fewer wake-ups at the other end.
                batch = bytearray(self._outbox.popleft())
                while self._outbox and len(batch) + len(self._outbox[0]) <= _READ_BYTES:
                    batch += self._outbox.popleft()
                await self._stream.write(bytes(batch))
                self._outbox_bytes -= len(batch)
                self._has_room.set()
        except (MuxedStreamError, ConnectionClosedError) as error:
            self.abort(str(error))
