"""Hosts on this machine, honest ones and ones that do as they please."""

import math
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from neurogrid_marketplace.identity import peer_id_of
from neurogrid_p2p.address import parse_address
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.connection import Connection, Keys, secure
from neurogrid_p2p.host import Host, open_host
from neurogrid_p2p.limits import WINDOW_BYTES, Limits
from neurogrid_p2p.patches import Stream
from neurogrid_p2p.session import Party
from neurogrid_p2p.tcp import TcpStream

PROTOCOL = "/test/1"
NETWORK = "ng-0123456789abcdef"


def now_ms() -> int:
    """The real clock."""
    return time.time_ns() // 1_000_000


class Person:
    """A key, and who it makes one."""

    def __init__(self) -> None:
        self.seed = os.urandom(32)
        self.keys = Ed25519PrivateKey.from_private_bytes(self.seed)
        self.peer_id = peer_id_of(self.keys.public_key().public_bytes_raw())

    def party(self, clock: Callable[[], int] = now_ms) -> Party:
        """This person in the test's market."""
        return Party(self.peer_id, NETWORK, self.keys.sign, clock)


@asynccontextmanager
async def listening(
    limits: Limits | None = None, person: Person | None = None
) -> AsyncIterator[Host]:
    """A host on a free port of this machine."""
    seed = (person or Person()).seed
    async with open_host(seed, ["/ip4/127.0.0.1/tcp/0"], limits) as host:
        yield host


@asynccontextmanager
async def channel_pair() -> AsyncIterator[tuple[Channel, Channel]]:
    """Two ends of one channel: the one that dialled, and the one that was called."""
    give, take = trio.open_memory_channel[Channel](1)

    async def handler(channel: Channel) -> None:
        await give.send(channel)
        await trio.sleep_forever()

    async with listening() as server, open_host(Person().seed) as client:
        server.serve(PROTOCOL, handler)
        dialled = await client.dial(server.addresses[0], PROTOCOL)
        yield dialled, await take.receive()


@asynccontextmanager
async def raw_connection(address: str, seed: bytes) -> AsyncIterator[Connection]:
    """A connection that has shown who it is and does nothing by itself."""
    target = parse_address(address)
    socket = await trio.open_tcp_stream(target.host, target.port)
    connection = await secure(TcpStream(socket), Keys(seed), target.peer_id)

    async def accepted(connection: Connection, stream: Stream) -> None:
        return

    async with trio.open_nursery() as nursery:
        await nursery.start(connection.run, accepted, 100, 100 * WINDOW_BYTES, math.inf)
        yield connection
        connection.abort()


@asynccontextmanager
async def raw_stream(address: str, seed: bytes) -> AsyncIterator[Stream]:
    """A stream of `PROTOCOL` on which any bytes may be written."""
    async with raw_connection(address, seed) as connection:
        yield await connection.open_stream(PROTOCOL)


async def until(condition: Callable[[], bool], limit_s: float = 60.0) -> None:
    """Wait for something that happens elsewhere."""
    with trio.fail_after(limit_s):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await trio.sleep(0.01)
