"""Schedules and their runs."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    insert,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy import func as sql

from neurogrid_marketplace.canonical import Json

from ..batches.schedule_rules import Cron, Missed, Overlap, RunState
from . import events
from .ids import new_id
from .prepared import Prepared
from .tables import schedule_runs, schedules

# Runs of a schedule that are remembered; older ones are forgotten.
HISTORY_MAX = 1000
_OPEN = (RunState.DUE.value, RunState.STARTED.value)
# Asked again and again, mostly where there is none: one look at an index each.
_ANY: Select[tuple[object]] = select(literal_column("1")).limit(1)
_ANY_DUE = Prepared(
    _ANY.select_from(schedules).where(schedules.c.next_run_at_ms <= bindparam("the_time"))
)
# As their index says it, which SQLite would not know in parameters.
_ANY_OPEN = Prepared(_ANY.select_from(schedule_runs).where(text("state in ('due', 'started')")))


class ScheduleOrder(StrEnum):
    """What lists are sorted by."""

    AGE = "age"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A stored schedule. See `tables` for the fields."""

    id: str
    account_id: str
    name: str
    cron: str
    time_zone: str
    template: dict[str, Json]
    output_file: str
    output_artifact: bool
    dry_run: bool
    missed: Missed
    overlap: Overlap
    is_active: bool
    ends_at_ms: int | None
    next_run_at_ms: int | None
    last_run_at_ms: int | None
    idempotency_key: str | None
    request_sha256: str
    created_at_ms: int
    updated_at_ms: int
    deleted_at_ms: int | None = None

    @property
    def times(self) -> Cron:
        """When it runs."""
        return Cron(self.cron, self.time_zone)


@dataclass(frozen=True, slots=True)
class RunRow:
    """A stored run. See `tables` for the fields."""

    id: str
    schedule_id: str
    account_id: str
    due_at_ms: int
    by_hand: bool
    state: RunState
    batch_id: str | None
    note: str
    output_sha256: str | None
    started_at_ms: int | None
    ended_at_ms: int | None


def insert_new(conn: Connection, row: ScheduleRow) -> None:
    """Store a schedule."""
    conn.execute(insert(schedules).values(id=row.id, **_columns(row)))


def save(conn: Connection, row: ScheduleRow) -> None:
    """Store a schedule that was changed."""
    conn.execute(update(schedules).where(schedules.c.id == row.id).values(**_columns(row)))


def get(conn: Connection, schedule_id: str, account_id: str | None = None) -> ScheduleRow | None:
    """The schedule with this id; of this account, which has not deleted it."""
    where = schedules.c.id == schedule_id
    if account_id is not None:
        where = and_(where, _visible(account_id))
    row = conn.execute(select(schedules).where(where)).first()
    return _schedule(row) if row else None


def by_idempotency_key(conn: Connection, account_id: str, key: str) -> ScheduleRow | None:
    """The account's schedule that was made with this key; also if it was deleted since."""
    row = conn.execute(
        select(schedules).where(
            schedules.c.account_id == account_id, schedules.c.idempotency_key == key
        )
    ).first()
    return _schedule(row) if row else None


def list_rows(
    conn: Connection,
    account_id: str,
    *,
    is_active: bool | None = None,
    text: str | None = None,
    order: ScheduleOrder = ScheduleOrder.AGE,
    descending: bool = True,
    limit: int,
    offset: int,
) -> tuple[list[ScheduleRow], int]:
    """The account's schedules, and how many there are; ``text``: occurs in the name."""
    where = _visible(account_id)
    if is_active is not None:
        where = and_(where, schedules.c.is_active == int(is_active))
    if text is not None:
        where = and_(where, schedules.c.name.icontains(text, autoescape=True))
    columns = [schedules.c.id] if order is ScheduleOrder.AGE else [schedules.c.name, schedules.c.id]
    rows = conn.execute(
        select(schedules)
        .where(where)
        .order_by(*(column.desc() if descending else column.asc() for column in columns))
        .limit(limit)
        .offset(offset)
    )
    total = conn.scalar(select(sql.count()).select_from(schedules).where(where)) or 0
    return [_schedule(row) for row in rows], total


def count(conn: Connection, account_id: str) -> int:
    """How many schedules the account has."""
    query = select(sql.count()).select_from(schedules).where(_visible(account_id))
    return conn.scalar(query) or 0


def lock(conn: Connection, schedule_id: str, now_ms: int) -> ScheduleRow | None:
    """The schedule as nobody else changes it before the end of the transaction; None if it is gone."""
    conn.execute(
        update(schedules).where(schedules.c.id == schedule_id).values(updated_at_ms=now_ms)
    )
    return get(conn, schedule_id)


def are_idle(conn: Connection, now_ms: int) -> bool:
    """Whether none is due and no run is open."""
    due_then = _ANY_DUE.scalar(conn, {"the_time": now_ms})
    return due_then is None and _ANY_OPEN.scalar(conn, {}) is None


def due(conn: Connection, now_ms: int, limit: int) -> list[str]:
    """Schedules with a due time that has come and that nobody has looked at, the oldest first."""
    rows = conn.execute(
        select(schedules.c.id)
        .where(schedules.c.next_run_at_ms <= now_ms)
        .order_by(schedules.c.next_run_at_ms, schedules.c.id)
        .limit(limit)
    )
    return [row.id for row in rows]


def active(conn: Connection) -> list[ScheduleRow]:
    """Every schedule that runs at times."""
    rows = conn.execute(select(schedules).where(schedules.c.next_run_at_ms.is_not(None)))
    return [_schedule(row) for row in rows]


def count_active(conn: Connection) -> int:
    """How many schedules of all accounts run at times."""
    counted = select(sql.count()).where(schedules.c.next_run_at_ms.is_not(None))
    return conn.execute(counted).scalar_one()


def add_run(
    conn: Connection,
    row: ScheduleRow,
    due_at_ms: int,
    *,
    by_hand: bool = False,
    state: RunState = RunState.DUE,
    note: str = "",
    now_ms: int,
) -> RunRow | None:
    """A run of a locked schedule; None if there is one for this time already."""
    there = select(schedule_runs.c.id).where(
        schedule_runs.c.schedule_id == row.id, schedule_runs.c.due_at_ms == due_at_ms
    )
    if conn.scalar(there) is not None:
        return None
    _forget_old(conn, row.id)
    run_id = new_id("run")
    conn.execute(
        insert(schedule_runs).values(
            id=run_id,
            schedule_id=row.id,
            account_id=row.account_id,
            due_at_ms=due_at_ms,
            by_hand=int(by_hand),
            state=state.value,
            note=note,
            ended_at_ms=None if state.value in _OPEN else now_ms,
        )
    )
    return run(conn, run_id)


def run(conn: Connection, run_id: str) -> RunRow | None:
    """The run with this id."""
    row = conn.execute(select(schedule_runs).where(schedule_runs.c.id == run_id)).first()
    return _run(row) if row else None


def open_runs(conn: Connection, limit: int) -> list[RunRow]:
    """Runs that have not ended, in the order in which they are due."""
    rows = conn.execute(
        select(schedule_runs)
        .where(schedule_runs.c.state.in_(_OPEN))
        .order_by(schedule_runs.c.due_at_ms, schedule_runs.c.id)
        .limit(limit)
    )
    return [_run(row) for row in rows]


def runs_before(conn: Connection, one: RunRow, state: RunState) -> int:
    """How many earlier runs of the same schedule are in a state."""
    query = (
        select(sql.count())
        .select_from(schedule_runs)
        .where(
            schedule_runs.c.schedule_id == one.schedule_id,
            schedule_runs.c.state == state.value,
            schedule_runs.c.due_at_ms < one.due_at_ms,
        )
    )
    return conn.scalar(query) or 0


def list_runs(
    conn: Connection, schedule_id: str, *, limit: int, offset: int
) -> tuple[list[RunRow], int]:
    """Runs of a schedule, the latest due first, and how many there are."""
    where = schedule_runs.c.schedule_id == schedule_id
    rows = conn.execute(
        select(schedule_runs)
        .where(where)
        .order_by(schedule_runs.c.due_at_ms.desc())
        .limit(limit)
        .offset(offset)
    )
    total = conn.scalar(select(sql.count()).select_from(schedule_runs).where(where)) or 0
    return [_run(row) for row in rows], total


def started(conn: Connection, run_id: str, batch_id: str, now_ms: int) -> None:
    """A due run's batch is stored."""
    conn.execute(
        update(schedule_runs)
        .where(schedule_runs.c.id == run_id, schedule_runs.c.state == RunState.DUE.value)
        .values(state=RunState.STARTED.value, batch_id=batch_id, started_at_ms=now_ms)
    )


def ended(
    conn: Connection,
    one: RunRow,
    state: RunState,
    now_ms: int,
    *,
    note: str = "",
    output_sha256: str | None = None,
) -> bool:
    """A run that has not ended ends, with its event; whether it had not."""
    moved = conn.execute(
        update(schedule_runs)
        .where(schedule_runs.c.id == one.id, schedule_runs.c.state.in_(_OPEN))
        .values(state=state.value, ended_at_ms=now_ms, note=note, output_sha256=output_sha256)
    ).rowcount
    if not moved:
        return False
    news: dict[str, Json] = {
        "schedule_id": one.schedule_id,
        "run_id": one.id,
        "batch_id": one.batch_id,
        "due_at_ms": one.due_at_ms,
        "status": state.value,
        "message": note,
    }
    events.append(conn, one.schedule_id, one.account_id, now_ms, events.SCHEDULE_EXECUTED, news)
    return True


def end_due(conn: Connection, now_ms: int, note: str, schedule_id: str | None = None) -> None:
    """Runs of which nothing was started will not be; of one schedule, or of all."""
    where: ColumnElement[bool] = schedule_runs.c.state == RunState.DUE.value
    if schedule_id is not None:
        where = and_(where, schedule_runs.c.schedule_id == schedule_id)
    conn.execute(
        update(schedule_runs)
        .where(where)
        .values(state=RunState.SKIPPED.value, ended_at_ms=now_ms, note=note)
    )


def _forget_old(conn: Connection, schedule_id: str) -> None:
    """Leave room for one more run in the schedule's history."""
    old = (
        select(schedule_runs.c.id)
        .where(schedule_runs.c.schedule_id == schedule_id, schedule_runs.c.state.not_in(_OPEN))
        .order_by(schedule_runs.c.due_at_ms.desc())
        .offset(HISTORY_MAX - 1)
        .limit(HISTORY_MAX)
    )
    ids: Collection[str] = list(conn.scalars(old))
    if ids:
        conn.execute(delete(schedule_runs).where(schedule_runs.c.id.in_(ids)))


def _visible(account_id: str) -> ColumnElement[bool]:
    return and_(schedules.c.account_id == account_id, schedules.c.deleted_at_ms.is_(None))


def _columns(row: ScheduleRow) -> dict[str, object]:
    return {
        "account_id": row.account_id,
        "name": row.name,
        "cron": row.cron,
        "time_zone": row.time_zone,
        "template_json": msgspec.json.encode(row.template).decode(),
        "output_file": row.output_file,
        "output_artifact": int(row.output_artifact),
        "dry_run": int(row.dry_run),
        "missed": row.missed.value,
        "overlap": row.overlap.value,
        "is_active": int(row.is_active),
        "ends_at_ms": row.ends_at_ms,
        "next_run_at_ms": row.next_run_at_ms,
        "last_run_at_ms": row.last_run_at_ms,
        "idempotency_key": row.idempotency_key,
        "request_sha256": row.request_sha256,
        "created_at_ms": row.created_at_ms,
        "updated_at_ms": row.updated_at_ms,
        "deleted_at_ms": row.deleted_at_ms,
    }


def _schedule(row: Row[tuple[object, ...]]) -> ScheduleRow:
    return ScheduleRow(
        id=row.id,
        account_id=row.account_id,
        name=row.name,
        cron=row.cron,
        time_zone=row.time_zone,
        template=msgspec.json.decode(row.template_json),
        output_file=row.output_file,
        output_artifact=bool(row.output_artifact),
        dry_run=bool(row.dry_run),
        missed=Missed(row.missed),
        overlap=Overlap(row.overlap),
        is_active=bool(row.is_active),
        ends_at_ms=row.ends_at_ms,
        next_run_at_ms=row.next_run_at_ms,
        last_run_at_ms=row.last_run_at_ms,
        idempotency_key=row.idempotency_key,
        request_sha256=row.request_sha256,
        created_at_ms=row.created_at_ms,
        updated_at_ms=row.updated_at_ms,
        deleted_at_ms=row.deleted_at_ms,
    )


def _run(row: Row[tuple[object, ...]]) -> RunRow:
    return RunRow(
        id=row.id,
        schedule_id=row.schedule_id,
        account_id=row.account_id,
        due_at_ms=row.due_at_ms,
        by_hand=bool(row.by_hand),
        state=RunState(row.state),
        batch_id=row.batch_id,
        note=row.note,
        output_sha256=row.output_sha256,
        started_at_ms=row.started_at_ms,
        ended_at_ms=row.ended_at_ms,
    )
