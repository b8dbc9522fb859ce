"""One step of a task as one transaction: load, decide, save; what is to be done comes back.

Whatever a step decides about money (`Settle`, `Abandon`, `OpenEscrow`) is stored together with the
task's new state, so that a crash between the two cannot lose it: the settler finds it in the lease.
So are the steps of tasks that waited for the one that ends, and of all members of a gang.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import Connection

from neurogrid_marketplace import (
    dependencies,
    gangs,
    orchestration,
    settlement,
    spreading,
    submission,
)
from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.demand import VerifyMode
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.job import InputFile
from neurogrid_marketplace.key_wait import needs_key
from neurogrid_marketplace.model_catalogue import RESULT_FILE
from neurogrid_marketplace.preemption import is_reclaimed
from neurogrid_marketplace.reputation import Finding, FindingKind
from neurogrid_marketplace.settlement import SettlementPhase
from neurogrid_marketplace.task import TERMINAL, Lease, Phase, Task
from neurogrid_marketplace.task_actions import Abandon, Action, Blame, Decision, OpenEscrow, Settle
from neurogrid_marketplace.task_events import CutOff, DependencyUnmet, Event, InputsFixed

from ..store import events, evidence, failures, findings, leases, needs, tasks, unit_counts, use
from ..store.tasks import NewTask

# All seats taken, all stopped, all dismissed, begun again, ended: a gang takes fewer passes than that.
_GANG_PASSES_MAX = 16
# Where a task may choose a node.
_CHOOSING = frozenset({Phase.QUEUED, Phase.MATCHING, Phase.AWARDED})


@dataclass(frozen=True, slots=True)
class Step:
    """A committed step.

    Attributes:
        before, after: the task's state; equal where the event changed nothing.
        actions: to be performed now, in order; each may be performed again at any time.
        released: steps that follow, taken in the same transaction: of the others of its gang, then of
            tasks that waited for those that ended.
    """

    before: Task
    after: Task
    account_id: str
    priority: int
    actions: tuple[Action, ...]
    released: "tuple[Step, ...]" = ()

    @property
    def moved(self) -> bool:
        """Whether the phase is another one now: an event for listeners was stored."""
        return self.before.phase is not self.after.phase


def take_all(
    conn: Connection, task_ids: Iterable[str], event: Event, now_ms: int
) -> tuple[Step, ...]:
    """Step several tasks together, in this order; those that are not there are left out."""
    taken = (take(conn, task_id, event, now_ms) for task_id in task_ids)
    return tuple(step for step in taken if step is not None)


def take(
    conn: Connection,
    task_id: str,
    event: Event,
    now_ms: int,
    proof: Iterable[tuple[str, Envelope]] = (),
) -> Step | None:
    """Step a task; None if there is no such task.

    Args:
        proof: (lease or demand id, envelope) to keep as evidence if the event changes the task.
    """
    step = _take(conn, task_id, event, now_ms, proof)
    if step is None:
        return None
    more = tuple(_follow_gang(conn, step, now_ms))
    ended = [each for each in (step, *more) if each.moved and each.after.phase in TERMINAL]
    released = (later for each in ended for later in _release(conn, each.after.task_id, now_ms))
    return replace(step, released=(*more, *released))


def _follow_gang(conn: Connection, step: Step, now_ms: int) -> Iterator[Step]:
    """What a member's step makes of all others, until nothing more follows: a gang moves as one."""
    if step.after.membership is None or step.before == step.after:
        return
    for _ in range(_GANG_PASSES_MAX):
        changed = False
        for task_id, event in gangs.next_events(_gang(conn, step.after.group, now_ms)):
            taken = _take(conn, task_id, event, now_ms)
            if taken is not None and taken.before != taken.after:
                changed = True
                yield taken
        if not changed:
            return


def _gang(conn: Connection, gang_id: str, now_ms: int) -> list[Task]:
    """Its members' states by rank; the other ranks are made when rank 0 has won their first seats."""
    rows = tasks.group_of(conn, gang_id)
    first = rows[0]
    membership = first.state.membership
    assert membership is not None, "a gang's first member is one"
    if membership.attempt and len(rows) == 1:
        for rank in range(1, membership.gang.size):
            new = NewTask(
                account_id=first.account_id,
                name=first.name,
                kind=first.kind,
                priority=first.priority,
                spec=first.spec,
                job=first.job,
                state=submission.member(first.state, rank, now_ms),
            )
            rows.append(tasks.insert_new(conn, new, now_ms)[0])
    return [row.state for row in rows]


def cut_off(conn: Connection, task_ids: Iterable[str], now_ms: int) -> int:
    """End tasks of restored books, each by itself: no gang begins again, and no other follows.

    Returns: how many had not ended.
    """
    ended = 0
    for task_id in task_ids:
        step = _take(conn, task_id, CutOff(), now_ms)
        ended += step is not None and step.moved
    return ended


def look(conn: Connection, task_id: str, now_ms: int) -> Step | None:
    """Let a waiting task go on, or end, if what it needs has been decided; None if it waits on."""
    found = tasks.state_of(conn, task_id)
    assert found is not None, "a task that waits is stored"
    needed = tasks.states_of(conn, found.task.needs.task_ids)
    event = dependencies.look(found.task, tasks.job_of(conn, task_id), needed)
    if event is None:
        if dependencies.lacks_request_only(found.task, needed):
            needs.expect_request(conn, task_id)
        return None
    if isinstance(event, InputsFixed):
        tasks.save_job(conn, task_id, event.job)
    return _take(conn, task_id, event, now_ms)


def fix_request(
    conn: Connection, task_id: str, request: InputFile | DependencyUnmet, now_ms: int
) -> Step | None:
    """What a waiting task asks a model is written, or can't be: let it go on, or end. None if it does not wait."""
    needs.forget_request(conn, task_id)
    found = tasks.state_of(conn, task_id)
    if found is None or found.task.phase is not Phase.WAITING:
        return None
    event: InputsFixed | DependencyUnmet | None
    if isinstance(request, DependencyUnmet):
        event = request
    else:
        needed = tasks.states_of(conn, found.task.needs.task_ids)
        event = dependencies.look(found.task, tasks.job_of(conn, task_id), needed, request)
    if event is None:
        return None
    if isinstance(event, InputsFixed):
        tasks.save_job(conn, task_id, event.job)
    return take(conn, task_id, event, now_ms)


def barred_for(conn: Connection, task: Task, account_id: str) -> spreading.Barred:
    """Where a task may not run now, because others of its group do."""
    if task.spread is None:
        return spreading.NOBODY
    others = tasks.holding_of_spread(conn, account_id, task.spread.group, but=task.task_id)
    return spreading.barred(task.spread, others)


def _release(conn: Connection, ended_id: str, now_ms: int) -> Iterator[Step]:
    """Everything behind a task that has ended: whoever ends with it may be waited for too."""
    ended = deque([ended_id])
    while ended:
        for task_id in needs.waiting_on(conn, ended.popleft()):
            step = look(conn, task_id, now_ms)
            if step is None:
                continue
            yield step
            if step.after.phase in TERMINAL:
                ended.append(task_id)


def _take(
    conn: Connection,
    task_id: str,
    event: Event,
    now_ms: int,
    proof: Iterable[tuple[str, Envelope]] = (),
) -> Step | None:
    found = tasks.state_of(conn, task_id)
    if found is None:
        return None
    known = _with_vouchers(conn, found.task)
    task = _beside_its_group(conn, known)
    if spreading.is_choosing(task):
        places = barred_for(conn, task, found.account_id)
        task, event = spreading.narrowed(task, event, places)
    decision = orchestration.decide(task, event, now_ms)
    if decision.task not in (known, found.task):
        _save(conn, found.task, decision, found.account_id, now_ms)
        for subject_id, envelope in proof:
            evidence.append(conn, subject_id, envelope)
    return Step(found.task, decision.task, found.account_id, found.priority, decision.actions)


def _leaves_an_answer(task: Task) -> bool:
    """Whether it has just completed and may be a model's: what that read and made is to be counted, of the task itself and
    not of runs that verify it."""
    result = task.result
    return (
        task.phase is Phase.COMPLETED
        and not task.belongs_to
        and result is not None
        and any(output.path == RESULT_FILE for output in result.outputs)
    )


def _note_failure(conn: Connection, task: Task, account_id: str, now_ms: int) -> None:
    """For its owner's error log: what the task itself says of its end."""
    ending = task.ending
    lease = task.lease
    failures.add(
        conn,
        at_ms=now_ms,
        account_id=account_id,
        task_id=task.task_id,
        severity="low" if task.phase is Phase.EXPIRED else "medium",
        code=ending.code if ending else "EXPIRED",
        message=ending.message if ending else "",
        context={
            "phase": task.phase.value,
            "node_id": lease.node_id if lease else None,
            "lease_id": lease.lease_id if lease else None,
        },
        stack="",
    )


def _with_vouchers(conn: Connection, task: Task) -> Task:
    """The task, told what its lease has been signed: what it comes to at least when it ends; and what of its use was billed."""
    if task.lease is None or not task.lease.escrow_open:
        return task
    row = leases.get(conn, task.lease.lease_id)
    assert row is not None, "a lease is stored when it is awarded"
    lease = replace(task.lease, signed_micro_usdc=row.settlement.signed_micro_usdc)
    if lease.counts_use:
        lease = replace(lease, billed=use.of_lease(conn, lease.lease_id))
    return replace(task, lease=lease)


def _beside_its_group(conn: Connection, task: Task) -> Task:
    """A run that looks for a node, told whose nodes have the group's other runs.

    In the transaction that chooses the node, so that two runs can't choose the same owner.
    """
    if task.verification.mode is VerifyMode.NONE or task.phase not in _CHOOSING:
        return task
    others = (row.state for row in tasks.group_of(conn, task.group) if row.id != task.task_id)
    owners = {other.lease.wallet for other in others if other.lease is not None}
    return replace(task, owners_excluded=tuple(sorted(owners)))


def _save(conn: Connection, before: Task, decision: Decision, account_id: str, now_ms: int) -> None:
    after = decision.task
    tasks.save_state(conn, after, now_ms)
    if after.lease is not None and not _same(before.lease, after.lease):
        leases.insert_new(conn, after.lease, after.task_id, account_id, now_ms)
    for action in decision.actions:
        match action:
            case OpenEscrow(lease):
                _settle(conn, lease, partial(settlement.opening, now_ms=now_ms), now_ms)
            case Settle(lease, due):
                _settle(
                    conn,
                    lease,
                    partial(settlement.decided, cumulative_micro_usdc=due, now_ms=now_ms),
                    now_ms,
                )
            case Abandon(lease):
                _settle(conn, lease, partial(settlement.abandoned, now_ms=now_ms), now_ms)
            case Blame(lease, outcome):
                failed = Finding(FindingKind.FAILED, now_ms, outcome)
                findings.add(conn, lease.node_id, failed, lease_id=lease.lease_id)
    if before.lease is not None and (
        after.phase in TERMINAL or not _same(before.lease, after.lease)
    ):
        # A lease that was left before any escrow was wanted has nothing to settle.
        _settle(conn, before.lease, partial(_close_unopened, now_ms=now_ms), now_ms)
    if after.phase is not before.phase:
        if _leaves_an_answer(after):
            unit_counts.expect(conn, after.task_id)
        kind = f"task.{after.phase.value}"
        events.append(conn, after.task_id, account_id, now_ms, kind, _news(after))
        if after.phase in (Phase.FAILED, Phase.EXPIRED):
            _note_failure(conn, after, account_id, now_ms)
        if needs_key(after):
            events.append(conn, after.task_id, account_id, now_ms, events.NEEDS_KEY, _news(after))
    elif is_reclaimed(after) and not is_reclaimed(before):
        events.append(conn, after.task_id, account_id, now_ms, events.RECLAIMED, _warning(after))
    elif after.checkpoints != before.checkpoints:
        events.append(conn, after.task_id, account_id, now_ms, events.CHECKPOINT, _kept(after))
    elif after.verdict is not before.verdict:
        news: dict[str, Json] = {"verdict": after.verdict.value}
        events.append(conn, after.task_id, account_id, now_ms, "task.verdict", news)


def _settle(
    conn: Connection,
    lease: Lease,
    change: Callable[[settlement.Settlement], settlement.Settlement],
    now_ms: int,
) -> None:
    row = leases.get(conn, lease.lease_id)
    assert row is not None, "a lease is stored when it is awarded"
    changed = change(row.settlement)
    if changed != row.settlement:
        leases.save_settlement(conn, changed, now_ms)


def _close_unopened(state: settlement.Settlement, now_ms: int) -> settlement.Settlement:
    if state.phase is not SettlementPhase.NONE:
        return state
    return settlement.decided(state, 0, now_ms)


def _same(one: Lease | None, other: Lease | None) -> bool:
    return one is not None and other is not None and one.lease_id == other.lease_id


def _warning(task: Task) -> dict[str, Json]:
    """What listeners are told when the job's node takes its machine back."""
    lease = task.lease
    assert lease is not None, "it is warned while it runs"
    stops_at_ms = lease.reclaimed_at_ms + lease.reclaim_window_s * 1000
    words = f"its node takes its machine back and stops the job in {lease.reclaim_window_s} s"
    return {
        "phase": task.phase.value,
        "node_id": lease.node_id,
        "lease_id": lease.lease_id,
        "message": words,
        "stops_at_ms": stops_at_ms,
    }


def _kept(task: Task) -> dict[str, Json]:
    """What listeners are told of a checkpoint."""
    newest = task.checkpoints[-1]
    return {
        "phase": task.phase.value,
        "lease_id": newest.lease_id,
        "sequence": newest.checkpoint.sequence,
        "files": newest.checkpoint.files,
        "size_bytes": newest.checkpoint.size_bytes,
    }


def _news(task: Task) -> dict[str, Json]:
    """What listeners are told about the new phase."""
    news: dict[str, Json] = {"phase": task.phase.value}
    if task.lease is not None:
        news |= {
            "node_id": task.lease.node_id,
            "lease_id": task.lease.lease_id,
            "price_micro_usdc_per_hour": task.lease.price_micro_usdc_per_hour,
        }
    if task.ending is not None:
        news |= {
            "code": task.ending.code,
            "message": task.ending.message,
            "exit_code": task.ending.exit_code,
            "cost_micro_usdc": task.cost_micro_usdc,
        }
    elif task.lease is None and task.last_explanation:
        news["message"] = task.last_explanation
    return news
