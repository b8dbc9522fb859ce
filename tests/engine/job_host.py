"""A node's door with a job behind it, on the real engine, for tests that are not trio.

It lives in a thread. What a market process would pass on goes over a pair of sockets straight to the door.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import trio

from engine.bench import Bench, open_bench
from engine.serving import SERVES, SERVICE_PORT
from neurogrid_coordinator.market.job_stream import JobStream
from neurogrid_marketplace.execution import accept
from neurogrid_marketplace.job import Job
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_marketplace.service import Service
from neurogrid_node.access.door import JobDoor
from neurogrid_node.settings import ExecConfig, ServicesConfig
from neurogrid_p2p.errors import ChannelClosed
from node.market import COORDINATOR, award, start

_START_LIMIT_S = 60


class SocketBytes:
    """A socket as the door sees a stream of a coordinator."""

    def __init__(self, connected: socket.socket) -> None:
        self.remote_id = COORDINATOR
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(connected))

    async def read(self, n: int) -> bytes:
        try:
            return bytes(await self._stream.receive_some(n))
        except trio.BrokenResourceError as error:
            raise ChannelClosed(str(error)) from error

    async def write(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError as error:
            raise ChannelClosed(str(error)) from error

    async def finish(self) -> None:
        with trio.CancelScope():
            await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


class JobHost:
    """A job that serves, and the door to it.

    Attributes:
        container_id: the job's.
        config: as its owner has it; for the next stream.
    """

    def __init__(self, folder: Path) -> None:
        self.container_id = ""
        self._folder = folder
        self._lease: NodeLease | None = None
        self._ready = threading.Event()
        self._over = trio.Event()
        self._bench: Bench
        self._door: JobDoor
        self._nursery: trio.Nursery
        self._token: trio.lowlevel.TrioToken

    def adopt(self, lease_id: str) -> None:
        """Have the job be this lease's."""
        api = self._bench.engine.execs._client.api
        api.rename(self.container_id, f"neurogrid-{lease_id}")
        made = accept(award("0" * 64, lease_id=lease_id), COORDINATOR, 60_000, 1)
        job = Job("neurogrid/job:1", interactive=True, service=Service(SERVICE_PORT))
        running = start(lease_id=lease_id, job=job)
        self._lease = replace(made, start=running, phase=LeasePhase.RUNNING)

    async def open_stream(self, node_id: str) -> JobStream:
        """As the market client does."""
        ours, theirs = socket.socketpair()
        self._token.run_sync_soon(self._nursery.start_soon, self._serve, theirs)
        return await JobStream.over(ours)

    def run(self) -> None:
        """Until `stop`."""
        trio.run(self._run)

    def wait_until_ready(self) -> None:
        assert self._ready.wait(_START_LIMIT_S), "the job did not start"

    def stop(self) -> None:
        self._token.run_sync_soon(self._over.set)

    async def _run(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with open_bench(self._folder) as self._bench, trio.open_nursery() as self._nursery:
            lease_id = f"lease_{os.urandom(16).hex()}"
            self.container_id = await self._bench.start(SERVES, lease_id=lease_id)
            self._door = JobDoor(
                self._bench.engine,
                lambda _: self._lease,
                ExecConfig(),
                ServicesConfig(),
                may_end=True,
                may_enter=True,
            )
            self._ready.set()
            await self._over.wait()
            self._nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                # Under the name that it was given, the bench does not know it as its own.
                await self._bench.engine.remove(self.container_id)

    async def _serve(self, connected: socket.socket) -> None:
        stream = SocketBytes(connected)
        try:
            await self._door.serve(stream)  # type: ignore[arg-type]  # as much of one as it uses
        finally:
            await stream.aclose()


@contextmanager
def job_host(folder: Path) -> Iterator[JobHost]:
    """A host for the length of the block."""
    host = JobHost(folder)
    thread = threading.Thread(target=host.run, name="node")
    thread.start()
    try:
        host.wait_until_ready()
        yield host
    finally:
        host.stop()
        thread.join(_START_LIMIT_S)
