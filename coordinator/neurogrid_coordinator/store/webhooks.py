"""Where accounts want to be told of events."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from ..event_filter import EventFilter
from .prepared import Prepared
from .tables import accounts, webhook_attempts, webhook_deliveries, webhooks


class WebhookState(StrEnum):
    """Whether a webhook is told of events."""

    ACTIVE = "active"
    # Events are kept for it, and go out when it is resumed.
    PAUSED = "paused"
    # It failed for too long: nothing is kept for it until it is resumed.
    DISABLED = "disabled"
    # It is to go, with all its deliveries; nobody is shown it any more.
    DELETED = "deleted"


class Signature(StrEnum):
    """What is signed."""

    TIMESTAMPED = "timestamped"
    PAYLOAD = "payload"


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """A stored webhook. See `tables` for the fields."""

    id: str
    account_id: str
    url: str
    host: str
    description: str
    events: tuple[str, ...]
    filter: EventFilter
    secret: str
    signature: Signature
    max_attempts: int
    backoff_s: int
    state: WebhookState
    reason: str
    failures: int
    failing_since_ms: int | None
    delivered_at_ms: int | None
    created_at_ms: int
    updated_at_ms: int
    idempotency_key: str | None = None
    request_sha256: str | None = None


# Asked with each event of an account that may have none.
_LISTENING = Prepared(
    select(webhooks).where(
        webhooks.c.account_id == bindparam("the_account"),
        webhooks.c.state.in_([WebhookState.ACTIVE, WebhookState.PAUSED]),
    )
)


def insert_new(conn: Connection, row: WebhookRow) -> None:
    """Store a webhook."""
    conn.execute(
        insert(webhooks).values(
            id=row.id,
            account_id=row.account_id,
            created_at_ms=row.created_at_ms,
            request_sha256=row.request_sha256,
            **_columns(row),
        )
    )


def save(conn: Connection, row: WebhookRow) -> None:
    """Store what may change of it."""
    conn.execute(update(webhooks).where(webhooks.c.id == row.id).values(**_columns(row)))


def lock_account(conn: Connection, account_id: str) -> None:
    """Have whoever else changes the webhooks of this account wait for the end of this transaction."""
    conn.execute(select(accounts.c.id).where(accounts.c.id == account_id).with_for_update())


def get(conn: Connection, account_id: str, webhook_id: str) -> WebhookRow | None:
    """The webhook, if it is this account's and not deleted; locked until the transaction ends."""
    row = conn.execute(
        select(webhooks)
        .where(
            webhooks.c.id == webhook_id,
            webhooks.c.account_id == account_id,
            webhooks.c.state != WebhookState.DELETED,
        )
        .with_for_update()
    ).first()
    return _row(row) if row else None


def of_id(conn: Connection, webhook_id: str) -> WebhookRow | None:
    """The webhook, whosever it is, also a deleted one; locked until the transaction ends."""
    row = conn.execute(
        select(webhooks).where(webhooks.c.id == webhook_id).with_for_update()
    ).first()
    return _row(row) if row else None


def by_idempotency_key(conn: Connection, account_id: str, key: str) -> WebhookRow | None:
    """The account's webhook that was made with this key."""
    row = conn.execute(
        select(webhooks).where(
            webhooks.c.account_id == account_id, webhooks.c.idempotency_key == key
        )
    ).first()
    return _row(row) if row else None


def of_account(
    conn: Connection,
    account_id: str,
    *,
    state: WebhookState | None = None,
    limit: int,
    offset: int,
) -> tuple[list[WebhookRow], int]:
    """The account's webhooks, newest first, and how many there are in all."""
    wanted = (webhooks.c.account_id == account_id) & (webhooks.c.state != WebhookState.DELETED)
    if state is not None:
        wanted &= webhooks.c.state == state
    rows = conn.execute(
        select(webhooks).where(wanted).order_by(webhooks.c.id.desc()).limit(limit).offset(offset)
    )
    total = conn.scalar(select(func.count()).select_from(webhooks).where(wanted)) or 0
    return [_row(row) for row in rows], total


def listening(conn: Connection, account_id: str, kind: str) -> list[WebhookRow]:
    """The account's webhooks that events of this name are kept for."""
    rows = _LISTENING.all(conn, {"the_account": account_id})
    return [row for row in map(_row, rows) if kind in row.events]


def listening_anywhere(conn: Connection, kind: str) -> list[WebhookRow]:
    """As `listening`, of all accounts; for events that are nobody's."""
    rows = conn.execute(
        select(webhooks).where(
            webhooks.c.state.in_([WebhookState.ACTIVE, WebhookState.PAUSED]),
            webhooks.c.events_json.contains(f'"{kind}"', autoescape=True),
        )
    )
    return [_row(row) for row in rows]


def sweep_deleted(conn: Connection, rows_max: int) -> int:
    """Delete some of what deleted webhooks have left; how many deliveries and webhooks."""
    deleted = select(webhooks.c.id).where(webhooks.c.state == WebhookState.DELETED)
    delivery_ids = conn.scalars(
        select(webhook_deliveries.c.id)
        .where(webhook_deliveries.c.webhook_id.in_(deleted))
        .limit(rows_max)
    ).all()
    delete_deliveries(conn, delivery_ids)
    if len(delivery_ids) == rows_max:
        return rows_max
    gone = conn.execute(delete(webhooks).where(webhooks.c.state == WebhookState.DELETED))
    return len(delivery_ids) + gone.rowcount


def delete_deliveries(conn: Connection, delivery_ids: Iterable[str]) -> None:
    """Delete deliveries with their attempts."""
    ids = list(delivery_ids)
    # As many as every database takes as parameters of one statement.
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        conn.execute(delete(webhook_attempts).where(webhook_attempts.c.delivery_id.in_(some)))
        conn.execute(delete(webhook_deliveries).where(webhook_deliveries.c.id.in_(some)))


def _columns(row: WebhookRow) -> dict[str, Any]:
    return {
        "url": row.url,
        "host": row.host,
        "description": row.description,
        "events_json": msgspec.json.encode(row.events).decode(),
        "filter_json": msgspec.json.encode(row.filter).decode(),
        "secret": row.secret,
        "signature": row.signature,
        "max_attempts": row.max_attempts,
        "backoff_s": row.backoff_s,
        "state": row.state,
        "reason": row.reason,
        "failures": row.failures,
        "failing_since_ms": row.failing_since_ms,
        "delivered_at_ms": row.delivered_at_ms,
        "updated_at_ms": row.updated_at_ms,
        "idempotency_key": row.idempotency_key,
    }


def _row(row: Row[Any]) -> WebhookRow:
    return WebhookRow(
        id=row.id,
        account_id=row.account_id,
        url=row.url,
        host=row.host,
        description=row.description,
        events=msgspec.json.decode(row.events_json, type=tuple[str, ...]),
        filter=msgspec.json.decode(row.filter_json, type=EventFilter),
        secret=row.secret,
        signature=Signature(row.signature),
        max_attempts=row.max_attempts,
        backoff_s=row.backoff_s,
        state=WebhookState(row.state),
        reason=row.reason,
        failures=row.failures,
        failing_since_ms=row.failing_since_ms,
        delivered_at_ms=row.delivered_at_ms,
        created_at_ms=row.created_at_ms,
        updated_at_ms=row.updated_at_ms,
        idempotency_key=row.idempotency_key,
        request_sha256=row.request_sha256,
    )
