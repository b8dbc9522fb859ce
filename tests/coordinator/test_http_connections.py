"""Connections that ask for nothing, or never end to: bounded, while others are answered."""

import asyncio
import json
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import connect

from coordinator.api_world import World, open_world
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.api import body
from neurogrid_coordinator.api.client_address import IpNetwork
from neurogrid_coordinator.config import template
from neurogrid_coordinator.server import http_connections
from neurogrid_coordinator.server.http_config import HttpConfig
from neurogrid_coordinator.server.http_connections import (
    HEAD_BYTES_MAX,
    ConnectionLimits,
    Connections,
    bounded,
)
from neurogrid_coordinator.server.http_server import connection_limits

Socket = tuple[asyncio.StreamReader, asyncio.StreamWriter]
GET = b"GET /health HTTP/1.1\r\nhost: api\r\n\r\n"
_PATIENCE_S = 60


class Place:
    """A served world: where it is, and the connections to it."""

    def __init__(self, port: int, connections: Connections) -> None:
        self.port = port
        self.connections = connections

    async def open(self, said: bytes = b"") -> Socket:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(said)
        await writer.drain()
        return reader, writer

    async def answers(self) -> None:
        """Check that somebody else's request is answered."""
        async with httpx.AsyncClient(trust_env=False, timeout=_PATIENCE_S) as client:
            answer = await client.get(f"http://127.0.0.1:{self.port}/api/v1/status")
        assert answer.status_code == 200

    async def until(self, number: int) -> None:
        """Wait until so many connections are open."""
        async with asyncio.timeout(_PATIENCE_S):
            while len(self.connections) != number:  # noqa: ASYNC110 - nothing tells it
                await asyncio.sleep(0.01)


@asynccontextmanager
async def served(
    world: World,
    *,
    connections: int = 10_000,
    per_address: int = 0,
    trusted: tuple[IpNetwork, ...] = (),
    head_s: float = _PATIENCE_S,
) -> AsyncIterator[Place]:
    limits = ConnectionLimits(connections, per_address, trusted, head_s)
    registry = Connections(limits)
    http, socket = bounded(registry)
    config = uvicorn.Config(
        world.app, port=0, http=http, ws=socket, log_level="warning", lifespan="off"
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield Place(server.servers[0].sockets[0].getsockname()[1], registry)
    finally:
        world.stopping.set()
        for protocol in list(server.server_state.connections):
            protocol.shutdown()
        server.servers[0].close()
        await asyncio.sleep(0)


async def rest(socket: Socket) -> bytes:
    """All that comes until the server closes."""
    async with asyncio.timeout(_PATIENCE_S):
        said = await socket[0].read(-1)
    socket[1].close()
    return said


@on_asyncio
async def test_a_thousand_idle_sockets_and_slow_bodies_keep_nobody_from_an_answer(
    tmp_path: Path,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    slow = b"POST /api/v1/tasks HTTP/1.1\r\nhost: api\r\ncontent-length: 100000\r\n"
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        key = f"authorization: Bearer {alice.key}\r\n".encode()
        async with served(world) as place:
            said = [b"", b"GET / HT", slow, slow + key + b"\r\n{", slow + b"\r\n{"]
            opened = [await place.open(said[number % len(said)]) for number in range(1200)]
            await place.until(1200)
            for _ in range(5):
                await place.answers()
            for _, writer in opened:
                writer.close()
            await place.until(0)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"", b""),
        (b"GET /health HT", b"HTTP/1.1 408 "),
        (b"GET /health HTTP/1.1\r\nhost: api\r\nx: y", b"HTTP/1.1 408 "),
        # Its answer is out (401), and the body that nobody reads does not hold it open.
        (
            b"POST /api/v1/tasks HTTP/1.1\r\nhost: api\r\ncontent-length: 9\r\n\r\n{",
            b"HTTP/1.1 401 ",
        ),
    ],
)
def test_a_request_that_does_not_end_is_ended(tmp_path: Path, said: bytes, answer: bytes) -> None:
    @on_asyncio
    async def check() -> None:
        async with open_world(tmp_path) as world, served(world, head_s=0.2) as place:
            assert (await rest(await place.open(said))).startswith(answer)
            await place.until(0)

    check()


@on_asyncio
async def test_a_head_that_comes_byte_by_byte_has_one_deadline(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, served(world, head_s=0.3) as place:
        socket = await place.open(b"GET /health HTTP/1.1\r\n")

        async def trickle() -> None:
            while not socket[1].is_closing():
                socket[1].write(b"x")
                await asyncio.sleep(0.02)

        writing = asyncio.create_task(trickle())
        assert (await socket[0].readline()).startswith(b"HTTP/1.1 408 ")
        # It is closed: with an end, or with a reset where a byte of ours came after that.
        with suppress(ConnectionResetError):
            await socket[0].read()
        socket[1].close()
        await writing


@on_asyncio
async def test_the_head_of_a_request_is_bounded_whole_or_not(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, served(world) as place:
        long = b"GET /health HTTP/1.1\r\nhost: api\r\nx: " + b"y" * (HEAD_BYTES_MAX + 70_000)
        assert (await rest(await place.open(long))).startswith(b"HTTP/1.1 431 ")
        many = b"".join(b"x%d: y\r\n" % number for number in range(HEAD_BYTES_MAX // 8))
        whole = b"GET /health HTTP/1.1\r\n" + many + b"\r\n"
        assert (await rest(await place.open(whole))).startswith(b"HTTP/1.1 431 ")
        await place.answers()


@on_asyncio
async def test_an_address_has_so_many_connections_websockets_among_them(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, served(world, per_address=3) as place:
        url = f"ws://127.0.0.1:{place.port}/ws"
        async with connect(url, proxy=None) as socket:
            assert json.loads(await socket.recv())["type"] == "connected"
            opened = [await place.open() for _ in range(2)]
            assert (await rest(await place.open(GET))).startswith(b"HTTP/1.1 503 ")
        # The socket that has ended made room.
        await place.until(2)
        await place.answers()
        for _, writer in opened:
            writer.close()
        await place.until(0)


@on_asyncio
async def test_connections_of_a_trusted_proxy_are_counted_in_all_only(tmp_path: Path) -> None:
    proxies = HttpConfig(trusted_proxies=("127.0.0.0/8",)).proxies.networks
    async with (
        open_world(tmp_path) as world,
        served(world, connections=3, per_address=1, trusted=tuple(proxies)) as place,
    ):
        opened = [await place.open() for _ in range(3)]
        assert (await rest(await place.open(GET))).startswith(b"HTTP/1.1 503 ")
        for _, writer in opened:
            writer.close()


@on_asyncio
async def test_who_reads_nothing_of_a_long_answer_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connections, "STALL_S", 0.2)
    async with open_world(tmp_path) as world, served(world) as place:
        document = b"GET /openapi.json HTTP/1.1\r\nhost: api\r\n\r\n"
        _, writer = await place.open(document * 200)
        await place.until(0)
        writer.close()
        await place.answers()


@on_asyncio
async def test_an_upload_that_trickles_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "SILENCE_S", 0.2)
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")

        async def trickle() -> AsyncIterator[bytes]:
            while True:
                yield b"x"
                await asyncio.sleep(0.01)

        answer = await alice.http.put(f"/api/v1/artifacts/{'0' * 64}", content=trickle())
        assert answer.status_code == 422
        assert "more slowly than 1024 bytes per second" in answer.text


def test_there_are_no_more_connections_than_files_that_may_be_open(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limits = {"now": (1024, 4096)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits["now"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.update(now=new))
    found = connection_limits(HttpConfig(connections=10_000))
    assert (found.connections, limits["now"]) == (4096 - 256, (4096, 4096))
    assert "LimitNOFILE" in caplog.text
    assert connection_limits(HttpConfig(connections=100)).connections == 100
    assert "connections_per_address = 100" in template()
