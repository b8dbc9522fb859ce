"""A simulated node: the real rules of `execution` around an engine that outlives the process."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from neurogrid_marketplace import execution, snapshot_steps, use_steps
from neurogrid_marketplace.bid import Bid, DeclineCode
from neurogrid_marketplace.checkpoint import Checkpoint
from neurogrid_marketplace.checkpoint_manifest import manifest_of
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.faults import Outcome
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
    LeaseAction,
    LeaseEvent,
    NodeLease,
    Pause,
    Prepare,
    PrepareFailed,
    Ran,
    Reclaim,
    RedeemEscrow,
    Resume,
    SendCheckpoint,
    SendClaimed,
    SendEvents,
    SendMeter,
    Served,
    SnapshotEnded,
    StartReceived,
    StopReceived,
    Stored,
    TakeSnapshot,
    Tick,
    VoucherReceived,
    Warn,
    Watch,
)
from neurogrid_marketplace.messages import (
    Acknowledge,
    Award,
    Claimed,
    Deny,
    Funded,
    Message,
    Start,
    Stop,
    VoucherMessage,
)
from neurogrid_marketplace.offer import LeasePhase, LeaseStatus
from neurogrid_marketplace.serving import Use
from neurogrid_marketplace.units import Units

from .chain import ChainSilent, SimChain
from .clockwork import Clockwork, Process
from .files import SimFiles

# What every job leaves; its hash names the lease that it ran under.
OUTPUT = "out"
RECLAIM_WINDOW_S = 20
_TICK_MS = 1_000
_BEAT_MS = 5_000
_RESEND_MS = 3_000


@dataclass(slots=True)
class SimContainer:
    """A container in the engine; it knows nothing of who watches it."""

    runs_for_ms: int
    started_ms: int
    paused_since_ms: int = 0
    ended: Ran | None = None
    starts: int = 1
    began_from: Checkpoint | None = None
    warned_at_ms: int = 0


class SimNode(Process):
    """One provider."""

    def __init__(
        self,
        clockwork: Clockwork,
        name: str,
        chain: SimChain,
        price: int,
        send: Callable[[str, Message | list[LeaseStatus]], None],
        files: SimFiles,
    ) -> None:
        super().__init__(clockwork, name)
        self.files = files
        self.chain = chain
        self.price = price
        self._send = send
        self.journal: dict[str, NodeLease] = {}  # durable
        self.engine: dict[str, SimContainer] = {}  # outlives the process
        self.containers_started: dict[str, int] = {}
        # Between far less and far more than a voucher interval, so that some jobs are paused.
        self.max_unpaid_ms = clockwork.random.choice((5_000, 40_000, 600_000))
        self.dead = False
        self.preempted = 0
        self.max_unpaid_micro_usdc = clockwork.random.choice((100, 1_000, 100_000))
        # What leases for use have passed on in this life, and those that are being ended.
        self.tallies: dict[str, Units] = {}
        self._ending: set[str] = set()
        self._asked: dict[str, Demand] = {}
        self._steps: set[tuple[str, str]] = set()
        self._sent_ms: dict[str, int] = {}

    def forget(self) -> None:
        self._steps.clear()
        self._sent_ms.clear()
        self._asked.clear()
        self.tallies.clear()
        self._ending.clear()

    def die(self) -> None:
        """The machine burns down: the process, its containers and its journal."""
        self.dead = True
        self.up = False
        self.forget()
        self.engine.clear()
        self.journal.clear()

    def _come_back(self) -> None:
        if not self.dead:
            super()._come_back()

    def begin(self) -> None:
        self.in_this_life(_TICK_MS, self._tick)
        self.in_this_life(1, self._beat)
        for lease in list(self.journal.values()):
            for action in execution.due(lease):
                self._perform(lease.lease_id, action)

    # --- what the coordinator sees ------------------------------------------------------------

    def bid(self, demand: Demand) -> Bid | None:
        """Always interested; but in use only of a replica that runs here."""
        if demand.use is not None and not self._has_replica(demand.use):
            return None
        valid = self.clockwork.now_ms + 3_000
        window_s = RECLAIM_WINDOW_S if demand.preemptible else 0
        self._asked[demand.demand_id] = demand
        prices = demand.serves.max_prices if demand.serves is not None else None
        return Bid(
            demand.demand_id,
            demand.hash(),
            min(self.price, demand.max_price_micro_usdc_per_hour),
            300,
            valid,
            "1" * 32,
            reclaim_window_s=window_s,
            unit_prices=demand.use.prices if demand.use is not None else prices,
        )

    def _has_replica(self, use: Use) -> bool:
        replica = self.journal.get(use.replica)
        return replica is not None and replica.phase in (LeasePhase.RUNNING, LeasePhase.PAUSED)

    def serve(self, lease_id: str, units: Units) -> bool:
        """A request comes for a lease for use; whether it is answered."""
        lease = self.journal.get(lease_id)
        if not self.up or lease is None or lease.use is None:
            return False
        so_far = self._tally(lease)
        runs = lease.phase is LeasePhase.RUNNING and lease_id not in self._ending
        if not runs or not self._has_replica(lease.use):
            return False
        if use_steps.refusal(lease, lease.use, so_far) is not None:
            return False
        self.tallies[lease_id] = so_far + units
        return True

    def _tally(self, lease: NodeLease) -> Units:
        return self.tallies.setdefault(lease.lease_id, lease.served)

    def reclaim(self) -> None:
        """The owner wants the machine back, from whoever may be asked."""
        for lease_id, lease in list(self.journal.items()):
            if lease.is_reclaimable:
                self.guarded(lambda lease_id=lease_id: self._feed(lease_id, Reclaim()))  # type: ignore[misc]  # binds the loop's value

    def receive(self, message: Message) -> None:
        """One message from the coordinator."""
        self.guarded(lambda: self._receive(message))

    def _receive(self, message: Message) -> None:
        match message:
            case Award():
                self._on_award(message)
            case Start():
                self._feed(message.lease_id, StartReceived(message))
            case Funded(lease_id):
                self._feed(lease_id, FundedReceived(message))
            case Stop(lease_id, reason):
                self._feed(lease_id, StopReceived(reason))
            case VoucherMessage(lease_id):
                lease = self.journal.get(lease_id)
                # One over nothing needs no escrow to be checked against (`lease_work`).
                if lease and (lease.escrow_named or not message.cumulative_micro_usdc):
                    self._feed(lease_id, VoucherReceived(message))
            case Acknowledge(lease_id, events, log_bytes, closed, _, checkpoint):
                self._feed(lease_id, Stored(events, log_bytes, closed, checkpoint))

    def _on_award(self, award: Award) -> None:
        known = self.journal.get(award.lease_id)
        asked = self._asked.get(award.demand_id)
        if known is None:
            if self.clockwork.chance(0.05) or (asked is None and award.unit_prices is not None):
                self._send(self.name, Deny(award.lease_id, DeclineCode.BUSY))
                return
            self.crash_point()
            self.journal[award.lease_id] = execution.accept(
                award,
                "coordinator",
                self.max_unpaid_ms,
                self.clockwork.now_ms,
                reclaim_window_s=RECLAIM_WINDOW_S if asked and asked.preemptible else 0,
                serves=asked.serves.model if asked and asked.serves else "",
                use=asked.use if asked else None,
                max_unpaid_micro_usdc=self.max_unpaid_micro_usdc,
            )
            self.crash_point()
        self._send(self.name, execution.agreement(award))

    def _beat(self) -> None:
        statuses = [LeaseStatus(lease.lease_id, lease.phase) for lease in self.journal.values()]
        self._send(self.name, statuses)
        self.in_this_life(_BEAT_MS, self._beat)

    # --- the shell ----------------------------------------------------------------------------

    def _tick(self) -> None:
        self.in_this_life(_TICK_MS, self._tick)
        for lease_id in list(self.journal):
            if self.journal[lease_id].use is not None:
                self._feed(lease_id, Served(self._tally(self.journal[lease_id]), 0))
            self._feed(lease_id, Tick())
            lease = self.journal.get(lease_id)
            if lease is None:
                continue
            if self.clockwork.now_ms - self._sent_ms.get(lease_id, 0) >= _RESEND_MS:
                if lease.events_stored < len(lease.events):
                    self._perform(lease_id, SendEvents())
                elif lease.claim_transaction:
                    self._perform(lease_id, SendClaimed(lease.claim_transaction))
                else:
                    for action in snapshot_steps.unsent(lease):
                        self._perform(lease_id, action)

    def _feed(self, lease_id: str, event: LeaseEvent) -> None:
        lease = self.journal.get(lease_id)
        if lease is None:
            return
        decision = execution.decide(lease, event, self.clockwork.now_ms)
        self.crash_point()
        self.journal[lease_id] = decision.lease
        for action in decision.actions:
            self.crash_point()
            self._perform(lease_id, action)

    def _perform(self, lease_id: str, action: LeaseAction) -> None:
        lease = self.journal[lease_id]
        match action:
            case Prepare():
                self._step(lease_id, "prepare", 300, self._prepare)
            case Watch():
                self._step(lease_id, "watch", 200, self._watch)
            case Pause():
                self._pause(lease_id)
            case Resume():
                self._resume(lease_id)
            case Warn():
                self._warn(lease_id)
            case Kill(reason):
                self._kill(lease_id, reason)
            case Collect():
                self._step(lease_id, "collect", 100, self._collect)
            case SendEvents():
                self._sent_ms[lease_id] = self.clockwork.now_ms
                for event in lease.events[lease.events_stored :]:
                    self._send(self.name, event)
            case SendMeter(meter):
                self._send(self.name, meter)
            case TakeSnapshot(number):
                self._step(lease_id, "snapshot", 400, lambda name: self._snapshot(name, number))
            case SendCheckpoint(message):
                self._sent_ms[lease_id] = self.clockwork.now_ms
                self._send(self.name, message)
            case RedeemEscrow(voucher):
                amount = voucher.cumulative_micro_usdc if voucher else 0
                self._step(lease_id, "redeem", 50, lambda name: self._redeem(name, amount))
            case SendClaimed(transaction):
                self._sent_ms[lease_id] = self.clockwork.now_ms
                self._send(self.name, Claimed(lease_id, transaction))
            case Forget():
                self.engine.pop(lease_id, None)
                self.crash_point()
                del self.journal[lease_id]

    def _step(self, lease_id: str, name: str, delay_ms: int, run: Callable[[str], bool]) -> None:
        """A long action beside the decisions; ``run`` returns False to be tried again."""
        if (lease_id, name) in self._steps:
            return
        self._steps.add((lease_id, name))

        def attempt() -> None:
            if lease_id not in self.journal or run(lease_id):
                self._steps.discard((lease_id, name))
            else:
                self.in_this_life(delay_ms, attempt)

        self.in_this_life(delay_ms, attempt)

    def _prepare(self, lease_id: str) -> bool:
        if self.journal[lease_id].phase is not LeasePhase.PREPARING:
            return True
        try:
            if not self.chain.is_open(lease_id):
                return False
        except ChainSilent:
            return False
        use = self.journal[lease_id].use
        if use is not None:
            here = self._has_replica(use)
            gone = PrepareFailed(Outcome.COMPLETED, "its replica had ended")
            now_ms = self.clockwork.now_ms
            self._feed(lease_id, ContainerRunning(now_ms) if here else gone)
            return True
        container = self.engine.get(lease_id)
        if container is None:
            # One in twenty runs into its time limit of ten minutes.
            longest_ms = 90_000 if self.clockwork.random.random() < 0.95 else 900_000
            runs_for_ms = self.clockwork.random.randrange(500, longest_ms)
            start = self.journal[lease_id].start
            assert start is not None
            if start.resumed is not None:
                self.files.check_whole(start.resumed, lease_id)
            container = SimContainer(runs_for_ms, self.clockwork.now_ms, began_from=start.resumed)
            self.engine[lease_id] = container
            self.containers_started[lease_id] = self.containers_started.get(lease_id, 0) + 1
        self.crash_point()
        self._feed(lease_id, ContainerRunning(container.started_ms))
        return True

    def _watch_use(self, lease_id: str, use: Use) -> bool:
        now_ms = self.clockwork.now_ms
        if lease_id in self._ending:
            self._feed(lease_id, ContainerEnded(Ran(Outcome.EXIT_NONZERO, 0, "", now_ms)))
            return True
        if not self._has_replica(use):
            self._feed(lease_id, ContainerEnded(Ran(Outcome.COMPLETED, 0, "", now_ms)))
            return True
        return False

    def _watch(self, lease_id: str) -> bool:
        use = self.journal[lease_id].use
        if use is not None:
            return self._watch_use(lease_id, use)
        container = self.engine.get(lease_id)
        now_ms = self.clockwork.now_ms
        if container is None:
            self._feed(lease_id, ContainerEnded(Ran(Outcome.ENGINE_LOST, -1, "gone", now_ms)))
            return True
        end_ms = container.started_ms + container.runs_for_ms
        if container.ended is None and not container.paused_since_ms and now_ms >= end_ms:
            container.ended = Ran(Outcome.COMPLETED, 0, "", end_ms, container.started_ms)
        if container.ended is None:
            return False
        self._feed(lease_id, ContainerEnded(container.ended))
        return True

    def _pause(self, lease_id: str) -> None:
        container = self.engine.get(lease_id)
        if container and not container.paused_since_ms and container.ended is None:
            container.paused_since_ms = self.clockwork.now_ms

    def _resume(self, lease_id: str) -> None:
        container = self.engine.get(lease_id)
        if container and container.paused_since_ms:
            container.runs_for_ms += self.clockwork.now_ms - container.paused_since_ms
            container.paused_since_ms = 0

    def _warn(self, lease_id: str) -> None:
        container = self.engine.get(lease_id)
        if container and not container.warned_at_ms:
            container.warned_at_ms = self.clockwork.now_ms

    def _kill(self, lease_id: str, reason: Outcome) -> None:
        self._ending.add(lease_id)
        container = self.engine.get(lease_id)
        if container and container.ended is None:
            now_ms = self.clockwork.now_ms
            if reason is Outcome.PREEMPTED:
                self._check_warned(lease_id, container)
            container.ended = Ran(Outcome.EXIT_NONZERO, 137, "killed", now_ms, container.started_ms)

    def _check_warned(self, lease_id: str, container: SimContainer) -> None:
        lease = self.journal[lease_id]
        assert lease.reclaim_window_s, f"{lease_id} was reclaimed, and is ordinary"
        if not lease.started_at_ms:
            return  # Nobody has heard of its start, nor pays for it.
        self.preempted += 1
        assert container.warned_at_ms, f"{lease_id} was stopped without a warning"
        window_ms = lease.reclaim_window_s * 1000
        # The warning is journalled before it is given; a crash may lie between.
        assert self.clockwork.now_ms - lease.reclaimed_at_ms >= window_ms

    def _snapshot(self, lease_id: str, number: int) -> bool:
        if self.journal[lease_id].snapshots.number != number:
            return True
        uploaded = self._upload(lease_id, number)
        if uploaded is None and self.clockwork.random.random() < 0.7:
            return False  # the coordinator is away; tried again
        self._feed(lease_id, SnapshotEnded(number, uploaded))
        return True

    def _upload(self, lease_id: str, number: int) -> Checkpoint | None:
        """One file that nobody else has, then its manifest; a crash may come between."""
        sha256 = hashlib.sha256(f"{lease_id}:{number}:{self.crashes}".encode()).hexdigest()
        if not self.files.put(sha256, lease_id):
            return None
        self.crash_point()
        manifest = manifest_of([OutputFile("state", sha256, 1)])
        checkpoint = manifest.checkpoint(number)
        if not self.files.put_manifest(checkpoint, manifest, lease_id):
            return None
        self.crash_point()
        return checkpoint

    def _collect(self, lease_id: str) -> bool:
        lease = self.journal[lease_id]
        if lease.use is not None:
            served = self._tally(lease)
            self._feed(lease_id, Collected((), "0" * 64, 0, "0" * 64, served=served))
            return True
        digest = hashlib.sha256(lease_id.encode()).hexdigest()
        left = (OutputFile(OUTPUT, digest, 1),)
        number = snapshot_steps.final_number(self.journal[lease_id])
        checkpoint = self._upload(lease_id, number) if number else None
        self._feed(lease_id, Collected(left, "0" * 64, 0, "0" * 64, checkpoint=checkpoint))
        return True

    def _redeem(self, lease_id: str, amount: int) -> bool:
        try:
            self.chain.redeem(lease_id, amount)
            gone = not self.chain.is_open(lease_id)
        except ChainSilent:
            return False
        if not gone:
            return False
        self.crash_point()
        self._feed(lease_id, ClaimConfirmed("1" * 64))
        return True
