"""Connections into a job's own network: who gets in, what passes, and that nothing else does."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio

from engine.bench import Bench
from engine.serving import SERVES, SERVICE_PORT
from engine.test_job_door import LEASE, Node, heard, node
from neurogrid_marketplace.job import Job
from neurogrid_marketplace.job_stream import (
    WINDOW_BYTES,
    Credit,
    Exited,
    ExitReason,
    FrameKind,
    OpenPort,
    Refused,
    StreamRefusal,
    write_bytes,
    write_words,
)
from neurogrid_marketplace.service import Service
from neurogrid_node.access.frames import FrameStream
from neurogrid_node.container import ports
from neurogrid_node.container.errors import ContainerGone
from node.market import start

pytestmark = pytest.mark.engine

SERVICE = Service(SERVICE_PORT)


async def asked(here: Node, lease_id: str = LEASE) -> FrameStream:
    """A stream on which a connection is wanted; nothing has been answered."""
    stream = await here.raw()
    await stream.send(write_words(OpenPort(lease_id)))
    return stream


async def refusal(here: Node, lease_id: str = LEASE) -> StreamRefusal:
    stream = await asked(here, lease_id)
    frame = await stream.receive()
    assert frame.kind is FrameKind.REFUSED
    here.leave[stream]()
    return frame.words(Refused).code


async def connected(here: Node, words: bytes) -> FrameStream:
    """A connection on which this was said."""
    stream = await asked(here)
    assert (await stream.receive()).kind is FrameKind.OPENED
    await stream.send(write_bytes(FrameKind.INPUT, words))
    return stream


@asynccontextmanager
async def serving(bench: Bench) -> AsyncIterator[Node]:
    """A node whose job serves by now."""
    async with node(bench, program=SERVES, service=SERVICE) as here:
        view = await bench.engine.inspect(here.container_id)
        while True:
            try:
                connection = await ports.connect(view.pid, view.container_id, SERVICE_PORT)
                break
            except ports.NotListening:
                await trio.sleep(0.02)
        await connection.aclose()
        yield here


async def test_bytes_go_both_ways_and_each_side_may_end_first(bench: Bench) -> None:
    async with serving(bench) as here:
        stream = await connected(here, b"echo\n")
        await stream.send(write_bytes(FrameKind.INPUT, b"given"))
        await stream.send(write_bytes(FrameKind.END_OF_INPUT))
        said, exited = await heard(stream)
        assert (said[FrameKind.OUTPUT], exited) == (b"givenbye", Exited(0))
        for words, reason in ((b"close\n", ExitReason.EXITED), (b"reset\n", ExitReason.LOST)):
            here.leave[stream]()
            stream = await connected(here, words)
            said, exited = await heard(stream)
            assert (said[FrameKind.OUTPUT], exited.reason) == (b"", reason)


async def test_who_does_not_read_stops_that_connection_alone(bench: Bench) -> None:
    async with serving(bench) as here:
        flood = await connected(here, b"flood\n")
        received = 0
        while received < WINDOW_BYTES:
            frame = await flood.receive()
            received += len(frame.payload) if frame.kind is FrameKind.OUTPUT else 0
        assert received == WINDOW_BYTES, "not a byte beyond"
        other = await connected(here, b"close\n")
        assert (await heard(other))[1] == Exited(0)
        await flood.send(write_words(Credit(WINDOW_BYTES)))
        assert (await flood.receive()).kind is FrameKind.OUTPUT


async def test_who_is_not_let_in(bench: Bench) -> None:
    async with serving(bench) as here:
        lease = here.leases[LEASE]
        assert await refusal(here, "lease_" + "8" * 32) is StreamRefusal.NO_LEASE
        streams = [await connected(here, b"echo\n") for _ in range(2)]
        assert await refusal(here) is StreamRefusal.TOO_MANY
        for stream in streams:
            here.leave[stream]()
        for changed, reason in (
            (replace(lease, coordinator="12D3KooWSomebodyElse"), StreamRefusal.NO_LEASE),
            (replace(lease, paused_at_ms=1), StreamRefusal.NOT_RUNNING),
            (
                replace(lease, start=start(lease_id=LEASE, job=Job("neurogrid/job:1"))),
                StreamRefusal.NO_SERVICE,
            ),
        ):
            here.leases[LEASE] = changed
            assert await refusal(here) is reason


async def test_nothing_but_the_jobs_own_port_is_reached_and_its_network_stays_empty(
    bench: Bench,
) -> None:
    outside = await trio.open_tcp_listeners(9_123, host="127.0.0.1")
    try:
        # This machine listens there, and the job does not.
        async with node(bench, program=SERVES, service=Service(9_123)) as here:
            ours = os.readlink("/proc/self/ns/net")
            assert await refusal(here) is StreamRefusal.NOT_LISTENING
            view = await bench.engine.inspect(here.container_id)
            interfaces = await trio.Path(f"/proc/{view.pid}/net/dev").read_text()
            assert [line.split(":")[0].strip() for line in interfaces.splitlines()[2:]] == ["lo"]
            tasks = await trio.Path("/proc/self/task").iterdir()
            assert {os.readlink(task / "ns/net") for task in tasks} == {ours}
    finally:
        for listener in outside:
            await listener.aclose()


async def test_no_process_but_the_containers_own_leads_anywhere(bench: Bench) -> None:
    container_id = await bench.start(SERVES)
    for pid in (os.getpid(), 2**22 - 1, 0):
        with pytest.raises(ContainerGone):
            await ports.connect(pid, container_id, SERVICE_PORT)
    assert ports.may_enter(("runc",))
    assert not ports.may_enter(("runsc",))


async def test_a_network_is_entered_again_and_again_and_not_when_its_container_has_ended(
    bench: Bench,
) -> None:
    async with serving(bench) as here:
        view = await bench.engine.inspect(here.container_id)
        network = ports.JobNetwork(view.pid, view.container_id)
        try:
            for _ in range(3):
                network.prepare()
                connection = await network.connect(SERVICE_PORT)
                await connection.write(b"close\n")
                assert await connection.read() is None
                await connection.aclose()
            with pytest.raises(ports.NotListening):
                await network.connect(1)
            network.prepare()
            os.kill(view.pid, signal.SIGKILL)
            while not network.is_gone:  # noqa: ASYNC110 - a descriptor of a process tells nobody
                await trio.sleep(0.02)
            with pytest.raises(ContainerGone):
                await network.connect(SERVICE_PORT)
        finally:
            network.close()
        assert network.is_gone
