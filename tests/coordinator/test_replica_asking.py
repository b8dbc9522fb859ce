"""Requests to a server that is well, and to others: over real sockets, without anything between."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.gateway.connection import ServiceBroken
from neurogrid_coordinator.replicas.asking import AskLimits, Question, ask

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HASTY = AskLimits(first_byte_s=0.05, between_s=0.05, whole_s=60)


class SocketConnection:
    """`gateway.connection.Connection` over a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    async def read(self) -> bytes:
        try:
            return await self._reader.read(65_536)
        except OSError as error:
            raise ServiceBroken(str(error)) from error

    async def write(self, data: bytes) -> None:
        try:
            self.writer.write(data)
            await self.writer.drain()
        except OSError as error:
            raise ServiceBroken(str(error)) from error


@asynccontextmanager
async def server(serve: Serve) -> AsyncGenerator[SocketConnection]:
    """A connection to a server that does this with it."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        connection = SocketConnection(*await asyncio.open_connection("127.0.0.1", port))
        try:
            yield connection
        finally:
            connection.writer.close()


def saying(*pieces: bytes) -> Serve:
    """A server that reads a head and says this."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return serve


@on_asyncio
async def test_an_answer_is_passed_on_piece_by_piece_as_it_comes() -> None:
    taken = asyncio.Event()
    heard = b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        heard = await reader.readuntil(b"{}")
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"X-Hop: 1\r\nKeep-Alive: 3\r\n\r\n")
        for number in range(3):
            writer.write(b"data: %d\n\n" % number)
            await writer.drain()
            await taken.wait()
            taken.clear()

    question = Question(
        "POST", "/v1/completions?x=1", (("content-type", "application/json"),), b"{}"
    )
    async with server(serve) as connection, ask(connection, question) as answer:
        assert (answer.status, answer.header(b"content-type")) == (200, "text/event-stream")
        assert answer.header(b"keep-alive") == "", "it is of one connection"
        pieces = []
        async for piece in answer.pieces():
            pieces.append(piece)
            taken.set()
    assert pieces == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]
    head, _, body = heard.partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"POST /v1/completions?x=1 HTTP/1.1"
    assert (b"content-length: 2" in head, b"connection: close" in head, body) == (
        True,
        False,
        b"{}",
    )


@on_asyncio
async def test_who_leaves_before_the_end_closes_the_connection() -> None:
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"\r\nfirst")
        await reader.read()
        closed.set()

    async with server(serve) as connection:
        async with ask(connection, Question("GET", "/")) as answer:
            assert await anext(answer.pieces()) == b"first"
        connection.writer.close()
        await asyncio.wait_for(closed.wait(), 10)


@on_asyncio
async def test_a_large_body_is_taken_and_one_that_is_refused_half_way_is_answered() -> None:
    body = bytes(3_000_000)

    async def takes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(len(body)) == body
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    refusal = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno"
    for serve, expected in ((takes, (204, [])), (saying(refusal), (413, [b"no"]))):
        async with (
            server(serve) as connection,
            ask(connection, Question("POST", "/", body=body)) as answer,
        ):
            assert (answer.status, [each async for each in answer.pieces()]) == expected


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        ((), "closed the connection without an answer"),
        ((b"SSH-2.0-nobody\r\n",), "not HTTP"),
        ((b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000,), "not HTTP"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",), "not HTTP"),
        ((b"HTTP/1.1 100 Continue\r\n\r\n" * 100,), "does not begin"),
    ],
)
@on_asyncio
async def test_what_is_no_answer_is_said_to_be_none(pieces: tuple[bytes, ...], why: str) -> None:
    async with server(saying(*pieces)) as connection:
        with pytest.raises(ServiceBroken, match=why):
            async with ask(connection, Question("GET", "/")):
                pass


@on_asyncio
async def test_one_that_breaks_off_in_the_middle_is_told_from_one_that_ends() -> None:
    cut = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
    async with server(cut) as connection, ask(connection, Question("GET", "/")) as answer:
        pieces = answer.pieces()
        assert await anext(pieces) == b"abc"
        with pytest.raises(ServiceBroken):
            await anext(pieces)


@on_asyncio
async def test_each_wait_has_its_limit() -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async def stalls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"\r\nfirst")
        await reader.read()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"\r\n")
        while True:
            writer.write(b"more")
            await asyncio.sleep(0)
            await writer.drain()

    async with server(silent) as connection:
        with pytest.raises(ServiceBroken, match="did not answer"):
            async with ask(connection, Question("GET", "/"), HASTY):
                pass
    longest = AskLimits(first_byte_s=60, between_s=60, whole_s=1)
    for serve, limits, why in (
        (stalls, HASTY, "nothing came for 0.05 s"),
        (endless, longest, "longer than 1 s"),
    ):
        async with (
            server(serve) as connection,
            ask(connection, Question("GET", "/"), limits) as answer,
        ):
            with pytest.raises(ServiceBroken, match=why):
                async for _ in answer.pieces():
                    pass


@on_asyncio
async def test_what_comes_without_a_wait_has_its_limit_too() -> None:
    class Eager:
        """All of it is there already; nobody who reads it ever waits."""

        def __init__(self) -> None:
            self._says = [HEAD + b"\r\n"]

        async def read(self) -> bytes:
            return self._says.pop() if self._says else b"more"

        async def write(self, data: bytes) -> None:
            pass

    limits = AskLimits(first_byte_s=60, between_s=60, whole_s=0.05)
    async with ask(Eager(), Question("GET", "/"), limits) as answer:
        with pytest.raises(ServiceBroken, match=r"longer than 0\.05 s"):
            async for _ in answer.pieces():
                pass
