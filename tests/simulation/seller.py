"""A simulated seller: the node's real bidder, reservations and start history around a dictionary."""

import random
from collections.abc import Callable
from dataclasses import replace

from neurogrid_marketplace.bid import Bid, Decline
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.sealing import Commit, Reveal, commitment
from neurogrid_node.market.bidder import Machine, Policy, answer
from neurogrid_node.market.reservations import Reservations
from neurogrid_node.market.start_history import NOTHING_MEASURED, StartTook

Answer = Bid | Decline | Commit
COORDINATOR = "coordinator"


class Seller:
    """One machine. It exists from the first time that it is asked.

    Attributes:
        book: what is promised of it.
        leases: lease id -> what it needs.
        boast: what it says of its starts, as a part of what it measures; 1: the truth.
    """

    def __init__(self, offer: Offer, now_ms: Callable[[], int]) -> None:
        self.offer = offer
        self.book = Reservations(offer.total)
        self.leases: dict[str, Demand] = {}
        self._now_ms = now_ms
        self._chance = random.Random(offer.node_id)
        self._usual_start_ms = self._chance.randrange(300, 8_000)
        self.boast = 0.2 if self._chance.random() < 0.1 else 1.0
        self._history = NOTHING_MEASURED
        for _ in range(5):
            self.begin_start()
        self._policy = Policy(offer.prices, offer.wallet, offer.region, 3_600, True, ())
        self._bids: dict[str, Bid] = {}

    def asked(self, demand: Demand) -> Answer:
        """Answer a demand; the same one again gets the same answer while it stands."""
        now_ms = self._now_ms()
        standing = self._bids.get(demand.demand_id)
        if standing is None or standing.valid_until_ms <= now_ms:
            machine = Machine(
                free=self.book.free(now_ms),
                total=self.book.total,
                accepting=True,
                leases=len(self.leases),
                image_bytes=1,
                starts=self._history,
                offer=self.offer,
            )
            reply = answer(demand, machine, self._policy, now_ms)
            if isinstance(reply, Decline):
                return reply
            held = self.book.hold(
                (COORDINATOR, demand.demand_id), demand.requirements, now_ms, reply.valid_until_ms
            )
            assert held, "a bid is made only for what is free"
            nonce = f"{self._chance.getrandbits(256):064x}" if demand.sealed_bids else ""
            said_ms = round(reply.start_ms * self.boast)
            standing = self._bids[demand.demand_id] = replace(reply, start_ms=said_ms, nonce=nonce)
        if demand.sealed_bids:
            stands = commitment(self.offer.node_id, standing)
            return Commit(demand.demand_id, demand.hash(), stands)
        return standing

    def show(self, reveal: Reveal) -> Bid | None:
        """Show the bid that was committed to."""
        bid = self._bids.get(reveal.demand_id)
        ours = bid is not None and commitment(self.offer.node_id, bid)
        return bid if reveal.commitments.get(self.offer.node_id) == ours else None

    def awarded(self, demand: Demand, lease_id: str) -> bool:
        """Take a lease, if the bid's reservation stands; the same award again, the same answer."""
        if lease_id in self.leases:
            return True
        held = self.book.award((COORDINATOR, demand.demand_id), lease_id, self._now_ms())
        if held is None:
            return False
        self.leases[lease_id] = demand
        promised = sum(taken.requirements.cpu_millis for taken in self.leases.values())
        assert promised <= self.book.total.cpu_millis, "promised twice"
        return True

    def begin_start(self) -> int:
        """How long a start takes now; the machine remembers it."""
        took_ms = round(self._usual_start_ms * self._chance.uniform(0.8, 1.3))
        self._history = self._history.with_start(StartTook(took_ms, "image:1"))
        return took_ms

    def ended(self, lease_id: str) -> None:
        """A lease is over."""
        self.leases.pop(lease_id, None)
        self.book.release(lease_id)

    def present(self) -> Offer:
        """What a heartbeat makes of its offer."""
        return replace(self.offer, free=self.book.free(self._now_ms()))
