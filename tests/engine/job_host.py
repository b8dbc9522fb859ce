"""A node's door with a job behind it, on the real engine, for tests that are not trio.

It lives in a thread. What a market process would pass on goes over a pair of sockets straight to the door.
"""

import os
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
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
from neurogrid_marketplace.messages import Start
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_marketplace.service import Service
from neurogrid_marketplace.serving import Use
from neurogrid_marketplace.units import UnitPrices
from neurogrid_node.access.door import JobDoor
from neurogrid_node.settings.clients import ExecConfig, ServicesConfig
from neurogrid_node.use.door import UseDoor
from neurogrid_node.use.losses import Losses, UnpaidUse
from neurogrid_node.use.place import UsePlace
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


class NoHost:
    """A host on which nobody calls."""

    def serve_bytes(self, protocol: str, handler: object) -> None:
        pass


class JobHost:
    """A job that serves, and the door to it.

    Attributes:
        container_id: the job's.
        config: as its owner has it; for the next stream.
    """

    def __init__(self, folder: Path) -> None:
        self.container_id = ""
        self._folder = folder
        self._leases: dict[str, NodeLease] = {}
        self._ready = threading.Event()
        self._over = trio.Event()
        self._bench: Bench
        self._door: JobDoor
        self._use_door: UseDoor
        self._nursery: trio.Nursery
        self._token: trio.lowlevel.TrioToken

    def adopt(self, lease_id: str) -> None:
        """Have the job be this lease's."""
        api = self._bench.engine.execs._client.api
        api.rename(self.container_id, f"neurogrid-{lease_id}")
        made = accept(award("0" * 64, lease_id=lease_id), COORDINATOR, 60_000, 1)
        job = Job("neurogrid/job:1", interactive=True, service=Service(SERVICE_PORT))
        running = start(lease_id=lease_id, job=job)
        self._leases = {lease_id: replace(made, start=running, phase=LeasePhase.RUNNING)}

    def adopt_for_use(self, lease_id: str) -> None:
        """Have the job be a replica, and this a lease for its use."""
        replica = f"lease_{os.urandom(16).hex()}"
        self.adopt(replica)
        made = accept(
            award("0" * 64, lease_id=lease_id, max_cost_micro_usdc=1_000),
            COORDINATOR,
            60_000,
            1,
            use=Use(replica, "m", UnitPrices(), 1_000),
            max_unpaid_micro_usdc=1_000,
        )
        running = start(lease_id=lease_id, job=Job("neurogrid/job:1", uses=replica))
        self._leases[lease_id] = replace(made, start=running, phase=LeasePhase.RUNNING)

    async def open_stream(self, node_id: str) -> JobStream:
        """As the market client opens one into a job."""
        return await self._opened(self._serve)

    async def open_use_stream(self, node_id: str) -> JobStream:
        """As the market client opens one for exchanges."""
        return await self._opened(self._serve_use)

    async def _opened(self, serve: Callable[[socket.socket], Awaitable[None]]) -> JobStream:
        ours, theirs = socket.socketpair()
        self._token.run_sync_soon(self._nursery.start_soon, serve, theirs)
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
                self._lease_of,
                ExecConfig(),
                ServicesConfig(),
                may_end=True,
                may_enter=True,
            )
            uses = UsePlace(self._by_id, _no_escrow, lambda: 0, Losses((), _not_noted))
            self._use_door = UseDoor(
                self._bench.engine,
                self._by_id,
                uses,
                requests=8,
                idle_s=_START_LIMIT_S,
                may_enter=True,
            )
            # It is given its streams by us.
            await self._nursery.start(self._use_door.run, NoHost())
            self._ready.set()
            await self._over.wait()
            self._nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                # Under the name that it was given, the bench does not know it as its own.
                await self._bench.engine.remove(self.container_id)

    def _lease_of(self, lease_id: str) -> NodeLease | None:
        """Whoever asks for a job here means the one that there is."""
        return next(iter(self._leases.values()), None)

    def _by_id(self, lease_id: str) -> NodeLease | None:
        return self._leases.get(lease_id)

    async def _serve_use(self, connected: socket.socket) -> None:
        stream = SocketBytes(connected)
        try:
            await self._use_door.serve(stream)  # type: ignore[arg-type]  # as much of one as it uses
        finally:
            await stream.aclose()

    async def _serve(self, connected: socket.socket) -> None:
        stream = SocketBytes(connected)
        try:
            await self._door.serve(stream)  # type: ignore[arg-type]  # as much of one as it uses
        finally:
            await stream.aclose()


async def _not_noted(lost: UnpaidUse) -> bool:
    return True


async def _no_escrow(lease: NodeLease, start: Start) -> int:
    return 0


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
