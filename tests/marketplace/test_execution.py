from dataclasses import replace

import pytest

from neurogrid_marketplace import execution
from neurogrid_marketplace.execution import LeaseDecision, decide, due
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.fields import decode, plain
from neurogrid_marketplace.job import Job, OutputFile
from neurogrid_marketplace.lease import (
    TRANSITIONS,
    ClaimConfirmed,
    Collected,
    ContainerEnded,
    ContainerRunning,
    Forget,
    FundedReceived,
    Kill,
    LeaseEvent,
    NodeLease,
    Pause,
    Prepare,
    PrepareFailed,
    Ran,
    Reclaim,
    RedeemEscrow,
    Resume,
    SendEvents,
    SendMeter,
    StartReceived,
    StopReceived,
    Stored,
    Tick,
    VoucherReceived,
    Warn,
)
from neurogrid_marketplace.messages import EventKind, Funded, Result, Start, VoucherMessage
from neurogrid_marketplace.network import NetworkUse
from neurogrid_marketplace.offer import LeasePhase

from .keys import person
from .story import JOB, LEASE_ID, evidence

AWARD = evidence()[1]
ADDRESS = person("somebody").address
START = Start(LEASE_ID, JOB, ADDRESS, ADDRESS, ADDRESS, "http://c", "t")
COLLECTED = Collected((), "0" * 64, 0, "0" * 64)
STORY = (EventKind.PREPARING, EventKind.STARTED, EventKind.FINISHED)
PRICE = AWARD.price_micro_usdc_per_hour


def voucher(amount: int, *, final: bool = False) -> VoucherReceived:
    return VoucherReceived(VoucherMessage(LEASE_ID, amount, "0" * 128, final))


def after(*steps: tuple[int, LeaseEvent], max_unpaid_ms: int = 60_000) -> NodeLease:
    lease = execution.accept(AWARD, "coordinator", max_unpaid_ms, 0)
    for now_ms, event in steps:
        lease = decide(lease, event, now_ms).lease
    return lease


RUNNING = ((1, StartReceived(START)), (100, ContainerRunning(100)))
ENDED = (*RUNNING, (5_100, ContainerEnded(Ran(Outcome.COMPLETED, 0, "", 5_100))))
REPORTED = (*ENDED, (5_200, Collected((), "0" * 64, 0, "0" * 64)))


def test_a_good_run_is_prepared_metered_reported_redeemed_and_forgotten() -> None:
    lease = after(*REPORTED)
    assert [event.kind for event in lease.events] == [*STORY]
    result = lease.events[-1].result
    assert result is not None
    assert (result.outcome, result.metered_ms) == (Outcome.COMPLETED, 5_000)
    claiming = decide(lease, voucher(7, final=True), 5_300)
    assert claiming.actions[-1] == RedeemEscrow(VoucherMessage(LEASE_ID, 7, "0" * 128, True))
    claimed = decide(claiming.lease, ClaimConfirmed("2" * 88), 5_400).lease
    closed = decide(claimed, Stored(3, 0, closed=True), 5_500)
    assert closed.lease.phase is LeasePhase.CLOSED
    assert closed.actions == (Forget(),)


def test_events_are_chained_to_the_agreement() -> None:
    lease = after(*REPORTED)
    previous = execution.agreement(AWARD).hash()
    for event in lease.events:
        assert event.previous_hash == previous
        previous = event.hash()


def test_another_job_than_the_auctioned_one_is_not_run() -> None:
    swapped = replace(START, job=Job("other:1"))
    decision = decide(after(), StartReceived(swapped), 1)
    assert decision.lease.phase is LeasePhase.REPORTED
    assert not any(isinstance(action, Prepare) for action in decision.actions)


def test_a_repeated_start_starts_nothing_twice() -> None:
    assert decide(after(*RUNNING), StartReceived(START), 200).actions == ()


def test_the_time_limit_stops_the_job() -> None:
    lease = after(*RUNNING, max_unpaid_ms=10**9)
    decision = decide(lease, Tick(), 100 + AWARD.timeout_s * 1000 + 1)
    assert decision.actions[0] == Kill(Outcome.TIME_EXCEEDED)
    ended = ContainerEnded(Ran(Outcome.EXIT_NONZERO, 137, "", 700_000))
    assert decide(decision.lease, ended, 700_000).lease.ran.outcome is Outcome.TIME_EXCEEDED  # type: ignore[union-attr]  # it ended


def test_unpaid_work_pauses_and_a_voucher_resumes_and_the_pause_is_not_metered() -> None:
    lease = after(*RUNNING, max_unpaid_ms=60_000)
    paused = decide(lease, Tick(), 62_000)
    assert isinstance(paused.actions[0], Pause)
    assert isinstance(paused.actions[1], SendMeter)
    owed = paused.actions[1].meter.cumulative_micro_usdc
    resumed = decide(paused.lease, voucher(owed), 162_000)
    assert resumed.actions == (Resume(),)
    assert execution.metered_ms(resumed.lease, 163_000) == 62_900


def test_unpaid_work_that_cannot_be_paused_is_ended() -> None:
    lease = replace(after(*RUNNING, max_unpaid_ms=60_000), may_pause=False)
    stopped = decide(lease, Tick(), 62_000)
    assert stopped.actions[0] == Kill(Outcome.EXPOSURE_EXHAUSTED)
    assert stopped.lease.phase is LeasePhase.STOPPING


def test_a_smaller_voucher_never_replaces_a_larger_one() -> None:
    lease = after(*RUNNING, (200, voucher(9)), (300, voucher(4)))
    assert lease.voucher is not None
    assert lease.voucher.cumulative_micro_usdc == 9


def test_a_voucher_is_asked_for_once_per_interval() -> None:
    lease = after(*RUNNING, max_unpaid_ms=10**9)
    first = decide(lease, Tick(), 100 + AWARD.voucher_interval_s * 1000)
    assert isinstance(first.actions[0], SendMeter)
    assert decide(first.lease, Tick(), 100 + AWARD.voucher_interval_s * 1000 + 500).actions == ()


def test_stopping_before_the_start_reports_and_charges_nothing() -> None:
    lease = after((1, StopReceived(Outcome.CANCELLED)))
    result = lease.events[-1].result
    assert result is not None
    assert (result.outcome, result.metered_ms) == (Outcome.CANCELLED, 0)


def test_a_job_that_finished_before_the_stop_reached_it_counts_as_finished() -> None:
    lease = after(*RUNNING, (200, StopReceived(Outcome.CANCELLED)))
    ended = decide(lease, ContainerEnded(Ran(Outcome.COMPLETED, 0, "", 300)), 300).lease
    assert ended.ran is not None
    assert ended.ran.outcome is Outcome.COMPLETED


def test_what_a_job_did_with_its_network_is_in_its_result() -> None:
    use = NetworkUse(connections=1, sent_bytes=2, received_bytes=3)
    result = decide(after(*ENDED), replace(COLLECTED, network=use), 6_000).lease.events[-1].result
    assert result is not None
    assert result.network == use


def test_refused_outputs_replace_a_good_outcome_only() -> None:
    refused = Collected((), "0" * 64, 0, "0" * 64, Outcome.OUTPUT_REFUSED, "a symlink")
    good = decide(after(*ENDED), refused, 6_000).lease.events[-1].result
    assert good is not None
    assert (good.outcome, good.message) == (Outcome.OUTPUT_REFUSED, "a symlink")


def test_outputs_with_names_too_long_to_report_are_refused_and_not_listed() -> None:
    files = tuple(
        OutputFile(f"{number}/" + "/".join(["\U0001f600" * 63] * 7), "0" * 64, 1)
        for number in range(1000)
    )
    result = decide(after(*ENDED), replace(COLLECTED, outputs=files), 6_000).lease.events[-1].result
    assert result is not None
    assert (result.outcome, result.outputs) == (Outcome.OUTPUT_REFUSED, ())


def test_a_failed_preparation_is_reported_however_much_the_engine_says() -> None:
    failed = PrepareFailed(Outcome.START_FAILED, "x" * 100_000)
    result = after((1, StartReceived(START)), (2, failed)).events[-1].result
    assert result is not None
    assert decode(Result, plain(result)) == result


def test_a_failed_preparation_is_reported() -> None:
    failed = PrepareFailed(Outcome.IMAGE_NOT_FOUND, "no such image")
    lease = after((1, StartReceived(START)), (2, failed))
    assert lease.events[-1].result is not None
    assert lease.events[-1].result.outcome is Outcome.IMAGE_NOT_FOUND


def test_what_is_due_after_a_restart_leads_on_from_every_phase() -> None:
    stories: list[tuple[tuple[int, LeaseEvent], ...]] = [
        ((1, StartReceived(START)),),
        RUNNING,
        (*RUNNING, (200, StopReceived(Outcome.CANCELLED))),
        ENDED,
        REPORTED,
        (*REPORTED, (5_300, voucher(1, final=True))),
    ]
    for story in stories:
        assert due(after(*story)), f"nothing leads on from {after(*story).phase}"


def test_every_phase_has_a_way_out() -> None:
    assert set(TRANSITIONS) == set(LeasePhase)
    assert [phase for phase, nexts in TRANSITIONS.items() if not nexts] == [LeasePhase.CLOSED]


def test_a_coordinator_that_never_comes_back_costs_no_more_than_the_last_voucher() -> None:
    lease = after(*RUNNING, (200, voucher(5)), *REPORTED[2:])
    decision = decide(lease, Tick(), 5_200 + execution.SETTLE_LIMIT_MS + 1)
    redeem = decision.actions[-1]
    assert isinstance(redeem, RedeemEscrow)
    assert redeem.voucher is not None
    assert redeem.voucher.cumulative_micro_usdc == 5


def test_a_coordinator_that_says_closed_cannot_make_the_node_drop_a_voucher() -> None:
    lease = after(*REPORTED, (5_250, voucher(7)))
    claiming = decide(lease, Stored(3, 0, closed=True), 5_300)
    assert claiming.actions[-1] == RedeemEscrow(VoucherMessage(LEASE_ID, 7, "0" * 128, False))
    again = decide(claiming.lease, Stored(3, 0, closed=True), 5_400)
    assert again.lease.phase is LeasePhase.CLAIMING
    gone = decide(again.lease, ClaimConfirmed(""), 5_500).lease
    assert gone.phase is LeasePhase.CLOSED


@pytest.mark.parametrize(
    ("outcome", "redeemed"),
    [(Outcome.ENGINE_LOST, None), (Outcome.GPU_LOST, 7), (Outcome.EXIT_NONZERO, 7)],
)
def test_a_run_that_died_with_its_engine_is_not_charged_though_a_voucher_was_signed(
    outcome: Outcome, redeemed: int | None
) -> None:
    ended = ContainerEnded(Ran(outcome, -1, "gone", 5_100))
    lease = after(*RUNNING, (200, voucher(7)), (5_100, ended), REPORTED[-1])
    assert lease.phase is LeasePhase.REPORTED
    action = decide(lease, voucher(7, final=True), 5_300).actions[-1]
    assert isinstance(action, RedeemEscrow)
    held = action.voucher
    assert (held.cumulative_micro_usdc if held else None) == redeemed


def test_without_a_voucher_closed_is_the_end() -> None:
    assert decide(after(*REPORTED), Stored(3, 0, closed=True), 9).actions == (Forget(),)


def test_vouchers_are_redeemed_before_the_escrow_stops_paying_them() -> None:
    steps = (RUNNING[0], (100, ContainerRunning(100, claim_until_ms=20_000_000)))
    late_ms = 20_000_000 - execution.CLAIM_MARGIN_MS
    running = after(*steps, (200, voucher(7)), max_unpaid_ms=10**9)
    assert decide(running, Tick(), 200).actions == ()
    stopped = decide(running, Tick(), late_ms + 1)
    assert stopped.actions[0] == Kill(Outcome.EXPOSURE_EXHAUSTED)
    reported = after(*steps, (200, voucher(7)), *REPORTED[2:])
    assert decide(reported, Tick(), late_ms).lease.phase is LeasePhase.REPORTED
    claiming = decide(reported, Tick(), late_ms + 1)
    assert isinstance(claiming.actions[-1], RedeemEscrow)


def test_a_paid_lease_is_not_kept_for_a_coordinator_that_never_comes_back() -> None:
    claimed = after(*REPORTED, (5_300, voucher(7, final=True)), (5_400, ClaimConfirmed("2" * 88)))
    assert decide(claimed, Tick(), execution.SETTLE_LIMIT_MS).lease.phase is LeasePhase.CLAIMING
    late_ms = 5_301 + execution.SETTLE_LIMIT_MS
    assert decide(claimed, Tick(), late_ms).actions == (Forget(),)


def test_a_lease_that_never_started_is_not_kept_for_a_day() -> None:
    lease = after((1, StopReceived(Outcome.CANCELLED)))
    assert decide(lease, Tick(), execution.UNSTARTED_LIMIT_MS).lease.phase is LeasePhase.REPORTED
    assert decide(lease, Tick(), execution.UNSTARTED_LIMIT_MS + 2).actions == (Forget(),)


def test_a_lease_stopped_before_its_start_gives_up_its_escrow_when_it_hears_of_it() -> None:
    lease = after((1, StopReceived(Outcome.CANCELLED)))
    funded = Funded(LEASE_ID, ADDRESS, ADDRESS, ADDRESS)
    told = decide(lease, FundedReceived(funded), 5)
    assert told == LeaseDecision(replace(lease, funded=funded))
    other = replace(funded, client=person("another").address)
    assert decide(told.lease, FundedReceived(other), 5).lease == told.lease
    assert decide(told.lease, Tick(), execution.UNSTARTED_LIMIT_MS + 2).lease == told.lease
    closing = decide(told.lease, voucher(0, final=True), 6)
    assert closing.lease.phase is LeasePhase.CLAIMING
    assert isinstance(closing.actions[-1], RedeemEscrow)


def test_a_final_voucher_that_is_heard_before_its_escrow_waits_for_it() -> None:
    lease = after((1, StopReceived(Outcome.CANCELLED)))
    early = decide(lease, voucher(0, final=True), 5)
    assert (early.lease.phase, early.actions) == (LeasePhase.REPORTED, ())
    funded = FundedReceived(Funded(LEASE_ID, ADDRESS, ADDRESS, ADDRESS))
    closing = decide(early.lease, funded, 6)
    assert closing.lease.phase is LeasePhase.CLAIMING
    assert isinstance(closing.actions[-1], RedeemEscrow)
    assert decide(closing.lease, funded, 7).lease == closing.lease


def test_a_lease_that_runs_is_not_told_of_another_escrow() -> None:
    funded = FundedReceived(Funded(LEASE_ID, ADDRESS, ADDRESS, person("another").address))
    for lease in (after(), after(*RUNNING), after(*REPORTED)):
        assert decide(lease, funded, 9_000).lease == lease


SPOT = replace(execution.accept(AWARD, "coordinator", 60_000, 0), reclaim_window_s=30)


def spot(*steps: tuple[int, LeaseEvent]) -> NodeLease:
    lease = SPOT
    for now_ms, event in steps:
        lease = decide(lease, event, now_ms).lease
    return lease


def test_a_reclaimed_job_is_warned_and_stopped_when_its_window_is_over() -> None:
    lease = spot(*RUNNING)
    decision = decide(lease, Reclaim(), 10_000)
    assert decision.actions == (SendEvents(), Warn(40_000))
    lease = decision.lease
    assert [event.kind for event in lease.events] == [*STORY[:2], EventKind.RECLAIMED]
    assert (lease.is_reclaimable, lease.stops_at_ms) == (False, 40_000)
    # Killed meanwhile, it is warned again; asked again, it is not.
    assert Warn(40_000) in due(lease)
    assert decide(lease, Reclaim(), 20_000).actions == ()
    lease = decide(lease, Tick(), 39_999).lease
    assert lease.phase is LeasePhase.RUNNING
    decision = decide(lease, Tick(), 40_000)
    assert Kill(Outcome.PREEMPTED) in decision.actions
    lease = decide(
        decision.lease, ContainerEnded(Ran(Outcome.EXIT_NONZERO, 137, "", 40_100)), 40_200
    ).lease
    lease = decide(lease, COLLECTED, 40_300).lease
    result = lease.events[-1].result
    assert result is not None
    assert (result.outcome, result.metered_ms) == (Outcome.PREEMPTED, 40_000)


@pytest.mark.parametrize(
    ("ended", "counts_as"),
    [
        (Outcome.COMPLETED, Outcome.COMPLETED),
        (Outcome.EXIT_NONZERO, Outcome.PREEMPTED),
        (Outcome.MEMORY_EXCEEDED, Outcome.MEMORY_EXCEEDED),
    ],
)
def test_what_a_warned_job_came_to_by_itself(ended: Outcome, counts_as: Outcome) -> None:
    lease = spot(*RUNNING, (10_000, Reclaim()), (20_000, ContainerEnded(Ran(ended, 1, "", 20_000))))
    assert lease.ran is not None
    assert lease.ran.outcome is counts_as


def test_a_lease_that_does_not_run_yet_is_reclaimed_at_once() -> None:
    reported = spot((1, Reclaim()))
    result = reported.events[-1].result
    assert result is not None
    assert (reported.phase, result.outcome) == (LeasePhase.REPORTED, Outcome.PREEMPTED)
    stopping = spot((1, StartReceived(START)), (2, Reclaim()))
    assert (stopping.phase, stopping.stop_reason) == (LeasePhase.STOPPING, Outcome.PREEMPTED)


def test_an_ordinary_lease_is_never_reclaimed() -> None:
    for steps in ((), RUNNING[:1], RUNNING):
        lease = after(*steps)
        assert not lease.is_reclaimable
        assert decide(lease, Reclaim(), 10_000) == execution.LeaseDecision(lease)
