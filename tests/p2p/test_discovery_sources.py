"""One behaviour of three places: who is announced is found there, at its addresses, by whoever looks."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest
import trio

from neurogrid_p2p.address import parse_address
from neurogrid_p2p.discovery.dht_node import DhtNode
from neurogrid_p2p.discovery.kademlia import Table
from neurogrid_p2p.discovery.mdns import Mdns
from neurogrid_p2p.discovery.peers import Peer, Scope
from neurogrid_p2p.discovery.rendezvous import RendezvousPoint
from neurogrid_p2p.discovery.sources import Dht, Rendezvous, Source
from neurogrid_p2p.errors import P2pError
from neurogrid_p2p.host import Host, open_host
from neurogrid_p2p.limits import Limits
from p2p.peers import NETWORK, Person, listening

ALL = Scope(private=True)
ROOMY = Limits(connections_per_peer=100)
OTHER_NETWORK = "ng-fedcba9876543210"
_LIMIT_S = 60.0


@dataclass(frozen=True)
class Place:
    """A kind of source, and where it is."""

    name: str
    server: Host
    network: str = NETWORK

    def source(self, host: Host, scope: Scope = ALL, network: str = NETWORK) -> Source:
        """The place as ``host`` sees it."""
        (address,) = self.server.addresses
        match self.name:
            case "rendezvous":
                return Rendezvous(host, address, network, scope)
            case "dht":
                return Dht(host, (address,), network, scope, Table(host.peer_id), None)
        # Only this machine hears it.
        return Mdns(scope, ("127.0.0.1",))


@pytest.fixture(params=["rendezvous", "dht", "mdns"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    async with listening(ROOMY) as server:
        RendezvousPoint(server, ALL)
        DhtNode(server, Table(server.peer_id), ALL)
        yield Place(request.param, server)


@asynccontextmanager
async def seen(place: Place, scope: Scope = ALL, network: str = NETWORK) -> AsyncIterator[Source]:
    """The place, as a host of its own sees it."""
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(open_host(Person().seed))
        source = place.source(host, scope, network)
        stack.push_async_callback(source.close)
        yield source


async def look(source: Source, for_whom: str) -> Peer:
    """Look until a peer is seen: the local network tells of it when it likes."""
    with trio.fail_after(_LIMIT_S):
        while True:
            found: list[Peer] = []
            await source.find(found.append)
            for peer in found:
                if peer.peer_id == for_whom:
                    return peer


async def test_who_is_announced_is_found_where_it_says_it_is(place: Place) -> None:
    async with listening() as host, seen(place) as source:
        us = Peer(host.peer_id, tuple(map(parse_address, host.addresses)))
        announcing = place.source(host)
        again_s = await announcing.announce(us)
        assert again_s >= 600
        assert (await look(source, us.peer_id)).addresses == us.addresses
        # Repeating it changes nothing.
        await announcing.announce(us)
        assert await look(source, us.peer_id) == us
        await announcing.close()


async def test_nobody_is_found_at_addresses_that_we_would_not_dial(place: Place) -> None:
    async with listening() as host, seen(place) as unscoped, seen(place, Scope()) as source:
        us = Peer(host.peer_id, tuple(map(parse_address, host.addresses)))
        announcing = place.source(host)
        await announcing.announce(us)
        await look(unscoped, us.peer_id)
        found: list[Peer] = []
        # The place itself is the owner's choice, and dialled wherever it is.
        await source.find(found.append)
        assert us.peer_id not in {peer.peer_id for peer in found}
        await announcing.close()


async def test_a_place_that_is_empty_is_no_error(place: Place) -> None:
    async with seen(place, network=OTHER_NETWORK) as source:
        found: list[Peer] = []
        await source.find(found.append)
        if place.name != "mdns":  # others may be on this machine
            assert found == []


@pytest.mark.parametrize("name", ["rendezvous", "dht"])
async def test_a_place_that_is_away_is_an_error_for_who_looks_and_who_announces(name: str) -> None:
    async with listening() as server, open_host(Person().seed) as host:
        source = Place(name, server).source(host)
        us = Peer(host.peer_id, (parse_address(f"/ip4/127.0.0.1/tcp/1/p2p/{host.peer_id}"),))
    async with open_host(Person().seed) as host:
        source = Place(name, server).source(host)
        with pytest.raises(P2pError):
            await source.announce(us)
        with pytest.raises(P2pError):
            await source.find(lambda peer: None)
