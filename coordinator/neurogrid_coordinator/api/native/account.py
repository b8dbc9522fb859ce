"""``/account``: who the key belongs to, its money, and what its wallet has to sign."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request
from starlette.responses import Response

from neurogrid_marketplace.money import format_usdc

from ...services.balances import Balances
from ...services.profiles import Profiles
from ...store.accounts import Account
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import success
from ..openapi import Schemas, errors, signed
from ..paths import API
from .account_schemas import AccountChange, AccountView, BalanceView


def add_account_routes(
    app: FastAPI, balances: Balances, profiles: Profiles, gate: Gate, schemas: Schemas
) -> None:
    """Add the routes."""

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
    async def get_account(caller: Annotated[Caller, Depends(gate.for_everybody)]) -> Response:
        """`available` is what new tasks can spend."""
        return success(await _view(balances, caller.account))

    @app.patch(
        f"{API}/account",
        tags=["Account"],
        summary="Change what your wallet has to sign",
        response_class=Response,
        responses={
            200: schemas.answer(AccountView, "As it is now."),
            **errors(
                "INVALID_REQUEST",
                "UNAUTHORIZED",
                "KEY_EXPIRED",
                "SIGNATURE_REQUIRED",
                "SIGNATURE_INVALID",
                "SIGNATURE_EXPIRED",
                "SIGNATURE_REPLAYED",
                "FORBIDDEN",
                "PAYLOAD_TOO_LARGE",
                "RATE_LIMITED",
                "UNAVAILABLE",
            ),
        },
        openapi_extra=signed(schemas.body(AccountChange, {"signs_writes": True})),
    )
    async def change_account(
        request: Request, caller: Annotated[Caller, Depends(gate.changing_signing)]
    ) -> Response:
        """Needs the scope `keys` and the wallet's signature. With `signs_writes` every request that
        changes something has to be signed, within a second; without it only what moves money."""
        wanted = await read_json(request, AccountChange)
        # The balance first: it is what may fail.
        await balances.of(caller.account)
        changed = await profiles.set_signs_writes(caller.account, wanted.signs_writes)
        gate.forget(caller.key.id)
        return success(await _view(balances, changed))


async def _view(balances: Balances, account: Account) -> AccountView:
    balance = await balances.of(account)
    return AccountView(
        id=account.id,
        name=account.name,
        wallet=account.wallet,
        roles=list(account.roles),
        signs_writes=account.signs_writes,
        currency="USDC",
        balance=BalanceView(
            available=format_usdc(balance.available_micro_usdc),
            held=format_usdc(balance.held_micro_usdc),
            escrowed=format_usdc(balance.escrowed_micro_usdc),
            wallet=format_usdc(balance.wallet_micro_usdc),
            operator_limit=format_usdc(balance.operator_limit_micro_usdc),
        ),
    )
