"""Nodes that the coordinator dials, over real connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from neurogrid_coordinator.market.dialled import DialledNodes
from neurogrid_marketplace.messages import DIRECT_PROTOCOL_ID
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.host import Host, open_host
from p2p.peers import Person, until

ANYWHERE = "/ip4/127.0.0.1/tcp/0"


class Node:
    """A node that lets coordinators come, and remembers their channels."""

    def __init__(self) -> None:
        self.came: list[Channel] = []

    async def serve(self, channel: Channel) -> None:
        self.came.append(channel)
        await channel.receive()


async def until_over(channel: Channel) -> None:
    """What the coordinator does with a node."""
    await channel.receive()


@asynccontextmanager
async def dialling(*addresses: str) -> AsyncIterator[None]:
    async with open_host(Person().seed) as host, trio.open_nursery() as nursery:
        nursery.start_soon(DialledNodes(host, addresses, until_over).run)
        yield
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def listening(person: Person, *listen: str) -> AsyncIterator[tuple[Host, Node]]:
    node = Node()
    async with open_host(person.seed, listen) as host:
        host.serve(DIRECT_PROTOCOL_ID, node.serve)
        yield host, node


async def test_a_node_is_dialled_again_when_it_is_lost() -> None:
    async with listening(Person(), ANYWHERE) as (host, node), dialling(host.addresses[0]):
        await until(lambda: len(node.came) == 1)
        node.came[0].abort("gone")
        await until(lambda: len(node.came) == 2)


async def test_of_two_addresses_of_one_node_one_is_used_at_a_time() -> None:
    async with listening(Person(), ANYWHERE, ANYWHERE) as (host, node):
        one, other = host.addresses
        async with dialling(one, other):
            await until(lambda: len(node.came) == 1)
            assert host.connections == 1
            node.came[0].abort("gone")
            await until(lambda: len(node.came) == 2)
            assert host.connections == 1


async def test_a_second_address_is_tried_when_the_first_leads_nowhere(
    caplog: pytest.LogCaptureFixture,
) -> None:
    person = Person()
    async with listening(person, ANYWHERE) as (gone, _):
        nowhere = gone.addresses[0]
    async with listening(person, ANYWHERE) as (host, node), dialling(nowhere, host.addresses[0]):
        await until(lambda: len(node.came) == 1)
    assert caplog.text.count(nowhere) >= 1


async def test_one_node_that_is_away_keeps_none_of_the_others() -> None:
    async with listening(Person(), ANYWHERE) as (gone, _):
        nowhere = gone.addresses[0]
    async with listening(Person(), ANYWHERE) as (host, node), dialling(nowhere, host.addresses[0]):
        await until(lambda: len(node.came) == 1)
