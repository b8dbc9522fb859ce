"""The node's side of one lease: stored state and an event in, new state and actions out.

No I/O, no clock. The shell (the node's executor, or the simulator) journals the new state first,
then performs the actions and feeds back what happened. `due` names what a lease in a given state
still needs, so that a restarted node asks it for every lease in its journal and goes on.
"""

from dataclasses import dataclass, replace

from . import snapshot_steps, snapshots, use_steps
from .errors import IllegalTransition
from .exposure import must_pause, voucher_due
from .faults import Outcome
from .fields import MAX_TEXT_CHARS
from .lease import (
    TRANSITIONS,
    ClaimConfirmed,
    Collect,
    Collected,
    ContainerEnded,
    ContainerRunning,
    Forget,
    FundedReceived,
    Kill,
    LeaseAction,
    LeaseEvent,
    NodeLease,
    Pause,
    Prepare,
    PrepareFailed,
    Ran,
    Reclaim,
    RedeemEscrow,
    Resume,
    SendClaimed,
    SendEvents,
    SendMeter,
    Served,
    SnapshotAsked,
    SnapshotEnded,
    StartReceived,
    StopReceived,
    Stored,
    Tick,
    VoucherReceived,
    Warn,
    Watch,
)
from .messages import (
    Accept,
    Award,
    Event,
    EventKind,
    Funded,
    Meter,
    Result,
    Start,
    VoucherMessage,
    outputs_travel,
)
from .money import cost_micro_usdc
from .offer import LeasePhase
from .serving import Use
from .serving_ahead import is_ahead

# A lease that was accepted but never started is dropped after this: the coordinator has long
# given it to another node (its own limits in `orchestration` are shorter).
ACCEPTED_LIMIT_MS = 3 * 3_600_000
# How long a paused container waits for a voucher before it is stopped.
PAUSE_LIMIT_MS = 3_600_000
# After its end is reported and no final voucher comes, the node redeems what it holds and closes.
SETTLE_LIMIT_MS = 24 * 3_600_000
# A lease that was stopped before its start message has no escrow that we know of: its end is told
# for so long, unless `funded` names one.
UNSTARTED_LIMIT_MS = 10 * 60_000
# What is signed is redeemed while this is left of the escrow's life: after it the chain pays nothing.
CLAIM_MARGIN_MS = 10 * 60_000


@dataclass(frozen=True, slots=True)
class LeaseDecision:
    """The state to journal, then the actions to perform in order."""

    lease: NodeLease
    actions: tuple[LeaseAction, ...] = ()


def agreement(award: Award, sealing_key: str = "") -> Accept:
    """The answer that takes an award."""
    return Accept(award.lease_id, award.hash(), sealing_key)


def accept(
    award: Award,
    coordinator: str,
    max_unpaid_ms: int,
    now_ms: int,
    sealing_key: str = "",
    reclaim_window_s: int = 0,
    *,
    may_pause: bool = True,
    serves: str = "",
    use: Use | None = None,
    max_unpaid_micro_usdc: int = 0,
) -> NodeLease:
    """A lease that this node has just accepted, and the key that inputs may be sealed to.

    Args:
        reclaim_window_s: as it was bid.
        may_pause: whether a job can be made to stand still here.
        serves: of a replica: which model; use: as it was demanded; max_unpaid_micro_usdc: how far a lease for use may be ahead of its vouchers.
    """
    return NodeLease(
        lease_id=award.lease_id,
        coordinator=coordinator,
        award=award,
        agreement_hash=agreement(award, sealing_key).hash(),
        max_unpaid_ms=max_unpaid_ms,
        phase=LeasePhase.ACCEPTED,
        since_ms=now_ms,
        sealing_key=sealing_key,
        reclaim_window_s=reclaim_window_s,
        may_pause=may_pause,
        serves=serves,
        use=use,
        max_unpaid_micro_usdc=max_unpaid_micro_usdc,
    )


def metered_ms(lease: NodeLease, now_ms: int) -> int:
    """Running time so far: from the engine's start to its end (or now), less the pauses."""
    if not lease.started_at_ms:
        return 0
    end_ms = lease.ran.finished_at_ms if lease.ran else (lease.paused_at_ms or now_ms)
    return max(0, end_ms - lease.started_at_ms - lease.paused_ms)


def decide(lease: NodeLease, event: LeaseEvent, now_ms: int) -> LeaseDecision:
    """One step. Repeated events change nothing.

    Raises:
        IllegalTransition: our own bug: a step that the table does not list.
    """
    decision = _decide(lease, event, now_ms)
    after = decision.lease.phase
    if after is not lease.phase and after not in TRANSITIONS[lease.phase]:
        raise IllegalTransition(f"{lease.lease_id}: {lease.phase} -> {after} on {event!r}")
    return decision


def due(lease: NodeLease) -> tuple[LeaseAction, ...]:
    """What a lease in this state needs done (again); every action is idempotent."""
    match lease.phase:
        case LeasePhase.PREPARING if lease.start:
            return (SendEvents(), Prepare(lease.start))
        case LeasePhase.RUNNING:
            return (
                SendEvents(),
                Resume(),
                *_warnings(lease),
                *snapshot_steps.wanted(lease),
                Watch(),
            )
        case LeasePhase.PAUSED:
            return (SendEvents(), Pause(), *_warnings(lease), Watch())
        case LeasePhase.STOPPING:
            return (SendEvents(), Kill(lease.stop_reason or Outcome.CANCELLED), Watch())
        case LeasePhase.COLLECTING:
            return (SendEvents(), Collect())
        case LeasePhase.REPORTED:
            return (SendEvents(),)
        case LeasePhase.CLAIMING if lease.claim_transaction:
            return (SendEvents(), SendClaimed(lease.claim_transaction))
        case LeasePhase.CLAIMING:
            return (SendEvents(), RedeemEscrow(_redeemed(lease)))
        case LeasePhase.CLOSED:
            return (Forget(),)
    return ()


def _decide(lease: NodeLease, event: LeaseEvent, now_ms: int) -> LeaseDecision:
    match event:
        case Tick():
            return _on_tick(lease, now_ms)
        case StartReceived(start):
            return _on_start(lease, start, now_ms)
        case FundedReceived(funded) if lease.phase is LeasePhase.REPORTED:
            return _on_funded(lease, funded, now_ms)
        case Reclaim() if lease.is_reclaimable:
            return _on_reclaim(lease, now_ms)
        case StopReceived(reason):
            return _on_stop(lease, reason, now_ms)
        case VoucherReceived(voucher):
            return _on_voucher(lease, voucher, now_ms)
        case Stored():
            return _on_stored(lease, event, now_ms)
        case PrepareFailed(outcome, message) if lease.phase is LeasePhase.PREPARING:
            ran = Ran(outcome, -1, message, now_ms)
            result = Result(outcome, -1, message[:MAX_TEXT_CHARS], 0)
            return _report(replace(lease, ran=ran), result, now_ms)
        case ContainerRunning(started_at_ms, claim_until_ms) if lease.phase is LeasePhase.PREPARING:
            lease = replace(lease, started_at_ms=started_at_ms, claim_until_ms=claim_until_ms)
            lease = _milestone(lease, EventKind.STARTED, now_ms)
            return LeaseDecision(_move(lease, LeasePhase.RUNNING, now_ms), (SendEvents(), Watch()))
        case ContainerEnded(ran):
            return _on_ended(lease, ran, now_ms)
        case SnapshotAsked():
            return LeaseDecision(snapshot_steps.on_asked(lease))
        case SnapshotEnded():
            return LeaseDecision(*snapshot_steps.on_ended(lease, event))
        case Served() if lease.phase is LeasePhase.RUNNING or is_ahead(lease):
            return LeaseDecision(use_steps.on_served(lease, event, metered_ms(lease, now_ms)))
        case Collected() if lease.phase is LeasePhase.COLLECTING:
            return _on_collected(lease, event, now_ms)
        case ClaimConfirmed(transaction) if lease.phase is LeasePhase.CLAIMING:
            if not transaction:
                return _close(lease, now_ms)
            lease = replace(lease, claim_transaction=transaction)
            return LeaseDecision(lease, (SendClaimed(transaction),))
    return LeaseDecision(lease)


def _on_start(lease: NodeLease, start: Start, now_ms: int) -> LeaseDecision:
    if lease.phase is not LeasePhase.ACCEPTED or start.lease_id != lease.lease_id:
        return LeaseDecision(lease)
    begun = snapshots.beginning(start.job.checkpoint, start.resumed)
    lease = replace(lease, start=start, snapshots=begun)
    if start.job.hash() != lease.award.job_hash:
        message = "the job is not the one that was auctioned"
        return _report(lease, Result(Outcome.CANCELLED, -1, message, 0), now_ms)
    if start.job.uses != (lease.use.replica if lease.use is not None else None):
        message = "the job is for the use of another replica than was agreed"
        return _report(lease, Result(Outcome.JOB_REFUSED, -1, message, 0), now_ms)
    lease = _milestone(lease, EventKind.PREPARING, now_ms)
    return LeaseDecision(_move(lease, LeasePhase.PREPARING, now_ms), (SendEvents(), Prepare(start)))


def _on_stop(lease: NodeLease, reason: Outcome, now_ms: int) -> LeaseDecision:
    match lease.phase:
        case LeasePhase.ACCEPTED:
            return _report(lease, Result(reason, -1, "stopped before it started", 0), now_ms)
        case LeasePhase.PREPARING | LeasePhase.RUNNING | LeasePhase.PAUSED:
            return _stop(lease, reason, now_ms)
    return LeaseDecision(lease)


def _on_funded(lease: NodeLease, funded: Funded, now_ms: int) -> LeaseDecision:
    if lease.escrow_named is not None:
        # Of a job that was started it says nothing new.
        return LeaseDecision(lease)
    lease = replace(lease, funded=funded)
    if lease.voucher is not None and lease.voucher.final:
        # The two are sent together, and may be heard in either order.
        return _claim(lease, now_ms)
    return LeaseDecision(lease)


def _on_reclaim(lease: NodeLease, now_ms: int) -> LeaseDecision:
    match lease.phase:
        case LeasePhase.ACCEPTED:
            message = _STOP_WORDS[Outcome.PREEMPTED]
            return _report(lease, Result(Outcome.PREEMPTED, -1, message, 0), now_ms)
        case LeasePhase.PREPARING:
            # Nothing is lost yet, and nothing will be charged.
            return _stop(lease, Outcome.PREEMPTED, now_ms)
    lease = replace(lease, reclaimed_at_ms=now_ms, snapshots=snapshots.warned(lease.snapshots))
    lease = _milestone(lease, EventKind.RECLAIMED, now_ms)
    return LeaseDecision(lease, (SendEvents(), *_warnings(lease)))


def _warnings(lease: NodeLease) -> tuple[LeaseAction, ...]:
    return (Warn(lease.stops_at_ms),) if lease.reclaimed_at_ms else ()


def _on_tick(lease: NodeLease, now_ms: int) -> LeaseDecision:
    waited_ms = now_ms - lease.since_ms
    award = lease.award
    match lease.phase:
        case LeasePhase.ACCEPTED if waited_ms > ACCEPTED_LIMIT_MS:
            return _close(lease, now_ms)
        case LeasePhase.RUNNING if lease.use is not None:
            return _on_use_tick(lease, lease.use, now_ms)
        case LeasePhase.RUNNING | LeasePhase.PAUSED if _escrow_ends(lease, now_ms):
            return _stop(lease, Outcome.EXPOSURE_EXHAUSTED, now_ms)
        case LeasePhase.RUNNING | LeasePhase.PAUSED if 0 < lease.stops_at_ms <= now_ms:
            return _stop(lease, Outcome.PREEMPTED, now_ms)
        case LeasePhase.RUNNING:
            run_ms = metered_ms(lease, now_ms)
            if run_ms > award.timeout_s * 1000:
                return _stop(lease, Outcome.TIME_EXCEEDED, now_ms)
            price = award.price_micro_usdc_per_hour
            if must_pause(price, run_ms, lease.held_micro_usdc, lease.max_unpaid_ms):
                if not lease.may_pause:
                    return _stop(lease, Outcome.EXPOSURE_EXHAUSTED, now_ms)
                lease = replace(lease, paused_at_ms=now_ms)
                meter = _meter(lease, now_ms)
                return LeaseDecision(
                    _move(lease, LeasePhase.PAUSED, now_ms), (Pause(), SendMeter(meter))
                )
            if voucher_due(run_ms, lease.covered_ms, award.voucher_interval_s):
                meter = _meter(lease, now_ms)
                return LeaseDecision(replace(lease, covered_ms=run_ms), (SendMeter(meter),))
            return LeaseDecision(*snapshot_steps.on_time(lease, run_ms))
        case LeasePhase.PAUSED:
            if waited_ms > PAUSE_LIMIT_MS:
                return _stop(lease, Outcome.EXPOSURE_EXHAUSTED, now_ms)
            return LeaseDecision(lease, (SendMeter(_meter(lease, now_ms)),))
        case LeasePhase.REPORTED if lease.escrow_named is None and waited_ms > UNSTARTED_LIMIT_MS:
            return _close(lease, now_ms)
        case LeasePhase.REPORTED if waited_ms > SETTLE_LIMIT_MS or _escrow_ends(lease, now_ms):
            # The coordinator is gone: what is signed is redeemed, the rest goes back to the client.
            return _claim(lease, now_ms)
        case LeasePhase.CLAIMING if lease.claim_transaction and waited_ms > SETTLE_LIMIT_MS:
            # Paid, and nobody is left to be told.
            return _close(lease, now_ms)
    return LeaseDecision(lease)


def _on_use_tick(lease: NodeLease, use: Use, now_ms: int) -> LeaseDecision:
    run_ms = metered_ms(lease, now_ms)
    why = use_steps.ending(lease, use, run_ms)
    if _escrow_ends(lease, now_ms):
        why = "its escrow is about to end"
    if why:
        return _stop(lease, Outcome.COMPLETED, now_ms, why)
    if use_steps.is_meter_due(lease, use, run_ms):
        lease = replace(lease, covered_ms=run_ms)
        return LeaseDecision(lease, (SendMeter(_meter(lease, now_ms)),))
    return LeaseDecision(lease)


def _on_voucher(lease: NodeLease, voucher: VoucherMessage, now_ms: int) -> LeaseDecision:
    held = lease.voucher
    if held is None or voucher.cumulative_micro_usdc > held.cumulative_micro_usdc:
        lease = replace(lease, voucher=voucher)
    link = voucher.link
    if link is not None and link.number >= lease.vouchers_linked:
        lease = replace(lease, vouchers_linked=link.number + 1, voucher_hash=voucher.hash())
    if lease.phase is LeasePhase.REPORTED and voucher.final and lease.escrow_named is not None:
        return _claim(lease, now_ms)
    if lease.phase is LeasePhase.PAUSED and lease.voucher is not None:
        owed = (
            cost_micro_usdc(lease.award.price_micro_usdc_per_hour, metered_ms(lease, now_ms))
            - lease.voucher.cumulative_micro_usdc
        )
        # Resume only when there is room to run again, so that it does not flap.
        room = cost_micro_usdc(lease.award.price_micro_usdc_per_hour, lease.max_unpaid_ms // 2)
        if owed <= room:
            paused_ms = lease.paused_ms + (now_ms - lease.paused_at_ms)
            lease = replace(lease, paused_at_ms=0, paused_ms=paused_ms)
            return LeaseDecision(_move(lease, LeasePhase.RUNNING, now_ms), (Resume(),))
    return LeaseDecision(lease)


def _on_stored(lease: NodeLease, stored: Stored, now_ms: int) -> LeaseDecision:
    lease = replace(
        lease,
        events_stored=min(max(lease.events_stored, stored.events), len(lease.events)),
        log_bytes_stored=max(lease.log_bytes_stored, stored.log_bytes),
        snapshots=snapshots.stored(lease.snapshots, stored.checkpoint),
    )
    if not stored.closed or lease.phase is LeasePhase.CLOSED:
        return LeaseDecision(lease)
    match lease.phase:
        case LeasePhase.REPORTED if lease.voucher and lease.voucher.cumulative_micro_usdc:
            # Its word alone is no reason to let a voucher go: the chain says whether it is paid.
            return _claim(lease, now_ms)
        case LeasePhase.CLAIMING if not lease.claim_transaction:
            return LeaseDecision(lease)
        case LeasePhase.REPORTED | LeasePhase.CLAIMING | LeasePhase.ACCEPTED:
            return _close(lease, now_ms)
        case LeasePhase.COLLECTING | LeasePhase.STOPPING:
            return LeaseDecision(lease)
    # Settled while we were away and still running: nothing more will be paid.
    return _stop(lease, Outcome.NODE_LOST, now_ms)


def _on_ended(lease: NodeLease, ran: Ran, now_ms: int) -> LeaseDecision:
    if lease.phase not in (LeasePhase.RUNNING, LeasePhase.PAUSED, LeasePhase.STOPPING):
        return LeaseDecision(lease)
    if lease.stop_reason is not None and ran.outcome is not Outcome.COMPLETED:
        words = lease.stop_words or _STOP_WORDS[lease.stop_reason]
        ran = replace(ran, outcome=lease.stop_reason, message=words)
    elif lease.reclaimed_at_ms and ran.outcome is Outcome.EXIT_NONZERO:
        # It was told to go, and went. What it has come to is for the next run to find out.
        ran = replace(ran, outcome=Outcome.PREEMPTED, message=_STOP_WORDS[Outcome.PREEMPTED])
    if lease.paused_at_ms:
        paused_ms = lease.paused_ms + max(0, ran.finished_at_ms - lease.paused_at_ms)
        lease = replace(lease, paused_at_ms=0, paused_ms=paused_ms)
    # The engine wrote it down by the clock as it was then.
    started_at_ms = (
        ran.started_at_ms and ran.started_at_ms + lease.stepped_ms
    ) or lease.started_at_ms
    lease = replace(
        lease, ran=ran, started_at_ms=started_at_ms, snapshots=snapshots.ended(lease.snapshots)
    )
    return LeaseDecision(_move(lease, LeasePhase.COLLECTING, now_ms), (Collect(),))


def _on_collected(lease: NodeLease, collected: Collected, now_ms: int) -> LeaseDecision:
    ran = lease.ran
    assert ran is not None, "collecting follows the end of the run"
    if not outputs_travel(collected.outputs):
        message = f"{len(collected.outputs)} output files with names too long to report: pack them"
        collected = replace(collected, outputs=(), refused=Outcome.OUTPUT_REFUSED, message=message)
    outcome, message = ran.outcome, ran.message
    if collected.refused is not None and outcome is Outcome.COMPLETED:
        outcome, message = collected.refused, collected.message
    result = Result(
        outcome=outcome,
        exit_code=ran.exit_code,
        message=message[:MAX_TEXT_CHARS],
        metered_ms=metered_ms(lease, now_ms),
        outputs=collected.outputs,
        logs_sha256=collected.logs_sha256,
        logs_bytes=collected.logs_bytes,
        memory_peak_bytes=ran.memory_peak_bytes,
        profile_hash=collected.profile_hash,
        voucher_hash=lease.voucher_hash,
        resumed=lease.start.resumed if lease.start else None,
        checkpoint=collected.checkpoint or lease.snapshots.last,
        network=collected.network,
        served=lease.served.most(collected.served) if lease.use is not None else None,
    )
    return _report(lease, result, now_ms)


_STOP_WORDS = {outcome: outcome.value.replace("_", " ") for outcome in Outcome} | {
    Outcome.CANCELLED: "cancelled by the coordinator",
    Outcome.TIME_EXCEEDED: "ran longer than its time limit",
    Outcome.PREEMPTED: "the node took its machine back",
    Outcome.EXPOSURE_EXHAUSTED: "no voucher came for too long, or the escrow was about to end",
}


def _stop(lease: NodeLease, reason: Outcome, now_ms: int, words: str = "") -> LeaseDecision:
    stopped = replace(lease, stop_reason=reason, stop_words=words)
    lease = _move(stopped, LeasePhase.STOPPING, now_ms)
    return LeaseDecision(lease, (Kill(reason), Watch()))


def _report(lease: NodeLease, result: Result, now_ms: int) -> LeaseDecision:
    lease = _milestone(lease, EventKind.FINISHED, now_ms, result)
    return LeaseDecision(_move(lease, LeasePhase.REPORTED, now_ms), (SendEvents(),))


def _escrow_ends(lease: NodeLease, now_ms: int) -> bool:
    return 0 < lease.claim_until_ms < now_ms + CLAIM_MARGIN_MS


def _redeemed(lease: NodeLease) -> VoucherMessage | None:
    """What is redeemed: nothing for a run that died with its engine, whatever was signed before (ADR 7)."""
    lost = lease.ran is not None and lease.ran.outcome is Outcome.ENGINE_LOST
    return None if lost else lease.voucher


def _claim(lease: NodeLease, now_ms: int) -> LeaseDecision:
    lease = _move(lease, LeasePhase.CLAIMING, now_ms)
    return LeaseDecision(lease, due(lease))


def _close(lease: NodeLease, now_ms: int) -> LeaseDecision:
    return LeaseDecision(_move(lease, LeasePhase.CLOSED, now_ms), (Forget(),))


def _milestone(
    lease: NodeLease, kind: EventKind, now_ms: int, result: Result | None = None
) -> NodeLease:
    previous = lease.events[-1].hash() if lease.events else lease.agreement_hash
    event = Event(lease.lease_id, len(lease.events), kind, now_ms, previous, result)
    return replace(lease, events=(*lease.events, event))


def _meter(lease: NodeLease, now_ms: int) -> Meter:
    run_ms = metered_ms(lease, now_ms)
    if lease.use is not None:
        return use_steps.meter_of(lease, lease.use, run_ms)
    cost = cost_micro_usdc(lease.award.price_micro_usdc_per_hour, run_ms)
    amount = min(cost, lease.award.max_cost_micro_usdc)
    return Meter(lease.lease_id, run_ms, amount, lease.voucher_hash)


def _move(lease: NodeLease, phase: LeasePhase, now_ms: int) -> NodeLease:
    return replace(lease, phase=phase, since_ms=now_ms)
