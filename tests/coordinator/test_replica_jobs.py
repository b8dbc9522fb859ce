"""Requests over streams into jobs: to a real one on the engine, and to those that the other tests have in its place."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from coordinator.fake_jobs import FakeJobs
from coordinator.on_asyncio import on_asyncio
from engine.job_host import JobHost
from neurogrid_coordinator.market.job_stream import JobStream
from neurogrid_coordinator.replicas.asking import Question, ask
from neurogrid_coordinator.replicas.connections import IDLE_MAX, Connections
from neurogrid_coordinator.services.errors import Unavailable
from neurogrid_marketplace.task import Lease

LEASE = "lease_" + "5" * 32
EVENTS = b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
OpenStream = Callable[[str], Awaitable[JobStream]]


def lease() -> Lease:
    return Lease(LEASE, "node", "wallet", 1, 1, "demand", "b" * 64)


async def as_the_job(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What `engine.serving` says to a request, and then closes, as it does."""
    head = await reader.readuntil(b"\r\n\r\n")
    if head.startswith(b"GET /stream "):
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for piece in EVENTS.splitlines(keepends=True):
            writer.write(piece)
            await writer.drain()
    else:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


@asynccontextmanager
async def fakes() -> AsyncGenerator[OpenStream]:
    jobs = FakeJobs()
    jobs.servers[LEASE] = as_the_job
    yield jobs.open_stream
    await jobs.aclose()


async def until_closed(connections: Connections) -> None:
    """Until none is kept any more."""
    async with asyncio.timeout(30):
        while connections.idle:  # noqa: ASYNC110 - nobody is told of it
            await asyncio.sleep(0.01)


async def keeps_its_contract(open_stream: OpenStream) -> None:
    connections = Connections(open_stream)

    async def said(path: str) -> tuple[int, bytes, bool]:
        async with (
            connections.to(lease()) as connection,
            ask(connection, Question("GET", path)) as answer,
        ):
            body = b"".join([piece async for piece in answer.pieces()])
            connection.may_stay = answer.is_over
            return answer.status, body, answer.is_over

    async with asyncio.timeout(60):
        while True:
            try:
                status, body, may_stay = await said("/stream")
                break
            except Unavailable:
                await asyncio.sleep(0.05)  # it does not listen yet
    assert (status, body, may_stay) == (200, EVENTS, False)
    # It says that the connection may go on, and closes it all the same: the next request has another.
    for _ in range(3):
        status, body, may_stay = await said("/")
        assert (status, body[:1], may_stay) == (200, b"{", True)
        await until_closed(connections)
    await connections.aclose()


@on_asyncio
async def test_jobs_of_this_process_are_asked_as_real_ones_are() -> None:
    async with fakes() as open_stream:
        await keeps_its_contract(open_stream)


@pytest.mark.engine
@on_asyncio
async def test_a_real_job_is_asked_over_a_real_nodes_door(host: JobHost) -> None:
    host.adopt(LEASE)
    await keeps_its_contract(host.open_stream)


@on_asyncio
async def test_connections_that_may_stay_are_used_again_and_no_more_are_kept_than_may_be() -> None:
    jobs = FakeJobs()

    async def goes_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    jobs.servers[LEASE] = goes_on
    connections = Connections(jobs.open_stream)

    async def once() -> bool:
        async with (
            connections.to(lease()) as connection,
            ask(connection, Question("GET", "/")) as answer,
        ):
            was_used = connection.was_used
            assert b"".join([piece async for piece in answer.pieces()]) == b"ok"
            connection.may_stay = answer.is_over
            await asyncio.sleep(0)
            return was_used

    assert [await once() for _ in range(4)] == [False, True, True, True]
    assert jobs.opened[LEASE] == 1
    await asyncio.gather(*(once() for _ in range(IDLE_MAX + 4)))
    assert connections.idle == IDLE_MAX
    await connections.aclose()
    await jobs.aclose()


@on_asyncio
async def test_what_a_server_says_unasked_reaches_nobody() -> None:
    jobs = FakeJobs()

    async def talks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray")
        await reader.read()

    jobs.servers[LEASE] = talks
    connections = Connections(jobs.open_stream)
    for _ in range(2):
        async with (
            connections.to(lease()) as connection,
            ask(connection, Question("GET", "/")) as answer,
        ):
            assert [piece async for piece in answer.pieces()] == [b"ok"]
            connection.may_stay = answer.is_over
        await until_closed(connections)
    assert jobs.opened[LEASE] == 2
    await connections.aclose()
    await jobs.aclose()
