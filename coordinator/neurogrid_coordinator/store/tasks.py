"""Tasks: what was submitted, and the orchestration state that moves it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import (
    Connection,
    Row,
    bindparam,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy import func as sql

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.demand import VerifyMode
from neurogrid_marketplace.job import Job
from neurogrid_marketplace.membership import Membership, member_id
from neurogrid_marketplace.spreading import HOLDING
from neurogrid_marketplace.task import TERMINAL, Phase, Task
from neurogrid_marketplace.verification import Verdict, replica_id

from . import events, needs, request_records
from .prepared import Prepared
from .tables import account_holds, accounts, tasks

# Made before there are threads: where two of them use a type for the first time at once, msgspec 0.22
# reads what the other has half made, and crashes.
_read_task = msgspec.json.Decoder(Task).decode
_read_job = msgspec.json.Decoder(Job).decode

# Statements of the paths that every task takes. Parameters begin with "the_", because an update reserves the
# columns' own names.
_INSERT = Prepared(insert(tasks))
_BY_ID = Prepared(select(tasks).where(tasks.c.id == bindparam("the_id")))
_BY_ID_OF_ACCOUNT = Prepared(
    select(tasks).where(
        tasks.c.id == bindparam("the_id"),
        tasks.c.account_id == bindparam("the_account"),
        tasks.c.deleted_at_ms.is_(None),
    )
)
_BY_KEY = Prepared(
    select(tasks).where(
        tasks.c.account_id == bindparam("the_account"),
        tasks.c.idempotency_key == bindparam("the_key"),
    )
)
_STATE = Prepared(
    select(tasks.c.state_json, tasks.c.account_id, tasks.c.priority).where(
        tasks.c.id == bindparam("the_id")
    )
)
_STATES = select(tasks.c.id, tasks.c.state_json).where(
    tasks.c.id.in_(bindparam("the_ids", expanding=True))
)
_GROUP = select(tasks).where(
    or_(tasks.c.id == bindparam("the_id"), tasks.c.belongs_to == bindparam("the_id"))
)
_APART = Prepared(
    select(tasks.c.state_json).where(
        tasks.c.account_id == bindparam("the_account"),
        tasks.c.spread_group == bindparam("the_group"),
        tasks.c.id != bindparam("the_id"),
        tasks.c.phase.in_([phase.value for phase in HOLDING]),
    )
)
_JOB = Prepared(select(tasks.c.job_json).where(tasks.c.id == bindparam("the_id")))
_UPDATE = update(tasks).where(tasks.c.id == bindparam("the_id"))
_SAVE_STATE, _SAVE_JOB, _SAVE_PROGRESS = Prepared(_UPDATE), Prepared(_UPDATE), Prepared(_UPDATE)
_HELD = Prepared(
    select(account_holds.c.held_micro_usdc)
    .join(accounts, accounts.c.id == account_holds.c.account_id)
    .where(accounts.c.wallet == bindparam("the_wallet"))
)


_AT_WORK = [phase.value for phase in (Phase.STARTING, Phase.RUNNING, Phase.VERIFYING)]


class IdempotencyConflict(Exception):
    """The idempotency key was used before, for another request."""


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to store.

    Attributes:
        kind: the ``type`` the client gave it; a word for people and filters.
        spec: the request as submitted, to show it again.
        state: from `submission.submit`; holds the task's id.
        workflow_id, workflow_key: the workflow it was submitted with, and its name there.
        model: the id of the model that it asks.
    """

    account_id: str
    name: str
    kind: str
    priority: int
    spec: dict[str, Json]
    job: Job
    state: Task
    idempotency_key: str | None = None
    workflow_id: str | None = None
    workflow_key: str | None = None
    model: str | None = None


# A struct, because of a frozen dataclass Python's own code sets each of the fields, at a tenth of a microsecond.
class TaskRow(msgspec.Struct, frozen=True):
    """A stored task. See `NewTask` and `tables` for the fields."""

    id: str
    account_id: str
    name: str
    kind: str
    priority: int
    idempotency_key: str | None
    created_at_ms: int
    updated_at_ms: int
    deleted_at_ms: int | None
    spec: dict[str, Json]
    job: Job
    state: Task
    phase: Phase
    hold_micro_usdc: int
    cost_micro_usdc: int
    node_id: str | None
    lease_id: str | None
    started_at_ms: int | None
    ended_at_ms: int | None
    progress_permille: int
    progress_note: str
    workflow_id: str | None
    workflow_key: str | None
    belongs_to: str | None
    model: str | None

    @property
    def submitted_at_ms(self) -> int:
        """When its owner asked for it: with its batch, which may be long before it was stored."""
        said = self.spec.get(request_records.SUBMITTED_AT_MS)
        return said if isinstance(said, int) else self.created_at_ms


class TaskState(msgspec.Struct, frozen=True):
    """A task as the orchestrator needs it."""

    task: Task
    account_id: str
    priority: int


def insert_new(conn: Connection, task: NewTask, now_ms: int) -> tuple[TaskRow, bool]:
    """Store a task and its ``task.created`` event; the row, and whether it is new.

    With an idempotency key that was used for the same spec the first task is returned.

    Raises:
        IdempotencyConflict: the key was used for another spec.
    """
    if task.idempotency_key is not None:
        before = by_idempotency_key(conn, task.account_id, task.idempotency_key)
        if before is not None:
            if not request_records.is_same(before.spec, task.spec):
                raise IdempotencyConflict(
                    f"the idempotency key {task.idempotency_key!r} was used for task "
                    f"{before.id}, which was another request"
                )
            return before, False
    insert_columns(conn, columns_of(task, now_ms))
    needs.add(conn, task.state.task_id, task.state.needs.task_ids)
    # Not read back: that would cost as much as storing it.
    return new_row(task, now_ms), True


def insert_columns(conn: Connection, columns: Mapping[str, Any]) -> None:
    """Store a new task that needs no other, as `columns_of` has it, and its ``task.created`` event."""
    _INSERT.run(conn, columns)
    events.append(
        conn,
        columns["id"],
        columns["account_id"],
        columns["created_at_ms"],
        events.CREATED,
        {"name": columns["name"]},
    )


def columns_of(task: NewTask, now_ms: int) -> dict[str, Any]:
    """A new task's row, in text and numbers."""
    state = task.state
    assert state.lease is None, "a new task has none"
    return {
        "id": state.task_id,
        "account_id": task.account_id,
        "name": task.name,
        "kind": task.kind,
        "priority": task.priority,
        "idempotency_key": task.idempotency_key,
        "created_at_ms": now_ms,
        "spec_json": _text(task.spec),
        "job_json": _text(task.job),
        "progress_permille": 0,
        "progress_note": "",
        "workflow_id": task.workflow_id,
        "workflow_key": task.workflow_key,
        "spread_group": state.spread.group if state.spread is not None else None,
        "model": task.model,
        **_state_columns(state, now_ms),
    }


def new_row(task: NewTask, now_ms: int) -> TaskRow:
    """A new task as it is read back."""
    state = task.state
    return TaskRow(
        id=state.task_id,
        account_id=task.account_id,
        name=task.name,
        kind=task.kind,
        priority=task.priority,
        idempotency_key=task.idempotency_key,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
        deleted_at_ms=None,
        spec=task.spec,
        job=task.job,
        state=state,
        phase=state.phase,
        hold_micro_usdc=hold_micro_usdc(state),
        cost_micro_usdc=state.cost_micro_usdc,
        node_id=None,
        lease_id=None,
        started_at_ms=None,
        ended_at_ms=None,
        progress_permille=0,
        progress_note="",
        workflow_id=task.workflow_id,
        workflow_key=task.workflow_key,
        belongs_to=state.belongs_to or None,
        model=task.model,
    )


def by_idempotency_key(conn: Connection, account_id: str, key: str) -> TaskRow | None:
    """The account's task that was submitted with this key; also if it was deleted since."""
    row = _BY_KEY.first(conn, {"the_account": account_id, "the_key": key})
    return task_row(row) if row else None


def get(conn: Connection, task_id: str, account_id: str | None = None) -> TaskRow | None:
    """The task (if it belongs to this account); deleted ones are gone for accounts."""
    if account_id is None:
        row = _BY_ID.first(conn, {"the_id": task_id})
    else:
        row = _BY_ID_OF_ACCOUNT.first(conn, {"the_id": task_id, "the_account": account_id})
    return task_row(row) if row else None


def stored(conn: Connection, task_id: str, account_id: str) -> Sequence[Any]:
    """As `get`, the row as it is stored: one, or none."""
    return _BY_ID_OF_ACCOUNT.plain(conn, {"the_id": task_id, "the_account": account_id})


def read(rows: Sequence[Any]) -> TaskRow:
    """The task that `stored` has found."""
    (row,) = _BY_ID_OF_ACCOUNT.named(rows)
    return task_row(row)


def read_state(state_json: str) -> Task:
    """A task's state, from the column that has it."""
    return _read_task(state_json)


def state_of(conn: Connection, task_id: str) -> TaskState | None:
    """What one step of the task needs."""
    row = _STATE.first(conn, {"the_id": task_id})
    return _task_state(row.state_json, row.account_id, row.priority) if row else None


def states_of(conn: Connection, task_ids: Collection[str]) -> dict[str, Task]:
    """The states of these tasks, also of deleted ones."""
    rows = conn.execute(_STATES, {"the_ids": list(task_ids)})
    return {row.id: _read_task(row.state_json) for row in rows}


def holding_of_spread(
    conn: Connection, account_id: str, group: str, *, but: str = ""
) -> list[Task]:
    """The account's tasks of this group that may hold a lease; ``but``: left out."""
    rows = _APART.all(conn, {"the_account": account_id, "the_group": group, "the_id": but})
    return [_read_task(row.state_json) for row in rows]


def count_of_spread(conn: Connection, account_id: str, group: str) -> int:
    """How many of the account's tasks of this group have not ended."""
    query = (
        select(sql.count())
        .select_from(tasks)
        .where(
            tasks.c.account_id == account_id,
            tasks.c.spread_group == group,
            tasks.c.phase.not_in([phase.value for phase in TERMINAL]),
        )
    )
    return conn.scalar(query) or 0


def nodes_at_work(conn: Connection, account_id: str) -> set[str]:
    """The nodes that have one of the account's tasks now."""
    rows = conn.execute(
        select(tasks.c.node_id).where(
            tasks.c.account_id == account_id,
            tasks.c.phase.in_(_AT_WORK),
            tasks.c.deleted_at_ms.is_(None),
        )
    )
    return {row.node_id for row in rows if row.node_id}


def job_of(conn: Connection, task_id: str) -> Job:
    """The job of a stored task."""
    found = _JOB.scalar(conn, {"the_id": task_id})
    assert found is not None, "it is stored"
    return _read_job(found)


def save_state(conn: Connection, state: Task, now_ms: int) -> None:
    """Store the next orchestration state and the columns that repeat parts of it."""
    _SAVE_STATE.run(conn, {"the_id": state.task_id, **_state_columns(state, now_ms)})


def save_job(conn: Connection, task_id: str, job: Job) -> None:
    """Store the job of a task whose inputs are fixed."""
    _SAVE_JOB.run(conn, {"the_id": task_id, "job_json": _text(job)})


def save_request(
    conn: Connection, row: TaskRow, asked: NewTask, spec: dict[str, Json], now_ms: int
) -> None:
    """Store what a task that waits is asked for from now on, with its state.

    Args:
        asked: of the row's account, with the row's own id.
        spec: the record of all that was asked for (`request_records`).
    """
    conn.execute(
        _UPDATE,
        {
            "the_id": row.id,
            "name": asked.name,
            "kind": asked.kind,
            "priority": asked.priority,
            "spec_json": _text(spec),
            "job_json": _text(asked.job),
            "model": asked.model,
            **_state_columns(asked.state, now_ms),
        },
    )


def save_progress(conn: Connection, task_id: str, permille: int, note: str) -> None:
    """Store what the program says of its progress. It moves nothing."""
    values = {"the_id": task_id, "progress_permille": permille, "progress_note": note}
    _SAVE_PROGRESS.run(conn, values)


def active(conn: Connection) -> list[TaskState]:
    """Every task that has not ended, most urgent first."""
    rows = conn.execute(
        select(tasks.c.state_json, tasks.c.account_id, tasks.c.priority)
        .where(tasks.c.phase.not_in([phase.value for phase in TERMINAL]))
        .order_by(tasks.c.priority.desc(), tasks.c.id)
    )
    return [_task_state(row.state_json, row.account_id, row.priority) for row in rows]


def held_micro_usdc(conn: Connection, wallet: str) -> int:
    """What this wallet's tasks may still cost and no open escrow covers yet."""
    return int(_HELD.scalar(conn, {"the_wallet": wallet}) or 0)


def group_of(conn: Connection, task_id: str) -> list[TaskRow]:
    """A task and its further runs, in the order in which they were made; or a gang, by rank."""
    rows = [task_row(row) for row in conn.execute(_GROUP, {"the_id": task_id})]
    id_of = member_id if any(row.state.membership for row in rows) else replica_id
    order = {task_id: 0} | {id_of(task_id, number): number for number in range(1, len(rows))}
    # What compares their results comes behind them all.
    return sorted(rows, key=lambda row: (order.get(row.id, len(rows)), len(row.state.compares)))


def unjudged(conn: Connection) -> list[str]:
    """Tasks that have ended and about which a spot check has still to decide something."""
    waiting = [Verdict.DUE.value, Verdict.PENDING.value]
    rows = conn.execute(select(tasks.c.id).where(tasks.c.verdict.in_(waiting)))
    return [row.id for row in rows]


def delete(conn: Connection, task_id: str, account_id: str, now_ms: int) -> bool:
    """Hide a task that has ended from its account; whether it was there. Its evidence stays."""
    found = conn.execute(
        update(tasks)
        .where(
            tasks.c.id == task_id,
            tasks.c.account_id == account_id,
            tasks.c.deleted_at_ms.is_(None),
            tasks.c.phase.in_([phase.value for phase in TERMINAL]),
        )
        .values(deleted_at_ms=now_ms)
        .returning(tasks.c.id)
    ).first()
    return found is not None


def hold_micro_usdc(state: Task) -> int:
    """What the budget must keep free for this task: nothing once an escrow covers it.

    A task that is verified keeps as much for each further run, and what it costs to compare them once,
    until that has begun and holds its own, or is known not to be.
    """
    if state.membership is not None:
        return _hold_of_member(state, state.membership)
    further = 0
    if state.verdict is Verdict.DUE or (
        state.verification.mode is VerifyMode.SPOT_CHECK
        and not state.belongs_to
        and state.phase not in TERMINAL
    ):
        further = state.verification.runs_held - 1
    comparing = 0
    judged_later = state.phase not in TERMINAL or state.verdict in (Verdict.DUE, Verdict.PENDING)
    if judged_later and not state.belongs_to and not state.comparisons:
        comparing = state.verification.comparison_micro_usdc(state.demand)
    covered = state.phase in TERMINAL or (state.lease is not None and state.lease.escrow_open)
    return state.demand.max_cost_micro_usdc() * (further + (not covered)) + comparing


def _hold_of_member(state: Task, membership: Membership) -> int:
    """As often as the gang may still begin; rank 0 holds for all before the others are made."""
    if state.phase in TERMINAL:
        return 0
    covered = state.checked or (state.lease is not None and state.lease.escrow_open)
    seats = membership.gang.size if membership.rank == 0 and not membership.attempt else 1
    return state.demand.max_cost_micro_usdc() * seats * (membership.tries - covered)


def _state_columns(state: Task, now_ms: int) -> dict[str, Any]:
    lease = state.lease
    return {
        "updated_at_ms": now_ms,
        "state_json": _text(state),
        "phase": state.phase.value,
        "hold_micro_usdc": hold_micro_usdc(state),
        "cost_micro_usdc": state.cost_micro_usdc,
        "node_id": lease.node_id if lease else None,
        "lease_id": lease.lease_id if lease else None,
        "started_at_ms": (lease.started_at_ms or None) if lease else None,
        "ended_at_ms": state.since_ms if state.phase in TERMINAL else None,
        "belongs_to": state.belongs_to or None,
        "verdict": state.verdict.value or None,
    }


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _task_state(state_json: str, account_id: str, priority: int) -> TaskState:
    return TaskState(_read_task(state_json), account_id, priority)


def task_row(row: Row[tuple[object, ...]]) -> TaskRow:
    return TaskRow(
        id=row.id,
        account_id=row.account_id,
        name=row.name,
        kind=row.kind,
        priority=row.priority,
        idempotency_key=row.idempotency_key,
        created_at_ms=row.created_at_ms,
        updated_at_ms=row.updated_at_ms,
        deleted_at_ms=row.deleted_at_ms,
        spec=msgspec.json.decode(row.spec_json),
        job=_read_job(row.job_json),
        state=_read_task(row.state_json),
        phase=Phase(row.phase),
        hold_micro_usdc=row.hold_micro_usdc,
        cost_micro_usdc=row.cost_micro_usdc,
        node_id=row.node_id,
        lease_id=row.lease_id,
        started_at_ms=row.started_at_ms,
        ended_at_ms=row.ended_at_ms,
        progress_permille=row.progress_permille,
        progress_note=row.progress_note,
        workflow_id=row.workflow_id,
        workflow_key=row.workflow_key,
        belongs_to=row.belongs_to,
        model=row.model,
    )
