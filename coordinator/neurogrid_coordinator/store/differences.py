"""Differences between books and chain: added when first seen, touched when seen again, resolved when gone."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy import func as sql

from ..money.reconciliation import Difference, Kind
from .tables import audited_leases, differences
from .upserts import insert_or


@dataclass(frozen=True, slots=True)
class SeenDifference:
    """A stored difference.

    Attributes:
        slot: where the chain was when it was last seen.
        resolved_at_ms: when it was gone; None while it is there.
    """

    id: int
    difference: Difference
    slot: int
    first_seen_at_ms: int
    last_seen_at_ms: int
    resolved_at_ms: int | None


def unresolved(conn: Connection, *, limit: int = 10_000) -> list[SeenDifference]:
    """What is there now, oldest first."""
    rows = conn.execute(
        select(differences)
        .where(differences.c.resolved_at_ms.is_(None))
        .order_by(differences.c.id)
        .limit(limit)
    )
    return [_seen(row) for row in rows]


def list_all(conn: Connection, *, limit: int = 1000) -> list[SeenDifference]:
    """Those that were resolved too, newest first."""
    rows = conn.execute(select(differences).order_by(differences.c.id.desc()).limit(limit))
    return [_seen(row) for row in rows]


def count_unresolved(conn: Connection) -> int:
    """How many are there now."""
    query = select(sql.count()).where(differences.c.resolved_at_ms.is_(None))
    return int(conn.execute(query).scalar_one())


def save(
    conn: Connection,
    present: Iterable[Difference],
    looked_for: Collection[tuple[Kind, str]],
    slot: int,
    now_ms: int,
) -> list[Difference]:
    """Store what a look has found.

    Args:
        present: what is there.
        looked_for: keys of stored differences that this look would have found again: those of them
            that are not present are resolved.

    Returns: those that were not known before.
    """
    known = {seen.difference.key: seen for seen in unresolved(conn)}
    new, keys = [], set()
    for difference in present:
        keys.add(difference.key)
        seen = known.get(difference.key)
        values = {"booked": difference.booked, "found": difference.found, "slot": slot}
        if seen is None:
            new.append(difference)
            conn.execute(
                insert(differences).values(
                    kind=difference.kind.value,
                    subject=difference.subject,
                    first_seen_at_ms=now_ms,
                    last_seen_at_ms=now_ms,
                    **values,
                )
            )
        else:
            conn.execute(
                update(differences)
                .where(differences.c.id == seen.id)
                .values(last_seen_at_ms=now_ms, **values)
            )
    for key, seen in known.items():
        if key in looked_for and key not in keys:
            conn.execute(
                update(differences).where(differences.c.id == seen.id).values(resolved_at_ms=now_ms)
            )
    return new


def save_audited(conn: Connection, lease_ids: Iterable[str], now_ms: int) -> None:
    """The history of these leases was compared with the books."""
    for lease_id in lease_ids:
        audited = insert_or(conn, audited_leases).values(lease_id=lease_id, audited_at_ms=now_ms)
        conn.execute(
            audited.on_conflict_do_update(
                index_elements=[audited_leases.c.lease_id], set_={"audited_at_ms": now_ms}
            )
        )


def _seen(row: Row[tuple[object, ...]]) -> SeenDifference:
    return SeenDifference(
        row.id,
        Difference(Kind(row.kind), row.subject, row.booked, row.found),
        row.slot,
        row.first_seen_at_ms,
        row.last_seen_at_ms,
        row.resolved_at_ms,
    )
