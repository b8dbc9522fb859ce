"""How much either side may be ahead of the other: the rules both daemons keep while a job runs.

The node is never more than ``max_unpaid_ms`` of work ahead of the vouchers it holds; the client's
side never signs for work that its own clock has not seen pass.
"""

from .money import cost_micro_usdc

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
