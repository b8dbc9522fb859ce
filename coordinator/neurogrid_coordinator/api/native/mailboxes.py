"""``/provider/mailboxes``: machines that speak the market's protocol by HTTPS."""

from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request
from starlette.responses import Response

from ...services.mailboxes import CONTROL, WAIT_S_MAX, Mailboxes
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import success
from ..openapi import Schemas, errors
from ..paths import API
from .mailbox_schemas import (
    LettersView,
    LetterView,
    MailboxRequest,
    MailboxView,
    SaidView,
    SayRequest,
    StreamView,
)

_MAILBOXES = f"{API}/provider/mailboxes"
_ONE = f"{_MAILBOXES}/{{mailbox_id}}"
_NODE = {"node_id": "12D3KooWNaBZLoyZdEjfbktjnK4f5qkJDX5d5tN6q9gmHX31myER"}
_ERRORS = ("UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND")


def add_mailbox_routes(
    app: FastAPI, mailboxes: Mailboxes, network: str, gate: Gate, schemas: Schemas
) -> None:
    """Add the routes."""

    @app.post(
        _MAILBOXES,
        tags=["Providers"],
        summary="Connect a machine by HTTPS",
        status_code=201,
        response_class=Response,
        responses={
            201: schemas.answer(MailboxView, "The coordinator's welcome is in it."),
            **errors(
                "INVALID_REQUEST",
                "UNAUTHORIZED",
                "FORBIDDEN",
                "CONFLICT",
                "IDEMPOTENCY_MISMATCH",
                "PAYLOAD_TOO_LARGE",
                "UNAVAILABLE",
            ),
        },
        openapi_extra=schemas.body(MailboxRequest, _NODE),
    )
    async def open_mailbox(
        request: Request, caller: Annotated[Caller, Depends(gate.for_providers)]
    ) -> Response:
        """In place of a connection over libp2p, for a program that speaks the protocol (docs/protocol.md) and signs with
        the node's key. It has to say hello within ten seconds, and a heartbeat as other nodes do; silent, it has
        left, and its jobs run elsewhere."""
        body = await read_json(request, MailboxRequest)
        mailbox = await mailboxes.open(caller.account, body.node_id)
        view = MailboxView(mailbox.id, mailbox.node_id, network, CONTROL)
        return success(view, status=201, headers={"Location": f"{_MAILBOXES}/{mailbox.id}"})

    @app.get(
        f"{_ONE}/messages",
        tags=["Providers"],
        summary="Take what is said to a machine",
        response_class=Response,
        responses={
            200: schemas.answer(LettersView, "64 at most."),
            **errors("INVALID_REQUEST", *_ERRORS),
        },
    )
    async def take_messages(
        mailbox_id: str,
        caller: Annotated[Caller, Depends(gate.for_providers)],
        after: Annotated[
            int, Query(ge=0, le=2**53, description="Letters up to this one have arrived.")
        ] = 0,
        wait_seconds: Annotated[
            float, Query(ge=0, le=WAIT_S_MAX, allow_inf_nan=False, description="For one.")
        ] = 0,
    ) -> Response:
        """A letter is kept until one with a greater `after` is asked for, so an answer that got lost loses nothing. Keep
        a request with `wait_seconds` waiting: an auction waits for bids for a fraction of a second."""
        taken = await mailboxes.take(caller.account, mailbox_id, after, wait_seconds)
        letters = [
            LetterView(letter.number, letter.stream, letter.envelope) for letter in taken.letters
        ]
        return success(LettersView(letters, taken.is_over))

    @app.post(
        f"{_ONE}/messages",
        tags=["Providers"],
        summary="Say something for a machine",
        status_code=202,
        response_class=Response,
        responses={
            202: schemas.answer(SaidView, "They were handed on."),
            **errors(
                "INVALID_REQUEST",
                *_ERRORS,
                "CONFLICT",
                "IDEMPOTENCY_MISMATCH",
                "PAYLOAD_TOO_LARGE",
                "UNAVAILABLE",
            ),
        },
        openapi_extra=schemas.body(SayRequest, {"stream": CONTROL, "envelopes": []}),
    )
    async def say(
        request: Request, mailbox_id: str, caller: Annotated[Caller, Depends(gate.for_providers)]
    ) -> Response:
        """Envelopes that the node has signed, in the order of their `sequence`. Those that were handed on before are
        passed over, so repeating is harmless. A hello has to name the account's wallet as the owner's."""
        body = await read_json(request, SayRequest)
        next_sequence = await mailboxes.put(caller.account, mailbox_id, body.stream, body.envelopes)
        return success(SaidView(body.stream, next_sequence), status=202)

    @app.post(
        f"{_ONE}/streams",
        tags=["Providers"],
        summary="Open a lease's stream",
        status_code=201,
        response_class=Response,
        responses={
            201: schemas.answer(StreamView, "Its welcome arrives in the mailbox."),
            **errors(*_ERRORS, "CONFLICT", "IDEMPOTENCY_MISMATCH", "UNAVAILABLE"),
        },
    )
    async def open_stream(
        mailbox_id: str, caller: Annotated[Caller, Depends(gate.for_providers)]
    ) -> Response:
        """Beside the first one, for a lease that was accepted; it is named in the first message, an `attach`."""
        stream = await mailboxes.open_lease_stream(caller.account, mailbox_id)
        return success(StreamView(stream), status=201)

    @app.delete(
        _ONE,
        tags=["Providers"],
        summary="Disconnect a machine",
        status_code=204,
        response_class=Response,
        responses={204: {"description": "It has left."}, **errors(*_ERRORS)},
    )
    async def end_mailbox(
        mailbox_id: str, caller: Annotated[Caller, Depends(gate.for_providers)]
    ) -> Response:
        """What its jobs have left to say is not heard until it connects again."""
        mailboxes.end(caller.account, mailbox_id)
        return Response(status_code=204)
