"""What failed: tasks, and requests by a bug of ours. Nothing in it is secret."""

from dataclasses import dataclass
from typing import Literal

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update
from sqlalchemy import func as sql

from neurogrid_marketplace.canonical import Json

from .ids import new_id
from .tables import failures

Severity = Literal["low", "medium", "high"]

# Of each account, and of those that belong to none: the newest.
KEPT_MAX = 10_000
# So many are deleted with a new one at most.
_DELETED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that failed.

    Attributes:
        account_id: whose; None for what belongs to nobody.
        context: what was going on, for programs.
        stack: where, line by line.
        resolution: what somebody found out or did about it; None while nobody has said.
    """

    id: str
    at_ms: int
    account_id: str | None
    task_id: str | None
    severity: Severity
    code: str
    message: str
    context: dict[str, Json]
    stack: str
    resolution: str | None
    resolved_at_ms: int | None


@dataclass(frozen=True, slots=True)
class FailureFilter:
    """Which failures; None leaves a condition out."""

    account_id: str | None = None
    task_id: str | None = None
    severity: str | None = None
    since_ms: int | None = None
    resolved: bool | None = None


def add(
    conn: Connection,
    *,
    at_ms: int,
    account_id: str | None,
    severity: str,
    code: str,
    message: str,
    context: dict[str, Json],
    stack: str,
    task_id: str | None = None,
) -> str:
    """Write down a failure, and forget the account's oldest beyond `KEPT_MAX`; its id."""
    failure_id = new_id("err")
    conn.execute(
        insert(failures).values(
            id=failure_id,
            at_ms=at_ms,
            account_id=account_id,
            task_id=task_id,
            severity=severity,
            code=code,
            message=message,
            context_json=msgspec.json.encode(context).decode(),
            stack=stack,
        )
    )
    mine = failures.c.account_id == account_id if account_id else failures.c.account_id.is_(None)
    old = conn.scalars(
        select(failures.c.id)
        .where(mine)
        .order_by(failures.c.id.desc())
        .limit(_DELETED_AT_ONCE)
        .offset(KEPT_MAX)
    ).all()
    if old:
        conn.execute(delete(failures).where(failures.c.id.in_(old)))
    return failure_id


def get(conn: Connection, failure_id: str, account_id: str | None) -> Failure | None:
    """A failure, of this account only if one is named."""
    query = select(failures).where(failures.c.id == failure_id)
    if account_id is not None:
        query = query.where(failures.c.account_id == account_id)
    row = conn.execute(query).first()
    return _failure(row) if row else None


def list_rows(
    conn: Connection, which: FailureFilter, *, limit: int, offset: int
) -> tuple[list[Failure], int]:
    """Failures that fit, newest first, and how many fit."""
    conditions = _conditions(which)
    rows = conn.execute(
        select(failures)
        .where(*conditions)
        .order_by(failures.c.id.desc())
        .limit(limit)
        .offset(offset)
    )
    total = conn.scalar(select(sql.count()).select_from(failures).where(*conditions)) or 0
    return [_failure(row) for row in rows], total


def resolve(conn: Connection, failure_id: str, resolution: str | None, now_ms: int) -> None:
    """Say what was done about it; None takes that back."""
    conn.execute(
        update(failures)
        .where(failures.c.id == failure_id)
        .values(resolution=resolution, resolved_at_ms=now_ms if resolution is not None else None)
    )


def _conditions(which: FailureFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for name in ("account_id", "task_id", "severity"):
        value = getattr(which, name)
        if value is not None:
            conditions.append(failures.c[name] == value)
    if which.since_ms is not None:
        conditions.append(failures.c.at_ms >= which.since_ms)
    if which.resolved is not None:
        done = failures.c.resolution.is_not(None)
        conditions.append(done if which.resolved else ~done)
    return conditions


def _failure(row: Row[tuple[object, ...]]) -> Failure:
    return Failure(
        row.id,
        row.at_ms,
        row.account_id,
        row.task_id,
        row.severity,
        row.code,
        row.message,
        msgspec.json.decode(row.context_json),
        row.stack,
        row.resolution,
        row.resolved_at_ms,
    )
