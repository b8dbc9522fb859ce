"""Fake nodes: real libp2p, real signatures, scripted answers. They run on trio in a thread of their own."""

import os
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from types import TracebackType
from typing import Self

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from neurogrid_marketplace import base58
from neurogrid_marketplace.bid import Bid, Decline
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.identity import peer_id_of
from neurogrid_marketplace.job_stream import JOB_STREAM_PROTOCOL_ID
from neurogrid_marketplace.messages import (
    LEASE_PROTOCOL_ID,
    PROTOCOL_ID,
    Accept,
    Attach,
    Award,
    Deny,
    Heartbeat,
    Hello,
    Message,
    NodeLeaseMessage,
    Pulse,
)
from neurogrid_marketplace.offer import Offer, PriceList
from neurogrid_marketplace.resources import Capacity, Requirements
from neurogrid_marketplace.sealing import Commit, Reveal, commitment
from neurogrid_p2p.byte_stream import ByteStream
from neurogrid_p2p.errors import ChannelClosed, DialFailed
from neurogrid_p2p.host import Host, open_host
from neurogrid_p2p.limits import Limits
from neurogrid_p2p.session import Party, SignedChannel

NETWORK = "ng-0123456789abcdef"
WALLET = "1" * 32
GIB = 1024**3
NOW_MS = 1_800_000_000_000

# As a real node lets a coordinator have.
_LIMITS = Limits(streams_per_connection=192)

Answer = Message | None


def demand(number: int = 0, **changes: object) -> Demand:
    """A demand that every fake node meets."""
    plain = Demand(
        demand_id=f"demand_{number:032x}",
        job_hash="0" * 64,
        requirements=Requirements(cpu_millis=1000, memory_bytes=GIB, disk_bytes=GIB),
        image="neurogrid/job:1",
        input_bytes=0,
        max_price_micro_usdc_per_hour=1_000_000,
        timeout_s=60,
        bid_window_ms=2_000,
        voucher_interval_s=30,
        dead_after_s=60,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # the caller names real fields


def award(terms: Demand, bid_hash: str, number: int = 0) -> Award:
    """An award of ``terms`` at the maximum."""
    return Award(
        lease_id=f"lease_{number:032x}",
        demand_id=terms.demand_id,
        demand_hash=terms.hash(),
        bid_hash=bid_hash,
        other_bid_hashes=(),
        price_micro_usdc_per_hour=terms.max_price_micro_usdc_per_hour,
        max_cost_micro_usdc=terms.max_cost_micro_usdc(),
        timeout_s=terms.timeout_s,
        voucher_interval_s=terms.voucher_interval_s,
        job_hash=terms.job_hash,
    )


@dataclass
class FakeNode:
    """One node and its script.

    Attributes:
        price: what it bids; its price list asks the same, so it only meets demands above it.
        answer: what it says to a message of the coordinator, instead of the usual.
        heard: everything the coordinator said to it, but for pulses.
        leases: its lease streams, by lease.
        job_stream: takes streams into its jobs; None: it lets nobody in.
    """

    price: int = 500_000
    start_ms: int = 1_000
    region: str = "eu"
    answer: Callable[["FakeNode", Envelope, Message], Answer] | None = None
    seed: bytes = field(default_factory=lambda: os.urandom(32))
    heard: list[Message] = field(default_factory=list)
    joined: int = 0
    pulses: int = 0
    channel: SignedChannel | None = None
    leases: dict[str, SignedChannel] = field(default_factory=dict)
    hidden: Bid | None = None
    job_stream: Callable[[ByteStream], Awaitable[None]] | None = None

    @property
    def keys(self) -> Ed25519PrivateKey:
        """Its key."""
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @property
    def wallet(self) -> str:
        """Its owner's: each node has another."""
        return base58.encode(sha256(self.seed).digest())

    @property
    def node_id(self) -> str:
        """Its peer id."""
        return peer_id_of(self.keys.public_key().public_bytes_raw())

    def offer(self) -> Offer:
        """Eight cores and sixteen GiB."""
        capacity = Capacity(8_000, 16 * GIB, 100 * GIB)
        return Offer(
            node_id=self.node_id,
            wallet=self.wallet,
            software="fake/1",
            region=self.region,
            total=capacity,
            free=capacity,
            prices=PriceList(base_micro_usdc_per_hour=self.price),
        )

    def usual_answer(self, message: Message) -> Answer:
        """Bid on every demand, accept every award."""
        match message:
            case Demand(demand_id, sealed_bids=True):
                self.hidden = replace(self.bid(message), nonce=self.seed.hex())
                return Commit(demand_id, message.hash(), commitment(self.node_id, self.hidden))
            case Reveal():
                return self.hidden
            case Demand():
                return self.bid(message)
            case Award():
                return Accept(message.lease_id, message.hash())
        return None

    def bid(self, terms: Demand) -> Bid:
        """Its bid."""
        return Bid(terms.demand_id, terms.hash(), self.price, self.start_ms, NOW_MS, self.wallet)

    @property
    def party(self) -> Party:
        """Who it is."""
        return Party(self.node_id, NETWORK, self.keys.sign, _now_ms)

    async def run(self, host: Host, address: str) -> None:
        """Stay connected, whatever happens."""
        while True:
            try:
                await self._connect(host, address)
            except* (DialFailed, ChannelClosed):
                await trio.sleep(0.05)

    async def _connect(self, host: Host, address: str) -> None:
        channel = await host.dial(address, PROTOCOL_ID)
        self.channel, _ = await SignedChannel.join(channel, self.party)
        await self.channel.send(Hello(self.offer()))
        assert isinstance((await self.channel.receive())[1], Pulse)
        self.joined += 1
        async with trio.open_nursery() as nursery:
            while True:
                envelope, message = await self.channel.receive()
                if isinstance(message, Pulse):
                    self.pulses += 1
                    continue
                self.heard.append(message)
                if self.answer is not None:
                    said = self.answer(self, envelope, message)
                else:
                    said = self.usual_answer(message)
                if said is not None:
                    await self.channel.send(said)
                if isinstance(said, Accept):
                    nursery.start_soon(self._listen, await self.attach(said.lease_id))

    async def attach(self, lease_id: str) -> SignedChannel:
        """Open a lease's stream."""
        assert self.channel is not None, "connected"
        beside = await self.channel.open(LEASE_PROTOCOL_ID)
        self.leases[lease_id], _ = await SignedChannel.join(beside, self.party)
        await self.leases[lease_id].send(Attach(lease_id, has_start=False, events=0))
        return self.leases[lease_id]

    async def _listen(self, channel: SignedChannel) -> None:
        while True:
            self.heard.append((await channel.receive())[1])

    async def say(self, message: Message) -> None:
        """Say something on the stream that it belongs on."""
        assert self.channel is not None, "connected"
        channel = self.channel
        if isinstance(message, NodeLeaseMessage):
            channel = self.leases[message.lease_id]
        await channel.send(message)

    async def beat(self, *, accepting: bool = True, cpu_millis: int = 8_000) -> None:
        """Say how it is."""
        assert self.channel is not None, "connected"
        free = replace(self.offer().free, cpu_millis=cpu_millis)
        await self.channel.send(Heartbeat(free, accepting))


class Farm:
    """The thread, and the nodes in it."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._commands: list[Callable[[], None]] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._main,))
        self._token: trio.lowlevel.TrioToken | None = None
        self._nursery: trio.Nursery | None = None
        self._scopes: dict[str, trio.CancelScope] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._nursery is not None, "entered"
        trio.from_thread.run_sync(self._nursery.cancel_scope.cancel, trio_token=self._token)
        self._thread.join()

    def add(self, node: FakeNode) -> FakeNode:
        """Connect a node; it reconnects until it is removed."""
        assert self._nursery is not None, "entered"
        trio.from_thread.run_sync(self._nursery.start_soon, self._run, node, trio_token=self._token)
        return node

    def remove(self, node: FakeNode) -> None:
        """Disconnect a node."""
        trio.from_thread.run_sync(self._scopes[node.node_id].cancel, trio_token=self._token)

    def say(self, node: FakeNode, message: Message) -> None:
        """Have a node say something."""
        trio.from_thread.run(node.say, message, trio_token=self._token)

    def attach(self, node: FakeNode, lease_id: str) -> None:
        """Have a node open the stream of a lease."""
        trio.from_thread.run(node.attach, lease_id, trio_token=self._token)

    def beat(self, node: FakeNode, *, accepting: bool = True) -> None:
        """Have a node send a heartbeat."""
        capacity = node.offer().free
        self.say(node, Heartbeat(capacity, accepting))

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as self._nursery:
            self._ready.set()
            await trio.sleep_forever()

    async def _run(self, node: FakeNode) -> None:
        with trio.CancelScope() as self._scopes[node.node_id]:
            async with open_host(node.seed, limits=_LIMITS) as host:
                if node.job_stream is not None:
                    host.serve_bytes(JOB_STREAM_PROTOCOL_ID, node.job_stream)
                await node.run(host, self._address)


def declining(decline: Decline) -> Callable[[FakeNode, Envelope, Message], Answer]:
    """A script that declines every demand with this code."""

    def answer(node: FakeNode, envelope: Envelope, message: Message) -> Answer:
        if isinstance(message, Demand):
            return replace(decline, demand_id=message.demand_id)
        return node.usual_answer(message)

    return answer


def denying(deny: Deny) -> Callable[[FakeNode, Envelope, Message], Answer]:
    """A script that denies every award with this code."""

    def answer(node: FakeNode, envelope: Envelope, message: Message) -> Answer:
        if isinstance(message, Award):
            return replace(deny, lease_id=message.lease_id)
        return node.usual_answer(message)

    return answer


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
