"""What a task is charged, over all of its leases."""

from dataclasses import replace

import pytest

from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.messages import Result
from neurogrid_marketplace.orchestration import decide
from neurogrid_marketplace.resources import Requirements
from neurogrid_marketplace.submission import submit
from neurogrid_marketplace.task import Lease, Phase, Task
from neurogrid_marketplace.task_actions import Abandon, Settle
from neurogrid_marketplace.task_events import Finished, Forgotten, OutputsChecked

NOW_MS = 1_800_000_000_000
# One micro-USDC a millisecond.
LEASE = Lease(
    "lease_1",
    "node",
    "wallet",
    3_600_000,
    60_000,
    "demand_1",
    "0" * 64,
    escrow_open=True,
    started_at_ms=NOW_MS - 50_000,
)
DEMAND = Demand(
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


@pytest.fixture
def running() -> Task:
    task = submit("task_1", DEMAND, NOW_MS, 600_000)
    return replace(task, phase=Phase.RUNNING, lease=LEASE, leases=1)


def _signed(task: Task, micro_usdc: int) -> Task:
    assert task.lease is not None
    return replace(task, lease=replace(task.lease, signed_micro_usdc=micro_usdc))


def test_a_lost_lease_costs_what_was_signed_and_the_next_comes_on_top(running: Task) -> None:
    lost = decide(_signed(running, 7_000), Forgotten("lease_1"), NOW_MS)
    assert lost.task.cost_micro_usdc == 7_000
    assert [a.lease.lease_id for a in lost.actions if isinstance(a, Abandon)] == ["lease_1"]

    again = replace(lost.task, phase=Phase.RUNNING, lease=replace(LEASE, lease_id="lease_2"))
    done = decide(again, Finished("lease_2", Result(Outcome.COMPLETED, 0, "", 30_000)), NOW_MS)
    ended = decide(done.task, OutputsChecked("lease_2"), NOW_MS)
    assert (ended.task.phase, ended.task.cost_micro_usdc) == (Phase.COMPLETED, 37_000)
    (settle,) = ended.actions
    assert isinstance(settle, Settle)
    assert settle.cumulative_micro_usdc == 30_000


def test_a_run_that_is_not_charged_costs_what_was_signed(running: Task) -> None:
    failed = Finished("lease_1", Result(Outcome.ENGINE_LOST, -1, "gone", 40_000))
    assert decide(running, failed, NOW_MS).task.cost_micro_usdc == 0
    assert decide(_signed(running, 20_000), failed, NOW_MS).task.cost_micro_usdc == 20_000


def test_a_node_that_reports_less_than_was_signed_is_charged_as_it_is_paid(running: Task) -> None:
    ended = Finished("lease_1", Result(Outcome.EXIT_NONZERO, 1, "", 10_000))
    decision = decide(_signed(running, 20_000), ended, NOW_MS)
    assert decision.task.cost_micro_usdc == 20_000
    (settle,) = decision.actions
    assert isinstance(settle, Settle)
    assert (settle.lease, settle.cumulative_micro_usdc) == (_signed(running, 20_000).lease, 20_000)
