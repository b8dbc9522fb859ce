"""One auction: collect bids, then award by price and expected time to start.

The lowest score wins and is paid the second score, so that a node gains nothing by asking more than
its cost or by hiding how slowly it starts. It knows no clock: whoever holds it decides when to
close.

    score = price per hour + WAIT_WEIGHT * expected seconds to start * the node's start factor
    paid  = second score - the winner's own waiting part, at least what it bid, at most the maximum

The second score is the next one of another wallet: an owner's second node must not set the price
of the first. Ties go to the smaller node id, also for being second. A lone bidder is paid what it bid: with nobody to compare, the second score would be the client's
own maximum, and clients would learn to lie about that instead (docs/adr/0004-second-score.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from .bid import Bid, Decline
from .calibration import calibrated_ms
from .fields import PUNCTUAL_PERMILLE
from .gang import Gang
from .gang_auction import displaced, seated

# One second of waiting weighs as much as this part of the client's maximum price: a node that
# starts ten seconds later must be 1 % of the maximum cheaper.
_WAIT_WEIGHT_PER_MILLE_OF_MAX = 1
# Score, node id, bid, hash of its envelope, the waiting part of the score, start factor.
_Scored = tuple[int, str, Bid, str, int, int]
# All nodes start as fast as they say, as far as is known.
ALL_PUNCTUAL: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RankedBid:
    """A bid in the order of the award.

    Attributes:
        node_id: who.
        bid, bid_hash: what, and the hash of the envelope that carried it.
        score: micro-USDC per hour, waiting included; lower is better.
        award_price_micro_usdc_per_hour: what this node is paid if it gets the lease.
        start_factor_permille: what its time to start was multiplied by in the score.
        region: where it stands, where whoever holds the auction knows it.
    """

    node_id: str
    bid: Bid
    bid_hash: str
    score: int
    award_price_micro_usdc_per_hour: int
    start_factor_permille: int = PUNCTUAL_PERMILLE
    region: str = ""


@dataclass(slots=True)
class Auction:
    """Bids and declines of one demand; with ``gang`` it sells several seats (`gang_auction`)."""

    max_price_micro_usdc_per_hour: int
    asked: frozenset[str]
    gang: Gang | None = None
    _bids: dict[str, tuple[Bid, str]] = field(default_factory=dict)
    _declines: dict[str, Decline] = field(default_factory=dict)

    def bid(self, node_id: str, bid: Bid, bid_hash: str) -> None:
        """Take a bid. Only the first of each asked node counts; others are ignored."""
        if (
            node_id in self.asked
            and node_id not in self._bids
            and node_id not in self._declines
            and bid.price_micro_usdc_per_hour <= self.max_price_micro_usdc_per_hour
        ):
            self._bids[node_id] = (bid, bid_hash)

    def decline(self, node_id: str, decline: Decline) -> None:
        """Take a decline of a node that was asked."""
        if node_id in self.asked and node_id not in self._bids:
            self._declines.setdefault(node_id, decline)

    @property
    def bids(self) -> int:
        """How many bids count so far."""
        return len(self._bids)

    def has_bid(self, node_id: str) -> bool:
        """Whether a bid of this node counts."""
        return node_id in self._bids

    def has_answered(self, node_id: str) -> bool:
        """Whether this node has bid or declined."""
        return node_id in self._bids or node_id in self._declines

    @property
    def declines(self) -> dict[str, Decline]:
        """Node id -> its decline."""
        return dict(self._declines)

    def ranking(
        self, start_factors_permille: Mapping[str, int] = ALL_PUNCTUAL
    ) -> tuple[RankedBid, ...]:
        """All bids, best first, each with the price it would be paid. Ties: smaller node id.

        Args:
            start_factors_permille: by node id; without one a node is taken at its word.

        A gang's seats come first, by rank.
        """
        scored: list[_Scored] = []
        for node_id, (bid, bid_hash) in self._bids.items():
            factor = start_factors_permille.get(node_id, PUNCTUAL_PERMILLE)
            waiting = self._waiting_micro_usdc(calibrated_ms(bid.start_ms, factor))
            score = bid.price_micro_usdc_per_hour + waiting
            scored.append((score, node_id, bid, bid_hash, waiting, factor))
        scored.sort(key=lambda item: item[:2])
        if self.gang is not None:
            return self._gang_ranking(self.gang, scored)
        # Wallet -> its best score, from the last place up; second only to scores of others.
        behind: dict[str, int] = {}
        ranked: list[RankedBid] = []
        for score, node_id, bid, bid_hash, waiting, factor in reversed(scored):
            price = bid.price_micro_usdc_per_hour
            others = [best for wallet, best in behind.items() if wallet != bid.wallet]
            if others:
                price = max(price, min(others) - waiting)
            price = min(price, self.max_price_micro_usdc_per_hour)
            ranked.append(RankedBid(node_id, bid, bid_hash, score, price, factor))
            behind[bid.wallet] = score
        return tuple(reversed(ranked))

    def _gang_ranking(self, gang: Gang, scored: list[_Scored]) -> tuple[RankedBid, ...]:
        """Those with a seat first, by rank; then all others, at what they bid."""
        bids = [(index, item[2]) for index, item in enumerate(scored)]
        winners = seated(bids, gang)
        prices: dict[int, int] = {}
        for index, score in zip(
            winners, displaced([(item[0], item[2]) for item in scored], gang), strict=True
        ):
            if score is not None and len(winners) == gang.size:
                prices[index] = min(score - scored[index][4], self.max_price_micro_usdc_per_hour)
        order = [*winners, *(index for index, _ in bids if index not in winners)]
        ranked = []
        for index in order:
            score, node_id, bid, bid_hash, _, factor = scored[index]
            price = max(bid.price_micro_usdc_per_hour, prices.get(index, 0))
            ranked.append(RankedBid(node_id, bid, bid_hash, score, price, factor))
        return tuple(ranked)

    def _waiting_micro_usdc(self, start_ms: int) -> int:
        """What waiting so long adds to a score."""
        weight = self.max_price_micro_usdc_per_hour * _WAIT_WEIGHT_PER_MILLE_OF_MAX
        # per mille of the maximum for each 1000 ms: two thousands in the divisor
        return -(-weight * start_ms // 1_000_000)
