"""``/wallet``: the account's balance, and moving money into and out of its deposit."""

from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request
from starlette.responses import Response

from neurogrid_marketplace.money import format_usdc

from ...money.transfer import TransferKind
from ...services.balances import Balances
from ...services.transfers import LIST_MAX, Transfers
from ...services.wallets import USDT, SpendingLimit, Wallets
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import success
from ..idempotency import IDEMPOTENCY_KEY, idempotency_key
from ..openapi import Schemas, errors
from ..paths import API
from .amounts import micro_usdc
from .transfer_schemas import (
    WALLET_RULES,
    DepositListView,
    DepositRequest,
    OperatorRequest,
    TransferView,
    WalletBalanceView,
    WithdrawalRequest,
)
from .transfers import ASK_ERRORS, asked_response, positive_micro, transfer_view

_ASKED = "A transaction for the wallet to sign; nothing has moved yet."
_REPEATED = "The same request was made before with this idempotency key: that one's transfer."


def add_wallet_routes(
    app: FastAPI,
    wallets: Wallets,
    balances: Balances,
    transfers: Transfers,
    gate: Gate,
    schemas: Schemas,
) -> None:
    """Add the routes."""
    asked = {
        201: schemas.answer(TransferView, _ASKED),
        200: schemas.answer(TransferView, _REPEATED),
        **errors(*ASK_ERRORS),
    }

    @app.get(
        f"{API}/wallet/balance",
        tags=["Wallet"],
        summary="Show your balance",
        response_class=Response,
        responses={
            200: schemas.answer(WalletBalanceView, "By what the chain says now."),
            **errors("UNAUTHORIZED", "UNAVAILABLE"),
        },
    )
    async def get_wallet_balance(caller: Annotated[Caller, Depends(gate)]) -> Response:
        """`usdc_balance` is the deposit from which tasks are paid: `free` + `held` + `escrowed`."""
        found = await wallets.balance(caller.account, await balances.of(caller.account))
        in_wallet = found.in_wallet_micro
        view = WalletBalanceView(
            usdc_balance=format_usdc(found.deposited_micro_usdc),
            usdt_balance=format_usdc(in_wallet[USDT]) if USDT in in_wallet else "0",
            free=format_usdc(found.free_micro_usdc),
            held=format_usdc(found.held_micro_usdc),
            escrowed=format_usdc(found.escrowed_micro_usdc),
            available=format_usdc(found.available_micro_usdc),
            operator_limit=format_usdc(found.operator_limit_micro_usdc),
            in_wallet=format_usdc(in_wallet.get("USDC", 0)),
            wallet=caller.account.wallet,
        )
        return success(view)

    @app.post(
        f"{API}/wallet/deposits",
        tags=["Wallet"],
        summary="Deposit",
        status_code=201,
        response_class=Response,
        responses=asked,
        openapi_extra={
            "parameters": [IDEMPOTENCY_KEY],
            **schemas.body(DepositRequest, {"amount": "100.00", "currency": "USDC"}),
        },
    )
    async def deposit(request: Request, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """Answers the transaction that the account's wallet has to sign; hand it in at `submit`. The coordinator
        has no key of yours, so nobody can move your money with an API key alone."""
        key = idempotency_key(request)
        body = await read_json(request, DepositRequest)
        limit = None
        if body.operator_limit is not None:
            limit = SpendingLimit(
                micro_usdc(body.operator_limit, "operator_limit"), body.operator_days
            )
        return asked_response(
            await wallets.deposit(
                caller.account, positive_micro(body.amount, "amount"), body.currency, limit, key
            )
        )

    @app.get(
        f"{API}/wallet/deposits",
        tags=["Wallet"],
        summary="List deposits",
        response_class=Response,
        responses={
            200: schemas.answer(DepositListView, "Newest first."),
            **errors("INVALID_REQUEST", "UNAUTHORIZED"),
        },
    )
    async def list_deposits(
        caller: Annotated[Caller, Depends(gate)],
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """Those that were asked for here. What the wallet deposits by itself is in the balance and in the chain's
        own history."""
        page = await transfers.list(
            caller.account, kinds=[TransferKind.DEPOSIT], limit=limit, offset=offset
        )
        views = [transfer_view(transfer) for transfer in page.transfers]
        return success(DepositListView(views, page.total, limit, offset))

    @app.post(
        f"{API}/wallet/withdrawals",
        tags=["Wallet"],
        summary="Withdraw",
        status_code=201,
        response_class=Response,
        responses=asked,
        openapi_extra={
            "parameters": [IDEMPOTENCY_KEY],
            **schemas.body(WithdrawalRequest, {"amount": "25.00"}),
        },
    )
    async def withdraw(request: Request, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """Takes free money out of the deposit, by a transaction to sign, as a deposit is made. What tasks hold may
        leave too: they then find no escrow, and fail."""
        key = idempotency_key(request)
        body = await read_json(request, WithdrawalRequest, WALLET_RULES)
        return asked_response(
            await wallets.withdraw(
                caller.account,
                positive_micro(body.amount, "amount"),
                body.currency,
                body.wallet_address or "",
                key,
            )
        )

    @app.post(
        f"{API}/wallet/operator",
        tags=["Wallet"],
        summary="Say how much the coordinator may use",
        status_code=201,
        response_class=Response,
        responses=asked,
        openapi_extra={
            "parameters": [IDEMPOTENCY_KEY],
            **schemas.body(OperatorRequest, {"limit": "50.00", "days": 30}),
        },
    )
    async def set_operator(request: Request, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """The most that the coordinator may lock in escrows in the wallet's name, by a transaction to sign. It can
        never withdraw. What is open runs on."""
        key = idempotency_key(request)
        body = await read_json(request, OperatorRequest)
        limit = SpendingLimit(micro_usdc(body.limit, "limit"), body.days)
        return asked_response(await wallets.set_spending_limit(caller.account, limit, key))
