"""What an account's leases cost, and its invoices."""

from dataclasses import dataclass

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    func,
    insert,
    select,
    tuple_,
    update,
)

from .ids import new_id
from .tables import accounts, invoices, leases, tasks


class _Closing(msgspec.Struct, frozen=True):
    """Of a stored settlement."""

    closed_by: str = ""


# Made before there are threads, see `tasks`.
_read_closing = msgspec.json.Decoder(_Closing).decode


@dataclass(frozen=True, slots=True)
class Charge:
    """The money of one lease of a task, as the chain has it. A task that was retried has several.

    Attributes:
        created_at_ms: when the task was awarded.
        settled_at_ms: when its escrow was closed; None while it is open.
        escrowed: what was locked for it; paid: what the provider got of it, the market's fee included.
        signed: what the vouchers so far come to.
        opened_by, closed_by: signatures of the transactions; "" while there is none.
    """

    lease_id: str
    task_id: str
    task_name: str
    node_id: str
    provider: str
    created_at_ms: int
    settled_at_ms: int | None
    escrowed_micro_usdc: int
    signed_micro_usdc: int
    paid_micro_usdc: int
    opened_by: str
    closed_by: str

    @property
    def refunded_micro_usdc(self) -> int | None:
        """What came back; None while the escrow is open."""
        if self.settled_at_ms is None:
            return None
        return self.escrowed_micro_usdc - self.paid_micro_usdc


@dataclass(frozen=True, slots=True)
class Totals:
    """Of many charges: how many, and sums. ``open``: locked in escrows that are not closed."""

    charges: int
    escrowed_micro_usdc: int
    paid_micro_usdc: int
    open_micro_usdc: int

    @property
    def refunded_micro_usdc(self) -> int:
        """What came back."""
        return self.escrowed_micro_usdc - self.paid_micro_usdc - self.open_micro_usdc


@dataclass(frozen=True, slots=True)
class Invoice:
    """What an account's tasks paid in a month.

    Attributes:
        number: counts the account's invoices from 1, without gaps.
        period_end_ms: the first moment that does not belong to it.
        account_name, wallet: the account's when it was issued.
        lines: how many charges it has.
    """

    id: str
    account_id: str
    number: int
    period_start_ms: int
    period_end_ms: int
    issued_at_ms: int
    account_name: str
    wallet: str
    total_micro_usdc: int
    lines: int


@dataclass(frozen=True, slots=True)
class InvoicePage:
    """Some invoices; ``total`` counts all."""

    invoices: tuple[Invoice, ...]
    total: int


def charges(
    conn: Connection,
    account_id: str,
    start_ms: int,
    end_ms: int,
    *,
    limit: int,
    offset: int = 0,
    before: Charge | None = None,
) -> list[Charge]:
    """The account's charges that were made in this time, newest first.

    Args:
        before: only those that come after this one in the list.
    """
    wanted = _in_time(account_id, start_ms, end_ms)
    if before is not None:
        wanted &= tuple_(leases.c.created_at_ms, leases.c.id) < tuple_(
            before.created_at_ms, before.lease_id
        )
    rows = conn.execute(
        _charges()
        .where(wanted)
        .order_by(leases.c.created_at_ms.desc(), leases.c.id.desc())
        .limit(limit)
        .offset(offset)
    )
    return [_charge(row) for row in rows]


def totals(conn: Connection, account_id: str, start_ms: int, end_ms: int) -> Totals:
    """Of all charges that were made in this time."""
    is_open = leases.c.settled_at_ms.is_(None)
    row = conn.execute(
        select(
            func.count(),
            func.sum(leases.c.max_cost_micro_usdc),
            func.sum(leases.c.paid_micro_usdc),
            func.sum(leases.c.max_cost_micro_usdc).filter(is_open),
        )
        .select_from(leases)
        .where(_in_time(account_id, start_ms, end_ms))
    ).one()
    return Totals(*(int(value or 0) for value in row))


def paid_since(conn: Connection, account_id: str, start_ms: int) -> int:
    """What was paid by escrows that were closed since then, micro-USDC."""
    paid = conn.scalar(
        select(func.sum(leases.c.paid_micro_usdc)).where(
            leases.c.account_id == account_id, leases.c.settled_at_ms >= start_ms
        )
    )
    return int(paid or 0)


def accounts_to_invoice(conn: Connection, before_ms: int, *, limit: int = 1000) -> list[str]:
    """Accounts with something settled before then that no invoice has."""
    rows = conn.execute(
        select(leases.c.account_id)
        .distinct()
        .where(_to_invoice(before_ms))
        .order_by(leases.c.account_id)
        .limit(limit)
    )
    return [account_id for (account_id,) in rows]


def oldest_to_invoice_ms(conn: Connection, account_id: str, before_ms: int) -> int | None:
    """When the first charge was settled that no invoice has; None if there is none before then."""
    oldest = conn.scalar(
        select(func.min(leases.c.settled_at_ms)).where(
            leases.c.account_id == account_id, _to_invoice(before_ms)
        )
    )
    return None if oldest is None else int(oldest)


def issue(
    conn: Connection, account_id: str, period_start_ms: int, period_end_ms: int, now_ms: int
) -> Invoice:
    """Make the account's next invoice, of all that was settled in this time and that no invoice has."""
    account = conn.execute(select(accounts).where(accounts.c.id == account_id)).one()
    last = conn.scalar(
        select(func.max(invoices.c.number)).where(invoices.c.account_id == account_id)
    )
    mine = (
        (leases.c.account_id == account_id)
        & (leases.c.settled_at_ms >= period_start_ms)
        & _to_invoice(period_end_ms)
    )
    total, lines = conn.execute(
        select(func.sum(leases.c.paid_micro_usdc), func.count()).select_from(leases).where(mine)
    ).one()
    invoice = Invoice(
        id=new_id("invoice"),
        account_id=account_id,
        number=(last or 0) + 1,
        period_start_ms=period_start_ms,
        period_end_ms=period_end_ms,
        issued_at_ms=now_ms,
        account_name=account.name,
        wallet=account.wallet,
        total_micro_usdc=int(total or 0),
        lines=lines,
    )
    conn.execute(
        insert(invoices).values(
            {column.name: getattr(invoice, column.name) for column in invoices.c}
        )
    )
    conn.execute(update(leases).where(mine).values(invoice_id=invoice.id))
    return invoice


def list_invoices(conn: Connection, account_id: str, *, limit: int, offset: int) -> InvoicePage:
    """The account's invoices, newest first."""
    mine = invoices.c.account_id == account_id
    rows = conn.execute(
        select(invoices).where(mine).order_by(invoices.c.number.desc()).limit(limit).offset(offset)
    )
    total = conn.scalar(select(func.count()).select_from(invoices).where(mine)) or 0
    return InvoicePage(tuple(Invoice(*row) for row in rows), total)


def get_invoice(conn: Connection, account_id: str, invoice_id: str) -> Invoice | None:
    """The invoice, if it is this account's."""
    row = conn.execute(
        select(invoices).where(invoices.c.id == invoice_id, invoices.c.account_id == account_id)
    ).first()
    return Invoice(*row) if row else None


def invoice_lines(
    conn: Connection, invoice_id: str, *, limit: int, offset: int = 0
) -> list[Charge]:
    """An invoice's charges, in the order in which they were settled."""
    rows = conn.execute(
        _charges()
        .where(leases.c.invoice_id == invoice_id)
        .order_by(leases.c.settled_at_ms, leases.c.id)
        .limit(limit)
        .offset(offset)
    )
    return [_charge(row) for row in rows]


def _charges() -> Select[tuple[object, ...]]:
    return select(leases, tasks.c.name.label("task_name")).join(
        tasks, tasks.c.id == leases.c.task_id
    )


def _in_time(account_id: str, start_ms: int, end_ms: int) -> ColumnElement[bool]:
    return (
        (leases.c.account_id == account_id)
        & (leases.c.escrow != "")
        & (leases.c.created_at_ms >= start_ms)
        & (leases.c.created_at_ms < end_ms)
    )


def _to_invoice(before_ms: int) -> ColumnElement[bool]:
    return (
        leases.c.invoice_id.is_(None)
        & leases.c.settled_at_ms.is_not(None)
        & (leases.c.paid_micro_usdc > 0)
        & (leases.c.settled_at_ms < before_ms)
    )


def _charge(row: Row[tuple[object, ...]]) -> Charge:
    return Charge(
        lease_id=row.id,
        task_id=row.task_id,
        task_name=row.task_name,
        node_id=row.node_id,
        provider=row.wallet,
        created_at_ms=row.created_at_ms,
        settled_at_ms=row.settled_at_ms,
        escrowed_micro_usdc=row.max_cost_micro_usdc,
        signed_micro_usdc=row.signed_micro_usdc,
        paid_micro_usdc=row.paid_micro_usdc,
        opened_by=row.opened_by,
        closed_by=_read_closing(row.settlement_json).closed_by,
    )
