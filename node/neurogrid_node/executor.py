"""One lease, from accept to forgotten: the shell around `neurogrid_marketplace.execution`.

Each lease has one runner: a task that takes events from a bounded inbox, decides, saves, then acts.
Long actions run beside it as named steps; a step that is under way is not started twice, and what
it finds out comes back as an event.
"""

import logging
import math
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from neurogrid_marketplace import execution
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.lease import (
    ClaimConfirmed,
    Collect,
    ContainerEnded,
    Forget,
    Kill,
    LeaseAction,
    LeaseEvent,
    NodeLease,
    Pause,
    Prepare,
    PrepareFailed,
    RedeemEscrow,
    Resume,
    SendClaimed,
    SendEvents,
    SendMeter,
    Stored,
    Tick,
    VoucherReceived,
    Watch,
)
from neurogrid_marketplace.messages import Claimed, Log, Message, VoucherMessage
from neurogrid_marketplace.offer import LeasePhase, LeaseStatus
from neurogrid_wallet.errors import RpcError

from .container_errors import EngineError
from .earnings import Earnings, EscrowGone, EscrowUnseen, VoucherRefused
from .journal import Journal
from .progress import Progress
from .sandbox import Sandbox, SandboxError

_log = logging.getLogger(__name__)

# A lease gets a handful of messages a minute; a coordinator that sends more is not waited for.
_INBOX = 256
_TICK_S = 0.5
_RESEND_S = 3.0
# Somebody may be watching a progress bar; an ordinary heartbeat comes only every few seconds.
_PROGRESS_INTERVAL_S = 1.0
# Log text that may be on its way unacknowledged: one yamux window (p2p.md, section 5).
_LOG_WINDOW_BYTES = 256 * 1024
_LOG_PIECE_BYTES = 24 * 1024
# How long the end of a run waits for the end of its log to be stored, while connected.
_LOG_PATIENCE_S = 10.0


class Link(Protocol):
    """The way to a lease's coordinator: the control stream, or nothing while it is away."""

    def is_connected(self) -> bool:
        """Whether a message sent now has a chance."""

    async def send(self, message: Message) -> None:
        """Send; silently nothing while disconnected, because everything is sent again."""

    def beat_soon(self) -> None:
        """Send a heartbeat now: it carries the leases' progress."""


class LeaseRunner:
    """Runs one lease."""

    def __init__(
        self,
        lease: NodeLease,
        *,
        journal: Journal,
        journal_slot: trio.CapacityLimiter,
        sandbox: Sandbox,
        earnings: Earnings,
        link: Link,
        now_ms: Callable[[], int],
        started: Callable[[int], None],
        forget: Callable[[str], None],
    ) -> None:
        """
        Args:
            journal_slot: one token: the journal has one user at a time.
            started: told how many milliseconds it took from accept to a running container.
            forget: called at the very end; gives the resources back.
        """
        self.lease = lease
        self._journal = journal
        self._journal_slot = journal_slot
        self._sandbox = sandbox
        self._earnings = earnings
        self._link = link
        self._now_ms = now_ms
        self._started = started
        self._forget = forget
        self._accepted_at_ms = now_ms()
        self._events, self._inbox = trio.open_memory_channel[LeaseEvent](_INBOX)
        self._steps: dict[str, trio.CancelScope] = {}
        self._nursery: trio.Nursery
        self._sent_at_s = -math.inf
        self._progress_said = Progress()
        self._progress_said_at_s = -math.inf
        self._log_sent = 0
        self._log_stored = trio.Event()

    def status(self) -> LeaseStatus:
        """The lease in a heartbeat."""
        progress = self._sandbox.progress(self.lease.lease_id)
        return LeaseStatus(
            self.lease.lease_id,
            self.lease.phase,
            execution.metered_ms(self.lease, self._now_ms()),
            progress.permille,
            progress.note,
            self._sandbox.memory_peak_bytes(self.lease.lease_id),
        )

    def offer(self, event: LeaseEvent) -> None:
        """Hand over an event from outside; one too many is dropped, it will come again."""
        try:
            self._events.send_nowait(event)
        except trio.WouldBlock:
            _log.warning("lease %s: inbox full, dropped %s", self.lease.lease_id, type(event))

    async def offer_voucher(self, voucher: VoucherMessage) -> None:
        """Check a voucher against the chain, then hand it over."""
        start = self.lease.start
        if start is None:
            return
        try:
            await self._earnings.check_voucher(self.lease, start, voucher)
        except EscrowGone:
            if not voucher.final:
                return
        except (VoucherRefused, EscrowUnseen, RpcError) as error:
            # It comes again; a coordinator that keeps sending bad ones is simply not believed.
            _log.warning("lease %s: voucher not taken: %s", self.lease.lease_id, error)
            return
        self.offer(VoucherReceived(voucher))

    def reconnected(self) -> None:
        """The coordinator is back: send again from what it has stored."""
        self._log_sent = self.lease.log_bytes_stored
        self._sent_at_s = -math.inf

    async def run(self, *, resumed: bool) -> None:
        """Run to the end. ``resumed``: the lease comes from the journal."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._log_sent = self.lease.log_bytes_stored
            nursery.start_soon(self._tick)
            nursery.start_soon(self._send_logs)
            if resumed:
                for action in execution.due(self.lease):
                    await self._perform(action, resumed=True)
            async for event in self._inbox:
                await self._step(event)
                if self.lease.phase is LeasePhase.CLOSED:
                    break
            nursery.cancel_scope.cancel()
        await self._clean_up()

    async def _step(self, event: LeaseEvent) -> None:
        before = self.lease
        decision = execution.decide(before, event, self._now_ms())
        if decision.lease != before:
            await self._save(decision.lease)
        self.lease = decision.lease
        if isinstance(event, Stored):
            self._log_stored.set()
            self._log_stored = trio.Event()
        if self.lease.phase is not before.phase:
            _log.info("lease %s: %s -> %s", before.lease_id, before.phase, self.lease.phase)
            if before.phase is LeasePhase.PREPARING and self.lease.phase is LeasePhase.RUNNING:
                self._started(self._now_ms() - self._accepted_at_ms)
        for action in decision.actions:
            await self._perform(action)

    async def _save(self, lease: NodeLease) -> None:
        await trio.to_thread.run_sync(self._journal.save, lease, limiter=self._journal_slot)

    async def _perform(self, action: LeaseAction, *, resumed: bool = False) -> None:
        match action:
            case Prepare():
                self._start("prepare", lambda: self._prepare(resumed))
            case Watch():
                self._start("watch", self._watch)
            case Pause() | Resume() | Kill():
                self._start("control", lambda: self._control(action))
            case Collect():
                self._start("collect", self._collect)
            case SendEvents():
                self._sent_at_s = trio.current_time()
                for event in self.lease.events[self.lease.events_stored :]:
                    await self._link.send(event)
            case SendMeter(meter):
                await self._link.send(meter)
            case RedeemEscrow(voucher):
                self._start("redeem", lambda: self._redeem(voucher))
            case SendClaimed(transaction):
                self._sent_at_s = trio.current_time()
                await self._link.send(Claimed(self.lease.lease_id, transaction))
            case Forget():
                pass  # the end of `run` cleans up

    def _start(self, name: str, step: Callable[[], Awaitable[None]]) -> None:
        if name in self._steps:
            return
        scope = self._steps[name] = trio.CancelScope()

        async def guarded() -> None:
            try:
                with scope:
                    await step()
            finally:
                del self._steps[name]

        self._nursery.start_soon(guarded)

    async def _prepare(self, resumed: bool) -> None:
        assert self.lease.start is not None, "preparing follows the start message"
        try:
            running = await self._sandbox.prepare(self.lease, self.lease.start, resumed=resumed)
        except SandboxError as error:
            self.offer(PrepareFailed(error.outcome, str(error)[:1000]))
        else:
            self.offer(running)

    async def _watch(self) -> None:
        while True:
            try:
                ran = await self._sandbox.watch(self.lease)
            except EngineError as error:
                _log.warning("lease %s: %s", self.lease.lease_id, error)
                await trio.sleep(_TICK_S)
            else:
                self.offer(ContainerEnded(ran))
                return

    async def _control(self, action: Pause | Resume | Kill) -> None:
        try:
            match action:
                case Pause():
                    await self._sandbox.pause(self.lease.lease_id)
                case Resume():
                    await self._sandbox.resume(self.lease.lease_id)
                case Kill():
                    if preparing := self._steps.get("prepare"):
                        preparing.cancel()
                    await self._sandbox.stop(self.lease.lease_id)
        except EngineError as error:
            _log.warning("lease %s: %s", self.lease.lease_id, error)

    async def _collect(self) -> None:
        start, ran = self.lease.start, self.lease.ran
        assert start is not None, "collecting follows a start"
        assert ran is not None, "collecting follows the end of the run"
        keep = ran.outcome in (Outcome.COMPLETED, Outcome.EXIT_NONZERO)
        collected = await self._sandbox.collect(self.lease.lease_id, start, keep=keep)
        with trio.move_on_after(_LOG_PATIENCE_S):
            while self._link.is_connected() and self.lease.log_bytes_stored < collected.logs_bytes:
                with trio.move_on_after(_TICK_S):
                    await self._log_stored.wait()
        self.offer(collected)

    async def _redeem(self, voucher: VoucherMessage | None) -> None:
        transaction = await self._earnings.redeem(self.lease, voucher)
        if transaction and voucher is not None:
            amount = voucher.cumulative_micro_usdc
            await trio.to_thread.run_sync(
                self._journal.save_earning,
                self.lease.lease_id,
                self._now_ms(),
                amount,
                transaction,
                limiter=self._journal_slot,
            )
        self.offer(ClaimConfirmed(transaction))

    async def _tick(self) -> None:
        while True:
            await trio.sleep(_TICK_S)
            self.offer(Tick())
            self._say_progress()
            lease = self.lease
            if trio.current_time() - self._sent_at_s < _RESEND_S or not self._link.is_connected():
                continue
            if lease.events_stored < len(lease.events):
                await self._perform(SendEvents())
            elif lease.phase is LeasePhase.CLAIMING and lease.claim_transaction:
                await self._perform(SendClaimed(lease.claim_transaction))
            # A step that the engine refused for a moment is started again.
            if lease.phase is LeasePhase.STOPPING and lease.stop_reason:
                await self._perform(Kill(lease.stop_reason))

    def _say_progress(self) -> None:
        progress = self._sandbox.progress(self.lease.lease_id)
        now_s = trio.current_time()
        if (
            progress != self._progress_said
            and now_s - self._progress_said_at_s >= _PROGRESS_INTERVAL_S
        ):
            self._progress_said, self._progress_said_at_s = progress, now_s
            self._link.beat_soon()

    async def _send_logs(self) -> None:
        lease_id = self.lease.lease_id
        while True:
            await self._sandbox.log_grown(lease_id, self._log_sent)
            in_flight = self._log_sent - self.lease.log_bytes_stored
            if not self._link.is_connected() or in_flight >= _LOG_WINDOW_BYTES:
                with trio.move_on_after(_TICK_S):
                    await self._log_stored.wait()
                continue
            text = await self._sandbox.read_log(lease_id, self._log_sent, _LOG_PIECE_BYTES)
            if text:
                offset = self._log_sent
                self._log_sent += len(text.encode())
                await self._link.send(Log(lease_id, offset, text))

    async def _clean_up(self) -> None:
        with trio.CancelScope(shield=True):
            lease_id = self.lease.lease_id
            try:
                await self._sandbox.remove(lease_id)
            except EngineError as error:
                # The next start of the daemon removes what is left (`Sandbox.sweep`).
                _log.warning("lease %s: %s", lease_id, error)
            await trio.to_thread.run_sync(
                self._journal.forget, lease_id, limiter=self._journal_slot
            )
            self._forget(lease_id)
