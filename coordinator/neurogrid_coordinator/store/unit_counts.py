"""What models have read and made, by account, day, model and unit; and which answers are not counted yet.

A task that completes is put on the list in the transaction that ends it, and leaves it in the one that counts its answer, so
each answer is counted once, whoever dies in between.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select

from neurogrid_marketplace.unit_price import ModelUnit

from .tables import tasks, uncounted_tasks, unit_counts
from .upserts import Upsert

DAY_MS = 86_400_000
# Of those that are not counted yet, at a time.
PAGE_MAX = 100
_ADD: Final = Upsert(unit_counts, ("account_id", "day", "model", "unit"), added=("amount",))


def expect(conn: Connection, task_id: str) -> None:
    """A task has just completed: its answer is to be counted, if a model gave it."""
    its_own = select(tasks.c.id).where(tasks.c.id == task_id, tasks.c.model.is_not(None))
    conn.execute(insert(uncounted_tasks).from_select(["task_id"], its_own))


def uncounted(conn: Connection, after: str = "") -> list[str]:
    """Some tasks whose answers are to be counted, in the order of their ids."""
    query = select(uncounted_tasks.c.task_id).where(uncounted_tasks.c.task_id > after)
    return list(conn.scalars(query.order_by(uncounted_tasks.c.task_id).limit(PAGE_MAX)))


def count_answer(
    conn: Connection, task_id: str, model: str, at_ms: int, units: Mapping[ModelUnit, int]
) -> None:
    """Count a task's answer; one that was counted before changes nothing."""
    was_there = conn.execute(
        delete(uncounted_tasks)
        .where(uncounted_tasks.c.task_id == task_id)
        .returning(uncounted_tasks.c.task_id)
    ).first()
    if was_there is None:
        return
    account_id = conn.scalar(select(tasks.c.account_id).where(tasks.c.id == task_id))
    assert account_id is not None, "a task on the list is stored"
    add(conn, account_id, model, at_ms, units)


def add(
    conn: Connection, account_id: str, model: str, at_ms: int, units: Mapping[ModelUnit, int]
) -> None:
    """Add to what an account's requests to a model came to on a day."""
    for unit, amount in units.items():
        if not amount:
            continue
        row = {
            "account_id": account_id,
            "day": at_ms // DAY_MS,
            "model": model,
            "unit": unit.value,
            "amount": amount,
        }
        _ADD.run(conn, row)


def total(conn: Connection, account_id: str, units: Iterable[ModelUnit], since_ms: int) -> int:
    """What an account's requests to all models came to in these units, since the beginning of the day of ``since_ms``."""
    query = select(func.coalesce(func.sum(unit_counts.c.amount), 0)).where(
        unit_counts.c.account_id == account_id,
        unit_counts.c.day >= since_ms // DAY_MS,
        unit_counts.c.unit.in_(sorted(unit.value for unit in units)),
    )
    return int(conn.scalar(query) or 0)


def by_model(conn: Connection, account_id: str, since_ms: int) -> dict[str, dict[ModelUnit, int]]:
    """What an account's requests to each model came to, since the beginning of the day of ``since_ms``; by the model's id."""
    query = (
        select(unit_counts.c.model, unit_counts.c.unit, func.sum(unit_counts.c.amount))
        .where(unit_counts.c.account_id == account_id, unit_counts.c.day >= since_ms // DAY_MS)
        .group_by(unit_counts.c.model, unit_counts.c.unit)
        .order_by(unit_counts.c.model)
    )
    found: dict[str, dict[ModelUnit, int]] = {}
    for model, unit, amount in conn.execute(query):
        found.setdefault(model, {})[ModelUnit(unit)] = int(amount)
    return found
