"""What a multiplexer reads: the frames of one connection, of which those that carry nothing but data are dealt with here.

Nearly all frames are such ones. libp2p's own loop reads a header, then a body, then waits for a lock, and so for all other tasks that
could go on, before a stream hears of it: most of what a small frame cost, in time and in processor.

Source of the format: github.com/hashicorp/yamux/blob/master/spec.md.
"""

import struct
from collections.abc import Callable
from typing import Protocol

_HEADER = struct.Struct(">BBHII")
_DATA = 0


class Secured(Protocol):
    """A connection, decrypted."""

    async def read(self, n: int | None = None) -> bytes:
        """What comes next, of any length; b"" at its end."""

    async def write(self, data: bytes) -> None:
        """Send all of this."""

    async def close(self) -> None:
        """Close it."""


class Frames:
    """A connection as the multiplexer's loop reads it: header, body, header.

    Args:
        deliver: gives a frame's data to its stream, by the stream's number; False: the loop has to see the frame.
    """

    def __init__(self, secured: Secured, deliver: Callable[[int, bytes], bool]) -> None:
        self._secured = secured
        self._deliver = deliver
        self._arrived = b""
        # Where the next frame begins in it, or goes on.
        self._at = 0
        # Of a body whose header the loop has.
        self._body_bytes = 0

    async def read(self, n: int | None = None) -> bytes:
        """The next ``n`` bytes of what the loop has to see; fewer at the end of the connection.

        Raises:
            what the connection does.
        """
        assert n is not None, "the loop reads headers and bodies"
        if self._body_bytes:
            await self._has(n)
            self._body_bytes -= n
            return self._taken(n)
        while await self._has(_HEADER.size):
            version, kind, flags, stream_id, length = _HEADER.unpack_from(self._arrived, self._at)
            begins = self._at + _HEADER.size
            ends = begins + length
            is_plain = not version and kind == _DATA and not flags and ends <= len(self._arrived)
            if is_plain and self._deliver(stream_id, self._arrived[begins:ends]):
                self._at = ends
                continue
            self._body_bytes = length if kind == _DATA else 0
            break
        return self._taken(n)

    async def write(self, data: bytes) -> None:
        """Send all of this."""
        await self._secured.write(data)

    async def close(self) -> None:
        """Close it."""
        await self._secured.close()

    async def _has(self, count: int) -> bool:
        """Wait until so many bytes are there; False: they never will be."""
        there = len(self._arrived) - self._at
        if there >= count:
            return True
        pieces = [self._arrived[self._at :]]
        try:
            while there < count and (piece := await self._secured.read()):
                pieces.append(piece)
                there += len(piece)
        finally:
            self._arrived, self._at = b"".join(pieces), 0
        return there >= count

    def _taken(self, count: int) -> bytes:
        data = self._arrived[self._at : self._at + count]
        self._at += len(data)
        return data
