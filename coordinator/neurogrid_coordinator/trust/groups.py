"""A task and its further runs: what they say together, stored as one transaction.

Everything is worked out from the stored runs, so it may be asked at any time and any number of times:
a step that is repeated finds the runs judged, and the ids of further runs never change.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from neurogrid_marketplace import image_comparison, submission
from neurogrid_marketplace.comparator import Comparator, ComparatorKind
from neurogrid_marketplace.demand import VerifyMode
from neurogrid_marketplace.image_comparison import Same
from neurogrid_marketplace.job import Job
from neurogrid_marketplace.messages import Result
from neurogrid_marketplace.reputation import Finding, FindingKind
from neurogrid_marketplace.task import TERMINAL, Phase, Task
from neurogrid_marketplace.task_events import CancelRequested, ComparisonBegun, Judged, RunsBegun
from neurogrid_marketplace.verification import (
    ANSWERS,
    Agreed,
    Run,
    RunAgain,
    Undecided,
    Verdict,
    Wait,
    judge,
)

from ..store import check_counts, findings, tasks
from ..store.tasks import NewTask, TaskRow, TaskState
from ..tasks import steps
from ..tasks.steps import Step

_REFUTED = "Other nodes ran the same job, and agree on another result."


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look at a group has changed.

    Attributes:
        steps: of its runs.
        begun: further runs that were added.
        found_out: nodes about which findings were stored.
        lacks_funds: nothing, because a further run is due and what the client has is not known.
    """

    steps: tuple[Step, ...] = ()
    begun: tuple[TaskState, ...] = ()
    found_out: tuple[str, ...] = ()
    lacks_funds: bool = False


def waits(conn: Connection, group: str) -> bool:
    """Whether a look would change nothing, because a run of a task that goes on may still answer."""
    rows = tasks.group_of(conn, group)
    if not rows or rows[0].state.verdict is not Verdict.PENDING:
        return False
    return any(_run(row.state).open for row in rows)


@dataclass(frozen=True, slots=True)
class Answers:
    """What a group's runs came to, and by what they are compared.

    Attributes:
        shown: what the client's own image has to see of them.
        comparison: the task that shows it those, once it has begun.
    """

    comparator: Comparator
    results: tuple[Result, ...]
    shown: tuple[Result, ...] = ()
    comparison: Task | None = None


def answers(conn: Connection, group: str) -> Answers | None:
    """What the next look will compare; None where it compares nothing."""
    rows = tasks.group_of(conn, group)
    if not rows or rows[0].state.verdict is not Verdict.PENDING:
        return None
    comparator = rows[0].state.verification.comparator
    by_run = _answers(rows)
    results = tuple(by_run.values())
    if comparator.kind is not ComparatorKind.IMAGE:
        return Answers(comparator, results)
    shown = image_comparison.to_show(by_run)
    comparison = next((row.state for row in rows if row.state.compares == shown), None)
    return Answers(comparator, results, tuple(by_run[name] for name in shown), comparison)


def look(
    conn: Connection,
    group: str,
    *,
    same: Same | str | None,
    is_checked: Callable[[Connection, Task], bool],
    spendable_micro_usdc: Callable[[Connection], int] | None,
    now_ms: int,
) -> Looked:
    """Do what a group's runs call for now.

    Args:
        group: the task that the runs belong to.
        same: the comparator; a text: it has failed, and why. None: the client's own image has still to
            see the results.
        is_checked: draws whether a task that was paid is run once more.
        spendable_micro_usdc: what a further run may cost; None: not known.
    """
    rows = tasks.group_of(conn, group)
    if not rows:
        return Looked()
    first, *further = rows
    task = first.state
    is_check = task.verification.mode is VerifyMode.SPOT_CHECK
    if task.verdict is Verdict.DUE:
        if is_check:
            return _draw(conn, first, is_checked(conn, task), now_ms)
        return _begin_quorum(conn, first, now_ms)
    if task.phase in TERMINAL and not (is_check and task.verdict is Verdict.PENDING):
        # It was judged, or ended without the others: none of them is needed any more.
        return Looked(_take(conn, further, lambda _: CancelRequested(), now_ms))
    runs = [row for row in rows if not row.state.compares]
    if same is None:
        return _show(conn, rows, spendable_micro_usdc, now_ms)
    if isinstance(same, str):
        reason = f"The result could not be verified: the comparison failed: {same}."
        return _undecided(conn, runs, reason, now_ms)
    match judge(task.verification, [_run(row.state) for row in runs], same):
        case Wait():
            return Looked()
        case RunAgain():
            if spendable_micro_usdc is None:
                return Looked(lacks_funds=True)
            if spendable_micro_usdc(conn) >= task.demand.max_cost_micro_usdc():
                return Looked(begun=(_begin(conn, first, len(runs), now_ms),))
            reason = "The results differ, and the account cannot pay for a further run."
            return _undecided(conn, runs, reason, now_ms)
        case Undecided(reason):
            return _undecided(conn, runs, f"The result could not be verified: {reason}.", now_ms)
        case Agreed() as agreed:
            return _agreed(conn, runs, agreed, now_ms)


def _begin_quorum(conn: Connection, first: TaskRow, now_ms: int) -> Looked:
    """Begin a quorum's further runs, once what its job gets is known."""
    if first.phase is Phase.WAITING:
        return Looked()
    numbers = range(1, first.state.verification.runs)
    begun = tuple(_begin(conn, first, number, now_ms) for number in numbers)
    step = steps.take(conn, first.id, RunsBegun(), now_ms)
    assert step is not None, "the task is there"
    return Looked((step,), begun)


def _begin(conn: Connection, first: TaskRow, number: int, now_ms: int) -> TaskState:
    """Add a further run to a task; its cost is held from now on."""
    state = submission.replica(first.state, number, now_ms)
    if state.verification.mode is VerifyMode.SPOT_CHECK:
        check_counts.add(conn, redundant=1)
    return _insert(conn, first, state, first.job, now_ms)


def _insert(conn: Connection, first: TaskRow, state: Task, job: Job, now_ms: int) -> TaskState:
    row, _ = tasks.insert_new(
        conn,
        NewTask(
            account_id=first.account_id,
            name=first.name,
            kind=first.kind,
            priority=first.priority,
            spec=first.spec,
            job=job,
            state=state,
        ),
        now_ms,
    )
    return TaskState(row.state, row.account_id, row.priority)


def _show(
    conn: Connection,
    rows: list[TaskRow],
    spendable_micro_usdc: Callable[[Connection], int] | None,
    now_ms: int,
) -> Looked:
    """Show the group's results to the client's own image; the first time is held from the beginning."""
    if any(_run(row.state).open for row in rows):
        return Looked()
    first = rows[0]
    task = first.state
    if task.comparisons:
        if spendable_micro_usdc is None:
            return Looked(lacks_funds=True)
        if spendable_micro_usdc(conn) < task.verification.comparison_micro_usdc(task.demand):
            reason = "The results differ, and the account cannot pay to have them compared again."
            runs = [row for row in rows if not row.state.compares]
            return _undecided(conn, runs, reason, now_ms)
    by_run = _answers(rows)
    shown = {name: by_run[name] for name in image_comparison.to_show(by_run)}
    comparison, job = image_comparison.comparison(task, shown, now_ms)
    begun = _insert(conn, first, comparison, job, now_ms)
    step = steps.take(conn, first.id, ComparisonBegun(), now_ms)
    assert step is not None, "the task is there"
    return Looked((step,), (begun,))


def _draw(conn: Connection, first: TaskRow, checked: bool, now_ms: int) -> Looked:
    """Decide by lot whether a task that was paid is run once more."""
    lease = first.state.lease
    assert lease is not None, "a task with a result has the lease it came from"
    verdict = Verdict.PENDING if checked else Verdict.SPARED
    step = steps.take(conn, first.id, Judged(lease.lease_id, verdict), now_ms)
    assert step is not None, "the task is there"
    begun = (_begin(conn, first, 1, now_ms),) if checked else ()
    return Looked((step,), begun)


def _run(task: Task) -> Run:
    ended = task.phase in TERMINAL
    # A task that was refuted has another run's result by then; those are not looked at again.
    counts = task.checked or (ended and task.verdict is Verdict.PENDING)
    result = task.result if counts and task.result and task.result.outcome in ANSWERS else None
    return Run(task.task_id, open=not ended and not task.checked, answer=result)


def _answers(rows: Iterable[TaskRow]) -> dict[str, Result]:
    """What each run of the job came to that has answered, in their order."""
    runs = (_run(row.state) for row in rows if not row.state.compares)
    return {run.task_id: run.answer for run in runs if run.answer is not None}


def _undecided(conn: Connection, rows: list[TaskRow], reason: str, now_ms: int) -> Looked:
    def verdict(row: TaskRow) -> Judged | None:
        return _judged(row.state, Verdict.UNDECIDED, reason)

    return Looked(_take(conn, rows, verdict, now_ms))


def _agreed(conn: Connection, rows: list[TaskRow], agreed: Agreed, now_ms: int) -> Looked:
    # The client's own image decides what the client gets, and nothing about anybody else.
    is_own = rows[0].state.verification.comparator.kind is ComparatorKind.IMAGE
    by_id = {row.id: row for row in rows}
    right = by_id[agreed.right[0]].state
    found_out = []
    for row in rows:
        if is_own or row.id not in agreed.right + agreed.wrong:
            continue
        lease = row.state.lease
        assert lease is not None, "a run with an answer has a lease"
        is_right = row.id in agreed.right
        finding = Finding(
            FindingKind.VERIFIED if is_right else FindingKind.REFUTED,
            now_ms,
            bid_start_ms=lease.bid_start_ms,
            start_ms=max(0, lease.started_at_ms - lease.funded_at_ms),
        )
        if findings.add(conn, lease.node_id, finding, lease_id=lease.lease_id):
            # Its runs since it was last compared count anew, whichever of the group's runs was its.
            check_counts.set_unchecked(conn, lease.node_id, 0)
            found_out.append(lease.node_id)

    def verdict(row: TaskRow) -> Judged | None:
        if row.id in agreed.right:
            return _judged(row.state, Verdict.AGREED)
        if row.id not in agreed.wrong:
            return None
        judged = _judged(row.state, Verdict.OUTVOTED if is_own else Verdict.REFUTED, _REFUTED)
        if judged is None or row.id != rows[0].id:
            return judged
        # The client gets what the majority came to.
        return replace(judged, result=right.result, result_of=right.task_id)

    return Looked(_take(conn, rows, verdict, now_ms), found_out=tuple(found_out))


def _judged(task: Task, verdict: Verdict, reason: str = "") -> Judged | None:
    return Judged(task.lease.lease_id, verdict, reason) if task.lease is not None else None


def _take(
    conn: Connection,
    rows: list[TaskRow],
    event_of: Callable[[TaskRow], Judged | CancelRequested | None],
    now_ms: int,
) -> tuple[Step, ...]:
    taken = []
    for row in rows:
        event = event_of(row)
        step = steps.take(conn, row.id, event, now_ms) if event is not None else None
        if step is not None and step.before != step.after:
            taken.append(step)
    return tuple(taken)
