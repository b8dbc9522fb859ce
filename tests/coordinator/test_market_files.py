"""Nodes' requests for files over their connections, against a server that writes down what gets through."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
import trio

from neurogrid_coordinator.market.files import FileDoor
from neurogrid_marketplace.messages import FILES_PROTOCOL_ID
from neurogrid_p2p.byte_stream import ByteStream
from neurogrid_p2p.errors import ChannelClosed
from neurogrid_p2p.host import open_host
from p2p.peers import Person, until

PATH = f"/api/v1/artifacts/{'a' * 64}"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfile"


@dataclass
class Api:
    """The api's door: keeps what it is asked, and answers all of it alike."""

    port: int = 0
    asked: list[bytes] = field(default_factory=list)

    async def serve(self, stream: trio.SocketStream) -> None:
        said = b""
        while b"\r\n\r\n" not in said:
            said += await stream.receive_some()
        wanted = 0
        for line in said.partition(b"\r\n\r\n")[0].split(b"\r\n"):
            if line.startswith(b"content-length: "):
                wanted = int(line.split()[1])
        while len(said.partition(b"\r\n\r\n")[2]) < wanted:
            said += await stream.receive_some()
        self.asked.append(said)
        await stream.send_all(ANSWER)


@dataclass
class World:
    api: Api
    person: Person
    stream: ByteStream


@asynccontextmanager
async def asking(*, known: bool = True) -> AsyncIterator[World]:
    """A node with a stream for one request."""
    person = Person()
    api = Api()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, api.serve, 0)
        api.port = listeners[0].socket.getsockname()[1]
        async with (
            open_host(Person().seed, ["/ip4/127.0.0.1/tcp/0"]) as coordinator,
            open_host(person.seed) as node,
        ):
            FileDoor(f"127.0.0.1:{api.port}", lambda peer: known).serve_on(coordinator)
            connection = await node.connect(coordinator.addresses[0])
            stream = ByteStream(connection, await connection.open_stream(FILES_PROTOCOL_ID))
            yield World(api, person, stream)
        nursery.cancel_scope.cancel()


async def all_of(stream: ByteStream) -> bytes:
    """What comes until the end."""
    said = b""
    with trio.fail_after(30):
        while True:
            try:
                piece = await stream.read(65_536)
            except ChannelClosed:
                return said
            if not piece:
                return said
            said += piece


async def test_a_request_for_a_file_is_passed_on_with_the_fields_that_matter() -> None:
    async with asking() as world:
        await world.stream.write(
            f"GET {PATH} HTTP/1.1\r\nHost: connection.invalid\r\nAuthorization: Bearer lease_x.y\r\n"
            "Range: bytes=2-\r\nCookie: a=b\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n".encode()
        )
        assert await all_of(world.stream) == ANSWER
        assert world.api.asked == [
            f"GET {PATH} HTTP/1.1\r\nhost: api\r\nconnection: close\r\n"
            "authorization: Bearer lease_x.y\r\nrange: bytes=2-\r\n\r\n".encode()
        ]


async def test_a_file_is_put_whole_and_not_one_byte_more() -> None:
    body = b"x" * 500_000
    async with asking() as world:
        head = f"PUT {PATH} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        await world.stream.write(head + body[:10])
        await world.stream.write(body[10:])
        said = b""
        while len(said) < len(ANSWER):
            said += await world.stream.read(100)
        assert said == ANSWER
        (asked,) = world.api.asked
        assert asked.endswith(b"\r\n\r\n" + body)
        # A second request on the same stream does not get through.
        await world.stream.write(f"GET {PATH} HTTP/1.1\r\n\r\n".encode())
        await all_of(world.stream)
        assert world.api.asked == [asked]


@pytest.mark.parametrize(
    "said",
    [
        b"GET /api/v1/tasks HTTP/1.1\r\n\r\n",
        f"DELETE {PATH} HTTP/1.1\r\n\r\n".encode(),
        f"GET {PATH}/../../tasks HTTP/1.1\r\n\r\n".encode(),
        f"GET {PATH}?x=1 HTTP/1.1\r\n\r\n".encode(),
        f"GET {PATH} HTTP/1.0\r\n\r\n".encode(),
        f"GET {PATH} HTTP/1.1\nHost: x\r\n\r\n".encode(),
        f"GET {PATH} HTTP/1.1\r\nRange: a\r\nrange: b\r\n\r\n".encode(),
        f"GET {PATH} HTTP/1.1\r\n folded: x\r\n\r\n".encode(),
        f"PUT {PATH} HTTP/1.1\r\nContent-Length: -1\r\n\r\n".encode(),
        f"PUT {PATH} HTTP/1.1\r\nContent-Length: 1e9\r\n\r\n".encode(),
        f"GET {PATH} HTTP/1.1\r\nAuthorization: {'x' * 5000}\r\n\r\n".encode(),
        b"\xff" * 10_000,
    ],
)
async def test_what_asks_for_no_file_does_not_get_through(said: bytes) -> None:
    async with asking() as world:
        with suppress(ChannelClosed):  # it may be refused before all is written
            await world.stream.write(said)
        assert await all_of(world.stream) == b""
        assert world.api.asked == []


async def test_a_peer_that_is_no_node_gets_nothing() -> None:
    async with asking(known=False) as world:
        assert await all_of(world.stream) == b""
        assert world.api.asked == []


async def test_a_node_has_so_many_requests_under_way_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("neurogrid_coordinator.market.files.REQUESTS_PER_NODE", 1)
    async with asking() as world:
        door = FileDoor(f"127.0.0.1:{world.api.port}", lambda peer: True)
        async with (
            open_host(Person().seed, ["/ip4/127.0.0.1/tcp/0"]) as coordinator,
            open_host(Person().seed) as node,
        ):
            door.serve_on(coordinator)
            connection = await node.connect(coordinator.addresses[0])
            first = ByteStream(connection, await connection.open_stream(FILES_PROTOCOL_ID))
            await until(lambda: door.under_way == 1)
            second = ByteStream(connection, await connection.open_stream(FILES_PROTOCOL_ID))
            assert await all_of(second) == b""
            await first.write(f"GET {PATH} HTTP/1.1\r\n\r\n".encode())
            assert await all_of(first) == ANSWER
