"""What the members of a gang together call for: all run, or none does. Pure.

Worked out from the members' stored states alone, in the transaction of whatever step changed one of
them, until nothing more follows; so there is no moment at which a crash could leave half a gang.

A seat that is lost by a fault counts for more than a program that fails: programs whose peer has gone
fail, and sooner than anybody can know that a node is lost. So a gang fails by its own program only when
all others have said how they ended.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from .faults import CONSEQUENCES, Outcome
from .gang_seats import membership_of
from .membership import Stage
from .task import TERMINAL, Ending, Phase, Task
from .task_events import (
    AttemptOver,
    BegunAgain,
    CancelRequested,
    Disbanded,
    Dismissed,
    Event,
    Seated,
    StageReached,
)

_CANCELLED = Ending("CANCELLED", "Cancelled by its owner.")


def next_events(members: Sequence[Task]) -> list[tuple[str, Event]]:
    """Task id and event of what follows now; the events of one answer may be taken in any order.

    Args:
        members: all that have been made, by rank.
    """
    first = members[0]
    if first.phase in TERMINAL:
        return list(_follow_end(members))
    if first.phase in (Phase.QUEUED, Phase.MATCHING):
        return []
    if first.cancel_requested or any(_failed(task) or _left(task) for task in members):
        return list(_follow_break(members))
    if first.phase is Phase.AWARDED:
        unseated = list(_seated(first, members[1:]))
        if unseated:
            return unseated
    return list(_follow_stage(members))


def _seated(first: Task, others: Sequence[Task]) -> Iterator[tuple[str, Event]]:
    membership = membership_of(first)
    for task in others:
        if membership_of(task).attempt < membership.attempt:
            bid = first.candidates[membership_of(task).rank]
            factors = first.start_factors_permille
            yield (
                task.task_id,
                Seated(membership.attempt, bid, membership.nodes, first.demand, factors),
            )


def _follow_stage(members: Sequence[Task]) -> Iterator[tuple[str, Event]]:
    """Nothing has gone wrong: go on as soon as all can."""
    if all(task.checked for task in members):
        yield from ((task.task_id, Disbanded()) for task in members)
        return
    stages = {membership_of(task).stage for task in members}
    starting = all(task.phase is Phase.STARTING for task in members)
    if not starting or len(stages) > 1:
        return
    funded = all(task.lease is not None and task.lease.escrow_open for task in members)
    following = None
    if stages == {Stage.GATHERING}:
        following = Stage.FUNDING
    elif stages == {Stage.FUNDING} and funded:
        following = Stage.RUNNING
    if following is not None:
        for task in members:
            assert task.lease is not None, "who starts has a lease"
            yield task.task_id, StageReached(task.lease.lease_id, following)


def _follow_break(members: Sequence[Task]) -> Iterator[tuple[str, Event]]:
    """The attempt is over: stop who has not ended; when all have, begin again or end."""
    first = members[0]
    reason = _reason(members)
    waited_for = [task for task in members if not _is_out(task)]
    for task in waited_for:
        if first.cancel_requested:
            if not task.cancel_requested:
                yield task.task_id, CancelRequested()
        elif task.lease is not None and membership_of(task).stage is not Stage.STOPPING:
            yield task.task_id, AttemptOver(task.lease.lease_id, reason)
    if waited_for:
        return
    leaving = [task for task in members if _left(task)]
    if first.cancel_requested or not leaving or any(task.phase in TERMINAL for task in members):
        yield from _end(members)
        return
    ended = [task for task in members if task.checked]
    for task in ended:
        assert task.lease is not None, "who has ended had a lease"
        yield task.task_id, Dismissed(task.lease.lease_id, reason)
    if not ended:
        again = _again(members)
        yield from ((task.task_id, again) for task in members)


def _again(members: Sequence[Task]) -> BegunAgain:
    left = [left for task in members if (left := membership_of(task).left) is not None]
    faults = [each for each in left if each.code]
    return BegunAgain(
        why=_reason(members),
        code=faults[0].code if faults else "",
        avoid=tuple(each.avoid for each in faults if each.avoid),
        has_cost=any(
            task.cost_micro_usdc > membership_of(task).cost_before_micro_usdc for task in members
        ),
    )


def _end(members: Sequence[Task]) -> Iterator[tuple[str, Event]]:
    """All are out, and the gang does not begin again."""
    first, *others = members
    failed = next((task for task in members if _failed(task)), None)
    for task in (*others, first):
        if task.phase in TERMINAL:
            continue
        if first.cancel_requested or failed is None:
            yield task.task_id, Disbanded(Phase.CANCELLED, _CANCELLED)
        elif task is failed or task is first:
            ending = _ending_of(failed)
            if task is not failed:
                ending = replace(ending, message=_of(failed, ending.message))
            yield task.task_id, Disbanded(Phase.FAILED, ending)
        elif task.result is not None and task.result.outcome is Outcome.COMPLETED:
            yield task.task_id, Disbanded()
        elif _failed(task):
            yield task.task_id, Disbanded(Phase.FAILED, _ending_of(task))
        else:
            ending = Ending("CANCELLED", f"Stopped: {_reason(members)}")
            yield task.task_id, Disbanded(Phase.CANCELLED, ending)


def _follow_end(members: Sequence[Task]) -> Iterator[tuple[str, Event]]:
    """Rank 0 has ended before the others could run, or was given up: so do they."""
    for task in members:
        if task.phase in TERMINAL:
            continue
        if not _is_out(task) and not task.cancel_requested:
            yield task.task_id, CancelRequested()
        elif _is_out(task):
            yield task.task_id, Disbanded(Phase.CANCELLED, _CANCELLED)


def _is_out(task: Task) -> bool:
    """Whether it does nothing any more in this attempt, and its money is decided."""
    return task.phase in TERMINAL or task.checked or task.phase is Phase.WAITING


def _left(task: Task) -> bool:
    return membership_of(task).left is not None


def _failed(task: Task) -> bool:
    """Whether it ended by itself, and not well."""
    if task.phase in (Phase.FAILED, Phase.EXPIRED):
        return True
    stopped = membership_of(task).stage is Stage.STOPPING
    return task.checked and not stopped and _outcome(task) is not Outcome.COMPLETED


def _outcome(task: Task) -> Outcome | None:
    return task.result.outcome if task.result is not None else None


def _reason(members: Sequence[Task]) -> str:
    """Why the attempt is over: a fault first, then a failure, then whoever did not take its lease."""
    for task in members:
        left = membership_of(task).left
        if left is not None and left.code:
            return _of(task, left.why)
    for task in members:
        if _failed(task):
            return _of(task, _ending_of(task).message or _ending_of(task).code)
    for task in members:
        left = membership_of(task).left
        if left is not None:
            return left.why
    return _CANCELLED.message


def _of(task: Task, what: str) -> str:
    return f"rank {membership_of(task).rank}: {what}"


def _ending_of(failed: Task) -> Ending:
    """How a member that has failed ends."""
    if failed.ending is not None:
        return failed.ending
    result = failed.result
    assert result is not None, "who fails has ended or has a result"
    advice = CONSEQUENCES[result.outcome].advice
    message = " ".join(part for part in (result.message, advice) if part)
    return Ending(result.outcome.value.upper(), message, result.exit_code)
