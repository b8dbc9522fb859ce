"""What an account pays: its history, its invoices, and how to pay in."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from ..money.invoicing import month_of
from ..store import billing
from ..store.accounts import Account
from ..store.billing import Charge, Invoice, InvoicePage, Totals
from ..store.database import Database
from .errors import InvalidRequest, NotFound

LIST_MAX = 100
LINES_MAX = 1_000
# What a PDF shows line by line; a longer invoice says how many more there are, and what they come to.
PDF_LINES_MAX = 2_000
PAYMENT_METHODS = ("usdc",)

_PAGE = 500
_ID = re.compile(r"invoice_[0-9a-f]{32}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class History:
    """Some charges, and what all of the same time come to."""

    charges: tuple[Charge, ...]
    totals: Totals


class Billing:
    """What an account's tasks cost."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def history(
        self, account: Account, start_ms: int, end_ms: int, *, limit: int = 50, offset: int = 0
    ) -> History:
        """The charges of tasks that were awarded in this time, newest first.

        Raises:
            InvalidRequest: it ends before it begins.
        """
        _require_order(start_ms, end_ms)
        return await self._database.read(
            lambda conn: History(
                tuple(
                    billing.charges(
                        conn,
                        account.id,
                        start_ms,
                        end_ms,
                        limit=min(limit, LIST_MAX),
                        offset=offset,
                    )
                ),
                billing.totals(conn, account.id, start_ms, end_ms),
            )
        )

    async def export(
        self, account: Account, start_ms: int, end_ms: int
    ) -> AsyncIterator[list[Charge]]:
        """All charges of this time, newest first, some at a time; read as they are taken."""
        last: Charge | None = None
        while True:
            page = await self._database.read(
                billing.charges, account.id, start_ms, end_ms, limit=_PAGE, before=last
            )
            yield page
            if len(page) < _PAGE:
                return
            last = page[-1]

    async def paid_this_month(self, account: Account, now_ms: int) -> int:
        """What was paid since the month began, micro-USDC."""
        start_ms, _ = month_of(now_ms)
        return await self._database.read(billing.paid_since, account.id, start_ms)

    async def invoices(self, account: Account, *, limit: int = 50, offset: int = 0) -> InvoicePage:
        """The account's invoices, newest first."""
        return await self._database.read(
            billing.list_invoices, account.id, limit=min(limit, LIST_MAX), offset=offset
        )

    async def invoice(
        self, account: Account, invoice_id: str, *, limit: int = LINES_MAX, offset: int = 0
    ) -> tuple[Invoice, list[Charge]]:
        """One invoice and some of its lines.

        Raises:
            NotFound: there is none, or it is somebody else's.
        """
        invoice = None
        if _ID.match(invoice_id):
            invoice = await self._database.read(billing.get_invoice, account.id, invoice_id)
        if invoice is None:
            raise NotFound(
                f"there is no invoice {invoice_id[:80]}", {"invoice_id": invoice_id[:80]}
            )
        lines = await self._database.read(
            billing.invoice_lines, invoice.id, limit=limit, offset=offset
        )
        return invoice, lines


def require_payment_method(name: str) -> None:
    """Refuse a way of paying that there is none of here.

    Raises:
        InvalidRequest: it says what there is.
    """
    if name not in PAYMENT_METHODS:
        error = InvalidRequest(
            "payment_method: this coordinator takes no cards. Credits are USDC that you deposit: send "
            'payment_method "usdc", or POST /api/v1/wallet/deposits, and have your wallet sign what it answers',
            "payment_method",
        )
        error.details |= {
            "payment_methods": list(PAYMENT_METHODS),
            "deposit": "/api/v1/wallet/deposits",
        }
        raise error


def _require_order(start_ms: int, end_ms: int) -> None:
    if end_ms <= start_ms:
        raise InvalidRequest("end_date: is before start_date", "end_date")
