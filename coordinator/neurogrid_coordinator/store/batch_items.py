"""The items of batches. Every change goes with one of the batch's counters (`batches.lock` comes first)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, delete, insert, select, update
from sqlalchemy import func as sql

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.task import TERMINAL, Phase

from ..batches.batch_rules import ItemState
from . import batches
from .tables import batch_items, tasks
from .tables import batches as batches_table

_TERMINAL = [phase.value for phase in TERMINAL]
_RUNNING = [Phase.RUNNING.value, Phase.VERIFYING.value]


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item to store.

    Attributes:
        request: its own fields, beside the batch's defaults.
        first_task_id: of the first task that will be made of it.
    """

    position: int
    client_id: str
    request: dict[str, Json]
    first_task_id: str


@dataclass(frozen=True, slots=True)
class ItemRow:
    """A stored item. See `tables` for the fields; ``phase``, ``node_id``: of its newest task."""

    batch_id: str
    position: int
    client_id: str
    state: ItemState
    request: dict[str, Json]
    attempts: int
    tries: int
    task_id: str | None
    held_micro_usdc: int
    cost_micro_usdc: int
    code: str
    message: str
    ended_at_ms: int | None
    first_task_id: str | None
    phase: Phase | None
    node_id: str | None


def add(conn: Connection, batch_id: str, items: Sequence[NewItem]) -> None:
    """Store items of a batch that is being loaded."""
    if not items:
        return
    conn.execute(
        insert(batch_items),
        [
            {
                "batch_id": batch_id,
                "position": item.position,
                "client_id": item.client_id,
                "state": ItemState.PENDING.value,
                "request_json": msgspec.json.encode(item.request).decode(),
                "first_task_id": item.first_task_id,
                "attempts": 0,
                "tries": 0,
                "held_micro_usdc": 0,
                "cost_micro_usdc": 0,
                "code": "",
                "message": "",
            }
            for item in items
        ],
    )


def page(
    conn: Connection,
    batch_id: str,
    states: Collection[ItemState] | None = None,
    *,
    limit: int,
    offset: int = 0,
    after: int | None = None,
) -> list[ItemRow]:
    """Items in their order; ``after``: only those behind this position."""
    query = _rows().where(batch_items.c.batch_id == batch_id)
    if states is not None:
        query = query.where(batch_items.c.state.in_([state.value for state in states]))
    if after is not None:
        query = query.where(batch_items.c.position > after)
    rows = conn.execute(query.order_by(batch_items.c.position).limit(limit).offset(offset))
    return [_item(row) for row in rows]


def first_task_ids(conn: Connection, batch_id: str) -> list[str]:
    """The ids of the first tasks of all of a batch's items, in their order."""
    rows = conn.scalars(
        select(batch_items.c.first_task_id)
        .where(batch_items.c.batch_id == batch_id)
        .order_by(batch_items.c.position)
    )
    return [task_id for task_id in rows if task_id is not None]


def of_first_task(conn: Connection, account_id: str, task_id: str) -> ItemRow | None:
    """The account's item whose first task has this id, or will have it."""
    rows = conn.execute(
        _rows()
        .join(batches_table, batches_table.c.id == batch_items.c.batch_id)
        .where(
            batch_items.c.first_task_id == task_id,
            batches_table.c.account_id == account_id,
            batches_table.c.deleted_at_ms.is_(None),
        )
    )
    row = rows.first()
    return _item(row) if row else None


def batch_of_task(conn: Connection, account_id: str, task_id: str) -> str | None:
    """The account's batch that has released this task; None: it is none's."""
    return conn.scalar(
        select(batch_items.c.batch_id)
        .join(batches_table, batches_table.c.id == batch_items.c.batch_id)
        .where(
            batches_table.c.account_id == account_id,
            batch_items.c.state == ItemState.RELEASED.value,
            batch_items.c.task_id == task_id,
        )
    )


def ended_tasks(conn: Connection, batch_id: str, limit: int) -> list[ItemRow]:
    """Released items whose task has ended."""
    rows = conn.execute(
        _rows()
        .where(
            batch_items.c.batch_id == batch_id,
            batch_items.c.state == ItemState.RELEASED.value,
            tasks.c.phase.in_(_TERMINAL),
        )
        .limit(limit)
    )
    return [_item(row) for row in rows]


def going_tasks(conn: Connection, batch_id: str, limit: int) -> list[str]:
    """Tasks of the batch that have not ended."""
    rows = conn.execute(
        _rows()
        .where(
            batch_items.c.batch_id == batch_id,
            batch_items.c.state == ItemState.RELEASED.value,
            tasks.c.phase.not_in(_TERMINAL),
        )
        .limit(limit)
    )
    return [row.task_id for row in rows]


def count_running(conn: Connection, batch_id: str) -> int:
    """How many of the batch's tasks run."""
    query = (
        select(sql.count())
        .select_from(batch_items.join(tasks, tasks.c.id == batch_items.c.task_id))
        .where(
            batch_items.c.batch_id == batch_id,
            batch_items.c.state == ItemState.RELEASED.value,
            tasks.c.phase.in_(_RUNNING),
        )
    )
    return conn.scalar(query) or 0


def held_micro_usdc(conn: Connection, batch_id: str) -> int:
    """What the tasks of the batch that have not ended may cost at most."""
    query = select(sql.coalesce(sql.sum(batch_items.c.held_micro_usdc), 0)).where(
        batch_items.c.batch_id == batch_id, batch_items.c.state == ItemState.RELEASED.value
    )
    return int(conn.scalar(query) or 0)


def is_pending(conn: Connection, batch_id: str, position: int) -> bool:
    """Whether the item still waits."""
    query = select(batch_items.c.state).where(
        batch_items.c.batch_id == batch_id, batch_items.c.position == position
    )
    return conn.scalar(query) == ItemState.PENDING.value


def release(conn: Connection, item: ItemRow, task_id: str, held_micro_usdc: int) -> None:
    """A task was stored for a pending item of a locked batch, in this transaction."""
    conn.execute(
        update(batch_items)
        .where(batch_items.c.batch_id == item.batch_id, batch_items.c.position == item.position)
        .values(
            state=ItemState.RELEASED.value,
            task_id=task_id,
            attempts=batch_items.c.attempts + 1,
            tries=batch_items.c.tries + 1,
            held_micro_usdc=held_micro_usdc,
            code="",
            message="",
        )
    )
    batches.count_moved(conn, item.batch_id, "pending", "released", 1)


def end(
    conn: Connection,
    item: ItemRow,
    after: ItemState,
    now_ms: int,
    *,
    cost_micro_usdc: int = 0,
    code: str = "",
    message: str = "",
) -> None:
    """An item of a locked batch is not what it was (``item.state``) any more, if it still was that.

    Args:
        after: ``pending``: it is tried again.
        cost_micro_usdc: of the task that has ended.
    """
    moved = conn.execute(
        update(batch_items)
        .where(
            batch_items.c.batch_id == item.batch_id,
            batch_items.c.position == item.position,
            batch_items.c.state == item.state.value,
            batch_items.c.attempts == item.attempts,
        )
        .values(
            state=after.value,
            held_micro_usdc=0,
            cost_micro_usdc=batch_items.c.cost_micro_usdc + cost_micro_usdc,
            code=code,
            message=message,
            ended_at_ms=None if after is ItemState.PENDING else now_ms,
        )
    ).rowcount
    batches.count_moved(
        conn, item.batch_id, item.state.value, after.value, moved, cost_micro_usdc * moved
    )


def move_all(
    conn: Connection,
    batch_id: str,
    before: ItemState,
    after: ItemState,
    now_ms: int,
    *,
    code: str = "",
    message: str = "",
) -> int:
    """All items of a locked batch that are in one state go to another; how many."""
    values: dict[str, object] = {"state": after.value, "code": code, "message": message}
    if after is ItemState.PENDING:
        values |= {"tries": 0, "ended_at_ms": None}
    else:
        values["ended_at_ms"] = now_ms
    moved = conn.execute(
        update(batch_items)
        .where(batch_items.c.batch_id == batch_id, batch_items.c.state == before.value)
        .values(values)
    ).rowcount
    batches.count_moved(conn, batch_id, before.value, after.value, moved)
    return moved


def remove(conn: Connection, batch_id: str, positions: Collection[int]) -> None:
    """Forget items of a deleted batch."""
    conn.execute(
        delete(batch_items).where(
            batch_items.c.batch_id == batch_id, batch_items.c.position.in_(list(positions))
        )
    )


def _rows() -> Select[Any]:
    return select(batch_items, tasks.c.phase, tasks.c.node_id).select_from(
        batch_items.outerjoin(tasks, tasks.c.id == batch_items.c.task_id)
    )


def _item(row: Row[tuple[object, ...]]) -> ItemRow:
    return ItemRow(
        batch_id=row.batch_id,
        position=row.position,
        client_id=row.client_id,
        state=ItemState(row.state),
        request=msgspec.json.decode(row.request_json),
        attempts=row.attempts,
        tries=row.tries,
        task_id=row.task_id,
        held_micro_usdc=row.held_micro_usdc,
        cost_micro_usdc=row.cost_micro_usdc,
        code=row.code,
        message=row.message,
        ended_at_ms=row.ended_at_ms,
        first_task_id=row.first_task_id,
        phase=Phase(row.phase) if row.phase else None,
        node_id=row.node_id,
    )
