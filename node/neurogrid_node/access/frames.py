"""Frames of a stream into a job, over bytes from the coordinator."""

import trio

from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.job_stream import FrameReader, StreamFrame
from neurogrid_p2p.byte_stream import ByteStream
from neurogrid_p2p.errors import ChannelClosed

_PIECE_BYTES = 64 * 1024
# The last frame is out; whoever reads it ends the stream then.
_FAREWELL_LIMIT_S = 30.0


class FrameStream:
    """Read by one task, written by any.

    Attributes:
        remote_id: the peer's id, proven by the handshake.
    """

    def __init__(self, stream: ByteStream) -> None:
        self.remote_id = stream.remote_id
        self._stream = stream
        self._reader = FrameReader()
        self._arrived: list[StreamFrame] = []
        self._writing = trio.Lock()

    async def receive(self) -> StreamFrame:
        """The next frame.

        Raises:
            ChannelClosed: there is none, or what came is no frame.
        """
        while (frame := self.arrived()) is None:
            data = await self._stream.read(_PIECE_BYTES)
            if not data:
                raise ChannelClosed("the other side is gone")
            try:
                self._arrived = list(self._reader.feed(data))
            except MalformedMessage as error:
                raise ChannelClosed(f"broke the protocol: {error}") from error
            self._arrived.reverse()
        return frame

    def arrived(self) -> StreamFrame | None:
        """The next frame, if it has come already."""
        return self._arrived.pop() if self._arrived else None

    async def send(self, frame: bytes) -> None:
        """Send one frame whole.

        Raises:
            ChannelClosed: the stream broke.
        """
        try:
            # Free, as nearly always: trio would first look at all that could go on.
            self._writing.acquire_nowait()
        except trio.WouldBlock:
            await self._writing.acquire()
        try:
            await self._stream.write(frame)
        finally:
            self._writing.release()

    async def finish(self, frame: bytes) -> None:
        """Send the last frame, and wait until the other side has read it and left.

        Raises:
            ChannelClosed: it broke, before or after.
        """
        await self.send(frame)
        await self._stream.finish()
        with trio.move_on_after(_FAREWELL_LIMIT_S):
            while await self._stream.read(_PIECE_BYTES):
                pass
