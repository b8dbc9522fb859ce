"""This machine as a seller: answers demands and awards, and keeps a runner for each lease.

A coordinator may say anything. What it names (demands, leases) only ever means its own; what it
repeats gets the same answer; and what it asks for is bounded by the machine.
"""

import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from neurogrid_marketplace.attributes import NodeFacts
from neurogrid_marketplace.bid import Bid, DeclineCode
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.execution import accept, agreement, metered_ms
from neurogrid_marketplace.gang import GANG_RUNTIME
from neurogrid_marketplace.judgement import narrowed, suits
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.messages import Award, Deny, Heartbeat, Hello, Message
from neurogrid_marketplace.money import cost_micro_usdc
from neurogrid_marketplace.offer import LeaseStatus, Offer
from neurogrid_marketplace.resources import Capacity
from neurogrid_marketplace.sealing import Commit, Reveal, commitment

from .bidder import LEASES_MAX, Machine, Policy, answer
from .executor import LeaseRunner
from .journal import Journal, JournalError, JournalThread
from .reclaiming import ALL, CLEARING_MS, Reclaimable, choose
from .reservations import BidName, Reservations, with_inputs
from .start_history import NOTHING_MEASURED, StartHistory, StartTook

_log = logging.getLogger(__name__)

# Demands whose award may still come; each is a few hundred bytes and is answered within seconds.
_DEMANDS_KEPT = 1024
# Times that one bid is signed; an award names one of them.
_SIGNED_KEPT = 4


def _random_nonce() -> str:
    return secrets.token_hex(32)


class ControlLink(Protocol):
    """The stream to one coordinator; a `network.CoordinatorLink`."""

    @property
    def coordinator(self) -> str:
        """The peer id at the other end."""

    def is_connected(self) -> bool:
        """Whether a message sent now has a chance."""

    def beat_soon(self) -> None:
        """Send a heartbeat now."""

    async def send(self, message: Message) -> None:
        """Send; nothing happens while disconnected. Takes a few seconds at most."""

    async def send_signed(self, message: Message) -> Envelope | None:
        """Send, and return what was signed; None if it could not be sent."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A demand that was bid on: what was asked, what we said, and its envelopes' hashes.

    Attributes:
        reveal: in a sealed auction, the list of commitments after which we showed the bid.
    """

    demand: Demand
    bid: Bid
    bid_hashes: tuple[str, ...] = ()
    reveal: Reveal | None = None


class Provider:
    """The seller. One per daemon.

    Attributes:
        offer: what the machine offers, but for what is free and whether it bids.
        accepting: whether it bids.
        runners: by lease id.
        links: by coordinator.
    """

    def __init__(
        self,
        offer: Offer,
        *,
        policy: Policy,
        max_unpaid_ms: int,
        reservations: Reservations,
        journal: JournalThread,
        image_bytes: Callable[[str], Awaitable[int | None]],
        start_runner: Callable[[NodeLease], LeaseRunner],
        now_ms: Callable[[], int],
        starts: StartHistory = NOTHING_MEASURED,
        nonce: Callable[[], str] = _random_nonce,
        new_sealing_key: Callable[[], X25519PrivateKey] = X25519PrivateKey.generate,
    ) -> None:
        """
        Args:
            image_bytes: size of an image that is on this machine, 0 of one that is not; None:
                nobody can say now.
            nonce: makes 32 random bytes in hex, for a sealed bid.
            starts: what earlier lives of this node have measured.
            start_runner: makes a runner for a new lease and starts it.
            new_sealing_key: makes the key to which a lease's inputs may be sealed.
        """
        self.offer = offer
        self.accepting = False
        self.runners: dict[str, LeaseRunner] = {}
        self.links: Mapping[str, ControlLink] = {}
        self._policy = policy
        self._max_unpaid_ms = max_unpaid_ms
        self._reservations = reservations
        self._journal = journal
        self._image_bytes = image_bytes
        self._start_runner = start_runner
        self._now_ms = now_ms
        self._new_sealing_key = new_sealing_key
        self._asked: OrderedDict[BidName, _Asked] = OrderedDict()
        self._starts = starts
        self._nonce = nonce

    # --- what is said of this machine ---------------------------------------------------------

    def hello(self, coordinator: str) -> Hello:
        """The first message to a coordinator."""
        offer = replace(
            self.offer,
            free=self._reservations.free(self._now_ms()),
            accepting=self.accepting,
            reclaimable=self._free_without_spot(),
        )
        return Hello(offer, self._leases_of(coordinator))

    def heartbeat(self, coordinator: str) -> Heartbeat:
        """Every few seconds."""
        free = self._reservations.free(self._now_ms())
        reclaimable = self._free_without_spot()
        return Heartbeat(free, self.accepting, self._leases_of(coordinator), reclaimable)

    async def started(self, took: StartTook) -> None:
        """A container started: the next bids know how long that takes, after a restart too."""
        self._starts = self._starts.with_start(took)
        try:
            await self._journal.call(Journal.save_starts, self._starts)
        except JournalError as error:
            _log.warning("how long a start took is not kept: %s", error)

    def has_leases_of(self, coordinator: str) -> bool:
        """Whether anything here is of that coordinator."""
        return any(runner.lease.coordinator == coordinator for runner in self.runners.values())

    def cleared(self, lease_id: str) -> None:
        """A lease's container and files are gone: others may have their room."""
        self._reservations.release(lease_id)
        self._beat_all()

    def forgotten(self, lease_id: str) -> None:
        """A lease is over."""
        self.runners.pop(lease_id, None)
        self._beat_all()

    # --- taking the machine back ----------------------------------------------------------------

    def make_room(self, lease_id: str) -> bool:
        """Ask those in whose place a lease comes to go; whether they are gone."""
        in_the_way = self._reservations.in_the_way(lease_id)
        for other in in_the_way:
            self.runners[other].reclaim()
        return not in_the_way

    def reclaim(self, what: str) -> bool:
        """Take the machine back from a lease, or ``ALL`` that may be; whether it is under way."""
        wanted = [
            runner
            for lease_id, runner in list(self.runners.items())
            if what in (ALL, lease_id) and runner.lease.is_reclaimable
        ]
        for runner in wanted:
            runner.reclaim()
        return not wanted

    def _reclaimable(self) -> list[Reclaimable]:
        """The leases that may be displaced: none in whose place somebody comes already."""
        if not self._policy.displaces:
            return []
        now_ms = self._now_ms()
        spoken_for = self._reservations.spoken_for(now_ms)
        return [
            Reclaimable(lease_id, runner.lease.reclaim_window_s, metered_ms(runner.lease, now_ms))
            for lease_id, runner in self.runners.items()
            if runner.lease.is_reclaimable
            and lease_id not in spoken_for
            and self._reservations.held(lease_id)
        ]

    def _free_without_spot(self) -> Capacity | None:
        """What an ordinary job could have; None if that is what is free."""
        leases = [lease.lease_id for lease in self._reclaimable()]
        return self._reservations.free_instead_of(leases, self._now_ms()) if leases else None

    def _displaced_by(self, demand: Demand, offer: Offer) -> tuple[Reclaimable, ...]:
        """Who would have to go for a demand; nobody if it fits, or can't be made to."""
        facts = NodeFacts(offer, demand)
        need = with_inputs(demand.requirements, demand.input_bytes)
        now_ms = self._now_ms()

        def fits(without: Collection[str]) -> bool:
            return narrowed(self._reservations.free_instead_of(without, now_ms), facts).has(need)

        if demand.preemptible or fits(()):
            return ()
        return choose(self._reclaimable(), fits)

    async def found_images(self, images: tuple[str, ...]) -> None:
        """These are on this machine now; a change is told to every coordinator."""
        await self._offer(replace(self.offer, images=images))

    async def found_gangs(self, addresses: tuple[str, ...]) -> None:
        """This machine can hold members of gangs, whom others dial at these addresses."""
        runtimes = (*self.offer.runtimes, GANG_RUNTIME)
        await self._offer(replace(self.offer, runtimes=runtimes, addresses=addresses))

    async def _offer(self, offer: Offer) -> None:
        if offer == self.offer:
            return
        self.offer = offer
        for link in list(self.links.values()):
            await link.send(self.hello(link.coordinator))

    # --- messages -----------------------------------------------------------------------------

    async def received(self, link: ControlLink, message: Message) -> None:
        """Handle one message of a coordinator's control stream."""
        match message:
            case Demand():
                await self._on_demand(link, message)
            case Reveal():
                await self._on_reveal(link, message)
            case Award():
                await self._on_award(link, message)
            case _:
                _log.debug("%s sent a %s", link.coordinator, type(message).__name__)

    async def _on_demand(self, link: ControlLink, demand: Demand) -> None:
        image_bytes = await self._image_bytes(demand.image)
        now_ms = self._now_ms()
        name = (link.coordinator, demand.demand_id)
        asked = self._standing(name, demand, now_ms)
        if asked is None:
            self._asked.pop(name, None)
            offer = replace(self.offer, total=self._reservations.total)
            displaced = self._displaced_by(demand, offer)
            gone = tuple(lease.lease_id for lease in displaced)
            windows_ms = [lease.window_s * 1000 + CLEARING_MS for lease in displaced]
            machine = Machine(
                free=self._reservations.free_instead_of(gone, now_ms),
                total=self._reservations.total,
                accepting=self.accepting,
                leases=len(self.runners),
                image_bytes=image_bytes,
                starts=self._starts,
                offer=offer,
                clears_ms=max(windows_ms, default=0),
            )
            reply = answer(demand, machine, self._policy, now_ms)
            if not isinstance(reply, Bid):
                await link.send(reply)
                return
            held = self._reservations.hold(
                name,
                demand.requirements,
                now_ms,
                reply.valid_until_ms,
                demand.input_bytes,
                suits(NodeFacts(offer, demand)),
                gone,
            )
            assert held, "a bid is made only for what is free"
            if demand.sealed_bids:
                reply = replace(reply, nonce=self._nonce())
            asked = _Asked(demand, reply)
        if demand.sealed_bids and asked.reveal is None:
            sealed = commitment(self.offer.node_id, asked.bid)
            await link.send(Commit(demand.demand_id, demand.hash(), sealed))
            self._remember(name, asked)
        else:
            await self._show(link, name, asked)

    async def _on_reveal(self, link: ControlLink, reveal: Reveal) -> None:
        """Show the bid that we committed to, once the list of commitments stands and has ours."""
        name = (link.coordinator, reveal.demand_id)
        asked = self._asked.get(name)
        if asked is None or not asked.demand.sealed_bids:
            return
        if asked.bid.valid_until_ms <= self._now_ms():
            return
        ours = commitment(self.offer.node_id, asked.bid)
        if reveal.commitments.get(self.offer.node_id) != ours:
            _log.warning("%s: the list of commitments lacks ours, no bid shown", reveal.demand_id)
        elif asked.reveal not in (None, reveal):
            _log.warning("%s: two lists of commitments: the coordinator lies", reveal.demand_id)
        else:
            # Noted before it is shown: never under a second list.
            asked = replace(asked, reveal=reveal)
            self._remember(name, asked)
            await self._show(link, name, asked)

    async def _show(self, link: ControlLink, name: BidName, asked: _Asked) -> None:
        envelope = await link.send_signed(asked.bid)
        if envelope is not None:
            hashes = (*asked.bid_hashes, envelope.hash())[-_SIGNED_KEPT:]
            self._remember(name, replace(asked, bid_hashes=hashes))

    def _remember(self, name: BidName, asked: _Asked) -> None:
        self._asked[name] = asked
        while len(self._asked) > _DEMANDS_KEPT:
            self._asked.popitem(last=False)

    def _standing(self, name: BidName, demand: Demand, now_ms: int) -> _Asked | None:
        """The bid that stands for a demand which is asked again: a lost answer gets the same one."""
        asked = self._asked.get(name)
        if asked is None or asked.demand != demand or asked.bid.valid_until_ms <= now_ms:
            return None
        return asked

    async def _on_award(self, link: ControlLink, award: Award) -> None:
        known = self.runners.get(award.lease_id)
        if known is not None and known.lease.coordinator == link.coordinator:
            # Asked again after a crash at the other end: the same answer, signed anew.
            same = known.lease.award == award
            taken = Deny(award.lease_id, DeclineCode.TERMS_CHANGED, "leased on other terms")
            key = known.lease.sealing_key
            await link.send(agreement(award, key) if same else taken)
            return
        now_ms = self._now_ms()
        name = (link.coordinator, award.demand_id)
        asked = self._asked.get(name)
        window_s = asked.bid.reclaim_window_s if asked else 0
        refusal = self._refusal(name, award, now_ms)
        if refusal is not None:
            await link.send(refusal)
            return
        held = self._reservations.award(name, award.lease_id, now_ms)
        if held is None:
            code = DeclineCode.RESERVATION_EXPIRED
            await link.send(Deny(award.lease_id, code, "the resources were given back"))
            return
        self._asked.pop(name, None)
        # Of this lease alone: when it is forgotten, nobody can open what was sealed for it any more.
        private_key = self._new_sealing_key()
        sealing_key = private_key.public_key().public_bytes_raw().hex()
        lease = accept(award, link.coordinator, self._max_unpaid_ms, now_ms, sealing_key, window_s)
        try:
            # Saved before it is said: a node that accepts and dies still knows.
            secret = private_key.private_bytes_raw()
            await self._journal.call(Journal.add, lease, held, secret)
        except JournalError as error:
            _log.error("lease %s is not taken: %s", lease.lease_id, error)
            self._reservations.release(lease.lease_id)
            await link.send(Deny(award.lease_id, DeclineCode.NOT_READY, "cannot be stored"))
            return
        self.runners[lease.lease_id] = self._start_runner(lease)
        self.make_room(lease.lease_id)
        await link.send(agreement(award, sealing_key))
        self._beat_all()

    def _refusal(self, name: BidName, award: Award, now_ms: int) -> Deny | None:
        """Why an award is not taken; None if nothing speaks against it."""

        def deny(code: DeclineCode, detail: str = "") -> Deny:
            return Deny(award.lease_id, code, detail)

        if not self.accepting:
            return deny(DeclineCode.NOT_ACCEPTING)
        # Of another coordinator, or on its way into the journal.
        is_taken = self._reservations.held(award.lease_id) or award.lease_id in self.runners
        if is_taken or len(self.runners) >= LEASES_MAX:
            return deny(DeclineCode.BUSY)
        asked = self._asked.get(name)
        if asked is None or asked.bid.valid_until_ms <= now_ms:
            return deny(DeclineCode.RESERVATION_EXPIRED, "no bid of ours stands for this demand")
        demand = asked.demand
        cost = cost_micro_usdc(award.price_micro_usdc_per_hour, award.timeout_s * 1000)
        if (
            award.bid_hash not in asked.bid_hashes
            or award.demand_hash != demand.hash()
            or award.job_hash != demand.job_hash
            or award.timeout_s != demand.timeout_s
            or award.voucher_interval_s != demand.voucher_interval_s
            or award.price_micro_usdc_per_hour < asked.bid.price_micro_usdc_per_hour
            or award.max_cost_micro_usdc < cost
            or award.reveal_hash != (asked.reveal.hash() if asked.reveal else "")
        ):
            return deny(DeclineCode.TERMS_CHANGED, "not what was demanded and bid")
        return None

    def _leases_of(self, coordinator: str) -> tuple[LeaseStatus, ...]:
        return tuple(
            runner.status()
            for runner in self.runners.values()
            if runner.lease.coordinator == coordinator
        )[:LEASES_MAX]

    def _beat_all(self) -> None:
        for link in self.links.values():
            link.beat_soon()
