"""A small market for tests: nodes that keep the real rules, a chain of dictionaries, a clock to turn.

The coordinator under test is built from its real parts on a real database. It can be crashed after
any commit and built again; nodes and chain stay, as they would.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
from solders.pubkey import Pubkey
from sqlalchemy import Connection

from coordinator.records import NOW_MS, new_task, wallet
from neurogrid_contracts.accounts import DisputeOpener, EscrowAccount, EscrowState
from neurogrid_contracts.deployment import Deployment
from neurogrid_coordinator import steps
from neurogrid_coordinator.artifacts import BlobStore, LeaseTokens
from neurogrid_coordinator.attendance import Attendance
from neurogrid_coordinator.chain import EscrowRefused, EscrowTerms, OpenedEscrow
from neurogrid_coordinator.client_funds import ClientFunds
from neurogrid_coordinator.comparison_process import Question, answer
from neurogrid_coordinator.comparisons import Comparisons
from neurogrid_coordinator.escrow_history import Closing
from neurogrid_coordinator.evidence import ReceiptDesk
from neurogrid_coordinator.market.errors import MarketAway, NodeUnreachable
from neurogrid_coordinator.market.reports import AuctionReport, AwardReport, NodeView
from neurogrid_coordinator.node_desk import NodeDesk
from neurogrid_coordinator.orchestrator import Orchestrator
from neurogrid_coordinator.outgoing import Outgoing
from neurogrid_coordinator.settler import Settler
from neurogrid_coordinator.starts import StartDesk
from neurogrid_coordinator.store import accounts, leases, tasks
from neurogrid_coordinator.store.database import Database
from neurogrid_coordinator.store.feed import Feed
from neurogrid_coordinator.store.leases import LeaseRow
from neurogrid_coordinator.verifier import Verifier
from neurogrid_coordinator.vouchers import VoucherDesk
from neurogrid_marketplace import base58, execution
from neurogrid_marketplace.auction import Auction
from neurogrid_marketplace.bid import Bid
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.envelope import Envelope, seal
from neurogrid_marketplace.explain import explain
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.identity import address_bytes, check_signature, peer_id_of
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.lease import (
    ClaimConfirmed,
    Collect,
    Collected,
    ContainerEnded,
    ContainerRunning,
    Forget,
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
    Message,
    Start,
    Stop,
    VoucherMessage,
    to_body,
    type_name,
)
from neurogrid_marketplace.needs import Needs, OutputWanted
from neurogrid_marketplace.offer import LeasePhase, LeaseStatus, Offer, PriceList
from neurogrid_marketplace.receipt import escrow_job_id
from neurogrid_marketplace.resources import Capacity
from neurogrid_marketplace.sealing import Commit, Reveal, commitment
from neurogrid_marketplace.spreading import NOBODY, Barred
from neurogrid_marketplace.task import Phase, Task
from neurogrid_marketplace.voucher import Voucher
from neurogrid_wallet.keys import KeyPair

NETWORK = "ng-0123456789abcdef"
DOMAIN = 7
CAPACITY = Capacity(cpu_millis=64_000, memory_bytes=8 * 1024**3, disk_bytes=64 * 1024**3)
COORDINATOR = KeyPair(hashlib.sha256(b"coordinator").digest())
SESSION = KeyPair(hashlib.sha256(b"session").digest())
DEPLOYMENT = Deployment(
    *(Pubkey(hashlib.sha256(name).digest()) for name in (b"program", b"mint", b"admin"))
)
# A crash test waits for this at most; a market that gets stuck fails it.
PATIENCE_S = 10.0


class Clock:
    """Unix milliseconds that a test moves."""

    def __init__(self) -> None:
        self.now = NOW_MS

    def __call__(self) -> int:
        return self.now


def transaction(name: str) -> str:
    """A signature's form, made from a name."""
    return base58.encode(hashlib.sha512(name.encode()).digest())


class FakeChain:
    """Escrows in a dictionary; is a `settler.EscrowChain`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.open_escrows: dict[str, EscrowAccount] = {}
        self.closings: dict[str, Closing] = {}
        self.opened: dict[str, OpenedEscrow] = {}
        self.opens = 0
        self.refuse: EscrowRefused | None = None
        self.opens_max = 1_000

    @staticmethod
    def address(client: str, lease_id: str) -> str:
        return str(DEPLOYMENT.escrow(Pubkey.from_string(client), escrow_job_id(lease_id)))

    async def open(self, terms: EscrowTerms) -> OpenedEscrow:
        await asyncio.sleep(0.001)
        known = self.opened.get(terms.lease_id)
        if known is not None:
            return known
        if self.refuse is not None:
            raise self.refuse
        if self.opens >= self.opens_max:
            raise EscrowRefused("no more is deposited", of_client=True)
        self.opens += 1
        address = self.address(terms.client, terms.lease_id)
        opened = OpenedEscrow(address, self.opens, transaction(f"open {terms.lease_id}"))
        self.open_escrows[address] = EscrowAccount(
            bump=255,
            state=EscrowState.OPEN,
            fee_bps=0,
            slash_bps=0,
            config=DEPLOYMENT.config,
            client=DEPLOYMENT.client(Pubkey.from_string(terms.client)),
            provider=DEPLOYMENT.provider(Pubkey.from_string(terms.provider)),
            job_id=escrow_job_id(terms.lease_id),
            rent_payer=DEPLOYMENT.admin,
            voucher_signer=Pubkey(terms.voucher_signer),
            sequence=self.opens,
            max_micro_usdc=terms.max_micro_usdc,
            released_micro_usdc=0,
            opened_unix_s=self._clock() // 1000,
            deadline_unix_s=self._clock() // 1000 + 3600,
            claim_until_unix_s=self._clock() // 1000 + 7200,
            grace_window_s=3600,
            arbitration_window_s=3600,
            dispute_bond_micro_usdc=0,
            slashed_micro_usdc=0,
            operator_charge_micro_usdc=terms.max_micro_usdc,
            operator_grant=1,
            opened_by_operator=True,
            dispute_opener=DisputeOpener.NOBODY,
            client_complains=False,
        )
        self.opened[terms.lease_id] = opened
        return opened

    async def escrow(self, address: str) -> EscrowAccount | None:
        await asyncio.sleep(0)
        return self.open_escrows.get(address)

    async def closing(self, address: str) -> Closing | None:
        return self.closings.get(address)

    async def take_back(self, lease_id: str, client: str, provider: str) -> None:
        address = self.address(client, lease_id)
        escrow = self.open_escrows.get(address)
        if escrow is None:
            return
        now_s = self._clock() // 1000
        if escrow.claim_until_unix_s > now_s + 60:
            self.open_escrows[address] = replace(escrow, claim_until_unix_s=now_s + 60)
        elif now_s > escrow.claim_until_unix_s:
            self._close(address, transaction(f"refund {lease_id}"), 0)

    def redeem(self, lease_id: str, address: str, voucher: VoucherMessage | None) -> str:
        """What a node does: close the escrow with a voucher, or give it up."""
        escrow = self.open_escrows.get(address)
        if escrow is None:
            return ""
        amount = voucher.cumulative_micro_usdc if voucher else 0
        if voucher is not None:
            statement = Voucher(DOMAIN, address_bytes(address), escrow.sequence, amount)
            signature = bytes.fromhex(voucher.signature)
            check_signature(bytes(escrow.voucher_signer), statement.message(), signature)
        assert amount <= escrow.max_micro_usdc
        self._close(address, transaction(f"redeem {lease_id}"), amount)
        return self.closings[address].transaction

    def _close(self, address: str, by: str, paid: int) -> None:
        del self.open_escrows[address]
        self.closings[address] = Closing(by, paid)


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


class FakeNode:
    """A node that keeps the real rules (`execution`) without a machine."""

    def __init__(self, name: str, world: "World", price_micro_usdc_per_hour: int) -> None:
        self.keys = KeyPair(hashlib.sha256(name.encode()).digest())
        self.node_id = peer_id_of(self.keys.public_key)
        self.wallet = wallet(f"wallet of {name}")
        self.behaviour = NodeBehaviour()
        self.leases: dict[str, NodeLease] = {}
        self.containers_started: list[str] = []
        self._windows_s: dict[str, int] = {}
        self._world = world
        self._price = price_micro_usdc_per_hour

    def offer(self) -> Offer:
        prices = PriceList(base_micro_usdc_per_hour=self._price)
        room = self.behaviour.slots - len(self.leases)
        free = replace(CAPACITY, cpu_millis=max(0, room) * 1000)
        return Offer(self.node_id, self.wallet, "fake/1", "local", CAPACITY, free, prices)

    def view(self) -> NodeView:
        statuses = tuple(
            LeaseStatus(lease.lease_id, lease.phase)
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
        return replace(bid, reclaim_window_s=window_s)

    def take(self, award: Award) -> Accept:
        accept = execution.agreement(award)
        if award.lease_id not in self.leases:
            self.leases[award.lease_id] = execution.accept(
                award,
                peer_id_of(COORDINATOR.public_key),
                300_000,
                self._world.clock(),
                reclaim_window_s=self._windows_s[award.demand_id],
            )
        return accept

    async def receive(self, message: Message) -> None:
        match message:
            case Start(lease_id):
                await self.step(lease_id, StartReceived(message))
            case Stop(lease_id, reason):
                await self.step(lease_id, StopReceived(reason))
            # One for an escrow that it has not been told of is nothing to it (`lease_work`).
            case VoucherMessage(lease_id) if self._has_started(lease_id):
                await self.step(lease_id, VoucherReceived(message))
            case Acknowledge(lease_id, events, log_bytes, closed):
                await self.step(lease_id, Stored(events, log_bytes, closed))

    def _has_started(self, lease_id: str) -> bool:
        lease = self.leases.get(lease_id)
        return lease is not None and lease.start is not None

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
                if lease_id in self.containers_started or not self.behaviour.prepares:
                    return
                if self.behaviour.outcome is Outcome.START_FAILED:
                    await self.step(lease_id, PrepareFailed(Outcome.START_FAILED, "no"))
                    return
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
                assert lease.start is not None
                by = self._world.chain.redeem(lease_id, lease.start.escrow, voucher)
                await self.step(lease_id, ClaimConfirmed(by))
            case SendClaimed(by):
                await self._say(Claimed(lease_id, by))
            case Forget():
                del self.leases[lease_id]

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


class CrashingDatabase:
    """A database whose process dies before or after a chosen commit; has `Database`'s methods.

    Attributes:
        dead: set when that moment has come.
    """

    def __init__(self, database: Database, at_commit: int, *, before: bool) -> None:
        self._database = database
        self._at_commit = at_commit
        self._before = before
        self._commits = 0
        self.dead = asyncio.Event()

    async def write(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        self._commits += 1
        here = self._commits == self._at_commit
        await self._live_unless(here and self._before)
        value = await self._database.write(fn, *args, **kwargs)
        await self._live_unless(here and not self._before)
        return value

    async def read(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        return await self._database.read(fn, *args, **kwargs)

    async def _live_unless(self, dies_now: bool) -> None:
        if dies_now:
            self.dead.set()
        if self.dead.is_set():
            # Nothing that comes after is done; the test cancels this.
            await asyncio.Event().wait()


@dataclass(slots=True)
class Coordinator:
    """One life of the coordinator's loops."""

    orchestrator: Orchestrator
    settler: Settler
    desk: NodeDesk
    running: list["asyncio.Task[None]"] = field(default_factory=list)


async def compare_here(question: bytes) -> bool:
    """What the process says that compares files."""
    return answer(msgspec.json.decode(question, type=Question))


class World:
    """Everything together. Make it with `world`.

    Attributes:
        patience_s: how long `until` waits; what a real chain takes part in takes longer.
    """

    def __init__(self, database: Database, feed: Feed, blobs: BlobStore) -> None:
        self.database = database
        self.feed = feed
        self.blobs = blobs
        self.clock = Clock()
        self.chain = FakeChain(self.clock)
        self.market = FakeMarket(self)
        self.nodes: dict[str, FakeNode] = {}
        self.account: accounts.Account
        self.lives = 0
        self.patience_s = PATIENCE_S
        self._life: Coordinator | None = None
        self._errands: set[asyncio.Task[None]] = set()
        self._lines: dict[str, asyncio.Lock] = {}
        self.failures: list[BaseException] = []
        # Nodes about which findings were stored, as often as that was.
        self.found_out: list[str] = []
        # Nodes that reported a start, as often as they did.
        self.measured: list[str] = []
        # What the client has free on the chain, and which tasks are drawn for a check.
        self.deposit_micro_usdc = 1_000_000_000
        # Reads files as the process does that `test_comparisons` starts, at once.
        self.compare: Callable[[bytes], Awaitable[bool]] = compare_here
        self.checks: Callable[[Task], bool] = lambda _: True

    def node(self, name: str, price_micro_usdc_per_hour: int = 1_000_000) -> FakeNode:
        """A new node; it joins with the next life, or by `join`."""
        node = FakeNode(name, self, price_micro_usdc_per_hour)
        self.nodes[node.node_id] = node
        return node

    async def start(self, database: object = None) -> Coordinator:
        """A new life of the coordinator; nodes that are there join it."""
        store: Any = database or self.database
        vouchers = VoucherDesk(SESSION, DOMAIN)
        receipts = ReceiptDesk(
            sign=COORDINATOR.sign,
            network=NETWORK,
            coordinator=peer_id_of(COORDINATOR.public_key),
            deployment=DEPLOYMENT,
            vouchers=vouchers,
        )
        attendance = Attendance(self.clock())
        outgoing = Outgoing(self.market)
        starts = StartDesk(
            vouchers=vouchers,
            tokens=LeaseTokens(b"t" * 32),
            artifacts_url=lambda: "http://c/a",
            addresses_of=lambda node_id: (f"/ip4/192.0.2.1/tcp/1/p2p/{node_id}",),
        )

        async def nothing_missing(action: object) -> str:
            return ""

        settler = Settler(
            database=store,
            feed=self.feed,
            chain=self.chain,
            vouchers=vouchers,
            receipts=receipts,
            tell=outgoing.tell,
            follow=lambda step: orchestrator.follow(step),
            now_ms=self.clock,
        )
        orchestrator = Orchestrator(
            database=store,
            feed=self.feed,
            market=self.market,
            outgoing=outgoing,
            attendance=attendance,
            settle=settler.changed,
            start_of=starts.start_of,
            check_outputs=nothing_missing,
            found_out=self.found_out.append,
            look_at_group=Verifier(
                database=store,
                funds=self._funds,
                comparisons=Comparisons(self.blobs, self.compare),
                is_checked=lambda _, task: self.checks(task),
                now_ms=self.clock,
            ).look,
            now_ms=self.clock,
            turns_max=8,
            sweep_s=0.01,
        )
        desk = NodeDesk(
            database=store,
            feed=self.feed,
            orchestrator=orchestrator,
            attendance=attendance,
            outgoing=outgoing,
            vouchers=vouchers,
            settle=settler.changed,
            found_out=self.measured.append,
            now_ms=self.clock,
        )
        life = Coordinator(orchestrator, settler, desk)
        life.running.append(asyncio.create_task(orchestrator.run()))
        await orchestrator.ready.wait()
        life.running.append(asyncio.create_task(settler.run()))
        self.lives += 1
        self._life = life
        for node in self.nodes.values():
            self.join(node)
        return life

    async def stop(self) -> None:
        """kill -9: nothing is tidied up."""
        life, self._life = self._life, None
        if life is not None:
            for task in life.running:
                task.cancel()
            await asyncio.gather(*life.running, return_exceptions=True)
        for errand in list(self._errands):
            errand.cancel()
        await asyncio.gather(*self._errands, return_exceptions=True)
        # What was on its way to the disk is there or not before the next life begins.
        await self.database.write(lambda conn: None)

    async def uploaded(self, path: str, data: bytes) -> OutputFile:
        """An output whose bytes are here."""

        async def chunks() -> AsyncIterator[bytes]:
            yield data

        blob = await self.blobs.put(chunks(), size_bytes_max=len(data))
        return OutputFile(path, blob.sha256, blob.size_bytes)

    def join(self, node: FakeNode) -> None:
        """A node connects (again)."""
        if node.behaviour.deaf:
            return

        async def join() -> None:
            life = self._life
            if life is not None:
                async with self._line(node):
                    await life.desk.on_node(node.node_id, "joined", node.view())
                for lease_id in list(node.leases):
                    await node.attach(lease_id)

        self.post(join())

    def beat(self, node: FakeNode) -> None:
        """A node's heartbeat; while an earlier one is being taken, there is none."""

        async def beat() -> None:
            life = self._life
            if life is not None and not self._line(node).locked():
                async with self._line(node):
                    await life.desk.on_node(node.node_id, "heartbeat", node.view())

        self.post(beat())

    def said(self, node: FakeNode, envelope: Envelope, message: Message) -> None:
        """A node said something: handed on in order, if a coordinator is there."""

        async def hand_on() -> None:
            life = self._life
            if life is not None:
                async with self._line(node):
                    await life.desk.on_message(node.node_id, envelope, message)

        self.post(hand_on())

    def post(self, errand: Any) -> None:
        """Have something happen soon."""

        async def guarded() -> None:
            try:
                await errand
            except Exception as error:
                self.failures.append(error)
                raise

        def ended(task: asyncio.Task[None]) -> None:
            self._errands.discard(task)
            # One that was cancelled before it began would warn that nobody awaited it.
            errand.close()

        task = asyncio.create_task(guarded())
        self._errands.add(task)
        task.add_done_callback(ended)

    async def submit(self, **kwargs: Any) -> str:
        """Submit a task as the service layer does."""
        new = new_task(self.account.id, now_ms=self.clock(), **kwargs)
        row, _ = await self.database.write(tasks.insert_new, new, self.clock())
        if self._life is not None:
            self._life.orchestrator.wake(tasks.TaskState(row.state, row.account_id, row.priority))
        return row.id

    async def group(self, task_id: str) -> list[tasks.TaskRow]:
        """A task and its further runs."""
        return await self.database.read(tasks.group_of, task_id)

    async def _funds(self, owner: str) -> ClientFunds:
        await asyncio.sleep(0)
        return ClientFunds(self.deposit_micro_usdc, 0, self.deposit_micro_usdc, 0)

    async def submit_after(self, needed_id: str, output: str = "out.txt", **kwargs: Any) -> str:
        """Submit a task that needs another one and an output of it."""
        new = new_task(self.account.id, now_ms=self.clock(), **kwargs)
        needs = Needs((needed_id,), (OutputWanted("in.txt", needed_id, output),), 1)
        waiting = replace(new, state=replace(new.state, phase=Phase.WAITING, needs=needs))

        def store(conn: Connection) -> tasks.TaskState:
            row, _ = tasks.insert_new(conn, waiting, self.clock())
            # The other one may have ended meanwhile.
            step = steps.look(conn, row.id, self.clock())
            state = step.after if step is not None else row.state
            return tasks.TaskState(state, row.account_id, row.priority)

        stored = await self.database.write(store)
        if self._life is not None:
            self._life.orchestrator.wake(stored)
        return stored.task.task_id

    async def task(self, task_id: str) -> tasks.TaskRow:
        row = await self.database.read(tasks.get, task_id)
        assert row is not None
        return row

    async def leases(self, task_id: str) -> list[LeaseRow]:
        return await self.database.read(leases.of_task, task_id)

    async def until(self, condition: Callable[[], Any], *, turning_ms: int = 0) -> None:
        """Wait until a condition holds, ticking the nodes, and turning the clock if asked to."""
        async with asyncio.timeout(self.patience_s):
            while not await condition():
                assert not self.failures, self.failures
                self.clock.now += turning_ms
                for node in list(self.nodes.values()):
                    if not node.behaviour.deaf:
                        await node.tick()
                        self.beat(node)
                await asyncio.sleep(0.005)

    async def until_phase(self, task_id: str, *phases: Phase, turning_ms: int = 0) -> tasks.TaskRow:
        """Wait until a task is in one of these phases."""

        async def there() -> bool:
            return (await self.task(task_id)).phase in phases

        await self.until(there, turning_ms=turning_ms)
        return await self.task(task_id)

    async def until_settled(self, task_id: str, *, turning_ms: int = 0) -> list[LeaseRow]:
        """Wait until no money of a task is under way, and its nodes have forgotten it."""

        async def settled() -> bool:
            unsettled = await self.database.read(leases.unsettled)
            if turning_ms and self._life is not None:
                # The settler's own pauses are real time: where the clock is turned, they are over.
                for lease_id in unsettled:
                    self._life.settler.changed(lease_id)
            mine = {row.id for row in await self.leases(task_id)}
            held = [
                lease_id
                for node in self.nodes.values()
                if not node.behaviour.deaf
                for lease_id in node.leases
                if lease_id in mine
            ]
            return not held and not unsettled

        await self.until(settled, turning_ms=turning_ms)
        return await self.leases(task_id)

    def _line(self, node: FakeNode) -> asyncio.Lock:
        # One at a time for each node, as the market hands on.
        return self._lines.setdefault(node.node_id, asyncio.Lock())


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """A market with an account and no node; the coordinator is not running yet."""
    async with Database.open(folder / "coordinator.db") as database:
        made = World(database, Feed(), BlobStore(folder / "artifacts"))
        made.blobs.prepare()
        made.account = await database.write(accounts.create, "Ada", wallet("ada"), NOW_MS)
        try:
            yield made
        finally:
            await made.stop()
