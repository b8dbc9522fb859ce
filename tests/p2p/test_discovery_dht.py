"""A DHT of our nodes, of py-libp2p's, and of hostile ones: who provides a key is found, within bounds."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from neurogrid_marketplace.advert import provider_key
from neurogrid_p2p.address import parse_address
from neurogrid_p2p.circuit import close
from neurogrid_p2p.connection import Connection
from neurogrid_p2p.discovery import dht_node
from neurogrid_p2p.discovery.dht_lookup import Walk, provide, providers
from neurogrid_p2p.discovery.dht_node import DhtNode
from neurogrid_p2p.discovery.exchange import ask, hear, tell
from neurogrid_p2p.discovery.identify import Identify
from neurogrid_p2p.discovery.kademlia import (
    KADEMLIA,
    DhtMessage,
    Kind,
    Table,
    ask_peer,
    distance,
    nearest,
    read_message,
)
from neurogrid_p2p.discovery.peers import Peer, Scope, peer_at
from neurogrid_p2p.errors import HandshakeFailed, P2pError
from neurogrid_p2p.host import Host, open_host
from neurogrid_p2p.limits import Limits
from neurogrid_p2p.patches import Stream
from p2p.peers import NETWORK, Person, listening, until

ALL = Scope(private=True)
KEY = provider_key(NETWORK)
ROOMY = Limits(connections_per_peer=100)


def itself(host: Host) -> Peer:
    return Peer(host.peer_id, tuple(map(parse_address, host.addresses)))


def stranger(host: str = "9.9.9.9") -> Peer:
    peer_id = Person().peer_id
    return Peer(peer_id, (parse_address(f"/ip4/{host}/tcp/1/p2p/{peer_id}"),))


class Node:
    """One of our nodes. Made by `node`."""

    def __init__(self, host: Host, now: list[float]) -> None:
        self.host = host
        self.table = Table(host.peer_id)
        self.peer = itself(host)
        Identify(host, lambda: self.peer, "test/1")
        self.service = DhtNode(host, self.table, ALL, lambda: now[0])


@asynccontextmanager
async def node(now: list[float] | None = None) -> AsyncIterator[Node]:
    async with listening(ROOMY) as host, trio.open_nursery() as nursery:
        made = Node(host, now or [0.0])
        nursery.start_soon(made.service.run)
        yield made
        nursery.cancel_scope.cancel()


async def test_a_record_is_found_through_nodes_that_only_know_each_other_in_a_row() -> None:
    async with (
        node() as first,
        node() as second,
        node() as third,
        listening() as provider,
        open_host(Person().seed) as client,
    ):
        first.table.answered(second.peer)
        second.table.answered(third.peer)
        us = itself(provider)
        told = await provide(provider, Table(us.peer_id), ALL, [first.peer], KEY, us)
        assert told == 3
        assert third.service.providers(KEY) == (us,)
        found = await providers(client, Table(client.peer_id), ALL, [first.peer], KEY)
        assert found == (us,)
        # What has answered is where the next walk may begin.
        table = Table(client.peer_id)
        await providers(client, table, ALL, [first.peer], KEY)
        assert {peer.peer_id for peer in table.nearest(KEY)} == {
            each.host.peer_id for each in (first, second, third)
        }


async def test_a_node_that_asks_becomes_known_and_one_that_is_no_node_does_not() -> None:
    async with node() as known, node() as comer, open_host(Person().seed) as client:
        question = DhtMessage(Kind.FIND_NODE, KEY)
        await ask_peer(client, known.peer, question, ALL)
        await ask_peer(comer.host, known.peer, question, ALL)
        await until(lambda: len(known.table) == 1)
        assert comer.host.peer_id in known.table
        answer = await ask_peer(client, known.peer, question, ALL)
        assert answer.closer == (comer.peer,)


async def test_a_record_ends_when_it_is_not_repeated() -> None:
    now = [0.0]
    async with node(now) as keeper:
        provider = stranger()
        assert keeper.service.keep(KEY, provider)
        now[0] = dht_node.RECORD_S - 1
        assert keeper.service.providers(KEY) == (provider,)
        now[0] = dht_node.RECORD_S
        assert keeper.service.providers(KEY) == ()
        assert len(keeper.service) == 0


async def test_one_address_takes_only_its_share_of_a_node_and_the_newest_are_named() -> None:
    async with node() as keeper:
        crowd = [stranger() for _ in range(dht_node.RECORDS_PER_HOST)]
        assert all(keeper.service.keep(KEY, each, "192.0.2.1") for each in crowd)
        assert not keeper.service.keep(KEY, stranger(), "192.0.2.1")
        assert keeper.service.keep(KEY, crowd[0], "192.0.2.1")
        late = stranger()
        assert keeper.service.keep(KEY, late, "192.0.2.2")
        assert keeper.service.providers(KEY)[:2] == (late, crowd[0])


async def test_nobody_provides_in_the_name_of_another() -> None:
    async with node() as keeper, open_host(Person().seed) as liar:
        record = DhtMessage(Kind.ADD_PROVIDER, KEY, providers=(stranger(),))
        with pytest.raises(P2pError):  # there is no answer to it
            await ask(liar, keeper.host.addresses[0], KADEMLIA, record.to_bytes() + b"\x12")
        connection = await liar.connect(keeper.host.addresses[0])
        stream = await connection.open_stream(KADEMLIA)
        await tell(stream, record.to_bytes())
        await close(stream)
        assert await stream.read(1) == b""
        assert keeper.service.providers(KEY) == ()


async def test_questions_that_a_node_does_not_answer_end_the_stream_alone() -> None:
    async with node() as keeper, open_host(Person().seed) as asker:
        place = keeper.host.addresses[0]
        for question in (DhtMessage(0, KEY), DhtMessage(Kind.FIND_NODE, b"x" * 129)):
            with pytest.raises(HandshakeFailed):
                await ask(asker, place, KADEMLIA, question.to_bytes())
        answer = await ask_peer(asker, keeper.peer, DhtMessage(Kind.PING), ALL)
        assert answer.kind == Kind.PING


async def test_a_node_that_names_ever_more_peers_ends_no_walk_late() -> None:
    """Whatever it names is looked at within bounds, and what is private is not dialled at all."""
    asked = 0

    async def mislead(connection: Connection, stream: Stream) -> None:
        nonlocal asked
        asked += 1
        question = read_message(await hear(stream), ALL)
        crowd = tuple(stranger("10.9.9.9") for _ in range(300))
        await tell(stream, DhtMessage(question.kind, KEY, crowd, crowd).to_bytes())

    async with listening(ROOMY) as host, open_host(Person().seed) as client:
        host.serve_streams(KADEMLIA, mislead)
        walk = Walk(client, Table(client.peer_id), Scope(), Kind.GET_PROVIDERS, KEY)
        await walk.run([itself(host)])
        assert (asked, len(walk.reached), walk.providers) == (1, 1, {})


async def test_a_dht_that_is_away_is_an_error_that_says_so() -> None:
    async with listening() as away:
        gone = itself(away)
    async with open_host(Person().seed) as client:
        table = Table(client.peer_id)
        with pytest.raises(HandshakeFailed, match="no node of the DHT was reached: cannot reach"):
            await providers(client, table, ALL, [gone], KEY)
        with pytest.raises(HandshakeFailed, match="no node of the DHT was reached: cannot reach"):
            await provide(client, table, ALL, [gone], KEY, stranger())
        with pytest.raises(HandshakeFailed, match="none is known"):
            await providers(client, table, ALL, [], KEY)


def test_a_table_keeps_who_has_stayed_and_few_of_one_network() -> None:
    table = Table(Person().peer_id, most=4, most_per_network=2)
    first, second, third = (stranger("9.9.0.1") for _ in range(3))
    for peer in (first, second, third):
        table.answered(peer)
    assert (first.peer_id in table, third.peer_id in table) == (True, False)
    others = [stranger(f"9.{number}.0.1") for number in range(10, 20)]
    for peer in others:
        table.answered(peer)
    assert len(table) == 4
    table.failed(first.peer_id)
    table.answered(third)
    assert third.peer_id in table


def test_peers_are_ordered_by_the_distance_of_hashes() -> None:
    crowd = [stranger() for _ in range(50)]
    ordered = nearest(KEY, crowd)
    distances = [distance(KEY, peer.raw_id) for peer in ordered]
    assert distances == sorted(distances)
    assert distance(KEY, KEY) == 0


@pytest.mark.processes
async def test_a_node_of_py_libp2p_keeps_our_records_and_tells_us_who_provides() -> None:
    script = Path(__file__).with_name("stock_dht.py")
    process = await trio.lowlevel.open_process(
        [sys.executable, "-W", "ignore", str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with trio.fail_after(120):
            start = [peer_at(await _line(process.stdout))]
            async with listening() as host, open_host(Person().seed) as client:
                us = itself(host)
                assert await provide(host, Table(us.peer_id), ALL, start, KEY, us) == 1
                await process.stdin.send_all(KEY.hex().encode() + b"\n")
                assert await _line(process.stdout) == us.peer_id
                assert await providers(client, Table(client.peer_id), ALL, start, KEY) == (us,)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            await process.stdin.aclose()
            await process.stdout.aclose()


async def _line(stream: trio.abc.ReceiveStream) -> str:
    line = b""
    while not line.endswith(b"\n"):
        piece = await stream.receive_some(1)
        assert piece, "it ended; its standard error says why"
        line += piece
    return line.decode().strip()
