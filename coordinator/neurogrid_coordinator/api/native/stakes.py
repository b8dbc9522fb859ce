"""``/provider/stake``: what a provider has at risk, and moving it."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request
from starlette.responses import Response

from neurogrid_marketplace.money import format_usdc

from ...money.wallet_chain import ProviderStanding
from ...services.stakes import Stakes
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import iso, success
from ..idempotency import IDEMPOTENCY_KEY, idempotency_key
from ..openapi import Schemas, errors, signed
from ..paths import API
from .earning_schemas import StakeView
from .transfer_schemas import StakeRequest, TransferView
from .transfers import SIGNED_ASK_ERRORS, asked_response, positive_micro

_STAKE = f"{API}/provider/stake"
_EXAMPLE = {"amount": "500.00", "currency": "USDC"}
_DAY_S = 86_400


def add_stake_routes(app: FastAPI, stakes: Stakes, gate: Gate, schemas: Schemas) -> None:
    """Add the routes."""
    asked = {
        201: schemas.answer(
            TransferView, "A transaction for the wallet to sign; nothing has moved."
        ),
        200: schemas.answer(TransferView, "It was asked for before, with this idempotency key."),
        **errors(*SIGNED_ASK_ERRORS),
    }
    with_amount = signed({"parameters": [IDEMPOTENCY_KEY], **schemas.body(StakeRequest, _EXAMPLE)})

    @app.get(
        _STAKE,
        tags=["Providers"],
        summary="Show your stake",
        response_class=Response,
        responses={
            200: schemas.answer(StakeView, "By what the chain says now."),
            **errors("UNAUTHORIZED", "FORBIDDEN", "UNAVAILABLE"),
        },
    )
    async def get_stake(caller: Annotated[Caller, Depends(gate.for_providers)]) -> Response:
        """What the account's wallet has in the market's program as a provider."""
        return success(_view(caller.account.wallet, await stakes.status(caller.account)))

    @app.post(
        _STAKE,
        tags=["Providers"],
        summary="Stake",
        status_code=201,
        response_class=Response,
        responses=asked,
        openapi_extra=with_amount,
    )
    async def stake(
        request: Request, caller: Annotated[Caller, Depends(gate.moving_providers_money)]
    ) -> Response:
        """Answers the transaction that the wallet has to sign; hand it in at `/wallet/transfers/{id}/submit`. The first
        one makes the wallet a provider, who is paid to that same wallet for good."""
        key = idempotency_key(request)
        body = await read_json(request, StakeRequest)
        amount = positive_micro(body.amount, "amount")
        return asked_response(await stakes.stake(caller.account, amount, body.currency, key))

    @app.post(
        f"{_STAKE}/unstake",
        tags=["Providers"],
        summary="Begin to take stake out",
        status_code=201,
        response_class=Response,
        responses=asked,
        openapi_extra=with_amount,
    )
    async def unstake(
        request: Request, caller: Annotated[Caller, Depends(gate.moving_providers_money)]
    ) -> Response:
        """It can be withdrawn when the market's window has passed, and slashed until then. Asking for more starts the
        window anew for all of it."""
        key = idempotency_key(request)
        body = await read_json(request, StakeRequest)
        amount = positive_micro(body.amount, "amount")
        return asked_response(await stakes.unstake(caller.account, amount, body.currency, key))

    @app.post(
        f"{_STAKE}/withdraw",
        tags=["Providers"],
        summary="Withdraw what has unbonded",
        status_code=201,
        response_class=Response,
        responses=asked,
        openapi_extra=signed({"parameters": [IDEMPOTENCY_KEY]}),
    )
    async def withdraw_stake(
        request: Request, caller: Annotated[Caller, Depends(gate.moving_providers_money)]
    ) -> Response:
        """All of it, into the wallet, by a transaction to sign."""
        return asked_response(await stakes.withdraw(caller.account, idempotency_key(request)))

    @app.post(
        f"{_STAKE}/rebond",
        tags=["Providers"],
        summary="Let stake that unbonds be stake again",
        status_code=201,
        response_class=Response,
        responses=asked,
        openapi_extra=with_amount,
    )
    async def rebond_stake(
        request: Request, caller: Annotated[Caller, Depends(gate.moving_providers_money)]
    ) -> Response:
        """By a transaction to sign. Machines whose stake is enough again get jobs again."""
        key = idempotency_key(request)
        body = await read_json(request, StakeRequest)
        amount = positive_micro(body.amount, "amount")
        return asked_response(await stakes.rebond(caller.account, amount, body.currency, key))

    @app.post(
        f"{_STAKE}/close",
        tags=["Providers"],
        summary="Close your provider account",
        status_code=201,
        response_class=Response,
        responses=asked,
        openapi_extra=signed({"parameters": [IDEMPOTENCY_KEY]}),
    )
    async def close_stake(
        request: Request, caller: Annotated[Caller, Depends(gate.moving_providers_money)]
    ) -> Response:
        """By a transaction to sign. Nothing may be staked or unbond any more, and no escrow be open; the rent comes back.
        The wallet can register again, by staking."""
        return asked_response(await stakes.close(caller.account, idempotency_key(request)))


def _view(wallet: str, standing: ProviderStanding) -> StakeView:
    account, terms = standing.account, standing.terms
    return StakeView(
        wallet=wallet,
        registered=account is not None,
        staked=format_usdc(account.staked_micro_usdc if account else 0),
        free=format_usdc(account.free_stake_micro_usdc if account else 0),
        bonded=format_usdc(account.bonded_micro_usdc if account else 0),
        unbonding=format_usdc(account.unbonding_micro_usdc if account else 0),
        withdrawable_at=iso(account.unbonding_until_unix_s * 1000)
        if account and account.unbonding_micro_usdc
        else None,
        slashed=format_usdc(account.slashed_micro_usdc if account else 0),
        minimum=format_usdc(terms.min_stake_micro_usdc),
        unbonding_days=round(terms.unbonding_window_s / _DAY_S, 3),
        earned=format_usdc(account.earned_micro_usdc if account else 0),
        jobs_completed=account.jobs_completed if account else 0,
        open_escrows=account.open_escrows if account else 0,
        payout_wallet=str(account.payout_owner) if account else None,
        in_wallet=format_usdc(standing.wallet_micro_usdc),
        currency="USDC",
    )
