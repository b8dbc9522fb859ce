"""A lease's stream over real libp2p, beside a control stream, against a coordinator that does as each test says."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio

from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.messages import (
    LEASE_PROTOCOL_ID,
    PROTOCOL_ID,
    Acknowledge,
    Attach,
    CoordinatorLeaseMessage,
    Heartbeat,
    Hello,
    Log,
    Message,
    Meter,
    Pulse,
    Stop,
)
from neurogrid_node.lease.stream import LeaseStream, NoStream
from neurogrid_node.market.network import CoordinatorLink
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.host import open_host
from neurogrid_p2p.session import SignedChannel
from node.fakes import FakeStream
from node.market import LEASE, OFFER, TOTAL, demand
from p2p.peers import Person, until

OTHER_LEASE = "lease_" + "2" * 32
METER = Meter(LEASE, 1, 1)
STORED = Acknowledge(LEASE, 1, 2, log_limit_bytes=3)


@dataclass
class Coordinator:
    """A coordinator's end.

    Attributes:
        controls, streams: the sessions of all control streams and lease streams so far.
        heard: what was said on lease streams.
        answers_hello: whether nodes may go on to open lease streams.
        closes: how many lease streams are closed at once.
        reads: whether it takes what is sent on lease streams.
    """

    person: Person = field(default_factory=Person)
    controls: list[SignedChannel] = field(default_factory=list)
    streams: list[SignedChannel] = field(default_factory=list)
    heard: list[Message] = field(default_factory=list)
    answers_hello: bool = True
    closes: int = 0
    reads: bool = True

    async def control(self, channel: Channel) -> None:
        session = await SignedChannel.welcome(channel, self.person.party(), "test/1")
        self.controls.append(session)
        while True:
            _, message = await session.receive()
            if isinstance(message, Hello) and self.answers_hello:
                await session.send(Pulse(0))

    async def lease(self, channel: Channel) -> None:
        if self.closes:
            self.closes -= 1
            return
        session = await SignedChannel.welcome(channel, self.person.party(), "test/1")
        _, attach = await session.receive()
        self.heard.append(attach)
        self.streams.append(session)
        while self.reads:
            self.heard.append((await session.receive())[1])
        await trio.sleep_forever()


@dataclass
class Lease:
    """What a runner is asked and told."""

    stream: LeaseStream
    received: list[CoordinatorLeaseMessage] = field(default_factory=list)
    attached: int = 0

    def attach(self) -> Attach:
        self.attached += 1
        return Attach(LEASE, has_start=False, events=self.attached)


@asynccontextmanager
async def leased(coordinator: Coordinator, **limits: float) -> AsyncIterator[Lease]:
    """A lease whose stream is kept up."""
    node = Person()
    async with (
        open_host(coordinator.person.seed, ["/ip4/127.0.0.1/tcp/0"]) as server,
        open_host(node.seed) as host,
        trio.open_nursery() as nursery,
    ):
        server.serve(PROTOCOL_ID, coordinator.control)
        server.serve(LEASE_PROTOCOL_ID, coordinator.lease, owns_connection=False)

        async def received(link: CoordinatorLink, message: Message) -> None:
            raise AssertionError("nothing is said on the control stream")

        link = CoordinatorLink(
            host,
            server.addresses[0],
            node.party(),
            hello=lambda _: Hello(OFFER),
            heartbeat=lambda _: Heartbeat(TOTAL, accepting=True),
            received=received,
        )
        lease = Lease(LeaseStream(LEASE, link, **limits))
        nursery.start_soon(link.run)
        nursery.start_soon(lease.stream.run, lease.attach, lease.received.append)
        yield lease
        nursery.cancel_scope.cancel()


async def test_it_says_first_what_it_has_and_messages_go_both_ways() -> None:
    coordinator = Coordinator()
    async with leased(coordinator) as lease:
        await until(lambda: coordinator.heard == [Attach(LEASE, has_start=False, events=1)])
        await coordinator.streams[0].send(STORED)
        await coordinator.streams[0].send(Stop(LEASE, Outcome.CANCELLED))
        await until(lambda: lease.received == [STORED, Stop(LEASE, Outcome.CANCELLED)])
        assert lease.stream.is_connected()
        await lease.stream.send(METER)
        await until(lambda: coordinator.heard[1:] == [METER])


async def test_it_waits_until_the_coordinator_has_answered_the_hello() -> None:
    coordinator = Coordinator(answers_hello=False)
    async with leased(coordinator) as lease:
        await until(lambda: len(coordinator.controls) == 1)
        await trio.sleep(0.1)
        assert (lease.attached, lease.stream.is_connected()) == (0, False)
        await coordinator.controls[0].send(Pulse(0))
        await until(lambda: lease.attached == 1)


async def test_a_stream_that_ends_is_opened_again_and_its_connection_stays() -> None:
    coordinator = Coordinator(closes=2)
    async with leased(coordinator) as lease:
        await until(lambda: len(coordinator.streams) == 1)
        coordinator.streams[0].abort("gone")
        await until(lambda: len(coordinator.streams) == 2)
        assert lease.attached >= 2
        await lease.stream.send(METER)
        await until(lambda: coordinator.heard[-1] == METER)
        assert len(coordinator.controls) == 1


async def test_it_comes_back_with_its_connection() -> None:
    coordinator = Coordinator()
    async with leased(coordinator) as lease:
        await until(lambda: len(coordinator.streams) == 1)
        coordinator.controls[0].abort("gone")
        await until(lambda: len(coordinator.streams) == 2)
        await until(lease.stream.is_connected)


@pytest.mark.parametrize(
    "said",
    [Acknowledge(OTHER_LEASE, 1, 2), METER, Pulse(1), demand()],
    ids=lambda message: type(message).__name__,
)
async def test_a_coordinator_that_says_there_what_it_may_not_is_left_and_tried_again(
    said: Message, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    coordinator = Coordinator()
    async with leased(coordinator) as lease:
        await until(lambda: len(coordinator.streams) == 1)
        await coordinator.streams[0].send(said)
        await until(lambda: len(coordinator.streams) == 2)
        assert lease.received == []
        assert len(coordinator.controls) == 2
    assert "lease's stream" in caplog.text


async def test_a_coordinator_that_takes_nothing_does_not_hold_up_the_lease() -> None:
    coordinator = Coordinator(reads=False)
    async with leased(coordinator, send_patience_s=0.2) as lease:
        await until(lease.stream.is_connected)
        with trio.fail_after(60):
            while lease.stream.is_connected():
                await lease.stream.send(Log(LEASE, 0, "x" * 30_000))
        await until(lambda: lease.attached == 2)
        # The control stream is another.
        assert len(coordinator.controls) == 1


async def test_a_message_that_is_too_large_is_not_sent_and_the_stream_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    coordinator = Coordinator()
    async with leased(coordinator) as lease:
        await until(lease.stream.is_connected)
        await lease.stream.send(Log(LEASE, 0, "x" * 2_000_000))
        await lease.stream.send(METER)
        await until(lambda: coordinator.heard[1:] == [METER])
    assert "not sent" in caplog.text


async def test_the_fake_stream_does_as_the_real_one() -> None:
    coordinator = Coordinator()
    async with leased(coordinator) as lease, trio.open_nursery() as nursery:
        fake, attached, received = FakeStream(), 0, list[CoordinatorLeaseMessage]()

        def attach() -> Attach:
            nonlocal attached
            attached += 1
            return Attach(LEASE, has_start=False, events=attached)

        nursery.start_soon(fake.run, attach, received.append)
        await until(lambda: len(coordinator.streams) == 1)
        await coordinator.streams[0].send(STORED)
        await until(lambda: lease.received == [STORED])
        # An attach, and what the coordinator answers.
        assert (attached, lease.attached) == (1, 1)
        assert [type(message) for message in received] == [Acknowledge]
        for stream in (lease.stream, fake):
            assert stream.is_connected()
            stream.beat_soon()
            await stream.send(METER)
        await until(lambda: coordinator.heard[1:] == [METER])
        assert fake.sent == [METER]
        coordinator.answers_hello = False
        coordinator.controls[0].abort("gone")
        await until(lambda: not lease.stream.is_connected())
        fake.connected = False
        for stream in (lease.stream, fake):
            await stream.send(METER)
        assert fake.sent == [METER]
        nursery.cancel_scope.cancel()


async def test_without_a_coordinator_there_is_no_stream() -> None:
    stream = NoStream()
    stream.beat_soon()
    await stream.send(METER)
    assert not stream.is_connected()
    with trio.move_on_after(0.05) as waited:
        await stream.run(lambda: Attach(LEASE, has_start=False, events=0), lambda message: None)
    assert waited.cancelled_caught
