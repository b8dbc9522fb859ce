"""Who asks through a document that knows no authentication: a key's owner, or whom the operator names."""

from collections.abc import Collection
from http import HTTPMethod
from urllib.parse import urlsplit

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.websockets import WebSocket

from ...services.errors import InvalidRequest, Unauthorized, Unavailable
from ...store import account_limits, accounts
from ...store.accounts import CLIENT_ROLE, Account
from ...store.database import Database
from ..auth import Gate

_JSON = "application/json"


class Clients:
    """The accounts that a dialect's requests act for.

    Args:
        anonymous_account: id or wallet of the account that requests without a key act for; "" where they
            are refused.
    """

    def __init__(self, gate: Gate, database: Database, anonymous_account: str) -> None:
        self._gate = gate
        self._database = database
        self._anonymous_account = anonymous_account

    async def __call__(self, request: Request) -> Account:
        """The account of a request; who sends a key is asked for a good one.

        Raises:
            Unauthorized, KeyHasExpired, Forbidden, RateLimited: see `Gate`.
            InvalidRequest: a page in a browser may have sent it (see below).
            Unavailable: there is no account as the operator names it.
        """
        if "authorization" in request.headers or not self._anonymous_account:
            return await self._with_key(request)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if request.method == HTTPMethod.POST and kind != _JSON:
            # Any page may have its reader's browser post text here. Of JSON it has to ask first, which
            # nobody answers; so no page spends the account's money.
            raise InvalidRequest(f"Content-Type: send {_JSON}", "Content-Type")
        found = await self._database.read(self._find)
        if found is None:
            raise Unavailable(
                f"[dialects] anonymous_account names {self._anonymous_account}, and there is no such "
                "account (or wallet of one) here"
            )
        return await self._gate.without_key(request, *found)

    async def _with_key(self, request: Request) -> Account:
        try:
            return (await self._gate(request)).account
        except Unauthorized as error:
            if "authorization" in request.headers:
                raise
            raise Unauthorized(
                f"{error.message}. This coordinator serves nobody without a key: its operator may name an "
                "account for that ([dialects] anonymous_account)"
            ) from error

    def _find(self, conn: Connection) -> tuple[Account, str] | None:
        """The account and its tier."""
        account = accounts.named(conn, self._anonymous_account)
        return None if account is None else (account, account_limits.tier_of(conn, account.id))


class Listeners:
    """The account whose tasks a ``/ws`` is told of that has shown no key.

    Args:
        anonymous_account: as for `Clients`.
        origins: of web pages whose scripts may call; "*" is any.
    """

    def __init__(
        self, database: Database, anonymous_account: str, origins: Collection[str]
    ) -> None:
        self._database = database
        self._anonymous_account = anonymous_account
        self._origins = origins

    async def __call__(self, websocket: WebSocket) -> Account | None:
        """The account; None where the operator names none that is a client, and for pages of elsewhere."""
        if not self._anonymous_account or not self._may_read(websocket):
            return None
        found = await self._database.read(accounts.named, self._anonymous_account)
        return None if found is None or CLIENT_ROLE not in found.roles else found

    def _may_read(self, websocket: WebSocket) -> bool:
        """Whether no page of elsewhere asks: browsers let any page open a socket to any host, and say which did."""
        origin = websocket.headers.get("origin")
        if origin is None or origin in self._origins or "*" in self._origins:
            return True
        return urlsplit(origin).netloc == websocket.headers.get("host", "")
