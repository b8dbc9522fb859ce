"""Agreeing on a protocol: multistream-select 1.0, bounded.

Each line travels with its length in front and "\\n" at its end. Both sides open with the name of this
protocol itself, then one proposes and the other repeats the proposal or answers "na".
Source: github.com/multiformats/multistream-select.
"""

from collections.abc import Collection

from .errors import HandshakeFailed
from .varint import Stream, prefixed, read_prefixed

_HEADER = "/multistream/1.0.0"
_REFUSED = "na"
# Longest protocol name we answer to; the specification allows 64 KiB.
_MAX_LINE_BYTES = 256
# How many names a peer may try before we stop listening.
_MAX_PROPOSALS = 8


async def propose(stream: Stream, protocol: str) -> None:
    """Ask the other side to speak ``protocol``.

    Raises:
        HandshakeFailed: it does not, or it does not speak multistream-select.
    """
    # Both lines at once: the answer to the first is known, so it need not be waited for.
    await stream.write(_line(_HEADER) + _line(protocol))
    if await _read_line(stream) != _HEADER:
        raise HandshakeFailed("the peer does not speak multistream-select")
    if await _read_line(stream) != protocol:
        raise HandshakeFailed(f"the peer does not speak {protocol}")


async def answer(stream: Stream, protocols: Collection[str]) -> str:
    """Agree to the first proposal that is one of ``protocols``.

    Raises:
        HandshakeFailed: none was, or the other side does not speak multistream-select.
    """
    await stream.write(_line(_HEADER))
    if await _read_line(stream) != _HEADER:
        raise HandshakeFailed("the peer does not speak multistream-select")
    for _ in range(_MAX_PROPOSALS):
        proposal = await _read_line(stream)
        if proposal in protocols:
            await stream.write(_line(proposal))
            return proposal
        await stream.write(_line(_REFUSED))
    raise HandshakeFailed("the peer proposed nothing that we speak")


def _line(text: str) -> bytes:
    data = text.encode() + b"\n"
    assert len(data) <= _MAX_LINE_BYTES, "a protocol's name is short"
    return prefixed(data)


async def _read_line(stream: Stream) -> str:
    data = await read_prefixed(stream, _MAX_LINE_BYTES)
    if not data.endswith(b"\n"):
        raise HandshakeFailed("the peer sent a line without an end")
    return data[:-1].decode(errors="replace")
