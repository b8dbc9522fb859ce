"""A demand that a machine has bid on, and what an award has to say to be of that bid. Pure."""

from dataclasses import dataclass, replace

from .bid import Bid
from .demand import Demand
from .messages import Award
from .sealing import Reveal

# Times that one bid is signed; an award names one of them.
_SIGNED_KEPT = 4


@dataclass(frozen=True, slots=True)
class Asked:
    """A demand that was bid on: what was asked, what we said, and its envelopes' hashes.

    Attributes:
        reveal: in a sealed auction, the list of commitments after which we showed the bid.
    """

    demand: Demand
    bid: Bid
    bid_hashes: tuple[str, ...] = ()
    reveal: Reveal | None = None

    def signed(self, bid_hash: str) -> "Asked":
        """The same, after its bid was signed and sent in this envelope."""
        return replace(self, bid_hashes=(*self.bid_hashes, bid_hash)[-_SIGNED_KEPT:])

    def is_met_by(self, award: Award) -> bool:
        """Whether an award is of this bid, and says what was demanded and bid."""
        demand = self.demand
        cost = demand.max_cost_at_micro_usdc(award.price_micro_usdc_per_hour)
        return (
            award.bid_hash in self.bid_hashes
            and award.demand_hash == demand.hash()
            and award.job_hash == demand.job_hash
            and award.timeout_s == demand.timeout_s
            and award.voucher_interval_s == demand.voucher_interval_s
            and award.price_micro_usdc_per_hour >= self.bid.price_micro_usdc_per_hour
            and award.max_cost_micro_usdc >= cost
            and award.reveal_hash == (self.reveal.hash() if self.reveal else "")
            and award.unit_prices == self.bid.unit_prices
        )
