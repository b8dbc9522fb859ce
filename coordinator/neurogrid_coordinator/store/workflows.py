"""Workflows: tasks that were submitted together. What becomes of one is what becomes of its tasks."""

from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, Row, func, insert, select, update

from neurogrid_marketplace.canonical import Json

from .tables import workflows


@dataclass(frozen=True, slots=True)
class WorkflowRow:
    """A stored workflow. See `tables` for the fields."""

    id: str
    account_id: str
    name: str
    idempotency_key: str | None
    created_at_ms: int
    deleted_at_ms: int | None
    spec: dict[str, Json]


def insert_new(conn: Connection, row: WorkflowRow) -> None:
    """Store a workflow, before its tasks."""
    conn.execute(
        insert(workflows).values(
            id=row.id,
            account_id=row.account_id,
            name=row.name,
            idempotency_key=row.idempotency_key,
            created_at_ms=row.created_at_ms,
            deleted_at_ms=row.deleted_at_ms,
            spec_json=msgspec.json.encode(row.spec).decode(),
        )
    )


def get(conn: Connection, workflow_id: str, account_id: str) -> WorkflowRow | None:
    """The workflow, if this account has it and has not deleted it."""
    row = conn.execute(
        select(workflows).where(
            workflows.c.id == workflow_id,
            workflows.c.account_id == account_id,
            workflows.c.deleted_at_ms.is_(None),
        )
    ).first()
    return _row(row) if row else None


def by_idempotency_key(conn: Connection, account_id: str, key: str) -> WorkflowRow | None:
    """The account's workflow that was submitted with this key; also if it was deleted since."""
    row = conn.execute(
        select(workflows).where(
            workflows.c.account_id == account_id, workflows.c.idempotency_key == key
        )
    ).first()
    return _row(row) if row else None


def list_rows(
    conn: Connection, account_id: str, *, limit: int, offset: int
) -> tuple[list[WorkflowRow], int]:
    """The account's workflows, newest first, without deleted ones; and how many there are in all."""
    mine = (workflows.c.account_id == account_id) & workflows.c.deleted_at_ms.is_(None)
    rows = conn.execute(
        select(workflows).where(mine).order_by(workflows.c.id.desc()).limit(limit).offset(offset)
    )
    total = conn.scalar(select(func.count()).select_from(workflows).where(mine)) or 0
    return [_row(row) for row in rows], total


def delete(conn: Connection, workflow_id: str, now_ms: int) -> None:
    """Hide a workflow whose tasks have ended from its account."""
    conn.execute(
        update(workflows).where(workflows.c.id == workflow_id).values(deleted_at_ms=now_ms)
    )


def _row(row: Row[tuple[object, ...]]) -> WorkflowRow:
    return WorkflowRow(
        id=row.id,
        account_id=row.account_id,
        name=row.name,
        idempotency_key=row.idempotency_key,
        created_at_ms=row.created_at_ms,
        deleted_at_ms=row.deleted_at_ms,
        spec=msgspec.json.decode(row.spec_json),
    )
