"""Bytes to and from one peer, on a stream beside its channel: for what is no message, such as files."""

from contextlib import suppress

from ._libp2p import ConnectionClosedError, MuxedStreamError
from .errors import ChannelClosed
from .line import Line, MessageStream, end_stream


class ByteStream:
    """One stream; read by one task and written by one task.

    Attributes:
        remote_id: the peer's id, proven by the handshake.
    """

    def __init__(self, connection: Line, stream: MessageStream) -> None:
        self.remote_id = connection.remote_id
        self._connection = connection
        self._stream = stream

    async def read(self, n: int) -> bytes:
        """At least one and up to ``n`` bytes; none at the end.

        Raises:
            ChannelClosed: the stream broke, and what was read so far may not be all.
        """
        try:
            data = await self._stream.read(n)
        except (MuxedStreamError, ConnectionClosedError) as error:
            raise ChannelClosed(str(error)) from error
        if not data and self._stream.reset_received:
            raise ChannelClosed("reset by the peer")
        return data

    async def write(self, data: bytes) -> None:
        """Send all of ``data``, waiting while the peer has no room.

        Raises:
            ChannelClosed: it broke, or the peer takes nothing.
        """
        try:
            await self._stream.write(data)
        except (MuxedStreamError, ConnectionClosedError) as error:
            raise ChannelClosed(str(error)) from error

    async def finish(self) -> None:
        """Say that we write no more."""
        # Its connection may be over, and it too.
        with suppress(MuxedStreamError, ConnectionClosedError):
            await self._stream.close()

    def close(self) -> None:
        """End it both ways; never waits."""
        end_stream(self._connection, self._stream)
