"""What a task does when its escrow fails, its node forgets, or its coordinator was away."""

from dataclasses import replace

import pytest

from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.orchestration import OVERTIME_MS, decide
from neurogrid_marketplace.resources import Requirements
from neurogrid_marketplace.submission import submit
from neurogrid_marketplace.task import TERMINAL, Lease, Phase, Task
from neurogrid_marketplace.task_actions import Abandon, HoldAuction, SendStop
from neurogrid_marketplace.task_events import (
    CutOff,
    Due,
    EscrowFailed,
    EscrowOpened,
    Forgotten,
    Started,
    TurnCame,
)
from neurogrid_marketplace.verification import Verdict

NOW_MS = 1_800_000_000_000
LEASE = Lease("lease_1", "node", "wallet", 3_600_000, 60_000, "demand_1", "0" * 64)


@pytest.fixture
def starting() -> Task:
    demand = Demand(
        demand_id="demand_" + "0" * 32,
        job_hash="0" * 64,
        requirements=Requirements(),
        image="neurogrid/job:1",
        input_bytes=0,
        max_price_micro_usdc_per_hour=3_600_000,
        timeout_s=60,
        bid_window_ms=250,
        voucher_interval_s=30,
        dead_after_s=45,
    )
    task = submit("task_1", demand, NOW_MS, 600_000)
    return replace(task, phase=Phase.STARTING, lease=LEASE, leases=1)


def test_a_start_before_the_escrow_does_not_count(starting: Task) -> None:
    early = decide(starting, Started(LEASE.lease_id, 0), NOW_MS)
    assert (early.task, early.actions) == (starting, ())

    funded = decide(starting, EscrowOpened(LEASE.lease_id), NOW_MS).task
    started = decide(funded, Started(LEASE.lease_id, 0), NOW_MS + 5).task
    assert started.phase is Phase.RUNNING
    assert started.lease is not None
    assert started.lease.started_at_ms == NOW_MS


def test_a_node_whose_stake_is_refused_is_not_asked_again(starting: Task) -> None:
    failed = EscrowFailed(LEASE.lease_id, "stake too small", of_client=False, of_node=True)
    after = decide(starting, failed, NOW_MS).task
    assert (after.phase, after.excluded) == (Phase.QUEUED, ("node",))


def test_a_chain_that_is_away_does_not_exclude_the_node(starting: Task) -> None:
    failed = EscrowFailed(LEASE.lease_id, "never landed", of_client=False)
    after = decide(starting, failed, NOW_MS).task
    assert (after.phase, after.excluded) == (Phase.QUEUED, ())


def test_a_cancelled_task_is_not_retried_when_its_escrow_fails(starting: Task) -> None:
    failed = EscrowFailed(LEASE.lease_id, "never landed", of_client=False)
    decision = decide(replace(starting, cancel_requested=True), failed, NOW_MS)
    assert decision.task.phase is Phase.CANCELLED
    assert decision.actions == (SendStop(LEASE, Outcome.ESCROW_UNSEEN),)


def test_an_hour_without_its_coordinator_does_not_end_a_run(starting: Task) -> None:
    running = replace(starting, phase=Phase.RUNNING, lease=replace(LEASE, escrow_open=True))
    now_ms = NOW_MS + 60_000 + 3_600_000
    assert decide(running, Due(heard_ms=now_ms), now_ms).actions == ()
    now_ms = NOW_MS + 60_000 + OVERTIME_MS + 1
    (stop,) = decide(running, Due(heard_ms=now_ms), now_ms).actions
    assert isinstance(stop, SendStop)
    assert stop.reason is Outcome.TIME_EXCEEDED


def test_a_task_whose_turn_came_does_not_wait_out_its_pause(starting: Task) -> None:
    queued = replace(starting, phase=Phase.QUEUED, lease=None, retry_at_ms=NOW_MS + 30_000)
    assert decide(queued, Due(heard_ms=0), NOW_MS).actions == ()
    decision = decide(queued, TurnCame(), NOW_MS)
    assert decision.task.phase is Phase.MATCHING
    assert isinstance(decision.actions[0], HoldAuction)
    assert decide(starting, TurnCame(), NOW_MS).task == starting


def test_a_node_that_forgot_a_lease_loses_it_at_once(starting: Task) -> None:
    decision = decide(starting, Forgotten(LEASE.lease_id), NOW_MS)
    assert (decision.task.phase, decision.task.excluded) == (Phase.QUEUED, ("node",))
    assert Abandon(LEASE) in decision.actions
    assert decide(starting, Forgotten("lease_other"), NOW_MS).task == starting


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in TERMINAL])
def test_a_task_that_restored_books_hold_ends_wherever_it_was(starting: Task, phase: Phase) -> None:
    leased = phase in (Phase.AWARDED, Phase.STARTING, Phase.RUNNING, Phase.VERIFYING)
    lease = replace(LEASE, escrow_open=True, signed_micro_usdc=700) if leased else None
    cut = decide(replace(starting, phase=phase, lease=lease), CutOff(), NOW_MS)
    assert (cut.task.phase, cut.task.cost_micro_usdc) == (Phase.CANCELLED, 700 if leased else 0)
    assert cut.actions == ((Abandon(lease),) if lease else ())
    for event in (CutOff(), Due(NOW_MS), TurnCame(), Started(LEASE.lease_id, 0)):
        assert decide(cut.task, event, NOW_MS + 1).task == cut.task


def test_a_check_that_was_due_in_restored_books_is_never_made(starting: Task) -> None:
    for verdict in (Verdict.DUE, Verdict.PENDING):
        done = replace(starting, phase=Phase.COMPLETED, verdict=verdict)
        cut = decide(done, CutOff(), NOW_MS)
        assert (cut.task.verdict, cut.actions) == (Verdict.UNDECIDED, ())
        assert decide(cut.task, CutOff(), NOW_MS).task == cut.task
