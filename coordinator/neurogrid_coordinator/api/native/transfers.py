"""``/wallet/transfers``, and how every route shows what a wallet has to sign."""

import base64
import time
from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request
from starlette.responses import Response

from neurogrid_marketplace.money import format_usdc

from ...money.transfer import Transfer, TransferKind, TransferStatus
from ...services.errors import InvalidRequest
from ...services.transfers import LIST_MAX, Asked, Transfers
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import iso, success
from ..openapi import Schemas, errors
from ..paths import API
from .amounts import micro_usdc
from .transfer_schemas import AskedAmount, SubmitRequest, TransferListView, TransferView

_LAMPORTS_DIGITS = 9
_SIGN = (
    "Have the wallet sign `transaction`, and POST it to the transfer's `submit` within a minute."
)
_SUBMIT_EXAMPLE = {"signed_transaction": "AXl0ZXMgb2YgYSB0cmFuc2FjdGlvbg=="}
# What every route may answer that asks for a transaction.
ASK_ERRORS = (
    "INVALID_REQUEST",
    "UNAUTHORIZED",
    "FORBIDDEN",
    "INSUFFICIENT_CREDITS",
    "CONFLICT",
    "IDEMPOTENCY_MISMATCH",
    "PAYLOAD_TOO_LARGE",
    "UNAVAILABLE",
)

# And of those whose asking is signed, too.
SIGNED_ASK_ERRORS = (
    *ASK_ERRORS,
    "SIGNATURE_REQUIRED",
    "SIGNATURE_INVALID",
    "SIGNATURE_EXPIRED",
    "SIGNATURE_REPLAYED",
)


def add_transfer_routes(app: FastAPI, transfers: Transfers, gate: Gate, schemas: Schemas) -> None:
    """Add the routes."""

    @app.get(
        f"{API}/wallet/transfers",
        tags=["Wallet"],
        summary="List transfers",
        response_class=Response,
        responses={
            200: schemas.answer(TransferListView, "Newest first."),
            **errors("INVALID_REQUEST", "UNAUTHORIZED"),
        },
    )
    async def list_transfers(
        caller: Annotated[Caller, Depends(gate.for_everybody)],
        kind: Annotated[TransferKind | None, Query(description="Only these.")] = None,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """Everything that the account's wallet was asked to sign here, and what became of it. What nobody
        signed is forgotten a day after it expired."""
        page = await transfers.list(
            caller.account, kinds=[kind] if kind else [], limit=limit, offset=offset
        )
        views = [transfer_view(transfer) for transfer in page.transfers]
        return success(TransferListView(views, page.total, limit, offset))

    @app.get(
        f"{API}/wallet/transfers/{{transfer_id}}",
        tags=["Wallet"],
        summary="Show a transfer",
        response_class=Response,
        responses={
            200: schemas.answer(TransferView, "As it is now."),
            **errors("UNAUTHORIZED", "NOT_FOUND"),
        },
    )
    async def get_transfer(
        transfer_id: str, caller: Annotated[Caller, Depends(gate.for_everybody)]
    ) -> Response:
        """Ask again until `status` is `completed`, `failed` or `expired`."""
        return success(transfer_view(await transfers.get(caller.account, transfer_id)))

    @app.post(
        f"{API}/wallet/transfers/{{transfer_id}}/submit",
        tags=["Wallet"],
        summary="Hand in a signed transaction",
        status_code=202,
        response_class=Response,
        responses={
            202: schemas.answer(TransferView, "It is stored, and sent until it is final or dead."),
            **errors(
                "INVALID_REQUEST",
                "UNAUTHORIZED",
                "FORBIDDEN",
                "NOT_FOUND",
                "CONFLICT",
                "PAYLOAD_TOO_LARGE",
            ),
        },
        openapi_extra=schemas.body(SubmitRequest, _SUBMIT_EXAMPLE),
    )
    async def submit_transfer(
        request: Request, transfer_id: str, caller: Annotated[Caller, Depends(gate.for_everybody)]
    ) -> Response:
        """It has to be exactly the transaction that was asked for, signed by the account's wallet. Repeating
        is harmless: it is carried out once."""
        body = await read_json(request, SubmitRequest)
        transfer = await transfers.submit(caller.account, transfer_id, body.signed_transaction)
        return success(transfer_view(transfer), status=202)


def transfer_view(transfer: Transfer) -> TransferView:
    """A transfer as it is shown."""
    status = transfer.status(time.time_ns() // 1_000_000)
    waits = status is TransferStatus.AWAITING_SIGNATURE
    return TransferView(
        id=transfer.id,
        kind=transfer.kind.value,
        status=status.value,
        amount=format_usdc(transfer.amount_micro),
        currency=transfer.currency,
        wallet=transfer.wallet,
        wallet_address=transfer.recipient or None,
        does=list(transfer.says),
        fee_sol=_sol(transfer.fee_lamports),
        transaction=_base64(transfer.unsigned) if waits else None,
        message=_base64(transfer.message) if waits else None,
        signature=transfer.signature,
        failure=transfer.failure or None,
        created_at=iso(transfer.created_at_ms),
        expires_at=iso(transfer.expires_at_ms),
        updated_at=iso(transfer.updated_at_ms),
    )


def asked_response(asked: Asked) -> Response:
    """The answer to who asked for a transaction."""
    view = transfer_view(asked.transfer)
    location = {"Location": f"{API}/wallet/transfers/{view.id}"}
    return success(
        view,
        status=201 if asked.created else 200,
        message=_SIGN if view.transaction else "",
        headers=location,
    )


def positive_micro(value: AskedAmount, field: str) -> int:
    """An amount above zero, in millionths.

    Raises:
        InvalidRequest: it is none.
    """
    amount = micro_usdc(value, field)
    if not amount:
        raise InvalidRequest(f"{field}: is more than 0", field)
    return amount


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _sol(lamports: int) -> str:
    whole, rest = divmod(lamports, 10**_LAMPORTS_DIGITS)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".")
