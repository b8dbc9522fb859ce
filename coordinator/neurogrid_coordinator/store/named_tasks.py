"""Requests that their owners gave an id, beside those of their batches: both are found by that id and listed together."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    case,
    delete,
    insert,
    literal,
    null,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy import func as sql

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.task import Phase

from ..batches.batch_rules import ItemState
from .batches import visible
from .ids import new_id
from .tables import batch_items, batches, named_tasks, tasks


class EntryState(StrEnum):
    """Where a request is; ``pending``: no job of it runs yet."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class EntryOrder(StrEnum):
    """What lists are sorted by."""

    AGE = "age"
    ID = "id"
    STATE = "state"


_PHASES = {
    EntryState.RUNNING: (Phase.RUNNING, Phase.VERIFYING),
    EntryState.COMPLETED: (Phase.COMPLETED,),
    EntryState.FAILED: (Phase.FAILED, Phase.EXPIRED),
    EntryState.CANCELLED: (Phase.CANCELLED,),
}
_ENDED = (ItemState.COMPLETED, ItemState.FAILED, ItemState.CANCELLED)


@dataclass(frozen=True, slots=True)
class NamedRow:
    """A stored request with its owner's id. See `tables` for the fields."""

    id: str
    account_id: str
    client_id: str
    label: str
    request: dict[str, Json]
    metadata: dict[str, Json]
    idempotency_key: str | None
    request_sha256: str
    task_id: str
    executions: int
    created_at_ms: int
    updated_at_ms: int


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A request in a list.

    Attributes:
        label: the id that its owner has for its batch; "" for none.
        task_id: its newest task; None before it has one.
        ended_at_ms: None while it has not ended.
    """

    client_id: str
    label: str
    state: EntryState
    task_id: str | None
    created_at_ms: int
    ended_at_ms: int | None


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which of an account's requests; None leaves a condition out.

    Attributes:
        created_after_ms, created_before_ms: both exclusive.
    """

    state: EntryState | None = None
    label: str | None = None
    created_after_ms: int | None = None
    created_before_ms: int | None = None


def insert_new(conn: Connection, row: NamedRow) -> None:
    """Store a request with its id, which is free."""
    conn.execute(
        insert(named_tasks).values(
            id=row.id,
            account_id=row.account_id,
            client_id=row.client_id,
            label=row.label,
            request_json=_text(row.request),
            metadata_json=_text(row.metadata),
            idempotency_key=row.idempotency_key,
            request_sha256=row.request_sha256,
            task_id=row.task_id,
            executions=row.executions,
            created_at_ms=row.created_at_ms,
            updated_at_ms=row.updated_at_ms,
        )
    )


def new_row_id() -> str:
    """Of a row to store."""
    return new_id("named")


def get(conn: Connection, account_id: str, client_id: str) -> NamedRow | None:
    """The account's request with this id of its owner's."""
    return _one(
        conn, and_(named_tasks.c.account_id == account_id, named_tasks.c.client_id == client_id)
    )


def by_idempotency_key(conn: Connection, account_id: str, key: str) -> NamedRow | None:
    """The account's request that was made with this key."""
    return _one(
        conn, and_(named_tasks.c.account_id == account_id, named_tasks.c.idempotency_key == key)
    )


def change(
    conn: Connection,
    row: NamedRow,
    now_ms: int,
    *,
    request: dict[str, Json],
    metadata: dict[str, Json],
) -> None:
    """Store what is asked for from now on."""
    conn.execute(
        update(named_tasks)
        .where(named_tasks.c.id == row.id)
        .values(request_json=_text(request), metadata_json=_text(metadata), updated_at_ms=now_ms)
    )


def executed(conn: Connection, row: NamedRow, task_id: str, now_ms: int) -> bool:
    """It has another task; whether it still had the one that ``row`` says."""
    moved = conn.execute(
        update(named_tasks)
        .where(named_tasks.c.id == row.id, named_tasks.c.task_id == row.task_id)
        .values(task_id=task_id, executions=named_tasks.c.executions + 1, updated_at_ms=now_ms)
    ).rowcount
    return bool(moved)


def remove(conn: Connection, row: NamedRow) -> None:
    """Forget the request; its tasks stay."""
    conn.execute(delete(named_tasks).where(named_tasks.c.id == row.id))


def batch_item(conn: Connection, account_id: str, client_id: str) -> tuple[str, int] | None:
    """The batch and the position of the account's newest batch's task with this id."""
    row = conn.execute(
        select(batch_items.c.batch_id, batch_items.c.position)
        .join(batches, batches.c.id == batch_items.c.batch_id)
        .where(visible(account_id), batch_items.c.client_id == client_id)
        .order_by(batches.c.id.desc())
        .limit(1)
    ).first()
    return (row.batch_id, row.position) if row else None


def list_entries(
    conn: Connection,
    account_id: str,
    which: EntryFilter,
    *,
    order: EntryOrder,
    descending: bool,
    limit: int,
    offset: int,
) -> tuple[list[EntryRow], int]:
    """Requests that fit, and how many there are; of equals the oldest first."""
    both = union_all(_named(account_id), _of_batches(account_id)).subquery()
    conditions: list[ColumnElement[bool]] = []
    if which.state is not None:
        conditions.append(both.c.state == which.state.value)
    if which.label is not None:
        conditions.append(both.c.label == which.label)
    if which.created_after_ms is not None:
        conditions.append(both.c.created_at_ms > which.created_after_ms)
    if which.created_before_ms is not None:
        conditions.append(both.c.created_at_ms < which.created_before_ms)
    column = {
        EntryOrder.AGE: both.c.created_at_ms,
        EntryOrder.ID: both.c.client_id,
        EntryOrder.STATE: both.c.state,
    }[order]
    rows = conn.execute(
        select(both)
        .where(*conditions)
        .order_by(
            column.desc() if descending else column.asc(),
            both.c.created_at_ms,
            both.c.row_id,
            both.c.position,
        )
        .limit(limit)
        .offset(offset)
    )
    total = conn.scalar(select(sql.count()).select_from(both).where(*conditions)) or 0
    found = [
        EntryRow(
            client_id=row.client_id,
            label=row.label,
            state=EntryState(row.state),
            task_id=row.task_id,
            created_at_ms=row.created_at_ms,
            ended_at_ms=row.ended_at_ms,
        )
        for row in rows
    ]
    return found, total


def state_of(phase: Phase) -> EntryState:
    """Where a request is whose newest task is in this phase."""
    for state, phases in _PHASES.items():
        if phase in phases:
            return state
    return EntryState.PENDING


def state_of_item(state: ItemState, phase: Phase | None) -> EntryState:
    """Where a batch's request is."""
    if state in _ENDED:
        return EntryState(state.value)
    runs = state is ItemState.RELEASED and phase in _PHASES[EntryState.RUNNING]
    return EntryState.RUNNING if runs else EntryState.PENDING


def _named(account_id: str) -> Select[Any]:
    state = case(
        *((_in(phases), literal(state.value)) for state, phases in _PHASES.items()),
        else_=literal(EntryState.PENDING.value),
    )
    return (
        select(
            named_tasks.c.id.label("row_id"),
            literal(0).label("position"),
            named_tasks.c.client_id,
            named_tasks.c.label,
            state.label("state"),
            named_tasks.c.task_id,
            named_tasks.c.created_at_ms,
            tasks.c.ended_at_ms,
        )
        .join(tasks, tasks.c.id == named_tasks.c.task_id)
        .where(named_tasks.c.account_id == account_id)
    )


def _of_batches(account_id: str) -> Select[Any]:
    ended = batch_items.c.state.in_([state.value for state in _ENDED])
    runs = and_(batch_items.c.state == ItemState.RELEASED.value, _in(_PHASES[EntryState.RUNNING]))
    state = case(
        (ended, batch_items.c.state),
        (runs, literal(EntryState.RUNNING.value)),
        else_=literal(EntryState.PENDING.value),
    )
    return (
        select(
            batch_items.c.batch_id.label("row_id"),
            batch_items.c.position,
            batch_items.c.client_id,
            sql.coalesce(batches.c.client_id, batches.c.id).label("label"),
            state.label("state"),
            batch_items.c.task_id,
            batches.c.created_at_ms,
            case((ended, batch_items.c.ended_at_ms), else_=null()).label("ended_at_ms"),
        )
        .join(batches, batches.c.id == batch_items.c.batch_id)
        .outerjoin(tasks, tasks.c.id == batch_items.c.task_id)
        .where(visible(account_id))
    )


def _in(phases: tuple[Phase, ...]) -> ColumnElement[bool]:
    return or_(*(tasks.c.phase == phase.value for phase in phases))


def _one(conn: Connection, where: ColumnElement[bool]) -> NamedRow | None:
    row = conn.execute(select(named_tasks).where(where)).first()
    return _row(row) if row else None


def _row(row: Row[tuple[object, ...]]) -> NamedRow:
    return NamedRow(
        id=row.id,
        account_id=row.account_id,
        client_id=row.client_id,
        label=row.label,
        request=msgspec.json.decode(row.request_json),
        metadata=msgspec.json.decode(row.metadata_json),
        idempotency_key=row.idempotency_key,
        request_sha256=row.request_sha256,
        task_id=row.task_id,
        executions=row.executions,
        created_at_ms=row.created_at_ms,
        updated_at_ms=row.updated_at_ms,
    )


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
