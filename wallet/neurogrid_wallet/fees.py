"""What a transaction pays for going first, and how much work it may do: decisions, without I/O.

Source: Solana, "How to use priority fees"; ``getRecentPrioritizationFees`` tells, for each of the
last 150 slots, the lowest price per compute unit that got a transaction on the same accounts in.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from neurogrid_wallet.transactions import COMPUTE_UNITS_MAX, ComputeBudget

_MICRO_LAMPORTS = 1_000_000


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """How dear going first may be.

    Attributes:
        unit_price_micro_lamports: the price per compute unit, in millionths of a lamport; with a
            percentile, the lowest one.
        percentile: of the recent prices for the accounts that are written; None: they are not
            asked for.
        cap_lamports: what the priority of one transaction costs at most. Wins over all the others.
        raise_percent: how much more each attempt pays than the one that died before it.
        limit_margin_percent: with it, the compute limit of a payment that brings none is what a
            simulation used and so much more; None: the outbox's default limit.
    """

    unit_price_micro_lamports: int = 0
    percentile: int | None = None
    # 0.001 SOL: two hundred times the fee of a signature.
    cap_lamports: int = 1_000_000
    raise_percent: int = 50
    limit_margin_percent: int | None = None

    def __post_init__(self) -> None:
        if self.percentile is not None and not 0 < self.percentile <= 100:
            raise ValueError("percentile must be between 1 and 100")
        for name in ("unit_price_micro_lamports", "cap_lamports", "raise_percent"):
            # 10**12: a thousand SOL, or a million times any fee ever seen.
            if not 0 <= getattr(self, name) <= 10**12:
                raise ValueError(f"{name} must be between 0 and 10**12")
        if self.limit_margin_percent is not None and not 0 <= self.limit_margin_percent <= 1000:
            raise ValueError("limit_margin_percent must be between 0 and 1000")


def budget_for_attempt(
    policy: FeePolicy,
    wanted: ComputeBudget,
    recent: Sequence[int],
    *,
    dead_attempts: int,
    extra_units: int = 0,
) -> ComputeBudget:
    """The budget to sign the next attempt with.

    Args:
        wanted: what the payment asked for; its price is a lower bound, below the cap.
        recent: recent prices in micro-lamports per unit, in any order.
        dead_attempts: how many transactions were signed for this payment and never landed.
        extra_units: will be added to the limit, and is paid for too.
    """
    price = max(wanted.unit_price_micro_lamports, policy.unit_price_micro_lamports)
    if policy.percentile is not None:
        price = max(price, percentile_of(recent, policy.percentile))
    price = price * (100 + policy.raise_percent) ** dead_attempts // 100**dead_attempts
    units = min(wanted.unit_limit + extra_units, COMPUTE_UNITS_MAX)
    return ComputeBudget(
        wanted.unit_limit, min(price, policy.cap_lamports * _MICRO_LAMPORTS // units)
    )


def percentile_of(prices: Sequence[int], percentile: int) -> int:
    """The lowest price that ``percentile`` per cent of ``prices`` do not exceed; 0 for none."""
    if not prices:
        return 0
    rank = -(-percentile * len(prices) // 100)
    return sorted(prices)[rank - 1]


def limit_with_margin(units_consumed: int, margin_percent: int) -> int:
    """The compute limit for what a simulation consumed: the state may change until it runs."""
    return max(1, min(units_consumed * (100 + margin_percent) // 100, COMPUTE_UNITS_MAX))
