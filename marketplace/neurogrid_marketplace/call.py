"""One call for bids: who is asked in which round, whose answer is awaited, what counts. No clock.

A shell sends what `next_round` and `reveal` name, hands over what is answered, and goes on when
nobody is waited for or the window is over. The coordinator does that over streams, the simulator
under virtual time.
"""

from collections.abc import Sequence

from .auction import Auction
from .bid import Bid, Decline
from .demand import Demand
from .matching import ENOUGH_BIDS, SAMPLE_SIZE
from .sealing import BidFault, Commit, Reveal, commitment


def round_size(demand: Demand) -> int:
    """How many nodes one round asks."""
    return SAMPLE_SIZE if demand.gang is None else max(SAMPLE_SIZE, 2 * demand.gang.size)


class Call:
    """Answers to one demand.

    Attributes:
        auction: the bids that count, and the declines.
        waiting_for: who was sent something in this round and has not answered.
        commitments: node id -> what it has committed to, in a sealed auction.
        faults: node id -> why what it said does not count.

    Args:
        drawn: whom to ask, best draw first; see `matching.sample`.
    """

    def __init__(self, demand: Demand, drawn: Sequence[str]) -> None:
        self.demand = demand
        self.auction = Auction(demand.max_price_micro_usdc_per_hour, frozenset(), demand.gang)
        self.waiting_for: set[str] = set()
        self.commitments: dict[str, str] = {}
        self.faults: dict[str, BidFault] = {}
        self._demand_hash = demand.hash()
        size = round_size(demand)
        self._rounds = [drawn[:size], drawn[size : 2 * size]]
        self._enough = demand.gang.size + 1 if demand.gang is not None else ENOUGH_BIDS
        self._reveal: Reveal | None = None

    def next_round(self) -> tuple[str, ...]:
        """Who is sent the demand now: first eight, then eight more if fewer than two would bid.

        For a gang, twice as many as it has seats, and more if nobody would be left to set a price.
        Empty: nobody is left, or there are enough.
        """
        answers = len(self.commitments) if self.demand.sealed_bids else self.auction.bids
        if not self._rounds or answers >= self._enough:
            return ()
        asked = tuple(self._rounds.pop(0))
        self.auction.asked |= frozenset(asked)
        # Not for those of an earlier round: they have had their window, and may still answer.
        self.waiting_for = set(asked)
        return asked

    def reveal(self) -> Reveal | None:
        """After the last round: what to send to each node that it names; None if to nobody."""
        if not self.commitments:
            return None
        self._reveal = Reveal(self.demand.demand_id, dict(sorted(self.commitments.items())))
        self.waiting_for = set(self.commitments)
        return self._reveal

    def close(self) -> None:
        """Nothing more counts; who has committed and shown nothing is noted."""
        for node_id in self.commitments:
            if not self.auction.has_bid(node_id):
                self.faults.setdefault(node_id, BidFault.NOT_REVEALED)

    def commit(self, node_id: str, commit: Commit) -> bool:
        """Take a commitment; whether it counts. Only the first answer of each asked node does."""
        if not self._may_answer(node_id) or not self.demand.sealed_bids or self._reveal:
            return False
        self.left(node_id)
        if commit.demand_hash != self._demand_hash:
            self.faults[node_id] = BidFault.OTHER_TERMS
            return False
        self.commitments[node_id] = commit.commitment
        return True

    def bid(self, node_id: str, bid: Bid, bid_hash: str) -> bool:
        """Take a bid; whether it counts. In a sealed auction it has to be what was committed to."""
        is_due = self._reveal is not None and node_id in self.commitments
        if self._is_over(node_id) or not (is_due or self._may_answer(node_id)):
            return False
        self.left(node_id)
        fault = self._fault(node_id, bid)
        if fault is not None:
            self.faults[node_id] = fault
            return False
        self.auction.bid(node_id, bid, bid_hash)
        return True

    def decline(self, node_id: str, decline: Decline) -> None:
        """Take a decline. One that comes after another answer changes nothing."""
        if self._may_answer(node_id):
            self.left(node_id)
            self.auction.decline(node_id, decline)

    def left(self, node_id: str) -> None:
        """Wait for nothing more of a node."""
        self.waiting_for.discard(node_id)

    def _may_answer(self, node_id: str) -> bool:
        """Whether a node was asked and has not answered in any way."""
        return (
            node_id in self.auction.asked
            and node_id not in self.commitments
            and not self._is_over(node_id)
        )

    def _is_over(self, node_id: str) -> bool:
        return self.auction.has_answered(node_id) or node_id in self.faults

    def _fault(self, node_id: str, bid: Bid) -> BidFault | None:
        if bid.demand_hash != self._demand_hash or not _warns(self.demand, bid):
            return BidFault.OTHER_TERMS
        if not self.demand.takes(bid.unit_prices):
            return BidFault.OTHER_TERMS if bid.unit_prices is None else BidFault.TOO_DEAR
        if self.demand.sealed_bids:
            committed = self.commitments.get(node_id)
            if committed is None:
                return BidFault.NOT_SEALED
            if commitment(node_id, bid) != committed:
                return BidFault.NOT_AS_COMMITTED
        if bid.price_micro_usdc_per_hour > self.demand.max_price_micro_usdc_per_hour:
            return BidFault.TOO_DEAR
        return None


def _warns(demand: Demand, bid: Bid) -> bool:
    """Whether the node would warn the job as long as the demand asks, or would not stop it at all."""
    window_s = bid.reclaim_window_s
    return not window_s or (demand.preemptible and window_s >= demand.reclaim_window_s)
