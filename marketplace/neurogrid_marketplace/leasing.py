"""From a bid that has won to the lease that its node is offered."""

import hashlib

from .auction import RankedBid
from .resuming import resumes_from
from .task import Lease, Task


def derived_id(prefix: str, task_id: str, number: int) -> str:
    """An id that is the same if asked again: a coordinator that crashed between storing and acting
    repeats itself, so repeating is harmless."""
    digest = hashlib.sha256(f"{prefix}:{task_id}:{number}".encode()).hexdigest()
    return f"{prefix}_{digest[:32]}"


def lease_for(task: Task, ranked: RankedBid) -> Lease:
    """The task's next lease."""
    return Lease(
        lease_id=derived_id("lease", task.task_id, task.leases),
        node_id=ranked.node_id,
        wallet=ranked.bid.wallet,
        price_micro_usdc_per_hour=ranked.award_price_micro_usdc_per_hour,
        max_cost_micro_usdc=task.demand.max_cost_at_micro_usdc(
            ranked.award_price_micro_usdc_per_hour
        ),
        demand_id=ranked.bid.demand_id,
        bid_hash=ranked.bid_hash,
        bid_start_ms=ranked.bid.start_ms,
        start_factors_permille=task.start_factors_permille,
        region=ranked.region,
        reclaim_window_s=ranked.bid.reclaim_window_s,
        resumed=resumes_from(task),
        unit_prices=ranked.bid.unit_prices,
        counts_use=task.demand.use is not None,
    )
