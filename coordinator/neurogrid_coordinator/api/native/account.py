"""``/account``: who the key belongs to, and its money."""

from typing import Annotated

from fastapi import Depends, FastAPI
from starlette.responses import Response

from neurogrid_marketplace.money import format_usdc

from ...services.balances import Balances
from ..auth import Caller, Gate
from ..envelope import success
from ..openapi import Schemas, errors
from ..paths import API
from .account_schemas import AccountView, BalanceView


def add_account_route(app: FastAPI, balances: Balances, gate: Gate, schemas: Schemas) -> None:
    """Add the route."""

    @app.get(
        f"{API}/account",
        tags=["Account"],
        summary="Show your account",
        response_class=Response,
        responses={
            200: schemas.answer(AccountView, "With its balance."),
            **errors("UNAUTHORIZED", "UNAVAILABLE"),
        },
    )
    async def get_account(caller: Annotated[Caller, Depends(gate)]) -> Response:
        """`available` is what new tasks can spend."""
        balance = await balances.of(caller.account)
        view = AccountView(
            id=caller.account.id,
            name=caller.account.name,
            wallet=caller.account.wallet,
            currency="USDC",
            balance=BalanceView(
                available=format_usdc(balance.available_micro_usdc),
                held=format_usdc(balance.held_micro_usdc),
                escrowed=format_usdc(balance.escrowed_micro_usdc),
                wallet=format_usdc(balance.wallet_micro_usdc),
                operator_limit=format_usdc(balance.operator_limit_micro_usdc),
            ),
        )
        return success(view)
