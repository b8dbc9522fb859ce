"""Pieces of a stream that travel with their length in front, as libp2p's oldest protocols write it.

The length is an unsigned varint: seven bits a byte, the lowest first. libp2p's own readers believe any length
a stranger announces, and read it into memory. Source: github.com/multiformats/unsigned-varint.
"""

from typing import Protocol

from .errors import HandshakeFailed

# 4 MiB; nothing that we read is nearly as long.
_MAX_SHIFT = 21
# Of a number within a message.
_MAX_BYTES = 10
_U64 = 2**64 - 1


class Stream(Protocol):
    """What is read from and written to."""

    async def read(self, n: int | None = None) -> bytes:
        """Up to ``n`` bytes; none at the end."""

    async def write(self, data: bytes) -> None:
        """Send all of ``data``."""


def digits(number: int) -> bytes:
    """A number as a varint."""
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def prefixed(data: bytes) -> bytes:
    """``data`` with its length in front."""
    return digits(len(data)) + data


def take(data: bytes, position: int) -> tuple[int, int]:
    """The varint that begins at ``position``, of 64 bits at most, and where what follows it begins.

    Raises:
        HandshakeFailed: there is none.
    """
    value = 0
    for shift in range(0, 7 * _MAX_BYTES, 7):
        if position >= len(data):
            raise HandshakeFailed("a message that ends within a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value & _U64, position
    raise HandshakeFailed("a number of more than ten bytes")


async def read_prefixed(stream: Stream, max_bytes: int) -> bytes:
    """The next piece, and not one byte of what follows it.

    Raises:
        HandshakeFailed: it is longer than ``max_bytes``, or the stream ended in it.
    """
    length = shift = 0
    while True:
        (digit,) = await _read_exactly(stream, 1)
        length |= (digit & 0x7F) << shift
        if digit < 0x80:
            break
        shift += 7
        if shift > _MAX_SHIFT:
            raise HandshakeFailed("the peer sent a malformed length")
    if length > max_bytes:
        raise HandshakeFailed(f"the peer announced {length} bytes; the limit is {max_bytes}")
    return await _read_exactly(stream, length)


async def _read_exactly(stream: Stream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = await stream.read(size - len(data))
        if not piece:
            raise HandshakeFailed("the peer closed the connection")
        data += piece
    return data
