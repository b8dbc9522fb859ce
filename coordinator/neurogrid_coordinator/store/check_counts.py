"""How much work there was that might be spot-checked, and how much of it was done twice."""

from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from .tables import check_counts


@dataclass(frozen=True, slots=True)
class CheckCounts:
    """``checkable``: runs that might have been checked; ``redundant``: runs that only checked others."""

    checkable: int
    redundant: int


def get(conn: Connection) -> CheckCounts:
    """The counts so far."""
    row = conn.execute(select(check_counts)).one()
    return CheckCounts(row.checkable, row.redundant)


def add(conn: Connection, *, checkable: int = 0, redundant: int = 0) -> None:
    """Count some more."""
    conn.execute(
        update(check_counts).values(
            checkable=check_counts.c.checkable + checkable,
            redundant=check_counts.c.redundant + redundant,
        )
    )
