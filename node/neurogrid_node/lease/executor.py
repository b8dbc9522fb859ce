"""One lease, from accept to forgotten: the shell around `neurogrid_marketplace.execution`.

Each lease has one runner: a task that takes events from a bounded inbox, decides, saves, then acts.
Long actions (`lease_work`) run beside it as named steps; a step that is under way is not started
twice, and what it finds out comes back as an event.

Nothing that goes wrong with one lease touches another. A step that fails by a defect of ours is
logged and tried again, or given up and reported; if the runner itself fails, it starts over from
what is saved, as it would after a restart.
"""

import logging
import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

import trio

from neurogrid_marketplace import execution, snapshot_steps
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.lease import (
    Boot,
    Collect,
    Collected,
    ContainerEnded,
    Forget,
    FundedReceived,
    Kill,
    LeaseAction,
    LeaseEvent,
    NodeLease,
    Pause,
    Prepare,
    PrepareFailed,
    Reclaim,
    RedeemEscrow,
    Resume,
    SendCheckpoint,
    SendClaimed,
    SendEvents,
    SendMeter,
    Served,
    SnapshotAsked,
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
from neurogrid_marketplace.lease_clock import keep_time
from neurogrid_marketplace.messages import (
    Acknowledge,
    Attach,
    Claimed,
    CoordinatorLeaseMessage,
    Funded,
    Start,
    Stop,
    VoucherMessage,
)
from neurogrid_marketplace.offer import LeasePhase, LeaseStatus
from neurogrid_marketplace.serving_ahead import is_ahead
from neurogrid_telemetry.about import about
from neurogrid_telemetry.log_lines import named
from neurogrid_telemetry.traces import OFF, Span, Traces

from ..journal import Journal, JournalThread
from ..log_events import NodeEvent
from ..market.start_history import StartTook
from ..money.earnings import Earnings
from .log_sender import Link as LogLink
from .log_sender import LogSender
from .past import past
from .place import Place
from .progress import Progress
from .steps import RETRY_FIRST_S, RETRY_MAX_S, Steps
from .work import LeaseWork

_log = logging.getLogger(__name__)

# A lease gets a handful of messages a minute; a coordinator that sends more is not waited for.
_INBOX = 256
# A newer voucher replaces an older one, so few need to wait for the chain.
_VOUCHERS = 8
TICK_S = 0.5
RESEND_S = 3.0
# Somebody may be watching a progress bar; an ordinary heartbeat comes only every few seconds.
_PROGRESS_INTERVAL_S = 1.0
# How long the end of a run waits for the end of its log to be stored, while connected.
_LOG_PATIENCE_S = 10.0
# Collecting is tried so often before a defect is reported in its place.
_COLLECT_TRIES = 3
_CHECKPOINT = "checkpoint"
_DEFECT = "a defect of the node, see its log"


class Link(LogLink, Protocol):
    """The way to a lease's coordinator; a `lease_stream.LeaseStream`."""

    def beat_soon(self) -> None:
        """Send a heartbeat now: it carries the leases' progress."""

    async def run(
        self, attach: Callable[[], Attach], received: Callable[[CoordinatorLeaseMessage], None]
    ) -> None:
        """Keep it up until this is cancelled.

        Args:
            attach: called for each new stream: what we have of the lease.
            received: called for each message, in order.
        """


@dataclass(frozen=True, slots=True)
class Reports:
    """What a runner tells the seller.

    Attributes:
        started: how long a start took.
        cleared: the lease's resources are free again.
        forgotten: the lease is over.
    """

    started: Callable[[StartTook], Awaitable[None]]
    cleared: Callable[[str], None]
    forgotten: Callable[[str], None]


class LeaseRunner:
    """Runs one lease.

    Attributes:
        lease: as saved.
    """

    def __init__(
        self,
        lease: NodeLease,
        *,
        journal: JournalThread,
        sandbox: Place,
        earnings: Earnings,
        link: Link,
        now_ms: Callable[[], int],
        boot: Callable[[], Boot],
        reports: Reports,
        traces: Traces = OFF,
    ) -> None:
        self.lease = lease
        self._traces = traces
        self._journal = journal
        self._sandbox = sandbox
        self._link = link
        self._now_ms = now_ms
        self._boot = boot
        self._reports = reports
        self._events, self._inbox = trio.open_memory_channel[LeaseEvent](_INBOX)
        self._vouchers, self._unchecked = trio.open_memory_channel[VoucherMessage](_VOUCHERS)
        self._log_sender = LogSender(
            lease.lease_id, sandbox, link, lambda: self.lease.log_bytes_stored
        )
        self._work = LeaseWork(
            lambda: self.lease,
            journal=journal,
            sandbox=sandbox,
            earnings=earnings,
            now_ms=now_ms,
            started=self._started,
        )
        self._steps = Steps(f"lease {lease.lease_id}", self._give_up)
        self._nursery: trio.Nursery
        self._looking = trio.CancelScope()
        self._is_cleared = False
        self._sent_at_s = -math.inf
        self._metered_at_s = -math.inf
        self._progress_said = (Progress(), False)
        self._progress_said_at_s = -math.inf

    def status(self) -> LeaseStatus:
        """The lease in a heartbeat."""
        progress = self._sandbox.progress(self.lease.lease_id)
        return LeaseStatus(
            self.lease.lease_id,
            self.lease.phase,
            execution.metered_ms(keep_time(self.lease, self._boot()), self._now_ms()),
            progress.permille,
            progress.note,
            self._sandbox.memory_peak_bytes(self.lease.lease_id),
            self._sandbox.is_ready(self.lease.lease_id),
            self._sandbox.usage(self.lease.lease_id),
        )

    def received(self, message: CoordinatorLeaseMessage) -> None:
        """Take one message of the coordinator."""
        match message:
            case Start():
                self._offer(StartReceived(message))
            case Funded():
                self._offer(FundedReceived(message))
            case Stop(reason=reason):
                self._offer(StopReceived(reason))
            case VoucherMessage():
                self._offer_voucher(message)
            case Acknowledge(_, events, log_bytes, closed, log_limit_bytes, checkpoint):
                self._offer(Stored(events, log_bytes, closed, checkpoint))
                self._log_sender.granted(log_limit_bytes)

    def reclaim(self) -> None:
        """Take the machine back. Dropped when much else is to do; it is asked for until it is done."""
        if self.lease.is_reclaimable:
            self._offer(Reclaim())

    def look_again(self) -> None:
        """Look anew at a container that is being followed: it may be gone without a word."""
        self._looking.cancel()

    def attach(self) -> Attach:
        """There is a new stream: what we have of the lease. The rest is sent again on it."""
        self._log_sender.opened()
        self._sent_at_s = self._metered_at_s = -math.inf
        voucher = self.lease.voucher
        return Attach(
            self.lease.lease_id,
            has_start=self.lease.start is not None,
            events=len(self.lease.events),
            voucher_micro_usdc=voucher.cumulative_micro_usdc if voucher else 0,
            voucher_hash=self.lease.voucher_hash,
        )

    def _offer(self, event: LeaseEvent) -> None:
        """Hand over an event from outside; one too many is dropped, it will come again."""
        try:
            self._events.send_nowait(event)
        except trio.WouldBlock:
            _log.debug("lease %s: inbox full, dropped %s", self.lease.lease_id, type(event))

    def _offer_voucher(self, voucher: VoucherMessage) -> None:
        """Have a voucher checked against the chain and, if it is good, taken."""
        try:
            self._vouchers.send_nowait(voucher)
        except trio.WouldBlock:
            _log.debug("lease %s: vouchers wait for the chain", self.lease.lease_id)

    async def run(self, *, resumed: bool) -> None:
        """Run to the end. ``resumed``: the lease comes from the journal."""
        with about(lease=self.lease.lease_id, peer=self.lease.coordinator):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._link.run, self.attach, self.received)
                await self._run(resumed)
                nursery.cancel_scope.cancel()

    async def _run(self, resumed: bool) -> None:
        pause_s = RETRY_FIRST_S
        while True:
            began_s = trio.current_time()
            try:
                await self._live(resumed)
                await self._forget()
                return
            except Exception:  # noqa: BLE001 - one lease's boundary: a defect, or a broken journal
                _log.exception("lease %s starts over from what is saved", self.lease.lease_id)
            if trio.current_time() - began_s > RETRY_MAX_S:
                pause_s = RETRY_FIRST_S
            await trio.sleep(pause_s)
            pause_s = min(pause_s * 2, RETRY_MAX_S)
            resumed = True

    # --- deciding ----------------------------------------------------------------------------

    async def _live(self, resumed: bool) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._log_sender.run)
            nursery.start_soon(self._check_vouchers)
            if resumed:
                for action in execution.due(self.lease):
                    await self._perform(action, resumed=True)
                self._clear_if_over()
            tick_at_s = trio.current_time()
            while self.lease.phase is not LeasePhase.CLOSED:
                event: LeaseEvent = Tick()
                with trio.move_on_at(tick_at_s):
                    event = await self._inbox.receive()
                await self._take(event)
                if isinstance(event, Tick):
                    tick_at_s = trio.current_time() + TICK_S
                    self._say_progress()
                    await self._repeat()
                    await self._look_after_checkpoints()
            nursery.cancel_scope.cancel()

    async def _take(self, event: LeaseEvent) -> None:
        before = self.lease
        kept = keep_time(before, self._boot())
        if isinstance(event, Tick):
            # With what is under way at this very moment: who is asked something does not end for being idle.
            kept = self._with_use(kept)
        decision = execution.decide(kept, event, self._now_ms())
        if decision.lease.phase is LeasePhase.STOPPING:
            # Before anything is waited for: what came in from here on would be broken off at once.
            self._sandbox.ends(before.lease_id)
        if _is_worth_saving(before, decision.lease):
            await self._journal.call(Journal.save, decision.lease)
        self.lease = decision.lease
        if isinstance(event, Stored):
            self._log_sender.acknowledged()
        if self.lease.phase is not before.phase:
            _log.info(
                "lease %s: %s -> %s",
                before.lease_id,
                before.phase,
                self.lease.phase,
                extra=named(NodeEvent.LEASE_PHASE, before=before.phase, phase=self.lease.phase),
            )
        for action in decision.actions:
            await self._perform(action)
        self._clear_if_over()

    async def _repeat(self) -> None:
        """What has to be said again and again until it is answered."""
        lease = self.lease
        if trio.current_time() - self._sent_at_s < RESEND_S or not self._link.is_connected():
            return
        if lease.events_stored < len(lease.events):
            await self._perform(SendEvents())
        elif lease.phase is LeasePhase.CLAIMING and lease.claim_transaction:
            await self._perform(SendClaimed(lease.claim_transaction))
        else:
            for action in snapshot_steps.unsent(lease):
                await self._perform(action)

    def _with_use(self, lease: NodeLease) -> NodeLease:
        served = self._sandbox.served(lease.lease_id)
        if served is None or served == Served(lease.served, lease.at_work):
            return lease
        return execution.decide(lease, served, self._now_ms()).lease

    async def _look_after_checkpoints(self) -> None:
        if self._sandbox.asks_for_checkpoint(self.lease.lease_id):
            await self._take(SnapshotAsked())
        for action in snapshot_steps.wanted(self.lease):
            await self._perform(action)

    def _say_progress(self) -> None:
        progress = self._sandbox.progress(self.lease.lease_id)
        is_ready = self._sandbox.is_ready(self.lease.lease_id)
        now_s = trio.current_time()
        if (
            progress,
            is_ready,
        ) != self._progress_said and now_s - self._progress_said_at_s >= _PROGRESS_INTERVAL_S:
            self._progress_said, self._progress_said_at_s = (progress, is_ready), now_s
            self._link.beat_soon()

    async def _check_vouchers(self) -> None:
        async for voucher in self._unchecked:
            if await self._work.is_good(voucher):
                await self._events.send(VoucherReceived(voucher))

    # --- acting ------------------------------------------------------------------------------

    async def _perform(self, action: LeaseAction, *, resumed: bool = False) -> None:
        match action:
            case Prepare():
                self._start("prepare", lambda: self._prepare(resumed))
            case Watch():
                self._start("watch", self._watch)
            case Pause() | Resume() | Kill():
                self._start("steer", self._steer)
            case Warn(stops_at_ms):
                self._start("warn", lambda: self._sandbox.warn(self.lease.lease_id, stops_at_ms))
            case TakeSnapshot(number):
                self._start(_CHECKPOINT, lambda: self._checkpoint(number))
            case SendCheckpoint(message):
                self._sent_at_s = trio.current_time()
                await self._link.send(message)
            case Collect():
                self._start("collect", self._collect)
            case SendEvents():
                self._sent_at_s = trio.current_time()
                for event in self.lease.events[self.lease.events_stored :]:
                    await self._link.send(event)
            case SendMeter(meter):
                # A paused lease asks at every tick, and so does one for use that nears its limit: who waits
                # for the next token has no three seconds.
                pause_s = RESEND_S if self.lease.use is None else 0.0
                if trio.current_time() - self._metered_at_s >= pause_s:
                    self._metered_at_s = trio.current_time()
                    await self._link.send(meter)
            case RedeemEscrow(voucher):
                self._start("redeem", lambda: self._redeem(voucher))
            case SendClaimed(transaction):
                self._sent_at_s = trio.current_time()
                await self._link.send(Claimed(self.lease.lease_id, transaction))
            case Forget():
                pass  # `run` does it at its end

    def _start(self, name: str, action: Callable[[], Awaitable[None]]) -> None:
        self._steps.start(self._nursery, name, action)

    async def _prepare(self, resumed: bool) -> None:
        with self._within("lease.prepare") as span:
            prepared = await self._work.prepare(resumed=resumed)
            if isinstance(prepared, PrepareFailed):
                span.note(outcome=prepared.outcome)
        await self._events.send(prepared)

    async def _watch(self) -> None:
        # Told to end, it may still be in the middle of making the container.
        await self._steps.until_done("prepare")
        ended: ContainerEnded | None = None
        while ended is None:
            with trio.CancelScope() as self._looking:
                ended = await self._work.watch()
        began_ms = self.lease.started_at_ms
        if began_ms:
            about_it = {"lease": self.lease.lease_id}
            self._traces.begin("lease.run", self._trace, began_ms, **about_it).end()
        await self._events.send(ended)

    async def _steer(self) -> None:
        if self.lease.phase is LeasePhase.STOPPING:
            await self._steps.cancel("prepare")
        await self._work.steer()

    async def _checkpoint(self, number: int) -> None:
        await self._events.send(await self._work.checkpoint(number))

    async def _collect(self) -> None:
        # What it has left is taken whole; nothing of an earlier moment is needed any more.
        await self._steps.cancel(_CHECKPOINT)
        with self._within("lease.outputs"):
            collected = await self._work.collect()
        with trio.move_on_after(_LOG_PATIENCE_S):
            await self._log_sender.until_stored(collected.logs_bytes)
        await self._events.send(collected)

    async def _redeem(self, voucher: VoucherMessage | None) -> None:
        with self._within("lease.redeem"):
            redeemed = await self._work.redeem(voucher)
        await self._events.send(redeemed)

    async def _started(self, took: StartTook) -> None:
        """What of a start took how long: the image and the inputs are got at once, from its beginning."""
        began_ms = self._now_ms() - took.total_ms
        for name, took_ms in (("lease.pull", took.pull_ms), ("lease.inputs", took.inputs_ms)):
            if took_ms:
                span = self._traces.begin(name, self._trace, began_ms, lease=self.lease.lease_id)
                span.end(began_ms + took_ms)
        await self._reports.started(took)

    @property
    def _trace(self) -> str:
        return self.lease.start.trace if self.lease.start is not None else ""

    def _within(self, name: str) -> AbstractContextManager[Span]:
        return self._traces.within(name, self._trace, lease=self.lease.lease_id)

    def _clear_if_over(self) -> None:
        """After the report nothing needs container and files: the next job can have their room."""
        over = self.lease.phase in (LeasePhase.REPORTED, LeasePhase.CLAIMING)
        if over and not self._is_cleared:
            self._start("clear", self._clear)

    async def _clear(self) -> None:
        await self._work.clear()
        self._is_cleared = True
        self._reports.cleared(self.lease.lease_id)

    async def _forget(self) -> None:
        if not self._is_cleared:
            await self._clear()
        await self._work.forget()
        self._log_end()
        self._reports.forgotten(self.lease.lease_id)

    def _log_end(self) -> None:
        over = past(self.lease, self._now_ms())
        _log.info(
            "lease %s is over: %s after %d ms, %d micro-USDC",
            *(over.lease_id, over.outcome, over.metered_ms, over.voucher_micro_usdc),
            extra=named(
                NodeEvent.LEASE_OVER,
                outcome=over.outcome,
                metered_ms=over.metered_ms,
                voucher_micro_usdc=over.voucher_micro_usdc,
            ),
        )

    async def _give_up(self, step: str, failures: int) -> bool:
        """Whether to report something instead of a step that keeps failing by a defect."""
        none = "0" * 64
        match step:
            case "prepare":
                instead: LeaseEvent = PrepareFailed(Outcome.START_FAILED, _DEFECT)
            case _ if step == _CHECKPOINT:
                instead = SnapshotEnded(self.lease.snapshots.number, None)
            case "collect" if failures >= _COLLECT_TRIES:
                instead = Collected((), none, 0, none, Outcome.RESULT_INVALID, _DEFECT)
            case _:
                return False
        await self._events.send(instead)
        return True


def _is_worth_saving(before: NodeLease, after: NodeLease) -> bool:
    """Log progress alone is not: a restarted node is told by the coordinator. Nor is what was served: it is saved with
    the next meter, and until then somebody's word against ours. Ahead of an escrow there are no meters, and nobody's word."""
    same = replace(
        before,
        log_bytes_stored=after.log_bytes_stored,
        served=before.served if is_ahead(after) else after.served,
        at_work=after.at_work,
        active_ms=after.active_ms,
    )
    return same != after
