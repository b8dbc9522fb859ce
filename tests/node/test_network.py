"""The control stream over real libp2p, against a coordinator that does as each test says."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
import trio

from neurogrid_marketplace.bid import Decline, DeclineCode
from neurogrid_marketplace.messages import (
    PROTOCOL_ID,
    Heartbeat,
    Hello,
    Message,
    Pulse,
    to_body,
)
from neurogrid_marketplace.offer import LeasePhase, LeaseStatus
from neurogrid_marketplace.resources import Capacity, Gpu
from neurogrid_marketplace.wire import encode_frame
from neurogrid_node.market.bidder import LEASES_MAX
from neurogrid_node.market.network import CoordinatorLink
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.host import open_host
from neurogrid_p2p.session import SignedChannel
from node.fakes import FakeLink
from node.market import LEASE, OFFER, TOTAL, award, demand
from p2p.peers import Person, until

HELLO = Hello(OFFER)
HEARTBEAT = Heartbeat(TOTAL, accepting=True)
DECLINE = Decline(demand().demand_id, DeclineCode.BUSY)
# Larger than its field allows, which only a reader would notice.
LONG = replace(DECLINE, detail="x" * 30_000)


@dataclass
class Coordinator:
    """A coordinator's end.

    Attributes:
        sessions: of every stream so far.
        heard: what the node said, in all of them.
        reads: whether it takes what is sent.
    """

    person: Person = field(default_factory=Person)
    sessions: list[SignedChannel] = field(default_factory=list)
    heard: list[Message] = field(default_factory=list)
    reads: bool = True

    async def serve(self, channel: Channel) -> None:
        session = await SignedChannel.welcome(channel, self.person.party(), "test/1")
        self.sessions.append(session)
        while self.reads:
            _, message = await session.receive()
            self.heard.append(message)
            if isinstance(message, Hello):
                await session.send(Pulse(0))
        await trio.sleep_forever()

    def count(self, kind: type) -> int:
        return sum(isinstance(message, kind) for message in self.heard)


@dataclass
class NodeEnd:
    """What the node's side of a link is asked and told."""

    received: list[Message] = field(default_factory=list)
    fails: bool = False

    def hello(self, coordinator: str) -> Hello:
        return HELLO

    def heartbeat(self, coordinator: str) -> Heartbeat:
        return HEARTBEAT

    async def take(self, link: CoordinatorLink, message: Message) -> None:
        if self.fails:
            raise ZeroDivisionError("a defect")
        self.received.append(message)


@asynccontextmanager
async def linked(
    coordinator: Coordinator, end: NodeEnd, **limits: float
) -> AsyncIterator[tuple[CoordinatorLink, Callable[[], Awaitable[None]]]]:
    """A link that runs, and a way to kill the coordinator's host and start it again."""
    node = Person()
    async with trio.open_nursery() as nursery, open_host(node.seed) as host:
        life = trio.CancelScope()
        address = ""

        async def run(listen: str, task_status: trio.TaskStatus[str]) -> None:
            with life:
                async with open_host(coordinator.person.seed, [listen]) as server:
                    server.serve(PROTOCOL_ID, coordinator.serve)
                    task_status.started(server.listen_addresses[0])
                    await trio.sleep_forever()

        async def restart() -> None:
            nonlocal life, address
            life.cancel()
            await trio.sleep(0.05)
            life = trio.CancelScope()
            address = await nursery.start(run, address or "/ip4/127.0.0.1/tcp/0")

        await restart()
        link = CoordinatorLink(
            host,
            f"{address}/p2p/{coordinator.person.peer_id}",
            node.party(),
            hello=end.hello,
            heartbeat=end.heartbeat,
            received=end.take,
            **limits,
        )
        nursery.start_soon(link.run)
        yield link, restart
        nursery.cancel_scope.cancel()


async def test_hello_comes_first_and_messages_go_both_ways() -> None:
    coordinator, end = Coordinator(), NodeEnd()
    async with linked(coordinator, end) as (link, _):
        await until(lambda: bool(coordinator.heard))
        assert coordinator.heard == [HELLO]
        assert link.is_connected()
        assert link.coordinator == coordinator.person.peer_id
        sent: list[Message] = [demand(), award("0" * 64)]
        for message in sent:
            await coordinator.sessions[0].send(message)
            await coordinator.sessions[0].send(Pulse(1))
        await until(lambda: len(end.received) == 2)
        assert end.received == sent
        envelope = await link.send_signed(DECLINE)
        assert envelope is not None
        await until(lambda: coordinator.count(Decline) == 1)


async def test_a_heartbeat_is_sent_when_something_changed_and_many_changes_share_few() -> None:
    coordinator, end = Coordinator(), NodeEnd()
    async with linked(coordinator, end) as (link, _):
        await until(lambda: link.is_connected())
        link.beat_soon()
        await until(lambda: coordinator.count(Heartbeat) == 1, 10)
        began_s = trio.current_time()
        for _ in range(100):
            link.beat_soon()
            await trio.sleep(0.002)
        took_s = trio.current_time() - began_s
        await trio.sleep(0.3)
        assert 2 <= coordinator.count(Heartbeat) <= 3 + took_s / 0.1


async def test_a_goodbye_arrives_before_the_end_of_a_link_that_is_cancelled() -> None:
    coordinator, end, node = Coordinator(), NodeEnd(), Person()
    goodbye = replace(HEARTBEAT, accepting=False)
    async with open_host(coordinator.person.seed, ["/ip4/127.0.0.1/tcp/0"]) as server:
        server.serve(PROTOCOL_ID, coordinator.serve)
        async with open_host(node.seed) as host, trio.open_nursery() as nursery:
            link = CoordinatorLink(
                host,
                f"{server.listen_addresses[0]}/p2p/{coordinator.person.peer_id}",
                node.party(),
                hello=end.hello,
                heartbeat=end.heartbeat,
                received=end.take,
            )
            nursery.start_soon(link.run)
            await until(lambda: coordinator.count(Hello) == 1)
            await link.send(goodbye)
            # As the end of a daemon does.
            nursery.cancel_scope.cancel()
        await until(lambda: coordinator.heard[-1] == goodbye)


async def test_it_comes_back_when_the_coordinator_does() -> None:
    coordinator, end = Coordinator(), NodeEnd()
    async with linked(coordinator, end) as (link, restart):
        await until(lambda: coordinator.count(Hello) == 1)
        await restart()
        await until(lambda: coordinator.count(Hello) == 2)
        await until(link.is_connected)


async def test_while_away_sending_is_nothing_and_one_line_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    person, node = Person(), Person()
    async with open_host(node.seed) as host, trio.open_nursery() as nursery:
        end = NodeEnd()
        link = CoordinatorLink(
            host,
            f"/ip4/127.0.0.1/tcp/1/p2p/{person.peer_id}",
            node.party(),
            hello=end.hello,
            heartbeat=end.heartbeat,
            received=end.take,
        )
        nursery.start_soon(link.run)
        await trio.sleep(1.2)
        assert not link.is_connected()
        await link.send(Pulse(1))
        assert await link.send_signed(Pulse(1)) is None
        nursery.cancel_scope.cancel()
    lines = [record for record in caplog.records if person.peer_id in record.message]
    assert len(lines) == 1
    assert "cannot reach" in lines[0].message


async def test_a_silent_coordinator_is_left_and_tried_again() -> None:
    coordinator, end = Coordinator(), NodeEnd()
    async with linked(coordinator, end, silence_limit_s=0.2):
        await until(lambda: coordinator.count(Hello) >= 2)


async def test_a_coordinator_that_takes_nothing_does_not_hold_up_the_leases() -> None:
    coordinator, end = Coordinator(reads=False), NodeEnd()
    async with linked(coordinator, end, send_patience_s=0.2) as (link, _):
        await until(lambda: link.is_connected())
        with trio.fail_after(60):
            while link.is_connected():
                await link.send(LONG)
        await until(lambda: len(coordinator.sessions) == 2)


async def test_a_defect_over_one_message_does_not_end_the_stream(
    caplog: pytest.LogCaptureFixture,
) -> None:
    coordinator, end = Coordinator(), NodeEnd(fails=True)
    async with linked(coordinator, end):
        await until(lambda: bool(coordinator.sessions))
        await coordinator.sessions[0].send(demand())
        await until(lambda: "ZeroDivisionError" in caplog.text)
        end.fails = False
        await coordinator.sessions[0].send(award("0" * 64))
        await until(lambda: end.received == [award("0" * 64)])
        assert len(coordinator.sessions) == 1
    assert "Demand of" in caplog.text


async def test_a_message_that_is_too_large_is_not_sent_and_the_stream_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    coordinator, end = Coordinator(), NodeEnd()
    async with linked(coordinator, end) as (link, _):
        await until(lambda: link.is_connected())
        await link.send(replace(DECLINE, detail="x" * 2_000_000))
        await link.send(DECLINE)
        await until(lambda: coordinator.count(Decline) == 1)
        assert link.is_connected()
    assert "not sent" in caplog.text


async def test_a_coordinator_that_breaks_the_protocol_is_left_and_tried_again() -> None:
    coordinator, end = Coordinator(), NodeEnd()
    async with linked(coordinator, end):
        await until(lambda: coordinator.count(Hello) == 1)
        channel = coordinator.sessions[0]._channel
        await channel.send({"version": 1, "nonsense": True})
        await until(lambda: coordinator.count(Hello) == 2)
        assert end.received == []


def test_the_largest_heartbeat_fits_a_frame() -> None:
    gpus = tuple(Gpu("GPU-" + "x" * 124, "m" * 128, 2**53 - 1, "99.9") for _ in range(64))
    status = LeaseStatus(
        LEASE, LeasePhase.COLLECTING, 2**53 - 1, 1000, "\N{SNOWMAN}" * 200, 2**53 - 1
    )
    largest = Heartbeat(Capacity(10**7, 2**53 - 1, 2**53 - 1, gpus), True, (status,) * LEASES_MAX)
    assert len(encode_frame(dict(to_body(largest)))) < 512 * 1024


async def test_the_fake_link_does_as_the_real_one() -> None:
    coordinator, end = Coordinator(), NodeEnd()
    fake = FakeLink(coordinator.person.peer_id)
    async with linked(coordinator, end) as (real, _):
        await until(lambda: real.is_connected())
        for link in (real, fake):
            first, second = [await link.send_signed(DECLINE) for _ in range(2)]
            assert first is not None
            assert second is not None
            assert first.hash() != second.hash()
            assert (first.type, first.recipient) == ("decline", coordinator.person.peer_id)
            assert first.body == to_body(DECLINE)
            assert link.coordinator == coordinator.person.peer_id
            link.beat_soon()
        coordinator.sessions[0].abort("gone")
        await until(lambda: not real.is_connected())
        fake.connected = False
        for link in (real, fake):
            assert not link.is_connected()
            await link.send(DECLINE)
            assert await link.send_signed(DECLINE) is None
