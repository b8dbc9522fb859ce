"""The coordinator's side of a task: stored state and an event in, new state and actions out.

No I/O, no clock. A shell (the coordinator's orchestrator, or the simulator) stores the new state
first, then performs the actions and feeds back what happened. Every action is idempotent, and
`due` names what a task in a given state still needs, so that a restarted coordinator just asks.

Unknown is not dead: a lease ends by its owner's cancel, its end, its time limit, or a silence
longer than the demand agreed to (`Demand.dead_after_s`). A restart of anything ends nothing.
"""

import hashlib
from dataclasses import dataclass, replace

from .deadlines import missed
from .demand import Demand, VerifyMode
from .errors import IllegalTransition
from .exposure import signable_micro_usdc
from .faults import CONSEQUENCES, Fault, Outcome
from .fields import PUNCTUAL_PERMILLE
from .job import Job
from .key_wait import KEY_MISSING, is_overdue, needs_key, with_key
from .messages import Result
from .money import cost_micro_usdc
from .needs import NOTHING, Needs
from .spread import Spread
from .task import (
    TERMINAL,
    TRANSITIONS,
    Abandon,
    Accepted,
    Action,
    AuctionClosed,
    Blame,
    CancelRequested,
    CheckOutputs,
    DependencyUnmet,
    Due,
    Ending,
    EscrowFailed,
    EscrowOpened,
    Event,
    Finished,
    Forgotten,
    HoldAuction,
    InputsFixed,
    Judged,
    KeySent,
    Lease,
    OpenEscrow,
    OutputsChecked,
    Phase,
    Refused,
    RunsBegun,
    SeekVerdict,
    SendAward,
    SendStart,
    SendStop,
    Settle,
    Started,
    Task,
    TurnCame,
)
from .verification import ANSWERS, UNVERIFIED, Verdict, Verification, replica_id

# A node answers an award within this, or the next bid gets it: it has only to look at what
# it holds and to write one row.
AWARD_ANSWER_MS = 2_000
# From accept to a running container: an image of 10 GB takes 4-10 minutes to pull.
START_LIMIT_MS = 30 * 60_000
# From the end of the run to outputs checked.
VERIFY_LIMIT_MS = 15 * 60_000
# How long the chain may be away while an escrow is to be opened: an hour is promised.
CHAIN_LIMIT_MS = 2 * 3_600_000
# How far beyond its time limit a run may go, by the wall clock, before it is told to stop, and
# before it counts as lost. The node keeps the limit itself, by metered time, which stands still
# while it waits up to an hour for our vouchers (`execution.PAUSE_LIMIT_MS`): a coordinator that was
# away for so long must not end the runs it comes back to.
OVERTIME_MS = 3_600_000 + 60_000
LOST_OVERTIME_MS = OVERTIME_MS + 600_000
# Leases that failed by no fault of the user's before the task is given up.
MAX_ATTEMPTS = 4
_BACKOFF_MS = (250, 500, 1_000, 2_000, 5_000, 10_000, 30_000)


@dataclass(frozen=True, slots=True)
class Decision:
    """What `decide` returns: the state to store, then the actions to perform in order."""

    task: Task
    actions: tuple[Action, ...] = ()


def submit(
    task_id: str,
    demand: Demand,
    now_ms: int,
    queue_timeout_ms: int,
    needs: Needs = NOTHING,
    *,
    runs_late: bool = False,
    verification: Verification = UNVERIFIED,
    spread: Spread | None = None,
    sealed: bool = False,
) -> Task:
    """A new task: queued, or waiting for what it needs. ``sealed``: see `key_wait`."""
    return Task(
        task_id,
        demand,
        Phase.WAITING if needs.task_ids else Phase.QUEUED,
        since_ms=now_ms,
        queue_timeout_ms=queue_timeout_ms,
        queue_until_ms=now_ms + queue_timeout_ms,
        needs=needs,
        runs_late=runs_late,
        verification=verification,
        verdict=Verdict.DUE if verification.mode is VerifyMode.QUORUM else Verdict.NONE,
        spread=spread,
        sealed=sealed,
    )


def replica(task: Task, number: int, now_ms: int) -> Task:
    """A further run of a task, 1 for the first: a task of its own that belongs to it."""
    demand = task.demand
    if task.verification.mode is VerifyMode.SPOT_CHECK:
        # What it checks has met its deadline, or missed it, already.
        demand = replace(demand, finish_by_ms=0)
    made = submit(
        replica_id(task.task_id, number),
        demand,
        now_ms,
        task.queue_timeout_ms,
        runs_late=task.runs_late,
        verification=task.verification,
    )
    return replace(made, belongs_to=task.task_id, verdict=Verdict.NONE)


def demand_of(task: Task) -> Demand:
    """The demand of the task's present auction, with its own id."""
    return replace(task.demand, demand_id=_derived_id("demand", task.task_id, task.auctions))


def _derived_id(prefix: str, task_id: str, number: int) -> str:
    # Derived, not random: a coordinator that crashed between storing and acting repeats the same
    # ids, so repeating is harmless.
    digest = hashlib.sha256(f"{prefix}:{task_id}:{number}".encode()).hexdigest()
    return f"{prefix}_{digest[:32]}"


def decide(task: Task, event: Event, now_ms: int) -> Decision:
    """One step. Events of other leases than the present one, and repeated events, change nothing.

    Raises:
        IllegalTransition: our own bug: a step that the table does not list.
    """
    decision = _decide(task, event, now_ms)
    after = decision.task.phase
    if after is not task.phase and after not in TRANSITIONS[task.phase]:
        raise IllegalTransition(f"{task.task_id}: {task.phase} -> {after} on {event!r}")
    if after in TERMINAL and task.phase not in TERMINAL:
        return _tell_group(decision)
    return decision


def _tell_group(decision: Decision) -> Decision:
    """One of a group's runs has ended: that may decide something, or end the others too."""
    task = decision.task
    mode = task.verification.mode
    if mode is VerifyMode.NONE:
        return decision
    if mode is VerifyMode.QUORUM and task.verdict in (Verdict.DUE, Verdict.PENDING):
        # It ended before the others could say anything of it.
        task = replace(task, verdict=Verdict.UNDECIDED)
    if mode is VerifyMode.SPOT_CHECK and not task.belongs_to:
        answered = task.result is not None and task.result.outcome in ANSWERS
        if not answered or task.phase is Phase.CANCELLED:
            return decision
        task = replace(task, verdict=Verdict.DUE)
    return Decision(task, (*decision.actions, SeekVerdict(task.group)))


def due(task: Task, now_ms: int) -> tuple[Action, ...]:
    """What a task in this state needs done (again) to get on; every action is idempotent."""
    lease = task.lease
    match task.phase:
        case Phase.MATCHING:
            return (HoldAuction(demand_of(task), task.excluded, task.owners_excluded),)
        case Phase.AWARDED if lease:
            return (SendAward(lease),)
        case Phase.STARTING if needs_key(task):
            return ()
        case Phase.STARTING if lease:
            start: Action = SendStart(lease) if lease.escrow_open else OpenEscrow(lease)
            return (SendStop(lease, Outcome.CANCELLED),) if task.cancel_requested else (start,)
        case Phase.RUNNING if lease and task.cancel_requested:
            return (SendStop(lease, Outcome.CANCELLED),)
        case Phase.VERIFYING if task.checked:
            return (SeekVerdict(task.group),)
        case Phase.VERIFYING if lease and task.result:
            return (CheckOutputs(lease, task.result),)
    return ()


def _decide(task: Task, event: Event, now_ms: int) -> Decision:
    if task.phase in TERMINAL:
        return _on_late_verdict(task, event)
    lease_id = getattr(event, "lease_id", None)
    if lease_id is not None and (task.lease is None or task.lease.lease_id != lease_id):
        return Decision(task)
    match event:
        case Due(heard_ms):
            return _on_due(task, heard_ms, now_ms)
        case TurnCame():
            if task.phase is Phase.QUEUED:
                task = replace(task, retry_at_ms=min(task.retry_at_ms, now_ms))
                return _on_due(task, now_ms, now_ms)
            return Decision(task)
        case CancelRequested():
            return _on_cancel(task, now_ms)
        case RunsBegun():
            if task.verdict is Verdict.DUE:
                task = replace(task, verdict=Verdict.PENDING)
            return Decision(task)
        case InputsFixed(job):
            return _on_inputs(task, job, now_ms)
        case DependencyUnmet(code, message):
            if task.phase is Phase.WAITING:
                return Decision(_end(task, Phase.FAILED, Ending(code, message), now_ms))
            return Decision(task)
        case AuctionClosed():
            return _on_auction(task, event, now_ms)
    lease = task.lease
    assert lease is not None, "the other events name the present lease"
    match event:
        case Accepted(_, sealing_key) if task.phase is Phase.AWARDED:
            if task.sealed and not sealing_key:
                return _next_candidate(task, f"{lease.node_id} named no sealing key", now_ms)
            task = _move(task, Phase.STARTING, now_ms)
            return Decision(task, due(task, now_ms))
        case KeySent(_, wrapped_key) if needs_key(task):
            task = with_key(task, wrapped_key)
            return Decision(task, due(task, now_ms))
        case Refused(_, code) if task.phase is Phase.AWARDED:
            return _next_candidate(task, f"{lease.node_id} refused: {code}", now_ms)
        case EscrowOpened() if task.phase is Phase.STARTING and not lease.escrow_open:
            lease = replace(lease, escrow_open=True, funded_at_ms=now_ms)
            task = replace(task, lease=lease)
            if task.cancel_requested:
                return Decision(task, (SendStop(lease, Outcome.CANCELLED),))
            return Decision(task, (SendStart(lease),))
        case EscrowFailed(_, message, of_client, of_node) if task.phase is Phase.STARTING:
            stop = SendStop(lease, Outcome.ESCROW_UNSEEN)
            if of_client:
                ending = Ending("INSUFFICIENT_CREDITS", message)
                return Decision(_end(task, Phase.FAILED, ending, now_ms), (stop,))
            outcome = Outcome.START_FAILED if of_node else Outcome.ESCROW_UNSEEN
            decision = _retry(task, outcome, message, now_ms)
            return Decision(decision.task, (stop, *decision.actions))
        # Only after the escrow: a start before it would let the node choose what it is paid from.
        case Started(_, at_ms) if task.phase is Phase.STARTING and lease.escrow_open:
            # A coordinator that was away hears of the start late, so the node's own time counts,
            # between the two moments that bound it.
            started_at_ms = min(max(at_ms, lease.funded_at_ms), now_ms)
            task = replace(task, lease=replace(lease, started_at_ms=started_at_ms))
            task = _move(task, Phase.RUNNING, now_ms)
            return Decision(task, due(task, now_ms))
        case Finished(_, result) if task.phase in (Phase.STARTING, Phase.RUNNING):
            return _on_finished(task, lease, result, now_ms)
        case Forgotten() if task.phase in (Phase.STARTING, Phase.RUNNING):
            message = "does not know the lease any more"
            return _lose(task, lease, Outcome.NODE_LOST, message, now_ms)
        case OutputsChecked(_, missing) if task.phase is Phase.VERIFYING and not task.checked:
            return _on_checked(task, lease, missing, now_ms)
        case Judged() if task.phase is Phase.VERIFYING and task.checked:
            return _on_judged(task, lease, event, now_ms)
    return Decision(task)


def _on_due(task: Task, heard_ms: int, now_ms: int) -> Decision:
    if missed(task, now_ms):
        if not task.runs_late:
            return _on_missed(task, now_ms)
        if task.phase in (Phase.WAITING, Phase.QUEUED):
            # Not during an auction: what nodes were asked stays what it is.
            task = replace(task, demand=replace(task.demand, finish_by_ms=0))
    waited_ms = now_ms - task.since_ms
    lease = task.lease
    match task.phase:
        case Phase.QUEUED | Phase.MATCHING if now_ms >= task.queue_until_ms:
            ending = Ending("NODE_UNAVAILABLE", task.last_explanation or "No node was found.")
            return Decision(_end(task, Phase.EXPIRED, ending, now_ms))
        case Phase.QUEUED if now_ms >= task.retry_at_ms:
            task = replace(task, auctions=task.auctions + 1, candidates=())
            task = _move(task, Phase.MATCHING, now_ms)
            return Decision(task, due(task, now_ms))
        case Phase.AWARDED if waited_ms > AWARD_ANSWER_MS and lease:
            return _next_candidate(task, f"{lease.node_id} did not answer", now_ms)
        case Phase.STARTING if lease and is_overdue(task, now_ms):
            stop = SendStop(lease, Outcome.CANCELLED)
            return Decision(_end(task, Phase.FAILED, KEY_MISSING, now_ms), (stop,))
        case Phase.STARTING | Phase.RUNNING if lease:
            silent_ms = now_ms - heard_ms
            if silent_ms > task.demand.dead_after_s * 1000:
                message = f"silent for {silent_ms // 1000} s"
                return _lose(task, lease, Outcome.NODE_LOST, message, now_ms)
            limit_ms = START_LIMIT_MS if lease.escrow_open else CHAIN_LIMIT_MS
            if task.phase is Phase.STARTING and waited_ms > limit_ms:
                return _lose(task, lease, Outcome.START_FAILED, "did not start in time", now_ms)
            overtime_ms = waited_ms - task.demand.timeout_s * 1000
            if task.phase is Phase.RUNNING and overtime_ms > LOST_OVERTIME_MS:
                return _lose(task, lease, Outcome.NODE_LOST, "did not end in time", now_ms)
            if task.phase is Phase.RUNNING and overtime_ms > OVERTIME_MS:
                return Decision(task, (SendStop(lease, Outcome.TIME_EXCEEDED),))
        case Phase.VERIFYING if waited_ms > VERIFY_LIMIT_MS and lease and not task.checked:
            return _lose(task, lease, Outcome.RESULT_INVALID, "outputs did not arrive", now_ms)
    return Decision(task, due(task, now_ms))


def _on_missed(task: Task, now_ms: int) -> Decision:
    """It could not end in time any more, and has cost nothing: the container does not run yet."""
    message = (
        f"It may run {task.demand.timeout_s} s, and so could not have ended by its deadline any more. "
        f"{task.last_explanation}"
    )
    gone: tuple[Action, ...] = ()
    if task.lease is not None:
        gone = (SendStop(task.lease, Outcome.CANCELLED), Settle(task.lease, 0))
    ending = Ending("DEADLINE_MISSED", message.strip())
    return Decision(_end(task, Phase.EXPIRED, ending, now_ms), gone)


def _on_cancel(task: Task, now_ms: int) -> Decision:
    ending = Ending("CANCELLED", "Cancelled by its owner.")
    match task.phase:
        case Phase.WAITING | Phase.QUEUED | Phase.MATCHING:
            return Decision(_end(task, Phase.CANCELLED, ending, now_ms))
        case Phase.AWARDED if task.lease:
            # The escrow is not open yet, so ending here costs nobody anything.
            stop = SendStop(task.lease, Outcome.CANCELLED)
            return Decision(_end(task, Phase.CANCELLED, ending, now_ms), (stop,))
        case Phase.STARTING | Phase.RUNNING if task.lease:
            task = replace(task, cancel_requested=True)
            return Decision(task, due(task, now_ms))
        case Phase.VERIFYING if (lease := task.lease) and task.result and task.checked:
            # It has run; that the others agree need not be known any more.
            cost = _cost(lease, task.result, now_ms)
            task = replace(task, cost_micro_usdc=cost)
            return Decision(_end(task, Phase.CANCELLED, ending, now_ms), (Settle(lease, cost),))
    return Decision(task)


def _on_inputs(task: Task, job: Job, now_ms: int) -> Decision:
    if task.phase is not Phase.WAITING:
        return Decision(task)
    demand = replace(
        task.demand,
        job_hash=job.hash(),
        input_bytes=sum(item.size_bytes for item in job.inputs),
    )
    # Only from now on does it wait for a node.
    task = replace(task, demand=demand, queue_until_ms=now_ms + task.queue_timeout_ms)
    due_runs = (SeekVerdict(task.group),) if task.verdict is Verdict.DUE else ()
    return Decision(_move(task, Phase.QUEUED, now_ms), due_runs)


def _on_auction(task: Task, event: AuctionClosed, now_ms: int) -> Decision:
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
    return _next_candidate(task, event.explanation, now_ms)


def _next_candidate(task: Task, why: str, now_ms: int) -> Decision:
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
        return Decision(_move(task, Phase.QUEUED, now_ms), stop)
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
    )
    task = replace(task, lease=lease, leases=task.leases + 1, candidates=tuple(rest))
    return Decision(_move(task, Phase.AWARDED, now_ms), (*stop, SendAward(lease)))


def _on_finished(task: Task, lease: Lease, result: Result, now_ms: int) -> Decision:
    task = replace(task, result=result)
    if result.outcome is Outcome.COMPLETED:
        return Decision(_move(task, Phase.VERIFYING, now_ms), (CheckOutputs(lease, result),))
    if task.awaits_verdict and result.outcome in ANSWERS and not task.cancel_requested:
        # That a program fails by itself is a result too; there are no files to wait for.
        task = _move(replace(task, checked=True), Phase.VERIFYING, now_ms)
        return Decision(task, due(task, now_ms))
    return _conclude(task, lease, result, now_ms)


def _conclude(task: Task, lease: Lease, result: Result, now_ms: int) -> Decision:
    """End as a run with this result ends, or try again; pay what it is owed."""
    consequence = CONSEQUENCES[result.outcome]
    cost = _cost(lease, result, now_ms) if consequence.charged else 0
    settle: Action = Settle(lease, cost)
    if consequence.retried and not task.cancel_requested:
        decision = _retry(task, result.outcome, result.message, now_ms)
        return Decision(decision.task, (settle, *decision.actions))
    task = replace(task, cost_micro_usdc=cost)
    if result.outcome is Outcome.COMPLETED:
        ending = Ending("COMPLETED", "", result.exit_code)
        return Decision(_end(task, Phase.COMPLETED, ending, now_ms), (settle,))
    if task.cancel_requested or result.outcome is Outcome.CANCELLED:
        ending = Ending("CANCELLED", "Cancelled by its owner.", result.exit_code)
        return Decision(_end(task, Phase.CANCELLED, ending, now_ms), (settle,))
    message = " ".join(part for part in (result.message, consequence.advice) if part)
    ending = Ending(result.outcome.value.upper(), message, result.exit_code)
    return Decision(_end(task, Phase.FAILED, ending, now_ms), (settle,))


def _on_checked(task: Task, lease: Lease, missing: str, now_ms: int) -> Decision:
    result = task.result
    assert result is not None, "verifying holds a result"
    if missing:
        decision = _retry(task, Outcome.RESULT_INVALID, missing, now_ms)
        return Decision(decision.task, (Settle(lease, 0), *decision.actions))
    if task.awaits_verdict:
        task = replace(task, checked=True)
        return Decision(task, due(task, now_ms))
    return _conclude(task, lease, result, now_ms)


def _on_judged(task: Task, lease: Lease, judged: Judged, now_ms: int) -> Decision:
    """The group has decided: pay who agrees, and whom nobody could refute."""
    result = task.result
    assert result is not None, "a checked task holds a result"
    task = replace(task, verdict=judged.verdict)
    if judged.verdict is Verdict.AGREED:
        return _conclude(task, lease, result, now_ms)
    if judged.verdict is Verdict.UNDECIDED:
        cost = _cost(lease, result, now_ms)
        ending = Ending("VERIFICATION_UNDECIDED", judged.reason, result.exit_code)
        task = replace(task, cost_micro_usdc=cost)
        return Decision(_end(task, Phase.FAILED, ending, now_ms), (Settle(lease, cost),))
    unpaid = Settle(lease, 0)
    if judged.result is None:
        ending = Ending("RESULT_REFUTED", judged.reason, result.exit_code)
        return Decision(_end(task, Phase.FAILED, ending, now_ms), (unpaid,))
    # The task's own run was the wrong one: it ends with what the others came to.
    task = replace(task, result=judged.result, result_of=judged.result_of)
    decision = _conclude(task, lease, judged.result, now_ms)
    return Decision(replace(decision.task, cost_micro_usdc=0), (unpaid,))


def _on_late_verdict(task: Task, event: Event) -> Decision:
    """A task that was paid at once may still be checked: that changes what is said of it."""
    if isinstance(event, Judged) and task.verdict in (Verdict.DUE, Verdict.PENDING):
        return Decision(replace(task, verdict=event.verdict))
    return Decision(task)


def _lose(task: Task, lease: Lease, outcome: Outcome, message: str, now_ms: int) -> Decision:
    """The node is given up: take the money back and try another, unless the owner cancelled."""
    gone: tuple[Action, ...] = (SendStop(lease, outcome), Abandon(lease))
    if task.cancel_requested:
        ending = Ending("CANCELLED", f"Cancelled by its owner; the node was {message}.")
        return Decision(_end(task, Phase.CANCELLED, ending, now_ms), gone)
    decision = _retry(task, outcome, message, now_ms)
    return Decision(decision.task, (*gone, *decision.actions))


def _retry(task: Task, outcome: Outcome, message: str, now_ms: int) -> Decision:
    """Back to auction without this node, or give up after ``MAX_ATTEMPTS``."""
    assert task.lease is not None, "only a leased task is retried"
    if task.cancel_requested:
        ending = Ending("CANCELLED", "Cancelled by its owner.")
        return Decision(_end(task, Phase.CANCELLED, ending, now_ms))
    blame = Blame(task.lease, outcome)
    attempts = task.attempts + 1
    excluded = (*task.excluded, task.lease.node_id)
    if CONSEQUENCES[outcome].fault is Fault.INFRASTRUCTURE:
        excluded = task.excluded
    if attempts >= MAX_ATTEMPTS:
        ending = Ending(outcome.value.upper(), f"Given up after {attempts} attempts: {message}")
        task = _end(replace(task, attempts=attempts), Phase.FAILED, ending, now_ms)
        return Decision(task, (blame,))
    task = replace(
        task,
        attempts=attempts,
        excluded=excluded,
        candidates=(),
        lease=None,
        result=None,
        checked=False,
        retry_at_ms=now_ms,
        # Waiting for a node starts anew: the time it ran was not spent in the queue.
        queue_until_ms=now_ms + task.queue_timeout_ms,
        last_explanation=message,
    )
    return Decision(_move(task, Phase.QUEUED, now_ms), (blame,))


def _cost(lease: Lease, result: Result, now_ms: int) -> int:
    if not lease.started_at_ms:
        return 0
    return signable_micro_usdc(
        lease.price_micro_usdc_per_hour,
        lease.max_cost_micro_usdc,
        result.metered_ms,
        now_ms - lease.started_at_ms,
    )


def _move(task: Task, phase: Phase, now_ms: int) -> Task:
    return replace(task, phase=phase, since_ms=now_ms)


def _end(task: Task, phase: Phase, ending: Ending, now_ms: int) -> Task:
    return replace(_move(task, phase, now_ms), ending=ending)
