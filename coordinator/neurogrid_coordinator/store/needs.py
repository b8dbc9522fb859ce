"""Which task waits for which. What a task needs is part of its state; these rows find it from the
other end."""

from collections.abc import Collection

from sqlalchemy import Connection, bindparam, insert, select

from neurogrid_marketplace.task import Phase

from .tables import task_needs, tasks

# Built once, see `tasks`.
_INSERT = insert(task_needs)
_WAITING = (
    select(task_needs.c.task_id)
    .join(tasks, tasks.c.id == task_needs.c.task_id)
    .where(task_needs.c.needed_id == bindparam("the_id"), tasks.c.phase == Phase.WAITING.value)
    .order_by(task_needs.c.task_id)
)


def add(conn: Connection, task_id: str, needed_ids: Collection[str]) -> None:
    """A new task waits for these."""
    if needed_ids:
        rows = [{"task_id": task_id, "needed_id": needed_id} for needed_id in needed_ids]
        conn.execute(_INSERT, rows)


def waiting_on(conn: Connection, task_id: str) -> list[str]:
    """The tasks that are waiting and need this one, oldest first."""
    return list(conn.scalars(_WAITING, {"the_id": task_id}))
