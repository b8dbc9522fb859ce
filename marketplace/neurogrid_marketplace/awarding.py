"""From bids to a lease: the demand of each auction, its ranking, and who is offered the lease next."""

import hashlib
from dataclasses import replace

from .demand import Demand
from .faults import Outcome
from .fields import PUNCTUAL_PERMILLE
from .gang_auction import seated
from .gang_seats import leave, take_seat
from .leasing import derived_id, lease_for
from .membership import Left, Membership
from .task import Phase, Task, move
from .task_actions import Action, Decision, SendAward, SendStop
from .task_events import AuctionClosed

_BACKOFF_MS = (250, 500, 1_000, 2_000, 5_000, 10_000, 30_000)


def demand_of(task: Task) -> Demand:
    """The demand of the task's present auction, with its own id."""
    return replace(task.demand, demand_id=derived_id("demand", task.task_id, task.auctions))


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
    if task.membership is not None:
        return _seats_sold(task, task.membership, event, now_ms)
    return next_candidate(task, event.explanation, now_ms)


def _seats_sold(task: Task, membership: Membership, event: AuctionClosed, now_ms: int) -> Decision:
    """A gang's auction is over: all its seats are taken now, or none is."""
    gang = membership.gang
    winners = seated([(ranked, ranked.bid) for ranked in event.ranking], gang)
    if len(winners) < gang.size:
        why = f"{len(winners)} of {gang.size} nodes at once would take part. {event.explanation}"
        return to_queue(replace(task, candidates=()), why.strip(), now_ms)
    # What the other ranks are seated by, in the same transaction (`gangs`).
    task = replace(task, candidates=tuple(winners))
    nodes = tuple(ranked.node_id for ranked in winners)
    return take_seat(task, winners[0], membership.attempt + 1, nodes, now_ms)


def to_queue(task: Task, why: str, now_ms: int) -> Decision:
    """Nobody took the task: back to the queue, with a pause that grows."""
    pause_ms = _BACKOFF_MS[min(task.auctions, len(_BACKOFF_MS)) - 1]
    if task.membership is not None:
        pause_ms += _apart_ms(task, pause_ms)
    task = replace(task, retry_at_ms=now_ms + pause_ms, last_explanation=why)
    return Decision(move(task, Phase.QUEUED, now_ms))


def _apart_ms(task: Task, pause_ms: int) -> int:
    """What two gangs that took nodes from each other wait differently, so that they do not again."""
    digest = hashlib.sha256(f"{task.task_id}:{task.auctions}".encode()).digest()
    return int.from_bytes(digest[:4], "big") * 2 * pause_ms >> 32


def next_candidate(task: Task, why: str, now_ms: int) -> Decision:
    """Award the best bid that is left, or go back to the queue with a growing pause."""
    stop: tuple[Action, ...] = ()
    if task.phase is Phase.AWARDED and task.lease:
        # It may still have accepted, too late for us to know: tell it.
        stop = (SendStop(task.lease, Outcome.CANCELLED),)
    if task.membership is not None:
        return Decision(leave(task, Left(why), now_ms), stop)
    candidates = [bid for bid in task.candidates if bid.bid.wallet not in task.owners_excluded]
    if not candidates:
        decision = to_queue(replace(task, lease=None, candidates=()), why, now_ms)
        return replace(decision, actions=stop)
    best, *rest = candidates
    lease = lease_for(task, best)
    task = replace(task, lease=lease, leases=task.leases + 1, candidates=tuple(rest))
    return Decision(move(task, Phase.AWARDED, now_ms), (*stop, SendAward(lease)))
