"""A machine of a provider's: connected, bidding, and keeping what it has taken, while its program runs the jobs.

Four threads: one hears, one speaks, one does what is due with time, and the program's own. What they share has one lock;
nothing waits for the network while it holds it.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from neurogrid_marketplace import primitives
from neurogrid_marketplace.bid import Bid
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.execution import accept, agreement
from neurogrid_marketplace.lease import (
    FundedReceived,
    StartReceived,
    StopReceived,
    Stored,
    VoucherReceived,
)
from neurogrid_marketplace.messages import (
    HEARTBEAT_INTERVAL_S,
    SILENCE_LIMIT_S,
    Acknowledge,
    Award,
    Funded,
    Heartbeat,
    Hello,
    Message,
    NodeLeaseMessage,
    Pulse,
    Start,
    Stop,
    VoucherMessage,
)
from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.sealing import Reveal

from ..errors import ConflictError, ConnectionFailed, NeuroGridError, NotFoundError
from ..transport import Transport
from .auctions import Auctions, Offered
from .bidding import Policy, left
from .journal import Held, Journal
from .keys import Key
from .leases import Leases
from .link import Link
from .mailbox import Mailbox
from .redeeming import Redeem, Redeeming
from .threads import Threads

_TICK_S = 0.5
_JOIN_PATIENCE_S = 20.0
_BACKOFF_FIRST_S = 0.5
_BACKOFF_MAX_S = 15.0
# Progress is told at most so often.
_BEAT_APART_MS = 1_000
_LEAVE_S = 10.0

_log = logging.getLogger(__name__)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Machine:
    """One machine. Made, started and closed by `neurogrid.Provider`.

    Args:
        offer: what it offers while nothing is taken.
        redeem: see `Redeem`.
        max_unpaid_s: work that is not covered by a voucher ends a job when it is more than this.

    Attributes:
        changed: its lock, notified whenever something of it changes.
        leases: what it has taken.
    """

    def __init__(
        self,
        transport: Transport,
        key: Key,
        offer: Offer,
        policy: Policy,
        journal: Journal,
        redeem: Redeem,
        *,
        max_unpaid_s: int = 300,
        now_ms: Callable[[], int] = _now_ms,
    ) -> None:
        self.id = key.peer_id
        self.changed = threading.Condition(threading.RLock())
        self.leases = Leases(
            journal,
            tell=self._tell,
            redeem=lambda lease_id, voucher: self._redeeming.begin(lease_id, voucher),
            changed=self.changed.notify_all,
            now_ms=now_ms,
        )
        self._transport = transport
        self._key = key
        self._offer = offer
        self._journal = journal
        self._max_unpaid_ms = max_unpaid_s * 1000
        self._now_ms = now_ms
        self._auctions = Auctions(self.id, policy, lambda: secrets.token_hex(32))
        self._link: Link | None = None
        self._pulsed_at_ms = 0
        self._beaten_at_ms = 0
        self._beat_is_due = False
        self._threads = Threads(f"neurogrid {self.id[-6:]}")
        self._redeeming = Redeeming(redeem, self._threads, self.changed, self.leases.redeemed)

    # --- its life -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect, and stay connected; returns when the coordinator has heard the offer.

        Raises:
            ApiError, ConnectionFailed: it can't be connected now.
        """
        link = self._connect()
        for run in (partial(self._stay_connected, link), self._keep_time):
            self._threads.begin(run)
        deadline_s = time.monotonic() + _JOIN_PATIENCE_S
        with self.changed:
            while not self._pulsed_at_ms:
                if link.is_over or time.monotonic() > deadline_s:
                    problem = link.problem or ConnectionFailed(
                        "the coordinator has ended the machine's mailbox at once, or not answered its hello within "
                        f"{_JOIN_PATIENCE_S:g} s"
                    )
                    break
                self.changed.wait(0.2)
            else:
                return
        self.close()
        raise problem

    def close(self) -> None:
        """Leave. What is taken stays in the journal, and is gone on with when the machine is started again."""
        self._threads.closing.set()
        with self.changed:
            if self._link is not None:
                self._link.end()
            self.changed.notify_all()
        self._threads.join(_LEAVE_S)
        self._journal.close()

    @property
    def is_closed(self) -> bool:
        """Whether it has left."""
        return self._threads.closing.is_set()

    @property
    def offer(self) -> Offer:
        """What it offers, with what is free now."""
        with self.changed:
            held = [each.taken for each in self.leases.held.values()]
            free = left(self._offer.total, held + self._auctions.taken(self._now_ms()))
            return replace(self._offer, free=free)

    def change_offer(self, change: Callable[[Offer], Offer]) -> None:
        """Offer something else from now on; what is taken stays as it is."""
        with self.changed:
            self._offer = change(self._offer)
            self._say(self._hello())

    # --- tasks, for the program ------------------------------------------------------------------------

    def offered(self) -> dict[str, Offered]:
        """What it was awarded and has not answered, by lease id."""
        with self.changed:
            return dict(self._auctions.offered)

    def accept(self, lease_id: str) -> Held:
        """Take a task that was awarded: it is in the journal, then it is said. One that is taken already stays so.

        Raises:
            NotFoundError: no such task was awarded to this machine.
            ConflictError: too late: it has gone to the next bid.
            OSError: the journal can't be written; nothing was accepted.
        """
        with self.changed:
            known = self.leases.find(lease_id)
            if known is not None:
                return known
            offered = self._auctions.offered.get(lease_id)
            if offered is None:
                raise NotFoundError(
                    f"task {lease_id[:80]} is not offered to this machine (any more): it has to be accepted within two "
                    "seconds, and then goes to the next bid",
                    code="NOT_FOUND",
                    status=404,
                    details={"task_id": lease_id[:80]},
                )
            link, now_ms = self._link, self._now_ms()
            if link is None or link.is_over or offered.until_ms <= now_ms:
                del self._auctions.offered[lease_id]
                raise conflict(f"task {lease_id} was accepted too late: it goes to the next bid")
            award = offered.award
            # Of this lease alone: when it is forgotten, nobody can open what was sealed for it any more.
            sealing = primitives.X25519PrivateKey.generate()
            lease = accept(
                award,
                link.coordinator,
                self._max_unpaid_ms,
                now_ms,
                sealing.public_key().public_bytes_raw().hex(),
                may_pause=False,
            )
            seed = sealing.private_bytes_raw().hex()
            held = Held(lease, offered.taken, sealing_seed=seed)
            self.leases.add(held)
            del self._auctions.offered[lease_id]
            self._say(agreement(award, lease.sealing_key))
            link.want(lease_id)
            self._beat_is_due = True
            self.changed.notify_all()
            return held

    def log_bytes(self, lease_id: str) -> int:
        """How long a task's log is."""
        return self._journal.log_bytes(lease_id)

    def beat_soon(self) -> None:
        """Have the coordinator hear of progress."""
        with self.changed:
            self._beat_is_due = True

    # --- what is heard (`link.Listener`) -----------------------------------------------------------------

    def joined(self) -> None:
        """The first stream is open: say what is offered."""
        self._pulsed_at_ms, self._beaten_at_ms = 0, self._now_ms()
        self._say(self._hello())
        self._want_streams()

    def attached(self, lease_id: str) -> None:
        """A lease's stream is open."""
        self.leases.attached(lease_id)

    def heard(self, lease_id: str | None, message: Message) -> None:
        """The coordinator has said something."""
        now_ms = self._now_ms()
        match message:
            case Pulse():
                self._pulsed_at_ms = now_ms
                self.changed.notify_all()
            case Demand():
                reply = self._auctions.ask(message, self.offer, len(self.leases.held), now_ms)
                self._show(reply) if isinstance(reply, Bid) else self._say(reply)
            case Reveal():
                bid = self._auctions.reveal(message, now_ms)
                if bid is not None:
                    self._show(bid)
            case Award():
                self._on_award(message, now_ms)
            case Start() | Funded() | Stop() | VoucherMessage() | Acknowledge() if (
                message.lease_id == lease_id
            ):
                self._on_lease(message)

    def _on_award(self, award: Award, now_ms: int) -> None:
        known = self.leases.find(award.lease_id)
        if known is not None and known.lease.award == award:
            # Asked again after a crash at the other end: the same answer, signed anew.
            self._say(agreement(award, known.lease.sealing_key))
            return
        denied = self._auctions.award(award, now_ms, accepting=self._offer.accepting)
        if denied is not None:
            self._say(denied)
        self.changed.notify_all()

    def _on_lease(self, message: Start | Funded | Stop | VoucherMessage | Acknowledge) -> None:
        lease_id = message.lease_id
        match message:
            case Start():
                self.leases.happened(lease_id, StartReceived(message))
            case Funded():
                self.leases.happened(lease_id, FundedReceived(message))
            case Stop(_, reason):
                self.leases.happened(lease_id, StopReceived(reason))
            case VoucherMessage():
                if self._is_good(message):
                    self.leases.happened(lease_id, VoucherReceived(message))
            case Acknowledge(_, events, log_bytes, closed, limit, checkpoint):
                self.leases.acknowledged_log(lease_id, log_bytes, limit)
                self.leases.happened(lease_id, Stored(events, log_bytes, closed, checkpoint))
                if lease_id not in self.leases.held:
                    self._beat_is_due = True

    def _is_good(self, voucher: VoucherMessage) -> bool:
        """Whether a voucher is worth what it says, as far as that can be known here."""
        held = self.leases.held.get(voucher.lease_id)
        if held is None or voucher.cumulative_micro_usdc > held.lease.award.max_cost_micro_usdc:
            return False
        if held.escrow is None or held.escrow.pays(voucher):
            return True
        _log.warning("%s: a voucher that the chain would not pay", voucher.lease_id)
        return False

    # --- what is said -------------------------------------------------------------------------------------

    def _say(self, message: Message) -> Envelope | None:
        return self._link.say(message) if self._link is not None else None

    def _show(self, bid: Bid) -> None:
        envelope = self._say(bid)
        if envelope is not None:
            self._auctions.signed(bid.demand_id, envelope.hash())

    def _tell(self, lease_id: str, message: NodeLeaseMessage) -> bool:
        return self._link is not None and self._link.tell(lease_id, message)

    def _hello(self) -> Hello:
        coordinator = self._link.coordinator if self._link is not None else ""
        return Hello(self.offer, self.leases.statuses(coordinator))

    # --- the threads --------------------------------------------------------------------------------------

    def _connect(self) -> Link:
        mailbox = Mailbox(self._transport, self.id)
        with self.changed:
            self._link = Link(mailbox, self._key, self.changed, self._now_ms)
            return self._link

    def _stay_connected(self, first: Link) -> None:
        link: Link | None = first
        pause_s = _BACKOFF_FIRST_S
        while not self._threads.closing.is_set():
            began_s = time.monotonic()
            problem: NeuroGridError | None = None
            try:
                link = link or self._connect()
                self._threads.begin(partial(link.speak, self))
                link.listen(self)
                problem = link.problem
            except NeuroGridError as error:
                problem = error
            except Exception:  # noqa: BLE001 - a thread's outermost boundary: the next link may be better
                _log.exception("the connection of machine %s", self.id)
                if link is not None:
                    with self.changed:
                        link.end()
            link = None
            if self._threads.closing.is_set():
                return
            why = problem or "the coordinator has ended it; is another program this machine, too?"
            _log.warning("machine %s is not connected: %s; it tries again", self.id, why)
            if time.monotonic() - began_s > 2 * _BACKOFF_MAX_S:
                pause_s = _BACKOFF_FIRST_S
            self._threads.closing.wait(pause_s)
            pause_s = min(pause_s * 2, _BACKOFF_MAX_S)

    def _keep_time(self) -> None:
        while not self._threads.closing.wait(_TICK_S):
            try:
                with self.changed:
                    self._tick(self._now_ms())
            except OSError as error:
                _log.error("machine %s: its journal can't be written: %s", self.id, error)
            except Exception:  # noqa: BLE001 - a thread's outermost boundary: the others go on
                _log.exception("machine %s", self.id)

    def _tick(self, now_ms: int) -> None:
        for denied in self._auctions.expired(now_ms):
            self._say(denied)
        self.leases.tick()
        link = self._link
        if link is None or not link.is_joined:
            return
        since_ms = now_ms - self._beaten_at_ms
        if since_ms >= HEARTBEAT_INTERVAL_S * 1000 or (
            self._beat_is_due and since_ms >= _BEAT_APART_MS
        ):
            offer = self.offer
            self._say(
                Heartbeat(offer.free, offer.accepting, self.leases.statuses(link.coordinator))
            )
            self._beaten_at_ms, self._beat_is_due = now_ms, False
            self._want_streams()
        if self._pulsed_at_ms and now_ms - self._pulsed_at_ms > SILENCE_LIMIT_S * 1000:
            link.end(ConnectionFailed(f"the coordinator has said nothing for {SILENCE_LIMIT_S} s"))

    def _want_streams(self) -> None:
        """A lease that has no stream (any more) gets another."""
        link = self._link
        if link is None:
            return
        for lease_id, held in self.leases.held.items():
            if held.lease.coordinator == link.coordinator:
                link.want(lease_id)


def conflict(message: str) -> ConflictError:
    """What is asked for does not fit how things are."""
    return ConflictError(message, code="CONFLICT", status=409, details={})
