"""Batches: their rows, their counters, and where each is.

Whoever changes a batch or its items calls `lock` first, in the same transaction: so the counters hold, also
where several coordinators work on one database.
"""

from collections.abc import Collection
from dataclasses import dataclass

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy import func as sql

from neurogrid_marketplace.canonical import Json

from ..batches.batch_rules import ENDED, BatchState, Counts, ending
from . import events
from .prepared import Prepared
from .tables import batches

_EVENT_OF_END = {
    BatchState.COMPLETED: events.BATCH_COMPLETED,
    BatchState.FAILED: events.BATCH_FAILED,
    BatchState.CANCELLED: events.BATCH_CANCELLED,
}
_UNDER_WAY = (BatchState.RUNNING.value, BatchState.CANCELLING.value)
# Asked again and again, mostly where there is none: one look at an index each.
_ANY: Select[tuple[object]] = select(literal_column("1")).select_from(batches).limit(1)
_ANY_UNDER_WAY = Prepared(_ANY.where(batches.c.state.in_(_UNDER_WAY)))
_ANY_LOADING = Prepared(_ANY.where(batches.c.state == BatchState.LOADING.value))
_ANY_DELETED = Prepared(
    _ANY.where(batches.c.deleted_at_ms.is_not(None), batches.c.cleared_at_ms.is_(None))
)


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A stored batch. See `tables` for the fields."""

    id: str
    account_id: str
    client_id: str | None
    name: str
    description: str
    idempotency_key: str | None
    request_sha256: str
    state: BatchState
    defaults: dict[str, Json]
    max_concurrency: int
    retries: int
    max_cost_micro_usdc: int | None
    most_micro_usdc: int
    spent_micro_usdc: int
    note: str
    counts: Counts
    created_at_ms: int
    updated_at_ms: int
    started_at_ms: int | None
    ended_at_ms: int | None
    deleted_at_ms: int | None


def insert_loading(conn: Connection, row: BatchRow) -> None:
    """Store a batch that nobody sees before `publish`; its keys are taken only then."""
    conn.execute(
        insert(batches).values(
            id=row.id,
            account_id=row.account_id,
            name=row.name,
            description=row.description,
            request_sha256=row.request_sha256,
            state=BatchState.LOADING.value,
            defaults_json=msgspec.json.encode(row.defaults).decode(),
            max_concurrency=row.max_concurrency,
            retries=row.retries,
            max_cost_micro_usdc=row.max_cost_micro_usdc,
            most_micro_usdc=0,
            spent_micro_usdc=0,
            note="",
            pending=0,
            released=0,
            completed=0,
            failed=0,
            cancelled=0,
            created_at_ms=row.created_at_ms,
            updated_at_ms=row.created_at_ms,
        )
    )


def publish(conn: Connection, row: BatchRow, now_ms: int) -> BatchRow:
    """Let a loaded batch be there, with all of its items, its keys and its event."""
    conn.execute(
        update(batches)
        .where(batches.c.id == row.id)
        .values(
            state=BatchState.PENDING.value,
            client_id=row.client_id,
            idempotency_key=row.idempotency_key,
            most_micro_usdc=row.most_micro_usdc,
            pending=row.counts.pending,
            updated_at_ms=now_ms,
        )
    )
    _tell(conn, row, events.BATCH_CREATED, now_ms)
    return _again(conn, row.id)


def get(conn: Connection, batch_id: str, account_id: str | None = None) -> BatchRow | None:
    """The batch with this id, or of this account, which has not deleted it, with its own id for it."""
    if account_id is None:
        where = batches.c.id == batch_id
    else:
        named = or_(batches.c.id == batch_id, batches.c.client_id == batch_id)
        where = and_(visible(account_id), named)
    row = conn.execute(select(batches).where(where).order_by(batches.c.id)).first()
    return _batch(row) if row else None


def by_idempotency_key(conn: Connection, account_id: str, key: str) -> BatchRow | None:
    """The account's batch that was made with this key; also if it was deleted since."""
    row = conn.execute(
        select(batches).where(batches.c.account_id == account_id, batches.c.idempotency_key == key)
    ).first()
    return _batch(row) if row else None


def list_rows(
    conn: Connection,
    account_id: str,
    states: Collection[BatchState] | None,
    *,
    limit: int,
    offset: int,
) -> tuple[list[BatchRow], int]:
    """The account's batches in these states, newest first; and how many there are in all."""
    where = visible(account_id)
    if states is not None:
        where = and_(where, batches.c.state.in_([state.value for state in states]))
    rows = conn.execute(
        select(batches).where(where).order_by(batches.c.id.desc()).limit(limit).offset(offset)
    )
    total = conn.scalar(select(sql.count()).select_from(batches).where(where)) or 0
    return [_batch(row) for row in rows], total


def are_idle(conn: Connection) -> bool:
    """Whether `under_way` and `to_clear` have nothing, now and until something is changed."""
    return not any(each.scalar(conn, {}) for each in (_ANY_UNDER_WAY, _ANY_LOADING, _ANY_DELETED))


def under_way(conn: Connection, limit: int) -> list[BatchRow]:
    """Batches that something is to be done about, oldest first."""
    rows = conn.execute(
        select(batches).where(batches.c.state.in_(_UNDER_WAY)).order_by(batches.c.id).limit(limit)
    )
    return [_batch(row) for row in rows]


def running(conn: Connection) -> list[BatchRow]:
    """Every batch whose items may be released."""
    rows = conn.execute(select(batches).where(batches.c.state == BatchState.RUNNING.value))
    return [_batch(row) for row in rows]


def open_items(conn: Connection, account_id: str) -> tuple[int, int]:
    """How many batches of the account have not ended, and how many of their items have not."""
    row = conn.execute(
        select(
            sql.count(),
            sql.coalesce(sql.sum(batches.c.pending + batches.c.released), 0),
        ).where(visible(account_id), batches.c.state.not_in([state.value for state in ENDED]))
    ).one()
    return int(row[0]), int(row[1])


def lock(conn: Connection, batch_id: str, now_ms: int) -> BatchRow | None:
    """The batch as nobody else changes it before the end of the transaction; None if it is gone."""
    found = conn.execute(
        update(batches).where(batches.c.id == batch_id).values(updated_at_ms=now_ms)
    )
    return get(conn, batch_id) if found.rowcount else None


def start(conn: Connection, row: BatchRow, now_ms: int) -> BatchRow:
    """Let a locked batch's items be released from now on."""
    conn.execute(
        update(batches)
        .where(batches.c.id == row.id)
        .values(
            state=BatchState.RUNNING.value,
            started_at_ms=row.started_at_ms or now_ms,
            ended_at_ms=None,
            note="",
        )
    )
    _tell(conn, row, events.BATCH_STARTED, now_ms)
    return _again(conn, row.id)


def set_max_cost(conn: Connection, batch_id: str, max_cost_micro_usdc: int) -> None:
    """Another budget."""
    conn.execute(
        update(batches)
        .where(batches.c.id == batch_id)
        .values(max_cost_micro_usdc=max_cost_micro_usdc)
    )


def cancel(conn: Connection, batch_id: str) -> None:
    """Nothing of a locked batch is released any more."""
    conn.execute(
        update(batches)
        .where(batches.c.id == batch_id)
        .values(state=BatchState.CANCELLING.value, note="")
    )


def count_moved(
    conn: Connection, batch_id: str, before: str, after: str, items: int, cost_micro_usdc: int = 0
) -> None:
    """Items of a locked batch went from one state to another."""
    if before == after or not items:
        return
    conn.execute(
        update(batches)
        .where(batches.c.id == batch_id)
        .values(
            {
                batches.c[before]: batches.c[before] - items,
                batches.c[after]: batches.c[after] + items,
                batches.c.spent_micro_usdc: batches.c.spent_micro_usdc + cost_micro_usdc,
            }
        )
    )


def end_if_done(conn: Connection, batch_id: str, now_ms: int) -> BatchRow:
    """End a locked batch if all of its items have ended; the batch."""
    row = _again(conn, batch_id)
    ended = ending(row.state, row.counts)
    if ended is None:
        return row
    conn.execute(
        update(batches)
        .where(batches.c.id == batch_id)
        .values(state=ended.value, ended_at_ms=now_ms, note="")
    )
    _tell(conn, row, _EVENT_OF_END[ended], now_ms)
    return _again(conn, batch_id)


def save_note(conn: Connection, batch_id: str, note: str) -> None:
    """Why nothing of it goes on, for its owner; "" where it does."""
    conn.execute(
        update(batches).where(batches.c.id == batch_id, batches.c.note != note).values(note=note)
    )


def delete(conn: Connection, batch_id: str, now_ms: int) -> None:
    """Hide a batch; its items and tasks are deleted later (`to_clear`). Its own id is free again."""
    conn.execute(
        update(batches).where(batches.c.id == batch_id).values(deleted_at_ms=now_ms, client_id=None)
    )


def to_clear(conn: Connection, loading_before_ms: int, limit: int) -> list[BatchRow]:
    """Deleted batches whose items are still there, and what was left half loaded before this time."""
    rows = conn.execute(
        select(batches)
        .where(
            batches.c.cleared_at_ms.is_(None),
            or_(
                batches.c.deleted_at_ms.is_not(None),
                and_(
                    batches.c.state == BatchState.LOADING.value,
                    batches.c.created_at_ms < loading_before_ms,
                ),
            ),
        )
        .order_by(batches.c.id)
        .limit(limit)
    )
    return [_batch(row) for row in rows]


def cleared(conn: Connection, batch_id: str, now_ms: int) -> None:
    """Nothing of a deleted batch is left but its row, which remembers its idempotency key."""
    conn.execute(
        update(batches)
        .where(batches.c.id == batch_id)
        .values(
            cleared_at_ms=now_ms,
            deleted_at_ms=sql.coalesce(batches.c.deleted_at_ms, now_ms),
        )
    )


def visible(account_id: str) -> ColumnElement[bool]:
    """That a batch is this account's, which has not deleted it, and loaded."""
    return and_(
        batches.c.account_id == account_id,
        batches.c.deleted_at_ms.is_(None),
        batches.c.state != BatchState.LOADING.value,
    )


def _tell(conn: Connection, row: BatchRow, kind: str, now_ms: int) -> None:
    news: dict[str, Json] = {
        "batch_id": row.id,
        "client_id": row.client_id,
        "name": row.name,
        "total": row.counts.total,
        "completed": row.counts.completed,
        "failed": row.counts.failed,
        "cancelled": row.counts.cancelled,
        "cost_micro_usdc": row.spent_micro_usdc,
    }
    events.append(conn, row.id, row.account_id, now_ms, kind, news)


def _again(conn: Connection, batch_id: str) -> BatchRow:
    row = get(conn, batch_id)
    assert row is not None, "it was there a moment ago"
    return row


def _batch(row: Row[tuple[object, ...]]) -> BatchRow:
    return BatchRow(
        id=row.id,
        account_id=row.account_id,
        client_id=row.client_id,
        name=row.name,
        description=row.description,
        idempotency_key=row.idempotency_key,
        request_sha256=row.request_sha256,
        state=BatchState(row.state),
        defaults=msgspec.json.decode(row.defaults_json),
        max_concurrency=row.max_concurrency,
        retries=row.retries,
        max_cost_micro_usdc=row.max_cost_micro_usdc,
        most_micro_usdc=row.most_micro_usdc,
        spent_micro_usdc=row.spent_micro_usdc,
        note=row.note,
        counts=Counts(row.pending, row.released, row.completed, row.failed, row.cancelled),
        created_at_ms=row.created_at_ms,
        updated_at_ms=row.updated_at_ms,
        started_at_ms=row.started_at_ms,
        ended_at_ms=row.ended_at_ms,
        deleted_at_ms=row.deleted_at_ms,
    )
