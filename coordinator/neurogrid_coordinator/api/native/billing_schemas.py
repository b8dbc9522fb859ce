"""Billing: what requests say and answers show."""

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from .schemas import Amount, Time


class CreditsRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Credits to be added."""

    amount: Annotated[Decimal, Meta(description="USDC.", examples=[50.0])]
    payment_method: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=100,
            description="`usdc`: a deposit from the account's wallet. There is no other here.",
            examples=["usdc"],
        ),
    ]


class BillingBalanceView(Struct, frozen=True):
    """What an account can spend."""

    balance: Annotated[Amount, Meta(description="What new tasks can spend.")]
    currency: Literal["USDC"]
    held: Annotated[Amount, Meta(description="Promised to tasks that have no escrow yet.")]
    escrowed: Annotated[Amount, Meta(description="Locked on the chain for tasks.")]
    spent_this_month: Annotated[Amount, Meta(description="Paid since the month began, UTC.")]


class ChargeView(Struct, frozen=True):
    """The money of one run of a task; a task that was tried again has several."""

    task_id: str
    task_name: str
    lease_id: str
    node_id: str
    provider: Annotated[str, Meta(description="The wallet that earns.")]
    status: Annotated[
        Literal["escrowed", "settled"], Meta(description="`settled` once the escrow is closed.")
    ]
    escrowed: Annotated[Amount, Meta(description="Locked for it: the most that it could cost.")]
    paid: Annotated[
        Amount,
        Meta(description="Out of the escrow; while it is open: what is promised so far."),
    ]
    refunded: Annotated[Amount | None, Meta(description="Came back; null while it is open.")]
    currency: Literal["USDC"]
    created_at: Annotated[Time, Meta(description="When the task was awarded.")]
    settled_at: Time | None
    escrow_transaction: Annotated[str | None, Meta(description="Opened the escrow.")]
    payment_transaction: Annotated[str | None, Meta(description="Paid and closed it.")]


class BillingTotalsView(Struct, frozen=True):
    """Of all charges of the time, not of the page alone."""

    escrowed: Amount
    paid: Annotated[Amount, Meta(description="By escrows that are closed.")]
    refunded: Amount
    open: Annotated[Amount, Meta(description="Locked in escrows that are open.")]


class HistoryView(Struct, frozen=True):
    """Some charges, newest first; ``total`` counts all of the time."""

    history: list[ChargeView]
    totals: BillingTotalsView
    total: int
    limit: int
    offset: int


class InvoiceView(Struct, frozen=True):
    """What an account's tasks paid in a month. It never changes."""

    id: str
    number: Annotated[int, Meta(description="Counts the account's invoices, without gaps.")]
    period_start: Annotated[str, Meta(examples=["2026-11-01"])]
    period_end: Annotated[str, Meta(description="Its last day.", examples=["2026-11-30"])]
    issued_at: Time
    account_id: str
    account_name: str
    wallet: str
    total: Annotated[Amount, Meta(description="The sum of its lines: what the chain paid.")]
    currency: Literal["USDC"]
    line_count: int
    pdf: Annotated[str, Meta(description="Where it is as a PDF.")]


class InvoiceDetailView(InvoiceView, frozen=True):
    """An invoice with some of its lines."""

    lines: Annotated[list[ChargeView], Meta(description="In the order of their payment.")]
    limit: int
    offset: int


class InvoiceListView(Struct, frozen=True):
    """Some invoices, newest first; ``total`` counts all."""

    invoices: list[InvoiceView]
    total: int
    limit: int
    offset: int
