"""A lease for use, at its node: paid by what it passes on, and never paused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace import execution, use_steps
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.execution import decide
from neurogrid_marketplace.exposure import (
    must_hold_back,
    signable_for_use_micro_usdc,
    unpaid_use_micro_usdc,
)
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.gang import Gang
from neurogrid_marketplace.job import Job
from neurogrid_marketplace.job_stream import StreamRefusal
from neurogrid_marketplace.lease import (
    Collected,
    ContainerEnded,
    ContainerRunning,
    Kill,
    LeaseEvent,
    NodeLease,
    PrepareFailed,
    Ran,
    SendMeter,
    Served,
    StartReceived,
    StopReceived,
    Tick,
    VoucherReceived,
)
from neurogrid_marketplace.messages import Award, Start, VoucherMessage
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_marketplace.serving import Serves, Use
from neurogrid_marketplace.units import NOTHING_SERVED, UnitPrices, Units

from .keys import person
from .market import demand
from .story import LEASE_ID

REPLICA = "lease_" + "9" * 32
PRICES = UnitPrices(output_tokens=1_000_000)
USE = Use(REPLICA, "m", PRICES, max_cost_micro_usdc=1_000, idle_s=60)
JOB = Job("image:1", uses=REPLICA)
ADDRESS = person("somebody").address
START = Start(LEASE_ID, JOB, ADDRESS, ADDRESS, ADDRESS, "http://c", "t")
AWARD = Award(
    *(LEASE_ID, "demand_" + "0" * 32, "0" * 64, "0" * 64, (), 0, 1_000, 3_600, 10, JOB.hash()),
    unit_prices=PRICES,
)
COLLECTED = Collected((), "0" * 64, 0, "0" * 64)


def tokens(count: int, at_work: int = 0) -> Served:
    return Served(Units(output_tokens=count), at_work)


def voucher(amount: int, *, final: bool = False) -> VoucherReceived:
    return VoucherReceived(VoucherMessage(LEASE_ID, amount, "0" * 128, final))


def after(*steps: tuple[int, LeaseEvent]) -> NodeLease:
    lease = execution.accept(AWARD, "c", 60_000, 0, use=USE, max_unpaid_micro_usdc=100)
    every: list[tuple[int, LeaseEvent]] = [(1, StartReceived(START)), (100, ContainerRunning(100))]
    every.extend(steps)
    for now_ms, event in every:
        lease = decide(lease, event, now_ms).lease
    return lease


def test_a_meter_counts_what_was_passed_on() -> None:
    lease = after((5_000, tokens(20)))
    assert decide(lease, Tick(), 9_000).actions == ()
    (meter,) = decide(lease, Tick(), 10_100).actions
    assert isinstance(meter, SendMeter)
    assert meter.meter.served == Units(output_tokens=20)
    assert meter.meter.cumulative_micro_usdc == 20
    assert meter.meter.metered_ms == 10_000


def test_it_asks_at_once_when_its_limit_is_near_and_never_for_nothing() -> None:
    assert decide(after(), Tick(), 30_100).actions == ()
    assert decide(after((200, tokens(50))), Tick(), 300).actions == ()
    assert decide(after((200, tokens(51))), Tick(), 300).actions != ()
    paid = after((200, tokens(51)), (250, voucher(51)))
    assert decide(paid, Tick(), 30_100).actions == ()


def test_it_refuses_what_it_may_not_be_paid_for() -> None:
    lease = after()
    assert use_steps.refusal(lease, USE, Units(output_tokens=100)) is None
    assert use_steps.refusal(lease, USE, Units(output_tokens=101)) is StreamRefusal.UNPAID
    paid = after((200, voucher(50)))
    assert use_steps.refusal(paid, USE, Units(output_tokens=150)) is None
    assert use_steps.refusal(paid, USE, Units(output_tokens=1_000)) is StreamRefusal.USED_UP


def test_it_never_pauses_however_far_it_is_ahead() -> None:
    lease = after((200, tokens(999)))
    assert decide(lease, Tick(), 300).lease.phase is LeasePhase.RUNNING


def ended(lease: NodeLease, now_ms: int) -> tuple[LeasePhase, str]:
    decision = decide(lease, Tick(), now_ms)
    if decision.lease.phase is LeasePhase.STOPPING:
        assert Kill(Outcome.COMPLETED) in decision.actions
    return decision.lease.phase, decision.lease.stop_words


def test_it_ends_when_nothing_was_asked_of_it_for_long() -> None:
    assert ended(after(), 60_099)[0] is LeasePhase.RUNNING
    assert ended(after(), 60_100) == (LeasePhase.STOPPING, "nothing was asked of it for 60 s")
    busy = after((30_000, tokens(1, at_work=1)))
    assert ended(busy, 600_000)[0] is LeasePhase.RUNNING
    quiet = decide(busy, tokens(5), 90_000).lease
    assert ended(quiet, 149_999)[0] is LeasePhase.RUNNING
    assert ended(quiet, 150_001)[0] is LeasePhase.STOPPING


def test_one_that_is_used_up_ends_a_while_after_its_last_answer() -> None:
    lease = after((1_000, tokens(1_000)))
    assert ended(lease, 5_999)[0] is LeasePhase.RUNNING
    assert ended(lease, 6_000) == (LeasePhase.STOPPING, "its escrow is used up")


def test_its_time_limit_ends_it_well() -> None:
    busy = after((30_000, tokens(1, at_work=1)))
    assert ended(busy, 3_600_200) == (LeasePhase.STOPPING, "its time limit is over")


def test_its_escrows_end_ends_it_well() -> None:
    lease = replace(after(), claim_until_ms=700_000)
    assert ended(lease, 50_000)[0] is LeasePhase.RUNNING
    assert ended(lease, 100_001)[1] == "its escrow is about to end"


def test_the_result_has_all_that_was_passed_on() -> None:
    lease = after(
        (1_000, tokens(7)),
        (61_100, Tick()),
        (61_200, ContainerEnded(Ran(Outcome.EXIT_NONZERO, 0, "ended", 61_200))),
        (61_300, replace(COLLECTED, served=Units(output_tokens=9))),
    )
    result = lease.events[-1].result
    assert result is not None
    assert (result.outcome, result.exit_code) == (Outcome.COMPLETED, 0)
    assert result.message == "nothing was asked of it for 60 s"
    assert result.served == Units(output_tokens=9)


def test_it_ends_well_with_its_replica() -> None:
    gone = Ran(Outcome.COMPLETED, 0, "its replica has ended", 5_000)
    lease = after((1_000, tokens(7)), (5_000, ContainerEnded(gone)), (5_100, COLLECTED))
    result = lease.events[-1].result
    assert result is not None
    assert (result.outcome, result.message) == (Outcome.COMPLETED, "its replica has ended")
    assert result.served == Units(output_tokens=7)


def test_one_whose_replica_had_gone_before_it_began_ends_well_and_has_served_nothing() -> None:
    lease = execution.accept(AWARD, "c", 60_000, 0, use=USE, max_unpaid_micro_usdc=100)
    lease = decide(lease, StartReceived(START), 1).lease
    lease = decide(lease, PrepareFailed(Outcome.COMPLETED, "its replica had ended"), 2).lease
    assert lease.phase is LeasePhase.REPORTED
    assert lease.events[-1].result is not None
    assert lease.events[-1].result.outcome is Outcome.COMPLETED


def test_a_stop_of_the_coordinators_is_told_as_such() -> None:
    lease = after(
        (1_000, StopReceived(Outcome.CANCELLED)),
        (1_100, ContainerEnded(Ran(Outcome.EXIT_NONZERO, 0, "ended", 1_100))),
        (1_200, COLLECTED),
    )
    assert lease.events[-1].result is not None
    assert lease.events[-1].result.outcome is Outcome.CANCELLED


@pytest.mark.parametrize("uses", [None, "lease_" + "8" * 32])
def test_a_job_for_another_replica_than_was_agreed_is_refused(uses: str | None) -> None:
    job = Job("image:1", uses=uses)
    award = replace(AWARD, job_hash=job.hash())
    lease = execution.accept(award, "c", 60_000, 0, use=USE, max_unpaid_micro_usdc=100)
    lease = decide(lease, StartReceived(replace(START, job=job)), 1).lease
    assert lease.events[-1].result is not None
    assert lease.events[-1].result.outcome is Outcome.JOB_REFUSED


def test_a_job_with_a_container_is_no_ones_use() -> None:
    lease = execution.accept(AWARD, "c", 60_000, 0)
    lease = decide(lease, StartReceived(START), 1).lease
    assert lease.events[-1].result is not None
    assert lease.events[-1].result.outcome is Outcome.JOB_REFUSED


def test_what_is_counted_never_falls_and_a_repeated_count_changes_nothing() -> None:
    lease = after((1_000, tokens(7)))
    assert decide(lease, tokens(3), 2_000).lease.served == Units(output_tokens=7)
    assert decide(lease, tokens(7), 2_000).lease == lease


@given(st.integers(0, 2_000), st.integers(0, 2_000), st.integers(0, 500))
def test_a_node_is_never_ahead_by_more_than_its_limit_and_one_piece(
    served: int, signed: int, limit: int
) -> None:
    units = Units(output_tokens=served)
    if not must_hold_back(PRICES, units, signed, limit):
        assert unpaid_use_micro_usdc(PRICES, units, signed) <= limit


@given(st.integers(0, 10**6), st.integers(1, 10**5))
def test_nothing_is_signed_beyond_what_was_billed_nor_beyond_the_escrow(
    billed: int, most: int
) -> None:
    units = Units(output_tokens=billed)
    assert signable_for_use_micro_usdc(PRICES, most, units) == min(billed, most)
    assert signable_for_use_micro_usdc(PRICES, most, NOTHING_SERVED) == 0


def test_a_demand_for_use_has_no_price_by_the_hour_and_no_company() -> None:
    asked = demand(max_price_micro_usdc_per_hour=0, use=USE)
    assert asked.max_cost_micro_usdc() == 1_000
    assert asked.takes(PRICES)
    assert not asked.takes(None)
    for wrong in (
        {"max_price_micro_usdc_per_hour": 1},
        {"serves": Serves("m", PRICES)},
        {"gang": Gang(2)},
        {"preemptible": True},
    ):
        with pytest.raises(InvalidValue):
            demand(**{"max_price_micro_usdc_per_hour": 0, "use": USE} | wrong)


def test_a_replica_is_asked_for_at_most_so_much_for_units() -> None:
    asked = demand(serves=Serves("m", PRICES))
    assert asked.takes(PRICES.scaled(900))
    assert not asked.takes(UnitPrices(output_tokens=1_000_001))
    assert not asked.takes(None)
    assert not demand().takes(PRICES)
