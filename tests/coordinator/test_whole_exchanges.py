"""Requests and answers that pass as one message: on the wire they are what they would be in parts."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from coordinator.api_world import TASK, open_world
from coordinator.on_asyncio import on_asyncio
from coordinator.served import served
from neurogrid_coordinator.server.http_connections import Exchange
from neurogrid_coordinator.server.whole_exchanges import in_parts, whole_answer

_PATIENCE_S = 60
Answer = tuple[int, dict[str, str], Any]


class Peer:
    """A connection that says bytes as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> Answer:
        """The next answer: its status, its headers and its JSON."""
        async with asyncio.timeout(_PATIENCE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.rstrip().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            assert len(headers) == len(lines), "no header twice"
            body = await self.reader.readexactly(int(headers["content-length"]))
        return int(first.split()[1]), headers, json.loads(body)


@asynccontextmanager
async def dial(address: str) -> AsyncGenerator[Peer]:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Peer(reader, writer)
    finally:
        writer.close()


def post(key: str, body: bytes, more: str = "") -> bytes:
    head = f"POST /api/v1/tasks HTTP/1.1\r\nhost: api\r\nauthorization: Bearer {key}\r\n{more}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def get(key: str, task_id: str, more: str = "") -> bytes:
    head = f"GET /api/v1/tasks/{task_id} HTTP/1.1\r\nhost: api\r\nauthorization: Bearer {key}\r\n"
    return f"{head}{more}\r\n".encode()


@on_asyncio
async def test_a_whole_answer_is_what_it_would_be_in_parts(tmp_path: Path) -> None:
    body = json.dumps(TASK).encode()
    async with open_world(tmp_path) as world, served(world) as address:
        alice = await world.customer("alice")
        async with dial(address) as peer:
            peer.writer.write(post(alice.key, body, "x-request-id: mine-12345\r\n"))
            status, headers, made = await peer.answer()
            assert (status, headers["location"]) == (201, f"/api/v1/tasks/{made['data']['id']}")
            assert headers["x-request-id"] == "mine-12345"
            # By the client of the tests answers come in parts.
            apart = await alice.http.get(f"/api/v1/tasks/{made['data']['id']}")
            peer.writer.write(get(alice.key, made["data"]["id"]))
            status, headers, shown = await peer.answer()
            assert (status, shown["data"]) == (200, apart.json()["data"])
            assert set(headers) - set(apart.headers) == {"date", "server"}
            assert set(apart.headers) <= set(headers)
            # Refusals go the same way.
            peer.writer.write(get(alice.key, "task_nobodys") + get("ng_nobodys", "task_nobodys"))
            assert (await peer.answer())[0] == 404
            assert (await peer.answer())[0] == 401


@on_asyncio
async def test_a_body_that_comes_late_in_pieces_or_with_the_next_request_is_read(
    tmp_path: Path,
) -> None:
    body = json.dumps(TASK).encode()
    async with open_world(tmp_path) as world, served(world) as address:
        alice = await world.customer("alice")
        async with dial(address) as peer:
            said = post(alice.key, body)
            for piece in (said[:-100], said[-100:-50], said[-50:]):
                peer.writer.write(piece)
                await peer.writer.drain()
                await asyncio.sleep(0.01)
            assert (await peer.answer())[0] == 201
            peer.writer.write(said * 3)
            assert [(await peer.answer())[0] for _ in range(3)] == [201] * 3
            peer.writer.write(post(alice.key, body, "expect: 100-continue\r\n")[: -len(body)])
            assert await peer.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            peer.writer.write(body)
            assert (await peer.answer())[0] == 201
            peer.writer.write(post(alice.key, b" " * (1024 * 1024 + 1)))
            assert (await peer.answer())[0] == 413


@on_asyncio
async def test_a_client_that_says_so_has_its_connection_closed(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, served(world) as address:
        alice = await world.customer("alice")
        for more in ("connection: close\r\n", ""):
            async with dial(address) as peer:
                said = get(alice.key, "task_nobodys", more)
                peer.writer.write(said if more else said.replace(b"HTTP/1.1", b"HTTP/1.0"))
                status, headers, _ = await peer.answer()
                assert (status, headers["connection"]) == (404, "close")
                async with asyncio.timeout(_PATIENCE_S):
                    assert await peer.reader.read() == b""


@on_asyncio
async def test_answers_to_pages_of_other_origins_say_so(tmp_path: Path) -> None:
    origin = "https://page.example"
    async with open_world(tmp_path, cors_origins=(origin,)) as world, served(world) as address:
        alice = await world.customer("alice")
        async with dial(address) as peer:
            peer.writer.write(get(alice.key, "task_nobodys", f"origin: {origin}\r\n"))
            status, headers, _ = await peer.answer()
            assert (status, headers["access-control-allow-origin"]) == (404, origin)


def test_an_answer_has_the_same_parts_however_it_is_sent() -> None:
    start, body = in_parts(whole_answer(201, [(b"a", b"b")], b"{}"))
    assert start["headers"] == [(b"content-length", b"2"), (b"a", b"b")]
    assert (start["status"], body["body"], in_parts(body)) == (201, b"{}", [body])


class _Cycle:
    """uvicorn's, as far as a header needs it."""

    disconnected = response_started = response_complete = False
    waiting_for_100_continue = False
    keep_alive = True
    default_headers: tuple[tuple[bytes, bytes], ...] = ()

    class flow:
        write_paused = False


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\rb"])
async def test_a_header_has_one_line(value: bytes) -> None:
    cycle: Any = _Cycle()
    cycle.default_headers = []
    with pytest.raises(RuntimeError, match="more than one line"):
        await Exchange(cycle).send(whole_answer(200, [(b"location", value)], b""))
