"""The account's API keys."""

import uuid
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from ..models import ApiKey, ApiKeyPage, KeyScope, NewApiKey, RotatedApiKey
from ..models.api_keys import KeyRole, KeyState
from .pages import each
from .transport import Transport

# In place of an id: the key that asks.
CURRENT = "current"


class ApiKeys:
    """The account's API keys. All but ``current`` needs a key with the scope ``keys``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(
        self, *, state: KeyState | None = None, limit: int = 50, offset: int = 0
    ) -> ApiKeyPage:
        """The account's keys, newest first; only those in a state, if given.

        >>> (await client.api_keys.get()).scopes
        ['read', 'write']

        Raises:
            PermissionDeniedError: the client's own key lacks the scope ``keys``.
        """
        params: dict[str, str | int] = {"limit": limit, "offset": offset}
        if state is not None:
            params["state"] = state
        return await self._transport.call(ApiKeyPage, "GET", "/api-keys", params=params)

    def iterate(
        self, *, state: KeyState | None = None, page_size: int = 100
    ) -> AsyncGenerator[ApiKey]:
        """All keys that fit, each once, however many there are; ``page_size``: how many one request asks for."""
        return each(partial(self.list, state=state), page_size)

    async def get(self, key_id: str = CURRENT) -> ApiKey:
        """One key; the client's own by default, which needs no scope.

        Raises:
            NotFoundError: there is no such key of this account.
            PermissionDeniedError: it is another, and the client's own lacks the scope ``keys``.
        """
        return await self._transport.call(ApiKey, "GET", f"/api-keys/{key_id}")

    async def create(
        self,
        name: str,
        *,
        scopes: Sequence[KeyScope] = ("read", "write"),
        expires_at: datetime | None = None,
        expires_in_s: int | None = None,
        idempotency_key: str | None = None,
        roles: Sequence[KeyRole] | None = None,
    ) -> NewApiKey:
        """A new key, that may do no more than the client's own and lives no longer.

        Args:
            expires_at, expires_in_s: when it ends, one of them; as long as the client's own key lives
                by default.
            idempotency_key: the same key with the same arguments returns the first one; its secret
                is another if nobody has used it, and None if somebody has.
            roles: what it acts as; as the client's own key by default, but never as operator.

        Raises:
            PermissionDeniedError: the client's own key lacks a scope or a role, or ends sooner.
            ConflictError: the account has as many keys as it may have, or the idempotency key was used
                for another request.
        """
        body = {"name": name, "scopes": [*scopes], **_end(expires_at, expires_in_s)}
        if roles is not None:
            body["roles"] = [*roles]
        return await self._transport.call(
            NewApiKey, "POST", "/api-keys", json=body, headers=_headers(idempotency_key)
        )

    async def rotate(
        self,
        key_id: str = CURRENT,
        *,
        grace_s: int | None = None,
        expires_at: datetime | None = None,
        expires_in_s: int | None = None,
        idempotency_key: str | None = None,
    ) -> RotatedApiKey:
        """A new key with the same name and scopes, in place of one that ends after a while.

        Args:
            grace_s: how long the old one goes on, 60 s to 7 days; a day by default.
            expires_at, expires_in_s: when the new one ends; when the old one would have by default.
            idempotency_key: see `create`.

        Raises:
            NotFoundError: there is no such key of this account.
            ConflictError: it has ended already; see also `create`.
            PermissionDeniedError: see `create`.
        """
        body = _end(expires_at, expires_in_s)
        if grace_s is not None:
            body["grace_seconds"] = grace_s
        return await self._transport.call(
            RotatedApiKey,
            "POST",
            f"/api-keys/{key_id}/rotate",
            json=body,
            headers=_headers(idempotency_key),
        )

    async def revoke(self, key_id: str) -> ApiKey:
        """End a key at once; repeating is harmless. ``current`` is the client's own, which may be.

        Raises:
            NotFoundError: there is no such key of this account.
            PermissionDeniedError: it is another, and the client's own lacks the scope ``keys``.
        """
        return await self._transport.call(ApiKey, "DELETE", f"/api-keys/{key_id}")


def _end(expires_at: datetime | None, expires_in_s: int | None) -> dict[str, Any]:
    ends: dict[str, Any] = {"expires_at": expires_at, "expires_in_seconds": expires_in_s}
    return {name: value for name, value in ends.items() if value is not None}


def _headers(idempotency_key: str | None) -> dict[str, str]:
    # Without one of the caller's: a repeated attempt makes no second key.
    return {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
