"""Lists of tasks, and how many there are."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, select
from sqlalchemy import func as sql

from neurogrid_marketplace.task import Phase

from .tables import tasks
from .tasks import TaskRow, task_row

_LIST_MAX = 1000


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks of a list; None leaves a condition out.

    Attributes:
        created_after_ms, created_before_ms: after is inclusive, before exclusive.
        text: occurs in the name, without regard to ASCII case.
        further_runs: whether runs that only verify other tasks, and other ranks of gangs, are among
            them.
    """

    account_id: str | None = None
    phases: frozenset[Phase] | None = None
    kinds: frozenset[str] | None = None
    node_id: str | None = None
    workflow_id: str | None = None
    model: str | None = None
    created_after_ms: int | None = None
    created_before_ms: int | None = None
    text: str | None = None
    further_runs: bool = False


def list_rows(
    conn: Connection,
    which: TaskFilter,
    *,
    limit: int = 50,
    offset: int = 0,
    oldest_first: bool = False,
) -> list[TaskRow]:
    """Tasks that fit, newest first, without deleted ones."""
    order = tasks.c.id.asc() if oldest_first else tasks.c.id.desc()
    rows = conn.execute(
        select(tasks)
        .where(_condition(which))
        .order_by(order)
        .limit(min(limit, _LIST_MAX))
        .offset(offset)
    )
    return [task_row(row) for row in rows]


def count(conn: Connection, which: TaskFilter) -> int:
    """How many tasks fit."""
    return conn.scalar(select(sql.count()).select_from(tasks).where(_condition(which))) or 0


def count_by_phase(conn: Connection, account_id: str | None = None) -> dict[Phase, int]:
    """How many tasks are in each phase, without deleted ones."""
    query = (
        select(tasks.c.phase, sql.count())
        .where(_condition(TaskFilter(account_id)))
        .group_by(tasks.c.phase)
    )
    found = {Phase(phase): number for phase, number in conn.execute(query)}
    return {phase: found.get(phase, 0) for phase in Phase}


def _condition(which: TaskFilter) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = [tasks.c.deleted_at_ms.is_(None)]
    if which.account_id is not None:
        conditions.append(tasks.c.account_id == which.account_id)
    if which.phases is not None:
        conditions.append(tasks.c.phase.in_(_values(which.phases)))
    if which.kinds is not None:
        conditions.append(tasks.c.kind.in_(sorted(which.kinds)))
    if which.node_id is not None:
        conditions.append(tasks.c.node_id == which.node_id)
    if which.workflow_id is not None:
        conditions.append(tasks.c.workflow_id == which.workflow_id)
    if which.model is not None:
        conditions.append(tasks.c.model == which.model)
    if which.created_after_ms is not None:
        conditions.append(tasks.c.created_at_ms >= which.created_after_ms)
    if which.created_before_ms is not None:
        conditions.append(tasks.c.created_at_ms < which.created_before_ms)
    if not which.further_runs:
        conditions.append(tasks.c.belongs_to.is_(None))
    if which.text is not None:
        conditions.append(tasks.c.name.icontains(which.text, autoescape=True))
    return and_(*conditions)


def _values(phases: Iterable[Phase]) -> list[str]:
    return sorted(phase.value for phase in phases)
