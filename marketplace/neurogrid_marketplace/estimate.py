"""What a task would likely cost and when it would start: from what is asked now and what cleared before.

An estimate, not an offer: the auction decides, by sealed bids.
"""

from dataclasses import dataclass

from .demand import Demand
from .explain import Explanation
from .money import cost_micro_usdc
from .price_history import PriceClass, PriceSummary


@dataclass(frozen=True, slots=True)
class PriceRange:
    """A price per hour and where it may come to lie, or a cost; micro-USDC."""

    low_micro_usdc: int
    expected_micro_usdc: int
    high_micro_usdc: int

    def capped(self, limit_micro_usdc: int) -> "PriceRange":
        """Nobody pays more than the maximum."""
        return PriceRange(
            min(self.low_micro_usdc, limit_micro_usdc),
            min(self.expected_micro_usdc, limit_micro_usdc),
            min(self.high_micro_usdc, limit_micro_usdc),
        )

    def cost_of(self, metered_ms: int) -> "PriceRange":
        """What so long costs at these prices."""
        return PriceRange(
            cost_micro_usdc(self.low_micro_usdc, metered_ms),
            cost_micro_usdc(self.expected_micro_usdc, metered_ms),
            cost_micro_usdc(self.high_micro_usdc, metered_ms),
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is to be expected.

    Attributes:
        price: per hour of this task, at most its maximum; None where no node fits at its maximum. Of
            a gang: of each member.
        total: for its whole time limit, of all members.
        start_ms: expected time from award to a running container; None where nothing is known or
            nobody is free.
    """

    price: PriceRange | None
    total: PriceRange | None
    start_ms: int | None


def estimate(
    demand: Demand, bought: PriceClass, now: Explanation, before: PriceSummary | None
) -> Estimate:
    """Estimate a task.

    Args:
        bought: what it buys, as ``before`` counts it.
        now: how it meets the market.
        before: what such tasks cleared at; None where there were none.
    """
    maximum = demand.max_price_micro_usdc_per_hour
    asks = now.asks
    if asks is None or asks.lowest_micro_usdc > maximum:
        return Estimate(None, None, None)
    # The winner is paid the second score; a lone bidder what it bid.
    expected = asks.second_micro_usdc
    high = expected if before is None else max(expected, bought.whole(before.high_micro_usdc))
    price = PriceRange(asks.lowest_micro_usdc, expected, high).capped(maximum)
    start_ms = before.start_ms if before is not None and now.matching else None
    return Estimate(price, price.cost_of(demand.timeout_s * 1000 * demand.seats), start_ms)
