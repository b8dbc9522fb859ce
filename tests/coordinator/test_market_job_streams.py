"""Streams into jobs through a real market process, to a node that speaks real libp2p."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from coordinator.market_nodes import FakeNode
from coordinator.on_asyncio import on_asyncio
from coordinator.test_market_client import running
from neurogrid_coordinator.market.client import MarketClient
from neurogrid_coordinator.market.errors import MarketAway
from neurogrid_coordinator.market.job_stream import JobStream, JobStreamBroken
from neurogrid_coordinator.market.job_streams import JOB_STREAMS_PER_NODE
from neurogrid_marketplace.job_stream import (
    Credit,
    Exited,
    FrameKind,
    Open,
    Refused,
    StreamRefusal,
    write_bytes,
    write_words,
)
from neurogrid_node.access.frames import FrameStream
from neurogrid_p2p.byte_stream import ByteStream
from neurogrid_p2p.errors import ChannelClosed

pytestmark = pytest.mark.processes

LEASE = "lease_" + "0" * 32


async def echo(bytes_: ByteStream) -> None:
    """What ``cat`` would do; its exit code is the length of the command."""
    stream = FrameStream(bytes_)
    try:
        wanted = (await stream.receive()).words(Open)
        await stream.send(write_bytes(FrameKind.OPENED))
        while (frame := await stream.receive()).kind is not FrameKind.END_OF_INPUT:
            if frame.kind is FrameKind.INPUT:
                await stream.send(write_bytes(FrameKind.OUTPUT, frame.payload))
                await stream.send(write_words(Credit(len(frame.payload))))
        await stream.finish(write_words(Exited(len(wanted.command))))
    except ChannelClosed:
        return


async def begun(market: MarketClient, node: FakeNode) -> JobStream:
    stream = await market.open_job_stream(node.node_id)
    await stream.say(Open(LEASE, ("cat", "-")))
    return stream


async def opened(market: MarketClient, node: FakeNode) -> JobStream:
    stream = await begun(market, node)
    assert (await stream.receive()).kind is FrameKind.OPENED
    return stream


async def refusal(market: MarketClient, node: FakeNode) -> StreamRefusal:
    stream = await begun(market, node)
    code = (await stream.receive()).words(Refused).code
    stream.close()
    return code


@on_asyncio
async def test_megabytes_pass_both_ways_and_the_last_word_arrives(tmp_path: Path) -> None:
    data = os.urandom(2_000_000)
    async with running(tmp_path) as (api, farm):
        node = farm.add(FakeNode(job_stream=echo))
        await api.joined(node)
        stream = await opened(api.market, node)

        async def give() -> None:
            await stream.write(data)
            await stream.end_input()

        giving = asyncio.create_task(give())
        received = b""
        while (frame := await stream.receive()).kind is not FrameKind.EXITED:
            if frame.kind is FrameKind.OUTPUT:
                received += frame.payload
        await giving
        assert received == data
        assert frame.words(Exited) == Exited(2)
        with pytest.raises(JobStreamBroken):
            await stream.receive()
        stream.close()


@on_asyncio
async def test_nodes_that_are_away_or_let_nobody_in_are_refusals(tmp_path: Path) -> None:
    async with running(tmp_path) as (api, farm):
        node = farm.add(FakeNode())
        await api.joined(node)
        assert await refusal(api.market, node) is StreamRefusal.NODE_AWAY
        assert await refusal(api.market, FakeNode()) is StreamRefusal.NODE_AWAY


@on_asyncio
async def test_a_node_has_so_many_streams_and_places_come_free(tmp_path: Path) -> None:
    async with running(tmp_path) as (api, farm):
        node, other = farm.add(FakeNode(job_stream=echo)), farm.add(FakeNode(job_stream=echo))
        await api.joined(node, other)
        streams = [await opened(api.market, node) for _ in range(JOB_STREAMS_PER_NODE)]
        assert await refusal(api.market, node) is StreamRefusal.TOO_MANY
        (await opened(api.market, other)).close()
        streams.pop().close()
        while True:
            stream = await begun(api.market, node)
            if (await stream.receive()).kind is FrameKind.OPENED:
                break
            stream.close()
        for each in (*streams, stream):
            each.close()


@on_asyncio
async def test_a_stream_breaks_with_its_node_and_with_the_market_and_a_new_one_works(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as (api, farm):
        node, other = farm.add(FakeNode(job_stream=echo)), farm.add(FakeNode(job_stream=echo))
        await api.joined(node, other)
        lost, broken = await opened(api.market, node), await opened(api.market, other)
        farm.remove(node)
        with pytest.raises(JobStreamBroken):
            await lost.receive()
        assert api.market.pid is not None
        os.kill(api.market.pid, signal.SIGKILL)
        with pytest.raises(JobStreamBroken):
            await broken.receive()
        for each in (lost, broken):
            each.close()
        await api.until(lambda: api.changes[other.node_id].count("joined") == 2)
        again = await opened(api.market, other)
        await again.end_input()
        assert (await again.receive()).words(Exited) == Exited(2)
        again.close()


@on_asyncio
async def test_without_a_market_process_there_is_no_stream(tmp_path: Path) -> None:
    async with running(tmp_path) as (api, _):
        market = api.market
    with pytest.raises(MarketAway):
        await market.open_job_stream(FakeNode().node_id)
