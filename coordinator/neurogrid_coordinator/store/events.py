"""Events of accounts: an append-only record of what happened, in the order in which it was committed.

Most are a task's. What else happens to an account (to its batches, its schedules, its webhooks) is here too, with
the id of what it happened to in place of a task's and a kind that does not begin with ``task.``; ``data`` is then
shown to clients as it is. Public names stand in `event_kinds`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, insert, select
from sqlalchemy import func as sql

from neurogrid_marketplace.canonical import Json

from ..event_kinds import EVENT_KINDS, public_name
from . import webhook_deliveries, webhooks
from .prepared import Prepared
from .tables import task_events

# What one read returns at most; callers ask again after the last `seq`.
PAGE_MAX = 500
PROGRESS = webhook_deliveries.PROGRESS
# The task waits for the key to its sealed inputs.
NEEDS_KEY = "task.needs_key"
# A preemptible task's node takes its machine back: the job is stopped when the window is over.
RECLAIMED = "task.reclaimed"
CREATED = "task.created"
# Its owner asks for it otherwise, while it waits.
UPDATED = "task.updated"
# A replica of a model takes requests.
READY = "task.ready"
# What the job has done so far is kept; like progress, this may come very often.
CHECKPOINT = "task.checkpoint"
# Of batches; their subject is the batch, not a task.
BATCH_CREATED = "batch.created"
BATCH_STARTED = "batch.started"
BATCH_COMPLETED = "batch.completed"
BATCH_FAILED = "batch.failed"
BATCH_CANCELLED = "batch.cancelled"
BATCH_KINDS = (BATCH_CREATED, BATCH_STARTED, BATCH_COMPLETED, BATCH_FAILED, BATCH_CANCELLED)
# A run of a schedule has ended; its subject is the schedule.
SCHEDULE_EXECUTED = "scheduled_task.executed"

# Built once, see `tasks`.
_INSERT = Prepared(insert(task_events).inline())
_INSERT_AND_TELL = Prepared(insert(task_events).returning(task_events.c.seq))
_MILESTONES = Prepared(
    select(task_events)
    .where(
        task_events.c.task_id == bindparam("the_task"),
        task_events.c.kind.not_in([PROGRESS, CHECKPOINT]),
    )
    .order_by(task_events.c.seq.desc())
    .limit(PAGE_MAX)
)
_NEWEST = Prepared(select(sql.max(task_events.c.seq)))


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """Something that happened to a task, or to something else of an account.

    Attributes:
        seq: grows in the order of the commits; ask for what comes ``after`` the last one seen.
        task_id: of the task, or of what else it happened to.
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
    """Record an event; it appears together with whatever else the transaction changes.

    So does what webhooks are to be told of it.
    """
    values = {
        "task_id": task_id,
        "account_id": account_id,
        "at_ms": at_ms,
        "kind": kind,
        "data_json": msgspec.json.encode(data).decode(),
    }
    name = public_name(kind)
    listening = webhooks.listening(conn, account_id, name) if name in EVENT_KINDS else []
    if not listening:
        _INSERT.run(conn, values)
        return
    seq = _INSERT_AND_TELL.scalar(conn, values)
    webhook_deliveries.note(
        conn, listening, seq=seq, subject_id=task_id, at_ms=at_ms, kind=name, data=data
    )


def after(
    conn: Connection,
    seq: int,
    *,
    account_id: str | None = None,
    task_id: str | None = None,
    kinds: Collection[str] = (),
    limit: int = PAGE_MAX,
) -> list[TaskEvent]:
    """Events after ``seq``, oldest first; of one account, one task, or all; of these kinds, or any."""
    query = select(task_events).where(task_events.c.seq > seq)
    if account_id is not None:
        query = query.where(task_events.c.account_id == account_id)
    if task_id is not None:
        query = query.where(task_events.c.task_id == task_id)
    if kinds:
        query = query.where(task_events.c.kind.in_(kinds))
    rows = conn.execute(query.order_by(task_events.c.seq).limit(min(limit, PAGE_MAX)))
    return [_task_event(row) for row in rows]


def stored_after(conn: Connection, seq: int) -> tuple[list[str], list[str], int]:
    """Ids of the tasks that were stored after ``seq``, in that order; of those that were asked for otherwise; and
    the newest event's ``seq``."""
    newest = last_seq(conn)
    if newest <= seq:
        return [], [], newest
    rows = conn.execute(
        select(task_events.c.task_id, task_events.c.kind)
        .where(task_events.c.seq > seq, task_events.c.kind.in_([CREATED, UPDATED]))
        .order_by(task_events.c.seq)
    ).all()
    created = [row.task_id for row in rows if row.kind == CREATED]
    return created, [row.task_id for row in rows if row.kind == UPDATED], newest


def get(conn: Connection, seq: int) -> TaskEvent | None:
    """The event at this place."""
    row = conn.execute(select(task_events).where(task_events.c.seq == seq)).first()
    return _task_event(row) if row else None


def milestones(conn: Connection, task_id: str) -> list[TaskEvent]:
    """What happened to a task, without progress and checkpoints, oldest first: the newest ``PAGE_MAX``."""
    rows = _MILESTONES.all(conn, {"the_task": task_id})
    return [_task_event(row) for row in reversed(rows)]


def stored_milestones(conn: Connection, task_id: str) -> Sequence[Any]:
    """As `milestones`, the rows as they are stored, newest first."""
    return _MILESTONES.plain(conn, {"the_task": task_id})


def read_milestones(rows: Sequence[Any]) -> list[TaskEvent]:
    """What `stored_milestones` has found, oldest first."""
    return [_task_event(row) for row in reversed(_MILESTONES.named(rows))]


def last_seq(conn: Connection) -> int:
    """The newest event's ``seq``; 0 where there is none. A new listener starts after it."""
    return _NEWEST.scalar(conn, {}) or 0


def _task_event(row: Row[tuple[object, ...]]) -> TaskEvent:
    return TaskEvent(
        row.seq,
        row.task_id,
        row.account_id,
        row.at_ms,
        row.kind,
        msgspec.json.decode(row.data_json),
    )
