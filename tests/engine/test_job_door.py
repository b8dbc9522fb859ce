"""A coordinator's streams into jobs: who gets in, what passes, and what is left when it goes."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import pytest
import trio

from engine.bench import PATIENCE_S, Bench
from engine.test_execs import SLEEPS, in_container, until
from neurogrid_marketplace.execution import accept
from neurogrid_marketplace.job import Job
from neurogrid_marketplace.job_stream import (
    JOB_STREAM_PROTOCOL_ID,
    WINDOW_BYTES,
    Credit,
    Exited,
    ExitReason,
    FrameKind,
    Open,
    Refused,
    Resize,
    Signal,
    SignalName,
    StreamRefusal,
    write_bytes,
    write_words,
)
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.messages import Start
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_marketplace.service import Service
from neurogrid_node.access.door import COMMANDS_PER_LEASE, JobDoor
from neurogrid_node.access.frames import FrameStream
from neurogrid_node.settings.clients import ExecConfig, ServicesConfig
from neurogrid_node.use.door import UseDoor
from neurogrid_node.use.losses import Losses, UnpaidUse
from neurogrid_node.use.place import UsePlace
from neurogrid_p2p.byte_stream import ByteStream
from neurogrid_p2p.connection import Connection
from neurogrid_p2p.errors import ChannelClosed
from neurogrid_p2p.host import open_host
from neurogrid_p2p.limits import Limits
from node.market import NOW_MS, award, start
from p2p.peers import Person

pytestmark = pytest.mark.engine

LEASE = "lease_" + "7" * 32
# How far leases for use are served before their escrows are seen.
AHEAD_MICRO_USDC = 8


@dataclass
class Node:
    """A node with one lease, whose job sleeps.

    Attributes:
        runners: by lease id, where a lease is that has a runner.
    """

    container_id: str
    coordinator: Person
    connection: Connection
    leases: dict[str, NodeLease]
    uses: UsePlace
    runners: dict[str, Callable[[], NodeLease]]
    # How to leave each of the streams that were opened.
    leave: dict[FrameStream, Callable[[], None]] = field(default_factory=dict)

    async def open(self, *command: str, lease_id: str = LEASE, tty: bool = False) -> FrameStream:
        """A stream on which a command is wanted; nothing has been answered."""
        stream = await self.raw()
        await stream.send(write_words(Open(lease_id, command, tty)))
        return stream

    async def raw(self, protocol: str = JOB_STREAM_PROTOCOL_ID) -> FrameStream:
        opened = await self.connection.open_stream(protocol)
        bytes_ = ByteStream(self.connection, opened)
        stream = FrameStream(bytes_)
        self.leave[stream] = bytes_.close
        return stream

    async def run(self, *command: str, tty: bool = False) -> FrameStream:
        """A stream with a command that runs."""
        stream = await self.open(*command, tty=tty)
        assert (await stream.receive()).kind is FrameKind.OPENED
        return stream

    async def refusal(self, *command: str, lease_id: str = LEASE) -> StreamRefusal:
        """Why a command is not let in."""
        stream = await self.open(*(command or ("true",)), lease_id=lease_id)
        frame = await stream.receive()
        assert frame.kind is FrameKind.REFUSED
        self.leave[stream]()
        return frame.words(Refused).code


@asynccontextmanager
async def node(
    bench: Bench,
    config: ExecConfig | None = None,
    *,
    program: str = SLEEPS,
    service: Service | None = None,
) -> AsyncIterator[Node]:
    coordinator, owner = Person(), Person()
    made = accept(award("0" * 64, lease_id=LEASE), coordinator.peer_id, 60_000, 1)
    job = Job("neurogrid/job:1", interactive=True, service=service)
    lease = replace(made, start=start(lease_id=LEASE, job=job), phase=LeasePhase.RUNNING)
    container_id = await bench.start(program, lease_id=LEASE)
    async with (
        open_host(owner.seed, ["/ip4/127.0.0.1/tcp/0"], Limits(streams_per_connection=64)) as host,
        open_host(coordinator.seed) as dialling,
    ):
        connection = await dialling.connect(host.addresses[0])
        leases = {LEASE: lease}
        runners: dict[str, Callable[[], NodeLease]] = {}

        def lease_of(lease_id: str) -> NodeLease | None:
            running = runners.get(lease_id)
            return leases.get(lease_id) if running is None else running()

        uses = UsePlace(
            lease_of,
            _no_escrow,
            lambda: NOW_MS + round(trio.current_time() * 1000),
            Losses((), _not_noted),
            ahead_micro_usdc=AHEAD_MICRO_USDC,
        )
        here = Node(container_id, coordinator, connection, leases, uses, runners)
        door = JobDoor(
            bench.engine,
            lease_of,
            config or ExecConfig(),
            ServicesConfig(connections=2),
            may_end=True,
            may_enter=True,
        )
        use_door = UseDoor(
            bench.engine, lease_of, uses, requests=2, idle_s=PATIENCE_S, may_enter=True
        )
        await door.open_on(host, [LEASE])
        async with trio.open_nursery() as nursery:
            await nursery.start(use_door.run, host)
            with trio.fail_after(PATIENCE_S):
                yield here
            nursery.cancel_scope.cancel()


async def _no_escrow(lease: NodeLease, start: Start) -> int:
    return 0


async def _not_noted(lost: UnpaidUse) -> bool:
    return True


async def heard(stream: FrameStream) -> tuple[dict[FrameKind, bytes], Exited]:
    """Everything up to the last frame, with credit given for it."""
    said: dict[FrameKind, bytes] = {FrameKind.OUTPUT: b"", FrameKind.ERRORS: b""}
    while True:
        frame = await stream.receive()
        if frame.kind is FrameKind.EXITED:
            return said, frame.words(Exited)
        if frame.kind in said:
            said[frame.kind] += frame.payload
            await stream.send(write_words(Credit(len(frame.payload))))


async def until_output(stream: FrameStream, words: bytes) -> None:
    said = b""
    while words not in said:
        frame = await stream.receive()
        assert frame.kind is not FrameKind.EXITED, said
        said += frame.payload


async def test_a_command_runs_beside_the_job(bench: Bench) -> None:
    async with node(bench) as here:
        stream = await here.run("sh", "-c", "cat; echo problem >&2; exit 3")
        await stream.send(write_bytes(FrameKind.INPUT, b"given"))
        await stream.send(write_bytes(FrameKind.END_OF_INPUT))
        said, exited = await heard(stream)
        assert said == {FrameKind.OUTPUT: b"given", FrameKind.ERRORS: b"problem\n"}
        assert exited == Exited(3)


async def test_who_does_not_read_stops_the_command_and_is_heard_all_the_same(bench: Bench) -> None:
    async with node(bench) as here:
        stream = await here.run("yes")
        received = 0
        while received < WINDOW_BYTES:
            frame = await stream.receive()
            received += len(frame.payload)
        assert received == WINDOW_BYTES, "not a byte beyond"
        await stream.send(write_words(Signal(SignalName.KILL)))
        # What it says of its end waits behind what it has said; a signal does not.
        await until(lambda: "yes" not in in_container(here.container_id))
        await stream.send(write_words(Credit(WINDOW_BYTES)))
        _, exited = await heard(stream)
        assert exited == Exited(137)


async def test_a_command_that_takes_no_input_is_still_told_of_signals(bench: Bench) -> None:
    async with node(bench) as here:
        stream = await here.run("sleep", "600")
        left = WINDOW_BYTES
        while left:
            await stream.send(write_bytes(FrameKind.INPUT, b"x" * 32_768))
            left -= 32_768
        await stream.send(write_words(Signal(SignalName.TERM)))
        _, exited = await heard(stream)
        assert exited == Exited(143)


async def test_a_client_that_leaves_takes_its_command_along(bench: Bench) -> None:
    async with node(bench) as here:
        stream = await here.run("sleep", "608")
        await until(lambda: "sleep 608" in in_container(here.container_id))
        here.leave[stream]()
        await until(lambda: "sleep 608" not in in_container(here.container_id))
        lost = await here.run("sleep", "609")
        assert lost is not stream
        await until(lambda: "sleep 609" in in_container(here.container_id))
        here.connection.abort()
        await until(lambda: "sleep 609" not in in_container(here.container_id))


async def test_a_command_through_which_nothing_goes_is_ended(bench: Bench) -> None:
    async with node(bench, ExecConfig(idle_s=1)) as here:
        stream = await here.run("sleep", "610")
        _, exited = await heard(stream)
        assert exited == Exited(-1, ExitReason.IDLE)
        await until(lambda: "sleep 610" not in in_container(here.container_id))


async def test_a_terminal_is_resized(bench: Bench) -> None:
    async with node(bench) as here:
        stream = await here.run("sh", tty=True)
        await stream.send(write_words(Resize(77, 11)))
        await stream.send(write_bytes(FrameKind.INPUT, b"stty size\n"))
        await until_output(stream, b"11 77\r\n")


async def test_only_its_own_coordinator_comes_into_a_lease_and_only_as_its_job_says(
    bench: Bench,
) -> None:
    async with node(bench) as here:
        lease = here.leases[LEASE]
        assert lease.start is not None
        assert await here.refusal(lease_id="lease_" + "8" * 32) is StreamRefusal.NO_LEASE
        here.leases[LEASE] = replace(lease, coordinator=Person().peer_id)
        assert await here.refusal() is StreamRefusal.NO_LEASE
        closed = replace(lease.start, job=replace(lease.start.job, interactive=False))
        here.leases[LEASE] = replace(lease, start=closed)
        assert await here.refusal() is StreamRefusal.NOT_INTERACTIVE
        for phase in set(LeasePhase) - {LeasePhase.RUNNING}:
            here.leases[LEASE] = replace(lease, phase=phase)
            assert await here.refusal() is StreamRefusal.NOT_RUNNING
        here.leases[LEASE] = lease
        await bench.engine.pause(here.container_id)
        assert await here.refusal() is StreamRefusal.NOT_RUNNING
        await bench.engine.remove(here.container_id)
        assert await here.refusal() is StreamRefusal.NOT_RUNNING


async def test_an_owner_who_lets_nobody_in_lets_nobody_in(bench: Bench) -> None:
    async with node(bench, ExecConfig(allow=False)) as here:
        assert await here.refusal() is StreamRefusal.NOT_ALLOWED


async def test_a_lease_has_so_many_streams_and_places_come_free(bench: Bench) -> None:
    async with node(bench) as here:
        streams = [await here.run("cat") for _ in range(COMMANDS_PER_LEASE)]
        assert await here.refusal() is StreamRefusal.TOO_MANY
        await streams[0].send(write_bytes(FrameKind.END_OF_INPUT))
        _, exited = await heard(streams[0])
        assert exited == Exited(0)
        here.leave[streams[0]]()
        stream = await here.open("true")
        while (frame := await stream.receive()).kind is FrameKind.REFUSED:
            here.leave[stream]()
            stream = await here.open("true")
        assert frame.kind is FrameKind.OPENED


@pytest.mark.parametrize(
    "frames",
    [
        b"\xff" * 64,
        b"\x04" + (2**31).to_bytes(4, "big"),
        write_bytes(FrameKind.OPENED),
        write_bytes(FrameKind.OPEN, b'{"lease_id": 1}'),
        write_bytes(FrameKind.OPEN, b"[" * 10_000),
        write_words(Open(LEASE, ("sleep", "611"))) + write_bytes(FrameKind.EXITED),
        write_words(Open(LEASE, ("sleep", "611"))) + write_words(Credit(1)),
        write_words(Open(LEASE, ("sleep", "611")))
        + write_bytes(FrameKind.END_OF_INPUT)
        + write_bytes(FrameKind.INPUT, b"x"),
        write_words(Open(LEASE, ("sleep", "611")))
        + write_bytes(FrameKind.SIGNAL, b'{"name":"STOP"}'),
    ],
)
async def test_garbage_ends_its_stream_and_nothing_else(bench: Bench, frames: bytes) -> None:
    async with node(bench) as here:
        stream = await here.raw()
        await stream.send(frames)
        with suppress(ChannelClosed):
            while (await stream.receive()).kind in (FrameKind.OPENED, FrameKind.CREDIT):
                pass
            pytest.fail("it was answered")
        await until(lambda: "sleep 611" not in in_container(here.container_id))
        good = await here.run("true")
        assert (await heard(good))[1] == Exited(0)
