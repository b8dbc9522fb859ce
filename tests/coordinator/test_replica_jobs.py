"""Requests over streams into jobs: to a real one on the engine, and to those that the other tests have in its place."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from coordinator.fake_jobs import FakeJobs
from coordinator.on_asyncio import on_asyncio
from engine.job_host import JobHost
from neurogrid_coordinator.gateway.connection import ServiceBroken, UsedUp
from neurogrid_coordinator.market.job_stream import JobStream
from neurogrid_coordinator.replicas import exchanges as exchanges_module
from neurogrid_coordinator.replicas.asking import Question, ask
from neurogrid_coordinator.replicas.exchanges import IDLE_MAX, Exchanges
from neurogrid_coordinator.services.errors import Conflict, Unavailable
from neurogrid_marketplace.job_stream import (
    Exited,
    ExitReason,
    FrameKind,
    Refused,
    StreamRefusal,
    write_bytes,
    write_words,
)
from neurogrid_marketplace.task import Lease

LEASE = "lease_" + "5" * 32
EVENTS = b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
OpenStream = Callable[[str], Awaitable[JobStream]]


def lease() -> Lease:
    return Lease(LEASE, "node", "wallet", 1, 1, "demand", "b" * 64)


async def as_the_job(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What `engine.serving` says to a request, and then closes, as it does."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    body = await reader.readexactly(int(length or b"0"))
    if head.startswith(b"GET /stream "):
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for piece in EVENTS.splitlines(keepends=True):
            writer.write(piece)
            await writer.drain()
    else:
        said = json.dumps({"body": body.decode()}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(said))
        writer.write(said)


@asynccontextmanager
async def fakes() -> AsyncGenerator[FakeJobs]:
    jobs = FakeJobs()
    jobs.servers[LEASE] = as_the_job
    yield jobs
    await jobs.aclose()


async def said(exchanges: Exchanges, question: Question) -> tuple[int, bytes]:
    """An answer, to its end."""
    async with (
        exchanges.under(lease()) as exchange,
        ask(exchange, question) as answer,
    ):
        body = b"".join([piece async for piece in answer.pieces()])
        exchange.is_answered = answer.is_whole
        return answer.status, body


async def until_idle(exchanges: Exchanges, count: int) -> None:
    """Until so many streams wait for their next exchange."""
    async with asyncio.timeout(30):
        while exchanges.idle != count:  # noqa: ASYNC110 - nobody is told of it
            await asyncio.sleep(0.005)


async def keeps_its_contract(open_stream: OpenStream) -> int:
    """How many streams were opened for eight exchanges, one after the other."""
    opened = 0

    async def counted(node_id: str) -> JobStream:
        nonlocal opened
        opened += 1
        return await open_stream(node_id)

    exchanges = Exchanges(counted)
    async with asyncio.timeout(60):
        while True:
            try:
                status, body = await said(exchanges, Question("GET", "/stream"))
                break
            except Unavailable:
                await asyncio.sleep(0.05)  # it does not listen yet
    assert (status, body) == (200, EVENTS)
    for _ in range(3):
        await until_idle(exchanges, 1)
        assert (await said(exchanges, Question("GET", "/")))[0] == 200
        await until_idle(exchanges, 1)
        # Both ways more than there is credit for at first.
        sent = "x" * 300_000
        status, answer = await said(exchanges, Question("POST", "/", body=sent.encode()))
        assert status == 200
        assert json.loads(answer)["body"] == sent
    await until_idle(exchanges, 1)
    assert await said(exchanges, Question("GET", "/stream")) == (200, EVENTS)
    await exchanges.aclose()
    return opened


@on_asyncio
async def test_jobs_of_this_process_are_asked_as_real_ones_are() -> None:
    async with fakes() as jobs:
        assert await keeps_its_contract(jobs.open_use_stream) == 1
        assert jobs.opened[LEASE] == 8


@pytest.mark.engine
@on_asyncio
async def test_a_real_job_is_asked_over_a_real_nodes_door(host: JobHost) -> None:
    host.adopt_for_use(LEASE)
    assert await keeps_its_contract(host.open_use_stream) == 1


@on_asyncio
async def test_no_more_streams_are_kept_than_may_be() -> None:
    async with fakes() as jobs:
        exchanges = Exchanges(jobs.open_use_stream)
        gate = asyncio.Event()

        async def waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await gate.wait()
            await as_the_job(reader, writer)

        jobs.servers[LEASE] = waits
        asking = [
            asyncio.create_task(said(exchanges, Question("GET", "/"))) for _ in range(IDLE_MAX + 4)
        ]
        async with asyncio.timeout(30):
            while jobs.opened.get(LEASE) != IDLE_MAX + 4:  # noqa: ASYNC110 - nobody is told of it
                await asyncio.sleep(0.005)
        gate.set()
        await asyncio.gather(*asking)
        await until_idle(exchanges, IDLE_MAX)
        await exchanges.aclose()


@on_asyncio
async def test_who_leaves_in_the_middle_ends_the_stream_and_a_refusal_does_not() -> None:
    async with fakes() as jobs:
        gone = asyncio.Event()

        async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 0\n\n")
            while await reader.read(65_536):
                pass
            gone.set()

        exchanges = Exchanges(jobs.open_use_stream)
        jobs.servers[LEASE] = endless
        async with (
            exchanges.under(lease()) as exchange,
            ask(exchange, Question("GET", "/")) as answer,
        ):
            exchange.is_answered = answer.is_whole
        async with asyncio.timeout(30):
            await gone.wait()
        assert exchanges.idle == 0
        del jobs.servers[LEASE]
        for _ in range(2):
            with pytest.raises(Unavailable):
                await said(exchanges, Question("GET", "/"))
            assert exchanges.idle == 1
        assert jobs.streams == 2
        await exchanges.aclose()


@on_asyncio
async def test_a_stream_that_ended_meanwhile_is_not_used_again() -> None:
    async with fakes() as jobs:
        opened: list[JobStream] = []

        async def kept(node_id: str) -> JobStream:
            opened.append(await jobs.open_use_stream(node_id))
            return opened[-1]

        exchanges = Exchanges(kept)
        await said(exchanges, Question("GET", "/"))
        await until_idle(exchanges, 1)
        await jobs.aclose()
        async with asyncio.timeout(30):
            while not opened[0].has_ended:  # noqa: ASYNC110 - nobody is told of it
                await asyncio.sleep(0.005)
        assert (await said(exchanges, Question("GET", "/")))[0] == 200
        assert len(opened) == 2
        await exchanges.aclose()


@on_asyncio
async def test_a_stream_that_nobody_uses_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanges_module, "IDLE_S", 0.0)
    async with fakes() as jobs:
        exchanges = Exchanges(jobs.open_use_stream)
        for _ in range(2):
            await said(exchanges, Question("GET", "/"))
            await until_idle(exchanges, 0)
            async with asyncio.timeout(30):
                # Its node has seen it end.
                while jobs.open_doors:  # noqa: ASYNC110 - nobody is told of it
                    await asyncio.sleep(0.005)
        assert jobs.streams == 2
        await exchanges.aclose()


@asynccontextmanager
async def saying(*frames: bytes) -> AsyncGenerator[tuple[Exchanges, list[socket.socket]]]:
    """Exchanges with a node that answers whatever begins with these frames; its ends of the streams."""
    ends: list[socket.socket] = []

    async def open_stream(node_id: str) -> JobStream:
        ours, theirs = socket.socketpair()
        theirs.sendall(b"".join(frames))
        ends.append(theirs)
        return await JobStream.over(ours)

    exchanges = Exchanges(open_stream)
    try:
        yield exchanges, ends
    finally:
        await exchanges.aclose()
        for end in ends:
            end.close()


@pytest.mark.parametrize(
    ("frames", "error"),
    [
        ([write_bytes(FrameKind.OPENED)], ServiceBroken),
        ([write_words(Refused(StreamRefusal.UNPAID))], Conflict),
        ([write_words(Refused(StreamRefusal.NOT_READY))], Unavailable),
        (
            [write_bytes(FrameKind.OUTPUT, b"H"), write_words(Refused(StreamRefusal.UNPAID))],
            ServiceBroken,
        ),
        ([write_words(Exited(0))], ServiceBroken),
        ([b"\xff" * 5], ServiceBroken),
    ],
)
@on_asyncio
async def test_what_a_node_may_not_say_is_no_answer(
    frames: list[bytes], error: type[Exception]
) -> None:
    async with saying(*frames) as (exchanges, _):
        with pytest.raises(error):
            await said(exchanges, Question("GET", "/"))


@pytest.mark.parametrize("exited", [Exited(-1, ExitReason.LOST), Exited(0, ExitReason.IDLE)])
@on_asyncio
async def test_an_exchange_that_ended_badly_is_its_streams_last(exited: Exited) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with saying(write_bytes(FrameKind.OUTPUT, answer), write_words(exited)) as (
        exchanges,
        streams,
    ):
        for _ in range(2):
            assert await said(exchanges, Question("GET", "/")) == (200, b"ok")
        assert len(streams) == 2


@on_asyncio
async def test_the_last_words_of_a_node_that_is_gone_are_read() -> None:
    # So much that credit for it is due, which nobody takes any more.
    body = b"x" * 40_000
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n"
    last = write_words(Exited(-1, ExitReason.USED_UP))
    answer = write_bytes(FrameKind.OUTPUT, head + body)
    async with saying(answer + last) as (exchanges, ends), exchanges.under(lease()) as exchange:
        assert await exchange.read() == head + body
        ends[0].close()
        with pytest.raises(UsedUp):
            await exchange.read()
