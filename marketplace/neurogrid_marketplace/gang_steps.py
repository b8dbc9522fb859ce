"""What one member of a gang does: takes its seat, waits for the others, stops for them, ends with them.

`orchestration` moves a member like any task, and asks here where all matter. What the members' states
together call for is in `gangs`, whose events end up here.

What a member's run is owed is settled as soon as its result is here, not when the others are ready: no
node waits for its money until the slowest has ended.
"""

from dataclasses import replace

from .awarding import to_queue
from .charging import abandon, settle
from .endings import MAX_ATTEMPTS, cost_of, end
from .faults import CONSEQUENCES, Outcome
from .gang_seats import leave, membership_of, take_seat
from .membership import Left, Stage
from .messages import Result
from .task import Ending, Lease, Phase, Task, move
from .task_actions import (
    Action,
    CheckOutputs,
    Decision,
    OpenEscrow,
    SendStart,
    SendStop,
)
from .task_events import AttemptOver, BegunAgain, Disbanded, Dismissed, Seated, StageReached

GangEvent = Seated | StageReached | AttemptOver | Dismissed | BegunAgain | Disbanded


def follow(task: Task, event: GangEvent, now_ms: int) -> Decision:
    """What the members together call for, done by this one; an event that comes again changes nothing."""
    match event:
        case Seated():
            return _seat(task, event, now_ms)
        case StageReached(_, stage):
            return _reach(task, stage, now_ms)
        case AttemptOver():
            return _stop(task, event, now_ms)
        case Dismissed(_, why):
            return _dismiss(task, why, now_ms)
        case BegunAgain():
            return _begin_again(task, event, now_ms)
        case Disbanded():
            return _disband(task, event, now_ms)


def _seat(task: Task, event: Seated, now_ms: int) -> Decision:
    """Another rank takes the seat that rank 0's auction has won for it."""
    if task.phase is not Phase.WAITING or event.attempt <= membership_of(task).attempt:
        return Decision(task)
    task = replace(task, demand=event.demand, start_factors_permille=event.start_factors_permille)
    return take_seat(task, event.bid, event.attempt, event.nodes, now_ms)


def _reach(task: Task, stage: Stage, now_ms: int) -> Decision:
    """All are so far: open the escrow, or start."""
    membership = membership_of(task)
    if task.phase is not Phase.STARTING or membership.stage is Stage.STOPPING:
        return Decision(task)
    # Each stage has its own time: nobody is late because another was slow.
    task = replace(task, membership=replace(membership, stage=stage), since_ms=now_ms)
    return Decision(task, due_starting(task))


def due_starting(task: Task) -> tuple[Action, ...]:
    """What a member whose node has accepted needs done."""
    lease = task.lease
    assert lease is not None, "a starting task has a lease"
    if task.cancel_requested:
        return (SendStop(lease, Outcome.CANCELLED),)
    match membership_of(task).stage:
        case Stage.FUNDING if not lease.escrow_open:
            return (OpenEscrow(lease),)
        case Stage.RUNNING:
            return (SendStart(lease),)
        case Stage.STOPPING:
            return (SendStop(lease, Outcome.CANCELLED),)
    return ()


def waits_for_others(task: Task) -> bool:
    """Whether its start waits for other members, or for their escrows."""
    return task.membership is not None and task.membership.stage in (
        Stage.GATHERING,
        Stage.FUNDING,
    )


def stops(task: Task) -> bool:
    """Whether it was told to stop for the sake of another member."""
    return task.membership is not None and task.membership.stage is Stage.STOPPING


def _stop(task: Task, event: AttemptOver, now_ms: int) -> Decision:
    """Another member has ended the attempt. Who has been told to start says first what it has done."""
    lease = task.lease
    membership = membership_of(task)
    if lease is None or membership.stage is Stage.STOPPING:
        return Decision(task)
    gone = SendStop(lease, Outcome.CANCELLED)
    if task.phase is Phase.VERIFYING:
        # It has ended already; its files may still come.
        return Decision(_stopping(task))
    if task.phase is Phase.AWARDED or membership.stage is not Stage.RUNNING:
        # Its node knows no escrow that it could close: it is taken back, should it be open.
        taken_back: tuple[Action, ...] = ()
        if membership.stage is Stage.FUNDING:
            task, abandoned = abandon(task, lease)
            taken_back = (abandoned,)
        return Decision(leave(task, Left(event.why), now_ms), (gone, *taken_back))
    return Decision(_stopping(task), (gone,))


def _stopping(task: Task) -> Task:
    return replace(task, membership=replace(membership_of(task), stage=Stage.STOPPING))


def finished(task: Task, lease: Lease, result: Result, now_ms: int) -> Decision:
    """A member's run has ended, and not by its node's fault: keep that until all have."""
    task = move(replace(task, result=result), Phase.VERIFYING, now_ms)
    if result.outcome is Outcome.COMPLETED:
        return Decision(task, (CheckOutputs(lease, result),))
    return kept(task, now_ms)


def is_kept(task: Task, result: Result) -> bool:
    """Whether a run that ended so does not cost the member its seat."""
    return task.cancel_requested or not CONSEQUENCES[result.outcome].retried


def kept(task: Task, now_ms: int) -> Decision:
    """All of a member's result is here: pay for it, and wait for the others."""
    lease, result = task.lease, task.result
    assert lease is not None, "a result comes from a lease"
    assert result is not None, "it was stored when it came"
    cost = cost_of(lease, result, now_ms) if CONSEQUENCES[result.outcome].charged else 0
    task, paid = settle(replace(task, checked=True), lease, cost)
    return Decision(task, (paid,))


def _dismiss(task: Task, why: str, now_ms: int) -> Decision:
    """The gang begins again: a member that has ended well, or was stopped, and is paid, starts anew."""
    if task.phase is not Phase.VERIFYING or not task.checked:
        return Decision(task)
    return Decision(leave(task, Left(why), now_ms))


def _begin_again(task: Task, event: BegunAgain, now_ms: int) -> Decision:
    """Nobody has a seat any more. Rank 0 looks for nodes again, if the gang may still begin."""
    membership = membership_of(task)
    if task.phase is not Phase.WAITING or membership.left is None:
        return Decision(task)
    tries = membership.tries - event.has_cost
    task = replace(
        task,
        membership=replace(membership, left=None, tries=tries, stage=Stage.GATHERING),
        queue_until_ms=now_ms + task.queue_timeout_ms,
        last_explanation=event.why,
    )
    if membership.rank:
        return Decision(task)
    if not event.code:
        return to_queue(task, event.why, now_ms)
    attempts = task.attempts + 1
    task = replace(
        task, attempts=attempts, excluded=(*task.excluded, *event.avoid), retry_at_ms=now_ms
    )
    if attempts >= MAX_ATTEMPTS:
        ending = Ending(event.code, f"Given up after {attempts} attempts: {event.why}")
        return Decision(end(task, Phase.FAILED, ending, now_ms))
    if tries == 0:
        advice = "It may begin again where gang.tries is more, for which money is held."
        ending = Ending(event.code, f"{event.why} What the others did is paid. {advice}")
        return Decision(end(task, Phase.FAILED, ending, now_ms))
    return Decision(move(task, Phase.QUEUED, now_ms))


def _disband(task: Task, event: Disbanded, now_ms: int) -> Decision:
    """All have ended, and so does this one: as it says, or as its own run has."""
    if event.ending is not None:
        return Decision(end(task, event.phase, event.ending, now_ms))
    result = task.result
    assert result is not None, "who completed has a result"
    ending = Ending("COMPLETED", "", result.exit_code)
    return Decision(end(task, Phase.COMPLETED, ending, now_ms))
