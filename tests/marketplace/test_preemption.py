"""Preemptible tasks: paid, retried without blame, bounded in number and in money."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.attributes import NODE, TASK, NodeFacts
from neurogrid_marketplace.auction import RankedBid
from neurogrid_marketplace.awarding import demand_of
from neurogrid_marketplace.call import Call
from neurogrid_marketplace.condition_text import read_conditions
from neurogrid_marketplace.constraints import is_free, misses
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.messages import Result
from neurogrid_marketplace.orchestration import decide
from neurogrid_marketplace.preemption import MAX_PREEMPTIONS, REST_MS, is_reclaimed
from neurogrid_marketplace.price_history import class_of
from neurogrid_marketplace.sealing import BidFault
from neurogrid_marketplace.spot import SpotTerms
from neurogrid_marketplace.submission import submit
from neurogrid_marketplace.task import Lease, Phase, Task
from neurogrid_marketplace.task_actions import Blame, HoldAuction, Settle
from neurogrid_marketplace.task_events import (
    Accepted,
    AuctionClosed,
    Due,
    EscrowOpened,
    Finished,
    Reclaimed,
    Started,
)

from .market import bid, capacity, demand, offer

NOW_MS = 1_800_000_000_000
TIMEOUT_S = 3_600
# One micro-USDC a millisecond.
PRICE = 3_600_000
SPOT = SpotTerms(discount_permille=500, reclaim_window_s=120)
PREEMPTED = Result(Outcome.PREEMPTED, 137, "", 60_000)


def queued() -> Task:
    wanted = demand(preemptible=True, max_price_micro_usdc_per_hour=PRICE, timeout_s=TIMEOUT_S)
    return submit("task_1", wanted, NOW_MS, 600_000)


def running(
    task: Task, now_ms: int, *, price: int, window_s: int = 120, node: str = "node"
) -> Task:
    """The task on a node that bids at most what it may."""
    task = decide(task, Due(0), max(now_ms, task.retry_at_ms)).task
    asked = demand_of(task)
    price = min(price, asked.max_price_micro_usdc_per_hour)
    made = replace(bid(price, of=asked), reclaim_window_s=window_s)
    ranked = RankedBid(node, made, "0" * 64, price, price)
    task = decide(task, AuctionClosed(asked.demand_id, (ranked,), ""), now_ms).task
    assert task.lease is not None
    lease_id = task.lease.lease_id
    for event in (Accepted(lease_id), EscrowOpened(lease_id), Started(lease_id, now_ms)):
        task = decide(task, event, now_ms).task
    assert task.phase is Phase.RUNNING
    return task


def lease_of(task: Task) -> Lease:
    assert task.lease is not None
    return task.lease


def reclaimed(
    task: Task, now_ms: int, result: Result = PREEMPTED
) -> tuple[Task, tuple[object, ...]]:
    lease_id = lease_of(task).lease_id
    task = decide(task, Reclaimed(lease_id, now_ms - 1_000), now_ms).task
    decision = decide(task, Finished(lease_id, result), now_ms)
    return decision.task, decision.actions


def test_a_reclaimed_run_is_paid_and_goes_on_elsewhere_for_nobodys_fault() -> None:
    now_ms = NOW_MS + 60_000
    task, actions = reclaimed(running(queued(), NOW_MS, price=PRICE), now_ms)
    assert (task.phase, task.attempts, task.preemptions, task.excluded) == (Phase.QUEUED, 0, 1, ())
    assert task.cost_micro_usdc == task.preempted_micro_usdc == 60_000
    (settle,) = actions
    assert isinstance(settle, Settle)
    assert settle.cumulative_micro_usdc == 60_000
    assert not [action for action in actions if isinstance(action, Blame)]


def test_its_node_is_not_asked_at_once_but_may_be_later() -> None:
    task, _ = reclaimed(running(queued(), NOW_MS, price=PRICE), NOW_MS + 60_000)
    for later_ms, excluded in ((0, ("node",)), (REST_MS, ())):
        decision = decide(task, Due(0), NOW_MS + 60_000 + later_ms)
        (auction,) = decision.actions
        assert isinstance(auction, HoldAuction)
        assert auction.excluded == excluded


def test_a_warning_is_known_until_the_run_ends() -> None:
    task = running(queued(), NOW_MS, price=PRICE)
    warned = decide(task, Reclaimed(lease_of(task).lease_id, NOW_MS + 5_000), NOW_MS + 4_000).task
    # By the node's clock, which may not run ahead of ours.
    assert (is_reclaimed(warned), lease_of(warned).reclaimed_at_ms) == (True, NOW_MS + 4_000)
    again = decide(warned, Reclaimed(lease_of(task).lease_id, NOW_MS), NOW_MS + 9_000).task
    assert again == warned
    done = Finished(lease_of(task).lease_id, Result(Outcome.COMPLETED, 0, "", 10_000))
    assert not is_reclaimed(decide(warned, done, NOW_MS + 10_000).task)


@pytest.mark.parametrize(("window_s", "warned"), [(0, False), (120, False)])
def test_a_node_that_stops_what_it_may_not_is_at_fault(window_s: int, warned: bool) -> None:
    """Without having agreed on it, or without a warning; it is not paid either."""
    task = running(queued(), NOW_MS, price=PRICE, window_s=window_s)
    decision = decide(task, Finished(lease_of(task).lease_id, PREEMPTED), NOW_MS + 60_000)
    after = decision.task
    assert (after.attempts, after.preemptions, after.excluded) == (1, 0, ("node",))
    assert after.cost_micro_usdc == 0
    blames = [action for action in decision.actions if isinstance(action, Blame)]
    assert [blame.outcome for blame in blames] == [Outcome.RESULT_INVALID]


def test_a_lease_that_never_ran_may_be_reclaimed_without_a_warning() -> None:
    task = running(queued(), NOW_MS, price=PRICE)
    starting = replace(task, phase=Phase.STARTING, lease=replace(lease_of(task), started_at_ms=0))
    ended = decide(starting, Finished(lease_of(task).lease_id, PREEMPTED), NOW_MS + 1_000).task
    assert (ended.phase, ended.preemptions, ended.cost_micro_usdc) == (Phase.QUEUED, 1, 0)


def test_a_task_that_is_reclaimed_again_and_again_is_given_up() -> None:
    task, now_ms = queued(), NOW_MS
    for _ in range(MAX_PREEMPTIONS):
        assert task.phase is Phase.QUEUED
        task = running(task, now_ms, price=1_000)
        now_ms += 2 * REST_MS
        task, actions = reclaimed(task, now_ms)
    assert task.phase is Phase.FAILED
    assert task.ending is not None
    assert task.ending.code == "PREEMPTED"
    assert [type(action) for action in actions] == [Settle]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**7), st.integers(0, 2 * TIMEOUT_S * 1000), st.integers(0, 10**7)
        ),
        min_size=1,
        max_size=MAX_PREEMPTIONS,
    )
)
def test_all_runs_together_never_cost_more_than_was_held(
    runs: list[tuple[int, int, int]],
) -> None:
    """Whatever nodes ask, however long they say they ran, and whatever they were signed before."""
    task, now_ms = queued(), NOW_MS
    most = task.demand.max_cost_micro_usdc()
    for price, metered_ms, signed in runs:
        if task.phase is not Phase.QUEUED:
            break
        task = running(task, now_ms, price=price)
        lease = lease_of(task)
        assert task.cost_micro_usdc + lease.max_cost_micro_usdc <= most
        signed = min(signed, lease.max_cost_micro_usdc)
        task = replace(task, lease=replace(lease, signed_micro_usdc=signed))
        now_ms += metered_ms + REST_MS
        task, _ = reclaimed(task, now_ms, replace(PREEMPTED, metered_ms=metered_ms))
        assert task.demand.max_cost_micro_usdc() + task.preempted_micro_usdc <= most
    assert task.cost_micro_usdc == task.preempted_micro_usdc <= most


def test_a_bid_that_warns_too_late_or_where_nobody_agreed_does_not_count() -> None:
    wanted = demand(preemptible=True, reclaim_window_s=60)
    for asked, window_s, counts in (
        (wanted, 60, True),
        (wanted, 0, True),
        (wanted, 59, False),
        (demand(), 60, False),
        (demand(), 0, True),
    ):
        call = Call(asked, ["node"])
        call.next_round()
        made = replace(bid(1_000, of=asked), reclaim_window_s=window_s)
        assert call.bid("node", made, "0" * 64) is counts
        assert call.faults == ({} if counts else {"node": BidFault.OTHER_TERMS})


def test_a_node_that_warns_too_late_is_not_asked_and_says_by_how_much() -> None:
    machine = offer("node", spot=SPOT)
    assert not misses(NodeFacts(machine, demand(preemptible=True, reclaim_window_s=120)))
    assert not misses(NodeFacts(offer("other"), demand(preemptible=True, reclaim_window_s=600)))
    facts = NodeFacts(machine, demand(preemptible=True, reclaim_window_s=121))
    (missed,) = misses(facts)
    assert missed.name == "reclaim_window"
    assert missed.shortfall(facts).startswith("warns 120 s before it takes its machine back")


def test_a_preemptible_task_is_cheaper_and_a_class_of_its_own() -> None:
    machine = offer("node", base=10_001, spot=SPOT)
    assert NodeFacts(machine, demand()).quote == 10_001
    assert NodeFacts(machine, demand(preemptible=True)).quote == 5_001
    assert class_of(demand(preemptible=True), machine).name == "cpu spot"
    assert class_of(demand(preemptible=True), machine).unit == "core"


def test_what_can_be_reclaimed_is_free_for_ordinary_tasks_alone() -> None:
    machine = offer("node", free=capacity(cores=0), reclaimable=capacity(), spot=SPOT)
    assert is_free(NodeFacts(machine, demand()))
    assert not is_free(NodeFacts(machine, demand(preemptible=True)))


def test_owners_may_ask_for_or_refuse_preemptible_and_private_tasks() -> None:
    assert TASK["task.preemptible"].read(demand(preemptible=True)) == "yes"
    assert TASK["task.preemptible"].read(demand()) == "no"
    sealed = read_conditions("privacy has sealed_inputs", NODE)
    assert TASK["task.privacy"].read(demand(where=sealed)) == ("sealed_inputs",)
    choice = read_conditions("privacy has sealed_inputs or region = eu", NODE)
    assert TASK["task.privacy"].read(demand(where=choice)) == ()
