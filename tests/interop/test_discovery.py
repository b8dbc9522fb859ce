"""js-libp2p's DHT keeps our records, and js-libp2p finds what we announce, by our DHT node."""

import pytest

from interop.javascript_peers import javascript, said
from neurogrid_marketplace.advert import provider_key
from neurogrid_marketplace.fields import plain
from neurogrid_p2p.address import parse_address
from neurogrid_p2p.discovery.dht_lookup import provide, providers
from neurogrid_p2p.discovery.kademlia import Table
from neurogrid_p2p.discovery.lines import Looked
from neurogrid_p2p.discovery.peers import Peer, Scope, peer_at
from neurogrid_p2p.host import open_host
from p2p.discovery_children import ANYWHERE, advert_of, here, settings
from p2p.peers import NETWORK, Person, listening

pytestmark = pytest.mark.processes

PEER = "discovery-peer.mjs"
KEY = provider_key(NETWORK)
ALL = Scope(private=True)


async def test_a_javascript_node_keeps_our_records_and_tells_who_provides() -> None:
    async with (
        javascript(PEER, "node") as node,
        listening() as host,
        open_host(Person().seed) as client,
    ):
        addresses = (await said(node))["addresses"]
        assert isinstance(addresses, list)
        start = [peer_at(addresses[0])]
        us = Peer(host.peer_id, tuple(map(parse_address, host.addresses)))
        assert await provide(host, Table(us.peer_id), ALL, start, KEY, us) == 1
        assert await providers(client, Table(client.peer_id), ALL, start, KEY) == (us,)


async def test_a_javascript_peer_finds_a_coordinator_by_our_dht_node() -> None:
    advert = advert_of(Person())
    async with here(settings(listen=ANYWHERE, serve=True), advert) as herald:
        await herald.until(Looked, lambda each: each.source == "dht")
        address = await herald.address()
        async with javascript(PEER, "find", address, KEY.hex()) as finder:
            await said(finder)
            found = await said(finder)
    assert found == {"provider": address.rpartition("/")[2], "adverts": [plain(advert)]}
