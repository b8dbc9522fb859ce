"""From bids to a lease: the demand of each auction, its ranking, and who is offered the lease next."""

import hashlib
from dataclasses import replace

from .demand import Demand
from .faults import Outcome
from .fields import PUNCTUAL_PERMILLE
from .money import cost_micro_usdc
from .task import Lease, Phase, Task, move
from .task_actions import Action, Decision, SendAward, SendStop
from .task_events import AuctionClosed

_BACKOFF_MS = (250, 500, 1_000, 2_000, 5_000, 10_000, 30_000)


def demand_of(task: Task) -> Demand:
    """The demand of the task's present auction, with its own id."""
    return replace(task.demand, demand_id=_derived_id("demand", task.task_id, task.auctions))


def _derived_id(prefix: str, task_id: str, number: int) -> str:
    # Derived, not random: a coordinator that crashed between storing and acting repeats the same
    # ids, so repeating is harmless.
    digest = hashlib.sha256(f"{prefix}:{task_id}:{number}".encode()).hexdigest()
    return f"{prefix}_{digest[:32]}"


def auction_closed(task: Task, event: AuctionClosed, now_ms: int) -> Decision:
    """Take the ranking of the task's present auction, and award its best; another's changes nothing."""
    if task.phase is not Phase.MATCHING or event.demand_id != demand_of(task).demand_id:
        return Decision(task)
    factors = {
        ranked.bid_hash: ranked.start_factor_permille
        for ranked in event.ranking
        if ranked.start_factor_permille != PUNCTUAL_PERMILLE
    }
    task = replace(
        task,
        candidates=event.ranking,
        last_explanation=event.explanation,
        start_factors_permille=factors,
    )
    return next_candidate(task, event.explanation, now_ms)


def next_candidate(task: Task, why: str, now_ms: int) -> Decision:
    """Award the best bid that is left, or go back to the queue with a growing pause."""
    stop: tuple[Action, ...] = ()
    if task.phase is Phase.AWARDED and task.lease:
        # It may still have accepted, too late for us to know: tell it.
        stop = (SendStop(task.lease, Outcome.CANCELLED),)
    candidates = [bid for bid in task.candidates if bid.bid.wallet not in task.owners_excluded]
    if not candidates:
        pause_ms = _BACKOFF_MS[min(task.auctions, len(_BACKOFF_MS)) - 1]
        task = replace(
            task,
            lease=None,
            candidates=(),
            retry_at_ms=now_ms + pause_ms,
            last_explanation=why,
        )
        return Decision(move(task, Phase.QUEUED, now_ms), stop)
    best, *rest = candidates
    lease = Lease(
        lease_id=_derived_id("lease", task.task_id, task.leases),
        node_id=best.node_id,
        wallet=best.bid.wallet,
        price_micro_usdc_per_hour=best.award_price_micro_usdc_per_hour,
        max_cost_micro_usdc=cost_micro_usdc(
            best.award_price_micro_usdc_per_hour, task.demand.timeout_s * 1000
        ),
        demand_id=best.bid.demand_id,
        bid_hash=best.bid_hash,
        bid_start_ms=best.bid.start_ms,
        start_factors_permille=task.start_factors_permille,
        region=best.region,
        reclaim_window_s=best.bid.reclaim_window_s,
    )
    task = replace(task, lease=lease, leases=task.leases + 1, candidates=tuple(rest))
    return Decision(move(task, Phase.AWARDED, now_ms), (*stop, SendAward(lease)))
