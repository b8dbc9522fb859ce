"""The coordinator's side of a task: stored state and an event in, new state and actions out.

No I/O, no clock. A shell (the coordinator's orchestrator, or the simulator) stores the new state
first, then performs the actions and feeds back what happened. Every action is idempotent, and
`due` names what a task in a given state still needs, so that a restarted coordinator just asks.

Unknown is not dead: a lease ends by its owner's cancel, its end, its time limit, or a silence
longer than the demand agreed to (`Demand.dead_after_s`). A restart of anything ends nothing.
"""

from dataclasses import replace

from . import gang_steps, resuming
from .awarding import auction_closed, demand_of, next_candidate
from .charging import abandon, leave_unpaid, settle
from .deadlines import missed
from .demand import VerifyMode
from .endings import conclude, cost_of, end, lose, outputs_checked, retry, verdict_reached
from .errors import IllegalTransition
from .faults import Outcome
from .job import Job
from .key_wait import KEY_MISSING, is_overdue, needs_key, with_key
from .messages import Result
from .preemption import as_agreed, excluded_at, noticed
from .task import TERMINAL, TRANSITIONS, Ending, Lease, Phase, Task, move
from .task_actions import (
    Action,
    CheckOutputs,
    Decision,
    HoldAuction,
    OpenEscrow,
    SeekVerdict,
    SendAward,
    SendStart,
    SendStop,
    Settle,
)
from .task_events import (
    Accepted,
    AttemptOver,
    AuctionClosed,
    BegunAgain,
    CancelRequested,
    CheckpointKept,
    ComparisonBegun,
    CutOff,
    DependencyUnmet,
    Disbanded,
    Dismissed,
    Due,
    EscrowFailed,
    EscrowOpened,
    Event,
    Finished,
    Forgotten,
    InputsFixed,
    Judged,
    KeySent,
    LeftUnpaid,
    OutputsChecked,
    Reclaimed,
    Refused,
    RunsBegun,
    Seated,
    StageReached,
    Started,
    TurnCame,
)
from .verification import ANSWERS, Verdict

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
CUT_OFF = Ending(
    "CANCELLED",
    "The coordinator was restored from a backup that is older than this task's end. It may have run "
    "and been paid since; submit it again if it has not.",
)


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
            return (HoldAuction(demand_of(task), excluded_at(task, now_ms), task.owners_excluded),)
        case Phase.AWARDED if lease:
            return (SendAward(lease),)
        case Phase.STARTING if needs_key(task):
            return ()
        case Phase.STARTING if lease and task.membership:
            return gang_steps.due_starting(task)
        case Phase.STARTING if lease:
            start: Action = SendStart(lease) if lease.escrow_open else OpenEscrow(lease)
            return (SendStop(lease, Outcome.CANCELLED),) if task.cancel_requested else (start,)
        case Phase.RUNNING if lease and (task.cancel_requested or gang_steps.stops(task)):
            return (SendStop(lease, Outcome.CANCELLED),)
        case Phase.VERIFYING if task.checked:
            return (SeekVerdict(task.group),) if task.awaits_verdict else ()
        case Phase.VERIFYING if lease and task.result:
            return (CheckOutputs(lease, task.result),)
    return ()


def _decide(task: Task, event: Event, now_ms: int) -> Decision:
    if isinstance(event, ComparisonBegun):
        return Decision(replace(task, comparisons=task.comparisons + 1))
    if isinstance(event, LeftUnpaid):
        return Decision(leave_unpaid(task, event.micro_usdc))
    if isinstance(event, CutOff):
        return _on_cut_off(task, now_ms)
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
                return Decision(end(task, Phase.FAILED, Ending(code, message), now_ms))
            return Decision(task)
        case AuctionClosed():
            return auction_closed(task, event, now_ms)
        case Seated() | StageReached() | AttemptOver() | Dismissed() | BegunAgain() | Disbanded():
            return gang_steps.follow(task, event, now_ms)
    lease = task.lease
    assert lease is not None, "the other events name the present lease"
    match event:
        case Accepted(_, sealing_key) if task.phase is Phase.AWARDED:
            if task.sealed and not sealing_key:
                return next_candidate(task, f"{lease.node_id} named no sealing key", now_ms)
            task = move(task, Phase.STARTING, now_ms)
            return Decision(task, due(task, now_ms))
        case KeySent(_, wrapped_key) if needs_key(task):
            task = with_key(task, wrapped_key)
            return Decision(task, due(task, now_ms))
        case Refused(_, code) if task.phase is Phase.AWARDED:
            return next_candidate(task, f"{lease.node_id} refused: {code}", now_ms)
        case EscrowOpened() if task.phase is Phase.STARTING and not lease.escrow_open:
            lease = replace(lease, escrow_open=True, funded_at_ms=now_ms)
            task = replace(task, lease=lease)
            return Decision(task, due(task, now_ms))
        case EscrowFailed(_, message, of_client, of_node) if task.phase is Phase.STARTING:
            stop = SendStop(lease, Outcome.ESCROW_UNSEEN)
            if of_client:
                ending = Ending("INSUFFICIENT_CREDITS", message)
                return Decision(end(task, Phase.FAILED, ending, now_ms), (stop,))
            outcome = Outcome.START_FAILED if of_node else Outcome.ESCROW_UNSEEN
            decision = retry(task, outcome, message, now_ms)
            return Decision(decision.task, (stop, *decision.actions))
        # Only after the escrow: a start before it would let the node choose what it is paid from.
        case Started(_, at_ms) if task.phase is Phase.STARTING and lease.escrow_open:
            # A coordinator that was away hears of the start late, so the node's own time counts,
            # between the two moments that bound it.
            started_at_ms = min(max(at_ms, lease.funded_at_ms), now_ms)
            task = replace(task, lease=replace(lease, started_at_ms=started_at_ms))
            task = move(task, Phase.RUNNING, now_ms)
            return Decision(task, due(task, now_ms))
        case Reclaimed(_, at_ms) if task.phase is Phase.RUNNING:
            return Decision(noticed(task, lease, at_ms, now_ms))
        case CheckpointKept(_, checkpoint) if task.phase is Phase.RUNNING:
            return Decision(resuming.keep(task, lease.lease_id, checkpoint, now_ms))
        case Finished(_, result, checkpoint) if task.phase in (Phase.STARTING, Phase.RUNNING):
            if checkpoint is not None:
                task = resuming.keep(task, lease.lease_id, checkpoint, now_ms)
            return _on_finished(task, lease, result, now_ms)
        case Forgotten() if task.phase in (Phase.STARTING, Phase.RUNNING):
            message = "does not know the lease any more"
            return lose(task, lease, Outcome.NODE_LOST, message, now_ms)
        case OutputsChecked(_, missing) if task.phase is Phase.VERIFYING and not task.checked:
            if task.membership is not None and not missing:
                return gang_steps.kept(task, now_ms)
            return outputs_checked(task, lease, missing, now_ms)
        case Judged() if task.phase is Phase.VERIFYING and task.checked:
            return verdict_reached(task, lease, event, now_ms)
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
            return Decision(end(task, Phase.EXPIRED, ending, now_ms))
        case Phase.QUEUED if now_ms >= task.retry_at_ms:
            task = replace(task, auctions=task.auctions + 1, candidates=())
            task = move(task, Phase.MATCHING, now_ms)
            return Decision(task, due(task, now_ms))
        case Phase.AWARDED if waited_ms > AWARD_ANSWER_MS and lease:
            return next_candidate(task, f"{lease.node_id} did not answer", now_ms)
        case Phase.STARTING if lease and is_overdue(task, now_ms):
            stop = SendStop(lease, Outcome.CANCELLED)
            return Decision(end(task, Phase.FAILED, KEY_MISSING, now_ms), (stop,))
        case Phase.STARTING | Phase.RUNNING if lease:
            silent_ms = now_ms - heard_ms
            if silent_ms > task.demand.dead_after_s * 1000:
                message = f"silent for {silent_ms // 1000} s"
                return lose(task, lease, Outcome.NODE_LOST, message, now_ms)
            waits_for_chain = not lease.escrow_open or gang_steps.waits_for_others(task)
            limit_ms = CHAIN_LIMIT_MS if waits_for_chain else START_LIMIT_MS
            if task.phase is Phase.STARTING and waited_ms > limit_ms:
                return lose(task, lease, Outcome.START_FAILED, "did not start in time", now_ms)
            overtime_ms = waited_ms - task.demand.timeout_s * 1000
            if task.phase is Phase.RUNNING and overtime_ms > LOST_OVERTIME_MS:
                return lose(task, lease, Outcome.NODE_LOST, "did not end in time", now_ms)
            if task.phase is Phase.RUNNING and overtime_ms > OVERTIME_MS:
                return Decision(task, (SendStop(lease, Outcome.TIME_EXCEEDED),))
        case Phase.VERIFYING if waited_ms > VERIFY_LIMIT_MS and lease and not task.checked:
            return lose(task, lease, Outcome.RESULT_INVALID, "outputs did not arrive", now_ms)
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
    return Decision(end(task, Phase.EXPIRED, ending, now_ms), gone)


def _on_cancel(task: Task, now_ms: int) -> Decision:
    ending = Ending("CANCELLED", "Cancelled by its owner.")
    match task.phase:
        case Phase.WAITING | Phase.QUEUED | Phase.MATCHING:
            return Decision(end(task, Phase.CANCELLED, ending, now_ms))
        case Phase.AWARDED if task.lease:
            # The escrow is not open yet, so ending here costs nobody anything.
            stop = SendStop(task.lease, Outcome.CANCELLED)
            return Decision(end(task, Phase.CANCELLED, ending, now_ms), (stop,))
        case Phase.STARTING | Phase.RUNNING if task.lease:
            task = replace(task, cancel_requested=True)
            return Decision(task, due(task, now_ms))
        case Phase.VERIFYING if task.membership is not None:
            return Decision(replace(task, cancel_requested=True))
        case Phase.VERIFYING if (lease := task.lease) and task.result and task.checked:
            # It has run; that the others agree need not be known any more.
            task, paid = settle(task, lease, cost_of(lease, task.result, now_ms))
            return Decision(end(task, Phase.CANCELLED, ending, now_ms), (paid,))
    return Decision(task)


def _on_cut_off(task: Task, now_ms: int) -> Decision:
    """It is never run again, nor checked again: either might be paid a second time."""
    if task.verdict in (Verdict.DUE, Verdict.PENDING):
        task = replace(task, verdict=Verdict.UNDECIDED)
    if task.phase in TERMINAL:
        return Decision(task)
    gone: tuple[Action, ...] = ()
    if task.lease is not None:
        # What is signed can be redeemed; beyond that only by vouchers that the node holds already.
        task, taken_back = abandon(task, task.lease)
        gone = (taken_back,)
    return Decision(end(task, Phase.CANCELLED, CUT_OFF, now_ms), gone)


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
    return Decision(move(task, Phase.QUEUED, now_ms), due_runs)


def _on_finished(task: Task, lease: Lease, result: Result, now_ms: int) -> Decision:
    result = as_agreed(lease, result)
    if task.membership is not None and gang_steps.is_kept(task, result):
        return gang_steps.finished(task, lease, result, now_ms)
    task = replace(task, result=result)
    if result.outcome is Outcome.COMPLETED:
        return Decision(move(task, Phase.VERIFYING, now_ms), (CheckOutputs(lease, result),))
    if task.awaits_verdict and result.outcome in ANSWERS and not task.cancel_requested:
        # That a program fails by itself is a result too; there are no files to wait for.
        task = move(replace(task, checked=True), Phase.VERIFYING, now_ms)
        return Decision(task, due(task, now_ms))
    return conclude(task, lease, result, now_ms)


def _on_late_verdict(task: Task, event: Event) -> Decision:
    """A task that was paid at once may still be checked: that changes what is said of it."""
    if isinstance(event, Judged) and task.verdict in (Verdict.DUE, Verdict.PENDING):
        return Decision(replace(task, verdict=event.verdict))
    return Decision(task)
