from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace import orchestration, submission
from neurogrid_marketplace.deadlines import AGING_MS, PATIENCE_MS, Urgency, missed, urgency
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.task import Ending, Lease, Phase, Task
from neurogrid_marketplace.task_actions import SendStop, Settle
from neurogrid_marketplace.task_events import Due, TurnCame

from .market import demand

LEASE = Lease("lease_a", "node", "wallet", 1_000, 1_000, "demand_a", "b" * 64)
# May run 600 s, so it has to begin by 400 s.
WANTED = demand(timeout_s=600, finish_by_ms=1_000_000)


def task(phase: Phase = Phase.QUEUED, *, runs_late: bool = False) -> Task:
    made = submission.submit("task_a", WANTED, 0, 10**9, runs_late=runs_late)
    lease = LEASE if phase in (Phase.STARTING, Phase.RUNNING) else None
    return replace(made, phase=phase, lease=lease)


@pytest.mark.parametrize("phase", [Phase.WAITING, Phase.QUEUED, Phase.MATCHING])
def test_a_task_ends_when_its_deadline_can_not_be_kept_any_more(phase: Phase) -> None:
    at_last = orchestration.decide(task(phase), Due(400_000), 400_000).task
    assert at_last.phase is not Phase.EXPIRED
    late = orchestration.decide(task(phase), Due(400_001), 400_001)
    assert late.task.phase is Phase.EXPIRED
    assert late.task.ending is not None
    assert late.task.ending.code == "DEADLINE_MISSED"
    assert late.actions == ()


def test_a_lease_that_has_not_begun_is_given_up_and_costs_nothing() -> None:
    late = orchestration.decide(task(Phase.STARTING), Due(400_001), 400_001)
    assert late.task.phase is Phase.EXPIRED
    assert late.task.cost_micro_usdc == 0
    assert late.actions == (SendStop(LEASE, Outcome.CANCELLED), Settle(LEASE, 0))


def test_what_has_begun_runs_on() -> None:
    running = task(Phase.RUNNING)
    assert not missed(running, 10**7)
    assert orchestration.decide(running, Due(2_000_000), 2_000_000).task.phase is Phase.RUNNING


def test_a_task_that_may_run_late_goes_on_without_a_deadline() -> None:
    late = orchestration.decide(task(runs_late=True), TurnCame(), 400_001).task
    assert late.phase is Phase.MATCHING
    assert late.demand.finish_by_ms == 0
    # What nodes have been asked stays what it is.
    asked = task(Phase.MATCHING, runs_late=True)
    assert orchestration.decide(asked, Due(400_001), 400_001).task == asked
    starting = task(Phase.STARTING, runs_late=True)
    assert orchestration.decide(starting, Due(400_001), 400_001).task == starting


def test_the_ending_says_what_the_market_had_said() -> None:
    told = replace(task(), last_explanation="None of 3 nodes matches.")
    late = orchestration.decide(told, Due(500_000), 500_000).task
    assert late.ending == Ending(
        "DEADLINE_MISSED",
        "It may run 600 s, and so could not have ended by its deadline any more. "
        "None of 3 nodes matches.",
    )


def test_the_earliest_deadline_goes_first_within_a_level() -> None:
    soon = urgency(task(), 5)
    assert soon == Urgency(5, 0, 400_000)
    none = urgency(replace(task(), demand=demand()), 5)
    assert none.begin_by_ms == PATIENCE_MS
    urgent = urgency(replace(task(), demand=demand()), 6)
    assert sorted([none, soon, urgent], key=lambda it: it.key(0)) == [urgent, soon, none]


def test_waiting_lifts_a_task_level_by_level_to_the_top() -> None:
    low = Urgency(1, 0, PATIENCE_MS)
    assert low.key(AGING_MS - 1)[0] == -1
    assert low.key(AGING_MS)[0] == -2
    assert low.key(9 * AGING_MS)[0] == low.key(10**9)[0] == -10


@given(
    st.integers(1, 10),
    st.lists(
        st.tuples(st.integers(1, 10), st.integers(0, 3 * PATIENCE_MS), st.integers(0, 10**8)),
        max_size=30,
    ),
)
def test_nothing_that_comes_an_hour_later_goes_first(
    priority: int, later: list[tuple[int, int, int]]
) -> None:
    """Whatever the others' priorities and deadlines: so every task has its turn."""
    mine = Urgency(priority, 0, PATIENCE_MS)
    for their_priority, wait_ms, slack_ms in later:
        came_ms = PATIENCE_MS + 1 + wait_ms
        # A task that can't keep its deadline any more has no turn: it begins at its coming at best.
        theirs = Urgency(their_priority, came_ms, came_ms + min(slack_ms, PATIENCE_MS))
        for now_ms in (came_ms, came_ms + AGING_MS, came_ms + 10 * PATIENCE_MS):
            assert mine.key(now_ms) < theirs.key(now_ms)
