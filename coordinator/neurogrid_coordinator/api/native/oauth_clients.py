"""``/oauth/clients`` and ``/oauth/grants``: an account's applications, and those that it has allowed something."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from msgspec import Meta, Struct
from starlette.responses import Response

from ...services.oauth_clients import (
    LIST_MAX,
    REDIRECT_URI_CHARS_MAX,
    REDIRECT_URIS_MAX,
    NewApplication,
    OAuthClients,
)
from ...store.accounts import SCOPES
from ...store.oauth import AllowedApplication, OAuthClient
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import iso, iso_or_none, success
from ..openapi import Schemas, errors
from ..paths import API
from .api_key_schemas import KEY_RULES, Scope
from .schemas import Time

_SECRET_HEADERS = {"Cache-Control": "no-store"}
_EXAMPLE = {
    "name": "Grid dashboard",
    "redirect_uris": ["https://dashboard.example/callback"],
    "scopes": ["read"],
    "confidential": True,
}
_Limit = Annotated[int, Query(ge=1, le=LIST_MAX)]
_Offset = Annotated[int, Query(ge=0, le=10**9)]


class ApplicationRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """An application that is wanted."""

    name: Annotated[
        str,
        Meta(
            pattern=r"^[^\x00-\x1f\x7f]{1,100}\Z",
            description="What owners of accounts are shown.",
            examples=["Grid dashboard"],
        ),
    ]
    scopes: Annotated[
        list[Scope],
        Meta(min_length=1, max_length=8, description="What it may have at most."),
    ]
    redirect_uris: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=REDIRECT_URI_CHARS_MAX)]],
        Meta(
            max_length=REDIRECT_URIS_MAX,
            description="Where answers may be sent, to the byte: https, this machine by http, or an app's own "
            "scheme. None for an application that only acts for your own account.",
        ),
    ] = []
    confidential: Annotated[
        bool,
        Meta(
            description="It runs where nobody else can read its secret; a page or an app does not."
        ),
    ] = True


class ApplicationView(Struct, frozen=True):
    """An application without its secret."""

    client_id: str
    name: str
    redirect_uris: list[str]
    scopes: list[str]
    roles: Annotated[list[str], Meta(description="What its tokens act as at most.")]
    confidential: bool
    created_at: Time
    expires_at: Annotated[
        Time | None, Meta(description="When it ends, with the key that registered it.")
    ]


class NewApplicationView(ApplicationView, frozen=True):
    """An application with its secret."""

    client_secret: Annotated[
        str | None, Meta(description="Shown this once; null where it can keep none.")
    ]


class ApplicationListView(Struct, frozen=True):
    """Some of the account's applications; ``total`` counts all."""

    clients: list[ApplicationView]
    total: int
    limit: int
    offset: int


class GrantView(Struct, frozen=True):
    """What the account allows an application."""

    id: str
    client_id: str
    name: Annotated[str, Meta(description="What the application calls itself.")]
    scopes: list[str]
    roles: list[str]
    created_at: Time
    expires_at: Time


class GrantListView(Struct, frozen=True):
    """Some of what the account allows now; ``total`` counts all."""

    grants: list[GrantView]
    total: int
    limit: int
    offset: int


class GrantEndView(Struct, frozen=True):
    """What is not allowed any more."""

    id: str


def add_oauth_client_routes(
    app: FastAPI, clients: OAuthClients, gate: Gate, schemas: Schemas
) -> None:
    """Add the routes."""
    refused = ("UNAUTHORIZED", "KEY_EXPIRED", "FORBIDDEN", "RATE_LIMITED")

    @app.post(
        f"{API}/oauth/clients",
        tags=["OAuth"],
        summary="Register an application",
        status_code=201,
        response_class=Response,
        responses={
            201: schemas.answer(NewApplicationView, "With its secret, which is shown this once."),
            **errors("INVALID_REQUEST", "CONFLICT", "PAYLOAD_TOO_LARGE", *refused),
        },
        openapi_extra=schemas.body(ApplicationRequest, _EXAMPLE),
    )
    async def register_client(
        request: Request, caller: Annotated[Caller, Depends(gate.for_keys)]
    ) -> Response:
        """Needs the scope `keys`. It may do no more than the key that asks. An account has 20."""
        body = await read_json(request, ApplicationRequest, KEY_RULES)
        wanted = NewApplication(
            body.name,
            tuple(dict.fromkeys(body.redirect_uris)),
            tuple(scope for scope in SCOPES if scope in body.scopes),
            body.confidential,
        )
        made, secret = await clients.register(caller.key, wanted)
        view = NewApplicationView(**_fields(made), client_secret=secret)
        location = {"Location": f"{API}/oauth/clients/{made.id}"}
        return success(view, status=201, headers=location | _SECRET_HEADERS)

    @app.get(
        f"{API}/oauth/clients",
        tags=["OAuth"],
        summary="List your applications",
        response_class=Response,
        responses={
            200: schemas.answer(ApplicationListView, "Newest first, without secrets."),
            **errors("INVALID_REQUEST", *refused),
        },
    )
    async def list_clients(
        caller: Annotated[Caller, Depends(gate.for_keys)], limit: _Limit = 50, offset: _Offset = 0
    ) -> Response:
        """Needs the scope `keys`."""
        found, total = await clients.registered(caller.key, limit=limit, offset=offset)
        views = [ApplicationView(**_fields(each)) for each in found]
        return success(ApplicationListView(views, total, limit, offset))

    @app.get(
        f"{API}/oauth/clients/{{client_id}}",
        tags=["OAuth"],
        summary="Show an application",
        response_class=Response,
        responses={
            200: schemas.answer(ApplicationView, "Without its secret."),
            **errors("NOT_FOUND", *refused),
        },
    )
    async def get_client(
        client_id: str, caller: Annotated[Caller, Depends(gate.for_keys)]
    ) -> Response:
        """Needs the scope `keys`."""
        return success(ApplicationView(**_fields(await clients.get(caller.key, client_id))))

    @app.post(
        f"{API}/oauth/clients/{{client_id}}/rotate-secret",
        tags=["OAuth"],
        summary="Give an application another secret",
        response_class=Response,
        responses={
            200: schemas.answer(NewApplicationView, "With its secret, which is shown this once."),
            **errors("NOT_FOUND", "CONFLICT", *refused),
        },
    )
    async def rotate_client_secret(
        client_id: str, caller: Annotated[Caller, Depends(gate.for_keys)]
    ) -> Response:
        """Needs the scope `keys`. The secret of before goes on for a day; the one before that ends."""
        found, secret = await clients.rotate_secret(caller.key, client_id)
        view = NewApplicationView(**_fields(found), client_secret=secret)
        return success(view, headers=_SECRET_HEADERS)

    @app.delete(
        f"{API}/oauth/clients/{{client_id}}",
        tags=["OAuth"],
        summary="Delete an application",
        response_class=Response,
        responses={
            200: schemas.answer(ApplicationView, "It is gone, with all its tokens."),
            **errors("NOT_FOUND", *refused),
        },
    )
    async def delete_client(
        client_id: str, caller: Annotated[Caller, Depends(gate.for_keys)]
    ) -> Response:
        """Needs the scope `keys`. Whatever anybody has allowed it ends with it, within a second."""
        return success(ApplicationView(**_fields(await clients.delete(caller.key, client_id))))

    @app.get(
        f"{API}/oauth/grants",
        tags=["OAuth"],
        summary="List what you allow applications",
        response_class=Response,
        responses={
            200: schemas.answer(GrantListView, "Newest first."),
            **errors("INVALID_REQUEST", *refused),
        },
    )
    async def list_grants(
        caller: Annotated[Caller, Depends(gate.for_keys)], limit: _Limit = 50, offset: _Offset = 0
    ) -> Response:
        """Needs the scope `keys`."""
        found, total = await clients.allowed(caller.key, limit=limit, offset=offset)
        return success(GrantListView([_grant(each) for each in found], total, limit, offset))

    @app.delete(
        f"{API}/oauth/grants/{{grant_id}}",
        tags=["OAuth"],
        summary="Take back what you allow an application",
        response_class=Response,
        responses={
            200: schemas.answer(GrantEndView, "Its tokens open nothing any more."),
            **errors("NOT_FOUND", *refused),
        },
    )
    async def take_grant_back(
        grant_id: str, caller: Annotated[Caller, Depends(gate.for_keys)]
    ) -> Response:
        """Needs the scope `keys`. All its tokens end within a second; repeating is harmless."""
        return success(GrantEndView(await clients.take_back(caller.key, grant_id)))


def _fields(client: OAuthClient) -> dict[str, Any]:
    return {
        "client_id": client.id,
        "name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "scopes": list(client.scopes),
        "roles": list(client.roles),
        "confidential": client.is_confidential,
        "created_at": iso(client.created_at_ms),
        "expires_at": iso_or_none(client.expires_at_ms),
    }


def _grant(allowed: AllowedApplication) -> GrantView:
    grant = allowed.grant
    return GrantView(
        grant.id,
        grant.client_id,
        allowed.name,
        list(grant.scopes),
        list(grant.roles),
        iso(grant.created_at_ms),
        iso(grant.expires_at_ms),
    )
