from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from neurogrid_marketplace.envelope import check_envelope
from neurogrid_marketplace.messages import Claimed, Meter, Pulse, Welcome
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.errors import ChannelClosed
from neurogrid_p2p.host import open_host
from neurogrid_p2p.session import SignedChannel
from p2p.peers import NETWORK, PROTOCOL, Person, channel_pair, listening

METER = Meter("lease_" + "0" * 32, 1_000, 5)


@asynccontextmanager
async def session_pair() -> AsyncIterator[tuple[SignedChannel, SignedChannel]]:
    """The node's end and the coordinator's."""
    node, coordinator = Person(), Person()
    give, take = trio.open_memory_channel[SignedChannel](1)

    async with (
        listening(person=coordinator) as server,
        open_host(node.seed) as client,
    ):

        async def handler(channel: Channel) -> None:
            await give.send(await SignedChannel.welcome(channel, coordinator.party(), "test/1"))
            await trio.sleep_forever()

        server.serve(PROTOCOL, handler)
        channel = await client.dial(server.addresses[0], PROTOCOL)
        joined, welcome = await SignedChannel.join(channel, node.party())
        assert welcome == Welcome(joined.session, "test/1")
        yield joined, await take.receive()


async def test_what_is_sent_arrives_with_its_proof() -> None:
    async with session_pair() as (node, coordinator):
        assert node.session == coordinator.session
        for number in range(20):
            sent = await node.send(METER)
            envelope, message = await coordinator.receive()
            assert (envelope, message) == (sent, METER)
            assert envelope.sequence == number
            check_envelope(envelope, NETWORK)
        await coordinator.send(Pulse(7))
        assert (await node.receive())[1] == Pulse(7)


async def test_several_tasks_may_send_at_once() -> None:
    async with session_pair() as (node, coordinator), trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(node.send, METER)
        for number in range(100):
            assert (await coordinator.receive())[0].sequence == number


async def test_a_cancelled_send_leaves_no_gap() -> None:
    async with session_pair() as (node, coordinator):
        sent = 0
        big = Claimed("lease_" + "0" * 32, "1" * 88)
        for _ in range(200):
            with trio.move_on_after(0):
                await node.send(big)
                sent += 1
            if sent < 50:
                await node.send(big)
                sent += 1
        for number in range(sent):
            assert (await coordinator.receive())[0].sequence == number


async def test_each_session_has_its_own_name() -> None:
    async with session_pair() as (one, _), session_pair() as (other, _):
        assert one.session != other.session


async def test_a_node_refuses_who_does_not_begin_with_a_welcome() -> None:
    coordinator, node = Person(), Person()

    async with channel_pair() as (dialled, called):
        # Unsigned, and signed by somebody else than the transport says.
        await called.send({"hello": 1})
        with pytest.raises(ChannelClosed, match="broke the protocol"):
            await SignedChannel.join(dialled, node.party())

    async with channel_pair() as (dialled, called):
        await SignedChannel.welcome(called, coordinator.party(), "test/1")
        with pytest.raises(ChannelClosed, match="in the name of"):
            await SignedChannel.join(dialled, node.party())
