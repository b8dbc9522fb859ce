"""js-libp2p and we relay for each other, each in each of the three parts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from interop.javascript_peers import LIMIT_S, javascript, said
from neurogrid_p2p.connection import Connection
from neurogrid_p2p.host import Host, open_host
from neurogrid_p2p.limits import Limits, RelayLimits
from neurogrid_p2p.patches import Stream
from neurogrid_p2p.relay import Relay
from neurogrid_p2p.relay_reservation import RelayReservations
from p2p.peers import Person, listening, until

pytestmark = pytest.mark.processes

PEER = "relay-peer.mjs"
ECHO = "/test/echo/1"
# Several windows and many Noise messages.
_TEXT = b"x" * 900_000


async def where(stream: trio.abc.ReceiveStream) -> str:
    """Where the peer says it is reached."""
    addresses = (await said(stream))["addresses"]
    assert isinstance(addresses, list)
    return str(addresses[0])


async def echo(connection: Connection, stream: Stream) -> None:
    while data := await stream.read(65_536):
        await stream.write(data)
    await stream.close()


async def echoed(host: Host, address: str) -> bytes:
    """What comes back of `_TEXT`."""
    connection = await host.connect(address)
    stream = await connection.open_stream(ECHO)
    heard = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.write, _TEXT)
        while len(heard) < len(_TEXT):
            piece = await stream.read(65_536)
            assert piece, "the stream ended"
            heard += piece
    connection.abort()
    return heard


@asynccontextmanager
async def our_relay() -> AsyncIterator[str]:
    async with listening(RelayLimits().beside(Limits())) as host:
        Relay(host, RelayLimits())
        yield host.addresses[0]


async def test_a_javascript_peer_is_reached_through_our_relay() -> None:
    async with (
        our_relay() as relay,
        javascript(PEER, "hidden", relay) as hidden,
        open_host(Person().seed) as client,
    ):
        address = await where(hidden)
        assert "/p2p-circuit/p2p/" in address
        assert await echoed(client, address) == _TEXT


async def test_a_javascript_peer_reaches_us_through_our_relay() -> None:
    async with (
        our_relay() as relay,
        hidden_behind(relay) as address,
        javascript(PEER, "dial", address, "from afar") as caller,
    ):
        assert await said(caller) == {"addresses": []}
        assert await said(caller) == {"heard": "from afar"}


async def test_a_javascript_relay_carries_our_circuits() -> None:
    async with (
        javascript(PEER, "relay") as relay,
        hidden_behind(await where(relay)) as address,
        open_host(Person().seed) as client,
    ):
        # js-libp2p's relay carries 128 KiB by default, then ends the circuit.
        connection = await client.connect(address)
        stream = await connection.open_stream(ECHO)
        await stream.write(_TEXT[:50_000])
        heard = b""
        while len(heard) < 50_000:
            heard += await stream.read(65_536)
        assert heard == _TEXT[:50_000]


@asynccontextmanager
async def hidden_behind(relay: str) -> AsyncIterator[str]:
    """Where a host of ours that echoes is reached through ``relay``."""
    async with open_host(Person().seed) as hidden, trio.open_nursery() as nursery:
        hidden.serve_streams(ECHO, echo)
        reservations = RelayReservations(hidden, (relay,))
        nursery.start_soon(reservations.run)
        await until(lambda: reservations.addresses != (), limit_s=LIMIT_S)
        yield reservations.addresses[0]
        nursery.cancel_scope.cancel()
