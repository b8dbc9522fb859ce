"""One node with leases of two coordinators, each a process of its own, of which one is killed."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from neurogrid_marketplace.messages import Attach, Heartbeat, Hello, Message, Meter
from neurogrid_node.lease.stream import LeaseStream
from neurogrid_node.market.network import CoordinatorLink
from neurogrid_p2p.host import Host, open_host
from node.market import OFFER, TOTAL
from p2p.peers import Person, until

pytestmark = pytest.mark.processes

# Importing libp2p takes seconds on a busy machine.
_PATIENCE_S = 60.0


class CoordinatorProcess:
    """A coordinator, and what it has said so far. Made by `running`."""

    def __init__(self, process: trio.Process, nursery: trio.Nursery) -> None:
        self.lines: list[str] = []
        self._process = process
        nursery.start_soon(self._read)

    @property
    def address(self) -> str:
        return self.lines[0]

    def kill(self) -> None:
        self._process.kill()

    async def said(self, line: str) -> None:
        await until(lambda: line in self.lines, _PATIENCE_S)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        data = b""
        async for piece in self._process.stdout:
            data += piece
            self.lines = data.decode().splitlines()


@asynccontextmanager
async def running(person: Person, listen: str) -> AsyncIterator[CoordinatorProcess]:
    script = Path(__file__).with_name("coordinator_process.py")
    process = await trio.lowlevel.open_process(
        [sys.executable, str(script), person.seed.hex(), listen],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(script.parents[1])},
    )
    try:
        async with trio.open_nursery() as nursery:
            coordinator = CoordinatorProcess(process, nursery)
            await until(lambda: bool(coordinator.lines), _PATIENCE_S)
            yield coordinator
            nursery.cancel_scope.cancel()
    finally:
        process.kill()
        await process.wait()
        if process.stdout is not None:
            await process.stdout.aclose()


class Lease:
    """A lease of one coordinator, and the connection to it."""

    def __init__(
        self, host: Host, node: Person, coordinator: Person, address: str, number: int
    ) -> None:
        self.lease_id = f"lease_{number:032x}"
        self._link = CoordinatorLink(
            host,
            f"{address}/p2p/{coordinator.peer_id}",
            node.party(),
            hello=lambda _: Hello(OFFER),
            heartbeat=lambda _: Heartbeat(TOTAL, accepting=True),
            received=_nothing,
        )
        self.stream = LeaseStream(self.lease_id, self._link)

    def start(self, nursery: trio.Nursery) -> None:
        nursery.start_soon(self._link.run)
        nursery.start_soon(self.stream.run, self._attach, lambda message: None)

    def _attach(self) -> Attach:
        return Attach(self.lease_id, has_start=True, events=2)


async def _nothing(link: CoordinatorLink, message: Message) -> None:
    return


async def test_a_killed_coordinator_takes_nothing_from_the_others_leases_and_gets_its_own_back() -> (
    None
):
    node, first, second = Person(), Person(), Person()
    anywhere = "/ip4/127.0.0.1/tcp/0"
    async with (
        running(first, anywhere) as one,
        open_host(node.seed) as host,
        trio.open_nursery() as nursery,
    ):
        async with running(second, anywhere) as other:
            place = other.address
            mine = Lease(host, node, first, one.address, 1)
            theirs = Lease(host, node, second, place, 2)
            for lease in (mine, theirs):
                lease.start(nursery)
            await one.said(f"attached {mine.lease_id}")
            await other.said(f"attached {theirs.lease_id}")
            other.kill()
            await until(lambda: not theirs.stream.is_connected(), _PATIENCE_S)
            assert mine.stream.is_connected()
            await mine.stream.send(Meter(mine.lease_id, 7, 7))
            await one.said(f"metered {mine.lease_id} 7")
        async with running(second, place) as again:
            await again.said(f"attached {theirs.lease_id}")
            await until(theirs.stream.is_connected)
            await theirs.stream.send(Meter(theirs.lease_id, 9, 9))
            await again.said(f"metered {theirs.lease_id} 9")
        assert one.lines.count(f"attached {mine.lease_id}") == 1
        nursery.cancel_scope.cancel()
