"""``/billing``: what an account can spend, what its tasks cost, and its invoices."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query, Request
from starlette.responses import Response, StreamingResponse

from neurogrid_marketplace.money import format_usdc

from ...services.balances import Balances
from ...services.billing import (
    LINES_MAX,
    LIST_MAX,
    PDF_LINES_MAX,
    Billing,
    require_payment_method,
)
from ...services.wallets import Wallets
from ...store.billing import Charge, Invoice
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import iso, iso_or_none, success
from ..idempotency import IDEMPOTENCY_KEY, idempotency_key
from ..openapi import Schemas, errors
from ..paths import API
from .billing_csv import COLUMNS, csv_lines
from .billing_schemas import (
    BillingBalanceView,
    BillingTotalsView,
    ChargeView,
    CreditsRequest,
    HistoryView,
    InvoiceDetailView,
    InvoiceListView,
    InvoiceView,
)
from .transfer_schemas import TransferView
from .transfers import ASK_ERRORS, asked_response, positive_micro

_DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1).toordinal()
_INVOICES = f"{API}/billing/invoices"
_CREDITS_EXAMPLE = {"amount": 50.00, "payment_method": "usdc"}
_PDF = "application/pdf"
_PDF_CONTENT = {_PDF: {"schema": {"type": "string", "format": "binary"}}}
_CSV = {"text/csv": {"schema": {"type": "string"}}}

StartDate = Annotated[
    date | None, Query(description="First day, UTC; left out: 30 days before the last.")
]
EndDate = Annotated[date | None, Query(description="Last day, UTC; left out: today.")]


def add_billing_routes(
    app: FastAPI,
    billing: Billing,
    balances: Balances,
    wallets: Wallets,
    gate: Gate,
    schemas: Schemas,
) -> None:
    """Add the routes."""
    history_answer = schemas.answer(HistoryView, "Newest first; with `format=csv` all as CSV.")
    history_answer["content"].update(_CSV)
    invoice_answer = schemas.answer(InvoiceDetailView, "With its lines; or as a PDF, by `Accept`.")
    invoice_answer["content"].update(_PDF_CONTENT)

    @app.get(
        f"{API}/billing/balance",
        tags=["Billing"],
        summary="Check your balance",
        response_class=Response,
        responses={
            200: schemas.answer(BillingBalanceView, "By what the chain says now."),
            **errors("UNAUTHORIZED", "UNAVAILABLE"),
        },
    )
    async def get_billing_balance(caller: Annotated[Caller, Depends(gate)]) -> Response:
        """`balance` is what new tasks can spend; `GET /wallet/balance` has all of it."""
        balance = await balances.of(caller.account)
        spent = await billing.paid_this_month(caller.account, _now_ms())
        view = BillingBalanceView(
            balance=format_usdc(balance.available_micro_usdc),
            currency="USDC",
            held=format_usdc(balance.held_micro_usdc),
            escrowed=format_usdc(balance.escrowed_micro_usdc),
            spent_this_month=format_usdc(spent),
        )
        return success(view)

    @app.post(
        f"{API}/billing/credits",
        tags=["Billing"],
        summary="Add credits",
        status_code=201,
        response_class=Response,
        responses={
            201: schemas.answer(TransferView, "A deposit for the wallet to sign."),
            200: schemas.answer(TransferView, "It was asked for before, with this key."),
            **errors(*ASK_ERRORS),
        },
        openapi_extra={
            "parameters": [IDEMPOTENCY_KEY],
            **schemas.body(CreditsRequest, _CREDITS_EXAMPLE),
        },
    )
    async def add_credits(request: Request, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """Credits are USDC in the account's deposit. With `payment_method` `usdc` this is `POST /wallet/deposits`;
        cards are not taken, and the error says how to deposit."""
        key = idempotency_key(request)
        body = await read_json(request, CreditsRequest)
        amount = positive_micro(body.amount, "amount")
        require_payment_method(body.payment_method)
        return asked_response(await wallets.deposit(caller.account, amount, "USDC", None, key))

    @app.get(
        f"{API}/billing/history",
        tags=["Billing"],
        summary="Show what your tasks cost",
        response_class=Response,
        responses={200: history_answer, **errors("INVALID_REQUEST", "UNAUTHORIZED")},
    )
    async def get_history(
        caller: Annotated[Caller, Depends(gate)],
        start_date: StartDate = None,
        end_date: EndDate = None,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
        format: Annotated[
            Literal["json", "csv"], Query(description="`csv`: all of the time, not a page.")
        ] = "json",
    ) -> Response:
        """For each run of a task: what was locked, paid and came back, and the transactions that did it. Dated by
        when the task was awarded."""
        start_ms, end_ms = between(start_date, end_date, _now_ms())
        found = await billing.history(caller.account, start_ms, end_ms, limit=limit, offset=offset)
        if format == "csv":
            exported = billing.export(caller.account, start_ms, end_ms)
            name = 'attachment; filename="history.csv"'
            return StreamingResponse(
                _csv(exported), media_type="text/csv", headers={"Content-Disposition": name}
            )
        totals = found.totals
        view = HistoryView(
            history=[_charge_view(charge) for charge in found.charges],
            totals=BillingTotalsView(
                escrowed=format_usdc(totals.escrowed_micro_usdc),
                paid=format_usdc(totals.paid_micro_usdc),
                refunded=format_usdc(totals.refunded_micro_usdc),
                open=format_usdc(totals.open_micro_usdc),
            ),
            total=totals.charges,
            limit=limit,
            offset=offset,
        )
        return success(view)

    @app.get(
        _INVOICES,
        tags=["Billing"],
        summary="List invoices",
        response_class=Response,
        responses={
            200: schemas.answer(InvoiceListView, "Newest first."),
            **errors("INVALID_REQUEST", "UNAUTHORIZED"),
        },
    )
    async def list_invoices(
        caller: Annotated[Caller, Depends(gate)],
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """One for each month in which something was paid, within two hours of its end."""
        page = await billing.invoices(caller.account, limit=limit, offset=offset)
        views = [InvoiceView(**_invoice_fields(invoice)) for invoice in page.invoices]
        return success(InvoiceListView(views, page.total, limit, offset))

    async def pdf_of(caller: Caller, invoice_id: str) -> Response:
        # Loads what draws it with the first one: not every coordinator's memory needs that.
        from ...money.invoice_pdf import invoice_pdf

        invoice, lines = await billing.invoice(caller.account, invoice_id, limit=PDF_LINES_MAX)
        data = await asyncio.to_thread(invoice_pdf, invoice, lines)
        name = f'inline; filename="invoice-{invoice.number}.pdf"'
        return Response(data, media_type=_PDF, headers={"Content-Disposition": name})

    # Before the route without an ending, which would take it for an id.
    @app.get(
        f"{_INVOICES}/{{invoice_id}}.pdf",
        tags=["Billing"],
        summary="Get an invoice as a PDF",
        response_class=Response,
        responses={
            200: {"description": "The file.", "content": _PDF_CONTENT},
            **errors("UNAUTHORIZED", "NOT_FOUND"),
        },
    )
    async def get_invoice_pdf(
        invoice_id: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """The same bytes whenever it is asked for. Shows the first 2,000 lines and what the others come to."""
        return await pdf_of(caller, invoice_id)

    @app.get(
        f"{_INVOICES}/{{invoice_id}}",
        tags=["Billing"],
        summary="Get an invoice",
        response_class=Response,
        responses={200: invoice_answer, **errors("INVALID_REQUEST", "UNAUTHORIZED", "NOT_FOUND")},
    )
    async def get_invoice(
        request: Request,
        invoice_id: str,
        caller: Annotated[Caller, Depends(gate)],
        limit: Annotated[int, Query(ge=1, le=LINES_MAX, description="Lines.")] = LINES_MAX,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """`Accept: application/pdf` gets the PDF."""
        if request.headers.get("accept", "").startswith(_PDF):
            return await pdf_of(caller, invoice_id)
        invoice, lines = await billing.invoice(
            caller.account, invoice_id, limit=limit, offset=offset
        )
        view = InvoiceDetailView(
            **_invoice_fields(invoice),
            lines=[_charge_view(line) for line in lines],
            limit=limit,
            offset=offset,
        )
        return success(view)


def between(first: date | None, last: date | None, now_ms: int) -> tuple[int, int]:
    """Days, the last included, as Unix milliseconds from the first moment to the one after."""
    end_ms = (now_ms // _DAY_MS + 1) * _DAY_MS if last is None else _day_ms(last) + _DAY_MS
    before_ms = max(end_ms - 31 * _DAY_MS, _day_ms(date.min))
    start_ms = before_ms if first is None else _day_ms(first)
    return start_ms, end_ms


def _day_ms(day: date) -> int:
    return (day.toordinal() - _EPOCH) * _DAY_MS


def _charge_view(charge: Charge) -> ChargeView:
    refunded = charge.refunded_micro_usdc
    is_open = charge.settled_at_ms is None
    return ChargeView(
        task_id=charge.task_id,
        task_name=charge.task_name,
        lease_id=charge.lease_id,
        node_id=charge.node_id,
        provider=charge.provider,
        status="escrowed" if is_open else "settled",
        escrowed=format_usdc(charge.escrowed_micro_usdc),
        paid=format_usdc(charge.signed_micro_usdc if is_open else charge.paid_micro_usdc),
        refunded=None if refunded is None else format_usdc(refunded),
        currency="USDC",
        created_at=iso(charge.created_at_ms),
        settled_at=iso_or_none(charge.settled_at_ms),
        escrow_transaction=charge.opened_by or None,
        payment_transaction=charge.closed_by or None,
    )


def _invoice_fields(invoice: Invoice) -> dict[str, Any]:
    return {
        "id": invoice.id,
        "number": invoice.number,
        "period_start": day_of(invoice.period_start_ms),
        "period_end": day_of(invoice.period_end_ms - 1),
        "issued_at": iso(invoice.issued_at_ms),
        "account_id": invoice.account_id,
        "account_name": invoice.account_name,
        "wallet": invoice.wallet,
        "total": format_usdc(invoice.total_micro_usdc),
        "currency": "USDC",
        "line_count": invoice.lines,
        "pdf": f"{_INVOICES}/{invoice.id}.pdf",
    }


def day_of(unix_ms: int) -> str:
    """The day of a moment, UTC."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).date().isoformat()


async def _csv(pages: AsyncIterator[list[Charge]]) -> AsyncIterator[str]:
    yield csv_lines([COLUMNS])
    async for page in pages:
        yield csv_lines([_row(_charge_view(charge)) for charge in page])


def _row(view: ChargeView) -> list[str | None]:
    return [getattr(view, column) for column in COLUMNS]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
