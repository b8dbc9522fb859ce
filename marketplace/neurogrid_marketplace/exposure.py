"""How much either side may be ahead of the other: the rules both daemons keep while a job runs.

The node is never more than ``max_unpaid_ms`` of work ahead of the vouchers it holds; the client's
side never signs for work that its own clock has not seen pass.

A lease for use counts units: its node passes no more on while what it has served is further ahead of its vouchers than
its owner lets it, and the client's side signs for what it has passed on to the client, and for nothing else.
"""

from .money import cost_micro_usdc
from .units import UnitPrices, Units

# The coordinator's clock and the node's engine stamp the start a little apart; one heartbeat more
# than anybody needs, and less than one voucher interval.
METER_TOLERANCE_MS = 5_000


def voucher_due(metered_ms: int, covered_ms: int, interval_s: int) -> bool:
    """Whether the node should ask for the next voucher.

    Args:
        metered_ms: running time so far; covered_ms: running time at the last request.
    """
    return metered_ms - covered_ms >= interval_s * 1000


def must_pause(
    price_micro_usdc_per_hour: int, metered_ms: int, voucher_micro_usdc: int, max_unpaid_ms: int
) -> bool:
    """Whether the node's unpaid work is beyond its limit."""
    owed = cost_micro_usdc(price_micro_usdc_per_hour, metered_ms) - voucher_micro_usdc
    return owed > cost_micro_usdc(price_micro_usdc_per_hour, max_unpaid_ms)


def signable_micro_usdc(
    price_micro_usdc_per_hour: int,
    max_cost_micro_usdc: int,
    metered_ms: int,
    elapsed_ms: int,
) -> int:
    """The largest cumulative amount the client's side may sign now.

    Args:
        metered_ms: what the node says it ran.
        elapsed_ms: what the signer's own clock saw pass since the node reported the start.
    """
    believed_ms = min(metered_ms, elapsed_ms + METER_TOLERANCE_MS)
    return min(cost_micro_usdc(price_micro_usdc_per_hour, believed_ms), max_cost_micro_usdc)


def signable_for_use_micro_usdc(prices: UnitPrices, max_cost_micro_usdc: int, billed: Units) -> int:
    """The largest cumulative amount the client's side may sign now for a lease for use.

    Args:
        billed: what was passed on to the client, and is known to have been.
    """
    return min(prices.cost_micro_usdc(billed), max_cost_micro_usdc)


def unpaid_use_micro_usdc(prices: UnitPrices, served: Units, voucher_micro_usdc: int) -> int:
    """How far what a node has served is ahead of what it was signed; never less than nothing."""
    return max(0, prices.cost_micro_usdc(served) - voucher_micro_usdc)


def must_hold_back(
    prices: UnitPrices, served: Units, voucher_micro_usdc: int, max_unpaid_micro_usdc: int
) -> bool:
    """Whether a node passes on no more of what is asked for, until it is signed more."""
    return unpaid_use_micro_usdc(prices, served, voucher_micro_usdc) > max_unpaid_micro_usdc


def is_beyond(prices: UnitPrices, max_cost_micro_usdc: int, served: Units) -> bool:
    """Whether so much is more than an escrow can ever pay: a node passes on nothing of that."""
    return prices.cost_micro_usdc(served) > max_cost_micro_usdc


def is_used_up(prices: UnitPrices, max_cost_micro_usdc: int, served: Units) -> bool:
    """Whether nothing more of a lease for use can be paid: its escrow holds no more."""
    return prices.cost_micro_usdc(served) >= max_cost_micro_usdc


def use_meter_due(
    unpaid_micro_usdc: int, max_unpaid_micro_usdc: int, since_last_ms: int, interval_s: int
) -> bool:
    """Whether the node should ask for a voucher for use: at the interval, and sooner when the limit is near.

    Args:
        since_last_ms: running time since it asked last.
    """
    if not unpaid_micro_usdc:
        return False
    return since_last_ms >= interval_s * 1000 or unpaid_micro_usdc * 2 > max_unpaid_micro_usdc
