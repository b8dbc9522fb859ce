"""This machine as a seller: answers demands and awards, and keeps a runner for each lease.

A coordinator may say anything. What it names (demands, leases) only ever means its own; what it
repeats gets the same answer; and what it asks for is bounded by the machine.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from neurogrid_marketplace.asked import Asked
from neurogrid_marketplace.attributes import NodeFacts
from neurogrid_marketplace.bid import Bid, DeclineCode
from neurogrid_marketplace.checkpoint import CHECKPOINT_RUNTIME
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.execution import accept, agreement
from neurogrid_marketplace.gang import GANG_RUNTIME
from neurogrid_marketplace.judgement import suits
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.messages import Award, Deny, Heartbeat, Hello, Message
from neurogrid_marketplace.network import NetworkTerms
from neurogrid_marketplace.offer import LeaseStatus, Offer
from neurogrid_marketplace.resources import Capacity, Requirements
from neurogrid_marketplace.sealing import Commit, Reveal, commitment
from neurogrid_marketplace.serving import Use, WeightsFile
from neurogrid_marketplace.usage import GpuUse
from neurogrid_telemetry.about import about
from neurogrid_telemetry.log_lines import named

from ..journal import Journal, JournalError, JournalThread
from ..lease.executor import LeaseRunner
from ..log_events import NodeEvent
from ..machine.inventory import Inventory
from ..metrics.tally import Tally
from .bidder import LEASES_MAX, Machine, Policy, answer, valid_until_ms
from .displacing import Displacing
from .model_terms import answer_use
from .reclaiming import CLEARING_MS
from .reservations import BidName, Reservation, Reservations, with_inputs
from .standing_bids import StandingBids
from .start_history import NOTHING_MEASURED, StartHistory, StartTook

_log = logging.getLogger(__name__)

# What a lease for use takes of the machine: all that it uses is its replica's.
_NOTHING = Requirements(cpu_millis=0, memory_bytes=0, disk_bytes=0)


async def _no_weights(coordinator: str, files: tuple[WeightsFile, ...]) -> int:
    return 0


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


# How much of these files is here for this coordinator.
WeightsHere = Callable[[str, tuple[WeightsFile, ...]], Awaitable[int]]


class StartRunner(Protocol):
    """What makes a lease's runner."""

    def __call__(self, lease: NodeLease, *, resumed: bool = False) -> LeaseRunner:
        """Make it and start it; ``resumed``: the lease comes from the journal."""


class Provider:
    """The seller. One per daemon.

    Attributes:
        offer: what the machine offers, but for what is free and whether it bids.
        accepting: whether it bids.
        runners: by lease id.
        links: by coordinator.
        displacing: takes the machine back from preemptible jobs.
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
        start_runner: StartRunner,
        now_ms: Callable[[], int],
        weights_bytes: WeightsHere = _no_weights,
        starts: StartHistory = NOTHING_MEASURED,
        may_pause: bool = True,
        nonce: Callable[[], str] = _random_nonce,
        new_sealing_key: Callable[[], X25519PrivateKey] = X25519PrivateKey.generate,
        gpus: Callable[[], Iterable[GpuUse]] = tuple,
    ) -> None:
        """
        Args:
            image_bytes: size of an image that is on this machine, 0 of one that is not; None:
                nobody can say now.
            weights_bytes: how much of these files a coordinator's earlier replicas have left on this machine.
            nonce: makes 32 random bytes in hex, for a sealed bid.
            starts: what earlier lives of this node have measured.
            may_pause: whether jobs can be made to stand still here.
            start_runner: makes a runner for a lease and starts it.
            new_sealing_key: makes the key to which a lease's inputs may be sealed.
            gpus: how the machine's are.
        """
        self.offer = offer
        self.accepting = False
        self.runners: dict[str, LeaseRunner] = {}
        self.links: Mapping[str, ControlLink] = {}
        self.tally = Tally()
        self.displacing = Displacing(reservations, self.runners, policy, now_ms)
        self._policy = policy
        self._max_unpaid_ms = max_unpaid_ms
        self._reservations = reservations
        self._journal = journal
        self._image_bytes = image_bytes
        self._weights_bytes = weights_bytes
        self._start_runner = start_runner
        self._now_ms = now_ms
        self._new_sealing_key = new_sealing_key
        self._bids = StandingBids()
        self._starts = starts
        self._may_pause = may_pause
        self._nonce = nonce
        self._gpus = gpus

    # --- what is said of this machine ---------------------------------------------------------

    def hello(self, coordinator: str) -> Hello:
        """The first message to a coordinator."""
        offer = replace(
            self.offer,
            free=self._reservations.free(self._now_ms()),
            accepting=self.accepting,
            reclaimable=self.displacing.free_without_spot(),
        )
        return Hello(offer, self._leases_of(coordinator))

    def heartbeat(self, coordinator: str) -> Heartbeat:
        """Every few seconds."""
        free = self._reservations.free(self._now_ms())
        reclaimable = self.displacing.free_without_spot()
        offered = {gpu.uuid for gpu in self.offer.total.gpus}
        gpus = tuple(gpu for gpu in self._gpus() if gpu.uuid in offered)
        return Heartbeat(free, self.accepting, self._leases_of(coordinator), reclaimable, gpus)

    async def started(self, took: StartTook) -> None:
        """A container started: the next bids know how long that takes, after a restart too."""
        self._starts = self._starts.with_start(took)
        self.tally.started(took)
        try:
            await self._journal.call(Journal.save_starts, self._starts)
        except JournalError as error:
            _log.warning("how long a start took is not kept: %s", error)

    def has_leases_of(self, coordinator: str) -> bool:
        """Whether anything here is of that coordinator."""
        return any(runner.lease.coordinator == coordinator for runner in self.runners.values())

    @property
    def is_idle(self) -> bool:
        """Whether nothing is leased, and nothing about to be."""
        return not self.runners and not self._reservations.leases(self._now_ms())

    def cleared(self, lease_id: str) -> None:
        """A lease's container and files are gone: others may have their room."""
        self._reservations.release(lease_id)
        self._beat_all()

    def forgotten(self, lease_id: str) -> None:
        """A lease is over."""
        runner = self.runners.pop(lease_id, None)
        if runner is not None:
            self.tally.over(runner.lease, self._now_ms())
        self._beat_all()

    def take_up(self, lease: NodeLease, held: Reservation) -> None:
        """Run a lease that is in the journal and that nothing runs."""
        if lease.lease_id in self.runners:
            return
        self._reservations.restore(lease.lease_id, held)
        self.runners[lease.lease_id] = self._start_runner(lease, resumed=True)
        self._beat_all()

    # --- what it is found to have ------------------------------------------------------------

    async def found_images(self, images: tuple[str, ...]) -> None:
        """These are on this machine now; a change is told to every coordinator."""
        await self._offer(replace(self.offer, images=images))

    async def found_gangs(self, addresses: tuple[str, ...] | None) -> None:
        """This machine can hold members of gangs, whom others dial at these addresses; None: it can't."""
        runtimes = self._runtimes(GANG_RUNTIME, has=addresses is not None)
        await self._offer(replace(self.offer, runtimes=runtimes, addresses=addresses or ()))

    async def found_checkpoints(self, can: bool) -> None:
        """Whether jobs can be frozen here, and so keep their work."""
        runtimes = self._runtimes(CHECKPOINT_RUNTIME, has=can)
        await self._offer(replace(self.offer, runtimes=runtimes))

    async def found_network(self, terms: NetworkTerms | None) -> None:
        """Jobs can have a network here; None: they can't."""
        await self._offer(replace(self.offer, network=terms))

    def _runtimes(self, name: str, *, has: bool) -> tuple[str, ...]:
        others = tuple(runtime for runtime in self.offer.runtimes if runtime != name)
        return (*others, name) if has else others

    async def found_machines(self, machines: Mapping[str, Capacity], summary: str) -> None:
        """Of the fleet, these are offered now; who is on another stays there until its lease ends."""
        self._reservations.machines = machines
        await self._offer(replace(self.offer, total=self._reservations.total, summary=summary))

    async def found_gpus(self, inventory: Inventory) -> None:
        """Other GPUs may be given away now; who has one that may not keeps it until its lease ends."""
        total = replace(self._reservations.total, gpus=inventory.offered_gpus())
        self._reservations.total = total
        await self._offer(
            replace(
                self.offer,
                total=total,
                gpu_driver=inventory.driver_version,
                summary=inventory.summary,
            )
        )

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
        weights = demand.serves.weights if demand.serves is not None else ()
        weights_bytes = await self._weights_bytes(link.coordinator, weights)
        now_ms = self._now_ms()
        name = (link.coordinator, demand.demand_id)
        asked = self._bids.of_demand(name, demand, now_ms) if self.accepting else None
        if asked is None and demand.use is not None:
            self._bids.forget(name)
            asked = await self._asked_use(link, demand, demand.use, now_ms)
            if asked is None:
                return
        if asked is None:
            self._bids.forget(name)
            offer = replace(self.offer, total=self._reservations.total)
            displaced = self.displacing.displaced_by(demand, offer)
            gone = tuple(lease.lease_id for lease in displaced)
            windows_ms = [lease.window_s * 1000 + CLEARING_MS for lease in displaced]
            need = with_inputs(demand.requirements, demand.input_bytes)
            machine = Machine(
                free=self._reservations.free_instead_of(gone, now_ms, need),
                total=self._reservations.total_for(need),
                accepting=self.accepting,
                leases=len(self.runners),
                image_bytes=image_bytes,
                starts=self._starts,
                offer=offer,
                clears_ms=max(windows_ms, default=0),
                weights_bytes=weights_bytes,
            )
            reply = answer(demand, machine, self._policy, now_ms)
            if not isinstance(reply, Bid):
                self.tally.demands[reply.code] += 1
                await link.send(reply)
                return
            self.tally.demands["bid"] += 1
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
            asked = Asked(demand, reply)
        if demand.sealed_bids and asked.reveal is None:
            sealed = commitment(self.offer.node_id, asked.bid)
            await link.send(Commit(demand.demand_id, demand.hash(), sealed))
            self._bids.keep(name, asked)
        else:
            await self._show(link, name, asked)

    async def _asked_use(
        self, link: ControlLink, demand: Demand, use: Use, now_ms: int
    ) -> Asked | None:
        """A bid on the use of a replica, which needs nothing more of the machine; None where it was declined."""
        runner = self.runners.get(use.replica)
        is_theirs = runner is not None and runner.lease.coordinator == link.coordinator
        reply = answer_use(
            demand,
            use,
            runner.lease if runner is not None and is_theirs else None,
            self.offer,
            accepting=self.accepting,
            serves=self._policy.models is not None,
            is_full=len(self.runners) >= LEASES_MAX,
            max_timeout_s=self._policy.max_timeout_s,
            conditions=self._policy.conditions,
            valid_until_ms=valid_until_ms(demand, now_ms),
        )
        self.tally.demands["bid" if isinstance(reply, Bid) else reply.code] += 1
        if not isinstance(reply, Bid):
            await link.send(reply)
            return None
        name = (link.coordinator, demand.demand_id)
        held = self._reservations.hold(name, _NOTHING, now_ms, reply.valid_until_ms)
        assert held, "nothing always fits"
        return Asked(demand, replace(reply, nonce=self._nonce() if demand.sealed_bids else ""))

    async def _on_reveal(self, link: ControlLink, reveal: Reveal) -> None:
        """Show the bid that we committed to, once the list of commitments stands and has ours."""
        name = (link.coordinator, reveal.demand_id)
        asked = self._bids.find(name, self._now_ms())
        if asked is None or not asked.demand.sealed_bids:
            return
        ours = commitment(self.offer.node_id, asked.bid)
        if reveal.commitments.get(self.offer.node_id) != ours:
            _log.warning("%s: the list of commitments lacks ours, no bid shown", reveal.demand_id)
        elif asked.reveal not in (None, reveal):
            _log.warning("%s: two lists of commitments: the coordinator lies", reveal.demand_id)
        else:
            # Noted before it is shown: never under a second list.
            asked = replace(asked, reveal=reveal)
            self._bids.keep(name, asked)
            await self._show(link, name, asked)

    async def _show(self, link: ControlLink, name: BidName, asked: Asked) -> None:
        envelope = await link.send_signed(asked.bid)
        if envelope is not None:
            self._bids.keep(name, asked.signed(envelope.hash()))

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
        asked = self._bids.find(name, now_ms)
        window_s = asked.bid.reclaim_window_s if asked else 0
        use = asked.demand.use if asked else None
        serves = asked.demand.serves if asked else None
        models = self._policy.models
        refusal = self._refusal(asked, award)
        if refusal is not None:
            await self._refuse(link, refusal)
            return
        held = self._reservations.award(name, award.lease_id, now_ms)
        if held is None:
            code = DeclineCode.RESERVATION_EXPIRED
            await self._refuse(link, Deny(award.lease_id, code, "the resources were given back"))
            return
        self._bids.forget(name)
        # Of this lease alone: when it is forgotten, nobody can open what was sealed for it any more.
        private_key = self._new_sealing_key()
        sealing_key = private_key.public_key().public_bytes_raw().hex()
        lease = accept(
            award,
            link.coordinator,
            self._max_unpaid_ms,
            now_ms,
            sealing_key,
            window_s,
            may_pause=self._may_pause,
            serves=serves.model if serves is not None else "",
            use=use,
            max_unpaid_micro_usdc=models.max_unpaid_micro_usdc if models is not None else 0,
        )
        try:
            # Saved before it is said: a node that accepts and dies still knows.
            secret = private_key.private_bytes_raw()
            await self._journal.call(Journal.add, lease, held, secret)
        except JournalError as error:
            _log.error("lease %s is not taken: %s", lease.lease_id, error)
            self._reservations.release(lease.lease_id)
            await self._refuse(
                link, Deny(award.lease_id, DeclineCode.NOT_READY, "cannot be stored")
            )
            return
        self.tally.awards["taken"] += 1
        with about(lease=lease.lease_id, peer=link.coordinator):
            _log.info(
                "taken at %d micro-USDC per hour, for %d s at most",
                award.price_micro_usdc_per_hour,
                award.timeout_s,
                extra=named(
                    NodeEvent.LEASE_TAKEN,
                    demand=award.demand_id,
                    price_micro_usdc_per_hour=award.price_micro_usdc_per_hour,
                    timeout_s=award.timeout_s,
                ),
            )
        self.runners[lease.lease_id] = self._start_runner(lease)
        self.displacing.make_room(lease.lease_id)
        await link.send(agreement(award, sealing_key))
        self._beat_all()

    async def _refuse(self, link: ControlLink, refusal: Deny) -> None:
        self.tally.awards[refusal.code] += 1
        with about(lease=refusal.lease_id, peer=link.coordinator):
            _log.info(
                "an award is refused: %s",
                refusal.detail or refusal.code,
                extra=named(NodeEvent.LEASE_REFUSED, code=refusal.code),
            )
        await link.send(refusal)

    def _refusal(self, asked: Asked | None, award: Award) -> Deny | None:
        """Why an award is not taken; None if nothing speaks against it."""

        def deny(code: DeclineCode, detail: str = "") -> Deny:
            return Deny(award.lease_id, code, detail)

        if not self.accepting:
            return deny(DeclineCode.NOT_ACCEPTING)
        # Of another coordinator, or on its way into the journal.
        is_taken = self._reservations.held(award.lease_id) or award.lease_id in self.runners
        if is_taken or len(self.runners) >= LEASES_MAX:
            return deny(DeclineCode.BUSY)
        if asked is None:
            return deny(DeclineCode.RESERVATION_EXPIRED, "no bid of ours stands for this demand")
        if not asked.is_met_by(award):
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
