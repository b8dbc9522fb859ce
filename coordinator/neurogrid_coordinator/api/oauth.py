"""``/oauth/token``, ``/oauth/revoke``, ``/oauth/introspect`` and what says where they are: for applications.

Document 000 and RFC 6749 say the form: fields of a form in, bare JSON out, errors ``{error, error_description}``.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import Depends, FastAPI, Request
from msgspec import Meta, Struct
from starlette.responses import Response

from ..services.oauth import OAuth
from ..services.oauth_parties import Sent
from ..services.oauth_server import Answer, unreadable
from ..store.accounts import SCOPES
from .auth import Gate
from .body import read_body
from .envelope import json_response
from .errors import Forms, Problem
from .openapi import Schemas, errors

_FORM = "application/x-www-form-urlencoded"
_FORM_BYTES_MAX = 16 * 1024
_FIELDS_MAX = 40
_PATHS = ("/oauth/token", "/oauth/revoke", "/oauth/introspect")
# RFC 6749 has a word for what a server can not do now, and for its own failure (4.1.2.1); all else is the request's fault.
_WORDS = {
    "RATE_LIMITED": "temporarily_unavailable",
    "UNAVAILABLE": "temporarily_unavailable",
    "INTERNAL": "server_error",
}


class TokenAnswer(Struct, frozen=True):
    """Tokens, as document 000 has them."""

    access_token: Annotated[str, Meta(description="What to send as `Authorization: Bearer`.")]
    token_type: str
    expires_in: Annotated[int, Meta(description="Seconds.")]
    scope: Annotated[str, Meta(description="Scopes with spaces between.")]
    refresh_token: Annotated[
        str, Meta(description="Not for `client_credentials`; good once, gives the next.")
    ] = ""


class OAuthError(Struct, frozen=True):
    """RFC 6749, 5.2."""

    error: Annotated[str, Meta(examples=["invalid_grant"])]
    error_description: str = ""


class Introspection(Struct, frozen=True):
    """RFC 7662, 2.2; only `active` where it is not."""

    active: bool
    client_id: str = ""
    token_type: str = ""
    scope: str = ""
    sub: Annotated[str, Meta(description="The account.")] = ""
    iat: int = 0
    exp: int = 0


class Metadata(Struct, frozen=True):
    """RFC 8414, 2."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    revocation_endpoint: str
    introspection_endpoint: str
    response_types_supported: list[str]
    grant_types_supported: list[str]
    scopes_supported: list[str]
    code_challenge_methods_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    revocation_endpoint_auth_methods_supported: list[str]
    introspection_endpoint_auth_methods_supported: list[str]


def error_form(error: Problem) -> Response:
    """What is refused before a call of OAuth is understood, as RFC 6749 has it."""
    return json_response(
        {
            "error": _WORDS.get(error.code, "invalid_request"),
            "error_description": _printable(error.message),
        },
        # RFC 6749, 5.2, knows 400 where 422 is ours; the others say more than it asks for.
        HTTPStatus.BAD_REQUEST if error.status == HTTPStatus.UNPROCESSABLE_ENTITY else error.status,
        {**error.headers, "Cache-Control": "no-store"},
    )


def _printable(message: str) -> str:
    """What RFC 6749 allows in a description: ASCII without quotes and backslashes."""
    return "".join(
        "'" if char in '"\\' else char if " " <= char <= "~" else "?" for char in message
    )


def add_oauth_routes(
    app: FastAPI, oauth: OAuth, gate: Gate, schemas: Schemas, forms: Forms, *, public_url: str
) -> None:
    """Add the routes."""
    forms.claim(error_form, *_PATHS)

    async def answered(request: Request, act: Callable[[Sent], Awaitable[Answer]]) -> Response:
        fields = await read_form(request)
        if isinstance(fields, Response):
            return fields
        if unreadable(fields) is not None:
            return _wrong("A field has a character that it must not have.")
        sent = Sent("POST", fields, request.headers.get("authorization", ""))
        status, body, headers = await act(sent)
        # JSON answers say themselves that they are.
        more = {name: value for name, value in headers if name.lower() != "content-type"}
        return json_response(body, status, more | {"Cache-Control": "no-store"})

    @app.post(
        "/oauth/token",
        tags=["OAuth"],
        summary="Get tokens",
        response_class=Response,
        responses=_answers(schemas, TokenAnswer, "Tokens."),
        openapi_extra=form(
            ("grant_type",),
            grant_type=["authorization_code", "refresh_token", "client_credentials"],
            code=None,
            redirect_uri=None,
            code_verifier=None,
            refresh_token=None,
            scope=None,
            client_id=None,
            client_secret=None,
        ),
    )
    async def token(request: Request, _: Annotated[None, Depends(gate.anybody)]) -> Response:
        """For a code, a refresh token, or an application's own secret, which may come as HTTP Basic, too."""
        return await answered(request, oauth.token)

    @app.post(
        "/oauth/revoke",
        tags=["OAuth"],
        summary="End a token",
        response_class=Response,
        responses=_answers(schemas, None, "It opens nothing any more, if it ever did."),
        openapi_extra=form(
            ("token",), token=None, token_type_hint=None, client_id=None, client_secret=None
        ),
    )
    async def revoke(request: Request, _: Annotated[None, Depends(gate.anybody)]) -> Response:
        """Of the application that asks (RFC 7009). A refresh token ends with its access tokens."""
        return await answered(request, oauth.revoke)

    @app.post(
        "/oauth/introspect",
        tags=["OAuth"],
        summary="Ask what a token is good for",
        response_class=Response,
        responses=_answers(schemas, Introspection, "What it is good for."),
        openapi_extra=form(
            ("token",), token=None, token_type_hint=None, client_id=None, client_secret=None
        ),
    )
    async def introspect(request: Request, _: Annotated[None, Depends(gate.anybody)]) -> Response:
        """Of the confidential application that asks (RFC 7662); of others it is not active."""
        return await answered(request, oauth.introspect)

    @app.get(
        "/.well-known/oauth-authorization-server",
        tags=["OAuth"],
        summary="Where everything of OAuth is",
        response_class=Response,
        responses={
            200: schemas.bare(Metadata, "RFC 8414."),
            **errors("RATE_LIMITED"),
        },
    )
    async def metadata(request: Request, _: Annotated[None, Depends(gate.anybody)]) -> Response:
        """What libraries of OAuth configure themselves with."""
        issuer = public_url or str(request.base_url).rstrip("/")
        any_client = ["client_secret_basic", "client_secret_post", "none"]
        return json_response(
            Metadata(
                issuer=issuer,
                authorization_endpoint=f"{issuer}/oauth/authorize",
                token_endpoint=f"{issuer}/oauth/token",
                revocation_endpoint=f"{issuer}/oauth/revoke",
                introspection_endpoint=f"{issuer}/oauth/introspect",
                response_types_supported=["code"],
                grant_types_supported=[
                    "authorization_code",
                    "refresh_token",
                    "client_credentials",
                ],
                scopes_supported=list(SCOPES),
                code_challenge_methods_supported=["S256"],
                token_endpoint_auth_methods_supported=any_client,
                revocation_endpoint_auth_methods_supported=any_client,
                introspection_endpoint_auth_methods_supported=any_client[:2],
            )
        )


async def read_form(request: Request) -> tuple[tuple[str, str], ...] | Response:
    """The fields of a form; an answer where there are none to be read.

    Raises:
        PayloadTooLarge, InvalidRequest: see `read_body`.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await read_body(request, _FORM_BYTES_MAX)
    if kind != _FORM:
        return _wrong(f"Send the fields as {_FORM}.")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_FIELDS_MAX,
        )
    except (UnicodeDecodeError, ValueError):
        return _wrong("The form can not be read.")
    if len({name for name, _ in pairs}) < len(pairs):
        return _wrong("A field comes twice.")
    return tuple(pairs)


def _wrong(description: str) -> Response:
    return json_response(
        {"error": "invalid_request", "error_description": description},
        400,
        {"Cache-Control": "no-store"},
    )


def form(required: tuple[str, ...], **fields: list[str] | None) -> dict[str, Any]:
    """For ``openapi_extra``: a form with these fields, perhaps one of some words each."""
    properties: dict[str, Any] = {
        name: {"type": "string", **({} if words is None else {"enum": words})}
        for name, words in fields.items()
    }
    schema = {"type": "object", "required": list(required), "properties": properties}
    return {"requestBody": {"required": True, "content": {_FORM: {"schema": schema}}}}


def _answers(schemas: Schemas, kind: type | None, description: str) -> dict[int | str, Any]:
    good: dict[str, Any] = {"description": description}
    if kind is not None:
        good = schemas.bare(kind, description)
    refused = schemas.bare(OAuthError, "RFC 6749, 5.2.")
    return {
        200: good,
        400: refused,
        401: schemas.bare(
            OAuthError, "`invalid_client`: it is not known, or did not show its secret."
        ),
        413: schemas.bare(OAuthError, "The form is too long."),
        429: schemas.bare(OAuthError, "`temporarily_unavailable`: too many requests."),
    }
