"""Two Yamux ends over memory, libp2p's own or ours, for what happens between frames.

The wire can be held up and counted. Everything runs in virtual time with `autojump_clock`.
"""

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import trio
import trio.testing

from neurogrid_p2p._libp2p import ID, ConnectionClosedError, SecureSession, yamux
from neurogrid_p2p.carrier import Carrier
from neurogrid_p2p.patches import Muxer, Stream

PEER = ID(b"\0$\x08\x01\x12 " + bytes(32))
# What libp2p has under the names that `patches` puts ours.
STOCK_STREAM = cast("type[yamux.YamuxStream]", Stream.__base__)


@dataclass(eq=False)
class Wire:
    """One end of a connection that is no more than memory.

    Attributes:
        open: whether what is written gets out; half of a frame does before it is noticed.
        frames: the type, the stream, and the length of every frame that began to leave.
    """

    end: trio.StapledStream[Any, Any]
    is_initiator: bool
    open: trio.Event = field(default_factory=trio.Event)
    frames: list[tuple[int, int, int]] = field(default_factory=list)

    async def read(self, n: int | None = None) -> bytes:
        try:
            return bytes(await self.end.receive_some(n))
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            return b""

    async def write(self, data: bytes) -> None:
        _, kind, _, stream_id, length = struct.unpack(yamux.YAMUX_HEADER_FORMAT, data[:12])
        self.frames.append((kind, stream_id, length))
        half = len(data) // 2
        try:
            await self.end.send_all(data[:half])
            await self.open.wait()
            await self.end.send_all(data[half:])
        except (trio.ClosedResourceError, trio.BrokenResourceError) as error:
            raise ConnectionClosedError("closed", transport="memory") from error

    async def close(self) -> None:
        await self.end.aclose()

    def abort(self) -> None:
        self.open.set()
        for half in (self.end.send_stream, self.end.receive_stream):
            half.close()

    def hold(self) -> None:
        """Let nothing whole out from now on."""
        self.open = trio.Event()


@dataclass(frozen=True)
class End:
    """One end: its muxer and its wire."""

    muxer: yamux.Yamux
    wire: Wire

    async def open_stream(self) -> yamux.YamuxStream:
        """A new stream of ours."""
        return await self.muxer.open_stream()

    async def accept_stream(self) -> yamux.YamuxStream:
        """The next stream of the other end's."""
        stream = await self.muxer.accept_stream()
        assert isinstance(stream, STOCK_STREAM)
        return stream


@asynccontextmanager
async def yamux_pair(
    monkeypatch: pytest.MonkeyPatch, *, stock: bool
) -> AsyncIterator[tuple[End, End]]:
    """Two ends that run: libp2p's own, or ours."""
    if stock:
        monkeypatch.setattr(yamux, "YamuxStream", STOCK_STREAM)
    ends: list[End] = []
    for is_initiator, memory in zip((True, False), trio.testing.memory_stream_pair(), strict=True):
        wire = Wire(memory, is_initiator)
        wire.open.set()
        secured = cast(SecureSession, wire)
        if stock:
            muxer = yamux.Yamux(secured, PEER, is_initiator=is_initiator)
        else:
            muxer = Muxer(secured, PEER, cast(Carrier, wire))
        ends.append(End(muxer, wire))
    async with trio.open_nursery() as nursery:
        for end in ends:
            nursery.start_soon(end.muxer.start)
            await end.muxer.event_started.wait()
        yield ends[0], ends[1]
        nursery.cancel_scope.cancel()


async def within(seconds: float, wait: Any) -> bool:
    """Whether something happens within so much virtual time."""
    with trio.move_on_after(seconds):
        await wait
        return True
    return False


FOR_EVER_S = 24 * 3600.0
