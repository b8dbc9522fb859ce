"""What was passed on to clients of leases for use: noted after it has reached them, and what their vouchers are over.

A note says how far an answer has come, not by how much: it may be written again after a commit whose end is not
known. Once a lease's last amount is decided nothing is added: what came later was free.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Row, bindparam, delete, func, select

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.task import TERMINAL, Phase
from neurogrid_marketplace.units import NAMES, NOTHING_SERVED, Units

from . import leases
from .prepared import Prepared
from .tables import api_keys, tasks, use_of_leases, use_of_requests
from .upserts import Upsert

_UNFINISHED: Final = sorted(phase.value for phase in frozenset(Phase) - TERMINAL)
_OF_LEASE: Final = Prepared(
    select(use_of_leases).where(use_of_leases.c.lease_id == bindparam("the_lease"))
)
_OF_REQUEST: Final = Prepared(
    select(use_of_requests).where(use_of_requests.c.request_id == bindparam("the_request"))
)
_SAVE_REQUEST: Final = Upsert(use_of_requests, ("request_id",))
_SAVE_LEASE: Final = Upsert(use_of_leases, ("lease_id",))


@dataclass(frozen=True, slots=True)
class Billed:
    """What a note has added to a lease: what it came to before, and after."""

    before: Units
    after: Units


def note(conn: Connection, lease_id: str, request_id: str, units: Units) -> Billed | None:
    """So much of an answer has reached its client, in all. None: the lease is over, or counts no use.

    Raises:
        InvalidValue: the request is another lease's.
    """
    billed = note_all(conn, lease_id, [(request_id, units)])
    return billed[0] if billed else None


def note_all(
    conn: Connection, lease_id: str, notes: Sequence[tuple[str, Units]]
) -> list[Billed] | None:
    """The same of several answers under one lease, each by its request's id; one after the other, but the lease is read and written once.

    Raises:
        InvalidValue: a request is another lease's.
    """
    row = leases.get(conn, lease_id)
    if row is None or not row.lease.counts_use or row.settlement.due_micro_usdc is not None:
        return None
    first = before = of_lease(conn, lease_id)
    found = []
    for request_id, units in notes:
        known = _OF_REQUEST.first(conn, {"the_request": request_id})
        if known is not None and known.lease_id != lease_id:
            raise InvalidValue(f"request {request_id} is not of lease {lease_id}")
        so_far = _units(known)
        now = so_far.most(units)
        after = before
        if now != so_far:
            after = before + (now - so_far)
            _SAVE_REQUEST.run(conn, {"request_id": request_id, "lease_id": lease_id, **_row(now)})
        found.append(Billed(before, after))
        before = after
    if before != first:
        _SAVE_LEASE.run(conn, {"lease_id": lease_id, **_row(before)})
    return found


def of_lease(conn: Connection, lease_id: str) -> Units:
    """All that was passed on under it."""
    return _units(_OF_LEASE.first(conn, {"the_lease": lease_id}))


def answers(conn: Connection) -> int:
    """How many requests have been answered under all leases for use, of all accounts, since the beginning."""
    return int(conn.scalar(select(func.coalesce(func.sum(use_of_leases.c.requests), 0))) or 0)


def of_ended_keys(conn: Connection, limit: int) -> list[str]:
    """Tasks of leases for use that have not ended, and of whose accounts a key was revoked since they began."""
    query = (
        select(tasks.c.id)
        .where(
            tasks.c.kind == "use",
            tasks.c.phase.in_(_UNFINISHED),
            select(api_keys.c.id)
            .where(
                api_keys.c.account_id == tasks.c.account_id,
                api_keys.c.revoked_at_ms >= tasks.c.created_at_ms,
            )
            .exists(),
        )
        .order_by(tasks.c.id)
        .limit(limit)
    )
    return list(conn.scalars(query))


def settled(conn: Connection, lease_id: str) -> None:
    """Its money is settled: which of its answers came to what is not needed any more."""
    conn.execute(delete(use_of_requests).where(use_of_requests.c.lease_id == lease_id))


def _row(units: Units) -> dict[str, int]:
    return {name: getattr(units, name) for name in NAMES}


def _units(row: Row[tuple[object, ...]] | None) -> Units:
    if row is None:
        return NOTHING_SERVED
    return Units(*(getattr(row, name) for name in NAMES))
