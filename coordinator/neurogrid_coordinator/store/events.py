"""Task events: an append-only record of what happened, in the order in which it was committed."""

from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, Row, bindparam, insert, select
from sqlalchemy import func as sql

from neurogrid_marketplace.canonical import Json

from .tables import task_events

# What one read returns at most; callers ask again after the last `seq`.
PAGE_MAX = 500
PROGRESS = "task.progress"
# The task waits for the key to its sealed inputs.
NEEDS_KEY = "task.needs_key"
# A preemptible task's node takes its machine back: the job is stopped when the window is over.
RECLAIMED = "task.reclaimed"

# Built once, see `tasks`.
_INSERT = insert(task_events).inline()
_MILESTONES = (
    select(task_events)
    .where(task_events.c.task_id == bindparam("the_task"), task_events.c.kind != PROGRESS)
    .order_by(task_events.c.seq.desc())
    .limit(PAGE_MAX)
)
_NEWEST = select(sql.max(task_events.c.seq))


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """Something that happened to a task.

    Attributes:
        seq: grows in the order of the commits; ask for what comes ``after`` the last one seen.
        kind: ``task.created``, ``task.<phase>``, ``task.progress``, ``task.settled``, ...
    """

    seq: int
    task_id: str
    account_id: str
    at_ms: int
    kind: str
    data: dict[str, Json]


def append(
    conn: Connection, task_id: str, account_id: str, at_ms: int, kind: str, data: dict[str, Json]
) -> None:
    """Record an event; it appears together with whatever else the transaction changes."""
    conn.execute(
        _INSERT,
        {
            "task_id": task_id,
            "account_id": account_id,
            "at_ms": at_ms,
            "kind": kind,
            "data_json": msgspec.json.encode(data).decode(),
        },
    )


def after(
    conn: Connection,
    seq: int,
    *,
    account_id: str | None = None,
    task_id: str | None = None,
    limit: int = PAGE_MAX,
) -> list[TaskEvent]:
    """Events after ``seq``, oldest first; of one account, one task, or all."""
    query = select(task_events).where(task_events.c.seq > seq)
    if account_id is not None:
        query = query.where(task_events.c.account_id == account_id)
    if task_id is not None:
        query = query.where(task_events.c.task_id == task_id)
    rows = conn.execute(query.order_by(task_events.c.seq).limit(min(limit, PAGE_MAX)))
    return [_task_event(row) for row in rows]


def milestones(conn: Connection, task_id: str) -> list[TaskEvent]:
    """What happened to a task, without its progress, oldest first: the newest ``PAGE_MAX``."""
    rows = conn.execute(_MILESTONES, {"the_task": task_id}).all()
    return [_task_event(row) for row in reversed(rows)]


def last_seq(conn: Connection) -> int:
    """The newest event's ``seq``; 0 where there is none. A new listener starts after it."""
    return conn.scalar(_NEWEST) or 0


def _task_event(row: Row[tuple[object, ...]]) -> TaskEvent:
    return TaskEvent(
        row.seq,
        row.task_id,
        row.account_id,
        row.at_ms,
        row.kind,
        msgspec.json.decode(row.data_json),
    )
