"""Leases: a task's agreement with one node, its money, and how far its messages are stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, insert, select, update

from neurogrid_marketplace.calibration import STARTS_KEPT, MeasuredStart
from neurogrid_marketplace.settlement import Settlement, SettlementPhase
from neurogrid_marketplace.task import Lease

from .prepared import Prepared
from .tables import audited_leases, leases, receipts

# Made before there are threads, see `tasks`.
_read_lease = msgspec.json.Decoder(Lease).decode
_read_settlement = msgspec.json.Decoder(Settlement).decode
# Built once, see `tasks`.
_BY_ID = Prepared(select(leases).where(leases.c.id == bindparam("the_id")))
_OF_TASK = Prepared(
    select(leases)
    .where(leases.c.task_id == bindparam("the_task"))
    .order_by(leases.c.created_at_ms, leases.c.id)
)
_ESCROW = Prepared(select(leases.c.escrow).where(leases.c.id == bindparam("the_id")))
_UPDATE = update(leases).where(leases.c.id == bindparam("the_id"))


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """A stored lease.

    Attributes:
        lease: as it was awarded; what became of it since is in the task's state.
        settlement: where its money is.
        escrow, escrow_sequence: of the escrow account, "" and 0 before it is known to be open.
        opened_by: signature of the transaction that opened it.
        events_stored: how many events of the node are stored: the number of the next one.
        event_hash: what the next event must name as its previous.
        finished: whether the event that ends the run is among them.
        log_bytes: how many bytes of the log are taken, stored or cut off.
        metered_ms: the most running time the node asked to be paid for.
        start_took_ms: by our clock, from the open escrow to the report that it runs; None where it
            never ran, or where we were away meanwhile.
        checkpoint: number of its newest checkpoint that is kept, 0 for none.
    """

    id: str
    task_id: str
    account_id: str
    node_id: str
    wallet: str
    created_at_ms: int
    updated_at_ms: int
    lease: Lease
    settlement: Settlement
    escrow: str
    escrow_sequence: int
    opened_by: str
    events_stored: int
    event_hash: str
    finished: bool
    log_bytes: int
    metered_ms: int
    start_took_ms: int | None = None
    checkpoint: int = 0


def insert_new(conn: Connection, lease: Lease, task_id: str, account_id: str, now_ms: int) -> None:
    """Store a lease that is about to be awarded."""
    settlement = Settlement(lease.lease_id, lease.max_cost_micro_usdc)
    conn.execute(
        insert(leases).values(
            id=lease.lease_id,
            task_id=task_id,
            account_id=account_id,
            node_id=lease.node_id,
            wallet=lease.wallet,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
            lease_json=_text(lease),
            settlement_json=_text(settlement),
            settlement_phase=settlement.phase.value,
            escrow="",
            escrow_sequence=0,
            opened_by="",
            events_stored=0,
            event_hash="",
            finished=0,
            log_bytes=0,
            metered_ms=0,
            **_sums(settlement, ""),
        )
    )


def get(conn: Connection, lease_id: str) -> LeaseRow | None:
    """The lease with this id."""
    row = _BY_ID.first(conn, {"the_id": lease_id})
    return _lease_row(row) if row else None


def of_task(conn: Connection, task_id: str) -> list[LeaseRow]:
    """The task's leases, oldest first."""
    return [_lease_row(row) for row in _OF_TASK.all(conn, {"the_task": task_id})]


def stored_of_task(conn: Connection, task_id: str) -> Sequence[Any]:
    """As `of_task`, the rows as they are stored."""
    return _OF_TASK.plain(conn, {"the_task": task_id})


def read(rows: Sequence[Any]) -> list[LeaseRow]:
    """The leases that `stored_of_task` has found."""
    return [_lease_row(row) for row in _OF_TASK.named(rows)]


def of_node(conn: Connection, node_id: str, *, limit: int = 100, offset: int = 0) -> list[LeaseRow]:
    """The node's leases, newest first."""
    rows = conn.execute(
        select(leases)
        .where(leases.c.node_id == node_id)
        .order_by(leases.c.created_at_ms.desc(), leases.c.id)
        .limit(limit)
        .offset(offset)
    )
    return [_lease_row(row) for row in rows]


def unsettled(conn: Connection) -> list[str]:
    """Ids of the leases whose escrow is not known to be closed, oldest first."""
    rows = conn.execute(
        select(leases.c.id)
        .where(leases.c.settlement_phase != SettlementPhase.CLOSED.value)
        .order_by(leases.c.created_at_ms, leases.c.id)
    )
    return [row.id for row in rows]


def unsettled_rows(conn: Connection) -> list[LeaseRow]:
    """The leases whose escrow is not known to be closed, oldest first."""
    rows = conn.execute(
        select(leases)
        .where(leases.c.settlement_phase != SettlementPhase.CLOSED.value)
        .order_by(leases.c.created_at_ms, leases.c.id)
    )
    return [_lease_row(row) for row in rows]


def settled_rows(
    conn: Connection, *, since_ms: int = 0, unaudited: bool = False, limit: int = 1000
) -> list[LeaseRow]:
    """Leases that had an escrow, which is closed, oldest first.

    Args:
        since_ms: only those that changed since this Unix time.
        unaudited: only those whose history was not compared with the books yet.
    """
    query = select(leases).where(
        leases.c.settlement_phase == SettlementPhase.CLOSED.value,
        leases.c.escrow != "",
        leases.c.updated_at_ms >= since_ms,
    )
    if unaudited:
        audited = select(audited_leases.c.lease_id)
        query = query.where(leases.c.id.not_in(audited))
    rows = conn.execute(query.order_by(leases.c.created_at_ms, leases.c.id).limit(limit))
    return [_lease_row(row) for row in rows]


def save_settlement(conn: Connection, settlement: Settlement, now_ms: int) -> None:
    """Store where the money is."""
    escrow = _ESCROW.scalar(conn, {"the_id": settlement.lease_id})
    _update(
        conn,
        settlement.lease_id,
        now_ms,
        settlement_json=_text(settlement),
        settlement_phase=settlement.phase.value,
        **_sums(settlement, escrow or ""),
    )


def save_escrow(
    conn: Connection, lease_id: str, escrow: str, sequence: int, opened_by: str, now_ms: int
) -> None:
    """Store which escrow account was opened, and by which transaction."""
    _update(conn, lease_id, now_ms, escrow=escrow, escrow_sequence=sequence, opened_by=opened_by)


def save_accept(conn: Connection, lease_id: str, accept_hash: str, now_ms: int) -> None:
    """The node took the lease: its first event must name this hash."""
    _update(conn, lease_id, now_ms, event_hash=accept_hash)


def save_event(
    conn: Connection, lease_id: str, stored: int, event_hash: str, finished: bool, now_ms: int
) -> None:
    """An event was stored as evidence: now there are ``stored``."""
    _update(
        conn,
        lease_id,
        now_ms,
        events_stored=stored,
        event_hash=event_hash,
        finished=int(finished),
    )


def save_log_bytes(conn: Connection, lease_id: str, log_bytes: int, now_ms: int) -> None:
    """How far the log is taken."""
    _update(conn, lease_id, now_ms, log_bytes=log_bytes)


def save_metered(conn: Connection, lease_id: str, metered_ms: int, now_ms: int) -> None:
    """What the node asked to be paid for."""
    _update(conn, lease_id, now_ms, metered_ms=metered_ms)


def save_start(conn: Connection, lease_id: str, took_ms: int, now_ms: int) -> None:
    """How long the start took."""
    _update(conn, lease_id, now_ms, start_took_ms=took_ms)


def starts_of_node(conn: Connection, node_id: str) -> list[MeasuredStart]:
    """A node's last starts, as many as count, oldest first."""
    rows = conn.execute(
        select(leases.c.lease_json, leases.c.start_took_ms)
        .where(leases.c.node_id == node_id, leases.c.start_took_ms.is_not(None))
        .order_by(leases.c.created_at_ms.desc())
        .limit(STARTS_KEPT)
    )
    found = [
        MeasuredStart(_read_lease(row.lease_json).bid_start_ms, row.start_took_ms) for row in rows
    ]
    return found[::-1]


def insert_receipt(conn: Connection, row: LeaseRow, receipt: bytes, now_ms: int) -> None:
    """Store a lease's receipt. It is final: a second one is not taken."""
    conn.execute(
        insert(receipts).values(
            lease_id=row.id,
            task_id=row.task_id,
            account_id=row.account_id,
            created_at_ms=now_ms,
            receipt_json=receipt.decode(),
        )
    )


def receipt(conn: Connection, lease_id: str) -> bytes | None:
    """The receipt file of a lease."""
    text = conn.execute(
        select(receipts.c.receipt_json).where(receipts.c.lease_id == lease_id)
    ).scalar()
    return text.encode() if text is not None else None


def _update(conn: Connection, lease_id: str, now_ms: int, **values: object) -> None:
    conn.execute(_UPDATE, {"the_id": lease_id, "updated_at_ms": now_ms, **values})


def _sums(settlement: Settlement, escrow: str) -> dict[str, int | None]:
    """What lists and sums need of a settlement. A lease that never had an escrow is never settled."""
    is_settled = settlement.phase is SettlementPhase.CLOSED and escrow != ""
    return {
        "max_cost_micro_usdc": settlement.max_cost_micro_usdc,
        "signed_micro_usdc": settlement.signed_micro_usdc,
        "paid_micro_usdc": settlement.paid_micro_usdc,
        "settled_at_ms": settlement.since_ms if is_settled else None,
    }


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _lease_row(row: Row[tuple[object, ...]]) -> LeaseRow:
    return LeaseRow(
        id=row.id,
        task_id=row.task_id,
        account_id=row.account_id,
        node_id=row.node_id,
        wallet=row.wallet,
        created_at_ms=row.created_at_ms,
        updated_at_ms=row.updated_at_ms,
        lease=_read_lease(row.lease_json),
        settlement=_read_settlement(row.settlement_json),
        escrow=row.escrow,
        escrow_sequence=row.escrow_sequence,
        opened_by=row.opened_by,
        events_stored=row.events_stored,
        event_hash=row.event_hash,
        finished=bool(row.finished),
        log_bytes=row.log_bytes,
        metered_ms=row.metered_ms,
        start_took_ms=row.start_took_ms,
        checkpoint=row.checkpoint,
    )
