"""This machine as a seller: answers demands and awards, and keeps a runner for each lease."""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import trio

from neurogrid_marketplace.bid import Bid, DeclineCode
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.execution import accept, agreement
from neurogrid_marketplace.lease import NodeLease, StartReceived, StopReceived, Stored
from neurogrid_marketplace.messages import (
    Acknowledge,
    Award,
    Deny,
    Heartbeat,
    Hello,
    Message,
    Start,
    Stop,
    VoucherMessage,
)
from neurogrid_marketplace.money import cost_micro_usdc
from neurogrid_marketplace.offer import LeaseStatus, Offer

from .bidder import DEFAULT_START_MS, Policy, answer
from .executor import LeaseRunner
from .journal import Journal
from .network import CoordinatorLink
from .reservations import Reservations

_log = logging.getLogger(__name__)

# Demands whose award may still come; each is a few hundred bytes and is answered within seconds.
_DEMANDS_KEPT = 1024
# How fast the measured start time follows new measurements.
_START_SMOOTHING = 0.3


@dataclass(frozen=True, slots=True)
class _Asked:
    """A demand that was bid on: what was asked and what we said."""

    demand: Demand
    bid: Bid
    bid_hash: str


class Provider:
    """The seller. One per daemon."""

    def __init__(
        self,
        offer: Offer,
        *,
        policy: Policy,
        max_unpaid_ms: int,
        reservations: Reservations,
        journal: Journal,
        journal_slot: trio.CapacityLimiter,
        has_image: Callable[[str], Awaitable[bool]],
        start_runner: Callable[[NodeLease], LeaseRunner],
        now_ms: Callable[[], int],
    ) -> None:
        """
        Args:
            offer: what the machine offers, as far as it never changes.
            has_image: whether an image is on this machine.
            start_runner: makes a runner for a new lease and starts it.
        """
        self.offer = offer
        self.accepting = False
        self.runners: dict[str, LeaseRunner] = {}
        self.links: dict[str, CoordinatorLink] = {}
        self._policy = policy
        self._max_unpaid_ms = max_unpaid_ms
        self._reservations = reservations
        self._journal = journal
        self._journal_slot = journal_slot
        self._has_image = has_image
        self._start_runner = start_runner
        self._now_ms = now_ms
        self._asked: OrderedDict[str, _Asked] = OrderedDict()
        self._start_ms = DEFAULT_START_MS

    # --- what is said of this machine ---------------------------------------------------------

    def hello(self, coordinator: str) -> Hello:
        """The first message to a coordinator."""
        offer = replace(
            self.offer,
            free=self._reservations.free(self._now_ms()),
            accepting=self.accepting,
        )
        return Hello(offer, self._leases_of(coordinator))

    def heartbeat(self, coordinator: str) -> Heartbeat:
        """Every few seconds."""
        free = self._reservations.free(self._now_ms())
        return Heartbeat(free, self.accepting, self._leases_of(coordinator))

    def started_in(self, milliseconds: int) -> None:
        """A container started so long after its award: the next bids say so."""
        self._start_ms += round((milliseconds - self._start_ms) * _START_SMOOTHING)

    def forget(self, lease_id: str) -> None:
        """A lease is over and cleaned up."""
        self._reservations.release(lease_id)
        self.runners.pop(lease_id, None)
        self._beat_all()

    def joined(self, coordinator: str) -> None:
        """A coordinator is (back) at the other end."""
        for runner in self.runners.values():
            if runner.lease.coordinator == coordinator:
                runner.reconnected()

    # --- messages -----------------------------------------------------------------------------

    async def received(self, link: CoordinatorLink, envelope: Envelope, message: Message) -> None:
        """Handle one message of a coordinator."""
        if isinstance(message, Demand):
            await self._on_demand(link, message)
            return
        if isinstance(message, Award):
            await self._on_award(link, envelope, message)
            return
        lease_id = getattr(message, "lease_id", None)
        runner = self.runners.get(lease_id) if isinstance(lease_id, str) else None
        if runner is None or runner.lease.coordinator != link.coordinator:
            return  # closed long ago, or not this coordinator's business
        match message:
            case Start():
                runner.offer(StartReceived(message))
            case Stop(_, reason):
                runner.offer(StopReceived(reason))
            case VoucherMessage():
                await runner.offer_voucher(message)
            case Acknowledge(_, events, log_bytes, closed):
                runner.offer(Stored(events, log_bytes, closed))

    async def _on_demand(self, link: CoordinatorLink, demand: Demand) -> None:
        has_image = await self._has_image(demand.image)
        now_ms = self._now_ms()
        reply = answer(
            demand,
            free=self._reservations.free(now_ms),
            total=self._reservations.total,
            accepting=self.accepting,
            has_image=has_image,
            start_ms=self._start_ms,
            policy=self._policy,
            now_ms=now_ms,
        )
        if isinstance(reply, Bid):
            held = self._reservations.hold(
                demand.demand_id, demand.requirements, now_ms, reply.valid_until_ms
            )
            assert held, "a bid is made only for what is free"
        envelope = await link.send_signed(reply)
        if isinstance(reply, Bid) and envelope is not None:
            self._asked[demand.demand_id] = _Asked(demand, reply, envelope.hash())
            while len(self._asked) > _DEMANDS_KEPT:
                self._asked.popitem(last=False)

    async def _on_award(self, link: CoordinatorLink, envelope: Envelope, award: Award) -> None:
        known = self.runners.get(award.lease_id)
        if known is not None:
            # Asked again after a crash at the other end: the same answer, signed anew.
            if known.lease.award == award and known.lease.coordinator == link.coordinator:
                await link.send(agreement(award))
            return
        now_ms = self._now_ms()
        refusal = self._refusal(award, now_ms)
        if refusal is not None:
            await link.send(refusal)
            return
        lease = accept(award, link.coordinator, self._max_unpaid_ms, now_ms)
        held = self._reservations.held(award.lease_id)
        assert held is not None, "what was not refused is reserved"
        # Saved before it is said: a node that accepts and dies still knows.
        await trio.to_thread.run_sync(self._journal.add, lease, held, limiter=self._journal_slot)
        self.runners[lease.lease_id] = self._start_runner(lease)
        await link.send(agreement(award))
        self._beat_all()

    def _refusal(self, award: Award, now_ms: int) -> Deny | None:
        """Why an award is not taken; None reserves the bid's resources for the lease."""
        asked = self._asked.get(award.demand_id)

        def deny(code: DeclineCode, detail: str = "") -> Deny:
            return Deny(award.lease_id, code, detail)

        if not self.accepting:
            return deny(DeclineCode.NOT_ACCEPTING)
        if asked is None or asked.bid.valid_until_ms < now_ms:
            return deny(DeclineCode.RESERVATION_EXPIRED, "no bid of ours stands for this demand")
        demand = asked.demand
        if (
            award.bid_hash != asked.bid_hash
            or award.demand_hash != demand.hash()
            or award.job_hash != demand.job_hash
            or award.timeout_s != demand.timeout_s
            or award.voucher_interval_s != demand.voucher_interval_s
            or award.price_micro_usdc_per_hour < asked.bid.price_micro_usdc_per_hour
            or award.max_cost_micro_usdc
            < cost_micro_usdc(award.price_micro_usdc_per_hour, award.timeout_s * 1000)
        ):
            return deny(DeclineCode.TERMS_CHANGED, "not what was demanded and bid")
        if not self._reservations.rename(award.demand_id, award.lease_id):
            return deny(DeclineCode.BUSY, "the resources went to another lease")
        del self._asked[award.demand_id]
        return None

    def _leases_of(self, coordinator: str) -> tuple[LeaseStatus, ...]:
        return tuple(
            runner.status()
            for runner in self.runners.values()
            if runner.lease.coordinator == coordinator
        )[:256]

    def _beat_all(self) -> None:
        for link in self.links.values():
            link.beat_soon()
