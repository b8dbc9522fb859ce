"""Control channels over real libp2p, in one process; the limits are made short, not the clock."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from coordinator.market_nodes import FakeNode, demand
from neurogrid_coordinator.market import network
from neurogrid_coordinator.market.credits import Credits
from neurogrid_coordinator.market.directory import Directory
from neurogrid_coordinator.market.network import Network, NodeMessage, host_limits
from neurogrid_coordinator.market.reports import NodeView
from neurogrid_coordinator.market.settings import NodeLimits
from neurogrid_marketplace.bid import Decline, DeclineCode
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.messages import (
    LEASE_PROTOCOL_ID,
    PROTOCOL_ID,
    SILENCE_LIMIT_S,
    Heartbeat,
    Hello,
    Message,
    Meter,
    Pulse,
)
from neurogrid_marketplace.offer import LeasePhase, LeaseStatus
from neurogrid_p2p.errors import ChannelClosed
from neurogrid_p2p.host import Host, open_host
from neurogrid_p2p.session import SignedChannel
from p2p.peers import Person, now_ms, until

LEASE = "lease_" + "0" * 32
METER = Meter(LEASE, 1_000, 5)
DECLINE = Decline(demand().demand_id, DeclineCode.BUSY)


class Notes:
    """A `network.Listener` that writes everything down.

    Attributes:
        gates: by lease, what has to be set before a message about it is taken.
    """

    def __init__(self) -> None:
        self.gates: dict[str, trio.Event] = {}
        self.lines: list[tuple[str, str]] = []
        self.messages: list[NodeMessage] = []
        self.views: dict[str, NodeView] = {}

    async def node_joined(self, view: NodeView) -> None:
        self._note("joined", view)

    async def node_beat(self, view: NodeView) -> None:
        self._note("beat", view)

    async def node_left(self, view: NodeView) -> None:
        self._note("left", view)

    async def received(self, node_id: str, envelope: Envelope, message: NodeMessage) -> None:
        assert envelope.sender == node_id
        gate = self.gates.get(getattr(message, "lease_id", ""))
        if gate is not None:
            await gate.wait()
        self.messages.append(message)

    def of(self, node: FakeNode) -> list[str]:
        """What happened to one node."""
        return [what for node_id, what in self.lines if node_id == node.node_id]

    def _note(self, what: str, view: NodeView) -> None:
        self.lines.append((view.offer.node_id, what))
        self.views[view.offer.node_id] = view


class Market:
    """A coordinator's network and its notes."""

    def __init__(
        self, host: Host, limits: NodeLimits, person: Person, silence_limit_s: float
    ) -> None:
        self.address = host.addresses[0]
        self.directory = Directory()
        self.notes = Notes()
        party = person.party()
        self.network = Network(party, self.directory, limits, self.notes, "test/1", silence_limit_s)
        host.serve(PROTOCOL_ID, self.network.serve)
        host.serve(LEASE_PROTOCOL_ID, self.network.serve_lease, owns_connection=False)


@asynccontextmanager
async def market(
    limits: NodeLimits | None = None, silence_limit_s: float = SILENCE_LIMIT_S
) -> AsyncIterator[Market]:
    person, limits = Person(), limits or NodeLimits()
    async with open_host(person.seed, ["/ip4/127.0.0.1/tcp/0"], host_limits(limits)) as host:
        yield Market(host, limits, person, silence_limit_s)


@asynccontextmanager
async def connected(to: Market, node: FakeNode) -> AsyncIterator[SignedChannel]:
    """A node's channel, after its hello and the answer to it."""
    async with instead_of_hello(to, node, Hello(node.offer())) as channel:
        assert isinstance((await channel.receive())[1], Pulse)
        yield channel


@asynccontextmanager
async def instead_of_hello(
    to: Market, node: FakeNode, said: Message
) -> AsyncIterator[SignedChannel]:
    """A node's channel after it has said this."""
    async with open_host(node.seed) as host:
        channel, _ = await SignedChannel.join(await host.dial(to.address, PROTOCOL_ID), node.party)
        await channel.send(said)
        node.channel = channel
        yield channel


async def test_a_node_joins_beats_speaks_and_leaves() -> None:
    node = FakeNode()
    before_ms = now_ms()
    async with market() as here:
        async with connected(here, node) as channel:
            free = replace(node.offer().free, cpu_millis=1_000)
            status = LeaseStatus(LEASE, LeasePhase.RUNNING, 500)
            await channel.send(Heartbeat(free, accepting=False, leases=(status,)))
            _, pulse = await channel.receive()
            assert isinstance(pulse, Pulse)
            view = here.notes.views[node.node_id]
            assert view.offer == replace(node.offer(), free=free, accepting=False)
            assert view.leases == (status,)
            assert before_ms <= view.connected_since_ms <= view.last_heard_ms <= now_ms()
            await channel.send(DECLINE)
            await until(lambda: here.notes.messages == [DECLINE])
            sent = await here.network.send(node.node_id, demand())
            assert await channel.receive() == (sent, demand())
        await until(lambda: here.notes.of(node) == ["joined", "beat", "left"])
        assert len(here.directory) == 0
        with pytest.raises(ChannelClosed, match="not connected"):
            await here.network.send(node.node_id, demand())


async def test_a_second_hello_changes_the_offer() -> None:
    node = FakeNode()
    async with market() as here, connected(here, node) as channel:
        await until(lambda: here.notes.of(node) == ["joined"])
        since_ms = here.notes.views[node.node_id].connected_since_ms
        await channel.send(Hello(replace(node.offer(), images=("neurogrid/job:1",))))
        await until(lambda: here.notes.of(node) == ["joined", "joined"])
        (offer,) = here.directory.offers()
        assert offer.images == ("neurogrid/job:1",)
        assert here.notes.views[node.node_id].connected_since_ms == since_ms


async def test_a_newer_connection_replaces_the_older_and_the_node_never_left() -> None:
    node = FakeNode()
    async with market() as here, connected(here, node) as older:
        await until(lambda: here.notes.of(node) == ["joined"])
        async with connected(here, node) as newer:
            with pytest.raises(ChannelClosed):
                await older.receive()
            await here.network.send(node.node_id, demand())
            assert (await newer.receive())[1] == demand()
            assert here.notes.of(node) == ["joined", "joined"]
            assert len(here.directory) == 1
        await until(lambda: here.notes.of(node) == ["joined", "joined", "left"])


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        (Hello(FakeNode().offer()), "said hello as"),
        (DECLINE, "something else than hello"),
        (demand(), "something else than hello"),
    ],
)
async def test_who_does_not_say_hello_as_itself_is_cut_off(
    said: Message, verdict: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with market() as here, instead_of_hello(here, FakeNode(), said) as channel:
        with trio.fail_after(60), pytest.raises(ChannelClosed):
            await channel.receive()
        assert here.notes.lines == []
    assert verdict in caplog.text


@pytest.mark.parametrize("said", [demand(), Hello(FakeNode().offer()), Pulse(0), METER])
async def test_who_speaks_as_a_coordinator_as_another_node_or_of_a_lease_is_cut_off(
    said: Message,
) -> None:
    node = FakeNode()
    async with market() as here, connected(here, node) as channel:
        await channel.send(said)
        with trio.fail_after(60), pytest.raises(ChannelClosed):
            await channel.receive()
        await until(lambda: here.notes.of(node) == ["joined", "left"])


async def test_who_says_no_hello_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "HELLO_LIMIT_S", 0.2)
    async with market() as here, open_host(Person().seed) as host:
        channel = await host.dial(here.address, PROTOCOL_ID)
        await channel.receive()
        with trio.fail_after(60), pytest.raises(ChannelClosed):
            await channel.receive()
        assert here.notes.lines == []


async def test_who_falls_silent_is_cut_off_and_who_speaks_is_not() -> None:
    silent, talkative = FakeNode(), FakeNode()
    async with (
        market(silence_limit_s=3.0) as here,
        connected(here, silent) as one,
        connected(here, talkative) as other,
        trio.open_nursery() as nursery,
    ):

        async def talk() -> None:
            while True:
                await other.send(DECLINE)
                await trio.sleep(0.1)

        nursery.start_soon(talk)
        with trio.fail_after(60), pytest.raises(ChannelClosed):
            await one.receive()
        await until(lambda: here.notes.of(silent) == ["joined", "left"])
        assert here.notes.of(talkative) == ["joined"]
        nursery.cancel_scope.cancel()


async def test_a_stopped_process_is_cut_off_by_the_silence_limit() -> None:
    async with market(silence_limit_s=1.0) as here:
        script = Path(__file__).with_name("market_beating_node.py")
        process = await trio.lowlevel.open_process(
            [sys.executable, str(script), here.address],
            env={**os.environ, "PYTHONPATH": str(script.parents[1])},
        )
        try:
            await until(lambda: len(here.directory) == 1)
            (offer,) = here.directory.offers()
            await until(lambda: (offer.node_id, "beat") in here.notes.lines)
            process.send_signal(signal.SIGSTOP)
            # More than its socket and ours hold, so that closing cannot be polite.
            with trio.move_on_after(0.3):
                while True:
                    await here.network.send(offer.node_id, demand())
            await until(lambda: here.notes.lines[-1] == (offer.node_id, "left"))
        finally:
            process.kill()
            await process.wait()


async def test_a_full_market_refuses_newcomers_but_not_who_comes_back() -> None:
    inside = FakeNode()
    async with market(NodeLimits(nodes=1)) as here, connected(here, inside):
        await until(lambda: len(here.directory) == 1)
        newcomer = FakeNode()
        async with instead_of_hello(here, newcomer, Hello(newcomer.offer())) as refused:
            with trio.fail_after(60), pytest.raises(ChannelClosed):
                await refused.receive()
        async with connected(here, inside):
            await until(lambda: here.notes.of(inside) == ["joined", "joined"])


async def test_who_sends_fast_is_read_slowly() -> None:
    node = FakeNode()
    async with market(NodeLimits(messages_per_s=50)) as here, connected(here, node) as channel:
        for _ in range(300):
            await channel.send(DECLINE)
        await until(lambda: len(here.notes.messages) > 95)
        since_s = trio.current_time()
        await trio.sleep(0.5)
        # A burst of two seconds' worth, then 50 a second.
        assert len(here.notes.messages) < 150 + 50 * (trio.current_time() - since_s)


async def test_credits_make_one_key_wait_and_not_the_other(
    autojump_clock: trio.testing.MockClock,
) -> None:
    credits = Credits(2)
    await credits.take("a")
    await credits.take("a")
    await credits.take("b")
    with trio.move_on_after(1) as waited:
        await credits.take("a")
    assert waited.cancelled_caught
    taken = 0

    async def take() -> None:
        nonlocal taken
        await credits.take("a")
        taken += 1

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(take)
        await trio.testing.wait_all_tasks_blocked()
        # All that was taken comes back at once, while somebody waits.
        credits.give_back("a", 2)
        await trio.testing.wait_all_tasks_blocked()
        assert taken == 2
        credits.give_back("a", 1)
    credits.give_back("a", 2)
    credits.give_back("b", 1)
    assert len(credits) == 0
