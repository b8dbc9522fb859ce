"""Jobs that serve, and the nodes' doors to them, in this process; held to what a real door does by `test_replica_jobs`."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

from neurogrid_coordinator.market.job_stream import JobStream
from neurogrid_marketplace.job_stream import (
    MAX_PAYLOAD_BYTES,
    REFUSALS,
    Credit,
    Exited,
    FrameKind,
    FrameReader,
    Incoming,
    OpenPort,
    Outgoing,
    Refused,
    StreamFrame,
    StreamRefusal,
    write_bytes,
    write_words,
)

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def saying(*pieces: bytes) -> Serve:
    """A server that reads a request's head and says this, whatever was asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return serve


class FakeJobs:
    """The servers of jobs by their leases; a lease without one has none that listens.

    Attributes:
        opened: how many connections there were in all, by lease.
        streams: how many streams for exchanges.
        refusal: of a lease without a server.
    """

    def __init__(self) -> None:
        self.servers: dict[str, Serve] = {}
        self.opened: dict[str, int] = {}
        self.refusal = StreamRefusal.NOT_LISTENING
        self.asked: list[str] = []
        self.streams = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def open_stream(self, node_id: str) -> JobStream:
        """As the market client opens one into a job."""
        return await self._opened(node_id, is_use=False)

    async def open_use_stream(self, node_id: str) -> JobStream:
        """As the market client opens one for exchanges."""
        self.streams += 1
        return await self._opened(node_id, is_use=True)

    async def _opened(self, node_id: str, *, is_use: bool) -> JobStream:
        self.asked.append(node_id)
        ours, theirs = socket.socketpair()
        task = asyncio.create_task(self._door(theirs, is_use))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await JobStream.over(ours)

    @property
    def open_doors(self) -> int:
        """Streams whose other end has not left."""
        return len(self._tasks)

    async def aclose(self) -> None:
        """End all that goes on."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _door(self, theirs: socket.socket, is_use: bool) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=theirs)
        try:
            with suppress(OSError, EOFError):
                door = _Door(reader, writer, self)
                await (door.run_exchanges() if is_use else door.run())
        finally:
            writer.close()


class _Door:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, jobs: FakeJobs
    ) -> None:
        self._reader, self._writer, self._jobs = reader, writer, jobs
        self._frames = FrameReader()
        self._arrived: list[StreamFrame] = []
        self._incoming, self._outgoing = Incoming(), Outgoing()
        self._room = asyncio.Event()

    async def run(self) -> None:
        wanted = (await self._receive()).words(OpenPort)
        await self._connected(wanted.lease_id, is_use=False)
        self._writer.write_eof()
        await self._reader.read()

    async def run_exchanges(self) -> None:
        while True:
            frame = await self._receive()
            # What was on its way for the exchange that is over.
            if frame.kind is not FrameKind.OPEN_PORT:
                assert frame.kind in (FrameKind.INPUT, FrameKind.CREDIT)
                continue
            self._incoming, self._outgoing = Incoming(), Outgoing()
            await self._connected(frame.words(OpenPort).lease_id, is_use=True)

    async def _connected(self, lease_id: str, *, is_use: bool) -> None:
        serve = self._jobs.servers.get(lease_id)
        if serve is None:
            code = self._jobs.refusal
            self._writer.write(write_words(Refused(code, REFUSALS[code])))
            return
        self._jobs.opened[lease_id] = self._jobs.opened.get(lease_id, 0) + 1
        ours, theirs = socket.socketpair()
        job_reader, job_writer = await asyncio.open_unix_connection(sock=ours)
        if not is_use:
            self._writer.write(write_bytes(FrameKind.OPENED))
        serving = asyncio.create_task(_serve(serve, theirs))
        giving = asyncio.create_task(self._give(job_writer))
        try:
            while data := await job_reader.read(MAX_PAYLOAD_BYTES):
                while self._outgoing.left_bytes < len(data):
                    self._room.clear()
                    await self._room.wait()
                self._outgoing.sent(len(data))
                self._writer.write(write_bytes(FrameKind.OUTPUT, data))
                await self._writer.drain()
            self._writer.write(write_words(Exited(0)))
        finally:
            giving.cancel()
            job_writer.close()
            await asyncio.gather(giving, serving, return_exceptions=True)

    async def _give(self, job: asyncio.StreamWriter) -> None:
        try:
            while True:
                frame = await self._receive()
                if frame.kind is FrameKind.CREDIT:
                    self._outgoing.granted(frame.words(Credit))
                    self._room.set()
                elif frame.kind is FrameKind.INPUT:
                    self._incoming.received(len(frame.payload))
                    job.write(frame.payload)
                    await job.drain()
                    credit = self._incoming.taken(len(frame.payload))
                    if credit is not None:
                        self._writer.write(write_words(credit))
        except (OSError, EOFError):
            job.close()

    async def _receive(self) -> StreamFrame:
        while not self._arrived:
            data = await self._reader.read(MAX_PAYLOAD_BYTES)
            if not data:
                raise EOFError
            self._arrived = list(self._frames.feed(data))
            self._arrived.reverse()
        return self._arrived.pop()


async def _serve(serve: Serve, theirs: socket.socket) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=theirs)
    try:
        with suppress(OSError, asyncio.IncompleteReadError):
            await serve(reader, writer)
    finally:
        writer.close()
