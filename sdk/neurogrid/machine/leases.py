"""The tasks that a machine has accepted, from the award to their pay: the market's rules, kept in a journal.

The rules are those that nodes have (`neurogrid_marketplace.execution`). What a node's executor does, the provider's program
does here: it prepares, runs and stops the job, and says so.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from neurogrid_marketplace.execution import decide, due, metered_ms
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.lease import (
    ClaimConfirmed,
    Collected,
    ContainerEnded,
    Forget,
    LeaseAction,
    LeaseEvent,
    NodeLease,
    Ran,
    RedeemEscrow,
    SendClaimed,
    SendEvents,
    SendMeter,
    SnapshotEnded,
    TakeSnapshot,
    Tick,
)
from neurogrid_marketplace.messages import (
    Attach,
    Claimed,
    Log,
    NodeLeaseMessage,
    VoucherMessage,
)
from neurogrid_marketplace.offer import LeasePhase, LeaseStatus

from .journal import Held, Journal
from .log_sending import LogSending

# A program that was told to stop and says nothing for so long is taken to have stopped.
STOP_PATIENCE_MS = 60_000
# What is told until it is acknowledged.
RESEND_MS = 3_000
_ENDED_KEPT = 256
# What ran in no sandbox of ours has no profile.
_NO_PROFILE = "0" * 64
_WITHOUT_LOG = frozenset({LeasePhase.CLAIMING, LeasePhase.CLOSED})

_log = logging.getLogger(__name__)


class Leases:
    """Those of one machine. Every call is made with the machine's lock held.

    Args:
        tell: says something on a lease's stream; whether there is one.
        redeem: begins to redeem a lease's last voucher (None: to give up an escrow that owes nothing), unless that is
            under way; `redeemed` is told the end.
        changed: told when something changed.

    Attributes:
        held: by lease id; ended: the newest of those that are over.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        tell: Callable[[str, NodeLeaseMessage], bool],
        redeem: Callable[[str, VoucherMessage | None], None],
        changed: Callable[[], None],
        now_ms: Callable[[], int],
    ) -> None:
        self.held = journal.load()
        self.ended: OrderedDict[str, Held] = OrderedDict()
        self._journal = journal
        self._tell = tell
        self._redeem = redeem
        self._changed = changed
        self._now_ms = now_ms
        self._logs = {lease_id: LogSending() for lease_id in self.held}
        self._told_at_ms: dict[str, int] = {}

    def find(self, lease_id: str) -> Held | None:
        """One that is held, or has ended not long ago."""
        return self.held.get(lease_id) or self.ended.get(lease_id)

    def add(self, held: Held) -> None:
        """A task was accepted: it is in the journal when this returns, before anybody hears of it.

        Raises:
            OSError: the disk refuses.
        """
        self._journal.save(held)
        self.held[held.lease.lease_id] = held
        self._logs[held.lease.lease_id] = LogSending()

    def note(self, held: Held) -> None:
        """What its program says of a task; it need not outlive this process, but does with the next step."""
        self.held[held.lease.lease_id] = held
        self._changed()

    def keep(self, held: Held) -> None:
        """What was found out of a task; it is on disk when this returns.

        Raises:
            OSError: the disk refuses.
        """
        self._journal.save(held)
        self.note(held)

    def happened(self, lease_id: str, event: LeaseEvent) -> Held | None:
        """Something happened: keep what follows, then do it. None where the task is not held.

        Raises:
            OSError: the disk refuses; nothing was done.
        """
        held = self.held.get(lease_id)
        if held is None:
            return None
        decision = decide(held.lease, event, self._now_ms())
        if decision.lease != held.lease:
            held = replace(held, lease=decision.lease)
            self._journal.save(held)
            self.held[lease_id] = held
            self._changed()
        for action in decision.actions:
            self._perform(held, action)
        return self.find(lease_id)

    def tick(self) -> None:
        """Time has passed: what is due is done, and what was not heard is said again.

        Raises:
            OSError: the disk refuses.
        """
        now_ms = self._now_ms()
        for lease_id, held in list(self.held.items()):
            self.happened(lease_id, Tick())
            lease = held.lease
            if lease.phase is LeasePhase.STOPPING and now_ms - lease.since_ms > STOP_PATIENCE_MS:
                assert lease.stop_reason is not None, "it is why it stops"
                words = "its program did not say that it has stopped"
                self.happened(lease_id, ContainerEnded(Ran(lease.stop_reason, -1, words, now_ms)))
                self.collected(lease_id, ())
            if now_ms - self._told_at_ms.get(lease_id, 0) >= RESEND_MS:
                self.tell_all(lease_id)
            self._send_log(lease_id, now_ms)

    def tell_all(self, lease_id: str) -> None:
        """Say, and do, again what a task in its state has due."""
        held = self.held.get(lease_id)
        if held is None:
            return
        self._told_at_ms[lease_id] = self._now_ms()
        for action in due(held.lease):
            self._perform(held, action)

    def collected(self, lease_id: str, outputs: tuple[OutputFile, ...]) -> None:
        """A task's outputs are uploaded: its end is told, with the log as it is.

        Raises:
            OSError: the disk refuses.
        """
        hashed, size_bytes = self._journal.log_sha256(lease_id), self._journal.log_bytes(lease_id)
        self.happened(lease_id, Collected(outputs, hashed, size_bytes, _NO_PROFILE))

    def redeemed(self, lease_id: str, transaction: str) -> None:
        """The escrow is closed, by this transaction of ours or ("") by another."""
        self.happened(lease_id, ClaimConfirmed(transaction))

    # --- their streams ------------------------------------------------------------------------------

    def attached(self, lease_id: str) -> None:
        """A task's stream is open."""
        held = self.held.get(lease_id)
        if held is None:
            return
        lease = held.lease
        best = lease.voucher.cumulative_micro_usdc if lease.voucher else 0
        has_start = lease.start is not None
        self._tell(
            lease_id, Attach(lease_id, has_start, len(lease.events), best, lease.voucher_hash)
        )
        self._logs[lease_id].opened(self._now_ms())
        self.tell_all(lease_id)

    def acknowledged_log(self, lease_id: str, stored_bytes: int, limit_bytes: int) -> None:
        """So much of a task's log is stored, and so much may be sent."""
        now_ms = self._now_ms()
        if lease_id in self._logs:
            self._logs[lease_id].acknowledged(stored_bytes, limit_bytes, now_ms)
            self._send_log(lease_id, now_ms)

    def has_log_stored(self, lease_id: str) -> bool:
        """Whether all of a task's log is at the coordinator."""
        sending = self._logs.get(lease_id)
        return sending is None or sending.stored_bytes >= self._journal.log_bytes(lease_id)

    # --- what is said of them ------------------------------------------------------------------------

    def statuses(self, coordinator: str) -> tuple[LeaseStatus, ...]:
        """What the coordinator hears of its own."""
        now_ms = self._now_ms()
        return tuple(
            LeaseStatus(
                held.lease.lease_id,
                held.lease.phase,
                metered_ms(held.lease, now_ms),
                held.progress_permille,
                held.note,
            )
            for held in self.held.values()
            if held.lease.coordinator == coordinator
        )

    def _perform(self, held: Held, action: LeaseAction) -> None:
        lease = held.lease
        match action:
            case SendEvents():
                for event in lease.events[lease.events_stored :]:
                    self._tell(lease.lease_id, event)
            case SendMeter(meter):
                self._tell(lease.lease_id, meter)
            case SendClaimed(transaction):
                self._tell(lease.lease_id, Claimed(lease.lease_id, transaction))
            case TakeSnapshot(number):
                # A program that keeps its work does so by itself.
                self.happened(lease.lease_id, SnapshotEnded(number, None))
            case RedeemEscrow(voucher):
                self._redeem(lease.lease_id, voucher)
            case Forget():
                self._forget(lease)

    def _forget(self, lease: NodeLease) -> None:
        held = self.held.pop(lease.lease_id, None)
        if held is None:
            return
        self._logs.pop(lease.lease_id, None)
        self._told_at_ms.pop(lease.lease_id, None)
        self.ended[lease.lease_id] = held
        while len(self.ended) > _ENDED_KEPT:
            self.ended.popitem(last=False)
        self._journal.remove(lease.lease_id)
        self._changed()

    def _send_log(self, lease_id: str, now_ms: int) -> None:
        sending, held = self._logs.get(lease_id), self.held.get(lease_id)
        if sending is None or held is None or held.lease.phase in _WITHOUT_LOG:
            return
        log_bytes = self._journal.log_bytes(lease_id)
        while piece := sending.next_piece(log_bytes, now_ms):
            text = self._journal.read_log(lease_id, *piece)
            if not text or not self._tell(lease_id, Log(lease_id, piece[0], text)):
                return
            sending.sent(len(text.encode()), now_ms)
