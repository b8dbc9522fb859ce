"""``/provider/earnings`` and ``/provider/payouts``: what a provider earns, and sending it on."""

import time
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query, Request
from starlette.responses import Response

from neurogrid_marketplace.money import format_usdc

from ...money.transfer import TransferKind
from ...services.earnings import LIST_MAX, Earnings, Summary
from ...services.payouts import Payouts
from ...services.transfers import Transfers
from ...store.earnings import LeasePay
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import iso, iso_or_none, success
from ..idempotency import IDEMPOTENCY_KEY, idempotency_key
from ..openapi import Schemas, errors, signed
from ..paths import API
from .billing import EndDate, StartDate, between, day_of
from .earning_schemas import (
    EarningsSummaryView,
    JobEarningsListView,
    JobEarningsView,
    NodeEarningsView,
    OpenEarningsView,
)
from .transfer_schemas import WALLET_RULES, PayoutListView, PayoutRequest, TransferView
from .transfers import SIGNED_ASK_ERRORS, asked_response, positive_micro, transfer_view

_EARNINGS = f"{API}/provider/earnings"
_PAYOUTS = f"{API}/provider/payouts"
_PAYOUT_EXAMPLE = {
    "amount": "500.00",
    "currency": "USDC",
    "wallet_address": "5ZWj7a1f8tWkjBESHKgrLmXshuXxqeY9SYcfbshpAqPG",
}
_READ_ERRORS = ("INVALID_REQUEST", "UNAUTHORIZED", "FORBIDDEN")


def add_earning_routes(
    app: FastAPI,
    earnings: Earnings,
    payouts: Payouts,
    transfers: Transfers,
    gate: Gate,
    schemas: Schemas,
) -> None:
    """Add the routes."""
    asked: dict[int | str, Any] = {
        201: schemas.answer(
            TransferView, "A transaction for the wallet to sign; nothing has moved."
        ),
        200: schemas.answer(TransferView, "It was asked for before, with this idempotency key."),
    }

    @app.get(
        _EARNINGS,
        tags=["Providers"],
        summary="Show what your machines earned",
        response_class=Response,
        responses={
            200: schemas.answer(EarningsSummaryView, "By when escrows paid."),
            **errors(*_READ_ERRORS),
        },
    )
    async def get_earnings(
        caller: Annotated[Caller, Depends(gate.for_providers)],
        start_date: StartDate = None,
        end_date: EndDate = None,
    ) -> Response:
        """Of the machines whose owner is the account's wallet, through this coordinator. What the chain has paid by
        all of them, less the market's fee, is `earned` of `GET /provider/stake`."""
        start_ms, end_ms = between(start_date, end_date, _now_ms())
        summary = await earnings.summary(caller.account, start_ms, end_ms)
        return success(_summary_view(summary, start_ms, end_ms))

    @app.get(
        f"{_EARNINGS}/jobs",
        tags=["Providers"],
        summary="List what each job paid",
        response_class=Response,
        responses={
            200: schemas.answer(JobEarningsListView, "Newest first."),
            **errors(*_READ_ERRORS),
        },
    )
    async def list_earnings(
        caller: Annotated[Caller, Depends(gate.for_providers)],
        status: Annotated[
            Literal["settled", "open"],
            Query(description="`open`: with an escrow that is not closed yet, of any time."),
        ] = "settled",
        start_date: StartDate = None,
        end_date: EndDate = None,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """One for each run on a machine of yours; whose task it was is its client's affair."""
        if status == "open":
            page = await earnings.open(caller.account, limit=limit, offset=offset)
        else:
            start_ms, end_ms = between(start_date, end_date, _now_ms())
            page = await earnings.paid(caller.account, start_ms, end_ms, limit=limit, offset=offset)
        views = [_job_view(pay) for pay in page.leases]
        return success(JobEarningsListView(views, page.total, limit, offset))

    @app.post(
        f"{_EARNINGS}/{{lease_id}}/claim",
        tags=["Providers"],
        summary="Redeem what was signed for a job",
        status_code=201,
        response_class=Response,
        responses={**asked, **errors(*SIGNED_ASK_ERRORS, "NOT_FOUND")},
        openapi_extra=signed({"parameters": [IDEMPOTENCY_KEY]}),
    )
    async def claim(
        request: Request,
        lease_id: str,
        caller: Annotated[Caller, Depends(gate.moving_providers_money)],
    ) -> Response:
        """A machine redeems its vouchers by itself. For one that died after its job: a transaction to sign that
        redeems the last of them and closes the escrow, within the market's window."""
        key = idempotency_key(request)
        return asked_response(await earnings.claim(caller.account, lease_id, key))

    @app.post(
        _PAYOUTS,
        tags=["Providers"],
        summary="Send earned money on",
        status_code=201,
        response_class=Response,
        responses={**asked, **errors(*SIGNED_ASK_ERRORS)},
        openapi_extra=signed(
            {"parameters": [IDEMPOTENCY_KEY], **schemas.body(PayoutRequest, _PAYOUT_EXAMPLE)}
        ),
    )
    async def request_payout(
        request: Request, caller: Annotated[Caller, Depends(gate.moving_providers_money)]
    ) -> Response:
        """The chain pays each job into the wallet by itself, so there is nothing to wait for. This is a transaction to
        sign that sends money from there to another wallet."""
        key = idempotency_key(request)
        body = await read_json(request, PayoutRequest, WALLET_RULES)
        amount = positive_micro(body.amount, "amount")
        return asked_response(
            await payouts.request(caller.account, amount, body.currency, body.wallet_address, key)
        )

    @app.get(
        _PAYOUTS,
        tags=["Providers"],
        summary="List payouts",
        response_class=Response,
        responses={
            200: schemas.answer(PayoutListView, "Newest first."),
            **errors(*_READ_ERRORS),
        },
    )
    async def list_payouts(
        caller: Annotated[Caller, Depends(gate.for_providers)],
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """Those that were asked for here. What the wallet sends by itself is in the chain's own history."""
        page = await transfers.list(
            caller.account, kinds=[TransferKind.PAYOUT], limit=limit, offset=offset
        )
        views = [transfer_view(transfer) for transfer in page.transfers]
        return success(PayoutListView(views, page.total, limit, offset))


def _summary_view(summary: Summary, start_ms: int, end_ms: int) -> EarningsSummaryView:
    return EarningsSummaryView(
        start_date=day_of(start_ms),
        end_date=day_of(end_ms - 1),
        currency="USDC",
        paid=format_usdc(summary.paid.micro_usdc),
        jobs=summary.paid.jobs,
        nodes=[
            NodeEarningsView(node.node_id, node.paid.jobs, format_usdc(node.paid.micro_usdc))
            for node in summary.nodes
        ],
        open=OpenEarningsView(
            jobs=summary.open.jobs,
            escrowed=format_usdc(summary.open.escrowed_micro_usdc),
            promised=format_usdc(summary.open.signed_micro_usdc),
        ),
    )


def _job_view(pay: LeasePay) -> JobEarningsView:
    is_open = pay.settled_at_ms is None
    return JobEarningsView(
        lease_id=pay.lease_id,
        node_id=pay.node_id,
        status="open" if is_open else "settled",
        escrowed=format_usdc(pay.escrowed_micro_usdc),
        paid=format_usdc(pay.signed_micro_usdc if is_open else pay.paid_micro_usdc),
        currency="USDC",
        created_at=iso(pay.created_at_ms),
        settled_at=iso_or_none(pay.settled_at_ms),
        escrow=pay.escrow,
        escrow_transaction=pay.opened_by or None,
        payment_transaction=pay.closed_by or None,
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
