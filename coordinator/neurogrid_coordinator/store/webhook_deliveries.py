"""What is to be told to webhooks, and was: the outbox, and the record of every attempt.

`note` writes in the transaction of the event itself, so that no event is without its deliveries and no
delivery without its event, whenever the process dies.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    and_,
    func,
    insert,
    literal_column,
    or_,
    select,
    text,
    update,
)

from neurogrid_marketplace.canonical import Json

from ..event_filter import ids_in
from . import webhooks as webhook_rows
from .ids import new_id
from .prepared import Prepared
from .tables import tasks, webhook_attempts, webhook_deliveries, webhooks
from .webhooks import WebhookRow, WebhookState

PROGRESS = "task.progress"
# Asked with each event, mostly where there is none. As their index says it, which SQLite would not know in a parameter.
_ANY_PENDING = Prepared(
    select(literal_column("1"))
    .select_from(webhook_deliveries)
    .where(text("state = 'pending'"))
    .limit(1)
)


class DeliveryState(StrEnum):
    """How far a delivery is."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A stored delivery. See `tables` for the fields."""

    id: str
    webhook_id: str
    kind: str
    subject_id: str
    event_seq: int | None
    at_ms: int
    body: str | None
    state: DeliveryState
    by_hand: bool
    attempts: int
    attempts_max: int
    next_at_ms: int
    ended_at_ms: int | None


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One try. See `tables` for the fields."""

    number: int
    at_ms: int
    took_ms: int | None
    status: int | None
    error: str
    answer: str


def note(
    conn: Connection,
    listening: Collection[WebhookRow],
    *,
    seq: int,
    subject_id: str,
    at_ms: int,
    kind: str,
    data: Mapping[str, Json],
) -> None:
    """Keep an event for those of these webhooks that want it.

    Args:
        listening: as `webhooks.listening` found them.
        kind: its public name.
    """
    task = conn.execute(
        select(tasks.c.name, tasks.c.workflow_id, tasks.c.node_id, tasks.c.belongs_to).where(
            tasks.c.id == subject_id
        )
    ).first()
    if task is not None and task.belongs_to is not None:
        # A further run or a gang's member: its group is told of, not it.
        return
    ids = {subject_id, *ids_in(data)}
    if task is not None:
        ids |= {each for each in (task.workflow_id, task.node_id) if each}
    for webhook in listening:
        if not webhook.filter.admits(ids, None if task is None else task.name):
            continue
        if kind == PROGRESS and _replace_waiting(conn, webhook.id, subject_id, seq, at_ms):
            continue
        add(conn, webhook, kind=kind, subject_id=subject_id, at_ms=at_ms, event_seq=seq)


def add(
    conn: Connection,
    webhook: WebhookRow,
    *,
    kind: str,
    subject_id: str,
    at_ms: int,
    event_seq: int | None = None,
    delivery_id: str | None = None,
    body: str | None = None,
    by_hand: bool = False,
    attempts_max: int | None = None,
) -> DeliveryRow:
    """Keep one delivery, due at once."""
    row = DeliveryRow(
        id=delivery_id or new_id("delivery"),
        webhook_id=webhook.id,
        kind=kind,
        subject_id=subject_id,
        event_seq=event_seq,
        at_ms=at_ms,
        body=body,
        state=DeliveryState.PENDING,
        by_hand=by_hand,
        attempts=0,
        attempts_max=attempts_max or webhook.max_attempts,
        next_at_ms=at_ms,
        ended_at_ms=None,
    )
    conn.execute(
        insert(webhook_deliveries).values(
            id=row.id,
            webhook_id=row.webhook_id,
            kind=row.kind,
            subject_id=row.subject_id,
            event_seq=row.event_seq,
            at_ms=row.at_ms,
            body=row.body,
            state=row.state,
            by_hand=int(row.by_hand),
            attempts=row.attempts,
            attempts_max=row.attempts_max,
            next_at_ms=row.next_at_ms,
        )
    )
    return row


def are_idle(conn: Connection) -> bool:
    """Whether none is to be made, now or later."""
    return _ANY_PENDING.scalar(conn, {}) is None


def due_webhooks(
    conn: Connection,
    now_ms: int,
    *,
    but_hosts: Collection[str],
    but_accounts: Collection[str],
    limit: int,
) -> list[tuple[str, str, str]]:
    """Webhooks that have something due, as (id, host, account): who has waited longest comes first.

    Args:
        but_hosts, but_accounts: those that have all that they get at a time.
    """
    first = func.min(webhook_deliveries.c.next_at_ms)
    query = (
        select(webhooks.c.id, webhooks.c.host, webhooks.c.account_id)
        .join(webhook_deliveries, webhook_deliveries.c.webhook_id == webhooks.c.id)
        .where(_is_due(now_ms))
        .group_by(webhooks.c.id, webhooks.c.host, webhooks.c.account_id)
        .order_by(first, webhooks.c.id)
        .limit(limit)
    )
    if but_hosts:
        query = query.where(webhooks.c.host.not_in(list(but_hosts)))
    if but_accounts:
        query = query.where(webhooks.c.account_id.not_in(list(but_accounts)))
    return [(row.id, row.host, row.account_id) for row in conn.execute(query)]


def due_of(conn: Connection, webhook_id: str, now_ms: int, limit: int) -> list[DeliveryRow]:
    """What is due of one webhook, oldest first; locked, and without what another process has locked."""
    rows = conn.execute(
        select(webhook_deliveries)
        .join(webhooks, webhook_deliveries.c.webhook_id == webhooks.c.id)
        .where(webhook_deliveries.c.webhook_id == webhook_id, _is_due(now_ms))
        .order_by(webhook_deliveries.c.next_at_ms, webhook_deliveries.c.id)
        .limit(limit)
        .with_for_update(of=webhook_deliveries, skip_locked=True)
    )
    return [_row(row) for row in rows]


def begin_attempt(
    conn: Connection, row: DeliveryRow, body: str, now_ms: int, again_at_ms: int
) -> int:
    """Fix what is sent, and note that it is being sent; the number of the attempt.

    Args:
        again_at_ms: when somebody else tries, if nothing more is heard of this attempt.
    """
    number = row.attempts + 1
    conn.execute(
        update(webhook_deliveries)
        .where(webhook_deliveries.c.id == row.id)
        .values(attempts=number, next_at_ms=again_at_ms, body=body)
    )
    conn.execute(
        insert(webhook_attempts).values(
            delivery_id=row.id, number=number, at_ms=now_ms, error="", answer=""
        )
    )
    return number


def end_attempt(conn: Connection, delivery_id: str, attempt: AttemptRow) -> DeliveryRow | None:
    """Note what came of an attempt; its delivery, unless it is decided or another attempt has begun."""
    conn.execute(
        update(webhook_attempts)
        .where(
            webhook_attempts.c.delivery_id == delivery_id,
            webhook_attempts.c.number == attempt.number,
        )
        .values(
            took_ms=attempt.took_ms,
            status=attempt.status,
            error=attempt.error,
            answer=attempt.answer,
        )
    )
    row = conn.execute(
        select(webhook_deliveries)
        .where(
            webhook_deliveries.c.id == delivery_id,
            webhook_deliveries.c.attempts == attempt.number,
            webhook_deliveries.c.state == DeliveryState.PENDING,
        )
        .with_for_update()
    ).first()
    return _row(row) if row else None


def try_again(conn: Connection, delivery_id: str, at_ms: int) -> None:
    """Have it tried again then."""
    conn.execute(
        update(webhook_deliveries)
        .where(webhook_deliveries.c.id == delivery_id)
        .values(next_at_ms=at_ms)
    )


def end(conn: Connection, delivery_id: str, state: DeliveryState, now_ms: int) -> None:
    """Decide a delivery."""
    conn.execute(
        update(webhook_deliveries)
        .where(webhook_deliveries.c.id == delivery_id)
        .values(state=state, ended_at_ms=now_ms, by_hand=0)
    )


def send_again(conn: Connection, row: DeliveryRow, now_ms: int, attempts_more: int) -> None:
    """Have a delivery that is decided go out once more, the same bytes under the same id."""
    conn.execute(
        update(webhook_deliveries)
        .where(webhook_deliveries.c.id == row.id)
        .values(
            state=DeliveryState.PENDING,
            ended_at_ms=None,
            by_hand=1,
            attempts_max=row.attempts + attempts_more,
            next_at_ms=now_ms,
        )
    )


def fail_waiting(conn: Connection, webhook_id: str, now_ms: int, before_ms: int | None) -> int:
    """Give up what waits for a webhook, but what was asked for by hand; how many.

    Args:
        before_ms: only what happened before then; None: all.
    """
    which = (
        (webhook_deliveries.c.webhook_id == webhook_id)
        & (webhook_deliveries.c.state == DeliveryState.PENDING)
        & (webhook_deliveries.c.by_hand == 0)
    )
    if before_ms is not None:
        which &= webhook_deliveries.c.at_ms < before_ms
    return conn.execute(
        update(webhook_deliveries)
        .where(which)
        .values(state=DeliveryState.FAILED, ended_at_ms=now_ms)
    ).rowcount


def waiting_counts(conn: Connection) -> list[tuple[str, int, int]]:
    """Webhooks for which anything waits: (id, how many, when the oldest of it happened)."""
    rows = conn.execute(
        select(
            webhook_deliveries.c.webhook_id,
            func.count().label("waiting"),
            func.min(webhook_deliveries.c.at_ms).label("oldest_ms"),
        )
        .where(webhook_deliveries.c.state == DeliveryState.PENDING)
        .group_by(webhook_deliveries.c.webhook_id)
    )
    return [(row.webhook_id, row.waiting, row.oldest_ms) for row in rows]


def count_by_hand(conn: Connection, webhook_id: str) -> int:
    """How many deliveries that were asked for by hand have not ended."""
    query = select(func.count()).where(
        webhook_deliveries.c.webhook_id == webhook_id,
        webhook_deliveries.c.state == DeliveryState.PENDING,
        webhook_deliveries.c.by_hand == 1,
    )
    return conn.scalar(query) or 0


def get(conn: Connection, webhook_id: str, delivery_id: str) -> DeliveryRow | None:
    """A delivery of this webhook."""
    row = conn.execute(
        select(webhook_deliveries).where(
            webhook_deliveries.c.id == delivery_id, webhook_deliveries.c.webhook_id == webhook_id
        )
    ).first()
    return _row(row) if row else None


def of_webhook(
    conn: Connection,
    webhook_id: str,
    *,
    state: DeliveryState | None,
    kind: str | None,
    limit: int,
    offset: int,
) -> tuple[list[DeliveryRow], int]:
    """A webhook's deliveries, newest first, and how many there are in all."""
    wanted = webhook_deliveries.c.webhook_id == webhook_id
    if state is not None:
        wanted &= webhook_deliveries.c.state == state
    if kind is not None:
        wanted &= webhook_deliveries.c.kind == kind
    rows = conn.execute(
        select(webhook_deliveries)
        .where(wanted)
        .order_by(webhook_deliveries.c.id.desc())
        .limit(limit)
        .offset(offset)
    )
    total = conn.scalar(select(func.count()).select_from(webhook_deliveries).where(wanted)) or 0
    return [_row(row) for row in rows], total


def attempts_of(conn: Connection, delivery_id: str) -> list[AttemptRow]:
    """The attempts of a delivery, oldest first."""
    rows = conn.execute(
        select(webhook_attempts)
        .where(webhook_attempts.c.delivery_id == delivery_id)
        .order_by(webhook_attempts.c.number)
    )
    return [
        AttemptRow(row.number, row.at_ms, row.took_ms, row.status, row.error, row.answer)
        for row in rows
    ]


def delete_beyond(conn: Connection, webhook_id: str, kept: int, rows_max: int) -> int:
    """Delete some of a webhook's ended deliveries beyond the newest; how many."""
    ids = conn.scalars(
        select(webhook_deliveries.c.id)
        .where(
            webhook_deliveries.c.webhook_id == webhook_id,
            webhook_deliveries.c.state != DeliveryState.PENDING,
        )
        .order_by(webhook_deliveries.c.id.desc())
        .offset(kept)
        .limit(rows_max)
    ).all()
    webhook_rows.delete_deliveries(conn, ids)
    return len(ids)


def webhooks_beyond(conn: Connection, kept: int) -> list[str]:
    """Webhooks of which more deliveries are stored than this."""
    rows = conn.execute(
        select(webhook_deliveries.c.webhook_id)
        .group_by(webhook_deliveries.c.webhook_id)
        .having(func.count() > kept)
    )
    return [row.webhook_id for row in rows]


def _replace_waiting(conn: Connection, webhook_id: str, task_id: str, seq: int, at_ms: int) -> bool:
    """Let newer progress take the place of what nobody was told of yet."""
    changed = conn.execute(
        update(webhook_deliveries)
        .where(
            webhook_deliveries.c.webhook_id == webhook_id,
            webhook_deliveries.c.subject_id == task_id,
            webhook_deliveries.c.kind == PROGRESS,
            webhook_deliveries.c.state == DeliveryState.PENDING,
            webhook_deliveries.c.attempts == 0,
        )
        .values(event_seq=seq, at_ms=at_ms)
    )
    return changed.rowcount > 0


def _is_due(now_ms: int) -> Any:
    return and_(
        webhook_deliveries.c.state == DeliveryState.PENDING,
        webhook_deliveries.c.next_at_ms <= now_ms,
        or_(
            webhooks.c.state == WebhookState.ACTIVE,
            and_(webhook_deliveries.c.by_hand == 1, webhooks.c.state != WebhookState.DELETED),
        ),
    )


def _row(row: Row[Any]) -> DeliveryRow:
    return DeliveryRow(
        id=row.id,
        webhook_id=row.webhook_id,
        kind=row.kind,
        subject_id=row.subject_id,
        event_seq=row.event_seq,
        at_ms=row.at_ms,
        body=row.body,
        state=DeliveryState(row.state),
        by_hand=bool(row.by_hand),
        attempts=row.attempts,
        attempts_max=row.attempts_max,
        next_at_ms=row.next_at_ms,
        ended_at_ms=row.ended_at_ms,
    )
