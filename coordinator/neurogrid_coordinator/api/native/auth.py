"""``/auth``: signing in with the account's wallet."""

from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Request
from msgspec import Meta, Struct, field
from starlette.responses import Response

from ...services.sign_in import TOKEN_S, SignIns
from ...store.accounts import SCOPES
from ..auth import Gate
from ..body import read_json
from ..envelope import iso, success
from ..openapi import Schemas, errors
from ..paths import API
from .api_key_schemas import Scope
from .schemas import Time

_WALLET = "5ZWj7a1f8tWkjBESHKgrLmXshuXxqeY9SYcfbshpAqPG"
_RULES = {"wallet": "a Solana address"}


class ChallengeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Who wants to sign in."""

    wallet: Annotated[
        str,
        Meta(
            pattern=r"^[1-9A-HJ-NP-Za-km-z]{32,44}\Z",
            description="The account's wallet: a Solana address.",
            examples=[_WALLET],
        ),
    ]


class ChallengeView(Struct, frozen=True):
    """What the wallet has to sign."""

    message: Annotated[str, Meta(description="Sign its UTF-8 bytes, exactly.")]
    expires_at: Time


class SignInRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A message that the wallet has signed."""

    message: Annotated[str, Meta(max_length=1000, description="As the challenge had it.")]
    signature: Annotated[str, Meta(max_length=100, description="Base64 of its 64 bytes.")]
    scopes: Annotated[
        list[Scope], Meta(min_length=1, max_length=8, description="What the token may do.")
    ] = field(default_factory=lambda: ["read", "write"])


class TokenView(Struct, frozen=True):
    """A token that lives an hour."""

    access_token: Annotated[str, Meta(description="What to send as `Authorization: Bearer`.")]
    token_type: Literal["Bearer"]
    expires_in: Annotated[int, Meta(description="Seconds.")]
    scope: Annotated[str, Meta(description="Scopes with spaces between.", examples=["read write"])]


def add_auth_routes(app: FastAPI, sign_ins: SignIns, gate: Gate, schemas: Schemas) -> None:
    """Add the routes."""

    @app.post(
        f"{API}/auth/challenge",
        tags=["Sign-in"],
        summary="Ask for a message to sign",
        response_class=Response,
        responses={
            200: schemas.answer(ChallengeView, "Nothing is stored."),
            **errors("INVALID_REQUEST", "PAYLOAD_TOO_LARGE", "RATE_LIMITED"),
        },
        openapi_extra=schemas.body(ChallengeRequest, {"wallet": _WALLET}),
    )
    async def make_challenge(
        request: Request, _: Annotated[None, Depends(gate.anybody)]
    ) -> Response:
        """The message names the coordinator; a wallet shows it to its owner. Whether the wallet has an
        account, the answer does not tell."""
        body = await read_json(request, ChallengeRequest, _RULES)
        made = sign_ins.challenge(body.wallet)
        return success(ChallengeView(made.text, iso(made.expires_at_ms)))

    @app.post(
        f"{API}/auth/token",
        tags=["Sign-in"],
        summary="Sign in with your wallet",
        status_code=201,
        response_class=Response,
        responses={
            201: schemas.answer(TokenView, "With the token, which is shown this once."),
            **errors(
                "INVALID_REQUEST",
                "UNAUTHORIZED",
                "SIGNATURE_INVALID",
                "SIGNATURE_EXPIRED",
                "SIGNATURE_REPLAYED",
                "PAYLOAD_TOO_LARGE",
                "RATE_LIMITED",
            ),
        },
        openapi_extra=schemas.body(
            SignInRequest, {"message": "Sign in to NeuroGrid ...", "signature": "4j0C...=="}
        ),
    )
    async def sign_in(request: Request, _: Annotated[None, Depends(gate.anybody)]) -> Response:
        """The token works wherever an API key does, for an hour; it is listed and revoked as one. An account
        has 20 at once: with one more the oldest ends."""
        body = await read_json(request, SignInRequest)
        scopes = tuple(scope for scope in SCOPES if scope in body.scopes)
        issued = await sign_ins.sign_in(body.message, body.signature, scopes)
        view = TokenView(issued.secret, "Bearer", TOKEN_S, " ".join(scopes))
        return success(view, status=201, headers={"Cache-Control": "no-store"})
