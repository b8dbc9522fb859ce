"""Clients that come by themselves, over real connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing

from neurogrid_marketplace.messages import (
    DIRECT_PROTOCOL_ID,
    Heartbeat,
    Hello,
    Message,
)
from neurogrid_marketplace.offer import Offer, PriceList
from neurogrid_marketplace.resources import Capacity
from neurogrid_node.market.direct import DirectClients
from neurogrid_node.market.network import CoordinatorLink
from neurogrid_node.settings.clients import DirectConfig
from neurogrid_p2p.errors import ChannelClosed
from neurogrid_p2p.host import Host, open_host
from neurogrid_p2p.limits import Limits
from neurogrid_p2p.session import SignedChannel
from p2p.peers import Person, until

FREE = Capacity(1000, 2**30, 2**30)
WALLET = "1" * 32


@dataclass
class Node:
    """A node that lets clients come."""

    person: Person
    config: DirectConfig
    links: dict[str, CoordinatorLink] = field(default_factory=dict)
    leases_of: set[str] = field(default_factory=set)
    heard: list[Message] = field(default_factory=list)
    address: str = ""

    def link(self, host: Host, address: str) -> CoordinatorLink:
        return CoordinatorLink(
            host,
            address,
            self.person.party(),
            hello=lambda _: Hello(self._offer()),
            heartbeat=lambda _: Heartbeat(FREE, accepting=True),
            received=self._received,
        )

    def _offer(self) -> Offer:
        return Offer(
            node_id=self.person.peer_id,
            wallet=WALLET,
            software="test/1",
            region="local",
            total=FREE,
            free=FREE,
            prices=PriceList(0, 0, 0, 0),
        )

    async def _received(self, link: CoordinatorLink, message: Message) -> None:
        self.heard.append(message)


@asynccontextmanager
async def node(config: DirectConfig | None = None) -> AsyncIterator[Node]:
    here = Node(Person(), config or DirectConfig(serve=True))
    limits = Limits(connections_per_peer=4)
    async with open_host(here.person.seed, ["/ip4/127.0.0.1/tcp/0"], limits) as host:
        clients = DirectClients(
            here.config,
            lambda address: here.link(host, address),
            here.links,
            lambda coordinator: coordinator in here.leases_of,
        )
        host.serve(DIRECT_PROTOCOL_ID, clients.serve)
        here.address = host.addresses[0]
        yield here


@asynccontextmanager
async def client(of: Node, person: Person) -> AsyncIterator[SignedChannel]:
    """A client's coordinator that has dialled and greeted."""
    async with open_host(person.seed) as host:
        channel = await host.dial(of.address, DIRECT_PROTOCOL_ID)
        yield await SignedChannel.welcome(channel, person.party(), "test/1")


async def hello(channel: SignedChannel) -> Hello:
    with trio.fail_after(30):
        _, message = await channel.receive()
    assert isinstance(message, Hello)
    return message


async def test_a_client_that_dials_is_served_as_any_coordinator() -> None:
    person = Person()
    async with node() as here:
        async with client(here, person) as channel:
            assert (await hello(channel)).offer.node_id == here.person.peer_id
            assert here.links[person.peer_id].is_connected()
        await until(lambda: here.links == {})


async def test_a_client_that_is_away_keeps_its_leases_and_finds_them_again() -> None:
    person = Person()
    async with node() as here:
        async with client(here, person) as channel:
            await hello(channel)
            here.leases_of.add(person.peer_id)
            link = here.links[person.peer_id]
        await until(lambda: not link.is_connected())
        async with client(here, person) as channel:
            await hello(channel)
            assert here.links[person.peer_id] is link
            assert link.is_connected()


async def test_a_newer_connection_of_a_client_replaces_the_older() -> None:
    person = Person()
    async with node() as here, client(here, person) as older:
        await hello(older)
        async with client(here, person) as newer:
            await hello(newer)
            with trio.fail_after(30), pytest.raises(ChannelClosed):
                await _to_the_end(older)
            await trio.testing.wait_all_tasks_blocked()
            assert here.links[person.peer_id].is_connected()


async def _to_the_end(channel: SignedChannel) -> None:
    while True:
        await channel.receive()


async def test_only_whom_the_owner_lists_may_come() -> None:
    friend, stranger = Person(), Person()
    async with node(DirectConfig(serve=True, allow=(friend.peer_id,))) as here:
        async with client(here, friend) as channel:
            await hello(channel)
        await refused(here, stranger)


async def test_no_more_come_than_the_owner_says() -> None:
    async with node(DirectConfig(serve=True, clients=1)) as here:
        async with client(here, Person()) as channel:
            await hello(channel)
            await refused(here, Person())
        await until(lambda: here.links == {})
        async with client(here, Person()) as channel:
            await hello(channel)


async def test_a_coordinator_that_we_dial_is_not_served_twice() -> None:
    person = Person()
    async with node() as here, open_host(Person().seed) as host:
        here.links[person.peer_id] = here.link(host, f"/p2p/{person.peer_id}")
        await refused(here, person)
        assert person.peer_id in here.links


async def refused(here: Node, person: Person) -> None:
    """Find that this client is not served."""
    async with open_host(person.seed) as host:
        channel = await host.dial(here.address, DIRECT_PROTOCOL_ID)
        with trio.fail_after(30), pytest.raises(ChannelClosed):
            await channel.receive()
