"""How much work there was that might be spot-checked, and how much of it was done twice."""

from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from .tables import check_counts, check_streaks
from .upserts import insert_or


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


def unchecked(conn: Connection, node_id: str) -> int:
    """How many runs of a node were not checked since one was last compared with another's."""
    query = select(check_streaks.c.unchecked).where(check_streaks.c.node_id == node_id)
    return conn.scalar(query) or 0


def set_unchecked(conn: Connection, node_id: str, number: int) -> None:
    """Store that."""
    values = insert_or(conn, check_streaks).values(node_id=node_id, unchecked=number)
    conn.execute(
        values.on_conflict_do_update(
            index_elements=[check_streaks.c.node_id], set_={"unchecked": number}
        )
    )
