"""The small market's nodes, which keep the real rules, and what lies between them and a coordinator."""

import asyncio
import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from coordinator.fake_parties import CAPACITY, COORDINATOR, NETWORK
from coordinator.records import wallet
from neurogrid_coordinator.market.errors import MarketAway, NodeUnreachable
from neurogrid_coordinator.market.reports import AuctionReport, AwardReport, NodeView
from neurogrid_marketplace import execution
from neurogrid_marketplace.auction import Auction
from neurogrid_marketplace.bid import Bid
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.envelope import Envelope, seal
from neurogrid_marketplace.explain import explain
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.identity import peer_id_of
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.lease import (
    ClaimConfirmed,
    Collect,
    Collected,
    ContainerEnded,
    ContainerRunning,
    Forget,
    FundedReceived,
    Kill,
    LeaseEvent,
    NodeLease,
    Prepare,
    PrepareFailed,
    Ran,
    RedeemEscrow,
    SendClaimed,
    SendEvents,
    SendMeter,
    StartReceived,
    StopReceived,
    Stored,
    Tick,
    VoucherReceived,
    Watch,
)
from neurogrid_marketplace.messages import (
    Accept,
    Acknowledge,
    Attach,
    Award,
    Claimed,
    Funded,
    Message,
    Start,
    Stop,
    VoucherMessage,
    to_body,
    type_name,
)
from neurogrid_marketplace.offer import LeasePhase, LeaseStatus, Offer, PriceList
from neurogrid_marketplace.sealing import Commit, Reveal, commitment
from neurogrid_marketplace.spreading import NOBODY, Barred
from neurogrid_marketplace.usage import LeaseUsage
from neurogrid_wallet.keys import KeyPair

if TYPE_CHECKING:
    from coordinator.market_world import World


@dataclass(slots=True)
class NodeBehaviour:
    """What a test wants a node to do otherwise.

    Attributes:
        run_ms: how long the program runs by the test's clock; None: until it is told to stop.
        outcome, exit_code: how it ends.
        deny: answer awards with nothing.
        deaf: sends and receives nothing: dead, or cut off.
        slots: how many leases it takes at a time.
        outputs: what every job leaves.
        redeems: closes its escrows.
        prepares: makes containers at all.
        reclaim_window_s: how long it warns a preemptible job; 0: it takes such jobs as any other.
        hides_bid: in a sealed auction it commits, and then shows nothing.
        mute: its messages are lost on the way.
        start_ms: how long a start takes; the test's clock goes on by that.
        start_factor_permille: what the coordinator knows of its word on that.
        usage: what each of its jobs uses.
    """

    run_ms: int | None = 1000
    outcome: Outcome = Outcome.COMPLETED
    exit_code: int = 0
    deny: bool = False
    deaf: bool = False
    slots: int = 4
    redeems: bool = True
    outputs: tuple[OutputFile, ...] = ()
    hides_bid: bool = False
    mute: bool = False
    start_ms: int = 0
    start_factor_permille: int = 1000
    prepares: bool = True
    reclaim_window_s: int = 0
    usage: LeaseUsage | None = None


class FakeNode:
    """A node that keeps the real rules (`execution`) without a machine."""

    def __init__(self, name: str, world: "World", price_micro_usdc_per_hour: int) -> None:
        self.keys = KeyPair(hashlib.sha256(name.encode()).digest())
        self.node_id = peer_id_of(self.keys.public_key)
        self.wallet = wallet(f"wallet of {name}")
        self.behaviour = NodeBehaviour()
        self.leases: dict[str, NodeLease] = {}
        self.containers_started: list[str] = []
        # Leases that have a container, running or not; it is removed before the lease is forgotten.
        self._containers: set[str] = set()
        self._windows_s: dict[str, int] = {}
        self._asked: dict[str, Demand] = {}
        self._world = world
        self._price = price_micro_usdc_per_hour

    def offer(self) -> Offer:
        prices = PriceList(base_micro_usdc_per_hour=self._price)
        room = self.behaviour.slots - len(self.leases)
        free = replace(CAPACITY, cpu_millis=max(0, room) * 1000)
        return Offer(self.node_id, self.wallet, "fake/1", "local", CAPACITY, free, prices)

    def view(self) -> NodeView:
        statuses = tuple(
            LeaseStatus(lease.lease_id, lease.phase, usage=self.behaviour.usage)
            for lease in self.leases.values()
            if lease.phase is not LeasePhase.CLOSED
        )
        now_ms = self._world.clock()
        return NodeView(self.offer(), now_ms, now_ms, statuses)

    def seal(self, message: Message, sender: KeyPair | None = None) -> Envelope:
        keys = sender or self.keys
        sender_id = peer_id_of(keys.public_key)
        other = self.node_id if sender else peer_id_of(COORDINATOR.public_key)
        return seal(
            keys.sign,
            network=NETWORK,
            type=type_name(message),
            sender=sender_id,
            recipient=other,
            session="s",
            sequence=0,
            sent_at_ms=self._world.clock(),
            body=to_body(message),
        )

    def is_free(self) -> bool:
        return len(self.leases) < self.behaviour.slots

    def bid(self, demand: Demand) -> Bid:
        valid_ms = self._world.clock() + 60_000
        bid = Bid(demand.demand_id, demand.hash(), self._price, 1000, valid_ms, self.wallet)
        window_s = self.behaviour.reclaim_window_s if demand.preemptible else 0
        self._windows_s[demand.demand_id] = window_s
        self._asked[demand.demand_id] = demand
        if demand.use is not None:
            return replace(bid, price_micro_usdc_per_hour=0, unit_prices=demand.use.prices)
        prices = demand.serves.max_prices if demand.serves is not None else None
        return replace(bid, reclaim_window_s=window_s, unit_prices=prices)

    def take(self, award: Award) -> Accept:
        accept = execution.agreement(award)
        if award.lease_id not in self.leases:
            self.leases[award.lease_id] = execution.accept(
                award,
                peer_id_of(COORDINATOR.public_key),
                300_000,
                self._world.clock(),
                reclaim_window_s=self._windows_s[award.demand_id],
                use=self._asked[award.demand_id].use,
                max_unpaid_micro_usdc=10**6,
            )
        return accept

    async def receive(self, message: Message) -> None:
        match message:
            case Start(lease_id):
                await self.step(lease_id, StartReceived(message))
            case Stop(lease_id, reason):
                await self.step(lease_id, StopReceived(reason))
            case Funded(lease_id):
                await self.step(lease_id, FundedReceived(message))
            # One for an escrow that it has not been told of is nothing to it, unless it is over nothing (`lease_work`).
            case VoucherMessage(lease_id, amount) if not amount or self._knows_escrow_of(lease_id):
                await self.step(lease_id, VoucherReceived(message))
            case Acknowledge(lease_id, events, log_bytes, closed):
                await self.step(lease_id, Stored(events, log_bytes, closed))

    def _knows_escrow_of(self, lease_id: str) -> bool:
        lease = self.leases.get(lease_id)
        return lease is not None and lease.escrow_named is not None

    async def step(self, lease_id: str, event: LeaseEvent) -> None:
        lease = self.leases.get(lease_id)
        if lease is None:
            return
        decision = execution.decide(lease, event, self._world.clock())
        self.leases[lease_id] = decision.lease
        for action in decision.actions:
            await self._perform(lease_id, action)

    async def tick(self) -> None:
        for lease_id, lease in list(self.leases.items()):
            await self.step(lease_id, Tick())
            run_ms = self.behaviour.run_ms
            started_ms = lease.started_at_ms
            if (
                lease.phase is LeasePhase.RUNNING
                and run_ms is not None
                and self._world.clock() - started_ms >= run_ms
            ):
                await self._end(lease_id, self.behaviour.outcome, self.behaviour.exit_code)

    async def attach(self, lease_id: str) -> None:
        """The lease has a new stream: it says what it has, and again what is not answered yet."""
        lease = self.leases[lease_id]
        held = lease.voucher.cumulative_micro_usdc if lease.voucher else 0
        has_start = lease.start is not None
        await self._say(Attach(lease_id, has_start, len(lease.events), held, lease.voucher_hash))
        for action in execution.due(lease):
            await self._perform(lease_id, action)

    async def _perform(self, lease_id: str, action: object) -> None:
        lease = self.leases[lease_id]
        match action:
            case Prepare():
                if lease_id in self._containers or not self.behaviour.prepares:
                    return
                if self.behaviour.outcome is Outcome.START_FAILED:
                    await self.step(lease_id, PrepareFailed(Outcome.START_FAILED, "no"))
                    return
                self._containers.add(lease_id)
                self.containers_started.append(lease_id)
                self._world.clock.now += self.behaviour.start_ms
                await self.step(lease_id, ContainerRunning(self._world.clock()))
            case Watch():
                pass  # `tick` sees the end
            case Kill(reason):
                await self._end(lease_id, reason, 137)
            case Collect():
                left = self.behaviour.outputs
                await self.step(lease_id, Collected(left, "0" * 64, 0, "0" * 64))
            case SendEvents():
                for event in lease.events[lease.events_stored :]:
                    await self._say(event)
            case SendMeter(meter):
                await self._say(meter)
            case RedeemEscrow() if not self.behaviour.redeems:
                pass
            case RedeemEscrow(voucher):
                assert lease.escrow_named is not None
                by = self._world.chain.redeem(lease_id, lease.escrow_named.escrow, voucher)
                await self.step(lease_id, ClaimConfirmed(by))
            case SendClaimed(by):
                await self._say(Claimed(lease_id, by))
            case Forget():
                del self.leases[lease_id]
                self._containers.discard(lease_id)

    async def _end(self, lease_id: str, outcome: Outcome, exit_code: int) -> None:
        lease = self.leases[lease_id]
        now_ms = self._world.clock()
        ran = Ran(outcome, exit_code, "", now_ms, lease.started_at_ms)
        await self.step(lease_id, ContainerEnded(ran))

    async def _say(self, message: Message) -> None:
        if not self.behaviour.deaf and not self.behaviour.mute:
            self._world.said(self, self.seal(message), message)


class FakeMarket:
    """The market process; is a `matchmaker.Market`."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.pid: int | None = 1
        self.auctions = 0

    def offer(self, node_id: str) -> Offer | None:
        node = self._world.nodes.get(node_id)
        return None if node is None else node.offer()

    async def hold_auction(
        self,
        demand: Demand,
        excluded: tuple[str, ...] = (),
        owners_excluded: tuple[str, ...] = (),
        places: Barred = NOBODY,
    ) -> AuctionReport:
        await self._travel()
        self.auctions += 1
        asked = [
            node
            for node in self._world.nodes.values()
            if node.node_id not in excluded
            and node.wallet not in owners_excluded
            and not places.has_offer(node.offer())
            and not node.behaviour.deaf
            and node.is_free()
        ]
        auction = Auction(
            demand.max_price_micro_usdc_per_hour,
            frozenset(node.node_id for node in asked),
            demand.gang,
        )
        factors = {node.node_id: node.behaviour.start_factor_permille for node in asked}
        bids = {}
        commits, listed = {}, {}
        for node in asked:
            bid = node.bid(demand)
            if demand.sealed_bids:
                bid = replace(bid, nonce=hashlib.sha256(node.node_id.encode()).hexdigest())
                listed[node.node_id] = commitment(node.node_id, bid)
                sealed = Commit(demand.demand_id, demand.hash(), listed[node.node_id])
                commits[node.node_id] = node.seal(sealed)
            if node.behaviour.hides_bid:
                continue
            bids[node.node_id] = node.seal(bid)
            auction.bid(node.node_id, bid, bids[node.node_id].hash())
        return AuctionReport(
            demands={node.node_id: node.seal(demand, COORDINATOR) for node in asked},
            ranking=auction.ranking(factors),
            bids={ranked.node_id: bids[ranked.node_id] for ranked in auction.ranking()},
            declines={},
            explanation=explain([node.offer() for node in asked], demand),
            commits=commits,
            reveals={
                node.node_id: node.seal(Reveal(demand.demand_id, listed), COORDINATOR)
                for node in asked
                if listed
            },
        )

    async def award(self, node_id: str, award: Award) -> AwardReport:
        await self._travel()
        node = self._world.nodes[node_id]
        sent = node.seal(award, COORDINATOR)
        if node.behaviour.deaf:
            return AwardReport(None, None, accepted=False, code="unreachable")
        if node.behaviour.deny:
            return AwardReport(sent, None, accepted=False, code="busy")
        answer = node.seal(node.take(award))
        self._world.post(node.attach(award.lease_id))
        return AwardReport(sent, answer, accepted=True, code="accepted")

    async def send(self, node_id: str, message: Message, *, is_last: bool = False) -> Envelope:
        await self._travel()
        node = self._world.nodes.get(node_id)
        if node is None or node.behaviour.deaf:
            raise NodeUnreachable(node_id, "not connected")
        self._world.post(node.receive(message))
        return node.seal(message, COORDINATOR)

    async def _travel(self) -> None:
        await asyncio.sleep(0)
        if self.pid is None:
            raise MarketAway("the market process is being started")
