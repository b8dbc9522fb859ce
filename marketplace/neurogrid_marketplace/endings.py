"""How a run ends, what it costs, and whether the task ends with it or tries again."""

from dataclasses import replace

from .charging import abandon, settle
from .exposure import signable_for_use_micro_usdc, signable_micro_usdc
from .faults import CONSEQUENCES, Fault, Outcome
from .gang_seats import leave
from .membership import Left
from .messages import Result
from .preemption import given_up, preempted
from .task import Ending, Lease, Phase, Task, move
from .task_actions import Action, Blame, Decision, SeekVerdict, SendStop, Settle
from .task_events import Judged
from .verification import Verdict

# Leases that failed by no fault of the user's before the task is given up.
MAX_ATTEMPTS = 4


def conclude(task: Task, lease: Lease, result: Result, now_ms: int) -> Decision:
    """End as a run with this result ends, or try again; pay what it is owed."""
    consequence = CONSEQUENCES[result.outcome]
    # What was used was used, however the lease ends.
    charged = consequence.charged or lease.counts_use
    cost = cost_of(lease, result, now_ms) if charged else 0
    task, paid = settle(task, lease, cost)
    if result.outcome is Outcome.PREEMPTED and not task.cancel_requested:
        return _preempted(task, paid, now_ms)
    if consequence.retried and not task.cancel_requested:
        decision = retry(task, result.outcome, result.message, now_ms)
        return Decision(decision.task, (paid, *decision.actions))
    if result.outcome is Outcome.COMPLETED:
        ending = Ending("COMPLETED", "", result.exit_code)
        return Decision(end(task, Phase.COMPLETED, ending, now_ms), (paid,))
    if task.cancel_requested or result.outcome is Outcome.CANCELLED:
        ending = Ending("CANCELLED", "Cancelled by its owner.", result.exit_code)
        return Decision(end(task, Phase.CANCELLED, ending, now_ms), (paid,))
    message = " ".join(part for part in (result.message, consequence.advice) if part)
    ending = Ending(result.outcome.value.upper(), message, result.exit_code)
    return Decision(end(task, Phase.FAILED, ending, now_ms), (paid,))


def outputs_checked(task: Task, lease: Lease, missing: str, now_ms: int) -> Decision:
    """A completed run's files are here, or one is not (``missing`` says which)."""
    result = task.result
    assert result is not None, "verifying holds a result"
    if missing:
        task, unpaid = settle(task, lease, 0)
        decision = retry(task, Outcome.RESULT_INVALID, missing, now_ms)
        return Decision(decision.task, (unpaid, *decision.actions))
    if task.awaits_verdict:
        return Decision(replace(task, checked=True), (SeekVerdict(task.group),))
    return conclude(task, lease, result, now_ms)


def verdict_reached(task: Task, lease: Lease, judged: Judged, now_ms: int) -> Decision:
    """The group has decided: pay everybody but who was refuted."""
    result = task.result
    assert result is not None, "a checked task holds a result"
    task = replace(task, verdict=judged.verdict)
    if judged.verdict is Verdict.AGREED:
        return conclude(task, lease, result, now_ms)
    if judged.verdict is Verdict.UNDECIDED:
        ending = Ending("VERIFICATION_UNDECIDED", judged.reason, result.exit_code)
        task, paid = settle(task, lease, cost_of(lease, result, now_ms))
        return Decision(end(task, Phase.FAILED, ending, now_ms), (paid,))
    if judged.verdict is Verdict.OUTVOTED and judged.result is None:
        return conclude(task, lease, result, now_ms)
    owed = cost_of(lease, result, now_ms) if judged.verdict is Verdict.OUTVOTED else 0
    charged, paid = settle(task, lease, owed)
    if judged.result is None:
        ending = Ending("RESULT_REFUTED", judged.reason, result.exit_code)
        return Decision(end(charged, Phase.FAILED, ending, now_ms), (paid,))
    # The task's own run was the wrong one: it ends with what the others came to.
    task = replace(task, result=judged.result, result_of=judged.result_of)
    decision = conclude(task, lease, judged.result, now_ms)
    ended = replace(decision.task, cost_micro_usdc=charged.cost_micro_usdc)
    return Decision(ended, (paid,))


def lose(task: Task, lease: Lease, outcome: Outcome, message: str, now_ms: int) -> Decision:
    """The node is given up: take the money back and try another, unless the owner cancelled."""
    task, taken_back = abandon(task, lease)
    gone: tuple[Action, ...] = (SendStop(lease, outcome), taken_back)
    if task.cancel_requested:
        ending = Ending("CANCELLED", f"Cancelled by its owner; the node was {message}.")
        return Decision(end(task, Phase.CANCELLED, ending, now_ms), gone)
    decision = retry(task, outcome, message, now_ms)
    return Decision(decision.task, (*gone, *decision.actions))


def _preempted(task: Task, paid: Settle, now_ms: int) -> Decision:
    """Back to auction, for nobody's fault, while its runs have been reclaimed no more than so often."""
    lease = task.lease
    assert lease is not None, "it ran"
    task = preempted(task, paid.cumulative_micro_usdc, now_ms)
    ending = given_up(task)
    if ending is not None:
        return Decision(end(task, Phase.FAILED, ending, now_ms), (paid,))
    words = f"{lease.node_id} took its machine back"
    return Decision(_requeued(task, words, now_ms), (paid,))


def retry(task: Task, outcome: Outcome, message: str, now_ms: int) -> Decision:
    """Back to auction without this node, or give up after ``MAX_ATTEMPTS``."""
    assert task.lease is not None, "only a leased task is retried"
    if task.cancel_requested:
        ending = Ending("CANCELLED", "Cancelled by its owner.")
        return Decision(end(task, Phase.CANCELLED, ending, now_ms))
    blame = Blame(task.lease, outcome)
    of_node = CONSEQUENCES[outcome].fault is not Fault.INFRASTRUCTURE
    if task.membership is not None:
        # All begin again, or none; rank 0 counts the attempts.
        avoid = task.lease.node_id if of_node else ""
        return Decision(leave(task, Left(message, outcome.value.upper(), avoid), now_ms), (blame,))
    if task.demand.use is not None:
        # No other node has its replica.
        code = outcome.value.upper()
        return Decision(end(task, Phase.FAILED, Ending(code, message), now_ms), (blame,))
    attempts = task.attempts + 1
    excluded = (*task.excluded, task.lease.node_id) if of_node else task.excluded
    if attempts >= MAX_ATTEMPTS:
        ending = Ending(outcome.value.upper(), f"Given up after {attempts} attempts: {message}")
        task = end(replace(task, attempts=attempts), Phase.FAILED, ending, now_ms)
        return Decision(task, (blame,))
    task = replace(task, attempts=attempts, excluded=excluded)
    return Decision(_requeued(task, message, now_ms), (blame,))


def _requeued(task: Task, message: str, now_ms: int) -> Task:
    """The task without its lease, looking for a node again."""
    task = replace(
        task,
        candidates=(),
        lease=None,
        result=None,
        checked=False,
        retry_at_ms=now_ms,
        # Waiting for a node starts anew: the time it ran was not spent in the queue.
        queue_until_ms=now_ms + task.queue_timeout_ms,
        last_explanation=message,
    )
    return move(task, Phase.QUEUED, now_ms)


def end(task: Task, phase: Phase, ending: Ending, now_ms: int) -> Task:
    """The task in its last phase."""
    return replace(move(task, phase, now_ms), ending=ending)


def cost_of(lease: Lease, result: Result, now_ms: int) -> int:
    """What a run is owed in micro-USDC: by its metered time, within what the coordinator saw it run.

    A lease for use: by what was passed on to the client, whatever its node says.
    """
    if not lease.started_at_ms:
        return 0
    if lease.counts_use and lease.unit_prices is not None:
        return signable_for_use_micro_usdc(
            lease.unit_prices, lease.max_cost_micro_usdc, lease.billed
        )
    return signable_micro_usdc(
        lease.price_micro_usdc_per_hour,
        lease.max_cost_micro_usdc,
        result.metered_ms,
        now_ms - lease.started_at_ms,
    )
