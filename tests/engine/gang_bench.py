"""The nodes of a gang on this machine: each with its own host, its own engine connection and real containers."""

import os
import uuid
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from engine.bench import JOB_IMAGE, MIB
from neurogrid_marketplace.gang import GangMember, GangPlace
from neurogrid_node.container.engine import Engine, connect_engine
from neurogrid_node.container.links import SOCKET_NAME
from neurogrid_node.container.outcome import Exit
from neurogrid_node.container.spec import ContainerSpec, ImageInfo
from neurogrid_node.gang.gangs import Gangs, with_gangs
from neurogrid_p2p.host import Host, open_host
from neurogrid_p2p.limits import Limits, RelayLimits
from neurogrid_p2p.relay import Relay
from neurogrid_p2p.relay_reservation import RelayReservations
from p2p.peers import Person, listening

COORDINATOR = Person()
# More than any machine here can carry.
FAST = 10**10
# A shared machine can be slow; a job that takes this long here hangs.
PATIENCE_S = 120
LISTEN = ("/ip4/127.0.0.1/tcp/0",)


@dataclass
class Node:
    """One of them, while its daemon lives."""

    person: Person
    directory: Path
    engine: Engine
    host: Host
    gangs: Gangs
    image: ImageInfo
    lease_id: str = field(default_factory=lambda: f"lease_{uuid.uuid4().hex}")

    async def start(self, place: GangPlace, program: str) -> str:
        """Its member, running a Python program; the container's id."""
        link = await self.gangs.join(self.lease_id, COORDINATOR.peer_id, place)
        container_id = await self.engine.create(self.spec(place, program, link))
        await self.engine.start(container_id)
        return container_id

    def spec(self, place: GangPlace, program: str, link: str) -> ContainerSpec:
        return ContainerSpec(
            lease_id=self.lease_id,
            node_id=self.engine.node_id,
            image=self.image,
            command=("python3", "-c", program),
            environment=(),
            cpu_millis=2000,
            memory_bytes=128 * MIB,
            pids=64,
            disk_bytes=0,
            place=place,
            network_of=link,
        )

    async def ended(self, container_id: str) -> tuple[Exit, str]:
        """How it ended, and all it said."""
        with trio.fail_after(PATIENCE_S):
            ended = await self.engine.wait(container_id)
            text = ""
            async with self.engine.follow_logs(container_id) as chunks:
                async for chunk in chunks:
                    text += chunk.text
            return ended, text

    async def clean_up(self) -> None:
        await self.engine.remove(f"neurogrid-{self.lease_id}")
        await self.gangs.leave(self.lease_id)


@asynccontextmanager
async def open_node(
    directory: Path,
    person: Person,
    *,
    listen: Sequence[str] = LISTEN,
    relay: str | None = None,
    bytes_per_s: int = FAST,
    lease_id: str | None = None,
) -> AsyncIterator[Node]:
    """A node's daemon, as far as gangs need one. Leaving it leaves its containers."""
    folder = directory / f"node-{person.peer_id[-8:]}"
    folder.mkdir(exist_ok=True)
    async with (
        connect_engine(person.peer_id, grace_s=30) as engine,
        open_host(person.seed, listen, with_gangs(Limits())) as host,
        trio.open_nursery() as nursery,
    ):
        reservations = RelayReservations(host, ())
        nursery.start_soon(reservations.run)
        image = await engine.image(JOB_IMAGE)
        assert image is not None, f"{JOB_IMAGE} is not here: make images"
        gangs = Gangs(
            engine, host, reservations, lambda coordinator: relay, folder, bytes_per_s, nursery
        )
        node = Node(person, folder, engine, host, gangs, image)
        if lease_id is not None:
            node.lease_id = lease_id
        yield node
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_nodes(
    directory: Path, count: int, *, listen: Sequence[str] = LISTEN, relay: str | None = None
) -> AsyncIterator[list[Node]]:
    """So many, and nothing of them left behind."""
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(
                open_node(directory, Person(), listen=listen, relay=relay)
            )
            for _ in range(count)
        ]
        try:
            yield nodes
        finally:
            with trio.CancelScope(shield=True):
                for node in nodes:
                    await node.clean_up()


def places(nodes: Sequence[Node], *, dialled: Collection[int] | None = None) -> list[GangPlace]:
    """The gang of these nodes, in the order of ranks.

    Args:
        dialled: ranks whose addresses are known; None: all.
    """
    members = tuple(
        GangMember(
            node.host.peer_id, node.host.addresses if dialled is None or rank in dialled else ()
        )
        for rank, node in enumerate(nodes)
    )
    gang_id = f"task_{os.urandom(16).hex()}"
    return [GangPlace(gang_id, 1, rank, members) for rank in range(len(nodes))]


@asynccontextmanager
async def link_of(node: Node) -> AsyncIterator[trio.SocketStream]:
    """As the link of a member connects, but whoever asks is its interface."""
    folder = os.open(node.directory / node.lease_id, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Longer than a socket's address may be, by its own name.
        stream = await trio.open_unix_socket(f"/proc/self/fd/{folder}/{SOCKET_NAME}")
    finally:
        os.close(folder)
    async with stream:
        yield stream


@asynccontextmanager
async def a_relay(limits: RelayLimits) -> AsyncIterator[str]:
    """A coordinator's relay; its address."""
    async with listening(limits.beside(Limits()), COORDINATOR) as host:
        Relay(host, limits)
        yield host.addresses[0]
