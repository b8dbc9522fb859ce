"""Applications that an account registers, and those that it has allowed something."""

import re
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy import Connection

from ..store import api_keys, oauth
from ..store.accounts import ApiKey
from ..store.api_keys import KeyState
from ..store.database import Database
from ..store.oauth import AllowedApplication, OAuthClient
from .errors import Conflict, InvalidRequest, NotFound, Unauthorized
from .key_rules import GRACE_S, require_within, state_of
from .role_rules import usual_roles

LIST_MAX = 100
CLIENTS_MAX = 20
REDIRECT_URIS_MAX = 10
REDIRECT_URI_CHARS_MAX = 500

_CLIENT_ID = re.compile(r"client_[0-9a-f]{32}\Z", re.ASCII)
_GRANT_ID = re.compile(r"grant_[0-9a-f]{32}\Z", re.ASCII)
# What may stand in a header of ours beside other things: no quotes, spaces, commas or semicolons.
_URI = re.compile(r"[A-Za-z0-9:/?&=._~%+@!$*()\[\]-]+\Z", re.ASCII)
# A native app's own: RFC 8252 asks for a name in reverse order, as com.example.app.
_OWN_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+\Z", re.ASCII)
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class NewApplication:
    """An application that is wanted.

    Attributes:
        redirect_uris: where answers may be sent, to the byte; none for one that only acts for itself.
        is_confidential: it runs where nobody else can read its secret.
    """

    name: str
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    is_confidential: bool


class OAuthClients:
    """An account's applications. Each call is made with one of its keys, ``asking``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(
        self, asking: ApiKey, wanted: NewApplication
    ) -> tuple[OAuthClient, str | None]:
        """A new application, and its secret, if it can keep one.

        Raises:
            InvalidRequest: a redirect URI is none that is safe.
            Forbidden: it may do more than the key that asks.
            Conflict: the account has `CLIENTS_MAX`.
            Unauthorized: the key has ended meanwhile.
        """
        for number, uri in enumerate(wanted.redirect_uris):
            check_redirect_uri(uri, f"redirect_uris[{number}]")
        if not wanted.redirect_uris and not wanted.is_confidential:
            raise InvalidRequest(
                "redirect_uris: say where answers are sent; only a confidential application can do without",
                "redirect_uris",
            )
        require_within(asking, wanted.scopes)

        def add(conn: Connection) -> tuple[OAuthClient, str | None]:
            now_ms = _now_ms()
            current = _asking(conn, asking, now_ms)
            _, there = oauth.list_clients(conn, asking.account_id, limit=1, offset=0)
            if there >= CLIENTS_MAX:
                raise Conflict(
                    f"the account has {there} applications, and may have {CLIENTS_MAX}; delete one",
                    {"applications_max": CLIENTS_MAX},
                )
            return oauth.add_client(
                conn,
                account_id=asking.account_id,
                name=wanted.name,
                redirect_uris=wanted.redirect_uris,
                scopes=wanted.scopes,
                roles=usual_roles(current),
                is_confidential=wanted.is_confidential,
                now_ms=now_ms,
                expires_at_ms=current.expires_at_ms,
            )

        return await self._database.write(add)

    async def registered(
        self, asking: ApiKey, *, limit: int, offset: int
    ) -> tuple[list[OAuthClient], int]:
        """The account's applications, newest first, and how many there are."""
        return await self._database.read(
            lambda conn: oauth.list_clients(
                conn, asking.account_id, limit=min(limit, LIST_MAX), offset=offset
            )
        )

    async def get(self, asking: ApiKey, client_id: str) -> OAuthClient:
        """One of the account's applications.

        Raises:
            NotFound: there is none, or it is somebody else's.
        """
        return await self._database.read(lambda conn: _owned(conn, asking, client_id))

    async def rotate_secret(self, asking: ApiKey, client_id: str) -> tuple[OAuthClient, str]:
        """Another secret; the one before goes on for a day.

        Raises:
            NotFound: as of `get`.
            Conflict: the application has none.
        """

        def renew(conn: Connection) -> tuple[OAuthClient, str]:
            now_ms = _now_ms()
            _asking(conn, asking, now_ms)
            client = _owned(conn, asking, client_id)
            if not client.is_confidential:
                raise Conflict(f"{client_id} is public: it has no secret")
            return client, oauth.renew_client_secret(conn, client_id, now_ms + 1000 * GRACE_S)

        return await self._database.write(renew)

    async def delete(self, asking: ApiKey, client_id: str) -> OAuthClient:
        """End an application, with all its tokens and everything that anybody has allowed it.

        Raises:
            NotFound: as of `get`.
        """

        def end(conn: Connection) -> OAuthClient:
            now_ms = _now_ms()
            _asking(conn, asking, now_ms)
            client = _owned(conn, asking, client_id)
            oauth.delete_client(conn, client_id, now_ms)
            return client

        return await self._database.write(end)

    async def allowed(
        self, asking: ApiKey, *, limit: int, offset: int
    ) -> tuple[list[AllowedApplication], int]:
        """What the account allows now, newest first, and how much that is."""
        return await self._database.read(
            lambda conn: oauth.list_grants(
                conn, asking.account_id, _now_ms(), limit=min(limit, LIST_MAX), offset=offset
            )
        )

    async def take_back(self, asking: ApiKey, grant_id: str) -> str:
        """End what the account has allowed an application, with its tokens; repeating is harmless.

        Raises:
            NotFound: there is none, or it is somebody else's.
        """

        def end(conn: Connection) -> str:
            now_ms = _now_ms()
            _asking(conn, asking, now_ms)
            found = oauth.grant(conn, grant_id) if _GRANT_ID.match(grant_id) else None
            if found is None or found.account_id != asking.account_id:
                raise NotFound(f"there is no grant {grant_id[:80]}", {"grant_id": grant_id[:80]})
            oauth.revoke_grant(conn, grant_id, now_ms)
            return grant_id

        return await self._database.write(end)


def check_redirect_uri(uri: str, field: str) -> None:
    """Refuse where a code could be read by others on its way.

    Raises:
        InvalidRequest: it is not https, this machine by http, or an app's own scheme.
    """
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError as error:
        raise InvalidRequest(f"{field}: is no URI: {error}", field) from error
    if not _URI.match(uri) or len(uri) > REDIRECT_URI_CHARS_MAX or parts.username is not None:
        raise InvalidRequest(f"{field}: has characters that a redirect URI here has not", field)
    is_safe = (
        (parts.scheme == "https" and host)
        or (parts.scheme == "http" and host in _LOOPBACK)
        or (_OWN_SCHEME.match(parts.scheme) and not parts.netloc)
    )
    if not is_safe:
        raise InvalidRequest(
            f"{field}: must begin with https://, with http://127.0.0.1 or another name of this machine, or be of "
            "an app's own scheme, as com.example.app:/done",
            field,
        )


def _asking(conn: Connection, asking: ApiKey, now_ms: int) -> ApiKey:
    """The key that asks, as it is now; nobody else changes the account's until the transaction ends."""
    api_keys.lock(conn, asking.account_id)
    key = api_keys.get(conn, asking.account_id, asking.id)
    if key is None or state_of(key, now_ms) is not KeyState.ACTIVE:
        raise Unauthorized("This API key has ended.")
    return key


def _owned(conn: Connection, asking: ApiKey, client_id: str) -> OAuthClient:
    client = oauth.client(conn, client_id) if _CLIENT_ID.match(client_id) else None
    if client is None or client.account_id != asking.account_id:
        raise NotFound(f"there is no application {client_id[:80]}", {"client_id": client_id[:80]})
    return client


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
