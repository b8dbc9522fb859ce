"""What every submission goes through in its one transaction: dependencies, budget, storage.

The money of a task is held from its submission, also while it waits for others: what is accepted can be
paid to its end, and a workflow does not stop half way for want of a deposit.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from neurogrid_marketplace import dependencies
from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.checkpoint import KeptCheckpoint
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.job import Job
from neurogrid_marketplace.membership import Membership
from neurogrid_marketplace.model_catalogue import ModelType
from neurogrid_marketplace.needs import MAX_DEPTH, MAX_NEEDS, NOTHING, Needs, PromptPart
from neurogrid_marketplace.prompts import check_source
from neurogrid_marketplace.submission import submit
from neurogrid_marketplace.task import TERMINAL, Phase, Task
from neurogrid_marketplace.task_events import DependencyUnmet

from ..money.client_funds import ClientFunds
from ..store import checkpoints, task_lists, tasks
from ..store.accounts import Account
from ..store.task_lists import TaskFilter
from ..store.tasks import NewTask, TaskRow
from ..tasks import steps
from . import budgets
from .errors import InsufficientCredits, InvalidRequest, UnmetDependency
from .funds import Balance
from .submission import Submission

# Tasks of an account that may wait for others at a time: the end of one may reach all of them in one
# transaction, at a few tenths of a millisecond each.
WAITING_MAX = 4096
# Tasks of a spread group that have not ended: each auction of one looks at those that run.
SPREAD_MAX = 1024


@dataclass(frozen=True, slots=True)
class Draft:
    """A submission that may be stored.

    Attributes:
        job: without the inputs that other tasks will leave.
        demand: named after its task: each auction has an id of its own.
        record: the request as it is kept.
        queue_timeout_s: how long it may wait for a node.
    """

    task_id: str
    wanted: Submission
    job: Job
    demand: Demand
    record: dict[str, Json]
    queue_timeout_s: int


def require_budget(
    conn: Connection,
    account: Account,
    funds: ClientFunds,
    drafts: Sequence[Draft],
    now_ms: int,
    *,
    brief: bool = False,
) -> None:
    """Checked in the transaction that holds it, so that two submissions can't spend the same money.

    The chain has the last word when an escrow is opened.

    Args:
        brief: see `budgets.require_within`.

    Raises:
        TakesLong: see there.
        QuotaExceeded: they could cost more than the account lets itself spend.
        InsufficientCredits: all of them together could cost more than the account can spend.
    """
    costs = [draft.wanted.held_micro_usdc(draft.demand) for draft in drafts]
    require_costs(conn, account, funds, costs, now_ms, brief=brief)


def require_costs(
    conn: Connection,
    account: Account,
    funds: ClientFunds,
    costs: Sequence[int],
    now_ms: int,
    *,
    brief: bool = False,
) -> None:
    """As `require_budget`, of tasks that could cost so many micro-USDC at most.

    Raises:
        TakesLong, QuotaExceeded, InsufficientCredits: as there.
    """
    budgets.require_within(conn, account, costs, now_ms, brief=brief)
    _require_funds(conn, account, funds, sum(costs), held_before_micro_usdc=0)


def require_raise(
    conn: Connection,
    account: Account,
    funds: ClientFunds,
    *,
    before_micro_usdc: int,
    after_micro_usdc: int,
    now_ms: int,
) -> None:
    """As `require_budget`, where more is to be held for a task that is there.

    Args:
        before_micro_usdc, after_micro_usdc: what is held for it, and what is to be.

    Raises:
        QuotaExceeded, InsufficientCredits: as there.
    """
    budgets.require_raise_within(conn, account, before_micro_usdc, after_micro_usdc, now_ms)
    _require_funds(conn, account, funds, after_micro_usdc, held_before_micro_usdc=before_micro_usdc)


def _require_funds(
    conn: Connection,
    account: Account,
    funds: ClientFunds,
    needed_micro_usdc: int,
    *,
    held_before_micro_usdc: int,
) -> None:
    held = tasks.held_micro_usdc(conn, account.wallet) - held_before_micro_usdc
    available = Balance.of(funds, held).available_micro_usdc
    if needed_micro_usdc > available:
        raise InsufficientCredits(
            needed_micro_usdc=needed_micro_usdc, available_micro_usdc=available
        )


def require_room(conn: Connection, account: Account, drafts: Sequence[Draft]) -> None:
    """Refuse more waiting tasks, and larger spread groups, than one transaction may have to look at.

    Raises:
        InvalidRequest: too many of the account's tasks would wait for others, or be in one group.
    """
    groups = [draft.wanted.spread.group for draft in drafts if draft.wanted.spread]
    for group, members in Counter(groups).items() if groups else ():
        if tasks.count_of_spread(conn, account.id, group) + members > SPREAD_MAX:
            raise InvalidRequest(
                f"spread.group: at most {SPREAD_MAX} tasks of {group} may wait or run at a time",
                "spread.group",
            )
    more = sum(1 for draft in drafts if draft.wanted.needed())
    if not more:
        return
    waiting = TaskFilter(account.id, phases=frozenset({Phase.WAITING}))
    if task_lists.count(conn, waiting) + more > WAITING_MAX:
        raise InvalidRequest(
            f"depends_on: at most {WAITING_MAX} tasks of an account may wait for others at a time",
            "depends_on",
        )


def state_of(
    draft: Draft, now_ms: int, needs: Needs = NOTHING, begins_from: KeptCheckpoint | None = None
) -> Task:
    """What a draft begins as. Pure.

    Args:
        needs: other tasks, and what they leave.
        begins_from: a checkpoint of another.
    """
    return submit(
        draft.task_id,
        draft.demand,
        now_ms,
        draft.queue_timeout_s * 1000,
        needs,
        runs_late=draft.wanted.runs_late,
        verification=draft.wanted.verification,
        spread=draft.wanted.spread,
        sealed=draft.job.is_sealed,
        membership=(
            Membership(draft.wanted.gang, 0, draft.wanted.tries) if draft.wanted.gang else None
        ),
        checkpoint=draft.wanted.checkpoint,
        begins_from=begins_from,
        trace=draft.wanted.trace,
    )


def new_task(
    account_id: str,
    draft: Draft,
    state: Task,
    *,
    workflow_id: str | None = None,
    workflow_key: str | None = None,
) -> NewTask:
    """A draft, as it is stored."""
    return NewTask(
        account_id=account_id,
        name=draft.wanted.name,
        kind=draft.wanted.row_kind,
        priority=draft.wanted.priority,
        spec=draft.record,
        job=draft.job,
        state=state,
        idempotency_key=draft.wanted.idempotency_key,
        workflow_id=workflow_id,
        workflow_key=workflow_key,
        model=draft.wanted.model_id,
    )


def store(
    conn: Connection,
    account: Account,
    draft: Draft,
    now_ms: int,
    *,
    names: Mapping[str, str] | None = None,
    workflow_id: str | None = None,
    workflow_key: str | None = None,
) -> tuple[TaskRow, bool]:
    """Store a task, and let it go on if it need not wait; the row, and whether it is new.

    Args:
        names: names of a workflow's tasks -> ids of those that are stored already.

    Raises:
        InvalidRequest, UnmetDependency: what it needs is not there, or will never come.
        tasks.IdempotencyConflict: see `tasks.insert_new`.
    """
    place = f"tasks.{workflow_key}." if workflow_key else ""
    needed = _needed(conn, account, draft.wanted, names or {}, place)
    needs = _needs(draft.wanted, needed, place) if needed else NOTHING
    begins_from = _begins_from(conn, account, draft, now_ms, place)
    state = state_of(draft, now_ms, needs, begins_from)
    if needed:
        by_id = {task.task_id: task for task in needed.values()}
        unmet = dependencies.look(state, draft.job, by_id)
        if isinstance(unmet, DependencyUnmet):
            raise UnmetDependency(unmet.message, reason=unmet.code, field=f"{place}depends_on")
    row, created = tasks.insert_new(
        conn,
        new_task(account.id, draft, state, workflow_id=workflow_id, workflow_key=workflow_key),
        now_ms,
    )
    if created and begins_from is not None and draft.wanted.resume_from is not None:
        source, sequence = draft.wanted.resume_from.task_id, begins_from.checkpoint.sequence
        checkpoints.copy(conn, source, sequence, row.id, now_ms)
    if created and needed and steps.look(conn, row.id, now_ms) is not None:
        released = tasks.get(conn, row.id)
        assert released is not None, "stored a moment ago"
        return released, True
    return row, created


def _begins_from(
    conn: Connection, account: Account, draft: Draft, now_ms: int, place: str
) -> KeptCheckpoint | None:
    """The other task's checkpoint that it shall begin from.

    Raises:
        InvalidRequest: there is none, or its disk is too small for it.
    """
    wanted = draft.wanted.resume_from
    if wanted is None:
        return None
    field = f"{place}resume_from"
    row = tasks.get(conn, wanted.task_id, account.id)
    if row is None:
        raise InvalidRequest(f"{field}: there is no task {wanted.task_id}", field)
    there = [kept.checkpoint for kept in row.state.checkpoints]
    found = [each for each in there if wanted.sequence in (None, each.sequence)]
    if not found:
        numbers = ", ".join(str(each.sequence) for each in there) or "none"
        which = "no checkpoint" if wanted.sequence is None else f"no checkpoint {wanted.sequence}"
        raise InvalidRequest(f"{field}: {row.id} has {which}; there are: {numbers}", field)
    if found[-1].size_bytes > draft.demand.requirements.disk_bytes:
        raise InvalidRequest(
            f"{field}: checkpoint {found[-1].sequence} has {found[-1].size_bytes} bytes; ask for at least "
            "as much disk (resource_requirements.storage_gb)",
            field,
        )
    return KeptCheckpoint(found[-1], "", now_ms)


def _needed(
    conn: Connection,
    account: Account,
    wanted: Submission,
    names: Mapping[str, str],
    place: str,
) -> dict[str, Task]:
    """As it was named -> the task."""
    found: dict[str, Task] = {}
    for name in wanted.needed():
        row = tasks.get(conn, names.get(name, name), account.id)
        if row is None:
            raise InvalidRequest(
                f"{place}depends_on: there is no task {name}", f"{place}depends_on"
            )
        found[name] = row.state
        _require_words(row, [part for part in wanted.prompt_parts if part.task_id == name], place)
    return found


def _require_words(row: TaskRow, parts: Sequence[PromptPart], place: str) -> None:
    """Refuse words that the model which a task asks never leaves.

    Raises:
        InvalidRequest: it names them.
    """
    asked = row.spec.get("model")
    if not isinstance(asked, dict):
        return
    for part in parts:
        try:
            check_source(ModelType(str(asked["type"])), part)
        except InvalidValue as error:
            field = f"{place}prompt_from.{part.name}"
            raise InvalidRequest(f"{field}: {error}", field) from error


def _needs(wanted: Submission, needed: Mapping[str, Task], place: str) -> Needs:
    field = f"{place}depends_on"
    if len(needed) > MAX_NEEDS:
        raise InvalidRequest(f"{field}: a task may depend on at most {MAX_NEEDS} others", field)
    depths = [task.needs.depth for task in needed.values() if task.phase not in TERMINAL]
    depth = 1 + max(depths, default=0)
    if depth > MAX_DEPTH:
        raise InvalidRequest(
            f"{field}: this would be the end of a chain of {depth} tasks that wait for each other; "
            f"at most {MAX_DEPTH} may",
            field,
        )
    outputs = tuple(
        replace(item, task_id=needed[item.task_id].task_id) for item in wanted.outputs_wanted
    )
    prompt = tuple(
        replace(part, task_id=needed[part.task_id].task_id) for part in wanted.prompt_parts
    )
    return Needs(tuple(task.task_id for task in needed.values()), outputs, depth, prompt)
