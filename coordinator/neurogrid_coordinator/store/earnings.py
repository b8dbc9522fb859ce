"""What wallets earn by the leases of their nodes, the market's fee included."""

from dataclasses import dataclass

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, func, select

from neurogrid_marketplace.settlement import SettlementPhase

from .tables import leases


class _Closing(msgspec.Struct, frozen=True):
    """Of a stored settlement."""

    closed_by: str = ""


# Made before there are threads, see `tasks`.
_read_closing = msgspec.json.Decoder(_Closing).decode


@dataclass(frozen=True, slots=True)
class Paid:
    """Of escrows that were closed: how many paid something, and what they paid in all."""

    jobs: int
    micro_usdc: int


@dataclass(frozen=True, slots=True)
class NodePay:
    """What a node earned."""

    node_id: str
    paid: Paid


@dataclass(frozen=True, slots=True)
class OpenPay:
    """Of escrows that are open.

    Attributes:
        escrowed: the most that they can pay; signed: what the vouchers so far come to.
    """

    jobs: int
    escrowed_micro_usdc: int
    signed_micro_usdc: int


@dataclass(frozen=True, slots=True)
class LeasePay:
    """The pay of one lease, as its provider sees it: not whose task it is, nor what that is called.

    Attributes:
        created_at_ms: when it was awarded.
        settled_at_ms: when its escrow was closed; None while it is open.
        escrowed: the most that it can pay; signed: what the vouchers so far come to; paid: what was paid.
        escrow: its address.
        opened_by, closed_by: signatures of the transactions; "" while there is none.
    """

    lease_id: str
    node_id: str
    created_at_ms: int
    settled_at_ms: int | None
    escrowed_micro_usdc: int
    signed_micro_usdc: int
    paid_micro_usdc: int
    escrow: str
    opened_by: str
    closed_by: str


def paid(conn: Connection, wallet: str, start_ms: int = 0, end_ms: int = 2**62) -> Paid:
    """What a wallet was paid by escrows that were closed in this time."""
    row = conn.execute(
        select(func.count(), func.sum(leases.c.paid_micro_usdc)).where(
            _settled(wallet, start_ms, end_ms), leases.c.paid_micro_usdc > 0
        )
    ).one()
    return Paid(int(row[0]), int(row[1] or 0))


def paid_by_node(
    conn: Connection, wallet: str, start_ms: int, end_ms: int, *, limit: int
) -> list[NodePay]:
    """The same for each of the wallet's nodes that was paid; who earned most comes first."""
    total = func.sum(leases.c.paid_micro_usdc)
    rows = conn.execute(
        select(leases.c.node_id, func.count(), total)
        .where(_settled(wallet, start_ms, end_ms), leases.c.paid_micro_usdc > 0)
        .group_by(leases.c.node_id)
        .order_by(total.desc(), leases.c.node_id)
        .limit(limit)
    )
    return [NodePay(node_id, Paid(int(jobs), int(sum_))) for node_id, jobs, sum_ in rows]


def promised(conn: Connection, wallet: str) -> OpenPay:
    """What open escrows hold for a wallet."""
    row = conn.execute(
        select(
            func.count(),
            func.sum(leases.c.max_cost_micro_usdc),
            func.sum(leases.c.signed_micro_usdc),
        ).where(_open(wallet))
    ).one()
    return OpenPay(int(row[0]), int(row[1] or 0), int(row[2] or 0))


def leases_of(
    conn: Connection, wallet: str, between_ms: tuple[int, int] | None, *, limit: int, offset: int
) -> tuple[list[LeasePay], int]:
    """Some of the leases that a wallet earns by, newest first, and how many there are.

    Args:
        between_ms: those whose escrows were closed in this time; None for those that are open.
    """
    if between_ms is None:
        return _page(conn, _open(wallet), leases.c.created_at_ms, limit, offset)
    return _page(conn, _settled(wallet, *between_ms), leases.c.settled_at_ms, limit, offset)


def unsettled_of(
    conn: Connection, wallet: str, *, limit: int, offset: int
) -> tuple[list[LeasePay], int]:
    """Some of the leases that a wallet's nodes have to do or to be paid for, newest first, and how many there are."""
    unsettled = (
        (leases.c.wallet == wallet)
        & leases.c.settled_at_ms.is_(None)
        & (leases.c.settlement_phase != SettlementPhase.CLOSED.value)
    )
    return _page(conn, unsettled, leases.c.created_at_ms, limit, offset)


def _page(
    conn: Connection,
    wanted: ColumnElement[bool],
    order: ColumnElement[int],
    limit: int,
    offset: int,
) -> tuple[list[LeasePay], int]:
    rows = conn.execute(
        select(leases)
        .where(wanted)
        .order_by(order.desc(), leases.c.id.desc())
        .limit(limit)
        .offset(offset)
    )
    total = conn.scalar(select(func.count()).select_from(leases).where(wanted)) or 0
    return [_lease_pay(row) for row in rows], total


def _settled(wallet: str, start_ms: int, end_ms: int) -> ColumnElement[bool]:
    return (
        (leases.c.wallet == wallet)
        & (leases.c.settled_at_ms >= start_ms)
        & (leases.c.settled_at_ms < end_ms)
    )


def _open(wallet: str) -> ColumnElement[bool]:
    return (leases.c.wallet == wallet) & leases.c.settled_at_ms.is_(None) & (leases.c.escrow != "")


def _lease_pay(row: Row[tuple[object, ...]]) -> LeasePay:
    return LeasePay(
        lease_id=row.id,
        node_id=row.node_id,
        created_at_ms=row.created_at_ms,
        settled_at_ms=row.settled_at_ms,
        escrowed_micro_usdc=row.max_cost_micro_usdc,
        signed_micro_usdc=row.signed_micro_usdc,
        paid_micro_usdc=row.paid_micro_usdc,
        escrow=row.escrow,
        opened_by=row.opened_by,
        closed_by=_read_closing(row.settlement_json).closed_by,
    )
