# Made from aio/billing.py by scripts/unasync.py: change that one, and run it.
"""What the account's tasks cost: balance, history, invoices."""

from collections.abc import Generator

from .days import Day, days
from .models.money import BillingBalance, BillingHistory, Invoice, InvoicePage
from .pages import each
from .transport import Transport


class Billing:
    """The account's bills."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get_balance(self) -> BillingBalance:
        """What new tasks can spend; `Wallet.get_balance` has all of it."""
        return self._transport.call(BillingBalance, "GET", "/billing/balance")

    def get_history(
        self,
        *,
        start_date: Day | None = None,
        end_date: Day | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> BillingHistory:
        """For each run of a task: what was locked, paid and came back, newest first.

        Args:
            start_date: UTC, by when the task was awarded; None: 30 days before the last.
            end_date: the last day; None: today.
        """
        params = {"limit": str(limit), "offset": str(offset), **days(start_date, end_date)}
        return self._transport.call(BillingHistory, "GET", "/billing/history", params=params)

    def export_history(
        self, *, start_date: Day | None = None, end_date: Day | None = None
    ) -> Generator[bytes]:
        """All of a time's charges as a CSV file, piece by piece."""
        params = {"format": "csv", **days(start_date, end_date)}
        with self._transport.stream("/billing/history", params=params) as response:
            body = response.iter_bytes()
            yield from body

    def list_invoices(self, *, limit: int = 50, offset: int = 0) -> InvoicePage:
        """One for each month in which something was paid, newest first."""
        params = {"limit": str(limit), "offset": str(offset)}
        return self._transport.call(InvoicePage, "GET", "/billing/invoices", params=params)

    def iterate_invoices(self, *, page_size: int = 100) -> Generator[Invoice]:
        """All invoices, each once, however many there are; ``page_size``: how many one request asks for."""
        return each(self.list_invoices, page_size)

    def get_invoice(self, invoice_id: str) -> Invoice:
        """One invoice, with its first lines.

        Raises:
            NotFoundError: the account has no such invoice.
        """
        return self._transport.call(Invoice, "GET", f"/billing/invoices/{invoice_id}")

    def get_invoice_pdf(self, invoice_id: str) -> bytes:
        """An invoice as a PDF, the same bytes whenever it is asked for.

        Raises:
            NotFoundError: the account has no such invoice.
        """
        return (self._transport.send("GET", f"/billing/invoices/{invoice_id}.pdf")).content
