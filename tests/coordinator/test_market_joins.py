"""A socket of the api joined to a stream of a node: whoever goes first, what the node said before it went is passed on."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
import trio
import trio.testing

from neurogrid_coordinator.market.job_streams import JobStreams
from neurogrid_p2p.byte_stream import ByteStream
from neurogrid_p2p.errors import ChannelClosed

NODE, PROTOCOL = "node", "/neurogrid/use/1"
# More than sockets take at once.
MUCH = b"word " * 200_000


class Stream:
    """A node's end of a stream.

    Attributes:
        takes: whether it still reads; heard: what it has read; closed: set when we end it.
    """

    def __init__(self) -> None:
        self.takes = True
        self.heard = b""
        self.closed = trio.Event()
        self.say, self._said = trio.open_memory_channel[bytes](100)

    async def read(self, n: int) -> bytes:
        """b"" is its end; "reset" breaks it."""
        try:
            piece = await self._said.receive()
        except trio.EndOfChannel:
            return b""
        if piece == b"reset":
            raise ChannelClosed("reset by the peer")
        assert len(piece) <= n
        return piece

    async def write(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if not self.takes:
            raise ChannelClosed("the stream is closed")
        self.heard += data

    def close(self) -> None:
        self.closed.set()


@asynccontextmanager
async def joined() -> AsyncIterator[tuple[trio.SocketStream, Stream]]:
    """The api's end, and the node's; in the end nothing serves them any more."""
    stream = Stream()

    async def open_bytes(node_id: str, protocol: str) -> ByteStream:
        assert (node_id, protocol) == (NODE, PROTOCOL)
        return cast(ByteStream, stream)

    ours, theirs = socket.socketpair()
    async with trio.SocketStream(trio.socket.from_stdlib_socket(ours)) as api:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(JobStreams(open_bytes).serve, NODE, PROTOCOL, theirs)
                yield api, stream
                # Whoever leaves ends it.
                await api.aclose()
    assert stream.closed.is_set()


async def rest(api: trio.SocketStream) -> bytes:
    return b"".join([bytes(piece) async for piece in api])


async def test_bytes_pass_both_ways() -> None:
    async with joined() as (api, stream):
        await api.send_all(b"question")
        await stream.say.send(b"answer")
        assert await api.receive_some(100) == b"answer"
        await trio.testing.wait_all_tasks_blocked()
        assert stream.heard == b"question"


@pytest.mark.parametrize("end", [b"", b"reset"])
async def test_what_a_node_said_is_passed_on_though_it_takes_no_more(end: bytes) -> None:
    async with joined() as (api, stream):
        stream.takes = False
        await api.send_all(b"credit")
        # It is known by now that the node takes none, and nothing of what it said has come yet.
        await trio.testing.wait_all_tasks_blocked(0.01)
        for begin in range(0, len(MUCH), 50_000):
            await stream.say.send(MUCH[begin : begin + 50_000])
        if end:
            await stream.say.send(end)
        stream.say.close()
        await api.send_all(b"credit")
        assert await rest(api) == MUCH


async def test_who_still_writes_reads_what_was_said_before_a_reset() -> None:
    async with joined() as (api, stream):
        await stream.say.send(b"last words")
        await stream.say.send(b"reset")
        await trio.testing.wait_all_tasks_blocked(0.01)
        for _ in range(3):
            await api.send_all(b"credit")
            await trio.testing.wait_all_tasks_blocked(0.01)
        assert await rest(api) == b"last words"


async def test_a_node_that_takes_nothing_and_says_nothing_is_left_in_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with joined() as (api, stream):
        stream.takes = False
        await api.send_all(b"credit")
        assert await rest(api) == b""
        assert trio.current_time() < 60


async def test_an_api_that_does_not_leave_is_left_in_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with joined() as (api, stream):
        stream.say.close()
        assert await rest(api) == b""
        await stream.closed.wait()
        assert trio.current_time() < 60
