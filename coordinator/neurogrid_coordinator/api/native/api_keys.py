"""``/api-keys``: the account's own keys."""

import time
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from starlette.responses import Response

from ...services.api_keys import LIST_MAX, ApiKeys, MadeKey, NewKey, Rotation
from ...services.key_rules import state_of
from ...store.accounts import ROLES, SCOPES, ApiKey
from ...store.api_keys import KeyState
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import iso, iso_or_none, success
from ..idempotency import IDEMPOTENCY_KEY, idempotency_key
from ..openapi import Schemas, errors
from ..paths import API
from .api_key_schemas import (
    KEY_RULES,
    ApiKeyListView,
    ApiKeyRequest,
    ApiKeyRotation,
    ApiKeyView,
    NewApiKeyView,
    RotatedApiKeyView,
)

_CREATE_EXAMPLE = {
    "name": "nightly training",
    "scopes": ["read", "write"],
    "expires_in_seconds": 7_776_000,
}
_ROTATE_EXAMPLE = {"grace_seconds": 3600}
# In place of an id: the key that asks, which need not know its own.
_CURRENT = "current"
_ONCE = "Keep the secret: it is not shown again."
_REPEATED = (
    "This request was carried out before, and the key has been used or has ended: its secret is not shown "
    "again. If it is lost, revoke this key and make another with a new Idempotency-Key."
)
# No cache on the way shall keep a secret.
_SECRET_HEADERS = {"Cache-Control": "no-store"}


def add_api_key_routes(app: FastAPI, keys: ApiKeys, gate: Gate, schemas: Schemas) -> None:
    """Add the routes."""

    @app.post(
        f"{API}/api-keys",
        tags=["API keys"],
        summary="Make an API key",
        status_code=201,
        response_class=Response,
        responses={
            201: schemas.answer(NewApiKeyView, "With its secret, which is shown this once."),
            200: schemas.answer(
                NewApiKeyView,
                "It was made before with this idempotency key. Nobody has used it: with another secret in "
                "place of the first. Else without.",
            ),
            **errors(
                "INVALID_REQUEST",
                "UNAUTHORIZED",
                "KEY_EXPIRED",
                "FORBIDDEN",
                "CONFLICT",
                "IDEMPOTENCY_MISMATCH",
                "PAYLOAD_TOO_LARGE",
                "RATE_LIMITED",
            ),
        },
        openapi_extra={
            "parameters": [IDEMPOTENCY_KEY],
            **schemas.body(ApiKeyRequest, _CREATE_EXAMPLE),
        },
    )
    async def create_api_key(
        request: Request, caller: Annotated[Caller, Depends(gate.for_keys)]
    ) -> Response:
        """Needs the scope `keys`. The new key may do no more than the key that asks, and lives no longer.
        An account has at most 50 that are active."""
        key = idempotency_key(request)
        body = await read_json(request, ApiKeyRequest, KEY_RULES)
        wanted = NewKey(
            name=body.name,
            scopes=tuple(scope for scope in SCOPES if scope in body.scopes),
            expires_at_ms=_milliseconds(body.expires_at),
            expires_in_s=body.expires_in_seconds,
            idempotency_key=key,
            roles=None
            if body.roles is None
            else tuple(role for role in ROLES if role in body.roles),
        )
        made = await keys.create(caller.key, wanted)
        return _made(NewApiKeyView(**_fields(made.key, caller), secret=made.secret), made)

    @app.get(
        f"{API}/api-keys",
        tags=["API keys"],
        summary="List your API keys",
        response_class=Response,
        responses={
            200: schemas.answer(ApiKeyListView, "Newest first, without secrets."),
            **errors("INVALID_REQUEST", "UNAUTHORIZED", "KEY_EXPIRED", "FORBIDDEN", "RATE_LIMITED"),
        },
    )
    async def list_api_keys(
        caller: Annotated[Caller, Depends(gate.for_keys)],
        state: Annotated[KeyState | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """Needs the scope `keys`. Of those that have ended the newest 100 are kept."""
        page = await keys.list(caller.key, state=state, limit=limit, offset=offset)
        views = [_view(key, caller) for key in page.keys]
        return success(ApiKeyListView(views, page.total, limit, offset))

    @app.get(
        f"{API}/api-keys/{{key_id}}",
        tags=["API keys"],
        summary="Show an API key",
        response_class=Response,
        responses={
            200: schemas.answer(ApiKeyView, "Without its secret."),
            **errors("UNAUTHORIZED", "KEY_EXPIRED", "FORBIDDEN", "NOT_FOUND", "RATE_LIMITED"),
        },
    )
    async def get_api_key(
        key_id: str, caller: Annotated[Caller, Depends(gate.with_any_scope)]
    ) -> Response:
        """`current` is the key that asks, which may always look at itself; another needs the scope
        `keys`."""
        return success(_view(await keys.get(caller.key, _named(key_id, caller)), caller))

    @app.post(
        f"{API}/api-keys/{{key_id}}/rotate",
        tags=["API keys"],
        summary="Replace an API key",
        status_code=201,
        response_class=Response,
        responses={
            201: schemas.answer(RotatedApiKeyView, "With its secret, which is shown this once."),
            200: schemas.answer(
                RotatedApiKeyView,
                "It was made before with this idempotency key. Nobody has used it: with another secret in "
                "place of the first. Else without.",
            ),
            **errors(
                "INVALID_REQUEST",
                "UNAUTHORIZED",
                "KEY_EXPIRED",
                "FORBIDDEN",
                "NOT_FOUND",
                "CONFLICT",
                "IDEMPOTENCY_MISMATCH",
                "PAYLOAD_TOO_LARGE",
                "RATE_LIMITED",
            ),
        },
        openapi_extra={
            "parameters": [IDEMPOTENCY_KEY],
            **schemas.body(ApiKeyRotation, _ROTATE_EXAMPLE),
        },
    )
    async def rotate_api_key(
        request: Request, key_id: str, caller: Annotated[Caller, Depends(gate.for_keys)]
    ) -> Response:
        """Needs the scope `keys`. Makes a key with the same name and scopes; the old one goes on for
        `grace_seconds`, then it has expired. `current` is the key that asks. A key with more scopes than
        the one that asks can't be rotated by it."""
        key = idempotency_key(request)
        body = await read_json(request, ApiKeyRotation)
        wanted = Rotation(
            grace_s=body.grace_seconds,
            expires_at_ms=_milliseconds(body.expires_at),
            expires_in_s=body.expires_in_seconds,
            idempotency_key=key,
        )
        made = await keys.rotate(caller.key, _named(key_id, caller), wanted)
        assert made.replaced is not None, "a rotation replaces one"
        view = RotatedApiKeyView(
            **_fields(made.key, caller),
            secret=made.secret,
            replaces=_view(made.replaced, caller),
        )
        return _made(view, made)

    @app.delete(
        f"{API}/api-keys/{{key_id}}",
        tags=["API keys"],
        summary="Revoke an API key",
        response_class=Response,
        responses={
            200: schemas.answer(ApiKeyView, "It opens nothing any more."),
            **errors("UNAUTHORIZED", "KEY_EXPIRED", "FORBIDDEN", "NOT_FOUND", "RATE_LIMITED"),
        },
    )
    async def revoke_api_key(
        key_id: str, caller: Annotated[Caller, Depends(gate.with_any_scope)]
    ) -> Response:
        """Repeating is harmless. `current` is the key that asks: every key may revoke itself; another
        needs the scope `keys`."""
        revoked = await keys.revoke(caller.key, _named(key_id, caller))
        return success(_view(revoked, caller), message="The key is revoked.")


def _named(key_id: str, caller: Caller) -> str:
    return caller.key.id if key_id == _CURRENT else key_id


def _made(view: NewApiKeyView, made: MadeKey) -> Response:
    location = {"Location": f"{API}/api-keys/{view.id}"}
    return success(
        view,
        status=201 if made.created else 200,
        message=_REPEATED if made.secret is None else _ONCE,
        headers=location | _SECRET_HEADERS,
    )


def _view(key: ApiKey, caller: Caller) -> ApiKeyView:
    return ApiKeyView(**_fields(key, caller))


def _fields(key: ApiKey, caller: Caller) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "kind": key.kind.value,
        "scopes": list(key.scopes),
        "roles": list(key.roles),
        "state": state_of(key, time.time_ns() // 1_000_000).value,
        "current": key.id == caller.key.id,
        "created_at": iso(key.created_at_ms),
        "expires_at": iso_or_none(key.expires_at_ms),
        "revoked_at": iso_or_none(key.revoked_at_ms),
        "last_used_at": iso_or_none(key.last_used_at_ms),
    }


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)
