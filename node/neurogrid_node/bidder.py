"""The bid decision: a demand and the state of this machine in, a bid or a coded decline out. Pure.

A sealed-bid, second-score auction rewards asking what the work costs: the price is the configured
price list's, not a guess about the others.
"""

from dataclasses import dataclass

from neurogrid_marketplace.bid import Bid, Decline, DeclineCode
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.money import format_usdc
from neurogrid_marketplace.offer import PriceList
from neurogrid_marketplace.resources import Capacity

# Resources stay held this long after the bid: the window, the award, and one lost packet.
BID_VALID_MS = 15_000
# Until the node has measured its own starts.
DEFAULT_START_MS = 400
# Pulling is unknown until it happens; 4-10 minutes for 10 GB are usual (peers.md 3a).
DEFAULT_PULL_MS = 120_000


@dataclass(frozen=True, slots=True)
class Policy:
    """What the owner allows."""

    prices: PriceList
    wallet: str
    max_timeout_s: int
    may_pull: bool
    allowed_image_prefixes: tuple[str, ...]


def answer(
    demand: Demand,
    *,
    free: Capacity,
    total: Capacity,
    accepting: bool,
    has_image: bool,
    start_ms: int,
    policy: Policy,
    now_ms: int,
) -> Bid | Decline:
    """Bid or decline.

    Args:
        free: what is not promised now; total: what the machine offers at all.
        accepting: False while draining, paused or not ready.
        start_ms: measured time from award to a running container, image present.
    """

    def decline(code: DeclineCode, detail: str = "") -> Decline:
        return Decline(demand.demand_id, code, detail)

    if not accepting:
        return decline(DeclineCode.NOT_ACCEPTING)
    if demand.timeout_s > policy.max_timeout_s:
        return decline(DeclineCode.TOO_LONG, f"at most {policy.max_timeout_s} s")
    prefixes = policy.allowed_image_prefixes
    if prefixes and not demand.image.startswith(prefixes):
        return decline(DeclineCode.IMAGE_NOT_ALLOWED, "not on this node's list")
    if not has_image and not policy.may_pull:
        return decline(DeclineCode.IMAGE_NOT_ALLOWED, "not here, and this node does not pull")
    if total.take(demand.requirements) is None:
        return decline(DeclineCode.DOES_NOT_FIT)
    if free.take(demand.requirements) is None:
        return decline(DeclineCode.BUSY)
    price = policy.prices.quote(demand.requirements)
    if price > demand.max_price_micro_usdc_per_hour:
        return decline(DeclineCode.PRICE_TOO_LOW, f"asks {format_usdc(price)} USDC per hour")
    return Bid(
        demand_id=demand.demand_id,
        demand_hash=demand.hash(),
        price_micro_usdc_per_hour=price,
        start_ms=start_ms if has_image else start_ms + DEFAULT_PULL_MS,
        valid_until_ms=now_ms + demand.bid_window_ms + BID_VALID_MS,
        wallet=policy.wallet,
    )
