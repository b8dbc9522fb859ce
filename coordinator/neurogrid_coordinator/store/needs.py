"""Which task waits for which. What a task needs is part of its state; these rows find it from the
other end."""

from collections.abc import Collection

from sqlalchemy import Connection, bindparam, delete, insert, select

from neurogrid_marketplace.task import Phase

from .tables import task_needs, tasks, unwritten_requests
from .upserts import insert_or

# At a time.
_UNWRITTEN_MAX = 100

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


def expect_request(conn: Connection, task_id: str) -> None:
    """A waiting task has all that it needs, but what it asks a model is to be written yet."""
    conn.execute(
        insert_or(conn, unwritten_requests).values(task_id=task_id).on_conflict_do_nothing()
    )


def forget_request(conn: Connection, task_id: str) -> None:
    """It is written, or nobody waits for it; once more is harmless."""
    conn.execute(delete(unwritten_requests).where(unwritten_requests.c.task_id == task_id))


def unwritten(conn: Connection) -> list[str]:
    """Some tasks whose request is to be written, oldest first."""
    query = select(unwritten_requests.c.task_id).order_by(unwritten_requests.c.task_id)
    return list(conn.scalars(query.limit(_UNWRITTEN_MAX)))


def waiting_on(conn: Connection, task_id: str) -> list[str]:
    """The tasks that are waiting and need this one, oldest first."""
    return list(conn.scalars(_WAITING, {"the_id": task_id}))
